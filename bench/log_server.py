"""`numberkeep serve`, but for one thing: what is updated is in memory, and kept by a line in a log.

Whatever arrives meanwhile shares one fdatasync. It is the limit for a durable write behind this path in Python, and
not a store: nobody reads the log. The environment variable LOG names it.
"""

import os
from collections.abc import Hashable
from typing import Any

from numberkeep import app
from numberkeep.cli import main
from numberkeep.domain.errors import Error
from numberkeep.storage.driver import Done, Work
from numberkeep.storage.sqlite import Sqlite
from numberkeep.storage.tx import Tx


class LogStore(Sqlite):
    """Reads a file as ever; keeps updates in memory and in the log."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._numbers: dict[Any, Any] = {}
        self._updates: set[int] = set()

    def recall(self, key: Hashable) -> bytes | None:
        self._numbers.clear()  # a run has ended, and the next one begins with what the file has
        return None

    def write(self, caller: Any, request_id: str, work: Work, done: Done, e164: str | None = None) -> None:
        if e164:
            self._updates.add(id(work))
        super().write(caller, request_id, work, done, e164)

    def _commit(self, jobs: list[Any], *, wait: bool) -> list[Any] | None:
        others = [job for job in jobs if id(job[2]) not in self._updates]
        if others:  # the worker's, mostly: they are the file's
            done = super()._commit(others, wait=wait)
            if done is None:
                return None
            results = iter(done)
        lines: list[bytes] = []
        now = self._world.now()
        answers = [next(results) if id(job[2]) not in self._updates else self._update(job, now, lines) for job in jobs]
        os.write(self._log, b"".join(lines))
        os.fdatasync(self._log)
        return answers

    def _update(self, job: Any, now: str, lines: list[bytes]) -> Any:
        def write(sql: str, parameters: tuple[Any, ...]) -> None:
            if "history" in sql:
                lines.append("\0".join([*map(str, parameters), "\n"]).encode())

        caller, request_id, work, _ = job
        self._updates.discard(id(work))
        tx = Tx(
            caller,
            request_id,
            now,
            self._reader.execute,
            write,
            self._numbers,
            self._pool,
            self._quotas,
            self._world,
            self._token_secret,
        )
        try:
            return work(tx)
        except Error as error:
            return error


if __name__ == "__main__":
    app.Sqlite = LogStore  # type: ignore[misc]
    main()
