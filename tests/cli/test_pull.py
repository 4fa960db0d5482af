"""An AWS account's numbers, into a store and compared with one; another Numberkeep is the AWS account."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conftest import Service, Start
from numberkeep.cli import main

ACCOUNT = "123456789012"
CONNECTOR = "abcdef1ghij2klmno3pqr4"


@pytest.fixture
def aws(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """An account with an estate, and a profile for it."""
    service = start()
    voice = service.client("chime-sdk-voice")
    connector = voice.create_voice_connector(Name="Trunk", RequireEncryption=False)["VoiceConnector"]
    item = {"VoiceConnectorId": connector["VoiceConnectorId"], "Priority": 1}
    group = voice.create_voice_connector_group(Name="Pair", VoiceConnectorItems=[item])["VoiceConnectorGroup"]
    ordered = [f"+1206555{n:04}" for n in range(100, 150)]
    for e164s in (ordered, [f"+1206555{n:04}" for n in range(200, 250)]):
        voice.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=e164s)
        service.advance("1m")
    voice.associate_phone_numbers_with_voice_connector(
        VoiceConnectorId=connector["VoiceConnectorId"], E164PhoneNumbers=ordered[:1]
    )
    voice.associate_phone_numbers_with_voice_connector_group(
        VoiceConnectorGroupId=group["VoiceConnectorGroupId"], E164PhoneNumbers=ordered[1:2]
    )
    voice.update_phone_number(PhoneNumberId=ordered[2], Name="Desk")
    voice.delete_phone_number(PhoneNumberId=ordered[3])
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[estate]\naws_access_key_id = {ACCOUNT}\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    return service


def numbers(service: Service, command: str, database: str, *options: str) -> Result:
    aws = ("--profile", "estate", "--region", "us-east-1", "--endpoint-url", service.url)
    return CliRunner().invoke(
        main, ["numbers", command, "--database", database, "--account", "210987654321", *aws, *options]
    )


def shown(service: Service, database: str) -> list[tuple[str, str, str]]:
    rows = json.loads(numbers(service, "diff", database, "--output", "json").stdout)
    return [(row["e164_phone_number"], row["found"], row.get("member", "")) for row in rows]


def test_an_estate_is_pulled_and_compared(aws: Service, database: str, start: Start) -> None:
    pulled = numbers(aws, "pull", database)
    assert pulled.exit_code == 0, pulled.stderr
    assert pulled.stdout == (
        "100 numbers added, 0 there already, 0 refused; 2 Voice Connectors and groups and 2 of 2 orders added.\n"
    )
    assert CliRunner().invoke(main, ["check", "--database", database]).exit_code == 0
    same = numbers(aws, "diff", database)
    assert (same.exit_code, same.stderr) == (0, "They are the same.\n")
    again = numbers(aws, "pull", database)
    assert again.stdout.startswith("0 numbers added, 100 there already, 0 refused; 0 Voice")

    voice = aws.client("chime-sdk-voice")
    voice.update_phone_number(PhoneNumberId="+12065550110", Name="Door")
    aws.seed({"E164PhoneNumber": "+12065550300", "ProductType": "VoiceConnector"})
    assert shown(aws, database) == [("+12065550110", "different", "Name"), ("+12065550300", "only there", "")]
    changed = numbers(aws, "pull", database)
    assert (changed.exit_code, "+12065550110 is refused" in changed.stderr) == (1, True)
    assert shown(aws, database) == [("+12065550110", "different", "Name")], "what is there is not overwritten"
    table = numbers(aws, "diff", database)
    assert (table.exit_code, table.stdout.splitlines()[1].split()[-2:]) == (1, ["-", "Door"])


def test_what_is_in_progress_is_left_and_said(aws: Service, database: str) -> None:
    aws.client("chime-sdk-voice").update_phone_number(PhoneNumberId="+12065550120", CallingName="Acme")
    pulled = numbers(aws, "pull", database)
    assert pulled.exit_code == 1
    assert "+12065550120: what is in progress cannot be put in" in pulled.stderr
    assert shown(aws, database) == [("+12065550120", "only there", "")]


def test_numbers_that_are_only_here(aws: Service, database: str, tmp_path: Path) -> None:
    numbers(aws, "pull", database)
    file = tmp_path / "more.csv"
    file.write_text("E164PhoneNumber,ProductType\n+12065550400,VoiceConnector\n")
    CliRunner().invoke(main, ["numbers", "import", "--database", database, "--account", "210987654321", str(file)])
    assert shown(aws, database) == [("+12065550400", "only here", "")]


def test_an_account_that_cannot_be_asked_is_said(aws: Service, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numberkeep.cli.aws_account.MOST_ATTEMPTS", 2)
    options = ["--database", database, "--account", ACCOUNT, "--region", "us-east-1"]
    for more, said in (
        (["--profile", "none"], "none"),
        (["--endpoint-url", "http://127.0.0.1:9", "--profile", "estate"], "127.0.0.1:9"),
    ):
        result = CliRunner().invoke(main, ["numbers", "pull", *options, *more])
        assert (result.exit_code, result.stderr.startswith("Error: AWS cannot be asked")) == (1, True)
        assert said in result.stderr


def test_boto3_need_not_be_there(tmp_path: Path) -> None:
    without = "import sys; sys.modules['boto3'] = None; from numberkeep.cli import main; main(prog_name='numberkeep')"
    command = ["numbers", "diff", "--database", f"sqlite:///{tmp_path}/none", "--account", ACCOUNT]
    result = subprocess.run([sys.executable, "-c", without, *command], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr == "Error: boto3 is not there: pip install 'numberkeep[aws]'.\n"
