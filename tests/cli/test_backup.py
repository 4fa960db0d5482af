"""A copy of a store, at the shell; `tests/clients/test_backups.py` makes some under load."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from conftest import Start
from numberkeep.cli import main
from numberkeep.config import Location
from numberkeep.maintenance import migrate
from numberkeep.storage import copying


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.stderr
    return result.stderr


def test_a_busy_writer_does_not_have_it_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page is copied once, whatever is written between one page and the next."""
    path, file = tmp_path / "store.sqlite3", tmp_path / "backup.sqlite3"
    migrate(path)
    steps: list[tuple[int, int]] = []
    monkeypatch.setattr(copying, "BATCH_PAGES", 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:

        def progress(done: int, of: int) -> None:
            steps.append((done, of))
            writer.execute("INSERT INTO phone_number_owners VALUES (?, '1')", (str(len(steps)),))

        with closing(copying.SqliteSide(path)) as side:
            side.view()
            side.back_up(file, progress)
        assert steps == [(step + 1, steps[0][1]) for step in range(steps[0][1])]
        assert writer.execute("SELECT count(*) FROM phone_number_owners").fetchone() == (len(steps),)
    with closing(sqlite3.connect(file)) as copy:
        assert copy.execute("SELECT count(*) FROM phone_number_owners").fetchone() == (0,)
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_what_is_there_is_replaced_on_request_only(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    location: Location = tmp_path / "store.sqlite3"
    if engine == "postgresql":
        location = request.getfixturevalue("postgres_database")
    migrate(location)
    database = location if isinstance(location, str) else f"sqlite:///{location}"
    file = tmp_path / "backup.sqlite3"
    file.write_text("precious")
    refused = CliRunner().invoke(main, ["backup", str(file), "--database", database])
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert file.read_text() == "precious"
    run("backup", str(file), "--database", database, "--force")
    run("check", "--database", f"sqlite:///{file}")


def test_what_cannot_be_backed_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, file = tmp_path / "store.sqlite3", tmp_path / "backup.sqlite3"
    for database in (f"sqlite:///{path}", "postgresql://x:secret@127.0.0.1:1/x"):
        refused = CliRunner().invoke(main, ["backup", str(file), "--database", database])
        assert refused.exit_code == 1
        assert "secret" not in refused.stderr
    migrate(path)
    refused = CliRunner().invoke(main, ["backup", "/nowhere/at/all", "--database", f"sqlite:///{path}"])
    assert "cannot be written" in refused.stderr

    def fail(self: object, source: object, target: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(os, "fsync", fail)
    refused = CliRunner().invoke(main, ["backup", str(file), "--database", f"sqlite:///{path}"])
    assert refused.exit_code != 0
    assert [one.name for one in tmp_path.iterdir()] == ["store.sqlite3"]


@pytest.mark.parametrize("options", [(), ("--force",)])
def test_a_store_is_not_its_own_backup(tmp_path: Path, options: tuple[str, ...]) -> None:
    """It would be replaced under its server."""
    path = tmp_path / "store.sqlite3"
    migrate(path)
    before = path.stat().st_ino
    refused = CliRunner().invoke(main, ["backup", str(path), "--database", f"sqlite:///{path}", *options])
    assert refused.exit_code == 1
    assert path.stat().st_ino == before


def test_nothing_of_what_is_replaced_is_left(tmp_path: Path) -> None:
    """The log beside a store that has crashed belongs to it, and would be played back over the copy."""
    path, file = tmp_path / "store.sqlite3", tmp_path / "backup.sqlite3"
    for one, rows in ((path, 50), (file, 20)):
        migrate(one)
        connection = sqlite3.connect(one, isolation_level=None)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        for row in range(rows):
            connection.execute("INSERT INTO phone_number_owners VALUES (?, '1')", (str(row),))
        log = Path(f"{one}-wal").read_bytes()
        connection.close()
        Path(f"{one}-wal").write_bytes(log)  # as a process that was killed leaves it
    run("backup", str(file), "--database", f"sqlite:///{path}", "--force")
    with closing(sqlite3.connect(file)) as copy:
        assert copy.execute("SELECT count(*) FROM phone_number_owners").fetchone() == (50,)


def test_a_store_that_is_served_is_not_replaced(start: Start, tmp_path: Path) -> None:
    path, file = tmp_path / "store.sqlite3", tmp_path / "served.sqlite3"
    migrate(path)
    start(database=file)
    refused = CliRunner().invoke(main, ["backup", str(file), "--database", f"sqlite:///{path}", "--force"])
    assert (refused.exit_code, "is served by another process" in refused.stderr) == (1, True)
