"""Any number of processes, one PostgreSQL or what speaks its protocol.

Transactions wait in lines, each with threads and connections of its own, which take them in groups:

- Those that touch no rows but one number's: most of what is asked. What gathers while a group is under way shares the
  next transaction, which first locks the numbers of all its jobs in one statement. So it is READ COMMITTED, and who
  meets another process waits for it instead of failing. The worker's have a line like that to themselves.
- Those that read one number: a group reads its numbers by one statement.
- All others are SERIALIZABLE. What arrives together shares a transaction, and goes on alone should that fail; a
  function that has met another transaction is run again.

What is written waits until something is read or the transaction ends (`postgres_statements`), and goes out
together with the COMMIT: a group of updates takes two round trips.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from ..domain.caller import Caller
from ..domain.errors import Awaited, BadRequest, Error, ServiceFailure, ServiceUnavailable
from ..domain.number_plan import normalize_id
from ..world import World
from . import pending_changes, phone_numbers
from .driver import Done, Driver, Work, promise
from .postgres_schema import token_secret
from .postgres_statements import Writes, translate
from .tx import Pool, Rows, Tx

log = logging.getLogger(__name__)
logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of every failed pipeline, which is reported here

P = ParamSpec("P")
T = TypeVar("T")

GROUP_JOBS = 256
"""How many jobs share one transaction at most."""
LISTENING_TURNS = 16
"""How many turns of the event loop at most those who were just answered have to come back for the next group."""
THREADS = 8
"""How many transactions that are not about one number run side by side."""
GROUP_ATTEMPTS = 3
"""How often a group that meets other transactions is run before its jobs go on alone."""
ATTEMPTS = 20
"""How often a job that meets other transactions is run before it is refused."""
FIRST_PAUSE_SECONDS = 0.001
"""How long a job waits on average before it is run again; twice as long each further time, up to the longest."""
LONGEST_PAUSE_SECONDS = 0.1
STATEMENT_SECONDS = 10
"""How long one statement may take, with the locks that it waits for."""
PREPARED_AFTER = 2
"""A statement that was run so often on a connection is prepared there."""
LOOKED_SECONDS = 0.5
"""For how long what `Postgres.look` has read is kept, for those who had to wait for it."""

_DEFAULTS = {
    "application_name": "numberkeep",
    "connect_timeout": "5",
    # A machine that has gone away says nothing; the kernel has to notice.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""What holds for a connection unless the URL says otherwise."""

_LOCKING = "BEGIN ISOLATION LEVEL READ COMMITTED"
_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SERIALIZABLE = "BEGIN ISOLATION LEVEL SERIALIZABLE"

_MET_ANOTHER = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
"""Two transactions that cannot both be: a UniqueViolation too, for a function looks before it inserts."""
_LOST = (psycopg.OperationalError, errors.ReadOnlySqlTransaction, errors.IdleInTransactionSessionTimeout)
"""The server is out of reach, has no time or no room, or is no longer the one that writes."""


Execute = Callable[..., Rows]


class _Job(NamedTuple):
    loop: asyncio.AbstractEventLoop
    caller: Caller
    request_id: str
    work: Work
    done: Done
    e164: str | None = None


class _Spoiled(Exception):
    """A job has failed after it had written; `result` is what it came to."""

    def __init__(self, result: object) -> None:
        super().__init__(result)
        self.result = result


