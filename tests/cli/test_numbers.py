"""The inventory at the shell."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from conftest import Start
from numberkeep.cli import main

NUMBER = "+12065550100"


@pytest.fixture
def database(start: Start, tmp_path: Path) -> str:
    """A store with one number, which was given a name."""
    path = tmp_path / "numbers.sqlite3"
    service = start(database=path)
    service.seed({"E164PhoneNumber": NUMBER, "ProductType": "VoiceConnector"})
    service.client("chime-sdk-voice").update_phone_number(PhoneNumberId=NUMBER, Name="Front desk")
    return f"sqlite:///{path}"


@pytest.mark.parametrize("spelling", [NUMBER, "%2B12065550100", "12065550100"])
def test_the_history_of_a_number(database: str, spelling: str) -> None:
    command = ["numbers", "history", "--database", database, "--account", "123456789012", spelling]
    table = CliRunner().invoke(main, command).stdout.splitlines()
    assert table[0].split() == ["when", "what", "from", "to", "by", "request"]
    assert "Front desk" in table[1]
    assert "arn:aws:iam::123456789012:root" in table[1]
    changes = json.loads(CliRunner().invoke(main, [*command, "--output", "json"]).stdout)
    assert changes[0]["change"]["name"] == [None, "Front desk"]
    assert changes[1]["change"]["e164_phone_number"] == [None, NUMBER]


@pytest.mark.parametrize(("number", "said"), [("+12065550199", "has never had +12065550199"), ("x", "E.164")])
def test_a_number_that_is_not_there(database: str, number: str, said: str) -> None:
    command = ["numbers", "history", "--database", database, "--account", "123456789012", number]
    result = CliRunner().invoke(main, command)
    assert result.exit_code != 0
    assert said in result.stderr
