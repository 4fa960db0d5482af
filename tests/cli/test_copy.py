"""A store on its way, at the shell."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from conftest import Start
from numberkeep.cli import main
from numberkeep.maintenance import migrate
from postgres import PostgresServer

NUMBER = "+12065550100"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


def test_an_inventory_moves_with_its_keys_and_its_history(start: Start, tmp_path: Path, postgres_url: str) -> None:
    """To PostgreSQL and back: whoever had a key goes on with it, and page tokens go on to count."""
    file, back = tmp_path / "numbers.sqlite3", tmp_path / "back.sqlite3"
    service = start(database=file, verify=True)
    key_id, secret = service.app.credentials
    credentials = {"access_key_id": key_id, "secret_access_key": secret}
    service.seed(*({"E164PhoneNumber": f"+1206555010{n}", "ProductType": "VoiceConnector"} for n in range(3)))
    client = service.client("chime-sdk-voice", **credentials)
    client.update_phone_number(PhoneNumberId=NUMBER, Name="Front desk")
    token = client.list_phone_numbers(MaxResults=2)["NextToken"]
    service.stop()
    for source, target in ((f"sqlite:///{file}", postgres_url), (postgres_url, f"sqlite:///{back}")):
        result = CliRunner().invoke(main, ["copy", "--from", source, "--to", target, "--output", "json"])
        assert result.exit_code == 0, result.stderr
        rows = {one["table"]: one["rows"] for one in json.loads(result.stdout)}
        assert (rows["phone_numbers"], rows["phone_number_history"], rows["access_keys"]) == (3, 4, 1)
        assert f"The stores are the same: {sum(rows.values())} rows." in result.stderr
    client = start(database=back, verify=True).client("chime-sdk-voice", **credentials)
    assert client.get_phone_number(PhoneNumberId=NUMBER)["PhoneNumber"]["Name"] == "Front desk"
    rest = client.list_phone_numbers(MaxResults=2, NextToken=token)
    assert [one["PhoneNumberId"] for one in rest["PhoneNumbers"]] == ["%2B12065550102"]


def test_a_copy_that_is_killed_goes_on(tmp_path: Path, postgres_url: str) -> None:
    path = tmp_path / "numbers.sqlite3"
    migrate(path)
    count = 200_000
    with closing(sqlite3.connect(path)) as file, file:
        file.executemany("INSERT INTO phone_number_owners VALUES (?, ?)", ((f"+{n:07}", "1") for n in range(count)))
    migrate(postgres_url)
    command = [sys.executable, "-m", "numberkeep", "copy", "--from", f"sqlite:///{path}", "--to", postgres_url]
    progress = "SELECT value FROM store WHERE name = 'copy_progress'"
    with psycopg.connect(postgres_url, autocommit=True) as target:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while process.poll() is None:
                row = target.execute(progress).fetchone()
                if row and json.loads(row[0])["rows"]:
                    os.kill(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        there = target.execute("SELECT count(*) FROM phone_number_owners").fetchone()
        (note,) = target.execute(progress).fetchone() or ("",)
        assert there == (json.loads(note)["rows"],)
        assert 0 < there[0] < count
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert f"The stores are the same: {count} rows." in done.stderr
        assert target.execute("SELECT count(*) FROM phone_number_owners").fetchone() == (count,)
        assert target.execute(progress).fetchone() is None


def test_what_is_refused_is_said_in_a_line(tmp_path: Path) -> None:
    for source, target, said in (
        (f"sqlite:///{tmp_path}/none", f"sqlite:///{tmp_path}/other", "There is no store"),
        (f"sqlite:///{tmp_path}/none", "postgresql://x:secret@127.0.0.1:1/x", "There is no store"),
    ):
        result = CliRunner().invoke(main, ["copy", "--from", source, "--to", target])
        assert result.exit_code == 1
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1
