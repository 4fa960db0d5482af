"""Counts what happens while the service runs, in plain numbers; `admin.prometheus` formats them for Prometheus.

Every request is counted. Here this costs a fraction of a microsecond, without the locks of Prometheus's client library.
"""

import fcntl
import os
import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple

import msgspec
from msgspec import Struct

REQUEST_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
NO_OPERATION = "none"
"""The label for requests that call no operation."""
KEEP_SECONDS = 1
"""The greatest age of what the other processes have counted."""

Labels = tuple[str, ...]


class Family(NamedTuple):
    """One metric; its name is prefixed with `numberkeep_`."""

    labels: Labels
    help: str
    bounds: Sequence[float] = ()
    """The upper bounds of the buckets, if it is a histogram."""


COUNTERS = {
    "requests": Family(("operation", "status", "error"), "Requests to the AWS port that were answered."),
    "carrier_calls": Family(("kind", "outcome"), "Questions to carriers, by what they were answered."),
    "deliveries": Family(("outcome",), "Attempts to deliver a message to a subscriber."),
    "store_lost": Family(("place",), "How often the store could not be used any more."),
    "store_found": Family(("place",), "How often it could be used again."),
}
HISTOGRAMS = {
    "request_duration_seconds": Family(
        ("operation",), "From a complete request to its answer, in seconds.", REQUEST_SECONDS
    ),
    "commit_group_size": Family(("line",), "Transactions that shared one commit.", GROUP_SIZES),
}
GAUGES = {
    "store_up": Family((), "1 if the store could be read when it was last asked, else 0."),
    "numbers": Family(("status",), "Phone numbers in the store, of all accounts."),
    "pending": Family(("kind",), "Changes that carriers have still to settle, due or not."),
    "due": Family(("kind",), "What is due and was not taken up yet."),
    "oldest_due_seconds": Family(("kind",), "For how long the oldest of that has been due; 0 if nothing is."),
    "build_info": Family(("version", "python"), "Always 1; which program this is."),
}


