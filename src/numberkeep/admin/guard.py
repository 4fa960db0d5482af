"""Guards every request to the admin port: in dev by its Host header, always by a time limit and by headers that
restrict what a browser does with a page."""

import asyncio
import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_SECONDS = 30
"""How long a body may take to arrive; after that its sender counts as gone."""
_LOOPBACK = re.compile(rb"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.I)

PAGE_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Wraps an ASGI application."""

    def __init__(self, app: ASGIApp, *, loopback_only: bool) -> None:
        """With `loopback_only`, the Host of a request must be this machine. This keeps out web pages whose own name
        resolves to this machine, to which a browser would show every answer."""
        self._app = app
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI specifies."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._loopback_only and not _names_loopback(scope["headers"]):
            await _refuse(send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message.get("headers", ()))
                headers += PAGE_HEADERS
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
            await send(message)

        more, deadline = True, asyncio.get_running_loop().time() + BODY_SECONDS

        async def receive_in_time() -> Message:
            nonlocal more
            if not more:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                message = {"type": "http.disconnect"}
            more = bool(message.get("more_body"))
            return message

        await self._app(scope, receive_in_time, send_guarded)


def _names_loopback(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    hosts = [value for name, value in headers if name.lower() == b"host"]
    return len(hosts) == 1 and _LOOPBACK.fullmatch(hosts[0]) is not None


async def _refuse(send: Send) -> None:
    body = b'{"message":"The Host of a request must be localhost, 127.0.0.1 or [::1]."}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
