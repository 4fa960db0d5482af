"""How long it takes from the start of `numberkeep serve` to its first answer, and of `import numberkeep`."""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import run

START_SECONDS = 0.3
IMPORT_SECONDS = 0.05


def first_answer_seconds(store: run.Store, directory: Path) -> float:
    """From the spawning of the process to the answer to a signed request."""
    port = run.free_port()
    options = ["--port", str(port), "--admin-port", str(run.free_port()), "--trail", "none"]
    command = [f"{run.COMMANDS}/numberkeep", "serve", "--database", f"sqlite:///{store.database}", *options]
    request = run.Signer(port, "chime", *store.key)("GET", run.path_of(run.NUMBERS[0]))
    with ExitStack() as stack:
        began = time.perf_counter()
        run.start([*run.on_core(0), *command], port, directory / "start.log", stack, 0.002)
        run.ask(port, request)
        return time.perf_counter() - began


def import_seconds(module: str) -> float:
    """What the interpreter says that it takes, everything that comes with it included."""
    code = f"import time; began = time.perf_counter(); import {module}; print(time.perf_counter() - began)"
    return float(subprocess.check_output([sys.executable, "-c", code]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    build = run.ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=build) as name:
        directory = Path(name)
        print(run.machine(directory))
        store = run.prepare(directory)
        for what, goal, seconds in (
            ("serve answers", START_SECONDS, [first_answer_seconds(store, directory) for _ in range(options.rounds)]),
            ("import numberkeep", IMPORT_SECONDS, [import_seconds("numberkeep") for _ in range(options.rounds)]),
        ):
            verdict = "met" if median(seconds) <= goal else "NOT MET"
            spread = f"{min(seconds) * 1000:.0f}-{max(seconds) * 1000:.0f}"
            print(f"{verdict}: {what} after {median(seconds) * 1000:.0f} ms ({spread}); goal {goal * 1000:.0f} ms")


if __name__ == "__main__":
    main()
