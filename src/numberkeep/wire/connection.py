"""The connection of one peer: its requests in, their responses out, in order."""

import asyncio
import logging
import re
from collections import deque
from http import HTTPStatus
from math import inf
from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpRequestParser
from msgspec.structs import replace

from ..aws.errors import Refusal
from ..aws.message import DROPPED, Request, Response
from ..proxies import Proxies, normalised
from .head import (
    CHUNKED,
    as_refusal,
    body_length,
    check_host,
    check_line_ends,
    closes,
    headers_of,
    malformed,
    path_and_query,
    request_line,
    too_large,
    too_many_headers,
)

if TYPE_CHECKING:
    from .server import Server

logger = logging.getLogger(__name__)

_HANDSHAKE = "handshake"
_LAST_REQUEST = "last request"
_LAST_REQUEST_SECONDS = 1  # how long an idle connection is kept while the server drains
_OUTPUT_BYTES = 64 * 1024  # of responses that may wait to be written together
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


class _Exchange:
    """A request's place in the order of responses."""

    __slots__ = ("_connection", "bodiless", "last", "response")

    def __init__(self, connection: "Connection", bodiless: bool, last: bool) -> None:
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
    """A request as llhttp parses it: its decoded body, and whether it is complete."""

    __slots__ = ("body", "complete", "on_body")

    def __init__(self) -> None:
        self.body = bytearray()
        self.on_body = self.body.extend
        self.complete = False

    def on_message_complete(self) -> None:
        self.complete = True


