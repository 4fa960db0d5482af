"""Measure what ten million numbers cost that ten thousand do not: the same load on two stores, in turns.

The stores are made once, and kept in build/: ten million numbers take 8 GB there, and some minutes.
"""

import argparse
import json
import random
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from measuring import BUILD, HEADINGS, Run, columns, in_turns, load, note, options_of, rate, run, verdict
from servers import ACCOUNT_ID, NUMBERS, PAGE_SIZE, Failure, Numberkeep, Store, prepare

FEW = 10_000
MANY = 10_000_000
FIRST = 12_060_000_000
"""The first number, without the plus. The ten million numbers from here on are all of area code 206."""
BYTES_A_NUMBER = 800
ASKED_FOR = 40_000
"""How many different numbers, or pages, a run requests, if there are as many."""
END = 10_000
"""How many numbers count as the beginning of a list, and as its end."""

LEAST_TIMES = 0.8
LEAST_TIMES_AT_END = 0.9
MOST_MEGABYTES = 120


def store_of(count: int, place: Path) -> Store:
    """Make a store with `count` numbers of one account, each like one that the program itself has added."""
    place.mkdir()
    store = prepare(place, NUMBERS[:1])
    with closing(sqlite3.connect(store.database, isolation_level=None)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        kept = BUILD / f"growth-{count}-{version}"
        if kept.exists():
            return _kept(kept)
        if shutil.disk_usage(BUILD).free < count * BYTES_A_NUMBER:
            raise Failure(
                f"{count} numbers take {count * BYTES_A_NUMBER / 1e9:.1f} GB in {BUILD}: more than is free there."
            )
        note(f"Making a store of {count} numbers ...")
        _multiply(connection, count)
    (place / "keys.json").write_text(json.dumps([store.key, store.limited_key]))
    place.rename(kept)
    return _kept(kept)


def _kept(directory: Path) -> Store:
    key, limited_key = json.loads((directory / "keys.json").read_text())
    return Store(directory / "numberkeep.sqlite3", tuple(key), tuple(limited_key))


def _multiply(connection: sqlite3.Connection, count: int) -> None:
    """Replace the only number by many, with each row in the order of its key."""
    execute = connection.execute
    for pragma in ("journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF", "cache_size = -500000"):
        execute(f"PRAGMA {pragma}").fetchall()
    number = f"'+' || ({FIRST} + i)"
    instead = {
        "e164_phone_number": number,
        "change_id": "change_id + i",
        "change": f"replace(change, '{NUMBERS[0]}', {number})",
    }
    execute("BEGIN")
    for table in ("phone_number_owners", "phone_numbers", "phone_number_history"):
        names = [row[1] for row in execute(f"PRAGMA table_info({table})")]
        values = ", ".join(instead.get(name, name) for name in names)
        execute(f"CREATE TEMP TABLE the_one AS SELECT * FROM {table}")
        execute(f"DELETE FROM {table}")
        every = "WITH RECURSIVE every(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM every LIMIT ?)"
        execute(f"INSERT INTO {table} {every} SELECT {values} FROM every CROSS JOIN the_one", (count,))
        execute("DROP TABLE the_one")
    execute("COMMIT")


def e164(index: int) -> str:
    """The number at this place in the list."""
    return f"+{FIRST + index}"


class Grown(Numberkeep):
    """``numberkeep serve`` on such a store; `kind` and `part` describe the next load."""

    def __init__(self, count: int, store: Store, place: Path, stack: ExitStack) -> None:
        self.name = f"of-{count}"
        self.count = count
        self.part = range(count)
        """The places in the list of the numbers that are requested."""
        self._dice = random.Random(0)
        super().__init__("reads", store, place, stack)

    def _location(self, store: Store, place: Path, stack: ExitStack) -> str:
        self._database = store.database
        sql = "SELECT max(change_id) FROM phone_number_history WHERE account_id = ?"
        with closing(sqlite3.connect(store.database)) as connection:
            (self._last_change_id,) = connection.execute(sql, (ACCOUNT_ID,)).fetchone()
        return f"sqlite:///{store.database}"

    def requests(self) -> list[bytes]:
        numbers = [e164(index) for index in self._dice.sample(self.part, min(ASKED_FOR, len(self.part)))]
        if self.kind == "lists":
            return self._pages_after(numbers)
        return self._of_numbers(numbers, self._types_of(numbers) if self.kind == "updates" else {})

    def _types_of(self, numbers: list[str]) -> Mapping[str, str]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            sql = "SELECT product_type FROM phone_numbers WHERE account_id = ? AND e164_phone_number = ?"
            return {number: connection.execute(sql, (ACCOUNT_ID, number)).fetchone()[0] for number in numbers}

    def _changes(self) -> int:
        """How many changes were added to the history since the start; counting all of it would take too long."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            sql = "SELECT count(*) FROM phone_number_history WHERE account_id = ? AND change_id > ?"
            return int(connection.execute(sql, (ACCOUNT_ID, self._last_change_id)).fetchone()[0])

    def load(self, kind: str, part: range, connections: int, seconds: int) -> Run:
        """Put a load on some part of the numbers."""
        self.kind, self.part = kind, part
        return load(self, connections, seconds)

    def megabytes(self) -> tuple[float, float]:
        """The process's memory: in total (RSS), and counting shared memory in proportion (PSS)."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        sizes = {name: int(rest.split()[0]) / 1024 for name, _, rest in (line.partition(":") for line in lines[1:])}
        return sizes["Rss"], sizes["Pss"]


Results = dict[str, dict[str, list[Run]]]
"""The runs, by what was measured and which numbers were requested."""


def measure(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    """Measure, and return the lines of the table and those about the goals."""
    many = options.numbers
    stores = {count: store_of(count, directory / f"store-{count}") for count in (FEW, many)}
    size = stores[many].database.stat().st_size / 1e9
    yield f"{many} numbers are a file of {size:.1f} GB"
    yield ""
    with ExitStack() as stack:
        few, more = (Grown(count, store, directory, stack) for count, store in stores.items())
        of_few, of_more = f"of {FEW}", f"of {many}"
        everywhere = {of_few: (few, range(FEW)), of_more: (more, range(many))}
        step = many // FEW
        the_same = {f"{FEW} of {many}": (more, range(0, FEW * step, step))}
        before_last_page = many - PAGE_SIZE - 1
        ends = {
            "first pages": (more, range(END)),
            "last pages": (more, range(before_last_page - END, before_last_page)),
        }
        inside = {of_few: (few, range(FEW - PAGE_SIZE - 1)), of_more: (more, range(before_last_page))}
        results: Results = {}
        for what, kind, parts in (
            ("updates", "updates", everywhere | the_same),
            ("reads", "reads", everywhere | the_same),
            ("lists", "lists", inside),
            ("ends", "lists", ends),
        ):
            note(f"{what} ...")
            loads = {
                name: partial(server.load, kind, part, options.connections) for name, (server, part) in parts.items()
            }
            for one in loads.values():
                one(1)
            results[what] = in_turns(
                {name: partial(one, options.seconds) for name, one in loads.items()}, options.rounds
            )
        rss, pss = more.megabytes()
    yield from table(results)
    yield ""
    yield f"memory of the server of {many} numbers after all this: RSS {rss:.0f} MB, PSS {pss:.0f} MB"
    yield ""
    for what in ("updates", "reads", "lists"):
        reached = rate(results[what][of_more]) / rate(results[what][of_few])
        what = f"{what} {of_more}, each as likely as any other: {LEAST_TIMES} x those {of_few} or more"
        yield verdict(reached >= LEAST_TIMES, f"{what}; reached {reached:.2f} x")
    first, last = results["ends"].values()
    reached = rate(last) / rate(first)
    what = f"last pages: {LEAST_TIMES_AT_END} x first pages or more"
    yield verdict(reached >= LEAST_TIMES_AT_END, f"{what}; reached {reached:.2f} x")
    yield verdict(rss <= MOST_MEGABYTES, f"memory: {MOST_MEGABYTES} MB or less; RSS is {rss:.0f} MB")


def table(results: Results) -> Iterator[str]:
    """The lines of the table."""
    yield f"{'':<9}{'numbers':<19}{HEADINGS}{'x first':>9}"
    for what, by_part in results.items():
        beside = next(iter(by_part.values()))
        for name, runs in by_part.items():
            yield f"{what:<9}{name:<19}{columns(runs)}{rate(runs) / rate(beside):>9.2f}"


def main() -> None:
    parser = options_of("growth", __doc__, rounds=5, seconds=2)
    parser.add_argument("--numbers", type=int, default=MANY, help=f"instead of ten million; {2 * FEW} at least")
    parser.add_argument("--connections", type=int, default=32, metavar="N")
    options = parser.parse_args()
    if options.numbers < 2 * FEW:
        parser.error(f"--numbers must be {2 * FEW} at least")
    run(partial(measure, options))


if __name__ == "__main__":
    main()
