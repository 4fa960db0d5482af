"""What processes count is added up, and outlives them."""

import os
import subprocess
import sys
import tempfile
from time import perf_counter

from numberkeep.metrics import SLOT_BYTES, Counted, Histogram, Metrics, Shared

COUNT = """
import sys
from numberkeep.metrics import Metrics, Shared
metrics = Metrics()
shared = Shared(int(sys.argv[1]), metrics)
metrics.carrier_called("order", "done")
metrics.groups("writes").observe(2)
shared.keep()
print("kept", flush=True)
sys.stdin.read()
"""


def counter(fd: int) -> "subprocess.Popen[str]":
    """A process that has counted one call, and waits to be ended."""
    process = subprocess.Popen([sys.executable, "-c", COUNT, str(fd)], pass_fds=[fd], stdin=-1, stdout=-1, text=True)
    assert process.stdout
    assert process.stdout.readline() == "kept\n"
    return process


def calls(counted: Counted) -> float:
    return sum(value for name, _, value in counted.counters if name == "carrier_calls")


def test_what_processes_have_counted_is_added_up_and_outlives_them() -> None:
    with tempfile.TemporaryFile() as file:
        metrics = Metrics()
        shared = Shared(file.fileno(), metrics)
        metrics.carrier_called("order", "done")
        for round in range(3):
            two = [counter(file.fileno()) for _ in range(2)]
            assert calls(shared.counted()) == 1 + 2 * (round + 1)
            for process in two:
                process.kill()
                process.communicate()
        found = shared.counted()
        assert calls(found) == 7
        assert [(counts[1], total) for _, _, counts, total in found.histograms] == [(6, 12)]
        assert os.fstat(file.fileno()).st_size < 4 * SLOT_BYTES, "no more slots than there were processes at once"


def test_a_bound_counts_what_is_as_large() -> None:
    histogram = Histogram((1, 2, 4))
    for value in (0.5, 1, 2, 3, 5):
        histogram.observe(value)
    assert histogram.counts == [2, 1, 1, 1]
    assert histogram.sum == 11.5


def test_an_operation_is_served_with_its_own_status_though_it_was_refused_first() -> None:
    metrics = Metrics()
    metrics.refused("CreateSipRule", 404, "NotFoundException", perf_counter())
    metrics.answered("CreateSipRule", 201, perf_counter())
    counters = {labels: value for name, labels, value in metrics.counted().counters if name == "requests"}
    assert counters == {("CreateSipRule", "201", ""): 1, ("CreateSipRule", "404", "NotFoundException"): 1}
