"""What commands at the shell do with a store: read it and change it, migrate it, copy it, check it, back it up."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from .admin.control import caller_of
from .app import StartError, carriers_in, lock_file_of, lock_store, open_store, seal_plain_secrets
from .carriers.routing import carriers_of, simulated_only, subscribers_from, subscribers_of
from .config import Location, Settings
from .sealing import Sealer
from .storage import checking, postgres_schema, sqlite, store
from .storage.checking import Finding
from .storage.copying import (
    Copy,
    PostgresSide,
    Progress,
    Side,
    SqliteSide,
    as_one_file,
    explained,
    side_of,
)
from .storage.driver import Driver, StoreError, promise
from .storage.migrations import migrations, refuse_other_versions
from .storage.sqlite import Sqlite
from .storage.tx import Tx
from .world import World

PAGE_ROWS = 1000
"""How many rows a command reads in one transaction, and has in memory."""

T = TypeVar("T")


class Session:
    """An account's part of a store, for a command: all that it does has one request id, and is the operator's."""

    def __init__(self, storage: Driver, account_id: str, request_id: str, runner: asyncio.Runner) -> None:
        self._storage = storage
        self._caller = caller_of(account_id)
        self._request_id = request_id
        self._runner = runner

    def transact(self, function: Callable[..., T], *args: Any) -> T:
        """Run ``function(tx, ...)`` in a transaction of its own. Raises Error."""

        async def once() -> T:
            future, done = promise()
            self._storage.write(self._caller, self._request_id, lambda tx: function(tx, *args), done)
            return await future  # type: ignore[no-any-return]

        return self._runner.run(once())

    def ask(self, function: Callable[..., T], *args: Any) -> T:
        """`transact` for what writes nothing."""
        return self._runner.run(self._storage.ask(self._caller, function, *args))

    def pages(self, fetch: Callable[[Tx, Any, int], list[T]], position_of: Callable[[T], Any]) -> Iterator[T]:
        """All that ``fetch(tx, position, limit)`` gives, page by page: up to `limit` that follow a position, which is
        None at the beginning. Raises Error."""
        position = None
        while found := self.ask(fetch, position, PAGE_ROWS):
            yield from found
            position = position_of(found[-1])


@contextmanager
def open_session(
    database: Location | None, account_id: str, carriers: Path | None = None, *, make: bool = False
) -> Iterator[Session]:
    """A session on a store, which is made if it is absent and `make` says so; or on one in memory.

    The subscribers that the file `carriers` names are told of what is done; without one, those whom the servers of the
    store tell. Raises StartError, StoreError.
    """
    if database and not make:
        _refuse_absent(database)
    world, stack = World(), AsyncExitStack()
    with asyncio.Runner() as runner:
        try:
            told = runner.run(carriers_in(Settings(carriers=carriers), world, stack))
            storage = open_store(database, world, told, stack, subscribers=told.subscribers)
            if carriers is None:
                known = runner.run(storage.ask(caller_of(""), store.get, store.SUBSCRIBERS))
                storage.subscribers = subscribers_of(subscribers_from(known))
            yield Session(storage, account_id, world.new_id(), runner)
        finally:
            runner.run(stack.aclose())


def run(database: Location, account_id: str, function: Callable[..., T], *args: Any, carriers: Path | None = None) -> T:
    """Run ``function(tx, ...)`` in a transaction of its own on the store `database`, which is made if it is absent.

    Subscribers are told of what it does, as `open_session` has it. Raises StartError, StoreError, and Error.
    """
    with open_session(database, account_id, carriers, make=True) as session:
        return session.transact(function, *args)


def schema_version(database: Location) -> int:
    """The version of the store's schema, 0 if there is no store. Raises StoreError."""
    return postgres_schema.version_of(database) if isinstance(database, str) else sqlite.version_of(database)


def migrate(database: Location) -> list[str]:
    """Bring the store's schema up to date, and name the migrations that this took. Raises StoreError."""
    world = World()
    if isinstance(database, str):
        return postgres_schema.migrate(database, world.new_secret())
    version = sqlite.version_of(database)
    Sqlite(str(database), world, carriers_of(simulated_only(0))).close()
    return [str(migration) for migration in migrations() if migration.version > version]