class Histogram:
    """Counts how many values fall into each bucket."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """One count for each upper bound, and a last one for larger values."""
        self.sum: float = 0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add(self, counts: Iterable[int], sum: float) -> None:
        """Add the counts of another histogram."""
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, counts, strict=True)]
        self.sum += sum


class _Requests(Histogram):
    """How long the requests for one operation took, and how many of them were served."""

    __slots__ = ("served", "status")

    def __init__(self) -> None:
        super().__init__(REQUEST_SECONDS)
        self.served = 0
        self.status = 0
        """The HTTP status of those that were served."""


class Counted(Struct):
    """All that was counted up to some moment; each item has the name of its metric and its label values."""

    counters: list[tuple[str, Labels, float]] = []
    histograms: list[tuple[str, Labels, list[int], float]] = []

    @classmethod
    def sum(cls, parts: "Iterable[Counted]") -> "Counted":
        """Add up what several processes have counted."""
        counters: Counter[tuple[str, Labels]] = Counter()
        histograms: dict[tuple[str, Labels], Histogram] = {}
        for part in parts:
            for name, labels, value in part.counters:
                counters[name, labels] += value  # type: ignore[assignment]
            for name, labels, counts, total in part.histograms:
                bounds = HISTOGRAMS[name].bounds
                histograms.setdefault((name, labels), Histogram(bounds)).add(counts, total)
        return cls(
            [(*key, value) for key, value in counters.items()],
            [(*key, histogram.counts, histogram.sum) for key, histogram in histograms.items()],
        )


class Metrics:
    """Counts for this process. All methods but `lost` and `found` must be called on the event loop."""

    def __init__(self) -> None:
        self._requests: dict[str, _Requests] = {}
        self._refused: Counter[Labels] = Counter()
        self._others: dict[str, Counter[Labels]] = {
            "carrier_calls": Counter(),
            "deliveries": Counter(),
            "store_lost": Counter({("the store",): 0}),
            "store_found": Counter({("the store",): 0}),
        }
        self._groups: dict[Labels, Histogram] = {}

    def answered(self, operation: str, status: int, began: float) -> None:
        """Count a request that was served; `began` is when it came, by `perf_counter`."""
        seconds = perf_counter() - began
        requests = self._requests.get(operation)
        if requests is None:
            requests = self._requests[operation] = _Requests()
        requests.served += 1
        requests.status = status
        requests.counts[bisect_left(REQUEST_SECONDS, seconds)] += 1
        requests.sum += seconds

    def refused(self, operation: str, status: int, error: str, began: float | None = None) -> None:
        """Count a request that was refused; `began` is None if it was not even a complete request."""
        self._refused[operation, str(status), error] += 1
        if began is not None:
            seconds = perf_counter() - began
            self._requests.setdefault(operation, _Requests()).observe(seconds)

    def carrier_called(self, kind: str, outcome: str) -> None:
        """Count a call to a carrier by its outcome: done, refused, pending, or failed."""
        self._others["carrier_calls"][kind, outcome] += 1

    def delivered(self, outcome: str) -> None:
        """Count an attempt to deliver a message by its outcome: delivered, failed, given_up."""
        self._others["deliveries"][outcome,] += 1

    def lost(self, place: str) -> None:
        """Count that the store, or the standby, became unusable."""
        self._others["store_lost"][place,] += 1

    def found(self, place: str) -> None:
        """Count that it became usable again."""
        self._others["store_found"][place,] += 1

    def groups(self, line: str) -> Histogram:
        """The histogram of the group sizes of one line of transactions."""
        return self._groups.setdefault((line,), Histogram(GROUP_SIZES))

    def counted(self) -> Counted:
        """All that was counted so far."""
        served: dict[Labels, int] = {
            (name, str(one.status), ""): one.served for name, one in self._requests.items() if one.served
        }
        counters: dict[str, Mapping[Labels, int]] = {"requests": {**served, **self._refused}, **self._others}
        histograms: dict[str, Mapping[Labels, Histogram]] = {
            "request_duration_seconds": {(name,): one for name, one in self._requests.items()},
            "commit_group_size": self._groups,
        }
        return Counted(
            [(name, labels, value) for name, values in counters.items() for labels, value in values.items()],
            [
                (name, labels, one.counts.copy(), one.sum)
                for name, ones in histograms.items()
                for labels, one in ones.items()
            ],
        )


SLOT_BYTES = 4 * 1024 * 1024
"""How much one process can store. The file is sparse: it takes only the space that is written."""
_SLOTS = 1 << 20
"""Where the data begins. Of the bytes before it, byte N is locked by the process that owns slot N."""
_LENGTH = struct.Struct("<I")


class Shared:
    """The counts of all processes of `serve --workers`, in a file that has no name.

    Each process has a slot in the file. When it ends, its slot goes to the next process that starts, which continues
    its counts: so no count ever falls, and there are never more slots than there were processes at once.
    """

    def __init__(self, fd: int, metrics: Metrics) -> None:
        self._fd = fd
        self._metrics = metrics
        self._slot = next(slot for slot in range(_SLOTS) if self._take(slot))
        self._before = self._read(self._slot)

    def _take(self, slot: int) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)  # until this process ends
        except OSError:
            return False
        return True

    def counted(self) -> Counted:
        """The counts of all processes: of this one up to now, of the others up to KEEP_SECONDS ago."""
        ours = self.keep()
        slots = -(-(os.fstat(self._fd).st_size - _SLOTS) // SLOT_BYTES)
        return Counted.sum([ours, *(self._read(slot) for slot in range(slots) if slot != self._slot)])

    def keep(self) -> Counted:
        """Write the counts of this process and its predecessors in the slot to the file. Returns them."""
        ours = Counted.sum([self._before, self._metrics.counted()])
        data = msgspec.json.encode(ours)
        with self._locked(fcntl.LOCK_EX, self._slot) as at:
            os.pwrite(self._fd, _LENGTH.pack(len(data)) + data, at)
        return ours

    def _read(self, slot: int) -> Counted:
        with self._locked(fcntl.LOCK_SH, slot) as at:
            length = os.pread(self._fd, _LENGTH.size, at)
            data = os.pread(self._fd, _LENGTH.unpack(length)[0], at + _LENGTH.size) if length else b""
        return msgspec.json.decode(data, type=Counted) if data else Counted()

    @contextmanager
    def _locked(self, how: int, slot: int) -> Iterator[int]:
        """Lock a slot, and give the offset at which it begins."""
        at = _SLOTS + slot * SLOT_BYTES
        fcntl.lockf(self._fd, how, SLOT_BYTES, at)
        try:
            yield at
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, SLOT_BYTES, at)
