"""How many changes that are due the worker settles in a second: calling names, 72 hours after they were asked for."""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import run
import uvloop

from numberkeep.app import open_store
from numberkeep.carriers.simulated import SimulatedCarrier
from numberkeep.domain.caller import Caller
from numberkeep.domain.phone_number import PhoneNumber
from numberkeep.operations.phone_numbers import update_phone_number
from numberkeep.storage import pending_changes, phone_numbers, postgres_schema
from numberkeep.storage.driver import Driver
from numberkeep.storage.tx import Tx
from numberkeep.worker import Worker
from numberkeep.world import World

CALLER = Caller(run.ACCOUNT_ID, f"arn:aws:iam::{run.ACCOUNT_ID}:root", "")
CHANGES = 20_000
AT_ONCE = 1000
GOAL = 5000


def ask_for_names(tx: Tx, e164s: list[str]) -> None:
    """Numbers, each with a calling name that is pending."""
    for e164 in e164s:
        phone_numbers.insert(tx, PhoneNumber(e164, "US", "Local", "VoiceConnector", "Unassigned", tx.now, tx.now))
        update_phone_number(tx, e164, calling_name="Numberkeep")


async def settled_per_second(store: Driver, world: World, carrier: SimulatedCarrier) -> float:
    """One round on an empty store."""
    e164s = [f"+1{2_000_000_000 + index}" for index in range(CHANGES)]
    for begin in range(0, CHANGES, AT_ONCE):
        await store.transact(CALLER, ask_for_names, e164s[begin : begin + AT_ONCE])
    worker = Worker(store, carrier, world)
    await worker.run_due()  # the carrier is asked for the first time
    world.offset_seconds = 73 * 3600
    began = time.perf_counter()
    await worker.run_due()
    seconds = time.perf_counter() - began
    if await store.ask(CALLER, pending_changes.next_due_at):
        raise run.Failure("Something is pending still.")
    return CHANGES / seconds


def measure(engine: str, directory: Path) -> float:
    """One round on an engine."""
    with ExitStack() as stack:
        world, carrier = World(), SimulatedCarrier(0)
        if engine == "sqlite":
            location: Path | str = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=directory)), "store")
        else:
            server = stack.enter_context(run.PostgresServer(durable=True))
            location = stack.enter_context(server.database())
            postgres_schema.migrate(location, "ab" * 32)
        store = open_store(location, world, carrier, stack)
        return uvloop.run(settled_per_second(store, world, carrier))


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench worker", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    directory = run.ROOT / "build"
    directory.mkdir(exist_ok=True)
    print(run.machine(directory))
    rounds: dict[str, list[float]] = {"sqlite": [], "postgresql": []}
    for _ in range(options.rounds):
        for engine, figures in rounds.items():
            figures.append(measure(engine, directory))
    for engine, figures in rounds.items():
        verdict = "met" if median(figures) >= GOAL else "NOT MET"
        spread = f"{min(figures):.0f}-{max(figures):.0f}"
        print(f"{verdict}: {engine} settles {median(figures):.0f} changes a second ({spread}); goal {GOAL}")


if __name__ == "__main__":
    main()
