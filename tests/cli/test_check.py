"""Whether a store is sound, at the shell."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from conftest import Start
from numberkeep.cli import main
from numberkeep.config import Location

NUMBERS = ("+12065550100", "+12065550101")


def check(database: str, *options: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["check", "--database", database, *options])
    return result.exit_code, result.stdout, result.stderr


def disown(location: Location, e164: str) -> None:
    sql = f"DELETE FROM phone_number_owners WHERE e164_phone_number = '{e164}'"
    if isinstance(location, str):
        with psycopg.connect(location) as connection:
            connection.execute(sql)
    else:
        with closing(sqlite3.connect(location)) as file, file:
            file.execute(sql)


def test_a_store_is_checked_while_it_is_served(start: Start, location: Location, database: str) -> None:
    """The demonstration inventory is sound; what breaks a rule is told by its number, for people and for programs."""
    service = start(database=location, empty=False)
    assert check(database) == (0, "", "All rules hold.\n")
    assert check(database, "--output", "json") == (0, "[]\n", "All rules hold.\n")
    disown(location, NUMBERS[0])
    status, said, summary = check(database)
    assert status == 1
    assert [line.split("  ")[0].strip() for line in said.splitlines()] == ["account", "123456789012"]
    assert NUMBERS[0] in said
    assert "it belongs to nobody" in said
    assert summary == "1 findings: the store is not sound.\n"
    assert json.loads(check(database, "--output", "json")[1]) == [
        {
            "account": "123456789012",
            "what": NUMBERS[0],
            "rule": "a number belongs to one account",
            "found": "its status is Unassigned, and it belongs to nobody",
        }
    ]
    assert service.client().update_phone_number(PhoneNumberId=NUMBERS[1], ProductType="VoiceConnector")


def test_a_damaged_file_is_told(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    start(database=path, empty=False).stop()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("PRAGMA writable_schema = ON")
        file.execute("DELETE FROM sqlite_schema WHERE name = 'phone_numbers_by_status'")
    status, said, _ = check(f"sqlite:///{path}")
    assert status == 1
    assert "the file is sound" in said
    path.write_bytes(path.read_bytes()[:8192])
    status, _, said = check(f"sqlite:///{path}")
    assert status == 1
    assert len(said.splitlines()) == 1
    assert "malformed" in said


@pytest.mark.parametrize("database", ["sqlite:////nowhere.sqlite3", "postgresql://x:secret@127.0.0.1:1/x"])
def test_what_cannot_be_checked_is_said_in_a_line(database: str) -> None:
    status, said, why = check(database)
    assert (status, said) == (1, "")
    assert "Traceback" not in why
    assert "secret" not in why


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    path.touch()
    status, _, why = check(f"sqlite:///{path}")
    assert status == 1
    assert "numberkeep migrate up" in why
    assert path.read_bytes() == b"", "it is left as it was"
