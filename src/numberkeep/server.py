"""The AWS API's sockets.

HTTP/1.1 for one kind of peer, the AWS SDK: every request is answered, in order, and nothing is negotiated.
The bytes of a head are read here, because signatures are made over them and because every limit is set in
them; llhttp (through httptools) sees the same bytes and judges their syntax, and takes chunked bodies apart.
It is fed one request at a time and to the byte, so the two cannot come to disagree about where one ends.

What RFC 9112 leaves to a server is decided towards refusing, since what two programs read differently is how
requests are smuggled: a folded header line (5.2) is refused although SigV4 could sign one, as are a bare CR
or LF for a line end (2.2), more than one space in the request line (3), a Content-Length written twice (6.3),
and an empty Host. An ``Upgrade`` is ignored (RFC 9110 7.8). After a refusal the connection is closed.

TLS stands between a connection and its socket, and changes nothing of this.
"""

import asyncio
import logging
import re
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from math import inf
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpRequestParser
from msgspec.structs import replace

from .aws.errors import Refusal
from .aws.message import DROPPED, Request, Response
from .proxies import Network, Proxies, normalised

logger = logging.getLogger(__name__)


class Api(Protocol):
    """Who answers."""

    def handle(self, request: Request, reply: Callable[[Response], None]) -> None:
        """Take up `request`; call `reply` with its answer, or DROPPED, once, now or later, on the loop's thread."""

    def refuse(self, error: Exception) -> Response:
        """The answer that tells `error`; never raises."""


class Limits(NamedTuple):
    """How much of anything one peer may take.

    Times are kept by a sweep, which runs every second or, if the shortest of them is under four seconds, four
    times within that: they pass late by up to so much (idle_seconds by up to twice), never early.
    """

    connections: int = 1024
    """Open at once; more are answered 503, and closed unanswered beyond twice as many."""
    pipelined: int = 16
    """Requests of one connection that are handed over and not yet answered; reading pauses there."""
    head_bytes: int = 16 * 1024
    """Of the request line and the header lines with their line ends; beyond it 431. As much may stand between
    two pieces of data in a chunked body, or in its trailers; beyond it, or at the latest twice it, 400."""
    headers: int = 100
    """Header lines of a request; beyond it 431."""
    body_bytes: int = 1024 * 1024
    """Of a decoded body; beyond it 413, before it is read if its length is announced."""
    handshake_seconds: float = 10
    """From the opening of a connection to the end of its TLS handshake; then it is cut off."""
    head_seconds: float = 10
    """From the first byte of a request to the end of its head; beyond it 408."""
    body_seconds: float = 30
    """From the end of the head to the end of the body; beyond it 408."""
    idle_seconds: float = 75
    """Without a byte of a request, and with none to answer; beyond it the connection is closed."""
    write_seconds: float = 30
    """For which a peer may leave its answers unread while the socket is full; then it is cut off."""
    linger_seconds: float = 2
    """For which a refused peer may go on sending, unheard, so that it comes to read the answer."""
    linger_bytes: int = 8 * 1024 * 1024
    """Which a refused peer may go on sending."""
    drain_seconds: float = 10
    """For which `Server.stop` waits for requests that have begun to arrive."""


