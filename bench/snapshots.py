"""Measure how long `POST /_numberkeep/snapshots/NAME/restore` takes, by how many numbers are in the snapshot."""

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

import httpx
import uvloop
from measuring import in_turns, options_of, pin_to, run
from servers import ACCOUNT_ID, start_postgres

from numberkeep.app import App
from numberkeep.config import Settings
from numberkeep.storage import postgres_schema

NUMBERS = (100, 1000)


async def restore_ms(database: Path | str | None, numbers: int, times: int) -> float:
    """The median of this many restores, from the request to its answer; a number is added before each."""
    seeds = [
        {"E164PhoneNumber": f"+1{2_062_000_000 + index}", "ProductType": "VoiceConnector", "CallingName": "Acme"}
        for index in range(numbers)
    ]
    taken = []
    settings = Settings(port=0, admin_port=0, database=database, dev=True, empty=True, verify=False)
    async with App(settings) as app, httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.admin_port}") as admin:
        (await admin.post("/_numberkeep/reset")).raise_for_status()
        (await admin.post(f"/_numberkeep/numbers?account={ACCOUNT_ID}", json=seeds)).raise_for_status()
        (await admin.post("/_numberkeep/snapshots", json={"name": "seeded"})).raise_for_status()
        for _ in range(times):
            another = {"E164PhoneNumber": "+12065550100", "ProductType": "VoiceConnector"}
            (await admin.post("/_numberkeep/numbers", json=[another])).raise_for_status()
            began = time.perf_counter()
            answer = await admin.post("/_numberkeep/snapshots/seeded/restore")
            taken.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
    return median(taken)


def measure(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    """A line for each engine and number of numbers."""
    pin_to(0)
    with ExitStack() as stack:
        places: dict[str, Path | str | None] = {"in memory": None, "SQLite": directory / "numberkeep.sqlite3"}
        if options.postgresql:
            url = places["PostgreSQL"] = stack.enter_context(start_postgres(stack).database())
            postgres_schema.migrate(url, "ab" * 32)
        measures = {
            f"{numbers} numbers, {name}": lambda place=place, numbers=numbers: uvloop.run(
                restore_ms(place, numbers, options.times)
            )
            for name, place in places.items()
            for numbers in NUMBERS
        }
        for what, figures in in_turns(measures, options.rounds).items():
            yield f"a restore of {what}: {median(figures):.1f} ms ({min(figures):.1f}-{max(figures):.1f})"


def main() -> None:
    parser = options_of("snapshots", __doc__, rounds=5)
    parser.add_argument("--times", type=int, default=20, help="in a round (20)")
    parser.add_argument("--postgresql", action="store_true", help="beside SQLite, on a PostgreSQL of its own")
    run(partial(measure, parser.parse_args()))


if __name__ == "__main__":
    main()
