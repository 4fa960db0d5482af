"""The inventory at the shell."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conftest import ALICE, Do, Start
from numberkeep.cli import main
from numberkeep.cli.options import TABLE_ROWS
from numberkeep.domain.phone_number import Association

ACCOUNT = "123456789012"
NUMBER = "+12065550100"


def numbers(database: str, command: str, *options: str, account: str = ACCOUNT) -> Result:
    return CliRunner().invoke(main, ["numbers", command, "--database", database, "--account", account, *options])


def listed(database: str, *options: str) -> list[str]:
    result = numbers(database, "list", "--output", "json", *options, account=ALICE.account_id)
    assert result.exit_code == 0, result.stderr
    return [one["e164_phone_number"] for one in json.loads(result.stdout)]


@pytest.fixture
def named(start: Start, tmp_path: Path) -> str:
    """A store with one number, which was given a name."""
    path = tmp_path / "numbers.sqlite3"
    service = start(database=path)
    service.seed({"E164PhoneNumber": NUMBER, "ProductType": "VoiceConnector"})
    service.client("chime-sdk-voice").update_phone_number(PhoneNumberId=NUMBER, Name="Front desk")
    return f"sqlite:///{path}"


def test_the_list_can_be_narrowed(database: str, put: Do) -> None:
    put("+12065550101", product_type="BusinessCalling")
    put("+12065550102", status="ReleaseInProgress", deletion_timestamp="2030-01-01T00:00:00.000Z")
    for e164, connector in ("+12065550103", "one"), ("+12065550104", "other"):
        held = (Association("VoiceConnectorId", connector, "2020-01-01T00:00:00.000Z"),)
        put(e164, status="Assigned", associations=held)
    assert listed(database) == ["+12065550101", "+12065550103", "+12065550104"]
    assert listed(database, "--status", "ReleaseInProgress") == ["+12065550102"]
    assert listed(database, "--product-type", "BusinessCalling") == ["+12065550101"]
    holds = ("--filter-name", "VoiceConnectorId")
    assert listed(database, *holds) == ["+12065550103", "+12065550104"]
    assert listed(database, *holds, "--filter-value", "other") == ["+12065550104"]
    assert listed(database, "--search", "+12065550101") == ["+12065550101"]
    assert listed(database, "--search", "550102") == ["+12065550102"]
    assert listed(database, "--search", "2065550", "--status", "Assigned") == ["+12065550103", "+12065550104"]
    assert listed(database, "--search", "nobody") == []
    both = numbers(database, "list", "--search", "x", "--filter-name", "UserId")
    assert (both.exit_code, "leave --filter-name out" in both.stderr) == (2, True)
    assert listed(database, "--limit", "2") == ["+12065550101", "+12065550103"]
    alone = numbers(database, "list", "--filter-value", "other")
    assert (alone.exit_code, "needs --filter-name" in alone.stderr) == (2, True)


def test_a_long_list_comes_whole_in_every_form(database: str, put: Do) -> None:
    e164s = [f"+1206555{n:04}" for n in range(2 * TABLE_ROWS + 1)]
    put(*e164s, name='one, "two"')
    assert listed(database) == e164s
    text = numbers(database, "list", account=ALICE.account_id).stdout
    assert [line.split()[0] for line in text.splitlines()] == ["e164_phone_number", *e164s]
    text = numbers(database, "list", "--output", "csv", account=ALICE.account_id).stdout_bytes.decode()
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["e164_phone_number"], row["name"]) for row in rows] == [(e164, 'one, "two"') for e164 in e164s]
    assert text.count("\r\n") == len(e164s) + 1


def test_nothing_is_listed_of_a_store_that_is_not_there(tmp_path: Path) -> None:
    result = numbers(f"sqlite:///{tmp_path}/none", "list")
    assert (result.exit_code, result.stderr) == (1, f"Error: There is no store {tmp_path}/none.\n")
    assert not (tmp_path / "none").exists()


def test_a_number_is_shown_with_what_is_pending(database: str, do: Do, put: Do) -> None:
    put(NUMBER)
    do("update_phone_number", phone_number_id=NUMBER, calling_name="Acme")
    shown = json.loads(numbers(database, "show", NUMBER, "--output", "json", account=ALICE.account_id).stdout)
    assert (shown["requested_calling_name"], shown["associations"]) == ("Acme", [])
    assert [change["kind"] for change in shown["pending"]] == ["set_calling_name"]
    text = numbers(database, "show", NUMBER, account=ALICE.account_id).stdout.splitlines()
    assert text[0].split() == ["e164_phone_number", NUMBER]
    assert text[-1].split()[:3] == ["pending", "set_calling_name", "since"]
    other = numbers(database, "show", "+12065550199", account=ALICE.account_id)
    assert (other.exit_code, "Could not find" in other.stderr) == (1, True)


@pytest.mark.parametrize("spelling", [NUMBER, "%2B12065550100", "12065550100"])
def test_the_history_of_a_number(named: str, spelling: str) -> None:
    table = numbers(named, "history", spelling).stdout.splitlines()
    assert table[0].split() == ["when", "by", "request", "what", "from", "to"]
    assert "arn:aws:iam::123456789012:root" in table[1]
    assert table[1].endswith("Front desk")
    assert "arn:aws:iam::123456789012:root" in table[2]
    assert [line.split()[0] for line in table[3:6]] == ["country", "type", "product_type"], "who and when is said once"
    rows = list(csv.DictReader(numbers(named, "history", spelling, "--output", "csv").stdout.splitlines()))
    assert {row["by"] for row in rows} == {"arn:aws:iam::123456789012:root"}
    changes = json.loads(numbers(named, "history", spelling, "--output", "json").stdout)
    assert changes[0]["change"]["name"] == [None, "Front desk"]
    assert changes[1]["change"]["e164_phone_number"] == [None, NUMBER]


@pytest.mark.parametrize(("number", "said"), [("+12065550199", "has never had +12065550199"), ("x", "E.164")])
def test_a_number_that_is_not_there(named: str, number: str, said: str) -> None:
    result = numbers(named, "history", number)
    assert result.exit_code == 1
    assert said in result.stderr
