"""Rate limits: a token bucket for each account and operation."""

from collections.abc import Callable

from ..domain.errors import Throttled

MOST_BUCKETS = 100_000
"""At this many buckets, the full ones are dropped: a full bucket is as good as none."""


class Throttle:
    """Lets each account call each operation `rate` times a second, and up to `burst` times at once."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        """`clock` returns seconds; it may stand still, but never runs backwards."""
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: dict[tuple[str, str], list[float]] = {}

    def take(self, account_id: str, operation: str) -> None:
        """Take a token. Raises Throttled if there is none."""
        now = self._clock()
        bucket = self._buckets.get((account_id, operation))
        if bucket is None:
            if len(self._buckets) >= MOST_BUCKETS:
                self._drop_full(now)
            self._buckets[account_id, operation] = [self._burst - 1, now]
            return
        tokens = min(self._burst, bucket[0] + (now - bucket[1]) * self._rate)
        bucket[1] = now
        if tokens < 1:
            bucket[0] = tokens
            raise Throttled("Rate exceeded")
        bucket[0] = tokens - 1

    def give_back(self, account_id: str, operation: str) -> None:
        """Return the token that was taken last."""
        if bucket := self._buckets.get((account_id, operation)):
            bucket[0] += 1

    def _drop_full(self, now: float) -> None:
        self._buckets = {
            name: bucket
            for name, bucket in self._buckets.items()
            if bucket[0] + (now - bucket[1]) * self._rate < self._burst
        }
