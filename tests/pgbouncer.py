"""PgBouncer in front of a PostgreSQL server, in transaction mode: clients have a connection for one transaction."""

import os
import shutil
from pathlib import Path
from typing import Self

from clients.packages import from_debian
from postgres import PostgresServer, connect_once_ready
from workspace import Workspace, free_port


class PgBouncer:
    """A PgBouncer on 127.0.0.1 that pools transactions for all databases of `server`.

    `cache` is a directory for its program, which is downloaded when it is first needed, and not installed.
    """

    def __init__(self, server: PostgresServer, cache: Path) -> None:
        program, libraries = find(cache)
        self.port = free_port()
        self._workspace = Workspace()
        settings = self._workspace.path / "pgbouncer.ini"
        log = self._workspace.path / "log"
        settings.write_text(
            f"""
            [databases]
            * = host=127.0.0.1 port={server.port} user=postgres
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {self.port}
            unix_socket_dir =
            auth_type = any
            pool_mode = transaction
            max_client_conn = 1000
            """
        )
        process = self._workspace.start(log, program, settings, LD_LIBRARY_PATH=libraries)
        try:
            connect_once_ready(self.url("postgres"), process, log).close()
        except BaseException:
            self._workspace.end()
            raise

    def url(self, database: str) -> str:
        """The address of a database of the server, through the pool."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        self._workspace.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def find(cache: Path) -> tuple[str, str]:
    """The program, and the directory of the libraries that it needs."""
    installed = shutil.which("pgbouncer", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if installed:
        return installed, ""
    unpacked = from_debian(cache, "pgbouncer")
    libraries = os.pathsep.join(str(path) for path in unpacked.glob("usr/lib/*-linux-*"))
    return str(unpacked / "usr/sbin/pgbouncer"), libraries
