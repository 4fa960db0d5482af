"""What every driver does: it runs functions of a `Tx`, and decides how and when."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..domain.caller import Caller
from ..domain.errors import Error
from ..world import World
from .tx import Tx

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[[Tx], Any]
Done = Callable[[Any], None]


class StoreError(Exception):
    """The store cannot be opened; the text says why and what to do."""


class Driver(ABC):
    """A store. Whoever has an answer reads, from then on, what it tells."""

    _world: World

    @abstractmethod
    def recall(self, key: Hashable) -> bytes | None:
        """What `read` has given for `key`, if it would certainly give the same now."""

    @abstractmethod
    def read(
        self, caller: Caller, request_id: str, work: Work, done: Done, key: Hashable = None, e164: str | None = None
    ) -> None:
        """Run `work`, which writes nothing, now or soon, and give `done` its result or the `Error` it has raised.

        The result may be kept under `key` for `recall`, unless that is None. `e164` is given for what touches no rows
        but those of one number. `done` is called on the event loop that is running now.
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
        """`transact` for what decides by nothing but rows that are locked: those of the number `e164`, which are, and
        those that the function locks itself."""
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
