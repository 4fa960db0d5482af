"""The schema at the shell."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from numberkeep.cli import main
from numberkeep.config import Location
from numberkeep.storage import postgres_schema
from numberkeep.storage.migrations import latest, migrations, of_sqlite
from postgres import PostgresServer

NAMES = [str(migration) for migration in migrations()]


def run(command: str, database: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["migrate", command, "--database", database, *options])


def test_a_database_is_brought_up_to_date(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url:
        assert json.loads(run("status", url, "--output", "json").stdout) == {
            "version": 0,
            "latest": latest(),
            "pending": NAMES,
        }
        done = run("up", url).stdout.splitlines()
        assert done == [*[f"done: {name}" for name in NAMES], f"The store is of version {latest()}."]
        assert run("up", url).stdout.splitlines() == [f"The store is of version {latest()}."]
        status = run("status", url).stdout.splitlines()
        assert status == [f"The store is of version {latest()}, this program knows {latest()}."]


def test_a_file_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    url = f"sqlite:///{path}"
    assert json.loads(run("status", url, "--output", "json").stdout)["pending"] == NAMES
    assert not path.exists(), "who asks changes nothing"
    assert run("up", url).stdout.splitlines()[:-1] == [f"done: {name}" for name in NAMES]
    assert json.loads(run("status", url, "--output", "json").stdout)["pending"] == []


def test_who_only_looks_leaves_an_older_store_as_it_is(tmp_path: Path) -> None:
    """The older program that serves it could not start again."""
    path, copy = tmp_path / "store.sqlite3", tmp_path / "copy.sqlite3"
    with closing(sqlite3.connect(path)) as file:
        for migration in migrations()[:3]:
            for statement in migration.statements:
                file.execute(of_sqlite(statement))
        file.execute("PRAGMA user_version = 3")
        file.commit()
    account = ("--account", "123456789012", "--database", f"sqlite:///{path}")
    for command in (["numbers", "list"], ["numbers", "import", __file__, "--format", "csv"], ["pending", "list"]):
        asked = CliRunner().invoke(main, [*command, *account])
        assert (asked.exit_code, "run `numberkeep migrate up` first" in asked.stderr) == (1, True)
    backed_up = CliRunner().invoke(main, ["backup", str(copy), "--database", f"sqlite:///{path}"])
    assert backed_up.exit_code == 0, backed_up.stderr
    for one in (path, copy):
        assert run("status", f"sqlite:///{one}").stdout.startswith("The store is of version 3,")


def test_a_newer_store_is_refused(location: Location) -> None:
    if isinstance(location, Path):
        run("up", f"sqlite:///{location}")
        with closing(sqlite3.connect(location)) as file:
            file.execute(f"PRAGMA user_version = {latest() + 1}")
        url = f"sqlite:///{location}"
    else:
        with psycopg.connect(location) as connection:
            connection.execute("UPDATE store SET value = %s WHERE name = 'schema_version'", (str(latest() + 1),))
        url = location
    assert f"version {latest() + 1}, this program knows {latest()}" in run("status", url).stdout
    up = run("up", url)
    assert up.exit_code == 1
    assert f"version {latest() + 1}, this program knows {latest()}: use a newer one" in up.stderr


def test_serve_says_what_to_run(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url:
        served = CliRunner().invoke(main, ["serve", "--database", url, "--port", "0", "--admin-port", "0"])
    assert served.exit_code == 1
    assert "run `numberkeep migrate up`" in served.stderr


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@127.0.0.1:1/numbers", "postgres://127.0.0.1:1/?password=secret"]
)
def test_a_server_that_is_not_there(url: str) -> None:
    for command in ("status", "up"):
        result = run(command, url)
        assert result.exit_code == 1
        assert "127.0.0.1:1/" in result.stderr
        assert "cannot be opened" in result.stderr
        assert "secret" not in result.output


def test_a_database_of_something_else_is_left_alone(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with postgres_server.database("template1") as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE films (title TEXT)")
        refused = run("up", url)
        assert (refused.exit_code, "tables of something else (films, say)" in refused.stderr) == (1, True)
        with psycopg.connect(url) as connection:
            assert connection.execute(postgres_schema._TABLES).fetchall() == [("films",)]
    path = tmp_path / "films.sqlite3"
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE films (title TEXT)")
        before = path.read_bytes()
    refused = run("up", f"sqlite:///{path}")
    assert (refused.exit_code, "it has films" in refused.stderr) == (1, True)
    assert path.read_bytes() == before
