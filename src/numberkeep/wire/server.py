"""The server, which listens and enforces the limits of connections."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.utils import formatdate
from typing import NamedTuple, Protocol

from ..aws.message import Request, Response
from ..proxies import Network, Proxies
from . import BACKLOG
from .connection import Connection
from .tls import Tls


class Api(Protocol):
    """What answers requests."""

    def handle(self, request: Request, reply: Callable[[Response], None]) -> None:
        """Handle `request`; call `reply` once with its response, or DROPPED, now or later, on the loop's thread."""

    def refuse(self, error: Exception) -> Response:
        """Return the response for `error`; never raises."""


class Limits(NamedTuple):
    """Limits on what peers may take up.

    Timeouts are enforced by a sweep, which runs every second or, if the shortest is under four seconds, four times
    within that: they expire late by up to one such interval (idle_seconds by up to two), never early.
    """

    connections: int = 1024
    """Open connections; further ones are answered 503, and closed unanswered beyond twice as many."""
    pipelined: int = 16
    """Requests of one connection that are handed over and not yet answered; with so many, reading pauses."""
    head_bytes: int = 16 * 1024
    """Size of the request line and the header lines with their line ends; beyond it 431. The same limit is for bytes
    between two pieces of data in a chunked body, and for its trailers; beyond it, or at the latest twice it, 400."""
    headers: int = 100
    """Header lines of a request; beyond it 431."""
    body_bytes: int = 1024 * 1024
    """Size of a decoded body; beyond it 413, before it is read if its length is announced."""
    handshake_seconds: float = 10
    """From the opening of a connection to the end of its TLS handshake; beyond it the connection is aborted."""
    head_seconds: float = 10
    """From the first byte of a request to the end of its head; beyond it 408."""
    body_seconds: float = 30
    """From the end of the head to the end of the body; beyond it 408."""
    idle_seconds: float = 75
    """Idle, without a byte of a request and with none to answer; beyond it the connection is closed."""
    write_seconds: float = 30
    """How long a peer may leave responses unread while the socket is full; beyond it the connection is aborted."""
    linger_seconds: float = 2
    """How long data from a refused peer is received, and discarded, so that it comes to read the response."""
    linger_bytes: int = 8 * 1024 * 1024
    """How much data from a refused peer is received."""
    drain_seconds: float = 10
    """How long `Server.stop` waits for requests that have begun to arrive."""


class Server:
    """Listens, and enforces the limits of connections.

    Not bound to an event loop until `start`; works on asyncio's and on uvloop's.
    """

    port: int
    """The TCP port it listens on, once started."""

    tls: ssl.SSLContext | None
    """Read for every new connection: to change or replace it affects later connections only."""

    def __init__(
        self,
        api: Api,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        tls: ssl.SSLContext | None = None,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        """Speak only HTTPS if there is `tls`; believe peers in `trusted_proxies` about the senders of requests."""
        self.api = api
        self.limits = limits
        self.tls = tls
        self.proxies = Proxies(trusted_proxies)
        self.connections: set[Connection] = set()
        self._drain_seconds = limits.drain_seconds
        self._unsent: list[Connection] = []
        self.draining = False

    async def start(self, listener: socket.socket) -> None:
        """Accept connections on `listener`."""
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        limits = self.limits
        shortest = min(limits.head_seconds, limits.body_seconds, limits.idle_seconds, limits.write_seconds)
        self._sweep_seconds = min(1.0, min(shortest, limits.handshake_seconds) / 4, limits.linger_seconds / 4)
        self._deserted = asyncio.Event()
        self._sweep()
        try:
            self._listener = await self._loop.create_server(self._protocol, sock=listener, backlog=BACKLOG)
        except BaseException:
            self._sweeper.cancel()
            raise
        self.port = listener.getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, answer requests that have begun to arrive, and close.

        Requests that arrive meanwhile are answered too, with ``Connection: close``. So an idle connection has a moment
        for another request, whose sender could not know; then it is closed. After `Limits.drain_seconds` the others
        are aborted, answered or not.
        """
        self.draining = True
        self._listener.close()
        for connection in tuple(self.connections):
            connection.leaving = True
            connection.advance()
        if self.connections:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._drain_seconds):
                    await self._deserted.wait()
        self.cut()
        if self.connections:
            await self._deserted.wait()
        self._sweeper.cancel()

    def cut(self) -> None:
        """Abort all connections, answered or not: `stop` waits for none from now on."""
        self._drain_seconds = 0.0
        for connection in tuple(self.connections):
            connection.abort()

    def _protocol(self) -> asyncio.Protocol:
        connection = Connection(self)
        return connection if self.tls is None else Tls(connection, self.tls)

    def send_later(self, connection: Connection) -> None:
        """Have the responses of all connections written one after the other when all that has arrived is parsed.

        Writing each at once would wake its reader at once, and the two processes would alternate for every request.
        """
        if not self._unsent:
            self._loop.call_soon(self._send_all)
        self._unsent.append(connection)

    def _send_all(self) -> None:
        unsent, self._unsent = self._unsent, []
        for connection in unsent:
            connection.flush()

    def forget(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if self.draining and not self.connections:
            self._deserted.set()

    def _sweep(self) -> None:
        """Expire what has taken too long, and set the Date of responses.

        There is one timer for all connections: a timer for each request would cost more than reading it.
        """
        self._sweeper = self._loop.call_later(self._sweep_seconds, self._sweep)
        date = b"Date: " + formatdate(usegmt=True).encode()
        self.tail = date + b"\r\nConnection: keep-alive\r\n\r\n"
        self.last_tail = date + b"\r\nConnection: close\r\n\r\n"
        now = self.now()
        # Needed for every response, so computed here; in use until the next sweep, hence the extra interval.
        self.idle_deadline = now + self.limits.idle_seconds + self._sweep_seconds
        for connection in tuple(self.connections):
            if now >= connection.deadline:
                connection.expire()
