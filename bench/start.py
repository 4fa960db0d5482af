"""Measure the time from the start of `numberkeep serve` to its first answer, and the time to import numberkeep."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from measuring import in_turns, options_of, pin_to, run, verdict
from servers import COMMANDS, NUMBERS, Signer, Store, ask, free_port, on_core, path_of, prepare, start

MOST_START_MS = 300
MOST_IMPORT_MS = 50
POLL_SECONDS = 0.002


def first_answer_ms(store: Store, directory: Path) -> float:
    """The time from starting the process to the answer to a signed request."""
    port = free_port()
    options = ["--port", str(port), "--admin-port", str(free_port()), "--trail", str(directory / "trail.log")]
    command = [f"{COMMANDS}/numberkeep", "serve", "--database", f"sqlite:///{store.database}", *options]
    request = Signer(port, "chime", *store.key)("GET", path_of(NUMBERS[0]))
    with ExitStack() as stack:
        began = time.perf_counter()
        start([*on_core(0), *command], port, directory / "start.log", stack, POLL_SECONDS)
        ask(port, request)
        return (time.perf_counter() - began) * 1000


def interpreter_ms(code: str) -> float:
    """The time from starting an interpreter that runs `code` to its end."""
    began = time.perf_counter()
    subprocess.run([*on_core(0), sys.executable, "-c", code], check=True)
    return (time.perf_counter() - began) * 1000


def measure(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    """A line for each goal."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # installed modules are compiled once, and so are these
    store = prepare(directory)
    pin_to(-1)
    first_answer_ms(store, directory)
    taken = in_turns(
        {
            "serve": partial(first_answer_ms, store, directory),
            "import": partial(interpreter_ms, "import numberkeep"),
            "import the service": partial(interpreter_ms, "import numberkeep.app"),
            "nothing": partial(interpreter_ms, ""),
        },
        options.rounds,
    )
    median_ms = {name: median(figures) for name, figures in taken.items()}
    serve, least, most = median_ms["serve"], min(taken["serve"]), max(taken["serve"])
    what = f"from the start of `numberkeep serve` to its first answer: {MOST_START_MS} ms or less"
    yield verdict(serve <= MOST_START_MS, f"{what}; reached {serve:.0f} ms ({least:.0f}-{most:.0f})")
    imported = median_ms["import"] - median_ms["nothing"]
    what = f"`import numberkeep`, beyond an interpreter that does nothing: {MOST_IMPORT_MS} ms or less"
    yield verdict(imported <= MOST_IMPORT_MS, f"{what}; reached {imported:.1f} ms")
    service = median_ms["import the service"] - median_ms["nothing"]
    yield f"`import numberkeep.app`, the whole service, likewise: {service:.0f} ms"
    yield f"an interpreter that does nothing: {median_ms['nothing']:.0f} ms"


def main() -> None:
    run(partial(measure, options_of("start", __doc__, rounds=15).parse_args()))


if __name__ == "__main__":
    main()
