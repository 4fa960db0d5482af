"""What a carrier that a person deals with has still to do, at the shell."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conftest import Service, Start
from numberkeep import session
from numberkeep.cli import main

ACCOUNT = "123456789012"
E164 = "+12065550100"


@pytest.fixture
def manual(start: Start, tmp_path: Path) -> Service:
    """A service whose numbers are all served by a person."""
    carriers = tmp_path / "carriers.toml"
    carriers.write_text('default = "desk"\n[carriers.desk]\nkind = "manual"\n')
    return start(database=tmp_path / "store.sqlite3", carriers=carriers)


def pending(service: Service, command: str, *options: str) -> Result:
    database = f"sqlite:///{service.app.settings.database}"
    return CliRunner().invoke(main, ["pending", command, "--database", database, "--account", ACCOUNT, *options])


def kinds(service: Service) -> list[tuple[str, str]]:
    listed = json.loads(pending(service, "list", "--output", "json").stdout)
    return [(one["e164_phone_number"], one["kind"]) for one in listed]


def last_reason(service: Service) -> str:
    database = f"sqlite:///{service.app.settings.database}"
    options = ["numbers", "history", "--database", database, "--account", ACCOUNT, E164, "--output", "json"]
    return str(json.loads(CliRunner().invoke(main, options).stdout)[0]["change"]["reason"][1])


def test_a_person_settles_what_is_pending(manual: Service) -> None:
    chime = manual.client()
    order = chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[E164])["PhoneNumberOrder"]
    manual.advance("30d")
    assert kinds(manual) == [(E164, "order")]
    settled = pending(manual, "settle", E164, "--succeed")
    assert settled.output == f"order of {E164} has succeeded.\n"
    order = chime.get_phone_number_order(PhoneNumberOrderId=order["PhoneNumberOrderId"])["PhoneNumberOrder"]
    assert order["Status"] == "Successful"

    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    manual.advance("30d")
    assert pending(manual, "settle", E164, "--fail", "--reason", "LIDB says no").exit_code == 0
    number = chime.get_phone_number(PhoneNumberId=E164)["PhoneNumber"]
    assert (number["CallingNameStatus"], number.get("CallingName")) == ("UpdateFailed", None)
    assert last_reason(manual) == "LIDB says no"

    chime.delete_phone_number(PhoneNumberId=E164)
    early = pending(manual, "settle", E164, "--succeed")
    assert (early.exit_code, "can be restored until" in early.stderr) == (1, True)
    manual.advance("7d")
    assert chime.get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["Status"] == "DeleteInProgress"
    assert pending(manual, "settle", E164, "--fail", "--reason", "porting").exit_code == 0
    assert chime.get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["Status"] == "ReleaseFailed"
    assert kinds(manual) == []


def test_each_sees_what_is_theirs_to_do(manual: Service, tmp_path: Path) -> None:
    others = [f"+120655501{n:02}" for n in range(1, 4)]
    manual.seed(*[{"E164PhoneNumber": e164, "ProductType": "VoiceConnector"} for e164 in (E164, *others)])
    for e164 in (E164, *others):
        manual.client().update_phone_number(PhoneNumberId=e164, CallingName=f"Acme {e164[-2:]}")
    manual.client().delete_phone_number(PhoneNumberId=E164)
    file = tmp_path / "others.toml"
    routes = f'[[routes]]\nnumbers = "{others[1]}"\ncarrier = "lab"\n'
    file.write_text(f'default = "desk"\n[carriers.desk]\nkind = "manual"\n[carriers.lab]\nkind = "simulated"\n{routes}')

    def seen(*options: str) -> list[tuple[str, ...]]:
        listed = json.loads(pending(manual, "list", "--output", "json", *options).stdout)
        wanted = ("e164_phone_number", "kind", "calling_name", "carrier")
        return [tuple(one.get(name, "unknown") for name in wanted) for one in listed]

    names = [(e164, "set_calling_name", f"Acme {e164[-2:]}") for e164 in (E164, *others)]
    assert seen() == [(*one, "unknown") for one in ((E164, "release", None), *names)]
    assert seen("--carriers", str(file), "--carrier", "lab") == [(*names[2], "lab")]
    theirs = seen("--carriers", str(file), "--carrier", "desk")
    assert theirs == [(*one, "desk") for one in ((E164, "release", None), names[0], names[1], names[3])]
    text = pending(manual, "list", "--carriers", str(file), "--carrier", "lab").stdout
    assert text.splitlines()[1].split()[:5] == ["lab", others[1], "set_calling_name", "Acme", "02"]
    wrong = pending(manual, "list", "--carrier", "lab")
    assert (wrong.exit_code, "--carrier needs --carriers" in wrong.stderr) == (2, True)
    wrong = pending(manual, "list", "--carriers", str(file), "--carrier", "la")
    assert (wrong.exit_code, "there are desk, lab" in wrong.stderr) == (2, True)


def test_all_pages_are_listed(manual: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PAGE_ROWS", 2)
    numbers = [f"+120655501{n:02}" for n in range(5)]
    manual.seed(*[{"E164PhoneNumber": e164, "ProductType": "VoiceConnector"} for e164 in numbers])
    for e164 in numbers:
        manual.client().update_phone_number(PhoneNumberId=e164, CallingName="Acme")
    manual.client().delete_phone_number(PhoneNumberId=numbers[1])
    assert kinds(manual) == sorted([*[(e164, "set_calling_name") for e164 in numbers], (numbers[1], "release")])


def test_what_is_meant_has_to_be_clear(manual: Service) -> None:
    chime = manual.client()
    manual.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    chime.delete_phone_number(PhoneNumberId=E164)
    manual.advance("8d")
    assert kinds(manual) == [(E164, "release"), (E164, "set_calling_name")]
    both = pending(manual, "settle", E164, "--succeed")
    assert (both.exit_code, "say which change is meant" in both.stderr) == (1, True)
    assert pending(manual, "settle", E164, "--succeed", "--change", "release").exit_code == 0
    assert kinds(manual) == [], "who is gone needs no name"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([E164], "either --succeed or --fail"),
        ([E164, "--succeed", "--fail"], "either --succeed or --fail"),
        ([E164, "--fail"], "needs a --reason"),
        ([E164, "--succeed", "--reason", "x"], "needs a --reason"),
        (["x", "--succeed"], "E.164"),
        ([E164, "--succeed"], f"No change is pending of {E164}"),
        ([E164, "--succeed", "--change", "order"], f"No change of the kind order is pending of {E164}"),
    ],
)
def test_what_cannot_be_settled_is_refused(manual: Service, options: list[str], why: str) -> None:
    refused = pending(manual, "settle", *options)
    assert refused.exit_code != 0
    assert why in refused.stderr
