"""`scripts/simulate`: histories from seeds, side by side; the last line is the trace's digest."""

import argparse
import hashlib
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from .simulation import Simulation

MEMORY = Path("/dev/shm")
STEPS = 60


def history(steps: int, seed: int) -> tuple[str, int, list[str], str | None]:
    """The digest of a history, how often the service crashed in it, its trace, and what broke it, if anything did."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        simulation = Simulation(seed, Path(directory, "store.sqlite3"))
        try:
            digest, broken = simulation.run(steps), None
        except Exception:
            digest, broken = "", traceback.format_exc()
        return digest, simulation.crashes, simulation.trace, broken


def histories(first: int, count: int, steps: int) -> Iterator[tuple[int, str, int, list[str]]]:
    """Seed, digest, crashes and trace of each. Raises AssertionError, which tells how to repeat what breaks a rule."""
    seeds = range(first, first + count)
    with ProcessPoolExecutor(min(count, os.cpu_count() or 1)) as pool:
        for seed, (digest, crashes, trace, broken) in zip(seeds, pool.map(partial(history, steps), seeds), strict=True):
            if broken:
                pool.shutdown(cancel_futures=True)
                raise AssertionError(f"{broken}\nAgain: scripts/simulate --seed {seed} --steps {steps}")
            yield seed, digest, crashes, trace


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many of them")
    parser.add_argument("--steps", type=int, default=STEPS, help="how many steps each history has")
    options = parser.parse_args()
    digests, crashes = [], 0
    try:
        for seed, digest, crashed, trace in histories(options.seed, options.seeds, options.steps):
            if options.seeds == 1:
                print(*trace, sep="\n")
            elif (seed - options.seed + 1) % 100 == 0:
                print(f"{seed - options.seed + 1} histories", file=sys.stderr)
            digests.append(digest)
            crashes += crashed
    except AssertionError as broken:
        print(broken, file=sys.stderr)
        return 1
    print(f"{len(digests)} histories of {options.steps} steps, {crashes} crashes", file=sys.stderr)
    print(digests[0] if options.seeds == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
