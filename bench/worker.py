"""Measure how many changes that are due the worker settles in a second, and how many messages it delivers."""

import argparse
import asyncio
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
from numberkeep.storage import deliveries, phone_numbers, postgres_schema
from numberkeep.storage.tx import Tx
from numberkeep.worker import Worker
from numberkeep.world import World

CALLER = Caller(ACCOUNT_ID, f"arn:aws:iam::{ACCOUNT_ID}:root", "")
NAME = "Numberkeep"
AT_ONCE = 1000
HOURS = 73
LEAST_PER_SECOND = 5000
ANSWER_SECONDS = 0.02
LEAST_MESSAGES_PER_SECOND = 1000
MOST_WAIT_SECONDS = 0.5


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


def put_messages(tx: Tx, receiver: str, first: int, count: int) -> None:
    """Messages to a receiver, about as many numbers."""
    for number in range(first, first + count):
        deliveries.put(tx, f"+1{2_060_000_000 + number}", receiver, "phone_number.changed", "{}")


class Receiver:
    """Takes messages, and answers after a while."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.taken = 0
        self.has_one = asyncio.Event()

    async def send(self, message_id: str, type: str, timestamp: str | None, data: object) -> bytes:
        """As `numberkeep.carriers.webhook.Endpoint.send`."""
        self.has_one.set()
        await asyncio.sleep(self.seconds)
        self.taken += 1
        return b""


async def messages(location: Path | str, count: int) -> tuple[float, float]:
    """Fill the empty store at `location`; return how many messages a second reach a receiver, and after how many
    seconds a message is sent that comes when as many wait for another receiver, which does not answer."""
    with ExitStack() as stack:
        world, carriers = World(), carriers_of(simulated_only(0))
        store = open_store(location, world, carriers, stack)
        quick, silent = Receiver(ANSWER_SECONDS), Receiver(3600)
        await store.transact(CALLER, put_messages, "quick", 0, count)
        receivers = {"quick": quick, "silent": silent}
        worker = Worker(store, carriers.of, world, receivers.get)
        began = time.perf_counter()
        await worker.run_due()
        per_second = count / (time.perf_counter() - began)
        await store.transact(CALLER, put_messages, "silent", 0, count)
        working = asyncio.create_task(worker.run())
        await silent.has_one.wait()
        quick.has_one.clear()
        began = time.perf_counter()
        await store.transact(CALLER, put_messages, "quick", count, 1)
        await quick.has_one.wait()
        waited = time.perf_counter() - began
        working.cancel()
        await asyncio.wait([working])
        if quick.taken < count:
            raise Failure(f"Of {count} messages {quick.taken} were delivered.")
        return per_second, waited


def measure(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    """Three lines for each engine."""
    pin_to(0)
    names = (f"{n}" for n in count(1))
    count_of = options.changes

    def once(location: Path | str, location_too: Path | str) -> tuple[float, float, float]:
        return uvloop.run(settled_per_second(location, count_of)), *uvloop.run(messages(location_too, count_of))

    def on_sqlite() -> tuple[float, float, float]:
        return once(directory / f"{next(names)}.sqlite3", directory / f"{next(names)}.sqlite3")

    with ExitStack() as stack:
        engines = {"sqlite": on_sqlite}
        if options.postgresql:
            server = start_postgres(stack)

            def on_postgresql() -> tuple[float, float, float]:
                with server.database() as url, server.database() as other:
                    for one in (url, other):
                        postgres_schema.migrate(one, "ab" * 32)
                    return once(url, other)

            engines["postgresql"] = on_postgresql
        for engine, figures in in_turns(engines, options.rounds).items():
            settled, sent, waited = zip(*figures, strict=True)
            yield verdict(
                median(settled) >= LEAST_PER_SECOND,
                f"{count_of} changes that are due, on {engine}: {LEAST_PER_SECOND} or more settled in a second; reached"
                f" {median(settled):.0f} ({min(settled):.0f}-{max(settled):.0f})",
            )
            yield verdict(
                median(sent) >= LEAST_MESSAGES_PER_SECOND,
                f"{count_of} messages to a receiver that answers in {ANSWER_SECONDS * 1000:.0f} ms, on {engine}:"
                f" {LEAST_MESSAGES_PER_SECOND} or more in a second; reached {median(sent):.0f}"
                f" ({min(sent):.0f}-{max(sent):.0f})",
            )
            yield verdict(
                median(waited) <= MOST_WAIT_SECONDS,
                f"a message behind {count_of} for a receiver that does not answer, on {engine}: sent in"
                f" {MOST_WAIT_SECONDS} s or less; reached {median(waited):.2f} ({min(waited):.2f}-{max(waited):.2f})",
            )


def main() -> None:
    parser = options_of("worker", __doc__, rounds=5)
    parser.add_argument("--changes", type=int, default=20_000)
    parser.add_argument("--postgresql", action="store_true", help="beside SQLite, on a PostgreSQL of its own")
    run(partial(measure, parser.parse_args()))


if __name__ == "__main__":
    main()
