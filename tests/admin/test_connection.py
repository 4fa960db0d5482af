"""What somebody may send to the admin port who has not signed in, over real sockets."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from conftest import Service, Start
from numberkeep.admin import connection
from numberkeep.admin.console import guard


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


def test_who_asks_on_is_answered(monkeypatch: pytest.MonkeyPatch, served: Service) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    with httpx.Client() as client:
        for _ in range(6):
            assert client.get(f"http://127.0.0.1:{served.app.admin_port}/_numberkeep/health").status_code == 200
            time.sleep(0.2)


def test_a_body_has_its_time(
    monkeypatch: pytest.MonkeyPatch, served: Service, peer: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.5)
    began = time.monotonic()
    peer.sendall(b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nConnection: close\r\n\r\nacc")
    assert answer(peer).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 15
    assert not caplog.records, "it is nothing of ours"


def test_another_method_than_there_is_is_told(service: Service) -> None:
    answer = service.admin.get("/reset")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {"message": "/_numberkeep/reset cannot be asked by GET."}
