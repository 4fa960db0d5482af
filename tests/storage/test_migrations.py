"""schema.sql is what the migrations come to, on both engines."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import resources
from itertools import chain

import psycopg
import pytest

from numberkeep.storage import postgres_schema
from numberkeep.storage.driver import StoreError
from numberkeep.storage.migrations import latest, migrations, of_postgres, of_sqlite, statements_of
from postgres import PostgresServer

SCHEMA = statements_of(resources.files("numberkeep.storage").joinpath("schema.sql").read_text())
MIGRATIONS = [statement for migration in migrations() for statement in migration.statements]


def test_versions_follow_each_other() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, latest() + 1))


def test_on_sqlite() -> None:
    seen = []
    for statements in (SCHEMA, MIGRATIONS):
        with closing(sqlite3.connect(":memory:")) as connection:
            for statement in statements:
                connection.execute(of_sqlite(statement))
            tables = connection.execute(
                "SELECT name, wr, strict FROM pragma_table_list WHERE schema = 'main'"
            ).fetchall()
            columns = connection.execute(
                "SELECT t.name, c.* FROM pragma_table_list t, pragma_table_xinfo(t.name) c WHERE t.schema = 'main'"
            ).fetchall()
            indexes = connection.execute(
                "SELECT t.name, i.name, i.origin, c.seqno, c.name FROM pragma_table_list t,"
                " pragma_index_list(t.name) i,"
                " pragma_index_xinfo(i.name) c WHERE t.schema = 'main'"
            ).fetchall()
            seen.append((sorted(tables), sorted(columns, key=repr), sorted(indexes, key=repr)))
    assert seen[0] == seen[1]
    assert len(seen[0][0]) > 20


def test_on_postgresql(postgres_server: PostgresServer) -> None:
    seen = []
    for statements in (SCHEMA, MIGRATIONS):
        with postgres_server.database() as url, psycopg.connect(url) as connection:
            for statement in statements:
                connection.execute(of_postgres(statement))
            columns = connection.execute(
                "SELECT table_name, ordinal_position, column_name, data_type, collation_name, is_nullable,"
                " column_default FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
            ).fetchall()
            indexes = connection.execute(
                "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"
            ).fetchall()
            seen.append((columns, indexes))
    assert seen[0] == seen[1]
    assert all(row[4] == "C" for row in seen[0][0] if row[3] == "text")
    assert {row[3] for row in seen[0][0]} == {"text", "bigint"}


def test_a_database_becomes_a_store(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url:
        assert postgres_schema.version_of(url) == 0
        with pytest.raises(StoreError, match="no store yet: run `numberkeep migrate up` first"):
            postgres_schema.token_secret(url)
        assert postgres_schema.migrate(url, "ab" * 32) == [str(migration) for migration in migrations()]
        assert postgres_schema.version_of(url) == latest()
        assert postgres_schema.token_secret(url) == b"\xab" * 32
        assert postgres_schema.migrate(url, "cd" * 32) == []
        assert postgres_schema.token_secret(url) == b"\xab" * 32


def test_a_store_that_is_newer_is_refused(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url:
        postgres_schema.migrate(url, "ab" * 32)
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE store SET value = %s WHERE name = 'schema_version'", (str(latest() + 1),))
        with pytest.raises(StoreError, match=f"version {latest() + 1}.*use a newer one"):
            postgres_schema.token_secret(url)
        with pytest.raises(StoreError, match=f"version {latest() + 1}.*use a newer one"):
            postgres_schema.migrate(url, "ab" * 32)
        assert postgres_schema.version_of(url) == latest() + 1


def test_several_may_migrate_at_once(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url, ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda _: postgres_schema.migrate(url, "ab" * 32), range(8)))
        assert sorted(chain.from_iterable(done)) == [str(migration) for migration in migrations()]


def test_a_password_is_not_shown() -> None:
    for url, shown in (
        ("postgresql://me:secret@db.example/numbers", "postgresql://me@db.example/numbers"),
        ("postgres://db.example:5433/numbers?user=me&password=secret", "postgresql://me@db.example:5433/numbers"),
        ("postgresql://me:secret@a,b/numbers?sslpassword=secret", "postgresql://me@a,b/numbers"),
    ):
        assert postgres_schema.without_password(url) == shown
