"""A carrier that exists in this process only: the service's clock is all that it waits for.

It provides any valid number of a supported country, save those that end in 0199, which it never does: so that a
test can order a number that fails. It sets any calling name after 72 hours, save ``REFUSED``, which it refuses then.
"""

from collections.abc import Iterator

from ..domain.moment import later
from . import Answer, Done, Pending, Refused, Request, simulated_pool

CALLING_NAME_HOURS = 72
REFUSED_ENDING = "0199"
REFUSED_CALLING_NAME = "REFUSED"


class SimulatedCarrier:
    """Provides a number `order_seconds` after it was ordered."""

    def __init__(self, order_seconds: float) -> None:
        self._order_seconds = order_seconds

    def search(self, *, after: str | None, **filters: str | None) -> Iterator[str]:
        """The numbers of the pool that it can provide."""
        pool = simulated_pool.search(after=after, **{name: value for name, value in filters.items() if value})
        return (e164 for e164 in pool if not e164.endswith(REFUSED_ENDING))

    async def order(self, request: Request) -> Answer:
        ready_at = later(request.requested_at, seconds=self._order_seconds)
        if request.now < ready_at:
            return Pending(ready_at)
        if request.e164_phone_number.endswith(REFUSED_ENDING) or not simulated_pool.sells(request.e164_phone_number):
            return Refused("the simulated carrier does not provide this number")
        return Done()

    async def set_calling_name(self, request: Request) -> Answer:
        ready_at = later(request.requested_at, hours=CALLING_NAME_HOURS)
        if request.now < ready_at:
            return Pending(ready_at)
        if request.calling_name.upper() == REFUSED_CALLING_NAME:
            return Refused("the simulated carrier refuses this calling name")
        return Done()

    async def release(self, request: Request) -> Answer:
        return Done()
