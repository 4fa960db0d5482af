"""What all benchmarks share: a machine of their own, a disk, a load, taking turns, and printing results."""

import argparse
import fcntl
import json
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

from servers import CORES, ROOT, Failure, Server, on_core

REPLAY = Path(__file__).with_name("replay.lua")
BUILD = ROOT / "build"
T = TypeVar("T")


class Run(NamedTuple):
    """The result of one server in one round."""

    requests_per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


def options_of(name: str, doc: str | None, rounds: int, seconds: int | None = None) -> argparse.ArgumentParser:
    """The options that benchmarks share, with their default values."""
    parser = argparse.ArgumentParser(prog=f"scripts/bench {name}".rstrip(), description=doc)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"of each, in turns ({rounds})")
    if seconds:
        parser.add_argument("--seconds", type=int, default=seconds, help=f"of a round ({seconds})")
    return parser


def run(measure: Callable[[Path], Iterator[str]]) -> None:
    """Call `measure` with a directory on a disk, while no other benchmark runs on the machine, and print the lines it
    gives.

    If nothing was measured, or the result would mean nothing, the program ends with an error message.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that servers are stopped and files deleted
    try:
        with _place() as directory:
            print(machine(directory), end="\n\n", flush=True)
            for line in measure(directory):
                print(line, flush=True)
    except (Failure, subprocess.SubprocessError) as error:
        sys.exit(f"bench: {error}")


@contextmanager
def _place() -> Iterator[Path]:
    with ExitStack() as stack:
        lock = stack.enter_context(Path(__file__).open())
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure("Another benchmark is running; two would measure each other.") from None
        BUILD.mkdir(exist_ok=True)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD)))
        if _file_system(directory) in ("tmpfs", "ramfs"):
            raise Failure(f"{directory} is in memory; what is durable has to be measured on a disk.")
        if not on_core(0):
            note("NOT PINNED: server and load share the cores (taskset is missing, or there is one core only).")
        yield directory


def in_turns(measures: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Call each of `measures` once, then all again, and so on; returns the results by name."""
    results: dict[str, list[T]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            results[name].append(measure())
    return results


def load(server: Server, connections: int, seconds: int) -> Run:
    """Put a load on `server` for some seconds. Raises Failure if any answer is not a good one."""
    if not shutil.which("wrk"):
        raise Failure("wrk, which makes the load, is missing. On Debian: apt-get install wrk")
    requests = server.requests()
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(REPLAY)]
    before = _cpu_seconds(server.pid)
    output = subprocess.run(
        [*on_core(1), *wrk, f"http://127.0.0.1:{server.port}/"],
        input=b"\0".join(requests),
        stdout=subprocess.PIPE,
        timeout=seconds + 60,
        check=True,
    ).stdout
    cpu_seconds = _cpu_seconds(server.pid) - before
    counted = json.loads(output.splitlines()[-1])
    answered = counted["answered"]
    if counted["refused"] or counted["broken"] or not answered:
        raise Failure(
            f"{server.name}: of {counted['sent']} requests {answered} were answered, {counted['refused']} of them with"
            f" an error; {counted['broken']} connections broke."
        )
    _wait_until_idle(server.pid)  # wrk's last requests do not count, and must not disturb the next server
    server.check(answered, counted["sent"])
    return Run(answered / counted["seconds"], cpu_seconds / answered * 1e6, counted["p50_ms"], counted["p99_ms"])


def _wait_until_idle(pid: int) -> None:
    for _ in range(100):
        before = _cpu_seconds(pid)
        time.sleep(0.1)
        if _cpu_seconds(pid) - before < 0.02:
            return
    raise Failure(f"The process {pid} is still busy ten seconds after the last request.")


def _cpu_seconds(pid: int) -> float:
    """The processor time that all threads of the process have used so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def pin_to(index: int) -> None:
    """Bind this process, and those that it starts from now on, to one of the two cores."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, {CORES[index]})


def rate(runs: Sequence[Run]) -> float:
    """The median of the requests answered per second."""
    return median(run.requests_per_second for run in runs)


HEADINGS = f"{'req/s':>8} {'(min-max)':<16}{'CPU us':>8}{'p50 ms':>9}{'p99 ms':>9}"


def columns(runs: Sequence[Run]) -> str:
    """The medians of `runs`, under HEADINGS."""
    rates = [run.requests_per_second for run in runs]
    return (
        f"{median(rates):>8.0f} {f'({min(rates):.0f}-{max(rates):.0f})':<16}{median(run.cpu_us for run in runs):>8.1f}"
        f"{median(run.p50_ms for run in runs):>9.2f}{median(run.p99_ms for run in runs):>9.2f}"
    )


def verdict(is_met: bool, what: str) -> str:
    """The line about a goal."""
    return f"{'met' if is_met else 'NOT MET'}: {what}"


def note(text: str) -> None:
    """Print progress for whoever is watching."""
    print(text, file=sys.stderr, flush=True)


def machine(directory: Path) -> str:
    """What the machine and the software are that the figures were measured on."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    return (
        f"{os.cpu_count()} x {model.partition(': ')[2] or platform.machine()}, {_file_system(directory)},"
        f" Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, load {os.getloadavg()[0]:.2f}"
    )


def _file_system(directory: Path) -> str:
    return subprocess.check_output(["stat", "-f", "-c", "%T", directory], text=True).strip()
