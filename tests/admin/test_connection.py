"""What somebody may send to the admin port who has not signed in, over real sockets."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from conftest import Service, Start
from numberkeep.admin import connection, guard


@pytest.fixture
def served(start: Start) -> Service:
    return start(dev=False, verify=True)


@pytest.fixture
def peer(served: Service) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", served.app.admin_port), timeout=20) as one:
        yield one


def answer(peer: socket.socket) -> bytes:
    """All that comes until the connection is closed."""
    said = b""
    with suppress(ConnectionResetError):
        while piece := peer.recv(65536):
            said += piece
    return said


def test_a_head_has_a_limit(served: Service, peer: socket.socket) -> None:
    with suppress(OSError):
        peer.sendall(b"GET /sign-in HTTP/1.1\r\nHost: x\r\n")
        for number in range(2000):
            peer.sendall(b"X-%d: %s\r\n" % (number, b"x" * 1000))
    assert not answer(peer).startswith(b"HTTP/1.1 2")
    assert httpx.get(f"http://127.0.0.1:{served.app.admin_port}/sign-in").status_code == 200


@pytest.mark.parametrize("part", [b"", b"GET /sign-in HTTP/1.1\r\nHost:"])
def test_a_head_has_its_time(monkeypatch: pytest.MonkeyPatch, start: Start, part: bytes) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    service = start(dev=False, verify=True)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", service.app.admin_port), timeout=20) as peer:
        peer.sendall(part)
        assert answer(peer) == b""
    assert time.monotonic() - began < 15


def test_who_asks_on_is_answered(monkeypatch: pytest.MonkeyPatch, served: Service, peer: socket.socket) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 1)
    for _ in range(8):
        peer.sendall(b"GET /_numberkeep/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert peer.recv(65536).startswith(b"HTTP/1.1 200")
        time.sleep(0.3)


def test_an_answer_that_is_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    service = start(dev=False, verify=True)
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with peer:
        peer.connect(("127.0.0.1", service.app.admin_port))
        peer.setblocking(False)
        with suppress(BlockingIOError, ConnectionError):
            for _ in range(20_000):
                peer.send(b"GET /static/htmx.min.js HTTP/1.1\r\nHost: x\r\n\r\n")
        connections = service.app._admin.server_state.connections
        until = time.monotonic() + 20
        while connections and time.monotonic() < until:
            time.sleep(0.05)
        assert not connections


def test_too_many_are_closed(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 2)
    service = start(dev=False, verify=True)
    with ExitStack() as stack:
        address = ("127.0.0.1", service.app.admin_port)
        peers = [stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(5)]
        assert answer(peers[4]) == b""
        peers[3].sendall(b"GET /_numberkeep/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert peers[3].recv(65536)


def test_a_body_has_its_time(
    monkeypatch: pytest.MonkeyPatch, served: Service, peer: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.5)
    began = time.monotonic()
    peer.sendall(b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nConnection: close\r\n\r\nacc")
    for _ in range(3):  # which is no more time for it
        time.sleep(0.1)
        peer.sendall(b"e")
    assert answer(peer).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 15
    assert not caplog.records, "it is nothing of ours"


def test_another_method_than_there_is_is_told(service: Service) -> None:
    answer = service.admin.get("/reset")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {"message": "/_numberkeep/reset does not take GET; use POST."}
