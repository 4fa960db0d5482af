"""`numberkeep serve` with one difference: numbers are in memory, and their changes are written to a log, a line each.

Changes that arrive meanwhile share one write and one fdatasync, as they share a commit in a store. So it shows the
limit for durable writes behind this request path in Python. It is no store: only the benchmark reads the log. The
environment variable LOG names it.
"""

import asyncio
import os
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import msgspec

from numberkeep import opening
from numberkeep.cli import main
from numberkeep.domain.caller import Caller
from numberkeep.domain.errors import Error
from numberkeep.domain.phone_number import PhoneNumber
from numberkeep.storage import phone_numbers
from numberkeep.storage.answers import Answers
from numberkeep.storage.driver import LISTENING_TURNS, Driver, OnResult, Work
from numberkeep.storage.sqlite import Sqlite
from numberkeep.storage.tx import Pool, Tx
from numberkeep.world import World

NOBODY = Caller("", "", "")


class Job(NamedTuple):
    """The lines for the next write."""

    caller: Caller
    request_id: str
    work: Work
    done: OnResult


class LogStore(Driver):
    """Answers what is about one number; everything else (keys, lists) comes from a file that never changes."""

    def __init__(
        self, path: str, world: World, pool: Pool, quotas: Mapping[str, int] | None = None, **_: object
    ) -> None:
        self._file = Sqlite(path, world, pool, quotas)
        self._world = world
        self._pool = pool
        self._quotas = quotas or {}
        self._numbers = self._file.look(NOBODY, _everything)
        self._log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._kept = Answers()
        self._jobs: list[Job] = []
        self._busy = False
        self._lines: list[bytes] = []

    def read(self, caller: Caller, request_id: str, work: Work, done: OnResult, e164: str | None = None) -> None:
        if e164 is None:
            self._file.read(caller, request_id, work, done)
        else:
            done(self._run(Job(caller, request_id, work, done)))

    def write(self, caller: Caller, request_id: str, work: Work, done: OnResult, e164: str | None = None) -> None:
        if e164 is None:
            self._file.write(caller, request_id, work, done)
            return
        if not self._jobs:
            asyncio.get_running_loop().call_soon(self._write_group)
        self._jobs.append(Job(caller, request_id, work, done))

    def _write_group(self) -> None:
        if self._busy or not self._jobs:
            return
        jobs, self._jobs = self._jobs, []
        answers = [self._run(job) for job in jobs]
        lines, self._lines = self._lines, []
        os.write(self._log, b"".join(lines))
        os.fdatasync(self._log)
        for job, answer in zip(jobs, answers, strict=True):
            job.done(answer)
        self._busy = True
        self._listen(LISTENING_TURNS, len(jobs))

    def _listen(self, turns: int, expected: int) -> None:
        """Give the clients that were just answered time to send their next requests, as `Sqlite` does."""
        if turns and len(self._jobs) < expected:
            asyncio.get_running_loop().call_soon(self._listen, turns - 1, expected)
        else:
            self._busy = False
            self._write_group()

    def _run(self, job: Job) -> Any:
        try:
            return job.work(
                Tx(
                    job.caller,
                    job.request_id,
                    self._world.now(),
                    _not_in_memory,
                    self._note,
                    self._numbers,
                    self._kept,
                    self._pool,
                    self._quotas,
                    self._world,
                    b"",
                    None,
                )
            )
        except Error as error:
            return error

    def _note(self, sql: str, parameters: tuple[Any, ...]) -> None:
        """Write only the rows of the history to the log: they contain all that the other statements would change."""
        if sql.startswith("INSERT INTO phone_number_history"):
            self._lines.append(msgspec.json.encode(parameters) + b"\n")

    def look(self, caller: Caller, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._file.look(caller, function, *args, **kwargs)

    async def survey(self, caller: Caller, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await self._file.survey(caller, function, *args, **kwargs)

    def scrub(self) -> None:
        self._file.scrub()

    def close(self) -> None:
        self._file.close()
        os.close(self._log)


def _everything(tx: Tx) -> dict[Hashable, PhoneNumber | None]:
    """All numbers, in the form of `Tx.known`."""
    keys = tx.execute("SELECT account_id, e164_phone_number FROM phone_numbers", ()).fetchall()
    return phone_numbers.find_all(tx.execute, keys, lock=False)


def _not_in_memory(sql: str, parameters: tuple[Any, ...]) -> Any:
    raise LookupError(f"This is not kept in memory: {sql}")


if __name__ == "__main__":
    opening.Sqlite = LogStore  # type: ignore[assignment,attr-defined]
    main()
