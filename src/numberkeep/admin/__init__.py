"""The admin port: health, metrics, the console, and in dev the controls, for people and test suites."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ..domain.errors import Error, NotFound, ServiceFailure, ServiceUnavailable
from . import callbacks, console, control
from .callbacks import Callbacks
from .connection import MOST_CONNECTIONS, MOST_HEAD_BYTES, Connection
from .console import Console
from .control import Controls
from .guard import Guard

STOP_SECONDS = 2
"""How long open requests have to finish when the port is closed."""
_STATUSES = {NotFound: 404, ServiceFailure: 500, ServiceUnavailable: 503}


def refused(request: Request, error: Exception) -> JSONResponse:
    """The answer to input that breaks a rule, or while the store is unavailable."""
    status = next((code for kind, code in _STATUSES.items() if isinstance(error, kind)), 400)
    return JSONResponse({"message": str(error)}, status)


def misused(request: Request, error: Exception) -> JSONResponse:
    """The answer to a method that a path does not have."""
    allowed = getattr(error, "headers", None)
    instead = f"; use {allowed['Allow']}" if allowed else ""
    return JSONResponse({"message": f"{request.url.path} does not take {request.method}{instead}."}, 405, allowed)


def gone(request: Request, error: Exception) -> Response:
    """The answer to a request whose body never arrived completely, in case the sender still listens."""
    return Response(status_code=408)


def application(
    controls: Controls, answers: Callbacks, pages: Console, *, dev: bool, more: Sequence[Route] = ()
) -> Starlette:
    """Build the admin port's application. The controls exist only in `dev`, where the Host must be this machine."""

    async def missing(request: Request, error: Exception) -> Response:
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return await console.no_page(pages, request)
        message = f"There is nothing at {request.url.path} on the admin port; the AWS API has a port of its own."
        return JSONResponse({"message": message}, 404)

    routes: list[BaseRoute] = [*callbacks.routes(answers), *more]
    routes += control.routes() if dev else []
    app = Starlette(
        routes=routes + console.routes(pages),
        exception_handlers={Error: refused, 404: missing, 405: misused, ClientDisconnect: gone},
        middleware=[Middleware(Guard, loopback_only=dev)],
    )
    app.state.controls = controls
    return app


class AdminServer(uvicorn.Server):
    """Serves the admin port on the running event loop, and leaves signals to the program around it."""

    def __init__(self, app: Starlette, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            h11_max_incomplete_event_size=MOST_HEAD_BYTES,
            limit_concurrency=MOST_CONNECTIONS,
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            proxy_headers=False,
        )
        super().__init__(config)
        self.config.timeout_graceful_shutdown = STOP_SECONDS
        self._listener = listener
        self._serving: asyncio.Task[None] | None = None
        self.port: int = listener.getsockname()[1]

    async def start(self) -> None:
        """Start, and return once requests are answered. Raises what kept the server from starting."""
        self._serving = asyncio.create_task(self.serve([self._listener]))
        while not self.started:
            if self._serving.done():
                await self._serving
                raise RuntimeError("the admin port has ended at its start")
            await asyncio.sleep(0.002)

    def leave(self) -> None:
        """Accept no more connections: other processes with the same socket go on accepting them."""
        for server in self.servers:
            server.close()

    async def stop(self) -> None:
        """Finish the open requests and close the port. Does nothing if the server was not started."""
        self.should_exit = True
        if self._serving:
            await self._serving

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
