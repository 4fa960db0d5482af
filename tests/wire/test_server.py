"""The server over real sockets: what it promises, its limits, and RFC 9112 with h11 as the second opinion."""

import asyncio
import itertools
import json
import logging
import socket
import ssl
import string
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import h11
import httpx
import pytest
import uvloop
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from certificates import make_certificate, private_pem
from numberkeep.aws.errors import Refusal
from numberkeep.aws.message import DROPPED, Request, Response
from numberkeep.proxies import Network
from numberkeep.wire.server import Limits, Server
from numberkeep.wire.tls import tls_context

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
TLS = " over TLS"
WAYS = [*LOOPS, *(loop + TLS for loop in LOOPS)]
PATIENCE_SECONDS = 20
HEAD = b"x-amzn-RequestId: 4105c588-140d-4904-a0ed-80be2157ebcf\r\nContent-Type: application/json\r\n"


class Echo:
    """Answers every request with what the server made of it."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def answer(self, request: Request) -> Response:
        told = {**asdict(request), "body": request.body.decode("latin-1")}
        return Response(200, HEAD, json.dumps(told).encode())

    def handle(self, request: Request, reply: Callable[[Response], None]) -> None:
        self.requests.append(request)
        reply(self.answer(request))

    def refuse(self, error: Exception) -> Response:
        status, shape = 500, "ServiceFailureException"
        if isinstance(error, Refusal):
            status, shape = error.status, error.shape
        head = HEAD + b"x-amzn-ErrorType: " + shape.encode() + b"\r\n"
        return Response(status, head, json.dumps({"message": str(error)}).encode())


class Patient(Echo):
    """Answers nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], None]] = []

    def handle(self, request: Request, reply: Callable[[Response], None]) -> None:
        self.requests.append(request)
        self.waiting.append(lambda: reply(self.answer(request)))


class Backwards(Patient):
    """Answers what arrives together from the last to the first."""

    def handle(self, request: Request, reply: Callable[[Response], None]) -> None:
        if not self.waiting:
            asyncio.get_running_loop().call_soon(self.answer_all)
        super().handle(request, reply)

    def answer_all(self) -> None:
        waiting, self.waiting = self.waiting, []
        for answer in reversed(waiting):
            answer()


@cache
def any_tls() -> ssl.SSLContext:
    with tempfile.TemporaryDirectory() as directory:
        return tls_context(*make_certificate(Path(directory)))