@contextmanager
def open_copy(source: Location, target: Location) -> Iterator[Copy]:
    """A copy from one store to another, which is made or brought up to date before that.

    Raises StartError or StoreError if one of them cannot be used, is being served, or is not what it has to be.
    """
    if source == target:
        raise StartError("A store cannot be copied to itself.")
    _refuse_absent(source)
    with ExitStack() as stack:
        for location in (source, target):
            if isinstance(location, Path):
                stack.enter_context(lock_store(location))
        refuse_other_versions(schema_version(source))
        migrate(target)
        sides = [stack.enter_context(closing(side_of(one))) for one in (source, target)]
        for side in sides:
            if isinstance(side, PostgresSide):
                side.refuse_served()
        yield Copy(*sides)


def check(database: Location) -> Iterator[Finding]:
    """What breaks a rule in the store as it is now; it may be served meanwhile.

    Raises StartError or StoreError if it cannot be read, or is the target of a copy that has not ended.
    """
    _refuse_absent(database)
    refuse_other_versions(schema_version(database))
    with closing(side_of(database)) as side, explained("The store cannot be read"):
        _view(side)
        damage = [Finding("", str(database), "the file is sound", found) for found in side.damage()]
        yield from damage or checking.check(side.execute)


def back_up(database: Location, file: Path, progress: Progress, *, force: bool) -> None:
    """Make `file` a SQLite store with what is in the store now; that may be served meanwhile.

    Raises StartError or StoreError if it cannot be, or if there is such a file and it is not `force`; then no file is
    made or changed.
    """
    _refuse_absent(database)
    refuse_other_versions(schema_version(database))
    if isinstance(database, Path) and file.exists() and file.samefile(database):
        raise StartError("A store cannot be its own backup.")
    if file.exists() and not force:
        raise StartError(f"There is {file} already: with --force it is replaced.")
    with (
        closing(lock_store(file)) if lock_file_of(file).exists() else nullcontext(),
        _replacing(file) as new,
        explained("The store cannot be backed up"),
        closing(side_of(database)) as source,
    ):
        if isinstance(source, SqliteSide):
            _view(source)
            source.back_up(new, progress)
            return
        migrate(new)
        with closing(SqliteSide(new)) as target:
            copy = Copy(source, target, is_served=True)
            done = 0
            for rows in chain(copy.copy(), copy.compare()):
                done += rows
                progress(done, 3 * copy.rows)
        as_one_file(new)


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    """A new file of this user's alone: when the block has ended it takes the place of `file`, and is on disk."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
        new = Path(name)
        try:
            yield new
            os.fsync(descriptor)
            for beside in ("-wal", "-shm", "-journal"):  # which belongs to what is replaced
                file.with_name(f"{file.name}{beside}").unlink(missing_ok=True)
            new.replace(file)
            directory = os.open(file.parent, os.O_RDONLY)
            os.fsync(directory)
            os.close(directory)
        finally:
            os.close(descriptor)
            for path in file.parent.glob(f"{new.name}*"):  # and what SQLite puts beside it
                path.unlink()
    except OSError as error:
        raise StartError(f"The file {file} cannot be written: {error}.") from error


def _view(side: Side) -> None:
    side.view()
    if side.execute("SELECT 1 FROM store WHERE name = ?", (store.COPY_PROGRESS,)):
        raise StoreError(store.UNFINISHED)


def _refuse_absent(database: Location) -> None:
    if isinstance(database, Path) and not database.exists():
        raise StartError(f"There is no store {database}.")


def reseal(database: Location, sealer: Sealer) -> int:
    """Seal every secret of the store with the first of the keys; how many were not yet."""

    async def once() -> int:
        async with AsyncExitStack() as stack:
            storage = open_store(database, World(), carriers_of(simulated_only(0)), stack)
            count = await seal_plain_secrets(storage, sealer, anew=True)
            # A key that was made meanwhile may have been sealed with the old one.
            return count + await seal_plain_secrets(storage, sealer, anew=True)

    return asyncio.run(once())
