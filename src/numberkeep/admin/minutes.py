"""The last hours, minute by minute: how many requests were served, refused or failed, and how long they took."""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise

from msgspec import Struct

from ..domain.moment import Timestamp, moment
from ..metrics import REQUEST_SECONDS, Counted

MINUTE_SECONDS = 60
KEPT_MINUTES = 180


class Sample(Struct, frozen=True):
    """The totals at one moment."""

    real_seconds: float
    served: int = 0
    refused: int = 0
    failed: int = 0
    durations: tuple[int, ...] = (0,) * (len(REQUEST_SECONDS) + 1)


class Minute(Struct, frozen=True):
    """The requests between two samples, about a minute apart."""

    begins_at: Timestamp
    served: int
    """Requests answered with a status below 400."""
    refused: int
    """Requests answered 400 to 499."""
    failed: int
    """Requests answered 500 or above."""
    durations: Sequence[int]
    """How many requests took how long, by the bounds `REQUEST_SECONDS`; the last count is of those that took longer."""

    def seconds_of(self, share: float) -> float | None:
        """How long that share of the requests took at most (0.99 is the 99th percentile), interpolated between two
        bounds; never more than the last bound. None if there were no requests."""
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
    """Keeps the totals of each minute; `note` must be called once a minute."""

    def __init__(self, counted: Callable[[], Counted], real_seconds: Callable[[], float]) -> None:
        """`counted` gives the counts of all processes of this service."""
        self._counted = counted
        self._real_seconds = real_seconds
        self._samples = deque([self._sample()], maxlen=KEPT_MINUTES)

    def note(self) -> None:
        """End the present minute."""
        self._samples.append(self._sample())

    def latest(self) -> list[Minute]:
        """The minutes that are kept, and the present one."""
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
