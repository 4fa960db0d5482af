"""A connection to the admin port: what somebody sends who has not signed in is bounded, and has its time."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 15
"""From the last request, or the opening of the connection, to the end of the next head."""
MOST_CONNECTIONS = 512
"""Open at once; requests on more are answered 503."""


class Connection(H11Protocol):
    """One of uvicorn's that is closed when no request comes of it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._began_to_wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._waiting.cancel()
            self._began_to_wait()

    def _began_to_wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._began_to_wait()  # for an answer of ours
        else:
            self.transport.close()