class Connection(asyncio.Protocol):
    """The connection of one peer.

    Every event (bytes, a response, room to write) ends in `advance`, which does all that can be done now.
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

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._api = server.api
        self._limits = server.limits
        self._pipelined = server.limits.pipelined
        self._peer = ""  # the peer's address
        self._proxies: Proxies | None = None  # set if the peer is one of them
        self._secure = server.tls is not None
        self._message = _Message()
        self._parser = HttpRequestParser(self._message)
        # Whether a connection is kept alive is decided here; llhttp also obeys Proxy-Connection, and would
        # refuse the next request after it.
        self._parser.set_dangerous_leniencies(lenient_keep_alive=True)
        self._exchanges: deque[_Exchange] = deque()
        self._safe = True  # the last request handed over changes nothing
        self._output = b""  # responses that are not written yet
        self.advancing = False
        self.leaving = False  # to be closed with the next response after which no other request has arrived

        self._input = b""  # received, and not parsed yet
        self._starved = True  # parsing waits for more input, not for room
        self._request: Request | None = None  # the request whose body is still arriving
        self._last = False  # whether that is the last request
        self._left = 0  # how many bytes of the body are missing, or CHUNKED
        self._undecoded = 0  # how many bytes of chunks have come without any data
        self._will_continue = False  # whether the peer waits for a 100
        self._host: str | None = None  # the last Host found valid

        self.deadline = inf
        self._awaiting = ""  # what the deadline is for: a handshake, a request's head or body, or the last request
        self._held = False  # reading is paused
        self._choked = False  # writing is paused: the peer does not read
        self._eof = False  # the peer sends no more
        self._stopped = False  # nothing more is parsed
        self._refused = False
        self._unheard = 0  # bytes received after parsing stopped
        self._ending = False  # all is answered, and the connection is closed or half-closed

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is not of that class
        server = self._server
        crowd = len(server.connections)
        if crowd >= 2 * self._limits.connections:
            self._transport.abort()
            return
        self.leaving = server.draining
        server.connections.add(self)
        peer = transport.get_extra_info("peername")
        if peer:  # otherwise the peer has gone already
            self._peer = normalised(peer[0])
            self._proxies = server.proxies if server.proxies.trusts(self._peer) else None
        if crowd >= self._limits.connections:
            self._refuse(Refusal(503, "ServiceUnavailableException", "There are too many connections."))
        if self._secure:
            self._await(_HANDSHAKE, self._limits.handshake_seconds)
        else:
            self.advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self.advancing = True  # for good: late replies find nothing to do
        self._exchanges.clear()
        self._input = self._output = b""
        self._server.forget(self)

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
            self.deadline = self._server.now() + self._limits.write_seconds
            self.advance()

    def resume_writing(self) -> None:
        if not self._ending:
            self._choked = False
            self._awaiting = ""
            self.advance()

    # Called by TLS

    def ignore(self, size: int) -> None:
        """Count received bytes that are discarded; abort the connection if they are too many."""
        self._unheard += size
        if self._unheard > self._limits.linger_bytes:
            self._transport.abort()

    def lay_bare(self, transport: asyncio.Transport, data: bytes) -> None:
        """Refuse, in plain HTTP on the socket's `transport`, a peer that began with `data`: HTTP without TLS."""
        self._transport = transport
        transport.set_protocol(self)
        if not self._stopped:
            self._refuse(malformed("This port speaks HTTPS, not HTTP."), bodiless=data.startswith(b"HEAD "))
        self.data_received(data)
        self.advance()

    # Called by the server

    def expire(self) -> None:
        """Act on a deadline that has passed."""
        if self._ending and not self._choked and self._transport.get_write_buffer_size():
            self._choked = True  # the last response has not been sent yet
            self.deadline += self._limits.write_seconds
        elif self._ending or self._choked or self._awaiting == _HANDSHAKE:
            self._transport.abort()
        elif self._stopped or self._held:
            return  # the peer is not what is waited for
        elif self._awaiting and self._awaiting != _LAST_REQUEST:
            message = f"The {self._awaiting} of the request did not arrive in time."
            self._refuse(Refusal(408, "RequestTimeoutException", message))
            self.advance()
        elif not self._exchanges:
            self._end(linger=False)

    def abort(self) -> None:
        """Abort the connection."""
        self._transport.abort()

    # Requests

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
        """Hand over the requests in the input, until it is used up or there is no room for more."""
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
            self._refuse(as_refusal(error), bodiless=data.startswith(b"HEAD ", at))
        if self._stopped:
            self._unheard += size - at
            at = size
        self._input = data[at:]

    def _may_overtake(self, data: bytes, at: int) -> bool:
        """Return whether the request at `at` may be handed over while earlier ones are unanswered.

        Only requests that change nothing may run concurrently (RFC 9112 9.3.2).
        """
        if len(self._exchanges) >= self._pipelined:
            return False
        return self._request is not None or (self._safe and data.startswith((b"GET ", b"HEAD "), at))

    def _take_head(self, data: bytes, at: int) -> int:
        """Parse the request that begins at `at`, and its body if all of it is there.

        Return how many bytes that took: none if the head is incomplete.
        """
        if not 32 < data[at] < 127:
            if data.startswith(b"\r\n", at):
                return 2  # an empty line before a request is ignored (RFC 9112 2.2)
            if data[at:] == b"\r":
                return 0
            raise malformed("A request must begin with its method.")
        limits = self._limits
        end = data.find(b"\r\n\r\n", at) + 4
        if (end if end >= 4 else len(data)) - at > limits.head_bytes:
            raise too_many_headers(f"The head of a request has at most {limits.head_bytes} bytes.")
        if end < 4:
            check_line_ends(data[at:])
            return 0
        lines = data[at:end].decode("latin-1").split("\n")
        if len(lines) - 3 > limits.headers:
            raise too_many_headers(f"A request has at most {limits.headers} headers.")

        method, target, modern = request_line(lines[0])
        headers = headers_of(lines)
        host = headers.get("host")
        if host is None:
            if modern:
                raise malformed("An HTTP/1.1 request must have a Host header.")
        elif host != self._host:
            check_host(host)
            self._host = host
        if target[:1] != "/":
            target = path_and_query(method, target, headers)
        if "#" in target:
            raise malformed("A request target must not have a fragment.")
        path, _, query = target.partition("?")
        source, secure = self._peer, self._secure
        if self._proxies:
            source, secure = self._proxies.sender(headers, source, secure)
        connection = headers.get("connection")
        last = not modern if connection is None else closes(connection, modern)
        left = body_length(headers, modern, limits.body_bytes)

        stop = end + left
        complete = left != CHUNKED and stop <= len(data)
        if not complete:
            stop = end
        piece = data[at:stop]
        if "upgrade" in headers:
            # Otherwise llhttp would leave HTTP after this request.
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
        """Continue a body at `at`, at most to its end; return how many bytes that took."""
        assert self._request is not None
        self._will_continue = False  # the peer did not wait
        if self._left == CHUNKED:
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

        So it never sees the beginning of the next request. If there is no such line yet, the last three
        bytes, which may begin one, are not decoded.
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
            raise too_large(limits.body_bytes)
        self._undecoded = 0 if len(body) > size else self._undecoded + stop - at
        if self._undecoded > limits.head_bytes:
            raise malformed(f"Chunk extensions and trailers have at most {limits.head_bytes} bytes.")
        return stop - at

    def _body(self) -> bytes:
        """Return the body of the request that has been fed to llhttp to its end."""
        message = self._message
        if not message.complete:
            raise malformed("The length of the request is not clear.")
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
        """Answer with `refusal`, after all earlier responses, and parse no more."""
        self._stopped = self._refused = True
        self._request = None
        exchange = _Exchange(self, bodiless, last=True)
        exchange.response = self._api.refuse(refusal)
        self._exchanges.append(exchange)

    # Responses

    def _send(self) -> bool:
        """Write the responses whose turn it is, in one piece; return whether there were any."""
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
                tail = self._server.last_tail
            else:
                tail = self._server.tail
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
            self._server.send_later(self)
        self._output += output
        if len(self._output) > _OUTPUT_BYTES:
            self.flush()  # which shows whether the peer reads
        return True

    def flush(self) -> None:
        """Write the responses that wait."""
        output, self._output = self._output, b""
        if output:
            self._transport.write(output)

    def _is_done(self) -> bool:
        """Return whether nothing that has arrived on a connection to be closed can still become a request."""
        return self._starved and (self._eof or not (self._input or self._request))

    def _settle(self) -> None:
        """Decide what to wait for now: room, the peer, or nothing more."""
        exchanges = self._exchanges
        if not exchanges and (self._stopped or (self._eof and self._starved)):
            # Closing a socket with unread input resets the connection, and the response is lost.
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
            self.deadline = self._server.idle_deadline

    def _await(self, part: str, seconds: float) -> None:
        """Set the deadline for a part of a request, unless it is set."""
        if self._awaiting != part:
            self._awaiting = part
            self.deadline = self._server.now() + seconds

    def _end(self, linger: bool) -> None:
        """Close; to `linger` is to close our side only, and for a while discard what still comes."""
        if self._ending:
            return
        self.flush()
        self._ending = True
        self._choked = False
        self.deadline = self._server.now() + self._limits.linger_seconds
        if not linger:
            self._transport.close()
            return
        self._transport.write_eof()
        if self._held:
            self._transport.resume_reading()
