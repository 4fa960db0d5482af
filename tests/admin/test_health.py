"""Whether the process lives, and whether it can be asked: two questions."""

import asyncio
import signal
import socket
import sqlite3
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from conftest import Service, Start
from numberkeep.admin import connection
from numberkeep.admin import health as health_module
from numberkeep.config import Settings

from .. import test_cli
from ..clients.test_processes import Load, children, order, until

E164 = "+12065550100"


@pytest.fixture(autouse=True)
def always_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "KEPT_SECONDS", 0)


def test_a_service_lives_and_is_ready(service: Service) -> None:
    for page, status in (("/health", "ok"), ("/ready", "ready")):
        answer = service.admin.get(page)
        assert answer.status_code == 200
        assert answer.json()["status"] == status
        assert answer.json()["time"] <= service.admin.get("/clock").json()["time"]


def test_a_disk_that_is_full_makes_a_service_unready_until_it_is_not(start: Start, tmp_path: Path) -> None:
    service = start(database=tmp_path / "store.sqlite3")
    writer = service.app.store._writer  # type: ignore[attr-defined]
    assert service.admin.get("/ready").status_code == 200

    async def limit(pages: int) -> None:
        writer.execute(f"PRAGMA max_page_count = {pages}")

    service.run(limit(1))
    seeds = [{"E164PhoneNumber": f"+1206555{line:04}", "ProductType": "VoiceConnector"} for line in range(2000)]
    assert service.admin.post("/numbers", json=seeds).status_code == 503
    assert service.app.store.is_lost, "so ready writes something, to see"
    assert service.admin.get("/health").status_code == 200
    service.run(limit(1_000_000))
    assert service.admin.get("/ready").status_code == 200
    assert not service.app.store.is_lost
    assert service.admin.post("/numbers", json=seeds).status_code == 201


def test_a_file_that_somebody_holds_makes_a_service_unready(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "PATIENCE_SECONDS", 0.5)
    path = tmp_path / "store.sqlite3"
    service = start(database=path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = service.admin.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["message"] == "The store has not answered in 0.5 s."
    assert service.admin.get("/health").status_code == 200
    other.execute("ROLLBACK")
    other.close()
    until(lambda: service.admin.get("/ready").status_code == 200)


def test_a_database_that_can_only_be_read_makes_a_service_unready(postgres_server: Any, postgres_template: str) -> None:
    with postgres_server.database(postgres_template) as url:
        service = Service(Settings(port=0, admin_port=0, database=url, dev=True, empty=True, verify=False))
        service.start()
        try:
            assert service.admin.get("/ready").status_code == 200
            name = url.rpartition("/")[2]
            change(url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
            answer = service.admin.get("/ready")
            assert answer.status_code == 503
            assert "The store cannot be used at the moment" in answer.json()["message"]
            assert service.admin.get("/health").status_code == 200
            change(url, f'SET default_transaction_read_only = off; ALTER DATABASE "{name}" RESET ALL')
            until(lambda: service.admin.get("/ready").status_code == 200)
        finally:
            service.stop()


def change(url: str, sql: str) -> None:
    """And have all who are connected begin anew."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in sql.split("; "):
            connection.execute(statement)  # type: ignore[arg-type]
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_process_whose_worker_has_ended_is_broken(start: Start) -> None:
    service = start()

    async def end() -> None:
        working = service.app._health.working
        assert working
        working.cancel()
        await asyncio.wait([working])

    service.run(end())
    answer = service.admin.get("/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "broken"


def test_ready_is_no_first_and_what_was_begun_is_answered(tmp_path: Path) -> None:
    with test_cli.running("serve", "--database", f"sqlite:///{tmp_path / 'store'}", "--trail", "none") as running:
        process, url, admin = running
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=20) as client:
            client.sendall(b"GET /phone-numbers HTTP/1.1\r\nHost: localhost\r\n")
            time.sleep(0.2)  # it has been accepted, and has begun
            process.send_signal(signal.SIGTERM)
            until(lambda: httpx.get(f"{admin}/ready").status_code == 503)
            assert httpx.get(f"{admin}/ready").json()["message"] == "It is stopping."
            assert httpx.get(f"{admin}/health").status_code == 200
            client.sendall(b"\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 403 ")
        assert process.wait(20) == 0


def test_while_it_delays_all_are_served(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'store'}"
    key = test_cli.create_key(database)
    options = ("--database", database, "--trail", "none", "--rate", "0", "--order-seconds", "0", "--stop-delay", "1.5")
    with test_cli.running("serve", *options) as (process, url, admin):
        order(test_cli.client(url, *key), E164)
        assert httpx.get(f"{admin}/ready").status_code == 200
        load = Load(url, key, E164)
        try:
            process.send_signal(signal.SIGTERM)
            until(lambda: httpx.get(f"{admin}/ready").status_code == 503)
            answered = load.answered
            until(lambda: load.answered > answered + 20)
            assert process.poll() is None
        finally:
            load.stop()
        assert load.failures == []
        assert process.wait(20) == 0


@pytest.mark.parametrize(("is_replaced", "status"), [(True, 200), (False, 503)])
def test_who_had_connected_before_a_service_ended_is_answered(
    start: Start, monkeypatch: pytest.MonkeyPatch, is_replaced: bool, status: int
) -> None:
    monkeypatch.setattr(connection, "LAST_REQUEST_SECONDS", 1.5)  # a busy machine may take its time
    service = start(dev=False, verify=True)
    with ExitStack() as stack:
        peers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", service.app.admin_port), timeout=20))
            for _ in range(4)
        ]
        until(lambda: len(service.app._admin.server_state.connections) == 4)
        asked, *silent = peers
        if is_replaced:

            async def hand_over() -> None:
                service.app.hand_over()

            service.run(hand_over())
        ending = threading.Thread(target=service.stop)
        ending.start()
        until(lambda: service.app._admin.should_exit)
        asked.sendall(b"GET /_numberkeep/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = asked.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer
        assert [one.recv(1) for one in silent] == [b"", b"", b""]
        ending.join()


def test_workers_that_are_replaced_leave_a_service_ready(postgres_server: Any, postgres_template: str) -> None:
    with postgres_server.database(postgres_template) as database:
        options = ("--database", database, "--trail", "none", "--workers", "2", "--stop-delay", "1")
        with test_cli.running("serve", *options) as (supervisor, _, admin):
            answers: list[str] = []
            replaced = threading.Event()

            def ask() -> None:
                while not replaced.is_set():
                    answers.append(httpx.get(f"{admin}/ready", timeout=10).json().get("message", ""))

            asking = threading.Thread(target=ask)
            asking.start()
            old = children(supervisor.pid)
            supervisor.send_signal(signal.SIGHUP)
            until(lambda: len(children(supervisor.pid) - old) == 2 == len(children(supervisor.pid)))
            replaced.set()
            asking.join()
            assert len(answers) > 20
            assert set(answers) == {""}
            supervisor.terminate()
            until(lambda: httpx.get(f"{admin}/ready").status_code == 503)
            assert supervisor.wait(30) == 0
