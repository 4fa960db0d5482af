"""A carrier that a person works for: every change waits until `numberkeep pending settle` says what came of it."""

from collections.abc import Iterator

from ..domain.moment import later
from . import Answer, Pending, Request

LOOK_AGAIN_HOURS = 1
"""How often a waiting change is looked at again, in case its number is another carrier's by now."""


class ManualCarrier:
    """Does nothing by itself: every change stays pending."""

    receiver = None

    def search(self, *, after: str | None, **filters: str | None) -> Iterator[str]:
        """Return nothing: no number is known to be for sale. One can be ordered all the same."""
        return iter(())

    async def order(self, request: Request) -> Answer:
        return _waiting(request)

    async def set_calling_name(self, request: Request) -> Answer:
        return _waiting(request)

    async def release(self, request: Request) -> Answer:
        return _waiting(request)


def _waiting(request: Request) -> Answer:
    return Pending(later(request.now, hours=LOOK_AGAIN_HOURS))