class Server:
    """Listens, and holds every connection to its limits.

    Not bound to a loop until `start`; works on asyncio's and on uvloop's.
    """

    port: int
    """The TCP port it listens on, once started."""

    tls: ssl.SSLContext | None
    """Read for every new connection: what is changed in it, or put in its place, is for those to come."""

    def __init__(
        self,
        api: Api,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        tls: ssl.SSLContext | None = None,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        """Speak HTTPS alone if there is `tls`; believe peers in `trusted_proxies` for whom they speak."""
        self._api = api
        self._limits = limits
        self.tls = tls
        self._proxies = Proxies(trusted_proxies)
        self._connections: set[_Connection] = set()
        self._unsent: list[_Connection] = []
        self._draining = False

    async def start(self, host: str, port: int, listener: socket.socket | None = None) -> None:
        """Listen at `host` and `port`, port 0 is any free one, or on `listener`. Raises OSError if that can't be."""
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        limits = self._limits
        shortest = min(limits.head_seconds, limits.body_seconds, limits.idle_seconds, limits.write_seconds)
        self._sweep_seconds = min(1.0, min(shortest, limits.handshake_seconds) / 4, limits.linger_seconds / 4)
        self._deserted = asyncio.Event()
        self._sweep()
        try:
            place: Any = {"sock": listener} if listener else {"host": host, "port": port}
            self._listener = await self._loop.create_server(self._protocol, **place, backlog=BACKLOG)
        except BaseException:
            self._sweeper.cancel()
            raise
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, answer what has begun to arrive, and close.

        What is asked meanwhile is answered too, with ``Connection: close``. So an idle connection has a moment for
        another request, whose sender could not know; then it is closed. After `Limits.drain_seconds` the others are
        cut, answered or not.
        """
        self._draining = True
        self._listener.close()
        for connection in tuple(self._connections):
            connection.leaving = True
            connection.advance()
        if self._connections:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.drain_seconds):
                    await self._deserted.wait()
        for connection in tuple(self._connections):
            connection.abort()
        if self._connections:
            await self._deserted.wait()
        self._sweeper.cancel()

    def _protocol(self) -> asyncio.Protocol:
        connection = _Connection(self)
        return connection if self.tls is None else _Tls(connection, self.tls)

    def _send_later(self, connection: "_Connection") -> None:
        """Have the answers of all connections written one after the other when all that has arrived is parsed.

        Writing each at once wakes its reader at once, and the two processes then take turns for every request.
        """
        if not self._unsent:
            self._loop.call_soon(self._send_all)
        self._unsent.append(connection)

    def _send_all(self) -> None:
        unsent, self._unsent = self._unsent, []
        for connection in unsent:
            connection.flush()

    def _forget(self, connection: "_Connection") -> None:
        self._connections.discard(connection)
        if self._draining and not self._connections:
            self._deserted.set()

    def _sweep(self) -> None:
        """End what has taken too long, and set the clock that answers carry.

        One timer for all connections: a timer for each request would cost more than reading it.
        """
        self._sweeper = self._loop.call_later(self._sweep_seconds, self._sweep)
        date = b"Date: " + formatdate(usegmt=True).encode()
        self._tail = date + b"\r\nConnection: keep-alive\r\n\r\n"
        self._last_tail = date + b"\r\nConnection: close\r\n\r\n"
        now = self._now()
        # Set for every answer, so made ready; the sweep that follows may be the first to see it.
        self._idle_deadline = now + self._limits.idle_seconds + self._sweep_seconds
        for connection in tuple(self._connections):
            if now >= connection.deadline:
                connection.expire()


class _Exchange:
    """One request's place in the order of answers."""

    __slots__ = ("_connection", "bodiless", "last", "response")

    def __init__(self, connection: "_Connection", bodiless: bool, last: bool) -> None:
        self._connection = connection
        self.bodiless = bodiless
        self.last = last
        self.response: Response | None = None

    def reply(self, response: Response) -> None:
        if self.response is None:
            self.response = response
            if not self._connection.advancing:
                self._connection.advance()


class _Message:
    """What llhttp makes of a request: its body without the chunks, and whether it is complete."""

    __slots__ = ("body", "complete", "on_body")

    def __init__(self) -> None:
        self.body = bytearray()
        self.on_body = self.body.extend
        self.complete = False

    def on_message_complete(self) -> None:
        self.complete = True


_CHUNKED = -1


class _Connection(asyncio.Protocol):
    """One peer.

    Whatever happens (bytes, an answer, room to write) ends in `advance`, which does all that can be done now.
    """

    __slots__ = (
        "_api",
        "_awaiting",
        "_choked",
        "_ending",
        "_eof",
        "_exchanges",
        "_held",
        "_host",
        "_input",
        "_last",
        "_left",
        "_limits",
        "_message",
        "_output",
        "_parser",
        "_peer",
        "_pipelined",
        "_proxies",
        "_refused",
        "_request",
        "_safe",
        "_secure",
        "_server",
        "_starved",
        "_stopped",
        "_transport",
        "_undecoded",
        "_unheard",
        "_will_continue",
        "advancing",
        "deadline",
        "leaving",
    )

    _transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._server = server
        self._api = server._api
        self._limits = server._limits
        self._pipelined = server._limits.pipelined
        self._peer = ""  # its address
        self._proxies: Proxies | None = None  # if it is one of them
        self._secure = server.tls is not None
        self._message = _Message()
        self._parser = HttpRequestParser(self._message)
        # Whether a connection lasts is decided here; llhttp also obeys Proxy-Connection, and would refuse
        # the next request after it.
        self._parser.set_dangerous_leniencies(lenient_keep_alive=True)
        self._exchanges: deque[_Exchange] = deque()
        self._safe = True  # the last request handed over changes nothing
        self._output = b""  # answers that are yet to be written
        self.advancing = False
        self.leaving = False  # it ends with the next answer after which nothing else has arrived

        self._input = b""  # arrived, and not yet parsed,
        self._starved = True  # for want of more rather than of room
        self._request: Request | None = None  # whose body is still arriving,
        self._last = False  # whether it is the last one,
        self._left = 0  # how many bytes of it are missing, or _CHUNKED,
        self._undecoded = 0  # since how many bytes its chunks have brought no data,
        self._will_continue = False  # and whether its sender waits for a 100
        self._host: str | None = None  # the last one found valid

        self.deadline = inf
        self._awaiting = ""  # what the deadline is for, if part of a request has arrived: its head or body
        self._held = False  # we do not read
        self._choked = False  # the peer does not read
        self._eof = False  # the peer sends no more
        self._stopped = False  # we parse no more
        self._refused = False
        self._unheard = 0  # bytes that came after we stopped
        self._ending = False  # all is answered, and we have closed, or half

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is not of that class
        server = self._server
        crowd = len(server._connections)
        if crowd >= 2 * self._limits.connections:
            self._transport.abort()
            return
        self.leaving = server._draining
        server._connections.add(self)
        peer = transport.get_extra_info("peername")
        if peer:  # else it is gone already
            self._peer = normalised(peer[0])
            self._proxies = server._proxies if server._proxies.trusts(self._peer) else None
        if crowd >= self._limits.connections:
            self._refuse(Refusal(503, "ServiceUnavailableException", "There are too many connections."))
        if self._secure:
            self._await(_HANDSHAKE, self._limits.handshake_seconds)
        else:
            self.advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self.advancing = True  # for good: replies that still come find nothing to do
        self._exchanges.clear()
        self._input = self._output = b""
        self._server._forget(self)

    def data_received(self, data: bytes) -> None:
        if self._stopped:
            self.ignore(len(data))
            return
        self._input = self._input + data if self._input else data
        self.advance()

    def eof_received(self) -> bool:
        self._eof = self.leaving = True
        self.advance()
        return not self._ending  # whether to keep our side open

    def pause_writing(self) -> None:
        if not self._ending:
            self._choked = True
            self.deadline = self._server._now() + self._limits.write_seconds
            self.advance()

    def resume_writing(self) -> None:
        if not self._ending:
            self._choked = False
            self._awaiting = ""
            self.advance()

    # What TLS calls

    def ignore(self, size: int) -> None:
        """As many bytes have come, and are not heard."""
        self._unheard += size
        if self._unheard > self._limits.linger_bytes:
            self._transport.abort()

    def lay_bare(self, transport: asyncio.Transport, data: bytes) -> None:
        """The peer has begun with `data`, HTTP without TLS: tell it so in its language, on the socket's `transport`."""
        self._transport = transport
        transport.set_protocol(self)
        if not self._stopped:
            self._refuse(_malformed("This port speaks HTTPS, not HTTP."), bodiless=data.startswith(b"HEAD "))
        self.data_received(data)
        self.advance()

    # What the server calls

    def expire(self) -> None:
        """The deadline has passed."""
        if self._ending and not self._choked and self._transport.get_write_buffer_size():
            self._choked = True  # the last answer has not left yet
            self.deadline += self._limits.write_seconds
        elif self._ending or self._choked or self._awaiting == _HANDSHAKE:
            self._transport.abort()
        elif self._stopped or self._held:
            return  # it is not the peer who is waited for
        elif self._awaiting and self._awaiting != _LAST_REQUEST:
            message = f"The {self._awaiting} of the request did not arrive in time."
            self._refuse(Refusal(408, "RequestTimeoutException", message))
            self.advance()
        elif not self._exchanges:
            self._end(linger=False)

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    # The way of a request

    def advance(self) -> None:
        """Parse what has arrived and send what has been answered, as far as there is room for both."""
        if self.advancing:
            return
        self.advancing = True
        while True:
            self._parse()
            if not self._send() or self._starved:
                break
        self.advancing = False
        self._settle()

    def _parse(self) -> None:
        """Hand over the requests in the input, until it or the room for them comes to an end."""
        self._starved = True
        data = self._input
        if not data:
            return
        at, size = 0, len(data)
        try:
            while at < size and not self._stopped:
                if self._choked or (self._exchanges and not self._may_overtake(data, at)):
                    self._starved = False
                    break
                taken = self._take_head(data, at) if self._request is None else self._take_body(data, at)
                if not taken:
                    break
                at += taken
        except (Refusal, HttpParserError) as error:
            self._refuse(_as_refusal(error), bodiless=data.startswith(b"HEAD ", at))
        if self._stopped:
            self._unheard += size - at
            at = size
        self._input = data[at:]

    def _may_overtake(self, data: bytes, at: int) -> bool:
        """Whether what comes next at `at` may be handed over while earlier requests are unanswered.

        Only requests that change nothing may run side by side (RFC 9112 9.3.2).
        """
        if len(self._exchanges) >= self._pipelined:
            return False
        return self._request is not None or (self._safe and data.startswith((b"GET ", b"HEAD "), at))

    def _take_head(self, data: bytes, at: int) -> int:
        """Parse the request that begins at `at`, and its body if all of it is there.

        How many bytes that took: none if the head is incomplete.
        """
        if not 32 < data[at] < 127:
            if data.startswith(b"\r\n", at):
                return 2  # an empty line before a request is ignored (RFC 9112 2.2)
            if data[at:] == b"\r":
                return 0
            raise _malformed("A request must begin with its method.")
        limits = self._limits
        end = data.find(b"\r\n\r\n", at) + 4
        if (end if end >= 4 else len(data)) - at > limits.head_bytes:
            raise _too_many_headers(f"The head of a request has at most {limits.head_bytes} bytes.")
        if end < 4:
            _check_line_ends(data[at:])
            return 0
        lines = data[at:end].decode("latin-1").split("\n")
        if len(lines) - 3 > limits.headers:
            raise _too_many_headers(f"A request has at most {limits.headers} headers.")

        method, target, modern = _request_line(lines[0])
        headers = _headers(lines)
        host = headers.get("host")
        if host is None:
            if modern:
                raise _malformed("An HTTP/1.1 request must have a Host header.")
        elif host != self._host:
            _check_host(host)
            self._host = host
        if target[:1] != "/":
            target = _target(method, target, headers)
        if "#" in target:
            raise _malformed("A request target must not have a fragment.")
        path, _, query = target.partition("?")
        source, secure = self._peer, self._secure
        if self._proxies:
            source, secure = self._proxies.sender(headers, source, secure)
        connection = headers.get("connection")
        last = not modern if connection is None else _closes(connection, modern)
        left = _body_length(headers, modern, limits.body_bytes)

        stop = end + left
        complete = left != _CHUNKED and stop <= len(data)
        if not complete:
            stop = end
        piece = data[at:stop]
        if "upgrade" in headers:
            # Else llhttp would leave HTTP at the end of this request.
            piece = _UPGRADE.sub(b"\r\nIgnored:", piece[: end - at]) + piece[end - at :]
        if "expect" in headers and modern:
            if headers["expect"].lower() != "100-continue":
                raise Refusal(417, "ExpectationFailedException", "Only 100-continue can be expected.")
            self._will_continue = not complete
        self._parser.feed_data(piece)
        if complete:
            self._hand_over(Request(method, path, query, headers, self._body(), source, secure), last)
        else:
            self._request = Request(method, path, query, headers, b"", source, secure)
            self._last = last
            self._left = left
            self._undecoded = 0
        return stop - at

    def _take_body(self, data: bytes, at: int) -> int:
        """Go on with a body at `at`, at most to its end; how many bytes that took."""
        assert self._request is not None
        self._will_continue = False  # the peer has not waited
        if self._left == _CHUNKED:
            taken = self._take_chunks(data, at)
        else:
            taken = min(self._left, len(data) - at)
            self._parser.feed_data(data[at : at + taken])
            self._left -= taken
        if self._message.complete or not self._left:
            request = replace(self._request, body=self._body())
            self._request = None
            self._hand_over(request, self._last)
        return taken

    def _take_chunks(self, data: bytes, at: int) -> int:
        """Let llhttp decode up to the next empty line, which is where a chunked body can end (RFC 9112 7.1).

        So it never sees the beginning of the next request, and three bytes, which may be the beginning of
        such a line, stay behind.
        """
        limits = self._limits
        found = data.find(b"\r\n\r\n", at)
        stop = found + 4 if found >= 0 else len(data) - 3
        if stop > at + limits.head_bytes:
            stop = min(at + limits.head_bytes, found if found >= 0 else stop)
        if stop <= at:
            return 0
        body = self._message.body
        size = len(body)
        self._parser.feed_data(data[at:stop])
        if len(body) > limits.body_bytes:
            raise _too_large(limits.body_bytes)
        self._undecoded = 0 if len(body) > size else self._undecoded + stop - at
        if self._undecoded > limits.head_bytes:
            raise _malformed(f"Chunk extensions and trailers have at most {limits.head_bytes} bytes.")
        return stop - at

    def _body(self) -> bytes:
        """The body of the request that has been fed to llhttp to its end."""
        message = self._message
        if not message.complete:
            raise _malformed("The length of the request is not clear.")
        message.complete = False
        if not message.body:
            return b""
        body = bytes(message.body)
        message.body.clear()
        return body

    def _hand_over(self, request: Request, last: bool) -> None:
        self._stopped = last
        self._awaiting = ""
        method = request.method
        self._safe = method in ("GET", "HEAD")
        exchange = _Exchange(self, method == "HEAD", last)
        self._exchanges.append(exchange)
        try:
            self._api.handle(request, exchange.reply)
        except Exception as error:
            logger.exception("%s %s failed", method, request.path)
            exchange.reply(self._api.refuse(error))

    def _refuse(self, refusal: Refusal, bodiless: bool = False) -> None:
        """Answer `refusal` after all that came before, and parse no more."""
        self._stopped = self._refused = True
        self._request = None
        exchange = _Exchange(self, bodiless, last=True)
        exchange.response = self._api.refuse(refusal)
        self._exchanges.append(exchange)

    # The way of an answer

    def _send(self) -> bool:
        """Write the answers whose turn it is, in one piece; whether there were any."""
        exchanges = self._exchanges
        output = b""
        while exchanges and (response := exchanges[0].response) is not None:
            if response is DROPPED:
                self._stopped = True
                self._unheard += len(self._input)
                self._input = b""
                exchanges.clear()
                break
            exchange = exchanges.popleft()
            if exchange.last or (self.leaving and not exchanges and self._is_done()):
                self._stopped = True
                tail = self._server._last_tail
            else:
                tail = self._server._tail
            status, body = response.status, response.body
            if status == 204:
                output += _STATUS_LINES[status] + response.head + tail
            else:
                output += b"%b%bContent-Length: %d\r\n%b%b" % (
                    _STATUS_LINES[status],
                    response.head,
                    len(body),
                    tail,
                    b"" if exchange.bodiless else body,
                )
        if not output:
            return False
        if not self._output:
            self._server._send_later(self)
        self._output += output
        if len(self._output) > _OUTPUT_BYTES:
            self.flush()  # and hear whether the peer reads
        return True

    def flush(self) -> None:
        """Write what is to be written."""
        output, self._output = self._output, b""
        if output:
            self._transport.write(output)

    def _is_done(self) -> bool:
        """Whether nothing that has arrived on a connection that is leaving can still become a request."""
        return self._starved and (self._eof or not (self._input or self._request))

    def _settle(self) -> None:
        """Decide what is waited for now: room, the peer, or nothing more."""
        exchanges = self._exchanges
        if not exchanges and (self._stopped or (self._eof and self._starved)):
            # Closing a socket that holds unread input resets the connection, and the answer with it.
            self._end(linger=not self._eof and (self._refused or self._unheard > 0 or self.leaving))
        if self._stopped or self._ending:
            return
        held = self._choked or not self._starved or len(exchanges) >= self._pipelined
        if held is not self._held:
            self._held = held
            self._awaiting = ""
            if held:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
        if self._choked:
            return
        if self._request is not None:
            if self._will_continue and not exchanges:
                self._will_continue = False
                self._awaiting = ""
                self.flush()
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._await("body", self._limits.body_seconds)
        elif self._input:
            self._await("head", self._limits.head_seconds)
        elif exchanges:
            return
        elif self.leaving:
            self._await(_LAST_REQUEST, _LAST_REQUEST_SECONDS)
        else:
            self._awaiting = ""
            self.deadline = self._server._idle_deadline

    def _await(self, part: str, seconds: float) -> None:
        """Set the deadline for a part of a request, once."""
        if self._awaiting != part:
            self._awaiting = part
            self.deadline = self._server._now() + seconds

    def _end(self, linger: bool) -> None:
        """Close; to `linger` is to close our side only, and throw away for a while what still comes."""
        if self._ending:
            return
        self.flush()
        self._ending = True
        self._choked = False
        self.deadline = self._server._now() + self._limits.linger_seconds
        if not linger:
            self._transport.close()
            return
        self._transport.write_eof()
        if self._held:
            self._transport.resume_reading()


class _Tls(asyncio.Transport, asyncio.Protocol):
    """TLS between a connection and its socket: the transport of the one, and the protocol of the other.

    Those of asyncio and uvloop cannot end one side alone, which is how a refused peer comes to read why; drop what is
    yet to be answered when the peer ends its side; do not tell of a peer before it has shaken hands, so that it is not
    counted; and log each that fails to.
    """

    __slots__ = ("_begun", "_connection", "_deaf", "_incoming", "_outgoing", "_ready", "_socket", "_tls")

    _socket: asyncio.Transport

    def __init__(self, connection: _Connection, context: ssl.SSLContext) -> None:
        super().__init__()
        self._connection = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._begun = False  # the peer has said something
        self._ready = False  # hands are shaken
        self._deaf = False  # one side has ended, and what else comes is not read

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = transport  # type: ignore[assignment]  # uvloop's is not of that class
        self._connection.connection_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)
        del self._connection  # or the two would keep each other

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._connection.ignore(len(data))
        elif not self._begun and data[:1].isalpha():
            self._connection.lay_bare(self._socket, data)
        else:
            self._begun = True
            self._incoming.write(data)
            if self._ready or self._shake_hands():
                self._read()

    def eof_received(self) -> bool:
        # Without a close_notify before it someone else may have cut the stream. A request tells its own length, so one
        # that is cut is not taken for another, and those before it can be answered.
        self._deaf = True
        return self._ready and self._connection.eof_received()

    def pause_writing(self) -> None:
        if self._ready:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        if self._ready:
            self._connection.resume_writing()

    # What the connection calls

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        if not self._ready:
            return  # it is closed before hands were shaken
        left = memoryview(data)
        try:
            while left:
                left = left[self._tls.write(left) :]
        except ssl.SSLError:
            self._socket.abort()
            return
        self._flush()

    def write_eof(self) -> None:
        if not self._ready:
            self.close()
            return
        self._deaf = True
        self._say_goodbye()
        self._socket.write_eof()

    def close(self) -> None:
        self._say_goodbye()
        self._socket.close()

    def abort(self) -> None:
        self._socket.abort()

    def pause_reading(self) -> None:
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        self._socket.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._socket.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket.get_extra_info(name, default)

    # What is done

    def _shake_hands(self) -> bool:
        """Go on with the handshake; whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError:
            self._deaf = True
            self.close()  # after the alert that says why
            return False
        self._flush()
        self._ready = True
        self._connection.advance()
        return not self._deaf

    def _read(self) -> None:
        """Hand on what can be decrypted of all that has arrived."""
        incoming, tls = self._incoming, self._tls
        pieces = []
        try:
            while incoming.pending or tls.pending():  # to be told that nothing is left costs more than to ask
                piece = tls.read(_RECORD_BYTES)
                if not piece:
                    self._deaf = True  # a close_notify
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._flush()
            self._socket.abort()
            return
        if self._outgoing.pending:
            self._flush()
        ended = self._deaf
        if pieces:
            self._connection.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended:
            self._connection.eof_received()

    def _say_goodbye(self) -> None:
        """End our side of TLS, if it has begun."""
        if self._ready:
            with suppress(ssl.SSLError):  # SSLWantReadError, since the peer has not ended its own
                self._tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        """Send what TLS has to say."""
        data = self._outgoing.read()
        if data:
            self._socket.write(data)


def tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    """What TLS is spoken with: 1.2 at least, with the certificate chain in `cert` and its private `key`, both PEM.

    Raises OSError if a file cannot be read and ssl.SSLError if it does not hold what it should; each says which. To
    renew the certificate, put another context in the place of `Server.tls`. A `load_cert_chain` of the same one does
    too, but if it fails it leaves none, and a certificate whose key is of another type stands beside the old one.
    """

    def refuse_to_ask() -> str:
        raise OSError(f"The private key {key} is encrypted, and there is no password for it.")

    for path in (cert, key):
        path.open("rb").close()  # ssl would not say which one it is
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, refuse_to_ask)
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
            message = f"The private key {key} is not that of the certificate {cert}."
        else:
            message = f"{cert} must hold a certificate and {key} its private key, in PEM: {error}."
        raise ssl.SSLError(ssl.SSL_ERROR_SSL, message) from error
    return context


_HANDSHAKE = "handshake"
_RECORD_BYTES = 16 * 1024  # which a record of TLS has at most
_OUTPUT_BYTES = 64 * 1024  # answers that may wait to be written together
BACKLOG = 1024  # connections that wait to be accepted
_LAST_REQUEST = "last request"
_LAST_REQUEST_SECONDS = 1  # for which an idle connection is kept when the server is leaving
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_URL = re.compile(r"http://([^/?#]*)(.*)", re.IGNORECASE)
# RFC 3986 3.2.2, with at least one character; an address in brackets is not looked into.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?")


def _malformed(message: str) -> Refusal:
    return Refusal(400, "MalformedHttpRequestException", message)


def _too_many_headers(message: str) -> Refusal:
    return Refusal(431, "RequestHeaderFieldsTooLargeException", message)


def _too_large(limit: int) -> Refusal:
    return Refusal(413, "RequestEntityTooLargeException", f"The body of a request has at most {limit} bytes.")


def _as_refusal(error: Refusal | HttpParserError) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HttpParserInvalidMethodError):
        return Refusal(501, "NotImplementedException", "The method of the request is not known.")
    return _malformed(f"The request breaks the syntax of HTTP: {error}.")


def _check_line_ends(data: bytes) -> None:
    """Refuse a head that would never come to its end because its lines do not end in CR LF."""
    ends = data.count(b"\r\n")
    if data.count(b"\n") != ends or data.count(b"\r", 0, len(data) - 1) != ends:
        raise _malformed("A line must end in CR LF.")


def _check_host(host: str) -> None:
    if not _HOST.fullmatch(host):
        raise _malformed("A host must be a name or an address, with at most a port.")


def _request_line(line: str) -> tuple[str, str, bool]:
    """The method, the target, and whether the version is 1.1 rather than 1.0."""
    try:
        method, target, version = line.rstrip("\r").split(" ")
    except ValueError:
        raise _malformed("A request line must be a method, a target and a version, one space apart.") from None
    if version == "HTTP/1.1":
        modern = True
    elif version == "HTTP/1.0":
        modern = False
    elif re.fullmatch(r"HTTP/[0-9]\.[0-9]", version):
        raise Refusal(505, "HttpVersionNotSupportedException", "The version of HTTP must be 1.1 or 1.0.")
    else:
        raise _malformed("A request line must end in the version of HTTP.")
    if method == "CONNECT":
        raise _malformed("CONNECT is for proxies.")
    return method, target, modern


def _headers(lines: list[str]) -> dict[str, str]:
    """What stands between the request line and the two empty lines at the end of `lines`.

    That each has a name, a colon, nothing forbidden and CR LF is for llhttp to say.
    """
    headers: dict[str, str] = {}
    for line in lines[1:-2]:
        name, value = _known_lines.get(line) or _header(line)
        if name not in headers:
            headers[name] = value
        elif name == "host":
            raise _malformed("A request must not have two Host headers.")
        elif name != "authorization":
            headers[name] += "," + value
    return headers


_known_lines: dict[str, tuple[str, str]] = {}
_MOST_KNOWN_LINES = 2048
_LONGEST_KNOWN_LINE = 200


def _header(line: str) -> tuple[str, str]:
    """The name and the value of a header line. Most lines come again and again, and are read once."""
    name, _, value = line.partition(":")
    header = (name.lower(), value.strip(" \t\r"))
    if len(line) <= _LONGEST_KNOWN_LINE:
        if len(_known_lines) >= _MOST_KNOWN_LINES:
            _known_lines.clear()
        _known_lines[line] = header
    return header


def _target(method: str, target: str, headers: dict[str, str]) -> str:
    """The path and query of a `target` that is not merely these; the host it names replaces Host."""
    if target == "*" and method == "OPTIONS":
        return target
    url = _URL.fullmatch(target)
    if not url:
        raise _malformed("A request target must be a path or an http URL.")
    host, rest = url.groups()
    _check_host(host)
    headers["host"] = host
    return rest if rest.startswith("/") else "/" + rest


def _closes(connection: str, modern: bool) -> bool:
    """Whether a Connection header with this value makes its request the last one."""
    options = {option.strip(" \t") for option in connection.lower().split(",")}
    return "close" in options or not (modern or "keep-alive" in options)


def _body_length(headers: dict[str, str], modern: bool, limit: int) -> int:
    """How many bytes follow the head, at most `limit`, or _CHUNKED (RFC 9112 6.3)."""
    coding = headers.get("transfer-encoding")
    length = headers.get("content-length")
    if coding is not None:
        if length is not None:
            raise _malformed("A request must not have both Content-Length and Transfer-Encoding.")
        if not modern:
            raise _malformed("An HTTP/1.0 request must not have a Transfer-Encoding.")
        *codings, final = (coding.strip(" \t") for coding in coding.lower().split(","))
        if final != "chunked" or final in codings:
            raise _malformed("The final Transfer-Encoding must be chunked, once.")
        if codings:
            raise Refusal(501, "NotImplementedException", "The Transfer-Encoding must be chunked alone.")
        return _CHUNKED
    if length is None:
        return 0
    if not length.isdecimal():
        raise _malformed("A Content-Length must be one decimal number.")
    if len(length) > 18 or (size := int(length)) > limit:
        raise _too_large(limit)
    return size
