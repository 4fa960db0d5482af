"""Work on a store as a whole: migrate, copy, check, back up."""

import glob
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from itertools import chain
from pathlib import Path

from .carriers.routing import carriers_of, simulated_only
from .config import Location
from .opening import StartError, lock_file_of, lock_store, refuse_absent
from .sealing import keep_names
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
from .storage.driver import StoreError
from .storage.migrations import migrations, refuse_other_versions
from .storage.sqlite import Sqlite
from .world import World


def schema_version(database: Location) -> int:
    """The version of the store's schema; 0 if there is no store. Raises StoreError."""
    return postgres_schema.version_of(database) if isinstance(database, str) else sqlite.version_of(database)


def migrate(database: Location) -> list[str]:
    """Bring the store's schema up to date. Returns the names of the migrations that were run. Raises StoreError."""
    world = World()
    if isinstance(database, str):
        return postgres_schema.migrate(database, world.new_secret())
    version = sqlite.version_of(database)
    Sqlite(str(database), world, carriers_of(simulated_only(0))).close()
    return [str(migration) for migration in migrations() if migration.version > version]


@contextmanager
def open_copy(source: Location, target: Location) -> Iterator[Copy]:
    """Open a copy of one store to another, whose schema is made or brought up to date first.

    Raises StartError or StoreError if a store cannot be used, is being served, or is not fit for this.
    """
    if source == target:
        raise StartError("A store cannot be copied to itself.")
    refuse_absent(source)
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
    """Find what breaks a rule in the store as it is now; it may be served meanwhile.

    Raises StartError or StoreError if the store cannot be read, or is the target of an unfinished copy.
    """
    refuse_absent(database)
    refuse_other_versions(schema_version(database))
    with closing(side_of(database)) as side, explained("The store cannot be read"):
        _view(side)
        damage = [Finding("", str(database), "the file is sound", found) for found in side.damage()]
        yield from damage or checking.check(side.execute)


def back_up(database: Location, file: Path, progress: Progress, *, force: bool) -> None:
    """Make `file` a SQLite store with the present contents of the store, which may be served meanwhile.

    A SQLite store may be of any schema version; its backup has the same. Raises StartError or StoreError if the backup
    fails, or if `file` exists and `force` is not set; then no file is made or changed.
    """
    refuse_absent(database)
    if isinstance(database, str):
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
    """A new file, private to this user, that replaces `file` when the block ends; it is on disk then."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
        new = Path(name)
        try:
            yield new
            os.fsync(descriptor)
            if file.exists():
                with suppress(sqlite3.Error), closing(sqlite3.connect(file)) as old:  # complete, should this end here
                    old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            for beside in ("-wal", "-shm", "-journal"):  # they belong to the file that is replaced
                file.with_name(f"{file.name}{beside}").unlink(missing_ok=True)
            new.replace(file)
            keep_names(file.parent)
        finally:
            os.close(descriptor)
            for path in file.parent.glob(f"{glob.escape(new.name)}*"):  # with the files that SQLite puts beside it
                path.unlink()
    except OSError as error:
        raise StartError(f"The file {file} cannot be written: {error}.") from error


def _view(side: Side) -> None:
    side.view()
    if side.execute("SELECT 1 FROM store WHERE name = ?", (store.COPY_PROGRESS,)):
        raise StoreError(store.UNFINISHED)
