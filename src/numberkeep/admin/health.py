"""/_numberkeep/health and /_numberkeep/ready: whether the process works, and whether it can serve requests now."""

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ..aws.api import BEHIND
from ..domain.caller import NOBODY
from ..domain.errors import Error
from ..storage import store
from ..storage.driver import Driver
from ..world import World

KEPT_SECONDS = 1
"""How long a result is kept before the store is tried again, however many clients ask."""
PATIENCE_SECONDS = 5
"""How long the store may take to answer."""


class Health:
    """The health of the process."""

    def __init__(self, storage: Driver, world: World, is_behind: Callable[[], bool] | None = None) -> None:
        """`is_behind` tells whether the trail is too far behind for requests to be served."""
        self.reason: str | None = None
        """Why the process is not ready, whatever the state of the store; None if there is no such reason."""
        self.working: asyncio.Task[None] | None = None
        """The task of the worker, which never ends by itself."""
        self._storage = storage
        self._world = world
        self._is_behind = is_behind
        self._trying = asyncio.Lock()
        self._known_until = 0.0
        self._known: str | None = None

    async def tell_health(self, request: Request) -> JSONResponse:
        """200 while the process works, whether or not the store is available; 503 if the worker has ended."""
        time = self._world.now()
        if self.working and self.working.done() and self.reason is None:
            return JSONResponse({"status": "broken", "time": time, "message": "The worker has ended."}, 503)
        return JSONResponse({"status": "ok", "time": time})

    async def tell_ready(self, request: Request) -> JSONResponse:
        """200 while requests are served; otherwise 503, with the reason."""
        why = await self._why_not()
        if why:
            return JSONResponse({"status": "not ready", "message": why}, 503)
        return JSONResponse({"status": "ready", "time": self._world.now()})

    async def _why_not(self) -> str | None:
        if self.reason:
            return self.reason
        if self._is_behind and self._is_behind():
            return BEHIND
        async with self._trying:
            if self._world.steady_seconds() >= self._known_until:
                self._known = await self._try_store()
                self._known_until = self._world.steady_seconds() + KEPT_SECONDS
        return self.reason or self._known

    async def _try_store(self) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if self._storage.is_lost:  # write something, to see whether that works again
                    await self._storage.transact(NOBODY, store.put, store.TRIED_AT, self._world.now())
                else:
                    await self._storage.transact_locking(NOBODY, None, store.lock)
        except Error as error:
            return str(error)
        except TimeoutError:
            return f"The store has not answered in {PATIENCE_SECONDS} s."
        return None


def routes(health: Health) -> list[Route]:
    """The routes."""
    return [Route("/_numberkeep/health", health.tell_health), Route("/_numberkeep/ready", health.tell_ready)]
