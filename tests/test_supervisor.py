"""What the supervisor does with workers that start, end, and fail to: processes, but none that needs a store."""

import asyncio
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from numberkeep import supervisor as supervisor_module
from numberkeep.supervisor import Supervisor, WorkerFailed

BEGIN = """
import json, os, signal, socket, sys, time
seat = json.loads(os.environ["NUMBERKEEP_SEAT"])
lifeline = socket.socket(fileno=seat["lifeline_fd"])
"""
SERVE = BEGIN + "lifeline.sendall(b'r'); lifeline.recv(1)\n"
FAIL = BEGIN + "sys.exit(3)\n"
NEVER_READY = BEGIN + "lifeline.recv(1)\n"
SLOW = BEGIN + "time.sleep(0.4); lifeline.sendall(b'r'); lifeline.recv(1)\n"
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
    + SERVE
)


class Logged:
    """What the supervisor has logged, with N for the numbers of processes."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    @property
    def lines(self) -> list[str]:
        return [re.sub(r"pid \d+", "pid N", record.getMessage()) for record in self._caplog.records]

    def __contains__(self, text: str) -> bool:
        return text in "\n".join(self.lines)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Logged:
    monkeypatch.setattr(supervisor_module, "SHORTEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(supervisor_module, "LONGEST_PAUSE_SECONDS", 0.4)
    caplog.set_level(logging.INFO)
    return Logged(caplog)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """What the workers are."""
    return written(tmp_path / "worker", SERVE)


def written(program: Path, text: str) -> Path:
    """The `program`, which is `text` from now on."""
    new = program.with_suffix(".new")
    new.write_text(f"#!{sys.executable} -SE\n{text}")
    new.chmod(0o700)
    return new.rename(program)


@asynccontextmanager
async def supervised(program: Path) -> AsyncIterator[None]:
    """Two workers that serve; SIGTERM in the end, after which none is left."""
    ready = asyncio.Event()
    task = asyncio.create_task(supervise(program, ready.set))
    await until(lambda: ready.is_set() or task.done())
    try:
        yield
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(20):
            await task
        assert not workers(program)


async def supervise(program: Path, ready: Callable[[], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await Supervisor([str(program)], [], [listener] * 2, listener).run(ready)


def workers(program: Path) -> set[int]:
    """The workers that run."""
    found = set()
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        if str(program) in Path(f"/proc/{pid}/cmdline").read_text():  # a dead one's is empty
            found.add(int(pid))
    return found


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_who_serves_who_ended_and_who_is_stopped_is_said(program: Path, logged: Logged) -> None:
    async def scenario() -> None:
        async with supervised(program):
            (first, _) = workers(program)
            os.kill(first, signal.SIGKILL)
            await until(lambda: len(logged.lines) == 4)

    uvloop.run(scenario())
    assert logged.lines[:2] == ["worker 1 (pid N) serves", "worker 2 (pid N) serves"]
    victim = logged.lines[2][:8]
    assert logged.lines[2:4] == [f"{victim} (pid N) has ended with signal 9", f"{victim} (pid N) serves"]
    assert sorted(logged.lines[4:6]) == ["worker 1 (pid N) is being stopped", "worker 2 (pid N) is being stopped"]
    assert logged.lines[6:] == ["the supervisor (pid N) has stopped all workers, and ends"]


def test_a_program_that_is_away_for_a_moment_ends_nothing(program: Path, logged: Logged) -> None:
    async def scenario() -> None:
        async with supervised(program):
            away = program.rename(program.with_suffix(".away"))
            os.kill(min(workers(program)), signal.SIGKILL)
            await until(lambda: "cannot be started: [Errno 2] No such file" in logged)
            assert len(workers(program)) == 1
            away.rename(program)
            await until(lambda: len(workers(program)) == 2)

    uvloop.run(scenario())


def test_a_worker_that_does_not_start_is_a_line_each_time_and_the_pauses_grow(program: Path, logged: Logged) -> None:
    async def scenario() -> None:
        async with supervised(program):
            written(program, FAIL)
            os.kill(min(workers(program)), signal.SIGKILL)
            await until(lambda: len(logged.lines) == 8)
            written(program, SERVE)
            await until(lambda: len(workers(program)) == 2)

    uvloop.run(scenario())
    failures = [line[9:] for line in logged.lines[3:8]]
    assert failures == [
        f"(pid N) has ended with status 3 before it served; the next attempt is in {pause} s"
        for pause in (0.05, 0.1, 0.2, 0.4, 0.4)
    ]
    assert not any(record.exc_info for record in logged._caplog.records)


def test_what_keeps_all_of_them_from_serving_is_said_once(program: Path, logged: Logged, tmp_path: Path) -> None:
    log = tmp_path / "log"
    written(program, f"open({str(log)!r}, 'a').write('it is broken\\n')\n{FAIL}")
    with pytest.raises(WorkerFailed, match=r"worker 1 \(pid \d+\) has ended with status 3 before it served"):
        uvloop.run(supervise(program, pytest.fail))
    assert log.read_text() == "it is broken\n"


def test_a_worker_has_so_long_until_it_serves(program: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "READY_SECONDS", 0.3)
    written(program, NEVER_READY)
    with pytest.raises(WorkerFailed, match=r"worker 1 \(pid \d+\) did not serve within 0.3 s"):
        uvloop.run(supervise(program, pytest.fail))
    assert not workers(program)


def test_sigterm_is_heeded_before_they_serve(program: Path, logged: Logged) -> None:
    async def scenario() -> None:
        task = asyncio.create_task(supervise(program, pytest.fail))
        await until(lambda: workers(program))
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            await task
        assert not workers(program)

    written(program, NEVER_READY)
    uvloop.run(scenario())


def test_sigterm_is_heeded_while_a_worker_is_being_started(
    program: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is there before the supervisor has heard of it, and is ended all the same."""
    start = asyncio.create_subprocess_exec

    async def start_slowly(*args: Any, **kwargs: Any) -> Any:
        process = await start(*args, **kwargs)
        await asyncio.sleep(0.3)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_slowly)
    test_sigterm_is_heeded_before_they_serve(program, logged)


