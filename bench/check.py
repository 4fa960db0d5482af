"""Measure how long it takes, and how much memory, to check and to back up a store, of a million numbers for
instance."""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import uvloop
from measuring import note, options_of, run
from servers import ACCOUNT_ID, Failure, start_postgres

from numberkeep.carriers.routing import carriers_of, simulated_only
from numberkeep.domain.caller import Caller
from numberkeep.domain.phone_number import PhoneNumber
from numberkeep.opening import open_store
from numberkeep.operations.associations import associate_phone_numbers_with_voice_connector
from numberkeep.operations.phone_numbers import update_phone_number
from numberkeep.operations.voice_connectors import create_voice_connector
from numberkeep.storage import phone_numbers
from numberkeep.storage.tx import Tx
from numberkeep.world import World

CALLER = Caller(ACCOUNT_ID, f"arn:aws:iam::{ACCOUNT_ID}:root", "")
AT_ONCE = 1000
ASSIGNED = 10
"""One number in this many is assigned to a Voice Connector."""
CHANGES = 4
"""How many changes each number has had."""


def put(tx: Tx, connector_id: str, e164s: Sequence[str]) -> None:
    """Make new numbers, each with a history."""
    for index, e164 in enumerate(e164s):
        phone_numbers.claim(tx, e164)
        phone_numbers.insert(tx, PhoneNumber(e164, "US", "Local", "VoiceConnector", "Unassigned", tx.now, tx.now))
        update_phone_number(tx, e164, calling_name="Numberkeep")
        update_phone_number(tx, e164, name=f"desk {index}")
        if index % ASSIGNED:
            update_phone_number(tx, e164, name="desk")
        else:
            associate_phone_numbers_with_voice_connector(tx, connector_id, [e164])


async def make(path: Path, count: int) -> None:
    """Make a store with this many numbers."""
    with ExitStack() as stack:
        store = open_store(path, World(), carriers_of(simulated_only(0)), stack)
        made = await store.transact(CALLER, create_voice_connector, name="one", require_encryption=True)
        connector_id = made["VoiceConnector"].voice_connector_id
        e164s = [f"+1{2_060_000_000 + index}" for index in range(count)]
        for begin in range(0, count, AT_ONCE):
            await store.transact(CALLER, put, connector_id, e164s[begin : begin + AT_ONCE])


WATCH = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""
"""Runs between this process and a command: the kernel counts the memory of a command's parent as the command's own."""


def timed(*arguments: str) -> tuple[float, float]:
    """Run a command of the program. Returns the seconds it took, and the most megabytes it had."""
    began = time.perf_counter()
    command = [sys.executable, "-c", WATCH, sys.executable, "-m", "numberkeep", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"numberkeep {' '.join(arguments)} has ended with status {done.returncode}.")
    return time.perf_counter() - began, int(done.stdout) / 1000


def measure(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    """A line for each engine and command."""
    file, backup = directory / "store.sqlite3", directory / "backup.sqlite3"
    note(f"Making a store of {options.numbers} numbers ...")
    uvloop.run(make(file, options.numbers))
    with ExitStack() as stack:
        databases = {"sqlite": f"sqlite:///{file}"}
        if options.postgresql:
            databases["postgresql"] = stack.enter_context(start_postgres(stack).database())
            timed("copy", "--from", databases["sqlite"], "--to", databases["postgresql"])
        yield f"{options.numbers} numbers with {CHANGES} changes each; the file has {file.stat().st_size / 1e6:.0f} MB"
        for engine, database in databases.items():
            for name, *arguments in (("check",), ("backup", str(backup), "--force")):
                for _ in range(options.rounds):
                    seconds, megabytes = timed(name, *arguments, "--database", database)
                    yield f"{name:<8}{engine:<12}{seconds:>7.1f} s {megabytes:>6.0f} MB"


def main() -> None:
    parser = options_of("check", __doc__, rounds=3)
    parser.add_argument("--numbers", type=int, default=100_000)
    parser.add_argument("--postgresql", action="store_true", help="beside SQLite, on a PostgreSQL of its own")
    run(partial(measure, parser.parse_args()))


if __name__ == "__main__":
    main()
