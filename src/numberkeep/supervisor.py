"""`serve --workers`: several processes serve the same ports, and one that goes is replaced.

Each worker has a listening socket of its own, which the kernel gives its share of the connections. The supervisor
keeps all of them open, so that a worker can be replaced without a connection being refused: those that come meanwhile
wait in its socket for the next one.
"""

import asyncio
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from .config import Seat, environment_of

log = logging.getLogger(__name__)

READY_SECONDS = 60
"""How long a worker has until it serves."""
STOP_SECONDS = 20
"""How long a worker has to end, before it is killed: its server takes ten for requests under way, its trail five."""
SHORT_LIFE_SECONDS = 5
"""A worker that ends sooner is replaced after a pause, twice as long each time."""
SHORTEST_PAUSE_SECONDS = 1
LONGEST_PAUSE_SECONDS = 30

READY = b"r"
REPLACED = signal.SIGUSR1
"""What a worker is sent when another one has its seat: the others go on to answer on the admin port."""


class WorkerFailed(Exception):
    """A worker has not come to serve; the text says which, and what became of it."""


class _Worker(NamedTuple):
    name: str
    process: asyncio.subprocess.Process
    lifeline: socket.socket
    """Open as long as the supervisor lives: so the worker notices when it does not."""


class Supervisor:
    """Keeps one worker in every seat."""

    def __init__(
        self,
        command: Sequence[str],
        arguments: Sequence[str],
        listeners: Sequence[socket.socket],
        admin: socket.socket,
        stop_delay: float = 0,
    ) -> None:
        """`command` starts a worker, which is told `arguments`; each gets one of `listeners`, and all share `admin`.
        `stop_delay` is for how many seconds a worker goes on to serve when it is told to end."""
        self._stop_delay = stop_delay
        self._command = command
        self._arguments = tuple(arguments)
        self._listeners = listeners
        self._admin = admin
        self._seats: dict[int, _Worker] = {}
        self._changing = [asyncio.Lock() for _ in listeners]
        """Held by whoever fills a seat again."""
        self._workers: set[_Worker] = set()
        """All that may run, in a seat or not."""
        self._is_ending = False

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT; on SIGHUP replace the workers one after the other.

        `ready` is called when all of them serve. Raises WorkerFailed if one of the first does not get that far.
        """
        loop = asyncio.get_running_loop()
        again = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, again.set)
        with tempfile.TemporaryFile() as lock, tempfile.TemporaryFile() as metrics:
            self._lock_fd, self._metrics_fd = lock.fileno(), metrics.fileno()
            serving = asyncio.create_task(self._serve(ready, again))
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._end, serving, number)
            try:
                with suppress(asyncio.CancelledError):
                    await serving
            finally:
                await self._stop(*self._workers)
                log.info("the supervisor (pid %d) has stopped all workers, and ends", os.getpid())

    def _end(self, serving: asyncio.Task[None], number: int) -> None:
        """Have the workers end; the next SIGINT is theirs, who wait for nobody any longer then."""
        if not self._is_ending:
            self._is_ending = True
            serving.cancel()
        elif number == signal.SIGINT:
            for worker in self._workers:
                with suppress(ProcessLookupError):
                    worker.process.send_signal(signal.SIGINT)

    async def _serve(self, ready: Callable[[], None], again: asyncio.Event) -> None:
        first, *others = range(len(self._listeners))
        await self._fill(first)  # alone, so that what keeps all of them from serving is said once
        for filled in await asyncio.gather(*map(self._fill, others), return_exceptions=True):
            if filled is not None:
                raise filled
        ready()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._replace_on(again))
            for seat in (first, *others):
                tasks.create_task(self._keep(seat))

    async def _keep(self, seat: int) -> None:
        """Fill a seat again whenever its worker has gone."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        while True:
            worker = self._seats[seat]
            began = loop.time()
            status = await worker.process.wait()
            if self._seats[seat] is not worker:
                continue  # it was replaced
            log.error("%s has ended with %s", worker.name, _ending(status))
            await self._stop(worker)
            if loop.time() - began >= SHORT_LIFE_SECONDS:
                pause = 0.0
            while self._seats[seat] is worker:
                await asyncio.sleep(pause)
                pause = min(max(2 * pause, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
                async with self._changing[seat]:
                    if self._seats[seat] is not worker:
                        break  # SIGHUP was faster
                    try:
                        await self._fill(seat)
                    except WorkerFailed as failure:
                        log.error("%s; the next attempt is in %g s", failure, pause)

    async def _replace_on(self, again: asyncio.Event) -> None:
        while await again.wait():
            again.clear()
            replaced = 0
            for seat, changing in enumerate(self._changing):
                async with changing:
                    old = self._seats[seat]
                    try:
                        await self._fill(seat)
                    except WorkerFailed as failure:
                        log.error("%s; it replaces nobody", failure)
                        continue
                await self._stop(old, sign=REPLACED)
                replaced += 1
            log.info("%d of %d workers were replaced", replaced, len(self._changing))

    async def _fill(self, seat: int) -> None:
        """Start a worker, and have it in its seat once it serves. Raises WorkerFailed."""
        worker = await self._start(seat)
        self._workers.add(worker)
        try:
            async with asyncio.timeout(READY_SECONDS):
                if await asyncio.get_running_loop().sock_recv(worker.lifeline, 1) == READY:
                    log.info("%s serves", worker.name)
                    self._seats[seat] = worker
                    return
                why = f"has ended with {_ending(await worker.process.wait())} before it served"
        except TimeoutError:
            why = f"did not serve within {READY_SECONDS} s"
        await self._stop(worker)
        raise WorkerFailed(f"{worker.name} {why}")

    async def _start(self, seat: int) -> _Worker:
        """A process that may come to serve. Raises WorkerFailed."""
        name = f"worker {seat + 1}"
        try:
            lifeline, theirs = socket.socketpair()
            lifeline.setblocking(False)
            with theirs:
                files = self._lock_fd, self._metrics_fd
                fds = (self._listeners[seat].fileno(), self._admin.fileno(), theirs.fileno(), *files)
                environment = environment_of(Seat(*fds, self._arguments))
                try:
                    process = await asyncio.create_subprocess_exec(*self._command, env=environment, pass_fds=fds)
                except BaseException:
                    lifeline.close()
                    raise
        except OSError as error:
            raise WorkerFailed(f"{name} cannot be started: {error}") from error
        return _Worker(f"{name} (pid {process.pid})", process, lifeline)

    async def _stop(self, *workers: _Worker, sign: signal.Signals = signal.SIGTERM) -> None:
        """Have workers end, as far as they have not, by force in the end."""
        for worker in workers:
            if worker.process.returncode is None:
                log.info("%s is stopped", worker.name)
                worker.process.send_signal(sign)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS + self._stop_delay):
                for worker in workers:
                    await worker.process.wait()
        for worker in workers:
            if worker.process.returncode is None:
                log.error("%s has not ended within %g s, and is killed", worker.name, STOP_SECONDS + self._stop_delay)
                worker.process.kill()
            await worker.process.wait()
            worker.lifeline.close()
            self._workers.discard(worker)


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
