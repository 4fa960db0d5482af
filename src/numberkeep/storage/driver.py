"""What every driver does: it runs functions of a `Tx`, and decides how and when."""

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
Done = Callable[[Any], None]

GROUP_JOBS = 256
"""How many transactions share one commit at most, so that the first of them does not wait for ever."""
LISTENING_TURNS = 16
"""How many turns of the event loop at most those who were just answered have to come back, so that they share the
next commit: else two halves of the clients take turns, and twice as many commits are made."""
SURVEYS = 2
"""How many surveys run side by side."""
SURVEY_SECONDS = 10
"""How long one statement of a survey may take."""


class StoreError(Exception):
    """The store cannot be opened; the text says why and what to do."""


class Job(NamedTuple):
    """What is to be run, for whom, and who is told what it came to."""

    caller: Caller
    request_id: str
    work: Work
    done: Done
    e164: str | None = None
    """The one number whose rows it touches, if that is all."""


class Line:
    """Jobs that wait, and are run in groups: what gathers while groups are under way shares the next one."""

    def __init__(
        self,
        run: Callable[[asyncio.AbstractEventLoop, list[Job]], None],
        groups: int = 1,
        sizes: Histogram | None = None,
    ) -> None:
        """`run` begins a group, and has `answer` called on the event loop when it is done; `groups` of them are under
        way side by side; `sizes` counts how large they are."""
        self._run = run
        self._sizes = sizes
        self._groups = groups
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jobs: list[Job] = []
        self._busy = 0

    def put(self, job: Job) -> None:
        """Have a job run soon."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the one before has ended, and with it whoever waited there
            self._loop, self._jobs, self._busy = loop, [], 0
        if not self._jobs:
            loop.call_soon(self._begin)
        self._jobs.append(job)

    def answer(self, loop: asyncio.AbstractEventLoop, jobs: list[Job], results: list[Any]) -> None:
        """Tell everybody of a group what their job came to."""
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
        """Let `turns` of the loop pass, or fewer once `expected` wait; then begin the next group."""
        if turns and len(self._jobs) < expected:
            asyncio.get_running_loop().call_soon(self._listen, turns - 1, expected)
        else:
            self._busy -= 1
            self._begin()


class Driver(ABC):
    """A store. Whoever has an answer reads, from then on, what it tells."""

    is_lost = False
    """Whether what was last to be written could not be; a driver that asks a server each time never knows."""
    _world: World
    subscribers: Subscribers | None
    """Who is told of what happens; None if nobody is."""

    @abstractmethod
    def read(self, caller: Caller, request_id: str, work: Work, done: Done, e164: str | None = None) -> None:
        """Run `work`, which writes nothing, now or soon, and give `done` its result or the `Error` it has raised.

        `e164` is given for what touches no rows but those of one number. `done` is called on the event loop that is
        running now.
        """

    @abstractmethod
    def write(self, caller: Caller, request_id: str, work: Work, done: Done, e164: str | None = None) -> None:
        """Run `work` soon; when what it wrote is durable, give `done` its result or the `Error` it has raised.

        `e164` and `done` are what they are for `read`.
        """

    @abstractmethod
    def look(self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function(tx, ...)``, which writes nothing, at once; return what it returns, raise what it raises.

        Raises `numberkeep.domain.errors.Awaited` if that has to be waited for.
        """

    @abstractmethod
    async def survey(
        self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``function(tx, ...)``, which writes nothing and may look at very many rows: nobody else waits for it, but
        other surveys. Raises what it raises, and ServiceUnavailable if it takes too long."""

    @abstractmethod
    def scrub(self) -> None:
        """Leave nothing in files of the program's own of what was overwritten. Nobody is served meanwhile."""

    @abstractmethod
    def close(self) -> None:
        """Finish what is being written. What nobody waits for any more is dropped."""

    async def ask(
        self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`look`, with the waiting done."""
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
        """`transact` for what writes by nothing that another may change meanwhile: the rows of the number `e164`, which
        are locked, those that the function locks itself, and those that only the holder of such a lock changes."""
        return await self.transact(caller, function, *args, **kwargs)


def promise() -> tuple[asyncio.Future[Any], Done]:
    """Something to wait for, and what to call with the result or the `Error` that it comes to."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(result: Any) -> None:
        if future.cancelled():
            return
        if isinstance(result, Error):
            future.set_exception(result)
        else:
            future.set_result(result)

    return future, done
