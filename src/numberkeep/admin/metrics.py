"""/metrics: the metrics for Prometheus."""

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..domain.caller import NOBODY
from ..domain.errors import Error
from ..metrics import Counted
from ..storage.driver import Driver
from ..storage.survey import Survey, survey

KEPT_SECONDS = 5
"""For how many seconds a count of the store's contents is used at least."""
KEPT_TIMES = 20
"""A count is used for this many times as long as it took, so that counting takes a twentieth of a core at most."""
PATIENCE_SECONDS = 5
"""How long a page waits for a count before it shows the previous one. Prometheus waits for ten seconds by default."""


class Surveys:
    """Counts the contents of the store, seldom and without delaying anything else."""

    def __init__(self, storage: Driver, steady_seconds: Callable[[], float]) -> None:
        self._storage = storage
        self._steady_seconds = steady_seconds
        self._latest: Survey | None = None
        self._good_until = 0.0
        self._counting: asyncio.Task[None] | None = None

    async def latest(self) -> Survey | None:
        """The latest count, a few moments old at most; None if the store could not be read."""
        if self._counting is None and self._steady_seconds() >= self._good_until:
            self._counting = asyncio.create_task(self._count())
        if self._counting:
            await asyncio.wait([self._counting], timeout=PATIENCE_SECONDS)
        return self._latest

    async def _count(self) -> None:
        began = self._steady_seconds()
        try:
            self._latest = await self._storage.survey(NOBODY, survey)
        except Error:
            self._latest = None
        finally:
            self._counting = None
        now = self._steady_seconds()
        self._good_until = now + max(KEPT_SECONDS, KEPT_TIMES * (now - began))


def routes(counted: Callable[[], Counted], surveys: Surveys) -> list[Route]:
    """The route; `counted` gives the counts of all processes."""

    async def tell(request: Request) -> Response:
        found = await surveys.latest()
        accept = request.headers.get("accept", "")
        body, content_type = await asyncio.to_thread(_page, counted(), found, accept)
        return Response(body, headers={"content-type": content_type})

    return [Route("/metrics", tell)]


def _page(counted: Counted, found: Survey | None, accept: str) -> tuple[bytes, str]:
    from .prometheus import page  # slow to import

    return page(counted, found, accept)