@cache
def trusting() -> ssl.SSLContext:
    """A client's, which takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class TlsSocket:
    """A client's socket over TLS. Unlike Python's own it can end its side and read on, and minds if the other does not
    end its own."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext | None = None) -> None:
        self.raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or trusting()).wrap_bio(self._incoming, self._outgoing)
        self._unsent = b""
        self._read(self.tls.do_handshake)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def __enter__(self) -> "TlsSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.close()

    def _read(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.raw.recv(65536)
                if not data:
                    raise ConnectionResetError("TLS was cut off.") from None
                self._incoming.write(data)
            else:
                self._flush()
                return done

    def _flush(self) -> None:
        self._unsent += self._outgoing.read()
        while self._unsent:
            self._unsent = self._unsent[self.raw.send(self._unsent) :]

    def send(self, data: bytes) -> int:
        self._flush()
        self.tls.write(data)
        with suppress(BlockingIOError):
            self._flush()
        return len(data)

    sendall = send

    def recv(self, size: int) -> bytes:
        try:
            return self._read(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        self.end_tls()
        self.raw.shutdown(socket.SHUT_WR)

    def end_tls(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._flush()


class Running:
    """A server on a loop in a thread of its own."""

    def __init__(self, api: Echo, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.api = api
        self.server = server
        self.loop = loop
        self.port = server.port

    def connect(self) -> socket.socket | TlsSocket:
        return TlsSocket(self.connect_bare()) if self.server.tls else self.connect_bare()

    def connect_bare(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)

    def call(self, function: Callable[[], None]) -> None:
        """Run `function` on the loop, and wait for it."""

        async def run() -> None:
            function()

        asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE_SECONDS)

    def answer_all(self) -> None:
        assert isinstance(self.api, Patient)
        waiting, self.api.waiting = self.api.waiting, []
        self.call(lambda: [answer() for answer in waiting] and None)

    def send(self, client: socket.socket, *pieces: bytes) -> None:
        """Send `pieces`, each when the server has read the one before."""
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
            for _ in range(2):  # turns of the loop: one may have begun before the piece came
                self.call(lambda: None)

    def ask(self, *pieces: bytes) -> list[tuple[h11.Response, bytes]]:
        """Send `pieces`, then end our side; all answers until the server ends its."""
        with self.connect() as client:
            self.send(client, *pieces)
            client.shutdown(socket.SHUT_WR)
            return answers(read_to_end(client))


@contextmanager
def serving(
    api: Echo | None = None,
    loop: str = "uvloop",
    tls: ssl.SSLContext | None = None,
    trusted_proxies: tuple[Network, ...] = (),
    **limits: float,
) -> Iterator[Running]:
    """A running server; small waits, so that stopping it never takes long."""
    api = api or Echo()
    if loop.endswith(TLS):
        loop, tls = loop.removesuffix(TLS), tls or any_tls()
    started: list[Running] = []
    ready = threading.Event()
    done: list[asyncio.Event] = []

    async def main() -> None:
        server = Server(api, Limits(**{"drain_seconds": 0.2, **limits}), tls, trusted_proxies)  # type: ignore[arg-type]
        await server.start(socket.create_server(("127.0.0.1", 0)))
        done.append(asyncio.Event())
        started.append(Running(api, server, asyncio.get_running_loop()))
        ready.set()
        await done[0].wait()
        await server.stop()

    def run() -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(PATIENCE_SECONDS)
    try:
        yield started[0]
    finally:
        started[0].loop.call_soon_threadsafe(done[0].set)
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    """Wait for `condition`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def read_to_end(client: socket.socket) -> bytes:
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


def read_answer(client: socket.socket, method: str = "GET") -> tuple[h11.Response, bytes]:
    """The next answer, which must be all that there is to read."""
    data = b""
    while True:
        piece = client.recv(65536)
        assert piece, data
        data += piece
        with suppress(ValueError):
            (answer,) = answers(data, [method])
            return answer


def answers(data: bytes, methods: list[str] | None = None) -> list[tuple[h11.Response, bytes]]:
    """What h11, as a client, reads: the answers to requests of these methods, or of GET."""
    found = []
    while data:
        method = methods[len(found)] if methods else "GET"
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(data)
        response, body = client.next_event(), b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                raise ValueError("The last answer is cut short.")
            assert isinstance(event, h11.Data), event
            body += bytes(event.data)
        assert isinstance(response, h11.Response)
        found.append((response, body))
        data = client.trailing_data[0]
    return found


def header(response: h11.Response, name: str) -> str:
    return dict(response.headers).get(name.encode(), b"").decode()


def get(path: str, *headers: str, version: str = "1.1") -> bytes:
    return "\r\n".join((f"GET {path} HTTP/{version}", "Host: a", *headers, "", "")).encode()


def post(body: bytes, *headers: str) -> bytes:
    lines = ("POST / HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


@pytest.fixture(params=WAYS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# What is on the wire


def test_an_answer_has_its_lines_in_the_order_of_aws():
    with serving() as running, running.connect() as client:
        client.sendall(get("/a"))
        response, body = read_answer(client)
        names = [name for name, _ in response.headers.raw_items()]
    expected = [b"x-amzn-RequestId", b"Content-Type", b"Content-Length", b"Date", b"Connection"]
    assert names == expected
    assert header(response, "content-length") == str(len(body))
    assert time.strptime(header(response, "date"), "%a, %d %b %Y %H:%M:%S GMT")
    assert header(response, "connection") == "keep-alive"


def test_an_answer_without_content_has_no_length():
    class Api(Echo):
        def answer(self, request: Request) -> Response:
            return Response(204, HEAD, b"")

    with serving(Api()) as running, running.connect() as client:
        client.sendall(get("/a", "Connection: close"))
        lines = read_to_end(client).split(b"\r\n")
    assert [line.partition(b":")[0] for line in lines] == [
        b"HTTP/1.1 204 No Content",
        b"x-amzn-RequestId",
        b"Content-Type",
        b"Date",
        b"Connection",
        b"",
        b"",
    ]


def test_head_is_answered_with_the_length_alone():
    with serving() as running, running.connect() as client:
        client.sendall(get("/a").replace(b"GET", b"HEAD") + get("/b", "Connection: close"))
        (first, nothing), (_, body) = answers(read_to_end(client), ["HEAD", "GET"])
    assert int(header(first, "content-length")) > 0
    assert nothing == b""
    assert json.loads(body)["path"] == "/b"


# The order of answers


def test_answers_keep_the_order_of_requests(loop):
    with serving(Backwards(), loop) as running:
        found = running.ask(b"".join(get(f"/{i}") for i in range(10)))
    assert [json.loads(body)["path"] for _, body in found] == [f"/{i}" for i in range(10)]


def test_a_refusal_waits_for_the_answers_before_it(loop):
    with serving(Patient(), loop) as running, running.connect() as client:
        client.sendall(get("/a") + b"GET / HTTP/1.1\r\n\r\n" + get("/never"))
        until(lambda: len(running.api.requests) == 1)
        running.answer_all()
        (first, _), (second, _) = answers(read_to_end(client))
    assert [first.status_code, second.status_code] == [200, 400]
    assert [header(first, "connection"), header(second, "connection")] == ["keep-alive", "close"]
    assert [request.path for request in running.api.requests] == ["/a"]


def test_a_reply_after_the_peer_has_gone_is_dropped(loop, caplog):
    with serving(Patient(), loop) as running:
        with running.connect() as client:
            client.sendall(get("/a"))
            until(lambda: len(running.api.requests) == 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leave by RST
        until(lambda: not running.server.connections)
        running.answer_all()
        assert [r.status_code for r, _ in running.ask(b"nonsense\r\n\r\n")] == [400]
    assert not caplog.records


def test_a_peer_that_goes_in_the_turn_of_its_answer_takes_no_other_answer_with_it(loop, caplog):
    """Answers of one turn are written together; the first connection is lost between its answer and the writing."""
    with serving(Patient(), loop) as running, running.connect() as leaves, running.connect() as stays:
        leaves.sendall(get("/leaves"))
        until(lambda: len(running.api.requests) == 1)
        stays.sendall(get("/stays"))
        until(lambda: len(running.api.requests) == 2)
        gone = next(
            c for c in running.server.connections if c._transport.get_extra_info("peername") == leaves.getsockname()
        )

        def lose_and_answer() -> None:
            gone._transport.abort()  # connection_lost comes before what is written at the end of the turn
            for reply in running.api.waiting:
                reply()

        running.call(lose_and_answer)
        assert b"/stays" in stays.recv(65536)
    assert not caplog.records


def test_what_waits_behind_a_write_is_not_read(loop):
    """A peer that sends on and on behind an unanswered POST is held back by TCP, not kept in memory."""
    with serving(Patient(), loop) as running, running.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        until(lambda: len(running.api.requests) == 1)
        client.setblocking(False)
        sent, deadline = 0, time.monotonic() + 1
        while time.monotonic() < deadline:
            try:
                sent += client.send(get("/") * 1000)
            except BlockingIOError:
                time.sleep(0.01)
        (connection,) = running.server.connections
        assert len(connection._input) < 2_000_000
        assert connection._held
        assert len(running.api.requests) == 1
        client.setblocking(True)


class Dropping(Patient):
    """Answers nothing to requests for /drop, and closes their connections."""

    def answer(self, request: Request) -> Response:
        return DROPPED if request.path == "/drop" else super().answer(request)


def test_a_request_that_is_dropped_ends_the_connection_after_the_answers_before_it(loop):
    with serving(Dropping(), loop) as running, running.connect() as client:
        client.sendall(get("/a") + get("/drop") + get("/b") + post(b"body"))
        until(lambda: len(running.api.requests) == 3)
        drop, b, a = (running.api.waiting.pop(i) for i in (1, 1, 0))
        running.call(lambda: [answer() for answer in (b, drop, a)] and None)
        ((response, body),) = answers(read_to_end(client))
        assert json.loads(body)["path"] == "/a"
        assert response.status_code == 200
        assert len(running.api.requests) == 3, "what comes after it is not read"


def test_a_request_that_is_dropped_alone_is_not_answered(loop):
    with serving(Dropping(), loop) as running, running.connect() as client:
        client.sendall(get("/drop"))
        until(lambda: running.api.requests)
        running.answer_all()
        assert read_to_end(client) == b""
        until(lambda: not running.server.connections)


def test_a_second_reply_is_not_heard():
    class Api(Echo):
        def handle(self, request: Request, reply: Callable[[Response], None]) -> None:
            for _ in range(2):
                super().handle(request, reply)

    with serving(Api()) as running:
        assert len(running.ask(get("/a") + get("/b"))) == 2


@pytest.mark.parametrize("replied", [False, True])
def test_an_exception_of_the_api_is_logged_and_answered(replied, caplog):
    class Api(Echo):
        def handle(self, request: Request, reply: Callable[[Response], None]) -> None:
            if replied:
                super().handle(request, reply)
            raise KeyError("lost")

    with serving(Api()) as running, caplog.at_level(logging.ERROR):
        found = running.ask(get("/a") + get("/b"))
    assert [response.status_code for response, _ in found] == [200 if replied else 500] * 2
    assert caplog.records[0].exc_info
    assert "GET /a" in caplog.text


# Beginnings and ends


def test_a_peer_that_has_ended_its_side_is_answered(loop):
    with serving(Patient(), loop, pipelined=2) as running, running.connect() as client:
        client.sendall(b"".join(get(f"/{i}") for i in range(5)) + b"GET /half")
        client.shutdown(socket.SHUT_WR)
        for count in (2, 4, 5):
            until(lambda count=count: len(running.api.requests) == count)
            running.answer_all()
        found = answers(read_to_end(client))
    assert [json.loads(body)["path"] for _, body in found] == [f"/{i}" for i in range(5)]
    assert header(found[-1][0], "connection") == "close"


def test_stop_finishes_what_has_begun(loop):
    with (
        serving(Patient(), loop, drain_seconds=PATIENCE_SECONDS) as running,
        running.connect() as idle,
        running.connect() as busy,
        running.connect() as half,
    ):
        busy.sendall(get("/a"))
        running.send(half, get("/b") + post(b"body")[:-2])
        until(lambda: len(running.server.connections) == 3 and len(running.api.requests) == 2)
        stopping = asyncio.run_coroutine_threadsafe(running.server.stop(), running.loop)
        assert read_to_end(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            running.connect()
        running.answer_all()
        half.sendall(b"dy")
        until(lambda: len(running.api.requests) == 3)
        assert not stopping.done()
        running.answer_all()
        for client, last_words in ((busy, ["close"]), (half, ["keep-alive", "close"])):
            found = answers(read_to_end(client))
            assert [header(response, "connection") for response, _ in found] == last_words
        stopping.result(PATIENCE_SECONDS)


def test_stop_answers_who_has_only_just_connected(loop):
    """A client that has connected and not asked yet could not know; one that asks nothing is not waited for long."""
    with (
        serving(loop=loop, drain_seconds=PATIENCE_SECONDS) as running,
        running.connect() as asking,
        running.connect() as silent,
    ):
        until(lambda: len(running.server.connections) == 2)
        stopping = asyncio.run_coroutine_threadsafe(running.server.stop(), running.loop)
        until(lambda: running.server.draining)
        asking.sendall(get("/a"))
        ((response, body),) = answers(read_to_end(asking))
        assert (json.loads(body)["path"], header(response, "connection")) == ("/a", "close")
        assert read_to_end(silent) == b""
        stopping.result(PATIENCE_SECONDS)


def test_stop_answers_one_more_request_of_an_idle_connection(loop):
    """Whoever asks without pause on one connection could not know; the rest of a request has its usual time."""
    with (
        serving(loop=loop, drain_seconds=PATIENCE_SECONDS) as running,
        running.connect() as asking,
        running.connect() as slow,
        running.connect() as silent,
    ):
        for client in (asking, slow, silent):
            client.sendall(get("/before"))
            read_answer(client)
        stopping = asyncio.run_coroutine_threadsafe(running.server.stop(), running.loop)
        until(lambda: running.server.draining)
        asking.sendall(get("/a"))
        slow.sendall(get("/b")[:-2])
        ((response, body),) = answers(read_to_end(asking))
        assert (json.loads(body)["path"], header(response, "connection")) == ("/a", "close")
        assert read_to_end(silent) == b""
        time.sleep(1)
        slow.sendall(b"\r\n")
        ((response, body),) = answers(read_to_end(slow))
        assert (json.loads(body)["path"], header(response, "connection")) == ("/b", "close")
        stopping.result(PATIENCE_SECONDS)


def test_stop_resets_nobody_who_asks_on_before_the_last_answer_is_read(loop):
    with serving(Patient(), loop, drain_seconds=PATIENCE_SECONDS) as running, running.connect() as client:
        client.sendall(get("/a"))
        until(lambda: len(running.api.requests) == 1)
        stopping = asyncio.run_coroutine_threadsafe(running.server.stop(), running.loop)
        until(lambda: running.server.draining)
        (connection,) = running.server.connections
        running.answer_all()
        until(lambda: connection._ending)
        client.sendall(get("/b"))
        until(lambda: connection._unheard)
        ((response, body),) = answers(read_to_end(client))
        assert (json.loads(body)["path"], header(response, "connection")) == ("/a", "close")
        client.close()
        stopping.result(PATIENCE_SECONDS)


def test_stop_cuts_what_takes_too_long(loop):
    with serving(Patient(), loop, drain_seconds=0.1) as running, running.connect() as client:
        client.sendall(get("/a"))
        until(lambda: len(running.api.requests) == 1)
        asyncio.run_coroutine_threadsafe(running.server.stop(), running.loop).result(PATIENCE_SECONDS)
        with suppress(ConnectionResetError):
            assert read_to_end(client) == b""
        running.answer_all()


# 100 Continue


def test_continue_is_sent_when_the_body_is_waited_for_and_its_turn_has_come(loop):
    with serving(Patient(), loop) as running, running.connect() as client:
        head = post(b"body", "Expect: 100-continue")[:-4]
        client.sendall(get("/a") + head)
        until(lambda: len(running.api.requests) == 1)
        running.answer_all()
        data = b""
        while not data.endswith(b"}HTTP/1.1 100 Continue\r\n\r\n"):
            data += client.recv(65536)
        client.sendall(b"body")
        until(lambda: len(running.api.requests) == 2)
        running.answer_all()
        response, body = read_answer(client)
    assert response.status_code == 200
    assert json.loads(body)["body"] == "body"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(post(b"body", "Expect: 100-continue"), 200, id="the body is there"),
        pytest.param(post(b"", "Expect: 100-continue"), 200, id="no body"),
        pytest.param(post(b"body", "Expect: 100-Continue")[:-3] + b"ody", 200, id="in any case"),
        pytest.param(post(b"body" * 5, "Expect: 100-continue")[:-20], 413, id="too long"),
        pytest.param(post(b"body", "Expect: a raise"), 417, id="unknown"),
        pytest.param(post(b"body", "Expect: a raise").replace(b"1.1", b"1.0"), 200, id="HTTP/1.0"),
    ],
)
def test_no_continue(request_, status):
    with serving(body_bytes=10) as running:
        ((response, _),) = running.ask(request_)
    assert response.status_code == status


# Limits


def refused(running: Running, data: bytes) -> int:
    """Send `data` and wait, keeping our side open; the status of the answer, after which the server closes."""
    with running.connect() as client:
        client.sendall(data)
        ((response, body),) = answers(read_to_end(client))
        assert header(response, "connection") == "close"
        assert json.loads(body)["message"].endswith(".")
        return int(response.status_code)


def test_the_head_has_a_limit(loop):
    request = get("/", "X: " + "x" * 50)
    with serving(loop=loop, head_bytes=len(request)) as running:
        found = running.ask(request + b"\r\n" + request)
        assert [response.status_code for response, _ in found] == [200, 200]
        assert refused(running, request.replace(b"xx", b"xxx", 1)) == 431
        assert refused(running, b"GET /" + b"x" * len(request)) == 431
        assert refused(running, get("/")[:-2] + b"X: " + b"x" * len(request)) == 431


def test_the_number_of_headers_has_a_limit():
    with serving(headers=3) as running:
        ((response, _),) = running.ask(get("/", "X: 1", "Y: 2"))
        assert response.status_code == 200
        assert refused(running, get("/", "X: 1", "X: 2", "X: 3")) == 431


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def test_the_body_has_a_limit(loop):
    with serving(loop=loop, body_bytes=10) as running:
        found = running.ask(post(b"x" * 10) + chunked(b"x" * 9, b"x"))
        assert [json.loads(body)["body"] for _, body in found] == ["x" * 10] * 2
        assert refused(running, post(b"x" * 11)[:-11]) == 413
        assert refused(running, post(b"").replace(b": 0", b": " + b"9" * 5000)) == 413
        assert refused(running, chunked(b"x" * 9, b"x" * 5, end=b"")) == 413


def test_what_surrounds_chunks_has_a_limit():
    with serving(head_bytes=200) as running:
        ((response, _),) = running.ask(chunked(b"x", end=b"0\r\nX: " + b"x" * 100 + b"\r\n\r\n"))
        assert response.status_code == 200
        assert refused(running, chunked(b"x", end=b"0\r\nX: " + b"x" * 400)) == 400
        assert refused(running, chunked(b"x", end=b"1;" + b"x" * 400)) == 400


def test_a_refusal_reaches_a_peer_that_goes_on_sending(loop):
    with serving(loop=loop, body_bytes=10, linger_seconds=PATIENCE_SECONDS) as running:
        assert refused(running, post(b"x" * 4_000_000)) == 413


@pytest.mark.parametrize("limits", [{"linger_seconds": 0.1}, {"linger_seconds": 600, "linger_bytes": 1000}])
def test_lingering_has_limits(loop, limits):
    with serving(loop=loop, body_bytes=10, **limits) as running, running.connect() as client:
        client.sendall(post(b"x" * 11)[:-11])
        assert read_answer(client)[0].status_code == 413
        with suppress(ConnectionError):
            client.sendall(b"x" * 2000)
        until(lambda: not running.server.connections)


@pytest.mark.parametrize("part", [b"G", get("/")[:-1], b"\r"])
def test_the_head_has_a_time(part):
    with serving(head_seconds=0.1) as running:
        assert refused(running, part) == 408


@pytest.mark.parametrize("part", [post(b"body")[:-1], chunked(b"body", end=b"0\r\n")])
def test_the_body_has_a_time(loop, part):
    with serving(loop=loop, body_seconds=0.1) as running:
        assert refused(running, part) == 408


def test_trickling_does_not_extend_the_time():
    with serving(head_seconds=0.2) as running, running.connect() as client:
        client.sendall(b"GET /")
        with suppress(ConnectionError):
            for _ in range(PATIENCE_SECONDS * 100):
                client.sendall(b"x")
                client.settimeout(0.01)
                with suppress(TimeoutError):
                    assert client.recv(12) == b"HTTP/1.1 408"
                    return
        pytest.fail("It went on for ever.")


def test_every_head_has_its_own_time():
    request = get("/")
    with serving(head_seconds=1.5) as running, running.connect() as client:
        client.sendall(request[:9])
        for _ in range(4):
            time.sleep(0.5)
            client.sendall(request[9:] + request[:9])
        client.shutdown(socket.SHUT_WR)
        assert [response.status_code for response, _ in answers(read_to_end(client))] == [200] * 4


def test_an_idle_connection_is_closed_without_a_word(loop):
    with serving(loop=loop, idle_seconds=0.1) as running, running.connect() as fresh, running.connect() as used:
        assert read_to_end(fresh) == b""
        used.sendall(get("/"))
        with suppress(ConnectionError):  # it may have been closed before
            assert len(answers(read_to_end(used))) in (0, 1)


def test_the_api_has_all_the_time_it_needs():
    short = {"head_seconds": 0.05, "body_seconds": 0.05, "idle_seconds": 0.05, "write_seconds": 0.05}
    with serving(Patient(), pipelined=1, **short) as running, running.connect() as client:
        client.sendall(get("/a") + get("/b") + b"GET")
        for count in (1, 2):
            until(lambda count=count: len(running.api.requests) == count)
            time.sleep(0.2)
            running.answer_all()
        statuses = [response.status_code for response, _ in answers(read_to_end(client))]
    assert statuses == [200, 200, 408]


def test_a_peer_that_does_not_read_is_cut_off(loop):
    class Api(Echo):
        def answer(self, request: Request) -> Response:
            return Response(200, HEAD, b"x" * 1_000_000)

    with serving(Api(), loop, write_seconds=0.2) as running, running.connect() as client:
        client.sendall(get("/") * 100)
        until(lambda: len(running.api.requests) > 0)
        until(lambda: not running.server.connections)
        assert len(running.api.requests) < 100, "requests of a peer that does not read are not taken up"
        with suppress(ConnectionResetError):
            assert len(read_to_end(client)) < 100_000_000


def test_a_slow_reader_gets_everything(loop):
    class Api(Echo):
        def answer(self, request: Request) -> Response:
            return Response(200, HEAD, b"x" * 300_000)

    with serving(Api(), loop) as running, running.connect() as client:
        client.sendall(get("/") * 30)
        until(lambda: len(running.api.requests) >= 1)
        time.sleep(0.2)
        client.shutdown(socket.SHUT_WR)
        assert [len(body) for _, body in answers(read_to_end(client))] == [300_000] * 30


def test_pipelining_has_a_limit(loop):
    with serving(Patient(), loop, pipelined=3) as running, running.connect() as client:
        client.sendall(b"".join(get(f"/{i}") for i in range(8)))
        for count in (3, 6, 8):
            until(lambda count=count: len(running.api.requests) == count)
            time.sleep(0.02)
            assert len(running.api.requests) == count
            running.answer_all()
        client.shutdown(socket.SHUT_WR)
        found = answers(read_to_end(client))
    assert [json.loads(body)["path"] for _, body in found] == [f"/{i}" for i in range(8)]


def test_connections_have_a_limit(loop):
    with serving(loop=loop, connections=2) as running:
        with running.connect() as one, running.connect() as two:
            for client in (one, two):
                client.sendall(get("/"))
                assert read_answer(client)[0].status_code == 200
            with running.connect() as three:
                ((response, _),) = answers(read_to_end(three))
            assert response.status_code == 503
            assert header(response, "x-amzn-errortype") == "ServiceUnavailableException"
        until(lambda: not running.server.connections)
        assert len(running.ask(get("/"))) == 1


def test_far_too_many_connections_are_not_even_answered():
    with (
        serving(connections=1, linger_seconds=600) as running,
        running.connect(),
        running.connect(),
        running.connect() as third,
    ):
        until(lambda: len(running.server.connections) == 2)
        with suppress(ConnectionResetError):
            assert read_to_end(third) == b""


# TLS; what is tested above for every `loop` holds over TLS too


@pytest.fixture(params=LOOPS)
def bare_loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def trusting_only(cert: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cert)


def test_a_real_client_over_tls(bare_loop, tmp_path, caplog):
    cert, key = make_certificate(tmp_path)
    body = b"x" * 1024 * 1024
    with (
        serving(loop=bare_loop, tls=tls_context(cert, key)) as running,
        httpx.Client(base_url=f"https://localhost:{running.port}", verify=trusting_only(cert)) as client,
    ):
        for _ in range(3):
            assert client.get("/a").json()["path"] == "/a"
        assert client.post("/b", content=body).json()["body"] == body.decode()
        assert client.post("/c", content=iter([b"in ", b"chunks"])).json()["body"] == "in chunks"
        assert len(running.server.connections) == 1
    assert {(request.source_ip, request.secure) for request in running.api.requests} == {("127.0.0.1", True)}
    assert not caplog.records


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_socket_over_tls(bare_loop, tmp_path, version):
    cert, key = make_certificate(tmp_path)
    context = trusting_only(cert)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        serving(Backwards(), bare_loop, tls_context(cert, key)) as running,
        context.wrap_socket(running.connect_bare(), server_hostname="localhost") as client,
    ):
        assert client.selected_alpn_protocol() == "http/1.1"
        assert client.compression() is None
        client.sendall(b"".join(get(f"/{i}") for i in range(5)) + chunked(b"a", b"b") + get("/6", "Connection: close"))
        found = answers(read_to_end(client))
    told = [json.loads(body) for _, body in found]
    assert [(t["path"], t["body"]) for t in told] == [*((f"/{i}", "") for i in range(5)), ("/", "ab"), ("/6", "")]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_before_1_2_is_refused(bare_loop, caplog):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(loop=bare_loop + TLS) as running:
        with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"), running.connect_bare() as raw:
            context.wrap_socket(raw)
        until(lambda: not running.server.connections)
    assert not caplog.records


@pytest.mark.parametrize("part", [0, 1, 100])
def test_the_handshake_has_a_time(bare_loop, part, caplog):
    hello = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        trusting().wrap_bio(ssl.MemoryBIO(), hello).do_handshake()
    with serving(loop=bare_loop + TLS, handshake_seconds=0.3) as running, running.connect_bare() as client:
        client.sendall(hello.read(part) if part else b"")
        until(lambda: len(running.server.connections) == 1)
        with running.connect() as other:
            other.sendall(get("/"))
            assert read_answer(other)[0].status_code == 200
            with suppress(ConnectionResetError):
                assert client.recv(100) == b""
            other.sendall(get("/"))  # its own has passed
            assert read_answer(other)[0].status_code == 200
    assert not caplog.records


def test_who_has_not_shaken_hands_is_counted(bare_loop):
    with serving(loop=bare_loop + TLS, connections=1) as running, running.connect_bare() as silent:
        until(lambda: len(running.server.connections) == 1)
        with running.connect() as client:
            ((response, _),) = answers(read_to_end(client))
            assert response.status_code == 503
        until(lambda: len(running.server.connections) == 1)
        with running.connect_bare():
            until(lambda: len(running.server.connections) == 2)
            with running.connect_bare() as third, pytest.raises(ConnectionError):
                TlsSocket(third)
        silent.close()
        until(lambda: not running.server.connections)


def test_one_too_many_has_no_more_time_for_its_handshake(bare_loop):
    with (
        serving(loop=bare_loop + TLS, handshake_seconds=0.3, connections=1) as running,
        running.connect_bare(),
        running.connect_bare() as one_too_many,
    ):
        until(lambda: len(running.server.connections) == 2)
        with suppress(ConnectionResetError):
            assert one_too_many.recv(100) == b""
        until(lambda: not running.server.connections)


def test_stop_does_not_wait_for_a_handshake(bare_loop):
    with (
        serving(loop=bare_loop + TLS, drain_seconds=600, linger_seconds=600, connections=1) as running,
        running.connect_bare() as silent,
        running.connect_bare() as one_too_many,
    ):
        until(lambda: len(running.server.connections) == 2)
        asyncio.run_coroutine_threadsafe(running.server.stop(), running.loop).result(PATIENCE_SECONDS)
        assert silent.recv(100) == one_too_many.recv(100) == b""


@pytest.mark.parametrize("request_", [get("/"), b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", post(b"x" * 100_000)])
def test_http_on_the_port_of_https_is_told_so(bare_loop, request_, caplog):
    with serving(loop=bare_loop + TLS) as running:
        with running.connect_bare() as client:
            client.sendall(request_)
            ((response, body),) = answers(read_to_end(client))
        until(lambda: not running.server.connections)
    assert response.status_code == 400
    assert "HTTPS" in json.loads(body)["message"]
    assert not running.api.requests
    assert not caplog.records


@pytest.mark.parametrize("junk", [b"\0" * 100, b"\x16\x03\x01\x00\x05junk!", b"\r\n" + get("/"), b"\x80" * 9])
def test_what_is_no_tls_is_cut_off(bare_loop, junk, caplog):
    with serving(loop=bare_loop + TLS) as running:
        with running.connect_bare() as client:
            client.sendall(junk)
            with suppress(ConnectionResetError):
                assert b"HTTP" not in read_to_end(client)
        until(lambda: not running.server.connections)
    assert not running.api.requests
    assert not caplog.records


def test_a_peer_that_breaks_tls_is_cut_off(bare_loop, caplog):
    with serving(Patient(), bare_loop + TLS) as running:
        with running.connect() as client:
            client.sendall(get("/a") + get("/half")[:-2])
            until(lambda: len(running.api.requests) == 1)
            client.raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)  # a record that nobody encrypted
            until(lambda: not running.server.connections)
        running.answer_all()
        assert len(running.api.requests) == 1
    assert not caplog.records


@pytest.mark.parametrize("ending", ["TLS only", "TCP only"])
def test_whoever_ends_one_layer_only_is_answered(bare_loop, ending, caplog):
    with serving(Patient(), bare_loop + TLS) as running:
        with running.connect() as client:
            client.sendall(get("/a") + get("/half")[:-2])
            if ending == "TLS only":
                client.end_tls()
            else:
                client.raw.shutdown(socket.SHUT_WR)
            until(lambda: all(connection._eof for connection in running.server.connections))
            assert len(running.api.requests) == 1
            running.answer_all()
            ((response, body),) = answers(read_to_end(client))
        assert json.loads(body)["path"] == "/a"
        assert header(response, "connection") == "close"
        until(lambda: not running.server.connections)
    assert not caplog.records


def test_what_follows_the_end_of_tls_is_thrown_away_and_has_a_limit(bare_loop):
    with serving(Patient(), bare_loop + TLS, linger_bytes=2_000_000) as running, running.connect() as client:
        client.sendall(get("/a"))
        until(lambda: len(running.api.requests) == 1)
        (connection,) = running.server.connections
        client.end_tls()
        until(lambda: connection._eof)
        client.raw.sendall(b"x" * 1_000_000)
        until(lambda: connection._unheard == 1_000_000)
        assert connection._transport._incoming.pending == 0
        with suppress(ConnectionError):
            client.raw.sendall(b"x" * 2_000_000)
        until(lambda: not running.server.connections)


def test_a_last_answer_is_sent_to_its_end(loop):
    """Closing waits for a slow reader longer than it lingers."""

    class Api(Echo):
        def answer(self, request: Request) -> Response:
            return Response(200, HEAD, b"x" * 8_000_000)

    with serving(Api(), loop, linger_seconds=0.1) as running, running.connect() as client:
        client.sendall(get("/", "Connection: close"))
        until(lambda: len(running.api.requests) == 1)
        time.sleep(0.5)
        assert [len(body) for _, body in answers(read_to_end(client))] == [8_000_000]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_certificate_is_renewed_for_new_connections(bare_loop, tmp_path, replaced):
    old_cert, old_key = make_certificate(tmp_path, "old")
    new_key = rsa.generate_private_key(65537, 2048) if replaced else None
    new_cert, new_key_path = make_certificate(tmp_path, "new", new_key)
    with serving(loop=bare_loop, tls=tls_context(old_cert, old_key)) as running:

        def connect(cert: Path) -> ssl.SSLSocket:
            return trusting_only(cert).wrap_socket(running.connect_bare(), server_hostname=cert.stem)

        def renew() -> None:
            if replaced:
                running.server.tls = tls_context(new_cert, new_key_path)
            else:
                running.server.tls.load_cert_chain(new_cert, new_key_path)

        with connect(old_cert) as before:
            before.sendall(get("/"))
            assert read_answer(before)[0].status_code == 200
            running.call(renew)
            with connect(new_cert) as after:
                for client in (before, after):
                    client.sendall(get("/"))
                    assert read_answer(client)[0].status_code == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(old_cert)


def test_files_that_make_no_tls_are_errors_that_name_them(tmp_path):
    cert, key = make_certificate(tmp_path)
    _, other_key = make_certificate(tmp_path, "other")
    _, rsa_key = make_certificate(tmp_path, "rsa", rsa.generate_private_key(65537, 2048))
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        private_pem(ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"secret"))
    )
    missing = tmp_path / "missing"
    for paths, kind, culprit in (
        ((missing, key), FileNotFoundError, missing),
        ((cert, missing), FileNotFoundError, missing),
        ((cert, tmp_path), IsADirectoryError, tmp_path),
        ((cert, other_key), ssl.SSLError, f"{other_key} is not that of the certificate {cert}"),
        ((cert, rsa_key), ssl.SSLError, f"{rsa_key} is not that of the certificate {cert}"),
        ((key, cert), ssl.SSLError, f"{key} must hold a certificate and {cert} its private key"),
        ((cert, encrypted), OSError, f"{encrypted} is encrypted"),
    ):
        with pytest.raises(kind) as caught:
            tls_context(*paths)
        assert str(culprit) in str(caught.value)


# Who sent it

SPOOFED = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https")


def senders(running: Running, *requests: bytes) -> list[tuple[str, bool]]:
    return [(t["source_ip"], t["secure"]) for t in (json.loads(body) for _, body in running.ask(*requests))]


@pytest.mark.parametrize("trusted", [(), (ip_network("10.0.0.0/8"), ip_network("::1/128"))])
def test_a_peer_that_is_no_trusted_proxy_speaks_for_itself(loop, trusted):
    with serving(loop=loop, trusted_proxies=trusted) as running:
        found = senders(running, get("/") + get("/", *SPOOFED) + chunked(b"x"))
    assert found == [("127.0.0.1", loop.endswith(TLS))] * 3


def test_a_trusted_proxy_speaks_for_others(loop):
    """For each of those whom it serves over one connection, whether the body comes with the head or after it."""
    split = post(b"body", "X-Forwarded-For: 203.0.113.9, 198.51.100.7", "X-Forwarded-Proto: https")
    with serving(loop=loop, trusted_proxies=(ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))) as running:
        found = senders(
            running,
            get("/"),
            get("/", *SPOOFED),
            split[:-2],
            split[-2:],
            get("/", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.1.2.3", "X-Forwarded-Proto: http"),
        )
        hosts = {request.headers["host"] for request in running.api.requests}
    assert found == [
        ("127.0.0.1", loop.endswith(TLS)),
        ("203.0.113.9", True),
        ("198.51.100.7", True),
        ("203.0.113.9", False),
    ]
    assert hosts == {"a"}


# RFC 9112, section by section, with h11 as the second opinion

H = b"Host: a\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
Parsed = tuple[str, str, dict[str, str], str]


def h11_requests(data: bytes) -> list[Parsed]:
    """Method, target, headers and body of each request in `data`, as h11 reads them; its error if it refuses."""
    found = []
    while data:
        server = h11.Connection(h11.SERVER)
        server.receive_data(data)
        request, body = server.next_event(), b""
        if request is h11.NEED_DATA:
            raise h11.RemoteProtocolError("The head does not end.")
        assert isinstance(request, h11.Request), request
        while not isinstance(event := server.next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise h11.RemoteProtocolError("The body does not end.")
            body += bytes(event.data)
        headers: dict[str, str] = {}
        for key, value in ((key.decode(), value.decode("latin-1")) for key, value in request.headers):
            headers[key] = f"{headers[key]},{value}" if key in headers else value
        found.append((request.method.decode(), request.target.decode(), headers, body.decode("latin-1")))
        data = server.trailing_data[0]
    return found


def our_requests(found: list[tuple[h11.Response, bytes]]) -> list[Parsed]:
    """The same, as the echoes in these answers tell it."""
    told = [json.loads(body) for response, body in found if response.status_code == 200]
    return [(t["method"], t["path"] + ("?" + t["query"] if t["query"] else ""), t["headers"], t["body"]) for t in told]


@pytest.fixture(scope="module", params=LOOPS)
def echo(request: pytest.FixtureRequest) -> Iterator[Running]:
    with serving(loop=request.param) as running:
        yield running


ACCEPTED = {
    "2.2 an empty line before a request": b"\r\n\r\nGET / HTTP/1.1\r\n" + H + b"\r\n",
    "3.1 any method llhttp knows": b"M-SEARCH / HTTP/1.1\r\n" + H + b"\r\n",
    "3.2.1 origin form, raw": b"GET /%2B1/a%20b//../?a=%2B&b=?#&"[:-2] + b" HTTP/1.1\r\n" + H + b"\r\n",
    "3.2.1 characters that should have been encoded": b'GET /<>"{}|\\^` HTTP/1.1\r\n' + H + b"\r\n",
    "3.2.4 asterisk form": b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n",
    "2.3 HTTP/1.0 without a Host": b"GET / HTTP/1.0\r\n\r\n",
    "5 names in any case": b"GET / HTTP/1.1\r\nhOST: a\r\nX-aMZ-Date: Now\r\n\r\n",
    "5 repeated headers": b"GET / HTTP/1.1\r\nX: 1\r\n" + H + b"x: 2\r\nX:\r\n\r\n",
    "5.1 white space around values": b"GET / HTTP/1.1\r\nHost:a \t\r\nX: \t a  b \t \r\nY: \t\r\n\r\n",
    "5.5 of RFC 9110: obs-text, at the ends too": b"GET / HTTP/1.1\r\n" + H + b"X: \xa0\xc3\x85 \r\n\r\n",
    "3.2 Host with a port": b"GET / HTTP/1.1\r\nHost: service.chime.aws.amazon.com:8443\r\n\r\n",
    "3.2 Host that is an address": b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    "6.2 a body by length": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\n\r\n\r\n\0",
    "6.2 a length with zeros before it": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 003\r\n\r\nabc",
    "6.3 a GET with a body": b"GET / HTTP/1.1\r\n" + H + b"Content-Length: 3\r\n\r\nabc",
    "6.3 no length, no body": b"POST / HTTP/1.1\r\n" + H + b"\r\nPOST /2 HTTP/1.1\r\n" + H + b"\r\n",
    "7.1 chunks": CHUNKED + b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "7.1 chunks that hold what ends them": CHUNKED + b"9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n" + CHUNKED + b"0\r\n\r\n",
    "7.1 sizes with zeros before them": CHUNKED + b"0003\r\nabc\r\n00\r\n\r\n",
    "7.1.1 chunk extensions": CHUNKED + b'3;a=b;c="d"\r\nabc\r\n0;e\r\n\r\n',
    "7.1.2 trailers": CHUNKED + b"3\r\nabc\r\n0\r\nX: y\r\nHost: b\r\n\r\n",
    "9.3 keep-alive in HTTP/1.0": b"GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n" * 2,
    "7.8 of RFC 9110: Upgrade is ignored": (
        b"POST / HTTP/1.1\r\n" + H + b"connection: Upgrade, HTTP2-Settings\r\nUPGRADE: h2c\r\n"
        b"Content-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n" + H + b"\r\n"
    ),
    "9 Proxy-Connection says nothing": (b"GET / HTTP/1.1\r\n" + H + b"Proxy-Connection: close\r\n\r\n") * 2,
}


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_rfc_9112_accepted(echo: Running, data: bytes) -> None:
    expected = h11_requests(data.lstrip(b"\r\n"))  # h11 takes one empty line, we take any number
    assert our_requests(echo.ask(data)) == expected
    by_byte = [data[i : i + 1] for i in range(len(data))]
    assert our_requests(echo.ask(*by_byte)) == expected


def framed(headers: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\n" + H + headers + b"\r\n" + body


# What we refuse, the status, and why h11 does not refuse it where it does not.
LAX = "h11 is laxer: "
REFUSED = {
    "2.2 a bare LF ends the request line": (b"GET / HTTP/1.1\n" + H + b"\r\n", 400, LAX + "2.2 allows it"),
    "2.2 bare LFs only": (b"GET / HTTP/1.1\nHost: a\n\n", 400, LAX + "2.2 allows it"),
    "2.2 a bare LF ends a header": (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, LAX + "2.2 allows it"),
    "2.2 a bare LF ends the head": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, LAX + "2.2 allows it"),
    "2.2 a bare LF before a request": (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
    "2.2 a bare CR ends a header": (b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400, ""),
    "2.2 bare CRs only": (b"GET / HTTP/1.1\rHost: a\r\rX", 400, ""),
    "2.2 a bare CR before a request": (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
    "2.2 a bare CR before CR LF": (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, ""),
    "2.2 white space before the first header": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, ""),
    "2.2 white space before a request": (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
    "2.2 TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, ""),
    "2.3 HTTP/0.9": (b"GET /\r\n\r\n", 400, ""),
    "2.3 HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, LAX + "2.5 of RFC 9110 allows a higher minor"),
    "2.3 HTTP/2.0": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, LAX + "it leaves the version to the server"),
    "2.3 PRI in HTTP/1.1": (b"PRI * HTTP/1.1\r\nHost: a\r\n\r\nSM\r\n\r\n", 400, LAX + "to it PRI is a method"),
    "2.3 HTTP/1.10": (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, ""),
    "2.3 http/1.1": (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400, ""),
    "2.3 RTSP, which llhttp would take": (b"GET / RTSP/1.0\r\n\r\n", 400, ""),
    "3 two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
    "3 a tab for a space": (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
    "3 a space at the end": (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, ""),
    "3 a space in the target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
    "3.1 an unknown method": (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 501, LAX + "it leaves the method to the server"),
    "3.1 a method in lower case": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501, LAX + "likewise"),
    "3.2 NUL in the target": (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
    "3.2 a byte over 127 in the target": (b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
    "3.2 a fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, LAX + "it leaves the target to the server"),
    "3.2 a fragment after the query": (b"GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n", 400, LAX + "likewise"),
    "3.2 a relative target": (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, LAX + "likewise"),
    "3.2.2 another scheme": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, LAX + "likewise"),
    "3.2.2 no host": (b"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 400, LAX + "likewise"),
    "3.2.2 user information": (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, LAX + "likewise"),
    "3.2.2 a fragment": (b"GET http://a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, LAX + "likewise"),
    "3.2.3 CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400, LAX + "it leaves the method to the server"),
    "3.2.3 CONNECT to a path": (b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400, LAX + "likewise"),
    "3.2.4 an asterisk for GET": (
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        LAX + "it leaves the target to the server",
    ),
    "3.2.4 more than an asterisk": (b"OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", 400, LAX + "likewise"),
    "3.2 no Host": (b"GET / HTTP/1.1\r\nX: y\r\n\r\n", 400, ""),
    "3.2 no Host beside an absolute target": (b"GET http://a/ HTTP/1.1\r\nX: y\r\n\r\n", 400, ""),
    "3.2 two Hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400, ""),
    "3.2 two Hosts in HTTP/1.0": (b"GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n", 400, ""),
    "3.2 an empty Host": (b"GET / HTTP/1.1\r\nHost: \r\n\r\n", 400, LAX + "3.2 allows it where no URI has a host"),
    "3.2 a path in Host": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, LAX + "it does not look into Host"),
    "3.2 a user in Host": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, LAX + "likewise"),
    "3.2 a port that is none": (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, LAX + "likewise"),
    "3.2 a space in Host": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, LAX + "likewise"),
    "3.2 obs-text in Host": (b"GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n", 400, LAX + "likewise"),
    "5.1 a space before the colon": (framed(b"X : y\r\n"), 400, ""),
    "5.1 no name": (framed(b": y\r\n"), 400, ""),
    "5.1 no colon": (framed(b"X\r\n"), 400, ""),
    "5.1 a name that is no token": (framed(b"X\xe9: y\r\n"), 400, ""),
    "5.2 a folded line": (framed(b"X: a\r\n b\r\n"), 400, LAX + "5.2 allows a server to unfold"),
    "5.2 a folded line, by a tab": (framed(b"X: a\r\n\tb\r\n"), 400, LAX + "likewise"),
    "5.2 a folded Content-Length": (framed(b"Content-Length:\r\n 3\r\n", b"abc"), 400, LAX + "likewise"),
    "5.5 of RFC 9110: NUL": (framed(b"X: a\0b\r\n"), 400, ""),
    "5.5 of RFC 9110: a control character": (framed(b"X: a\x01b\r\n"), 400, LAX + "it refuses NUL and line ends only"),
    "5.5 of RFC 9110: DEL": (framed(b"X: a\x7fb\r\n"), 400, LAX + "likewise"),
    "6.1 gzip": (framed(b"Transfer-Encoding: gzip\r\n"), 400, ""),
    "6.1 gzip, chunked": (framed(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 501, ""),
    "6.1 chunked twice": (framed(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), 400, ""),
    "6.1 chunked in two lines": (framed(b"Transfer-Encoding: chunked\r\n" * 2, b"0\r\n\r\n"), 400, ""),
    "6.1 chunked, identity": (framed(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"), 400, ""),
    "6.1 xchunked": (framed(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 400, ""),
    "6.1 an empty one": (framed(b"Transfer-Encoding: \r\n", b"0\r\n\r\n"), 400, ""),
    "6.1 in HTTP/1.0": (CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", 400, LAX + "it decodes it"),
    "6.1 beside Content-Length": (
        CHUNKED[:-2] + b"Content-Length: 3\r\n\r\n0\r\n\r\n",
        400,
        LAX + "6.3 prefers chunks",
    ),
    "6.2 two lengths": (framed(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abc"), 400, ""),
    "6.2 the same length twice": (framed(b"Content-Length: 3\r\n" * 2, b"abc"), 400, LAX + "6.3 allows it"),
    "6.2 the same length in a list": (framed(b"Content-Length: 3, 3\r\n", b"abc"), 400, LAX + "6.3 allows it"),
    "6.2 +3": (framed(b"Content-Length: +3\r\n", b"abc"), 400, ""),
    "6.2 -3": (framed(b"Content-Length: -3\r\n", b"abc"), 400, ""),
    "6.2 0x3": (framed(b"Content-Length: 0x3\r\n", b"abc"), 400, ""),
    "6.2 3 4": (framed(b"Content-Length: 3 4\r\n", b"abc"), 400, ""),
    "6.2 no digit": (framed(b"Content-Length: \r\n", b"abc"), 400, ""),
    "6.2 a superscript": (framed(b"Content-Length: \xb3\r\n", b"abc"), 400, ""),
    "7.1 no size": (CHUNKED + b"\r\nabc\r\n0\r\n\r\n", 400, ""),
    "7.1 0x3": (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", 400, ""),
    "7.1 +3": (CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n", 400, ""),
    "7.1 a space after the size": (CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n", 400, LAX + "some servers pad"),
    "7.1 more than 64 bits": (CHUNKED + b"f" * 17 + b"\r\nabc\r\n0\r\n\r\n", 400, ""),
    "7.1 a bare LF after the size": (CHUNKED + b"3\nabc\r\n0\r\n\r\n", 400, ""),
    "7.1 a bare LF after the data": (CHUNKED + b"3\r\nabc\n0\r\n\r\n", 400, ""),
    "7.1 more data than the size": (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", 400, ""),
    "7.1 a bare LF after the last chunk": (CHUNKED + b"0\n\r\n\r\n\r\n", 400, ""),
    "7.1.1 a bare LF in an extension": (CHUNKED + b"3;a\nabc\r\n0\r\n\r\n", 400, ""),
    "7.1.1 a control character in an extension": (CHUNKED + b"3;\x01\r\nabc\r\n0\r\n\r\n", 400, LAX + "it skips them"),
    "7.1.2 a trailer that is no header": (CHUNKED + b"0\r\nX : y\r\n\r\n", 400, ""),
    "7.1.2 a length in a trailer": (CHUNKED + b"0\r\nContent-Length: 3\r\n\r\n", 400, LAX + "it drops trailers"),
}


@pytest.mark.parametrize(("data", "status", "h11_is_lax"), REFUSED.values(), ids=REFUSED)
def test_rfc_9112_refused(echo: Running, data: bytes, status: int, h11_is_lax: str) -> None:
    before = len(echo.api.requests)
    with echo.connect() as client:
        client.sendall(data + get("/smuggled"))
        ((response, body),) = answers(read_to_end(client))
    assert response.status_code == status
    assert header(response, "connection") == "close"
    assert header(response, "x-amzn-errortype").endswith("Exception")
    assert json.loads(body)["message"].endswith(".")
    assert len(echo.api.requests) == before
    if h11_is_lax:
        h11_requests(data[: data.find(b"SM")] if b"PRI" in data else data)
    else:
        with pytest.raises(h11.RemoteProtocolError):
            h11_requests(data)


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        ("http://b/a/%20?c=d?", "/a/%20", "c=d?", "b"),
        ("HTTP://b:80", "/", "", "b:80"),
        ("http://[::1]?c", "/", "c", "[::1]"),
        ("//b/a", "//b/a", "", "a"),
    ],
)
def test_rfc_9112_3_2_2_an_absolute_target_replaces_host(echo: Running, target, path, query, host) -> None:
    ((_, body),) = echo.ask(get(target))
    told = json.loads(body)
    assert (told["path"], told["query"], told["headers"]["host"]) == (path, query, host)


def test_rfc_9112_7_codings_have_no_case(echo: Running) -> None:
    ((_, body),) = echo.ask(CHUNKED.replace(b"chunked", b"Chunked") + b"1\r\na\r\n0\r\n\r\n")
    told = json.loads(body)  # h11 would have turned the header's value into lower case
    assert (told["body"], told["headers"]["transfer-encoding"]) == ("a", "Chunked")


def test_rfc_9112_7_1_long_chunks_end_where_they_end() -> None:
    lengths = range(80, 120)  # so that the end lies on each side of the step in which chunks are taken
    with serving(head_bytes=100, pipelined=100) as running:
        found = running.ask(b"".join(chunked(b"x" * length) for length in lengths))
    assert [len(json.loads(body)["body"]) for _, body in found] == list(lengths)


def test_of_a_repeated_authorization_the_first_is_kept(echo: Running) -> None:
    ((_, body),) = echo.ask(get("/", "Authorization: one", "X: 1", "authorization: two", "x: 2"))
    headers = json.loads(body)["headers"]
    assert (headers["authorization"], headers["x"]) == ("one", "1,2")


@pytest.mark.parametrize(
    ("request_", "persists"),
    [
        (get("/"), True),
        (get("/", "Connection: closed"), True),
        (get("/", "Connection: x", "Connection: Close"), False),
        (get("/", "Connection: keep-alive, close"), False),
        (get("/", version="1.0"), False),
        (get("/", "Connection: keep-alive", version="1.0"), True),
        (get("/", "Connection: keep-alive, close", version="1.0"), False),
    ],
)
def test_rfc_9112_9_3_persistence(echo: Running, request_: bytes, persists: bool) -> None:
    found = echo.ask(request_ + get("/2"))
    assert [header(response, "connection") for response, _ in found] == (
        ["keep-alive", "keep-alive"] if persists else ["close"]
    )


TOKEN = "!#$%&'*+-.^_`|~" + string.ascii_letters + string.digits
OURS = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "authorization"}
names = st.text(TOKEN, min_size=1, max_size=12).filter(lambda name: name.lower() not in OURS)
values = st.text([chr(c) for c in (*range(0x21, 0x7F), *range(0x80, 0x100))] + [" "] * 9 + ["\t"] * 9, max_size=20)
spaces = st.text(" \t", max_size=3)
targets = st.text([chr(c) for c in range(0x21, 0x7F) if c != ord("#")], max_size=20).map("/".__add__)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """A method, and a valid request made with it."""
    method = draw(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"]))
    fields = draw(st.lists(st.tuples(names, spaces, values, spaces), max_size=6))
    lines = [f"{name}:{before}{value}{after}" for name, before, value, after in fields]
    body = b""
    match draw(st.sampled_from(["none", "length", "chunks"])):
        case "length":
            body = draw(st.binary(max_size=40))
            lines.append(f"Content-Length: {len(body)}")
        case "chunks":
            chunk = st.one_of(st.binary(min_size=1, max_size=20), st.just(b"\r\n0\r\n\r\n"), st.just(b"\r\n\r\n"))
            ext = draw(st.sampled_from([b"", b";a", b";a=b"]))
            body = b"".join(b"%X%b\r\n%b\r\n" % (len(data), ext, data) for data in draw(st.lists(chunk, max_size=6)))
            trailers = draw(st.sampled_from([b"", b"X: y\r\n", b"X: y\r\nZ:\r\n"]))
            body += b"0%b\r\n%b\r\n" % (ext, trailers)
            lines.append("Transfer-Encoding: chunked")
    lines = ["Host: a", *draw(st.permutations(lines))]
    head = "\r\n".join([f"{method} {draw(targets)} HTTP/1.1", *lines, "", ""])
    return method, head.encode("latin-1") + body


@pytest.fixture(scope="module", params=WAYS)
def backwards(request: pytest.FixtureRequest) -> Iterator[Running]:
    with serving(Backwards(), request.param, pipelined=3) as running:
        yield running


@settings(max_examples=150, deadline=None)
@given(data=st.data(), made=st.lists(requests(), min_size=1, max_size=6))
def test_whatever_the_splits_we_read_what_h11_reads(backwards: Running, data, made) -> None:
    stream = b"".join(request for _, request in made)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted), label="cuts")
    pieces = [stream[i:j] for i, j in itertools.pairwise([0, *cuts, len(stream)])]
    backwards.api.requests.clear()
    with backwards.connect() as client:
        backwards.send(client, *pieces)
        client.shutdown(socket.SHUT_WR)
        found = answers(read_to_end(client), [method for method, _ in made])
    expected = h11_requests(stream)
    assert [int(header(response, "content-length")) for response, _ in found] == [
        len(backwards.api.answer(request).body) for request in backwards.api.requests
    ]
    read = [(r.method, f"{r.path}?{r.query}", r.headers, r.body.decode("latin-1")) for r in backwards.api.requests]
    assert read == [(m, target if "?" in target else target + "?", h, b) for m, target, h, b in expected]
    assert our_requests([(r, body) for r, body in found if body]) == [
        (m, target.removesuffix("?") if target.count("?") == 1 else target, h, b)
        for m, target, h, b in expected
        if m != "HEAD"
    ]
