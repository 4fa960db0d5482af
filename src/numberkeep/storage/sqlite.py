"""The SQLite driver: one file, one writer, group commit.

Writing transactions run one after the other. Those that arrive meanwhile run as a group: one COMMIT and, with
``synchronous=FULL``, one wait for the disk, before any of them is answered. A fast disk is waited for on the event
loop's thread; a slow one, or another process that writes, on a thread of the driver. Reading transactions run at
once on the calling thread, on a connection of their own, and see the last commit. Surveys, which read for long,
have their own threads and connections.
"""

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..domain.caller import Caller
from ..domain.errors import Error, ServiceFailure, ServiceUnavailable
from ..metrics import Metrics
from ..world import World
from .answers import Answers
from .driver import SURVEY_SECONDS, SURVEYS, Driver, Job, Line, OnResult, StoreError, Work
from .migrations import migrations, of_sqlite, refuse_newer_version
from .tx import Pool, Subscribers, Tx

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

CACHE_KIBIBYTES = 16_384
"""How much of the file each of the two connections keeps in memory."""
KNOWN_ROWS = 16_384
"""How many rows the writer caches, about a kilobyte each, so that it need not read what it has just written."""
CHECKPOINT_PAGES = 4000
"""How many pages the write-ahead log reaches before it is copied into the file: a page changed often is copied once."""
QUICK_COMMIT_SECONDS = 0.002
"""A commit that takes less is waited for on the event loop's thread: that costs less than handing it to another."""
BUSY_SECONDS = 5.0
"""How long a transaction waits for another process (a shell command) to finish with the file."""


LOOKOUT_STEPS = 100_000
"""After how many steps of its virtual machine, about a millisecond, SQLite asks whether a survey must end."""

_OF_SOMETHING_ELSE = "SELECT name FROM sqlite_schema, pragma_user_version WHERE user_version = 0 LIMIT 1"


