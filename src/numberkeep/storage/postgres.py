"""The PostgreSQL driver: any number of processes, one server or what speaks its protocol.

Jobs wait in queues (`Line`), each with its own threads and connections, and run in groups:

- Jobs that write only the rows of one number, the most frequent. Those that arrive while a group runs share the next
  transaction, which first locks all their numbers in one statement. So the isolation level READ COMMITTED is enough,
  and a conflict with another process means waiting instead of failing. The worker has a queue like that of its own.
- Jobs that read one number: a group reads all its numbers in one statement.
- Surveys, which read very many rows, have their own threads, so that nothing else waits for them.
- Other reads are REPEATABLE READ, other writes SERIALIZABLE. Jobs that arrive together share a transaction, which is
  retried if it conflicts with another.
- A group that cannot be committed as a whole is split (`_SetApart`): each job runs alone, and delays no other.

Writes are held back until something is read or the transaction ends (`postgres_statements`), and sent together with
the COMMIT: a group of updates takes two round trips.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from ..domain.caller import Caller
from ..domain.errors import Awaited, BadRequest, Error, ServiceFailure, ServiceUnavailable
from ..domain.number_plan import normalize_id
from ..metrics import Metrics
from ..world import World
from . import pending_changes, phone_numbers
from .answers import Answers
from .driver import SURVEY_SECONDS, SURVEYS, Driver, Job, Line, OnResult, Work, promise
from .postgres_schema import conninfo, token_secret
from .postgres_statements import Writes, translate
from .tx import Pool, Rows, Subscribers, Tx

log = logging.getLogger(__name__)
logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of every failed pipeline, which is logged here

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8
"""How many reads, and how many writes, that are not about one number run concurrently."""
FEW_THREADS = 4
"""How many lookups, and how many jobs of split groups, run concurrently."""
GROUP_ATTEMPTS = 3
"""How often a group that conflicts with other transactions is run before it is split."""
ATTEMPTS = 20
"""How often a job that conflicts with other transactions is run before it is refused."""
FIRST_PAUSE_SECONDS = 0.001
"""The average wait before the first retry; it doubles for each further one, up to LONGEST_PAUSE_SECONDS."""
LONGEST_PAUSE_SECONDS = 0.1
STATEMENT_SECONDS = SURVEY_SECONDS
"""How long one statement may take."""
LOCK_SECONDS = 2
"""How long it waits for a lock of another transaction."""
PREPARED_AFTER = 2
"""After how many runs on a connection a statement is prepared there."""
FIRST_AWAY_SECONDS = 1.0
"""How long an unreachable standby is not asked; twice as long each further time, up to LONGEST_AWAY_SECONDS."""
LONGEST_AWAY_SECONDS = 300.0

_LOCKING = "BEGIN ISOLATION LEVEL READ COMMITTED"
_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SERIALIZABLE = "BEGIN ISOLATION LEVEL SERIALIZABLE"

_MET_ANOTHER = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
"""Conflicts with another transaction. A UniqueViolation is one too, as functions look before they insert."""
_WAITED = (errors.QueryCanceled, errors.LockNotAvailable)
"""Another transaction holds a lock for too long, or a statement takes too long."""
_LOST = (psycopg.OperationalError, errors.ReadOnlySqlTransaction, errors.IdleInTransactionSessionTimeout)
"""Except for those above: the server is unreachable, has no room, or is no longer the one that writes."""

Execute = Callable[..., Rows]


class _Mode(NamedTuple):
    """How a queue's transactions begin."""

    begin: str
    known: Callable[[Execute, Sequence[Job]], dict[Hashable, Any]]
    """Reads the initial `Tx.known` for all jobs of a group, so that they need not read it one by one."""


class _SetApart(Exception):
    """A group cannot be committed as a whole: its jobs have to run alone."""


class _Spoiled(Exception):
    """A job failed after it had written; `result` is its result."""

    def __init__(self, result: object) -> None:
        super().__init__(result)
        self.result = result


