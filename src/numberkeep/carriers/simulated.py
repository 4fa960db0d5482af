"""A carrier that exists in this process only; it waits for nothing but the service's clock.

It provides any valid number of a supported country and sets any calling name, after the times of its scenario. Its
failures are predictable, so that a test can ask for them: by the ending of a number, by a calling name, or by the
scenario's shares, which hit the same changes whenever these have the same ids.
"""

from collections.abc import Iterator
from random import Random

from ..domain.moment import Timestamp, later
from . import Answer, Done, Pending, Refused, Request, simulated_pool

REFUSED_ENDING = "0199"
"""It refuses to provide a number with this ending."""
ENDLESS_ENDING = "0198"
"""It never finishes with a number with this ending: its order stays in Processing."""
REFUSED_NAME_ENDING = "0197"
"""It refuses any calling name for a number with this ending."""
KEPT_ENDING = "0196"
"""It refuses to take back a number with this ending."""
SILENT_ENDING = "0195"
"""It never answers when a number with this ending is ordered."""
REFUSED_CALLING_NAME = "REFUSED"
MAGIC_ENDINGS = (REFUSED_ENDING, ENDLESS_ENDING, REFUSED_NAME_ENDING, KEPT_ENDING, SILENT_ENDING)
ENDLESS_HOURS = 24


class SimulatedCarrier:
    """A carrier that behaves as its scenario says."""

    receiver = None

    def __init__(
        self,
        order_seconds: float = 4,
        *,
        calling_name_hours: float = 72,
        release_seconds: float = 0,
        refused: float = 0,
        failing: float = 0,
    ) -> None:
        """The first three are how long it takes to provide a number, to set a calling name, and to take a number back.
        `refused` is the share of changes that it refuses, `failing` the share of calls that it fails to answer: 0 to
        1."""
        self._order_seconds = order_seconds
        self._calling_name_hours = calling_name_hours
        self._release_seconds = release_seconds
        self._refused = refused
        self._failing = failing

    def search(self, *, after: str | None, **filters: str | None) -> Iterator[str]:
        """The numbers in the pool, without those whose ending makes it fail."""
        pool = simulated_pool.search(after=after, **{name: value for name, value in filters.items() if value})
        return (e164 for e164 in pool if not e164.endswith(MAGIC_ENDINGS))

    async def order(self, request: Request) -> Answer:
        e164 = request.e164_phone_number
        if e164.endswith(SILENT_ENDING):
            raise TimeoutError("the simulated carrier is never heard of again")
        if e164.endswith(ENDLESS_ENDING):
            return Pending(later(request.now, hours=ENDLESS_HOURS))
        refused = e164.endswith(REFUSED_ENDING) or not simulated_pool.sells(e164)
        return self._decide(request, later(request.requested_at, seconds=self._order_seconds), refused)

    async def set_calling_name(self, request: Request) -> Answer:
        refused = (
            request.e164_phone_number.endswith(REFUSED_NAME_ENDING)
            or request.calling_name.upper() == REFUSED_CALLING_NAME
        )
        return self._decide(request, later(request.requested_at, hours=self._calling_name_hours), refused)

    async def release(self, request: Request) -> Answer:
        refused = request.e164_phone_number.endswith(KEPT_ENDING)
        return self._decide(request, later(request.requested_at, seconds=self._release_seconds), refused)

    def _decide(self, request: Request, ready_at: Timestamp, refused: bool) -> Answer:
        if _hits(self._failing, f"{request.id} {request.attempts} fails"):
            raise ConnectionError("the simulated carrier is out of reach")
        if request.now < ready_at:
            return Pending(ready_at)
        if refused or _hits(self._refused, f"{request.id} is refused"):
            return Refused("the simulated carrier does not do that")
        return Done()


def _hits(share: float, what: str) -> bool:
    return share > 0 and Random(what).random() < share  # noqa: S311 - it is to be foreseen
