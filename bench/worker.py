"""Measure how many due changes the worker settles in a second: calling names, 72 hours after they were requested."""

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count, islice
from pathlib import Path
from statistics import median

import uvloop
from measuring import in_turns, options_of, pin_to, run, verdict
from servers import ACCOUNT_ID, Failure, start_postgres

from numberkeep.carriers.routing import carriers_of, simulated_only
from numberkeep.carriers.simulated import MAGIC_ENDINGS
from numberkeep.domain.caller import Caller
from numberkeep.domain.phone_number import PhoneNumber
from numberkeep.opening import open_store
from numberkeep.operations.phone_numbers import update_phone_number
from numberkeep.storage import phone_numbers, postgres_schema
from numberkeep.storage.tx import Tx
from numberkeep.worker import Worker
from numberkeep.world import World

CALLER = Caller(ACCOUNT_ID, f"arn:aws:iam::{ACCOUNT_ID}:root", "")
NAME = "Numberkeep"
AT_ONCE = 1000
HOURS = 73
LEAST_PER_SECOND = 5000


def ask_for_names(tx: Tx, e164s: list[str]) -> None:
    """Make new numbers, each with a calling name that is requested."""
    for e164 in e164s:
        phone_numbers.insert(tx, PhoneNumber(e164, "US", "Local", "VoiceConnector", "Unassigned", tx.now, tx.now))
        update_phone_number(tx, e164, calling_name=NAME)


def count_named(tx: Tx, e164s: list[str]) -> int:
    """How many numbers have their new name."""
    return sum(phone_numbers.get(tx, e164).calling_name == NAME for e164 in e164s)


async def settled_per_second(location: Path | str, changes: int) -> float:
    """How many changes a second are settled in the empty store at `location`, when all of them are due."""
    with ExitStack() as stack:
        world, carriers = World(), carriers_of(simulated_only(0))
        store = open_store(location, world, carriers, stack)
        numbers = (f"+1{number}" for number in count(2_060_000_000))
        e164s = list(islice((e164 for e164 in numbers if not e164.endswith(MAGIC_ENDINGS)), changes))
        for begin in range(0, changes, AT_ONCE):
            await store.transact(CALLER, ask_for_names, e164s[begin : begin + AT_ONCE])
        worker = Worker(store, carriers.of, world)
        await worker.run_due()  # the carrier is asked for the first time, and answers when to ask again
        world.offset_seconds = HOURS * 3600
        began = time.perf_counter()
        await worker.run_due()
        seconds = time.perf_counter() - began
        named = await store.ask(CALLER, count_named, e164s)
        if named != changes:
            raise Failure(f"Of {changes} names that were due {named} were set.")
        return changes / seconds


def measure(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    """A line for each engine."""
    pin_to(0)
    names = (f"{n}" for n in count(1))

    def on_sqlite() -> float:
        return uvloop.run(settled_per_second(directory / f"{next(names)}.sqlite3", options.changes))

    with ExitStack() as stack:
        engines = {"sqlite": on_sqlite}
        if options.postgresql:
            server = start_postgres(stack)

            def on_postgresql() -> float:
                with server.database() as url:
                    postgres_schema.migrate(url, "ab" * 32)
                    return uvloop.run(settled_per_second(url, options.changes))

            engines["postgresql"] = on_postgresql
        for engine, figures in in_turns(engines, options.rounds).items():
            what = (
                f"{options.changes} changes that are due, on {engine}: {LEAST_PER_SECOND} or more settled in a second"
            )
            yield verdict(
                median(figures) >= LEAST_PER_SECOND,
                f"{what}; reached {median(figures):.0f} ({min(figures):.0f}-{max(figures):.0f})",
            )


def main() -> None:
    parser = options_of("worker", __doc__, rounds=5)
    parser.add_argument("--changes", type=int, default=20_000)
    parser.add_argument("--postgresql", action="store_true", help="beside SQLite, on a PostgreSQL of its own")
    run(partial(measure, parser.parse_args()))


if __name__ == "__main__":
    main()
