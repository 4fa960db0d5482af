"""A store is backed up under load and restored: whoever was answered before the backup began finds that it is so."""

import stat
from pathlib import Path

from click.testing import CliRunner

from load import ask, assert_sound, requests_in, until, writing
from numberkeep.cli import main
from numberkeep.config import Location
from postgres import PostgresServer

from .. import test_cli
from .test_processes import order, serving

NUMBERS = [f"+1206555{line:04}" for line in range(100, 106)]
BACKUPS = 3


def run(*arguments: str) -> None:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.stderr


def test_a_backup_under_load_has_all_that_was_answered_before(
    location: Location, database: str, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    key = test_cli.create_key(database)
    file = tmp_path / "backup.sqlite3"
    with serving(database, "--order-seconds", "0") as (_, url, _):
        client = test_cli.client(url, *key, name="chime-sdk-voice")
        order(client, *NUMBERS)
        with writing(client, NUMBERS) as writers:
            for _ in range(BACKUPS):
                counts = [len(writer.made) + 5 for writer in writers]
                until(lambda: all(len(one.made) > n for one, n in zip(writers, counts, strict=True)))  # noqa: B023
                made = {id for writer in writers for id in writer.made}
                run("backup", str(file), "--force", "--database", database)
                assert made <= requests_in(file)
                assert_sound(file)
            meanwhile = {id for writer in writers for id in writer.made} - made
            assert meanwhile, "nobody has waited for the backup"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == ["backup.sqlite3"]

    kept = requests_in(file)
    names = dict(ask(file, "SELECT e164_phone_number, name FROM phone_numbers"))
    with postgres_server.database() as empty:
        restored: Location = file
        if isinstance(location, str):
            run("copy", "--from", f"sqlite:///{file}", "--to", empty)
            restored = empty
        with serving(restored if isinstance(restored, str) else f"sqlite:///{restored}") as (_, url, _):
            client = test_cli.client(url, *key, name="chime-sdk-voice")
            shown = client.list_phone_numbers()["PhoneNumbers"]
            shown += client.list_phone_numbers(Status="ReleaseInProgress")["PhoneNumbers"]
            assert {one["E164PhoneNumber"]: one.get("Name") for one in shown} == names
            for one in shown:
                if one["Status"] == "Unassigned":
                    client.update_phone_number(PhoneNumberId=one["PhoneNumberId"], Name="goes on")
        assert kept <= requests_in(restored)
        assert_sound(restored)