class Postgres(Driver):
    """The store."""

    def __init__(
        self,
        url: str,
        world: World,
        pool: Pool,
        quotas: Mapping[str, int] | None = None,
        *,
        standby_url: str | None = None,
    ) -> None:
        """Use the database at `url`; what only reads is asked of the one at `standby_url`, if there is one, though that
        may lag behind. Whose a key is and what its owner may do is never asked there.

        Raises StoreError if the database cannot be used.
        """
        self._world = world
        self._pool = pool
        self._quotas = quotas or {}
        self._token_secret = token_secret(url)
        self._closing = threading.Event()
        self._is_lost = False
        leader = _conninfo(url, "read-write")
        nearest = _conninfo(standby_url, "prefer-standby") if standby_url else leader
        self._number_writes = _Line(leader, 1, partial(self._attempt, _LOCKING, _locked))
        self._changes = _Line(leader, 1, partial(self._attempt, _LOCKING, _locked_with_pending))
        self._writes = _Line(leader, THREADS, partial(self._attempt, _SERIALIZABLE, _nothing))
        self._looks = _Line(leader, 1, partial(self._attempt, _READING, _nothing))
        self._number_reads = _Line(nearest, 1, partial(self._attempt, _READING, _numbers))
        self._reads = _Line(nearest, THREADS, partial(self._attempt, _READING, _nothing))
        self._lines = (
            self._number_writes,
            self._changes,
            self._writes,
            self._looks,
            self._number_reads,
            self._reads,
        )
        self._looked: dict[Hashable, _Looked] = {}

    def recall(self, key: Hashable) -> bytes | None:
        return None  # another process may have written since

    def read(
        self, caller: Caller, request_id: str, work: Work, done: Done, key: Hashable = None, e164: str | None = None
    ) -> None:
        line = self._number_reads if e164 else self._reads
        line.put(_Job(asyncio.get_running_loop(), caller, request_id, work, done, e164))

    def write(self, caller: Caller, request_id: str, work: Work, done: Done, e164: str | None = None) -> None:
        line = self._number_writes if e164 else self._writes
        line.put(_Job(asyncio.get_running_loop(), caller, request_id, work, done, e164))

    async def transact_locking(
        self,
        caller: Caller,
        e164: str | None,
        function: Callable[Concatenate[Tx, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        future, done = promise()
        loop, id = asyncio.get_running_loop(), self._world.new_id()
        self._changes.put(_Job(loop, caller, id, lambda tx: function(tx, *args, **kwargs), done, e164))
        return await future  # type: ignore[no-any-return]

    def look(self, caller: Caller, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        key = (caller.account_id, function, args, tuple(kwargs.items()))
        looked = self._looked.get(key)
        if looked is None:
            loop = asyncio.get_running_loop()
            looked = self._looked[key] = _Looked(lambda: loop.call_later(LOOKED_SECONDS, self._looked.pop, key))
            id, done = self._world.new_id(), looked.settle
            self._looks.put(_Job(loop, caller, id, lambda tx: function(tx, *args, **kwargs), done))
        return looked.result()  # type: ignore[no-any-return]

    def scrub(self) -> None:
        """The database's files are its own."""

    def close(self) -> None:
        self._closing.set()
        for line in self._lines:
            line.close()

    def _run(self, jobs: Sequence[_Job], transaction: "_Transaction", known: dict[Hashable, Any]) -> list[Any]:
        """What the jobs come to, in one transaction. Raises _Spoiled if that must not be kept."""
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
                self._pool,
                self._quotas,
                self._world,
                self._token_secret,
            )
            try:
                results.append(job.work(tx))
            except Error as refusal:
                if transaction.wrote:
                    raise _Spoiled(refusal) from refusal
                results.append(refusal)
            except psycopg.Error:
                raise
            except Exception as error:
                failure = _failure(job, error)
                if transaction.wrote:
                    raise _Spoiled(failure) from error
                results.append(failure)
        return results

    def _attempt(self, begin: str, known: "_Known", session: "_Session", jobs: Sequence[_Job]) -> list[Any]:
        """What the jobs come to: in one transaction if that can be, and again as far as that helps."""
        pause_seconds = FIRST_PAUSE_SECONDS
        result: Any = ServiceUnavailable("Others change the same things all the time; nothing was changed.")
        for _ in range(ATTEMPTS if len(jobs) == 1 else GROUP_ATTEMPTS):
            try:
                with session.transaction(begin) as transaction:
                    results = self._run(jobs, transaction, known(transaction.execute, jobs))
                self._find()
                return results
            except _MET_ANOTHER:
                self._closing.wait(self._world.random.random() * 2 * pause_seconds)
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
            except _LOST as error:
                if not session.was_idle:
                    self._lose(error)
                    return [ServiceUnavailable(session.excuse)] * len(jobs)
            except _Spoiled as spoiled:
                result = spoiled.result
                break
            except psycopg.DataError as error:
                result = BadRequest(f"The store cannot keep a value: {error}.")
                break
            except psycopg.Error as error:
                result = _failure(jobs[0], error)
                break
        if len(jobs) == 1:
            return [result]
        return [self._attempt(begin, known, session, [job])[0] for job in jobs]

    def _lose(self, error: psycopg.Error) -> None:
        """Say that the store is lost, the first time."""
        if not self._is_lost:
            self._is_lost = True
            log.warning("the store is lost, and requests are refused: %s", str(error).strip())

    def _find(self) -> None:
        """Say that it is there again."""
        if self._is_lost:
            self._is_lost = False
            log.warning("the store is there again")


def _failure(job: _Job, error: Exception) -> ServiceFailure:
    log.error("request %s failed", job.request_id, exc_info=error)
    return ServiceFailure("The service encountered an unexpected error.")


_Known = Callable[[Execute, Sequence[_Job]], dict[Hashable, Any]]
"""What a group reads at its beginning, so that its jobs need not."""


def _nothing(execute: Execute, jobs: Sequence[_Job]) -> dict[Hashable, Any]:
    return {}


def _numbers(execute: Execute, jobs: Sequence[_Job]) -> dict[Hashable, Any]:
    return dict(phone_numbers.find_all(execute, _names(jobs), lock=False))


def _locked(execute: Execute, jobs: Sequence[_Job]) -> dict[Hashable, Any]:
    return dict(phone_numbers.find_all(execute, _names(jobs), lock=True))


def _locked_with_pending(execute: Execute, jobs: Sequence[_Job]) -> dict[Hashable, Any]:
    return {**_locked(execute, jobs), **pending_changes.find_all(execute, _names(jobs))}


def _names(jobs: Sequence[_Job]) -> Iterator[tuple[str, str]]:
    for job in jobs:
        if job.e164:
            with suppress(BadRequest):  # which the job itself will meet
                yield job.caller.account_id, normalize_id(job.e164)


def _conninfo(url: str, target_session_attrs: str) -> str:
    given = conninfo_to_dict(url)
    defaults = {**_DEFAULTS, "target_session_attrs": target_session_attrs}
    return make_conninfo(url, **{name: value for name, value in defaults.items() if name not in given})


class _Line:
    """Jobs that wait, and the threads that run them in groups."""

    def __init__(
        self,
        conninfo: str,
        threads: int,
        run: Callable[["_Session", Sequence[_Job]], list[Any]],
    ) -> None:
        self._conninfo = conninfo
        self._run = run
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, "numberkeep-postgres")
        self._local = threading.local()
        self._sessions: list[_Session] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jobs: list[_Job] = []
        self._busy = 0

    def put(self, job: _Job) -> None:
        if job.loop is not self._loop:  # the one before has ended, and with it whoever waited there
            self._loop, self._jobs, self._busy = job.loop, [], 0
        if not self._jobs:
            job.loop.call_soon(self._hand_over)
        self._jobs.append(job)

    def close(self) -> None:
        self._executor.shutdown()
        for session in self._sessions:
            session.close()

    def _hand_over(self) -> None:
        while self._loop and self._jobs and self._busy < self._threads:
            jobs, self._jobs = self._jobs[:GROUP_JOBS], self._jobs[GROUP_JOBS:]
            self._busy += 1
            self._executor.submit(self._work, self._loop, jobs)

    def _work(self, loop: asyncio.AbstractEventLoop, jobs: list[_Job]) -> None:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _Session(self._conninfo)
            self._sessions.append(session)
        try:
            results = self._run(session, jobs)
        except Exception as error:
            results = [_failure(jobs[0], error)] * len(jobs)
        try:
            loop.call_soon_threadsafe(self._give, loop, jobs, results)
        except RuntimeError:
            log.warning("%d transactions were done when nobody waited for them any more", len(jobs))

    def _give(self, loop: asyncio.AbstractEventLoop, jobs: list[_Job], results: list[Any]) -> None:
        if loop is not self._loop:
            return
        waiting = len(self._jobs)
        for job, result in zip(jobs, results, strict=True):
            try:
                job.done(result)
            except Exception:
                log.exception("request %s is done, and nobody could be told", job.request_id)
        self._listen(LISTENING_TURNS if self._threads == 1 else 0, waiting + len(jobs))

    def _listen(self, turns: int, expected: int) -> None:
        """Let `turns` of the loop pass, or fewer once `expected` wait; then begin the next group."""
        if turns and len(self._jobs) < expected:
            asyncio.get_running_loop().call_soon(self._listen, turns - 1, expected)
        else:
            self._busy -= 1
            self._hand_over()


class _Session:
    """A thread's connection, made when it is needed and made anew when it is lost."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: psycopg.Connection[Any] | None = None
        self._settings: list[str] = []
        self._committing = False
        self._warning: str | None = None
        self.was_idle = False
        """Whether the connection that was lost had served before: it may have been lost long ago."""

    @property
    def excuse(self) -> str:
        """What those are told whose transaction was lost."""
        if self._committing:
            return "The store was lost while it was being written; the change may have been made or not."
        return "The store cannot be used at the moment; nothing was changed."

    @contextmanager
    def transaction(self, begin: str) -> "Iterator[_Transaction]":
        """Commits what was written when the block ends, unless by an exception. Raises psycopg's errors."""
        self.was_idle, self._committing, self._warning = self._connection is not None, False, None
        connection = self._connection = self._connection or self._connect()
        try:
            with connection.pipeline():
                connection.execute(begin)
                for setting in self._settings:
                    connection.execute(setting)
                transaction = _Transaction(connection)
                yield transaction
                transaction.flush()
                self._committing = True
                connection.execute("COMMIT")
            if self._warning:
                raise psycopg.OperationalError(self._warning)
        except BaseException as error:
            if isinstance(error, _LOST) and not isinstance(error, _MET_ANOTHER):
                self.close()
            elif connection.info.transaction_status != TransactionStatus.IDLE:
                connection.rollback()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _hear(self, notice: errors.Diagnostic) -> None:
        """A COMMIT that warns has not done all: it may have stopped waiting for the standby, say."""
        if self._committing and notice.severity_nonlocalized == "WARNING":
            self._warning = notice.message_primary

    def _connect(self) -> "psycopg.Connection[Any]":
        connection = psycopg.connect(self._conninfo, autocommit=True)
        connection.add_notice_handler(self._hear)
        sql = "SELECT pg_backend_pid(), current_setting('synchronous_commit', true)"
        (pid, durable) = connection.execute(sql).fetchone() or (0, None)
        settings = [
            f"statement_timeout = '{STATEMENT_SECONDS}s'",
            f"idle_in_transaction_session_timeout = '{STATEMENT_SECONDS}s'",
            *["synchronous_commit = on"] * (durable in ("off", "local")),
        ]
        # A pooler gives every transaction another session: what is set or prepared in one is not there in the next.
        is_pooled = pid != connection.info.backend_pid
        connection.prepare_threshold = None if is_pooled else PREPARED_AFTER
        self._settings = [f"SET LOCAL {setting}" for setting in settings] if is_pooled else []
        for setting in [] if is_pooled else settings:
            connection.execute(f"SET {setting}")
        return connection


class _Transaction:
    """Runs portable statements; what is written goes out when something is read, or at the end."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._run = connection.execute
        self._unwritten = Writes()
        self.wrote = False

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        self.flush()
        return self._run(translate(sql), parameters)

    def write(self, sql: str, parameters: Sequence[Any]) -> None:
        self.wrote = True
        self._unwritten.add(sql, parameters)

    def flush(self) -> None:
        for sql, parameters in self._unwritten.take():
            self._run(sql, parameters)


class _Looked:
    """What is being looked up, and who waits for it."""

    def __init__(self, forget: Callable[[], object]) -> None:
        self._forget = forget
        self._result: Any = None
        self._waiting: list[Callable[[], None]] | None = []

    def settle(self, result: Any) -> None:
        self._result = result
        waiting, self._waiting = self._waiting, None
        self._forget()
        for resume in waiting or ():
            resume()

    def result(self) -> Any:
        if self._waiting is not None:
            raise Awaited(self._waiting.append)
        if isinstance(self._result, Error):
            raise self._result
        return self._result
