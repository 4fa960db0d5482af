"""`serve --workers`: several processes serve the same ports, and one that goes is replaced.

Each worker has a listening socket of its own, which the kernel gives its share of the connections. The supervisor
keeps all of them open, so that a worker can be replaced without a connection being refused: those that come meanwhile
wait in its socket for the next one.
"""

import asyncio
import logging
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .config import Seat, environment_of

log = logging.getLogger(__name__)

READY_SECONDS = 60
"""How long a worker has until it serves."""
SHORT_LIFE_SECONDS = 5
"""A worker that ends sooner is replaced after a pause."""
PAUSE_SECONDS = 1

READY = b"r"


class WorkerFailed(Exception):
    """A worker has ended before it served."""


class _Worker(NamedTuple):
    process: asyncio.subprocess.Process
    lifeline: socket.socket
    """Open as long as the supervisor lives: so the worker notices when it does not."""


class Supervisor:
    """Keeps one worker in every seat."""

    def __init__(self, command: Sequence[str], listeners: Sequence[socket.socket], admin: socket.socket) -> None:
        """`command` starts a worker; each gets one of `listeners`, and all share `admin`."""
        self._command = command
        self._listeners = listeners
        self._admin = admin
        self._workers: dict[int, _Worker] = {}

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT; on SIGHUP replace the workers one after the other.

        `ready` is called when all of them serve. Raises WorkerFailed if one of the first does not get that far.
        """
        loop = asyncio.get_running_loop()
        stopped, again = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, again.set)
        seats = range(len(self._listeners))
        with tempfile.TemporaryFile() as lock:
            self._lock_fd = lock.fileno()
            try:
                for filled in await asyncio.gather(*map(self._fill, seats), return_exceptions=True):
                    if filled is not None:
                        raise filled
                ready()
                async with asyncio.TaskGroup() as tasks:
                    keeping = [tasks.create_task(self._keep(seat)) for seat in seats]
                    keeping.append(tasks.create_task(self._replace_on(again)))
                    await stopped.wait()
                    for task in keeping:
                        task.cancel()
            finally:
                await self._stop(*self._workers.values())

    async def _keep(self, seat: int) -> None:
        """Fill a seat again whenever its worker has gone."""
        while True:
            worker = self._workers[seat]
            began = asyncio.get_running_loop().time()
            status = await worker.process.wait()
            if self._workers[seat] is not worker:
                continue  # it was replaced
            log.error("worker %d has ended with status %d and is replaced", seat + 1, status)
            if asyncio.get_running_loop().time() - began < SHORT_LIFE_SECONDS:
                await asyncio.sleep(PAUSE_SECONDS)
            try:
                await self._fill(seat)
            except WorkerFailed:
                log.exception("worker %d does not start", seat + 1)

    async def _replace_on(self, again: asyncio.Event) -> None:
        while await again.wait():
            again.clear()
            for seat in range(len(self._listeners)):
                old = self._workers[seat]
                try:
                    await self._fill(seat)
                except WorkerFailed:
                    log.exception("worker %d is not replaced; the one that serves goes on", seat + 1)
                    continue
                await self._stop(old)
            log.info("all workers were replaced")

    async def _fill(self, seat: int) -> None:
        """Start a worker, and have it in its seat once it serves. Raises WorkerFailed."""
        lifeline, theirs = socket.socketpair()
        lifeline.setblocking(False)
        with theirs:
            fds = (self._listeners[seat].fileno(), self._admin.fileno(), theirs.fileno(), self._lock_fd)
            environment = environment_of(Seat(*fds))
            process = await asyncio.create_subprocess_exec(*self._command, env=environment, pass_fds=fds)
        worker = _Worker(process, lifeline)
        try:
            async with asyncio.timeout(READY_SECONDS):
                if await asyncio.get_running_loop().sock_recv(lifeline, 1) == READY:
                    self._workers[seat] = worker
                    return
                await process.wait()
        except TimeoutError:
            process.kill()
        except BaseException:
            await self._stop(worker)
            raise
        await self._stop(worker)
        raise WorkerFailed(f"A worker has ended before it served, with status {process.returncode}.")

    async def _stop(self, *workers: _Worker) -> None:
        for worker in workers:
            if worker.process.returncode is None:
                worker.process.terminate()
        for worker in workers:
            await worker.process.wait()
            worker.lifeline.close()
