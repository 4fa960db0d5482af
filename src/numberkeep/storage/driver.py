"""The interface of the drivers, which run functions of a `Tx` and decide how and when."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from ..domain.caller import Caller
from ..domain.errors import Error
from ..metrics import Histogram
from ..world import World
from .tx import Subscribers, Tx

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[[Tx], Any]
OnResult = Callable[[Any], None]

GROUP_JOBS = 256
"""How many transactions share one commit at most, so that the first of them does not wait too long."""
LISTENING_TURNS = 16
"""For how many turns of the event loop, at most, the next group waits for new jobs of the callers just answered.
Otherwise the clients would split into two halves that alternate, with twice as many commits."""
SURVEYS = 2
"""How many surveys run concurrently."""
SURVEY_SECONDS = 10
"""How long a survey may take on SQLite, and each of its statements on PostgreSQL."""


class StoreError(Exception):
    """The store cannot be opened or used; the message says why and what to do."""


class Job(NamedTuple):
    """Work for a transaction: its caller, the function to run, and the callback for its result."""

    caller: Caller
    request_id: str
    work: Work
    done: OnResult
    e164: str | None = None
    """The number, if the work touches only the rows of one."""


class Line:
    """A queue of jobs that run in groups: jobs that arrive while groups are running share the next one."""

    def __init__(
        self,
        run: Callable[[asyncio.AbstractEventLoop, list[Job]], None],
        groups: int = 1,
        sizes: Histogram | None = None,
    ) -> None:
        """`run` starts a group, and arranges for `answer` to be called on the event loop when it is done. Up to
        `groups` of them run concurrently; `sizes` counts their sizes."""
        self._run = run
        self._sizes = sizes
        self._groups = groups
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jobs: list[Job] = []
        self._busy = 0

    def put(self, job: Job) -> None:
        """Queue a job, to run soon."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the previous loop has ended, and with it whoever waited there
            self._loop, self._jobs, self._busy = loop, [], 0
        if not self._jobs:
            loop.call_soon(self._begin)
        self._jobs.append(job)

    def answer(self, loop: asyncio.AbstractEventLoop, jobs: list[Job], results: list[Any]) -> None:
        """Pass each job of a group its result."""
        if loop is not self._loop:
            return
        waiting = len(self._jobs)
        for job, result in zip(jobs, results, strict=True):
            try:
                job.done(result)
            except Exception:
                note = {"request_id": job.request_id}
                log.exception("request %s is done, and nobody could be told", job.request_id, extra=note)
        self._listen(LISTENING_TURNS if self._groups == 1 else 0, waiting + len(jobs))

    def _begin(self) -> None:
        while self._loop and self._jobs and self._busy < self._groups:
            jobs, self._jobs = self._jobs[:GROUP_JOBS], self._jobs[GROUP_JOBS:]
            self._busy += 1
            if self._sizes is not None:
                self._sizes.observe(len(jobs))
            self._run(self._loop, jobs)

    def _listen(self, turns: int, expected: int) -> None:
        """Let `turns` of the event loop pass, or fewer once `expected` jobs wait; then start the next group."""
        if turns and len(self._jobs) < expected:
            asyncio.get_running_loop().call_soon(self._listen, turns - 1, expected)
        else:
            self._busy -= 1
            self._begin()


class Driver(ABC):
    """A store. A caller that has a result sees its effect in all later reads, unless a standby answers them."""

    is_lost = False
    """Whether the last write failed; always False for a driver that asks a server each time."""
    _world: World
    subscribers: Subscribers | None
    """Names the subscribers to notify of an event; None if there are none."""

    @abstractmethod
    def read(self, caller: Caller, request_id: str, work: Work, done: OnResult, e164: str | None = None) -> None:
        """Run `work`, which must not write, now or soon, and pass `done` its result or the `Error` it raised.

        `e164` is given if `work` touches only the rows of one number. `done` is called on the event loop that is
        running now.
        """

    @abstractmethod
    def write(self, caller: Caller, request_id: str, work: Work, done: OnResult, e164: str | None = None) -> None:
        """Run `work` soon; when its writes are durable, pass `done` its result or the `Error` it raised.

        `e164` and `done` are as for `read`.
        """

    @abstractmethod
    def look(self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function(tx, ...)``, which must not write, at once; return what it returns, raise what it raises.

        Raises `numberkeep.domain.errors.Awaited` if the result has to be waited for.
        """

    @abstractmethod
    async def survey(
        self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``function(tx, ...)``, which must not write but may read very many rows: only other surveys wait for it.

        Raises what it raises, and ServiceUnavailable if it takes too long.
        """

    @abstractmethod
    def scrub(self) -> None:
        """Remove all traces of overwritten data from the program's own files. No request is served meanwhile."""

    @abstractmethod
    def close(self) -> None:
        """Finish the writes under way. Results that nobody waits for any more are dropped."""

    async def ask(
        self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `look`, but wait for the result."""
        future, done = promise()
        self.read(caller, self._world.new_id(), lambda tx: function(tx, *args, **kwargs), done)
        return await future  # type: ignore[no-any-return]

    async def transact(
        self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``function(tx, ...)`` in a transaction of its own; return what it returns, raise what it raises."""
        future, done = promise()
        self.write(caller, self._world.new_id(), lambda tx: function(tx, *args, **kwargs), done)
        return await future  # type: ignore[no-any-return]

    async def transact_locking(
        self,
        caller: Caller,
        e164: str | None,
        function: Callable[Concatenate[Tx, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Like `transact`, for a function whose writes depend only on rows that nobody else can change meanwhile.

        These are the rows of the number `e164`, which are locked, those that the function locks itself, and those that
        only the holder of such a lock changes.
        """
        return await self.transact(caller, function, *args, **kwargs)


def promise() -> tuple[asyncio.Future[Any], OnResult]:
    """Return a future, and the callback that completes it with a result or an `Error`."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(result: Any) -> None:
        if future.cancelled():
            return
        if isinstance(result, Error):
            future.set_exception(result)
        else:
            future.set_result(result)

    return future, done
