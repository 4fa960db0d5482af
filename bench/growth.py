"""What ten million numbers cost that ten thousand do not: the same load on two stores, in turns.

The stores are made once and kept in build/; ten million numbers take about 5 GB and a few minutes.
"""

import argparse
import json
import random
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import run
from run import ACCOUNT_ID, OTHER_TYPE, PAGE_SIZE, ROOT, Numberkeep, Run, Store, measure, rate

from numberkeep.operations import pages
from numberkeep.storage.migrations import migrations, of_sqlite

SAMPLE = 10_000
"""How many numbers, or pages, a run asks for, over and over."""
MOMENT = "2019-10-29T18:25:30.392Z"
FIRST = 12_000_000_000
MOST_MEGABYTES = 120


def store_of(numbers: int, build: Path) -> Path:
    """The file with so many numbers of one account, each with its owner and its first change."""
    path = build / f"growth-{numbers}.sqlite3"
    if path.exists():
        return path
    run.note(f"making a store of {numbers} numbers ...")
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        execute = connection.execute
        execute("PRAGMA journal_mode = OFF")
        execute("PRAGMA synchronous = OFF")
        execute("PRAGMA cache_size = -1000000")
        execute("BEGIN")
        for migration in migrations():
            for statement in migration.statements:
                execute(of_sqlite(statement))
            execute(f"PRAGMA user_version = {migration.version}")
        execute("INSERT INTO store VALUES ('token_secret', ?)", ("ab" * 32,))
        every = "WITH RECURSIVE every(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM every LIMIT ?) SELECT {} FROM every"
        e164 = f"'+' || ({FIRST} + i)"
        change = '{"status":[null,"Unassigned"]}'
        for table, values in (
            ("phone_number_owners", f"{e164}, '{ACCOUNT_ID}'"),
            (
                "phone_numbers",
                f"'{ACCOUNT_ID}', {e164}, 'US', 'Local', 'VoiceConnector', 'Unassigned', '{MOMENT}', '{MOMENT}', NULL,"
                " 'Unassigned', NULL, NULL, NULL, NULL, i",
            ),
            (
                "phone_number_history",
                f"'{ACCOUNT_ID}', i, NULL, {e164}, '{MOMENT}', '{'0' * 36}', 'arn:aws:iam::{ACCOUNT_ID}:root',"
                f" '{change}'",
            ),
        ):
            execute(f"INSERT INTO {table} {every.format(values)}", (numbers,))
        execute("COMMIT")
    return new.rename(path)


class Grown(Numberkeep):
    """``numberkeep serve`` on such a store."""

    def __init__(self, kind: str, numbers: int, store: Store, directory: Path, stack: ExitStack) -> None:
        self.name = f"of {numbers}"
        self._numbers = numbers
        self._dice = random.Random(0)
        self._types = dict.fromkeys(
            (self._e164(self._dice.randrange(numbers)) for _ in range(SAMPLE)), "VoiceConnector"
        )
        with closing(sqlite3.connect(store.database)) as connection:
            (secret,) = connection.execute("SELECT value FROM store WHERE name = 'token_secret'").fetchone()
            sql = "SELECT product_type FROM phone_numbers WHERE account_id = ? AND e164_phone_number = ?"
            for e164 in self._types:
                (self._types[e164],) = connection.execute(sql, (ACCOUNT_ID, e164)).fetchone()
        self._tx: Any = SimpleNamespace(account_id=ACCOUNT_ID, token_secret=bytes.fromhex(secret))
        super().__init__(kind, store, directory, stack)

    def _location(self, store: Store, directory: Path, stack: ExitStack) -> str:
        self._database = store.database
        return f"sqlite:///{store.database}"

    def _e164(self, index: int) -> str:
        return f"+{FIRST + index}"

    def requests(self) -> list[bytes]:
        sign = self._signer()
        match self._operation:
            case "reads":
                return [sign("GET", run.path_of(e164)) for e164 in self._types]
            case "lists":
                places = (self._dice.randrange(self._numbers - PAGE_SIZE) for _ in range(SAMPLE))
                return [sign("GET", "/phone-numbers", self._query(place)) for place in places]
            case "first page":
                return [sign("GET", "/phone-numbers", f"max-results={PAGE_SIZE}")]
            case "last page":
                return [sign("GET", "/phone-numbers", self._query(self._numbers - PAGE_SIZE - 1))]
        flips = []
        for e164, product_type in self._types.items():
            self._types[e164] = OTHER_TYPE[product_type]
            flips.append(sign("POST", run.path_of(e164), body=json.dumps({"ProductType": OTHER_TYPE[product_type]})))
        return flips

    def check(self, answered: int, sent: int) -> None:
        """A run may end anywhere in its list: what the numbers are then is read again."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            sql = "SELECT product_type FROM phone_numbers WHERE account_id = ? AND e164_phone_number = ?"
            for e164 in self._types:
                (self._types[e164],) = connection.execute(sql, (ACCOUNT_ID, e164)).fetchone()

    def _query(self, place: int) -> str:
        scope = ["ListPhoneNumbers", None, None, None, None]
        token = pages.token(self._tx, scope, self._e164(place))
        return f"max-results={PAGE_SIZE}&next-token={quote(token, safe='')}"

    @property
    def megabytes(self) -> float:
        """What the process holds in memory that it does not share."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def compare(kinds: list[str], sizes: list[int], options: argparse.Namespace) -> Iterator[str]:
    """The lines of the table."""
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=build)))
        stores = []
        for size in sizes:
            path = store_of(size, build)
            stores.append(Store(path, run.create_key(path, "everything"), ("", "")))
        yield run.machine(directory)
        yield f"{'':<12}{'numbers':>10}{'req/s':>9}{'CPU us':>8}{'p50 ms':>9}{'p99 ms':>9}{'MB':>7}{'x':>7}"
        for kind in kinds:
            with ExitStack() as serving:
                servers = []
                for size, store in zip(sizes, stores, strict=True):
                    one = store._replace(limited_key=store.key)
                    servers.append(Grown(kind, size, one, directory, serving))
                runs: list[list[Run]] = [[] for _ in servers]
                for server in servers:
                    measure(server, options.connections, 1)
                for _ in range(options.rounds):
                    for index, server in enumerate(servers):
                        runs[index].append(measure(server, options.connections, options.seconds))
                for size, server, its in zip(sizes, servers, runs, strict=True):
                    cpu, p50, p99 = (
                        median(getattr(one, name) for one in its) for name in ("cpu_us", "p50_ms", "p99_ms")
                    )
                    yield (
                        f"{kind:<12}{size:>10}{rate(its):>9.0f}{cpu:>8.1f}{p50:>9.2f}{p99:>9.2f}"
                        f"{server.megabytes:>7.0f}{rate(its) / rate(runs[0]):>7.2f}"
                    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench growth", description=__doc__)
    parser.add_argument("--numbers", type=int, default=10_000_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=["updates", "reads", "lists", "first page", "last page"])
    options = parser.parse_args()
    run.give_secret_key()
    try:
        for line in compare(options.only, [10_000, options.numbers], options):
            print(line, flush=True)
    except run.Failure as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