class Postgres(Driver):
    """The store in a PostgreSQL database."""

    def __init__(
        self,
        url: str,
        world: World,
        pool: Pool,
        quotas: Mapping[str, int] | None = None,
        *,
        subscribers: Subscribers | None = None,
        metrics: Metrics | None = None,
        standby_url: str | None = None,
    ) -> None:
        """Use the database at `url`, and for reads the one at `standby_url`, if given, although that may lag behind.
        Keys and permissions are never read there.

        Raises StoreError if the database cannot be used.
        """
        self._world = world
        self._pool = pool
        self._quotas = quotas or {}
        self.subscribers = subscribers
        self._metrics = metrics or Metrics()
        self._token_secret = token_secret(url)
        self._kept = Answers()
        self._closing = threading.Event()
        leader = _Place("the store", conninfo(url, "read-write"), self._metrics)
        nearest = [leader]
        if standby_url:
            nearest.insert(0, _Place("the standby", conninfo(standby_url, "prefer-standby"), self._metrics))
        self._pools: list[_Threads] = []
        self._apart = self._threads(FEW_THREADS, [leader])
        self._number_writes = self._line(1, [leader], _Mode(_LOCKING, _locked), "numbers")
        self._changes = self._line(1, [leader], _Mode(_LOCKING, _locked_with_pending), "worker")
        self._writes = self._line(THREADS, [leader], _Mode(_SERIALIZABLE, _nothing), "writes")
        self._looks = self._line(FEW_THREADS, [leader], _Mode(_READING, _nothing))
        self._number_reads = self._line(1, nearest, _Mode(_READING, self._known_answers))
        self._reads = self._line(THREADS, nearest, _Mode(_READING, _nothing))
        self._surveyors = self._threads(SURVEYS, [leader])
        self._looked: dict[Hashable, _Looked] = {}

    def read(self, caller: Caller, request_id: str, work: Work, done: OnResult, e164: str | None = None) -> None:
        line = self._number_reads if e164 else self._reads
        line.put(Job(caller, request_id, work, done, e164))

    def write(self, caller: Caller, request_id: str, work: Work, done: OnResult, e164: str | None = None) -> None:
        line = self._number_writes if e164 else self._writes
        line.put(Job(caller, request_id, work, done, e164))

    async def transact_locking(
        self,
        caller: Caller,
        e164: str | None,
        function: Callable[Concatenate[Tx, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        future, done = promise()
        self._changes.put(Job(caller, self._world.new_id(), lambda tx: function(tx, *args, **kwargs), done, e164))
        return await future  # type: ignore[no-any-return]

    def look(self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        key = (caller.account_id, function, args, tuple(kwargs.items()))
        looked = self._looked.get(key)
        if looked is None:
            looked = self._looked[key] = _Looked(lambda: self._looked.pop(key))
            work, done = lambda tx: function(tx, *args, **kwargs), looked.settle
            self._looks.put(Job(caller, self._world.new_id(), work, done))
        return looked.result()  # type: ignore[no-any-return]

    async def ask(
        self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        future, done = promise()
        self._looks.put(Job(caller, self._world.new_id(), lambda tx: function(tx, *args, **kwargs), done))
        return await future  # type: ignore[no-any-return]

    async def survey(
        self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        future, done = promise()
        job = Job(caller, self._world.new_id(), lambda tx: function(tx, *args, **kwargs), done)
        mode = _Mode(_READING, _nothing)
        self._surveyors.submit(self._work_alone, mode, asyncio.get_running_loop(), job)
        return await future  # type: ignore[no-any-return]

    def scrub(self) -> None:
        """Do nothing: the files are the database server's own."""

    def close(self) -> None:
        self._closing.set()
        self._pools.append(self._pools.pop(0))  # the threads for split groups last: the others submit jobs to them
        for pool in self._pools:
            pool.close()

    def _threads(self, count: int, places: Sequence["_Place"]) -> "_Threads":
        self._pools.append(_Threads(count, places))
        return self._pools[-1]

    def _line(self, threads: int, places: Sequence["_Place"], mode: _Mode, commits: str | None = None) -> Line:
        """Return a queue whose groups run in transactions of this mode; `commits` names it in metrics if they write."""
        pool = self._threads(threads, places)
        sizes = self._metrics.groups(commits) if commits else None
        line = Line(lambda loop, jobs: pool.submit(self._work, line, mode, loop, jobs), threads, sizes)
        return line

    def _known_answers(self, execute: Execute, jobs: Sequence[Job]) -> dict[Hashable, Any]:
        return dict(phone_numbers.answers(execute, self._kept, _names(jobs)))

    def _work(
        self, session: "_Session", line: Line, mode: _Mode, loop: asyncio.AbstractEventLoop, jobs: list[Job]
    ) -> None:
        try:
            results = self._attempt(mode, session, jobs)
        except _SetApart:
            for job in jobs:
                self._apart.submit(self._work_alone, mode, loop, job)
            jobs, results = [], []
        except Exception as error:
            results = [_failure(jobs[0], error)] * len(jobs)
        _tell(loop, line.answer, loop, jobs, results)

    def _work_alone(self, session: "_Session", mode: _Mode, loop: asyncio.AbstractEventLoop, job: Job) -> None:
        try:
            (result,) = self._attempt(mode, session, [job])
        except Exception as error:
            result = _failure(job, error)
        _tell(loop, job.done, result)

    def _run(self, jobs: Sequence[Job], transaction: "_Transaction", known: dict[Hashable, Any]) -> list[Any]:
        """Run jobs in a transaction; return their results. Raises _Spoiled or _SetApart if it must not be committed."""
        now = self._world.now()
        results = []
        for job in jobs:
            transaction.wrote = False
            tx = Tx(
                job.caller,
                job.request_id,
                now,
                transaction.execute,
                transaction.write,
                known,
                self._kept,
                self._pool,
                self._quotas,
                self._world,
                self._token_secret,
                self.subscribers,
            )
            try:
                results.append(job.work(tx))
                continue
            except Error as refusal:
                result: Error = refusal
            except psycopg.Error:
                raise
            except Exception as error:
                if transaction.wrote and len(jobs) > 1:
                    raise _SetApart from error
                result = _failure(job, error)
            if transaction.wrote:
                raise _Spoiled(result)
            results.append(result)
        return results

    def _attempt(self, mode: _Mode, session: "_Session", jobs: Sequence[Job]) -> list[Any]:
        """Run jobs in one transaction, retried as far as that helps; return their results. Raises _SetApart."""
        pause_seconds = FIRST_PAUSE_SECONDS
        result: Any = ServiceUnavailable("Others change the same things all the time; nothing was changed.")
        note = {"request_ids": [job.request_id for job in jobs]}
        for _ in range(ATTEMPTS if len(jobs) == 1 else GROUP_ATTEMPTS):
            try:
                with session.transaction(mode.begin) as transaction:
                    results = self._run(jobs, transaction, mode.known(transaction.execute, jobs))
                session.place.find()
                return results
            except _MET_ANOTHER as error:
                log.info("request %s meets others: %s", jobs[0].request_id, str(error).strip(), extra=note)
                self._closing.wait(self._world.random.random() * 2 * pause_seconds)
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
            except _WAITED as error:
                log.warning("request %s has waited too long: %s", jobs[0].request_id, str(error).strip(), extra=note)
                result = ServiceUnavailable("The store has taken too long; nothing was changed.")
                break
            except _LOST as error:
                if session.committing or not session.was_idle:
                    session.place.lose(error)
                    if session.committing or session.is_at_the_last:
                        return [ServiceUnavailable(session.excuse)] * len(jobs)
            except _Spoiled as spoiled:
                result = spoiled.result
                break
            except psycopg.DataError as error:
                result = BadRequest(f"The store cannot keep a value: {error}.")
                break
            except psycopg.Error as error:
                if len(jobs) == 1:
                    result = _failure(jobs[0], error)
                break
        if len(jobs) > 1:
            raise _SetApart
        return [result]


def _failure(job: Job, error: Exception) -> ServiceFailure:
    log.error("request %s failed", job.request_id, exc_info=error, extra={"request_id": job.request_id})
    return ServiceFailure("The service encountered an unexpected error.")


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    try:
        loop.call_soon_threadsafe(partial(function, *args, **kwargs))
    except RuntimeError:
        log.warning("transactions were done when nobody waited for them any more")


def _nothing(execute: Execute, jobs: Sequence[Job]) -> dict[Hashable, Any]:
    return {}


def _locked(execute: Execute, jobs: Sequence[Job]) -> dict[Hashable, Any]:
    return dict(phone_numbers.find_all(execute, _names(jobs), lock=True))


def _locked_with_pending(execute: Execute, jobs: Sequence[Job]) -> dict[Hashable, Any]:
    return {**_locked(execute, jobs), **pending_changes.find_all(execute, _names(jobs))}


def _names(jobs: Sequence[Job]) -> Iterator[tuple[str, str]]:
    for job in jobs:
        if job.e164:
            with suppress(BadRequest):  # which the job itself will raise
                yield job.caller.account_id, normalize_id(job.e164)


class _Place:
    """The servers of one connection string, and whether any of them is reachable."""

    def __init__(self, name: str, conninfo: str, metrics: Metrics) -> None:
        self.name = name
        self.conninfo = conninfo
        self._metrics = metrics
        self._is_lost = False
        self._away_seconds = FIRST_AWAY_SECONDS
        self._away_until = 0.0

    @property
    def is_away(self) -> bool:
        """Whether it was lost so recently that another place, if there is one, is used instead."""
        return monotonic() < self._away_until

    def lose(self, error: psycopg.Error) -> None:
        """Record that it is unreachable; log that the first time."""
        if not self.is_away:
            self._away_until = monotonic() + self._away_seconds
            self._away_seconds = min(2 * self._away_seconds, LONGEST_AWAY_SECONDS)
        if not self._is_lost:
            self._is_lost = True
            self._metrics.lost(self.name)
            log.warning("%s is lost: %s", self.name, str(error).strip())

    def find(self) -> None:
        """Record that it is reachable; log that if it was lost."""
        if self._is_lost:
            self._is_lost = False
            self._metrics.found(self.name)
            self._away_seconds, self._away_until = FIRST_AWAY_SECONDS, 0.0
            log.warning("%s is there again", self.name)


class _Threads:
    """A pool of threads, each with a session of its own."""

    def __init__(self, count: int, places: Sequence[_Place]) -> None:
        self._places = places
        self._executor = ThreadPoolExecutor(count, "numberkeep-postgres", self._begin)
        self._local = threading.local()
        self._sessions: list[_Session] = []

    def submit(self, function: Callable[Concatenate["_Session", P], None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run ``function(session, ...)`` on one of the threads."""
        self._executor.submit(lambda: function(self._local.session, *args, **kwargs))

    def close(self) -> None:
        self._executor.shutdown()
        for session in self._sessions:
            session.close()

    def _begin(self) -> None:
        self._local.session = _Session(self._places)
        self._sessions.append(self._local.session)


class _Session:
    """A thread's connection to the first reachable place, opened when it is needed and reopened when it is lost."""

    def __init__(self, places: Sequence[_Place]) -> None:
        self._places = places
        self.place = places[0]
        self._connection: psycopg.Connection[Any] | None = None
        self._settings: list[str] = []
        self._warning: str | None = None
        self.committing = False
        """Whether a COMMIT may have been executed without an answer."""
        self.was_idle = False
        """Whether the connection had been open before the transaction: it may have been lost long ago."""

    @property
    def is_at_the_last(self) -> bool:
        """Whether there is no other place left to try."""
        return self.place is self._places[-1]

    @property
    def excuse(self) -> str:
        """The error message for callers whose transaction was lost."""
        if self.committing:
            return "The store was lost while it was being written; the change may have been made or not."
        return "The store cannot be used at the moment; nothing was changed."

    @contextmanager
    def transaction(self, begin: str) -> "Iterator[_Transaction]":
        """Run the block in a transaction, committed at its end unless it raises. Raises psycopg's errors."""
        self.was_idle, self.committing, self._warning = self._connection is not None, False, None
        if self.place is not self._places[0] and not self._places[0].is_away:
            self.close()  # the first place may be reachable again
        connection = self._connection = self._connection or self._connect()
        try:
            with connection.pipeline() as pipeline:
                connection.execute(begin)
                for setting in self._settings:
                    connection.execute(setting)
                transaction = _Transaction(connection)
                yield transaction
                if not transaction.has_read:
                    pipeline.sync()  # the connection must be known to be alive before COMMIT is sent
                transaction.flush()
                self.committing = True
                connection.execute("COMMIT")
            if self._warning:
                raise psycopg.OperationalError(self._warning)
        except BaseException as error:
            if isinstance(error, psycopg.Error) and error.diag.severity_nonlocalized == "ERROR":
                self.committing = False  # the server says that it has not committed
            if isinstance(error, _LOST) and not isinstance(error, (*_MET_ANOTHER, *_WAITED)):
                self.close()
            elif connection.info.transaction_status != TransactionStatus.IDLE:
                connection.rollback()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _hear(self, notice: errors.Diagnostic) -> None:
        """Keep a warning of a COMMIT: it was incomplete, and may have stopped waiting for the standby, say."""
        if self.committing and notice.severity_nonlocalized == "WARNING":
            self._warning = notice.message_primary

    def _connect(self) -> "psycopg.Connection[Any]":
        self.place = next((place for place in self._places if not place.is_away), self._places[-1])
        connection = psycopg.connect(self.place.conninfo, autocommit=True)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: "psycopg.Connection[Any]") -> None:
        connection.add_notice_handler(self._hear)
        sql = "SELECT pg_backend_pid(), current_setting('synchronous_commit', true)"
        (pid, durable) = connection.execute(sql).fetchone() or (0, None)
        settings = [
            f"statement_timeout = '{STATEMENT_SECONDS}s'",
            f"lock_timeout = '{LOCK_SECONDS}s'",
            f"idle_in_transaction_session_timeout = '{STATEMENT_SECONDS}s'",
            *["synchronous_commit = on"] * (durable in ("off", "local")),
        ]
        # A pooler gives every transaction another session: settings and prepared statements do not last.
        is_pooled = pid != connection.info.backend_pid
        connection.prepare_threshold = None if is_pooled else PREPARED_AFTER
        self._settings = [f"SET LOCAL {setting}" for setting in settings] if is_pooled else []
        for setting in [] if is_pooled else settings:
            connection.execute(f"SET {setting}")


class _Transaction:
    """Runs portable statements; writes are held back until something is read, or the end."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._run = connection.execute
        self._unwritten = Writes()
        self.has_read = False
        self.wrote = False

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        self.flush()
        self.has_read = True
        return self._run(translate(sql), parameters)

    def write(self, sql: str, parameters: Sequence[Any]) -> None:
        self.wrote = True
        self._unwritten.add(sql, parameters)

    def flush(self) -> None:
        for sql, parameters in self._unwritten.take():
            self._run(sql, parameters)


class _Looked:
    """A lookup in progress, and the callbacks that wait for it."""

    def __init__(self, forget: Callable[[], object]) -> None:
        self._forget = forget
        self._result: Any = None
        self._waiting: list[Callable[[], None]] | None = []

    def settle(self, result: Any) -> None:
        """Set the result and resume those who wait; later callers start another lookup."""
        self._result = result
        waiting, self._waiting = self._waiting, None
        loop = asyncio.get_running_loop()
        for resume in waiting or ():
            loop.call_soon(resume)
        loop.call_soon(self._forget)

    def result(self) -> Any:
        if self._waiting is not None:
            raise Awaited(self._waiting.append)
        if isinstance(self._result, Error):
            raise self._result
        return self._result