class Sqlite(Driver):
    """The store in an SQLite file."""

    def __init__(
        self,
        path: str,
        world: World,
        pool: Pool,
        quotas: Mapping[str, int] | None = None,
        *,
        subscribers: Subscribers | None = None,
        metrics: Metrics | None = None,
        durable: bool = True,
    ) -> None:
        """Open the file at `path`, creating it if absent. Unless it is `durable`, no commit waits for the disk.

        Raises StoreError if the file cannot be used.
        """
        self._synchronous = "FULL" if durable else "OFF"
        self._world = world
        self._pool = pool
        self._quotas = quotas or {}
        self.subscribers = subscribers
        self._metrics = metrics or Metrics()
        self._path = path
        with ExitStack() as stack:
            try:
                Path(path).touch(mode=0o600)  # it holds secrets; SQLite gives its other files the same mode
                if not os.access(path, os.W_OK):
                    raise PermissionError("it cannot be written")
                self._writer = stack.enter_context(closing(_Connection(path)))
                if other := self._writer.execute(_OF_SOMETHING_ELSE).fetchone():
                    raise StoreError(f"The file {path} is a database of something else: it has {other[0]}.")
                self._prepare()
                self._reader = stack.enter_context(closing(_Connection(path)))
                self._reader.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
            except (sqlite3.Error, OSError) as error:
                raise StoreError(f"The store {path} cannot be opened: {error}.") from error
            self._connections = stack.pop_all()
        self._reading = False
        self._kept = Answers()
        self._rows: dict[Hashable, Any] = {}
        self._rows_version = 0
        self._line = Line(self._run_group, sizes=self._metrics.groups("writes"))
        self._commit_seconds = 0.0
        self._writing = threading.Lock()
        self._groups: SimpleQueue[tuple[asyncio.AbstractEventLoop, list[Job]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="numberkeep-writer")
        self._thread.start()
        self._surveyors = ThreadPoolExecutor(SURVEYS, "numberkeep-survey")
        self._closing = False

    def _prepare(self) -> None:
        run = self._writer.execute
        run(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
        run("PRAGMA journal_mode = WAL")
        run(f"PRAGMA synchronous = {self._synchronous}")
        run(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        run("BEGIN IMMEDIATE")
        (version,) = run("PRAGMA user_version").fetchone()
        refuse_newer_version(version)
        for migration in migrations()[version:]:
            for statement in migration.statements:
                run(of_sqlite(statement))
            run(f"PRAGMA user_version = {migration.version}")
        if version == 0:
            run("INSERT INTO store VALUES ('token_secret', ?)", (self._world.new_secret(),))
        (secret,) = run("SELECT value FROM store WHERE name = 'token_secret'").fetchone()
        self._token_secret = bytes.fromhex(secret)
        run("COMMIT")
        run("PRAGMA busy_timeout = 0")  # see `_begin`

    def read(self, caller: Caller, request_id: str, work: Work, done: OnResult, e164: str | None = None) -> None:
        """Run `work` at once.

        Reads in one turn of the event loop share a snapshot. It ends before a write is answered, so that a caller with
        the answer reads what was written.
        """
        if not self._reading:
            asyncio.get_running_loop().call_soon(self._end_snapshot)
        done(self._look(caller, request_id, work))

    def look(self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._end_snapshot()
        result = self._look(caller, self._world.new_id(), lambda tx: function(tx, *args, **kwargs))
        self._end_snapshot()
        if isinstance(result, Error):
            raise result
        return result  # type: ignore[no-any-return]

    async def ask(
        self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return self.look(caller, function, *args, **kwargs)

    async def survey(
        self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        work: Work = lambda tx: function(tx, *args, **kwargs)  # noqa: E731
        running = self._surveyors.submit(self._survey, caller, self._world.new_id(), work)
        result = await asyncio.wrap_future(running)
        if isinstance(result, Error):
            raise result
        return result  # type: ignore[no-any-return]

    def _survey(self, caller: Caller, request_id: str, work: Work) -> Any:
        until = perf_counter() + SURVEY_SECONDS
        try:
            with closing(_Connection(self._path)) as connection:
                connection.limit(lambda: self._closing or perf_counter() > until, LOOKOUT_STEPS)
                connection.execute("PRAGMA query_only = 1")
                connection.execute("BEGIN")
                return self._run(connection, {}, self._world.now(), caller, request_id, work)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                return ServiceUnavailable("The store has taken too long.")
            log.exception("a survey failed, request %s", request_id)
            return ServiceUnavailable("The store cannot be read at the moment.")

    def _look(self, caller: Caller, request_id: str, work: Work) -> Any:
        try:
            if not self._reading:
                self._begin_snapshot()
            return self._run(self._reader, {}, self._world.now(), caller, request_id, work)
        except sqlite3.Error:
            log.exception("reading failed, request %s", request_id, extra={"request_id": request_id})
            self._end_snapshot()
            return ServiceUnavailable("The store cannot be read at the moment.")

    def _begin_snapshot(self) -> None:
        self._reader.execute("BEGIN")
        self._reading = True

    def _end_snapshot(self) -> None:
        self._reading = False
        self._reader.rollback()

    def write(self, caller: Caller, request_id: str, work: Work, done: OnResult, e164: str | None = None) -> None:
        self._line.put(Job(caller, request_id, work, done))

    def _run_group(self, loop: asyncio.AbstractEventLoop, jobs: list[Job]) -> None:
        """Run a group on this thread if the last commit was fast and nobody else writes, else on the writer's."""
        results = self._commit(jobs, wait=False) if self._commit_seconds < QUICK_COMMIT_SECONDS else None
        if results is None:
            self._groups.put((loop, jobs))
        else:
            loop.call_soon(self._answer, loop, jobs, results)

    def _answer(self, loop: asyncio.AbstractEventLoop, jobs: list[Job], results: list[Any]) -> None:
        try:
            self._end_snapshot()
        finally:
            self._line.answer(loop, jobs, results)

    def scrub(self) -> None:
        """Rewrite the file, so that no traces of overwritten data are left in it. No request is served meanwhile."""
        self._end_snapshot()
        for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
            self._writer.execute(statement).fetchall()

    def close(self) -> None:
        self._closing = True
        self._surveyors.shutdown()
        self._groups.put(None)
        self._thread.join()
        self._connections.close()

    def _work(self) -> None:
        while (group := self._groups.get()) is not None:
            loop, jobs = group
            results = self._commit(jobs, wait=True)
            assert results is not None
            try:
                loop.call_soon_threadsafe(self._answer, loop, jobs, results)
            except RuntimeError:
                log.warning("%d transactions were done when nobody waited for them any more", len(jobs))

    def _commit(self, jobs: list[Job], *, wait: bool) -> list[Any] | None:
        """Run a group in one transaction; return its results. Unless told to `wait`, return None if another process is
        writing, or the writer's thread is, for an event loop that has ended."""
        if not self._writing.acquire(blocking=wait):
            return None
        try:
            try:
                if not self._begin(wait):
                    return None
                return self._attempt(jobs, savepoints=False)
            except _Spoiled:
                return self._attempt(jobs, savepoints=True) if self._begin(wait) else None
        except Exception:
            note = {"request_ids": [job.request_id for job in jobs]}
            log.exception("a group of %d transactions was not committed", len(jobs), extra=note)
            if not self.is_lost:
                self.is_lost = True
                self._metrics.lost("the store")
            return [ServiceUnavailable("The store cannot be written at the moment; nothing was changed.")] * len(jobs)
        finally:
            self._writing.release()

    def _begin(self, wait: bool) -> bool:
        run = self._writer.execute
        try:
            run("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if not wait:
                return False
            run(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
            try:
                run("BEGIN IMMEDIATE")
            finally:
                run("PRAGMA busy_timeout = 0")
        return True

    def _attempt(self, jobs: list[Job], *, savepoints: bool) -> list[Any]:
        writer = self._writer
        writer.savepoints = savepoints
        try:
            (version,) = writer.execute("PRAGMA data_version").fetchone()
            if version != self._rows_version or len(self._rows) > KNOWN_ROWS:
                self._rows.clear()
                self._rows_version = version
            now, rows, changes = self._world.now(), self._rows, writer.changes
            results = [self._run(writer, rows, now, job.caller, job.request_id, job.work) for job in jobs]
            began = perf_counter()
            writer.execute("COMMIT")
            self._commit_seconds = perf_counter() - began
            if self.is_lost and writer.changes > changes:
                self.is_lost = False
                self._metrics.found("the store")
            return results
        except BaseException:
            self._rows.clear()
            raise
        finally:
            writer.rollback()  # what was not committed

    def _run(
        self,
        connection: "_Connection",
        known: dict[Hashable, Any],
        now: str,
        caller: Caller,
        request_id: str,
        work: Work,
    ) -> Any:
        tx = Tx(
            caller,
            request_id,
            now,
            connection.execute,
            connection.write,
            known,
            self._kept,
            self._pool,
            self._quotas,
            self._world,
            self._token_secret,
            self.subscribers,
        )
        try:
            result = work(tx)
        except Error as error:
            if connection.undo():
                known.clear()
            return error
        except Exception as error:
            if isinstance(error, sqlite3.Error) and _is_of_the_file(error):
                raise  # nothing of the group can be kept
            if connection.undo():
                known.clear()
            log.exception("request %s failed", request_id, extra={"request_id": request_id})
            return ServiceFailure("The service encountered an unexpected error.")
        connection.keep()
        return result


def version_of(path: Path) -> int:
    """Return the version of the schema in the file at `path`, 0 if there is none. Raises StoreError."""
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise StoreError(f"The store {path} cannot be opened: {error}.") from error


class _Spoiled(Exception):
    """A transaction of a group failed after it had written, and there is no savepoint to roll back to."""


class _Connection:
    """A connection whose transactions are begun explicitly.

    Savepoints cost time, and operations decide before they write. So a group runs without savepoints, and is run again
    with them if one of its transactions writes and then fails.
    """

    savepoints = False

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        self.execute: Callable[..., Any] = self._connection.execute
        self.limit = self._connection.set_progress_handler
        """``limit(is_over, steps)`` has `is_over` called every so many steps: whether the statement must end."""
        self._wrote = False

    @property
    def changes(self) -> int:
        """How many rows the connection has ever changed."""
        return self._connection.total_changes

    def write(self, sql: str, parameters: tuple[Any, ...]) -> Any:
        if not self._wrote:
            if self.savepoints:
                self.execute("SAVEPOINT job")
            self._wrote = True
        return self.execute(sql, parameters)

    def keep(self) -> None:
        if self._wrote:
            if self.savepoints:
                self.execute("RELEASE job")
            self._wrote = False

    def undo(self) -> bool:
        """Roll back what the transaction has written; return whether that was anything."""
        if not self._wrote:
            return False
        if not self.savepoints:
            raise _Spoiled
        self.execute("ROLLBACK TO job")
        self.keep()
        return True

    def rollback(self) -> None:
        self._wrote = False
        if self._connection.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


_OF_THE_STATEMENT = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG)


def _is_of_the_file(error: sqlite3.Error) -> bool:
    """Return whether the disk or the file is at fault (full, damaged, busy), not the statement."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF not in _OF_THE_STATEMENT  # an extended code has the primary one in its lowest byte
