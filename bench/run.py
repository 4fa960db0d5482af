"""Measure Numberkeep, its limit, nginx and moto, in turns, under the same load. README.md says what the table means."""

import argparse
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from measuring import HEADINGS, Run, columns, in_turns, load, note, options_of, rate, run, verdict
from servers import COMMANDS, OPERATIONS, Bare, Log, Moto, Nginx, Numberkeep, Postgresql, Server, Store, prepare

Results = dict[tuple[str, int], dict[str, list[Run]]]
"""The runs of every server, by kind of operation and number of connections."""


def compare(
    kind: str, connections: int, options: argparse.Namespace, store: Store, place: Path
) -> dict[str, list[Run]]:
    """Measure all servers in turns under the same load. Returns the runs by the server's name."""
    with ExitStack() as stack:
        numberkeep = Numberkeep(kind, store, place, stack)
        servers: list[Server] = [numberkeep, Bare(kind, store, place, stack)]
        if kind == "updates":
            servers.append(Log(kind, store, place, stack))
        if options.postgresql or options.database:
            servers.append(Postgresql(kind, store, place, stack, options.database))
        if shutil.which("nginx"):
            servers.append(Nginx(numberkeep, place, stack))
        if OPERATIONS[kind].of_moto and (COMMANDS / "moto_server").exists():
            servers.append(Moto(kind, place, stack))
        if not options.quick:
            for server in servers:
                load(server, connections, 1)
        measures = {server.name: partial(load, server, connections, options.seconds) for server in servers}
        return in_turns(measures, options.rounds)


RATIOS = (("log", 8, 2), ("nginx", 9, 3), ("moto", 8, 1))
"""The servers that Numberkeep is compared with, and the width and digits of their columns."""


def table(results: Results) -> Iterator[str]:
    """The lines of the table."""
    headings = "".join(f"{'x ' + name:>{width}}" for name, width, _ in RATIOS)
    yield f"{'operation':<18}{'conns':>6}  {'server':<11}{HEADINGS}{headings}"
    for (kind, connections), by_server in results.items():
        for name, runs in by_server.items():
            operation = OPERATIONS[kind].of_moto if name == "moto" else OPERATIONS[kind].name
            ratios = ""
            if name in ("numberkeep", "postgresql"):
                ratios = "".join(_ratio(runs, by_server.get(other), *rest) for other, *rest in RATIOS)
            yield f"{operation:<18}{connections:>6}  {name:<11}{columns(runs)}{ratios}".rstrip()


def _ratio(runs: Sequence[Run], others: Sequence[Run] | None, width: int, digits: int) -> str:
    return f"{rate(runs) / rate(others):>{width}.{digits}f}" if others else f"{'-':>{width}}"


class Goal(NamedTuple):
    """How many times as many requests per second one server should answer as another."""

    kind: str
    connections: int
    ours: str
    times: float
    theirs: str


GOALS = (
    Goal("updates", 32, "numberkeep", 0.8, "log"),
    Goal("updates", 128, "numberkeep", 0.8, "log"),
    Goal("updates", 32, "numberkeep", 30, "moto"),
    Goal("reads", 32, "numberkeep", 0.33, "nginx"),
    Goal("lists", 32, "numberkeep", 0.08, "nginx"),
    Goal("updates", 32, "numberkeep", 0.9, "bare"),
    Goal("reads", 32, "numberkeep", 0.9, "bare"),
    Goal("updates", 32, "postgresql", 0.6, "numberkeep"),
)
SLOWEST_TIMES = 4
"""At 32 connections, the slowest 1 in 100 updates may take this many times the median."""


def goals(results: Results) -> Iterator[str]:
    """A line for each goal: met or not, and by how much."""
    for kind, connections, ours, times, theirs in GOALS:
        what = f"{OPERATIONS[kind].name} at {connections} connections, {ours}: {times:g} x {theirs} or more"
        runs = results.get((kind, connections), {})
        if ours in runs and theirs in runs:
            reached = rate(runs[ours]) / rate(runs[theirs])
            yield verdict(reached >= times, f"{what}; reached {reached:.3g} x")
        else:
            yield f"not measured: {what}"
    what = f"{OPERATIONS['updates'].name} at 32 connections, numberkeep: a p99 of {SLOWEST_TIMES} x p50 or less"
    if runs_at_32 := results.get(("updates", 32), {}).get("numberkeep"):
        p50, p99 = (median(times) for times in zip(*((run.p50_ms, run.p99_ms) for run in runs_at_32), strict=True))
        yield verdict(p99 <= SLOWEST_TIMES * p50, f"{what}; reached {p99 / p50:.3g} x")
    else:
        yield f"not measured: {what}"


def measure(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    """Measure what `options` ask for, and return the lines of the table and those about the goals."""
    if not shutil.which("nginx"):
        note("NO NGINX: its rows are left out. On Debian: apt-get install nginx")
    if not (COMMANDS / "moto_server").exists():
        note("NO MOTO: its rows are left out. pip install --group test")
    store_directory = directory / "store"
    store_directory.mkdir()
    store = prepare(store_directory)
    results: Results = {}
    for kind in options.only:
        for connections in options.connections:
            note(f"{OPERATIONS[kind].name} at {connections} connections ...")
            results[kind, connections] = compare(kind, connections, options, store, directory)
    yield from table(results)
    yield ""
    yield from goals(results)


def main() -> None:
    parser = options_of("", __doc__, rounds=5, seconds=3)
    parser.add_argument("--only", nargs="+", choices=OPERATIONS, default=list(OPERATIONS), help="leave the others out")
    parser.add_argument("--connections", nargs="+", type=int, default=[1, 32, 128], metavar="N")
    parser.add_argument("--postgresql", action="store_true", help="beside the others, on a PostgreSQL of its own")
    parser.add_argument("--database", metavar="URL", help="the same on that PostgreSQL, as who may create databases")
    parser.add_argument("--quick", action="store_true", help="one round of a second: shows that all works, no more")
    options = parser.parse_args()
    if options.quick:
        options.rounds = options.seconds = 1
    run(partial(measure, options))


if __name__ == "__main__":
    main()
