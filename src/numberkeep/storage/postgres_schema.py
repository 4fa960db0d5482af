"""The schema in a PostgreSQL database: its version, and its migration to the newest."""

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .driver import StoreError
from .migrations import migrations, of_postgres, refuse_newer_version, refuse_other_versions
from .store import TOKEN_SECRET

T = TypeVar("T")
Connection = psycopg.Connection[Any]

SCHEMA_VERSION = "schema_version"
"""The fact that holds the version of the schema."""

_DEFAULTS = {
    "application_name": "numberkeep",
    "connect_timeout": "5",
    # A machine that has gone away sends nothing; the kernel has to notice.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""The parameters of a connection, unless the URL gives others."""

_VERSION = f"SELECT value FROM store WHERE name = '{SCHEMA_VERSION}'"

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"


def version_of(url: str) -> int:
    """Return the version of the schema, 0 if there is none. Raises StoreError."""
    return _on(url, _version)


def migrate(url: str, secret: str) -> list[str]:
    """Bring the schema up to date, and return the names of the migrations run. Raises StoreError.

    Several processes may do so at once; each migration is run by one of them. `secret` becomes the token secret of a
    new store: 64 hexadecimal digits.
    """
    return _on(url, lambda connection: _migrate(connection, secret))


def token_secret(url: str) -> bytes:
    """Return the HMAC key of page tokens. Raises StoreError if the schema is not of this program's version."""

    def read(connection: Connection) -> bytes:
        refuse_other_versions(_version(connection))
        row = connection.execute("SELECT value FROM store WHERE name = %s", (TOKEN_SECRET,)).fetchone()
        assert row
        return bytes.fromhex(row[0])

    return _on(url, read)


def without_password(url: str) -> str:
    """Return user, servers and database of the URL, to be shown."""
    given = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    user = f"{given['user']}@" if "user" in given else ""
    hosts, ports = given.get("host", "").split(","), given.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    servers = ",".join(f"{host}{':' * bool(port)}{port}" for host, port in zip(hosts, ports, strict=False))
    return f"postgresql://{user}{servers}/{given.get('dbname', '')}"


def conninfo(url: str, target_session_attrs: str, **defaults: str) -> str:
    """Return the URL's connection string; of several servers, it chooses one with these attributes."""
    given = conninfo_to_dict(url)
    defaults = {**_DEFAULTS, "target_session_attrs": target_session_attrs, **defaults}
    return make_conninfo(url, **{name: value for name, value in defaults.items() if name not in given})


def connect(url: str, application_name: str = "numberkeep schema") -> Connection:
    """Connect to the server that accepts writes, possibly through a pooler. Raises StoreError."""
    try:
        return psycopg.connect(
            conninfo(url, "read-write", application_name=application_name), autocommit=True, prepare_threshold=None
        )
    except psycopg.Error as error:
        raise _cannot_be_opened(url, error) from error


def _on(url: str, function: Callable[[Connection], T]) -> T:
    with connect(url) as connection:
        try:
            return function(connection)
        except psycopg.Error as error:
            raise _cannot_be_opened(url, error) from error


def _cannot_be_opened(url: str, error: psycopg.Error) -> StoreError:
    return StoreError(f"The store {without_password(url)} cannot be opened: {str(error).strip()}")


def _version(connection: Connection) -> int:
    try:
        row = connection.execute(_VERSION).fetchone()
    except errors.UndefinedTable:
        return 0
    return int(row[0]) if row else 0


def _migrate(connection: Connection, secret: str) -> list[str]:
    done: list[str] = []
    refuse_newer_version(_version(connection))
    there = {name for (name,) in connection.execute(_TABLES).fetchall()}
    if there and "store" not in there:
        raise StoreError(
            f"The database {connection.info.dbname} has tables of something else ({min(there)}, say): "
            "a store needs one to itself, or a schema of its own at the head of the search_path."
        )
    while True:
        try:
            connection.execute(of_postgres(migrations()[0].statements[0]))  # creates the table `store`
            break
        except (errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateObject):
            continue  # another process is creating it at this moment
    for name, value in ((SCHEMA_VERSION, "0"), (TOKEN_SECRET, secret)):
        connection.execute("INSERT INTO store VALUES (%s, %s) ON CONFLICT DO NOTHING", (name, value))
    for migration in migrations():
        with connection.transaction():
            row = connection.execute(f"{_VERSION} FOR UPDATE").fetchone()
            if row and int(row[0]) < migration.version:
                for statement in migration.statements:
                    connection.execute(of_postgres(statement))
                connection.execute(
                    "UPDATE store SET value = %s WHERE name = %s", (str(migration.version), SCHEMA_VERSION)
                )
                done.append(str(migration))
    return done