def test_a_worker_that_does_not_end_is_killed(program: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with supervised(program):
            assert len(workers(program)) == 2

    monkeypatch.setattr(supervisor_module, "STOP_SECONDS", 0.3)
    written(program, STUBBORN)
    uvloop.run(scenario())
    assert "worker 1 (pid N) has not ended within 0.3 s, and is killed" in logged
    assert "worker 2 (pid N) has not ended within 0.3 s, and is killed" in logged


def test_sigterm_ends_a_worker_too_that_is_being_replaced(
    program: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with supervised(program):
            monkeypatch.setattr(supervisor_module, "STOP_SECONDS", 600)
            written(program, SERVE)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: "worker 1 (pid N) is being stopped" in logged)
            assert len(workers(program)) == 3
            monkeypatch.setattr(supervisor_module, "STOP_SECONDS", 0.3)

    written(program, STUBBORN)
    uvloop.run(scenario())
    assert "has not ended" in logged


def test_a_seat_has_one_worker_though_two_would_fill_it(program: Path, logged: Logged) -> None:
    """A worker has died and is being replaced when SIGHUP comes to replace it."""

    async def scenario() -> None:
        async with supervised(program):
            written(program, SLOW)
            os.kill(min(workers(program)), signal.SIGKILL)
            await until(lambda: len(workers(program)) == 2)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: "2 of 2 workers were replaced" in logged)
            await asyncio.sleep(0.5)
            assert len(workers(program)) == 2

    uvloop.run(scenario())


def test_sighup_finds_a_seat_empty(program: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to wait for the next attempt."""

    async def scenario() -> None:
        async with supervised(program):
            written(program, FAIL)
            os.kill(min(workers(program)), signal.SIGKILL)
            await until(lambda: "the next attempt is in 600 s" in logged)
            written(program, SERVE)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: "2 of 2 workers were replaced" in logged)
            assert len(workers(program)) == 2

    monkeypatch.setattr(supervisor_module, "SHORTEST_PAUSE_SECONDS", 600)
    monkeypatch.setattr(supervisor_module, "LONGEST_PAUSE_SECONDS", 600)
    uvloop.run(scenario())


def test_how_many_were_replaced_is_said(program: Path, logged: Logged) -> None:
    async def scenario() -> None:
        async with supervised(program):
            before = workers(program)
            written(program, FAIL)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: "0 of 2 workers were replaced" in logged)
            assert workers(program) == before
            written(program, SERVE)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: "2 of 2 workers were replaced" in logged)
            assert len(workers(program) - before) == len(workers(program)) == 2

    uvloop.run(scenario())


def test_the_file_that_they_lock_has_no_name(program: Path, logged: Logged) -> None:
    """So nobody who cleans up takes it away."""
    written(
        program,
        SERVE.replace("lifeline.sendall", "assert os.fstat(seat['lock_fd']).st_nlink == 0; \\\nlifeline.sendall"),
    )

    async def scenario() -> None:
        async with supervised(program):
            assert len(workers(program)) == 2

    uvloop.run(scenario())
