"""The schema in a PostgreSQL database: which version it is of, and how it becomes the newest."""

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .driver import StoreError
from .migrations import latest, migrations, of_postgres

T = TypeVar("T")
Connection = psycopg.Connection[Any]

CONNECT_SECONDS = 5

_VERSION = "SELECT value FROM store WHERE name = 'schema_version'"


def version_of(url: str) -> int:
    """The version of the schema, 0 if there is none. Raises StoreError."""
    return _on(url, _version)


def migrate(url: str, secret: str) -> list[str]:
    """Bring the schema up to date, and name the migrations that this took. Raises StoreError.

    Several may do so at once; each migration is run by one of them. `secret` becomes the token secret of a new store:
    64 hexadecimal digits.
    """
    return _on(url, lambda connection: _migrate(connection, secret))


def token_secret(url: str) -> bytes:
    """What the store's page tokens are sealed with. Raises StoreError if the schema is not the program's."""

    def read(connection: Connection) -> bytes:
        version = _version(connection)
        if version > latest():
            raise StoreError(f"The store is of version {version}, this program knows {latest()}: use a newer one.")
        if version < latest():
            raise StoreError(
                f"The store is of version {version}, this program needs {latest()}: run `numberkeep migrate up` first."
            )
        row = connection.execute("SELECT value FROM store WHERE name = 'token_secret'").fetchone()
        assert row
        return bytes.fromhex(row[0])

    return _on(url, read)


def without_password(url: str) -> str:
    """The URL's settings, to be shown."""
    return make_conninfo(**{name: str(value) for name, value in conninfo_to_dict(url).items() if name != "password"})


def _on(url: str, function: Callable[[Connection], T]) -> T:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            connection.prepare_threshold = None
            return function(connection)
    except psycopg.Error as error:
        raise StoreError(f"The store cannot be opened: {str(error).strip()}") from error


def _version(connection: Connection) -> int:
    try:
        row = connection.execute(_VERSION).fetchone()
    except errors.UndefinedTable:
        return 0
    return int(row[0]) if row else 0


def _migrate(connection: Connection, secret: str) -> list[str]:
    done: list[str] = []
    if _version(connection) > latest():
        return done
    while True:
        try:
            connection.execute(of_postgres(migrations()[0].statements[0]))  # which makes the table `store`
            break
        except (errors.UniqueViolation, errors.DuplicateTable):
            continue  # another is making it at this moment
    for name, value in (("schema_version", "0"), ("token_secret", secret)):
        connection.execute("INSERT INTO store VALUES (%s, %s) ON CONFLICT DO NOTHING", (name, value))
    for migration in migrations():
        with connection.transaction():
            row = connection.execute(f"{_VERSION} FOR UPDATE").fetchone()
            if row and int(row[0]) < migration.version:
                for statement in migration.statements:
                    connection.execute(of_postgres(statement).replace("%", "%%"))
                connection.execute(
                    "UPDATE store SET value = %s WHERE name = 'schema_version'", (str(migration.version),)
                )
                done.append(str(migration))
    return done
