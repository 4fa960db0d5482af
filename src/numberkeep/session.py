"""Access to one account's part of a store, for commands at the shell. The store may be served meanwhile."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from .carriers.routing import subscribers_from, subscribers_of
from .config import Location, Settings, shell_user
from .domain.caller import NOBODY, Caller
from .opening import carriers_in, check_store, open_store
from .storage import store
from .storage.driver import Driver, promise
from .storage.tx import Tx
from .world import World

PAGE_ROWS = 1000
"""How many rows a command reads in one transaction, and holds in memory."""

T = TypeVar("T")


class Session:
    """One account's part of a store, for one command. All that the command does has one request id, and the user at the
    shell as its caller."""

    def __init__(self, storage: Driver, account_id: str, request_id: str, runner: asyncio.Runner) -> None:
        self._storage = storage
        self._caller = Caller(account_id, f"arn:aws:chime::{account_id}:shell/{shell_user()}", "")
        self._request_id = request_id
        self._runner = runner

    def transact(self, function: Callable[..., T], *args: Any) -> T:
        """Run ``function(tx, ...)`` in a transaction of its own, and return its result. Raises Error."""

        async def once() -> T:
            future, done = promise()
            self._storage.write(self._caller, self._request_id, lambda tx: function(tx, *args), done)
            return await future  # type: ignore[no-any-return]

        return self._runner.run(once())

    def ask(self, function: Callable[..., T], *args: Any) -> T:
        """Like `transact`, for a function that writes nothing."""
        return self._runner.run(self._storage.ask(self._caller, function, *args))

    def pages(self, fetch: Callable[[Tx, Any, int], list[T]], position_of: Callable[[T], Any]) -> Iterator[T]:
        """All that ``fetch(tx, position, limit)`` gives, read page by page. It is called with a position, None at
        first, and gives up to `limit` items that follow it. Raises Error."""
        position = None
        while found := self.ask(fetch, position, PAGE_ROWS):
            yield from found
            position = position_of(found[-1])


@contextmanager
def open_session(
    database: Location | None, account_id: str, carriers: Path | None = None, *, make: bool = False
) -> Iterator[Session]:
    """Open a session on a store, which is made first if it is absent and `make` is set; or on one in memory.

    Subscribers that are named in the file `carriers` are told of changes; without the file, those that the servers of
    the store tell. Raises StartError or StoreError.
    """
    if database:
        check_store(database, make=make)
    world, stack = World(), AsyncExitStack()
    with asyncio.Runner() as runner:
        try:
            told = runner.run(carriers_in(Settings(carriers=carriers), world, stack))
            storage = open_store(database, world, told, stack, subscribers=told.subscribers)
            if carriers is None:
                known = runner.run(storage.ask(NOBODY, store.get, store.SUBSCRIBERS))
                storage.subscribers = subscribers_of(subscribers_from(known))
            yield Session(storage, account_id, world.new_id(), runner)
        finally:
            runner.run(stack.aclose())
