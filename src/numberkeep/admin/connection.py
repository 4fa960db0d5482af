"""A connection to the admin port, with limits on the size and time of what a client sends before it has signed in."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 15
"""The time limit from the opening of the connection, or from the last answer, to the end of the next head; and for
leaving an answer unread."""
LAST_REQUEST_SECONDS = 0.5
"""How long an idle connection stays open when the port is closed: a client that sends a request could not know."""
MOST_CONNECTIONS = 512
"""Open connections; requests on more are answered 503, and beyond twice as many they are closed."""


class Connection(H11Protocol):
    """A connection of uvicorn's that is closed if no request arrives on it, or if its answers are not read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._unread = 0
        self._is_last = False
        self._begin_to_wait(HEAD_SECONDS)
        if len(self.connections) > 2 * MOST_CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._waiting.cancel()
        self._begin_to_wait(HEAD_SECONDS)
        if self._is_last:
            self.transport.close()
        super().on_response_complete()

    def shutdown(self) -> None:
        """Close after one more answer, or soon if no request comes."""
        self._is_last = True
        if self.cycle is None or self.cycle.response_complete:
            self._waiting.cancel()
            self._begin_to_wait(LAST_REQUEST_SECONDS)

    def _begin_to_wait(self, seconds: float) -> None:
        self._waiting = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        unread, self._unread = self._unread, self.transport.get_write_buffer_size()
        if self._unread and self._unread == unread:
            self.transport.abort()
        elif self._unread or (self.cycle is not None and not self.cycle.response_complete):
            self._begin_to_wait(HEAD_SECONDS)  # for the peer to read, or for us to answer
        else:
            self.transport.close()
