"""The last hours minute by minute: how many requests came, how many were refused or failed, and how long they took."""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise

from msgspec import Struct

from ..domain.moment import Timestamp, moment
from ..metrics import REQUEST_SECONDS, Counted

MINUTE_SECONDS = 60
KEPT_MINUTES = 180


class Sample(Struct, frozen=True):
    """What had been counted at a moment."""

    real_seconds: float
    served: int = 0
    refused: int = 0
    failed: int = 0
    durations: tuple[int, ...] = (0,) * (len(REQUEST_SECONDS) + 1)


class Minute(Struct, frozen=True):
    """What came from one moment to another."""

    begins_at: Timestamp
    served: int
    """Answered as it was asked for: status 200 to 399."""
    refused: int
    """400 to 499."""
    failed: int
    """500 to 599."""
    durations: Sequence[int]
    """How many took how long: by the bounds `REQUEST_SECONDS`, and those that took longer."""

    def seconds_of(self, share: float) -> float | None:
        """How long that share of the requests took at most (0.99 is the 99th percentile), as far as the bounds tell:
        between two of them, evenly spread. None if there was none."""
        rest = share * sum(self.durations)
        if not rest:
            return None
        lower = 0.0
        for upper, count in zip(REQUEST_SECONDS, self.durations, strict=False):
            if rest <= count:
                return lower + (upper - lower) * rest / count
            rest, lower = rest - count, upper
        return REQUEST_SECONDS[-1]


class Minutes:
    """Remembers what was counted every minute, when `note` is called."""

    def __init__(self, counted: Callable[[], Counted], real_seconds: Callable[[], float]) -> None:
        """`counted` gives what all processes of this service have counted."""
        self._counted = counted
        self._real_seconds = real_seconds
        self._samples = deque([self._sample()], maxlen=KEPT_MINUTES)

    def note(self) -> None:
        """A minute is over."""
        self._samples.append(self._sample())

    def latest(self) -> list[Minute]:
        """The minutes that are remembered, and the one that is running."""
        return [_between(before, after) for before, after in pairwise([*self._samples, self._sample()])]

    def _sample(self) -> Sample:
        counted = self._counted()
        served = refused = failed = 0
        for name, labels, value in counted.counters:
            if name == "requests":
                status = int(labels[1])
                served += int(value) * (status < 400)
                refused += int(value) * (400 <= status < 500)
                failed += int(value) * (status >= 500)
        durations = [counts for name, _, counts, _ in counted.histograms if name == "request_duration_seconds"]
        now = self._real_seconds()
        if not durations:
            return Sample(now, served, refused, failed)
        return Sample(now, served, refused, failed, tuple(map(sum, zip(*durations, strict=True))))


def _between(before: Sample, after: Sample) -> Minute:
    return Minute(
        begins_at=moment(before.real_seconds),
        served=after.served - before.served,
        refused=after.refused - before.refused,
        failed=after.failed - before.failed,
        durations=[later - earlier for earlier, later in zip(before.durations, after.durations, strict=True)],
    )
