"""What is read out of schema.sql is what SQLite makes of it."""

import sqlite3
from contextlib import closing

from numberkeep.storage.migrations import migrations, of_sqlite
from numberkeep.storage.schema import Table, tables


def test_tables_columns_and_keys() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        for migration in migrations():
            for statement in migration.statements:
                connection.execute(of_sqlite(statement))
        there = {}
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            columns = connection.execute("SELECT name, type, pk FROM pragma_table_info(?)", (name,)).fetchall()
            key = sorted((pk, column) for column, _, pk in columns if pk)
            there[name] = Table(
                name,
                tuple(column for column, _, _ in columns),
                tuple(column for _, column in key),
                frozenset(column for column, kind, _ in columns if kind == "INTEGER"),
            )
    assert tables() == there
