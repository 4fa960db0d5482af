"""Numbers in an account's inventory, one at a time and fifty."""

import asyncio
from typing import Any

import pytest

from conftest import ALICE, BOB, Do
from numberkeep.domain.errors import BadRequest, NotFound
from numberkeep.domain.phone_number import Association
from numberkeep.storage import phone_numbers
from numberkeep.storage.driver import Driver

ONE, TWO, THREE = "+12065550101", "+12065550102", "+12065550103"
MANY = [f"+1206555{n:04}" for n in range(100, 200)]
ASSIGNED = {
    "status": "Assigned",
    "associations": (Association("VoiceConnectorId", "abc", "2019-10-28T18:40:37.453Z"),),
}


def e164s(answer: Any) -> list[str]:
    return [number["E164PhoneNumber"] for number in answer["PhoneNumbers"]]


@pytest.mark.parametrize("spelling", ["+12065550101", "%2B12065550101", "%2b12065550101", "12065550101"])
def test_a_number_is_found_by_every_spelling_of_its_id(do: Do, put: Do, spelling: str) -> None:
    put(ONE)
    number = do("get_phone_number", phone_number_id=spelling)["PhoneNumber"]
    assert (number["E164PhoneNumber"], number["PhoneNumberId"]) == (ONE, "%2B12065550101")


def test_what_is_not_there_or_anothers_is_not_found(do: Do, put: Do) -> None:
    put(ONE, caller=BOB)
    for operation in ("get_phone_number", "delete_phone_number", "restore_phone_number"):
        with pytest.raises(NotFound, match=r"Could not find PhoneNumber with Id '\+12065550101'"):
            do(operation, phone_number_id=ONE)
    with pytest.raises(NotFound):
        do("update_phone_number", phone_number_id=ONE, name="Mine")
    assert e164s(do("list_phone_numbers")) == []
    assert e164s(do("list_phone_numbers", caller=BOB)) == [ONE]


def test_an_id_that_is_no_number_is_a_bad_request(do: Do) -> None:
    with pytest.raises(BadRequest, match=r"E\.164"):
        do("get_phone_number", phone_number_id="reception")


def test_pages_hold_every_number_once(do: Do, put: Do) -> None:
    put(*MANY)
    seen, token = [], None
    while True:
        answer = do("list_phone_numbers", max_results=7, next_token=token)
        seen += e164s(answer)
        token = answer["NextToken"]
        if token is None:
            break
        assert len(answer["PhoneNumbers"]) == 7
    assert seen == MANY
    assert e164s(do("list_phone_numbers")) == MANY[:99]


def test_a_page_that_ends_the_list_has_no_token(do: Do, put: Do) -> None:
    put(*MANY[:7])
    assert do("list_phone_numbers", max_results=7)["NextToken"] is None
    assert do("list_phone_numbers", max_results=6)["NextToken"] is not None
    assert e164s(do("list_phone_numbers", next_token="")) == MANY[:7]


def test_filters(do: Do, put: Do) -> None:
    put(ONE)
    put(TWO, **ASSIGNED)
    put(THREE, product_type="BusinessCalling")
    put("+12065550104", status="ReleaseInProgress")
    put("+12065550105", status="ReleaseFailed")
    put("+12065550106", status="Assigned", associations=(Association("SipRuleId", "abc", "2019-10-28T18:40:37.453Z"),))
    cases: list[tuple[dict[str, str], list[str]]] = [
        ({}, [ONE, TWO, THREE, "+12065550106"]),
        ({"status": "Unassigned"}, [ONE, THREE]),
        ({"status": "Assigned"}, [TWO, "+12065550106"]),
        ({"status": "ReleaseInProgress"}, ["+12065550104"]),
        ({"product_type": "BusinessCalling"}, [THREE]),
        ({"product_type": "VoiceConnector", "status": "Unassigned"}, [ONE]),
        ({"filter_name": "VoiceConnectorId", "filter_value": "abc"}, [TWO]),
        ({"filter_name": "VoiceConnectorId", "filter_value": "xyz"}, []),
        ({"filter_name": "SipRuleId"}, ["+12065550106"]),
        ({"filter_name": "SipRuleId", "status": "Unassigned"}, []),
    ]
    for filters, expected in cases:
        assert e164s(do("list_phone_numbers", **filters)) == expected, filters
    with pytest.raises(BadRequest, match="FilterValue needs FilterName"):
        do("list_phone_numbers", filter_value="abc")


def test_associations_are_shown_with_their_number(do: Do, put: Do) -> None:
    put(ONE)
    put(TWO, **ASSIGNED)
    assert [number["Associations"] for number in do("list_phone_numbers")["PhoneNumbers"]] == [
        [],
        [{"AssociatedTimestamp": "2019-10-28T18:40:37.453Z", "Name": "VoiceConnectorId", "Value": "abc"}],
    ]


def test_a_batch_changes_what_it_can(do: Do, put: Do) -> None:
    put(ONE)
    put(TWO, **ASSIGNED)
    answer = do("batch_delete_phone_number", phone_number_ids=[ONE, "%2B12065550102", THREE, "nonsense"])
    assert [(failure["PhoneNumberId"], failure["ErrorCode"]) for failure in answer["PhoneNumberErrors"]] == [
        ("%2B12065550102", "PhoneNumberAssociationsExist"),
        (THREE, "NotFound"),
        ("nonsense", "BadRequest"),
    ]
    assert all(failure["ErrorMessage"] for failure in answer["PhoneNumberErrors"])
    assert e164s(do("list_phone_numbers", status="ReleaseInProgress")) == [ONE]
    assert e164s(do("list_phone_numbers")) == [TWO]


@pytest.mark.parametrize(
    ("ids", "rule"),
    [([], "1 to 50"), (MANY[:51], "1 to 50"), ([ONE, TWO, "%2B12065550101"], "twice")],
)
def test_a_batch_that_breaks_a_limit_changes_nothing(do: Do, put: Do, ids: list[str], rule: str) -> None:
    put(*MANY)
    with pytest.raises(BadRequest, match=rule):
        do("batch_delete_phone_number", phone_number_ids=ids)
    assert len(e164s(do("list_phone_numbers"))) == 99


def test_every_change_leaves_a_trace(do: Do, put: Do, storage: Driver, seconds: list[float]) -> None:
    put(ONE)
    seconds[0] += 1
    do("update_phone_number", phone_number_id=ONE, product_type="BusinessCalling")
    seconds[0] += 1
    do("update_phone_number", phone_number_id=ONE, product_type="BusinessCalling")  # changes nothing
    with pytest.raises(BadRequest):
        do("update_phone_number", phone_number_id=ONE)
    latest, first = asyncio.run(storage.ask(ALICE, phone_numbers.history, ONE))
    assert first.change["status"] == (None, "Unassigned")
    assert latest.change == {
        "product_type": ("VoiceConnector", "BusinessCalling"),
        "updated_timestamp": ("2019-10-29T18:25:30.392Z", "2019-10-29T18:25:31.392Z"),
    }
    assert (latest.arn, latest.changed_at) == (ALICE.arn, "2019-10-29T18:25:31.392Z")
    assert latest.request_id != first.request_id
    assert asyncio.run(storage.ask(BOB, phone_numbers.history, ONE)) == []
