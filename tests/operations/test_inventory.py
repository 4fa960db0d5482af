"""Numbers that come in without an order."""

import asyncio
from typing import Any

import msgspec
import pytest

from conftest import ALICE, BOB, Do
from numberkeep.domain.caller import Caller
from numberkeep.domain.errors import BadRequest
from numberkeep.operations import inventory
from numberkeep.operations.inventory import GivenNumber, given_of
from numberkeep.storage import phone_numbers
from numberkeep.storage.checking import check
from numberkeep.storage.driver import Driver
from numberkeep.storage.tx import Tx

NUMBER = {"E164PhoneNumber": "+12065550100", "ProductType": "VoiceConnector"}
CONNECTOR = {"Name": "VoiceConnectorId", "Value": "abcdef1ghij2klmno3pqr4"}


def put(storage: Driver, *numbers: dict[str, Any], caller: Caller = ALICE, dry_run: bool = False) -> list[Any]:
    def work(tx: Tx) -> list[Any]:
        return inventory.put(tx, msgspec.convert(numbers, list[GivenNumber]), dry_run=dry_run)

    return asyncio.run(storage.transact(caller, work))


def findings(storage: Driver) -> list[Any]:
    def work(tx: Tx) -> list[Any]:
        return list(check(lambda sql, parameters: tx.execute(sql, parameters).fetchall()))

    return asyncio.run(storage.ask(ALICE, work))


def test_one_that_breaks_a_rule_leaves_the_others_alone(storage: Driver, do: Do) -> None:
    other = {**NUMBER, "E164PhoneNumber": "+12065550101", "Associations": [CONNECTOR]}
    queued = {**NUMBER, "E164PhoneNumber": "+12065550102", "Status": "ReleaseInProgress"}
    failed = {**NUMBER, "E164PhoneNumber": "+12065550103", "Status": "AcquireFailed"}
    wrong = {**NUMBER, "E164PhoneNumber": "+442079460100"}
    outcomes = put(storage, NUMBER, wrong, other, queued, failed, {**NUMBER, "E164PhoneNumber": "x"})
    assert [one if isinstance(one, str) else type(one) for one in outcomes] == [
        *("added", BadRequest, "added", "added", "added", BadRequest)
    ]
    assert do("get_phone_number", phone_number_id="+12065550101")["PhoneNumber"]["Status"] == "Assigned"
    assert do("get_voice_connector", voice_connector_id=CONNECTOR["Value"])
    assert findings(storage) == []
    (taken,) = put(storage, NUMBER, caller=BOB)
    assert str(taken) == "+12065550100 is in an inventory already: another account's."
    assert put(storage, {**NUMBER, "E164PhoneNumber": "+12065550103"}, caller=BOB) == ["added"], "it is nobody's"


def test_what_is_there_already_stays_as_it_is(storage: Driver) -> None:
    held = {**NUMBER, "Name": "Desk", "CreatedTimestamp": "2020-01-01T00:00:00Z", "Associations": [CONNECTOR]}
    assert put(storage, held, held) == ["added", "same"], "in one go too"
    assert put(storage, held, NUMBER) == ["same", "same"], "what is not said is not asked for"
    assert put(storage, {**held, "CreatedTimestamp": "2020-01-01T01:00:00+01:00"}) == ["same"]
    for change in (
        {"Name": "Door"},
        {"Status": "Unassigned"},
        {"CreatedTimestamp": "2020-01-02T00:00:00Z"},
        {"Associations": [{**CONNECTOR, "Value": "b" * 22}]},
        {"Associations": [{**CONNECTOR, "AssociatedTimestamp": "2020-01-02T00:00:00Z"}]},
    ):
        (refusal,) = put(storage, {**held, **change})
        (member,) = change
        assert str(refusal) == f"+12065550100 is in an inventory already: the account's, with another {member}."


def test_what_is_in_progress_is_known_again(storage: Driver, do: Do) -> None:
    put(storage, NUMBER)
    do("update_phone_number", phone_number_id="+12065550100", calling_name="Acme")
    number = asyncio.run(storage.ask(ALICE, phone_numbers.get, "+12065550100"))
    assert put(storage, msgspec.to_builtins(given_of(number))) == ["same"]
    (refusal,) = put(storage, {**msgspec.to_builtins(given_of(number)), "E164PhoneNumber": "+12065550101"})
    assert "in progress cannot be put in" in str(refusal)


def test_a_dry_run_writes_nothing(storage: Driver) -> None:
    assert put(storage, NUMBER, dry_run=True) == ["added"]
    assert put(storage, {**NUMBER, "Associations": [CONNECTOR]}) == ["added"]


def test_a_number_that_comes_back_has_one_history(storage: Driver, do: Do) -> None:
    failed = {**NUMBER, "Status": "AcquireFailed"}
    put(storage, failed)
    do("delete_phone_number", phone_number_id="+12065550100")
    assert put(storage, NUMBER) == ["added"]
    history = asyncio.run(storage.ask(ALICE, phone_numbers.history, "+12065550100"))
    assert [change.change["status"][1] for change in history] == ["Unassigned", None, "AcquireFailed"]
    assert findings(storage) == []


@pytest.mark.parametrize("name", ["SipRuleId", "UserId", "AccountId"])
def test_what_holds_a_number_otherwise_is_not_made_up(storage: Driver, name: str) -> None:
    (refusal,) = put(storage, {**NUMBER, "Associations": [{"Name": name, "Value": "x"}]})
    assert f"by a {name} cannot be made up" in str(refusal)
