"""`serve --workers`: several processes serve the same ports, and one that ends is replaced.

Each worker has its own listening socket, and the kernel spreads the connections over them. The supervisor keeps all
sockets open, so that no connection is refused while a worker is replaced: new connections wait in its socket for its
successor.
"""

import asyncio
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from .config import Seat, environment_of

log = logging.getLogger(__name__)

T = TypeVar("T")

READY_SECONDS = 60
"""How long a worker may take until it serves."""
STOP_SECONDS = 20
"""How long a worker may take to stop before it is killed: its server needs ten for open requests, its trail five."""
SHORT_LIFE_SECONDS = 5
"""A worker that ends sooner is replaced after a pause: none the first time, then twice as long each time."""
SHORTEST_PAUSE_SECONDS = 1
LONGEST_PAUSE_SECONDS = 30

READY = b"r"
REPLACED = signal.SIGUSR1
"""The signal for a worker that another one has replaced: the remaining workers go on answering on the admin port."""


class WorkerFailed(Exception):
    """A worker never came to serve; the text says which one, and why."""


class _Worker(NamedTuple):
    name: str
    process: asyncio.subprocess.Process
    lifeline: socket.socket
    """Open as long as the supervisor lives, so that the worker notices when it dies."""


class Supervisor:
    """Keeps one worker running in every seat."""

    def __init__(
        self,
        command: Sequence[str],
        arguments: Sequence[str],
        listeners: Sequence[socket.socket],
        admin: socket.socket,
        stop_delay: float = 0,
    ) -> None:
        """`command` starts a worker, which gets `arguments`; each has one of `listeners`, and all share `admin`.
        `stop_delay` is how many seconds a worker goes on serving after it is told to stop."""
        self._stop_delay = stop_delay
        self._command = command
        self._arguments = tuple(arguments)
        self._listeners = listeners
        self._admin = admin
        self._seats: dict[int, _Worker] = {}
        self._changing = [asyncio.Lock() for _ in listeners]
        """Held while a seat is being filled again."""
        self._workers: set[_Worker] = set()
        """All workers that may be running, in a seat or not."""
        self._is_ending = False

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT; on SIGHUP, replace the workers one after the other.

        `ready` is called once all of them serve. Raises WorkerFailed if one of the first workers never does.
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
        """Stop the workers. A second SIGINT is passed on to them, so that they stop waiting for open requests."""
        if not self._is_ending:
            self._is_ending = True
            serving.cancel()
        elif number == signal.SIGINT:
            for worker in self._workers:
                with suppress(ProcessLookupError):
                    worker.process.send_signal(signal.SIGINT)

    async def _serve(self, ready: Callable[[], None], again: asyncio.Event) -> None:
        first, *others = range(len(self._listeners))
        await self._fill(first)  # alone, so that a problem that all of them would have is reported once
        for filled in await asyncio.gather(*map(self._fill, others), return_exceptions=True):
            if filled is not None:
                raise filled
        ready()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._replace_on(again))
            for seat in (first, *others):
                tasks.create_task(self._keep(seat))

    async def _keep(self, seat: int) -> None:
        """Fill a seat again whenever its worker ends."""
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
                        break  # a replacement by SIGHUP was faster
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
        """Start a worker, and give it the seat once it serves. Raises WorkerFailed if it never does."""
        worker = await _to_its_end(self._start(seat))
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
        """Start a worker process, which is one of `_workers` from then on. Raises WorkerFailed if that fails."""
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
        worker = _Worker(f"{name} (pid {process.pid})", process, lifeline)
        self._workers.add(worker)
        return worker

    async def _stop(self, *workers: _Worker, sign: signal.Signals = signal.SIGTERM) -> None:
        """Stop those of the workers that still run; kill any that take too long."""
        for worker in workers:
            if worker.process.returncode is None:
                log.info("%s is being stopped", worker.name)
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


async def _to_its_end(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns. It ends before a cancellation does: nothing is left half done."""
    task = asyncio.ensure_future(coroutine)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
