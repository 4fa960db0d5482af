"""Every pair of state and event, and every rule of an update."""

from itertools import product
from typing import get_args

import pytest
from msgspec.structs import replace

from numberkeep.domain import phone_number
from numberkeep.domain.errors import BadRequest, Conflict, PhoneNumberAssociationsExist
from numberkeep.domain.phone_number import (
    CALLING_NAME_MOVES,
    MOVES,
    Association,
    CallingNameStatus,
    PhoneNumber,
    Status,
)

CREATED = "2019-08-12T22:10:20.521Z"
NOW = "2019-10-29T18:25:30.392Z"
WEEK_LATER = "2019-11-05T18:25:30.392Z"

LOCAL = PhoneNumber("+12065550100", "US", "Local", "VoiceConnector", "Unassigned", CREATED, CREATED)
TOLL_FREE = replace(LOCAL, e164_phone_number="+18885550100", type="TollFree")
LONDON = replace(LOCAL, e164_phone_number="+442079460100", country="GB", product_type="SipMediaApplicationDialIn")
ASSIGNED = replace(
    LOCAL, status="Assigned", associations=(Association("VoiceConnectorId", "abcdef1ghij2klmno3pqr4", CREATED),)
)

EVENTS = {
    "acquire": lambda number: number.acquire(None, NOW),
    "fail_to_acquire": lambda number: number.fail_to_acquire(NOW),
    "delete": lambda number: number.delete(NOW),
    "restore": lambda number: number.restore(NOW),
    "begin_release": lambda number: number.begin_release(NOW),
    "fail_to_release": lambda number: number.fail_to_release(NOW),
}
"""The events that are moves of a number by itself; assigning needs what it is assigned to."""


@pytest.mark.parametrize(("status", "event"), list(product(get_args(Status), EVENTS)))
def test_every_state_and_event(status: Status, event: str) -> None:
    number = replace(ASSIGNED if status == "Assigned" else LOCAL, status=status)
    if (status, event) not in MOVES:
        with pytest.raises(BadRequest):
            EVENTS[event](number)
        return
    after = EVENTS[event](number)
    if MOVES[status, event] is phone_number.GONE:
        assert after is None
    else:
        assert after.status == MOVES[status, event]
        assert after.updated_timestamp == NOW
        assert after.created_timestamp == CREATED


def test_the_tables_lead_only_to_states_that_exist() -> None:
    assert {status for status in MOVES.values() if status} <= set(get_args(Status))
    assert {status for status, _ in MOVES} == set(get_args(Status))
    assert {status for status, _ in CALLING_NAME_MOVES} == set(get_args(CallingNameStatus))


@pytest.mark.parametrize("status", get_args(Status))
@pytest.mark.parametrize("change", [{"product_type": "BusinessCalling"}, {"calling_name": "Acme"}, {"name": "Desk"}])
def test_only_numbers_in_use_are_updated(status: Status, change: dict[str, str]) -> None:
    number = replace(ASSIGNED if status == "Assigned" else LOCAL, status=status)
    if status == "Unassigned" or (status == "Assigned" and "product_type" not in change):
        assert number.update(change, NOW).updated_timestamp == NOW
    else:
        with pytest.raises(BadRequest, match=status if status != "Assigned" else "is assigned to VoiceConnectorId"):
            number.update(change, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"product_type": "BusinessCalling", "calling_name": "Acme"},
        {"product_type": "BusinessCalling", "name": "Desk"},
        {"product_type": "BusinessCalling", "calling_name": "Acme", "name": "Desk"},
    ],
)
def test_one_detail_at_a_time(changes: dict[str, str]) -> None:
    with pytest.raises(BadRequest, match="Exactly one"):
        LOCAL.update(changes, NOW)


@pytest.mark.parametrize(
    ("number", "product_type", "rule"),
    [
        (LOCAL, "BusinessCalling", None),
        (LOCAL, "SipMediaApplicationDialIn", None),
        (TOLL_FREE, "SipMediaApplicationDialIn", None),
        (TOLL_FREE, "BusinessCalling", "TollFree"),
        (LONDON, "VoiceConnector", "outside the US"),
        (LONDON, "BusinessCalling", "outside the US"),
    ],
)
def test_product_types(number: PhoneNumber, product_type: str, rule: str | None) -> None:
    if rule:
        with pytest.raises(BadRequest, match=rule):
            number.update({"product_type": product_type}, NOW)
    else:
        after = number.update({"product_type": product_type}, NOW)
        assert after == replace(number, product_type=product_type, updated_timestamp=NOW)


def test_the_product_type_it_has_already_is_a_success_even_if_assigned() -> None:
    assert ASSIGNED.update({"product_type": "VoiceConnector"}, NOW) == ASSIGNED


def test_an_assigned_number_keeps_its_product_type() -> None:
    with pytest.raises(PhoneNumberAssociationsExist, match="VoiceConnectorId abcdef1ghij2klmno3pqr4"):
        ASSIGNED.update({"product_type": "BusinessCalling"}, NOW)


@pytest.mark.parametrize("before", [None, "Old name"])
@pytest.mark.parametrize(
    ("requested", "accepted", "status", "name"),
    [
        ("New name", True, "UpdateSucceeded", "New name"),
        ("New name", False, "UpdateFailed", "before"),
        ("", True, "Unassigned", None),
        ("", False, "UpdateFailed", "before"),
    ],
)
def test_a_calling_name_is_settled_later(
    before: str | None, requested: str, accepted: bool, status: str, name: str | None
) -> None:
    number = replace(LOCAL, calling_name=before, calling_name_status="UpdateSucceeded" if before else "Unassigned")
    pending = number.update({"calling_name": requested}, NOW)
    assert pending == replace(
        number, calling_name_status="UpdateInProgress", requested_calling_name=requested, updated_timestamp=NOW
    )
    with pytest.raises(Conflict, match="pending"):
        pending.update({"calling_name": "Another"}, NOW)
    settled = pending.settle_calling_name(accepted, WEEK_LATER)
    assert (settled.calling_name_status, settled.calling_name) == (status, before if name == "before" else name)
    assert settled.requested_calling_name is None
    assert settled.updated_timestamp == WEEK_LATER


def test_toll_free_numbers_have_no_calling_name() -> None:
    with pytest.raises(BadRequest, match="toll-free"):
        TOLL_FREE.update({"calling_name": "Acme"}, NOW)


@pytest.mark.parametrize(
    ("number", "default", "status"),
    [
        (LOCAL, "Acme", "UpdateInProgress"),
        (LOCAL, None, "Unassigned"),
        (TOLL_FREE, "Acme", "Unassigned"),
        (LONDON, "Acme", "Unassigned"),
    ],
)
def test_the_default_calling_name_is_for_new_us_local_numbers(
    number: PhoneNumber, default: str | None, status: str
) -> None:
    acquired = replace(number, status="AcquireInProgress").acquire(default, NOW)
    assert (acquired.status, acquired.calling_name_status) == ("Unassigned", status)
    assert acquired.requested_calling_name == (default if status == "UpdateInProgress" else None)


def test_the_deletion_queue_is_seven_days_long() -> None:
    deleted = LOCAL.delete(NOW)
    assert deleted is not None
    assert deleted.deletion_timestamp == WEEK_LATER
    assert deleted.restore(NOW) == replace(LOCAL, updated_timestamp=NOW)


def test_a_number_is_restored_until_its_days_are_over() -> None:
    deleted = LOCAL.delete(NOW)
    assert deleted is not None
    assert deleted.restore("2019-11-05T18:25:30.391Z").status == "Unassigned"
    with pytest.raises(BadRequest, match="could be restored until"):
        deleted.restore(WEEK_LATER)


def test_an_assigned_number_is_not_deleted() -> None:
    with pytest.raises(PhoneNumberAssociationsExist, match="disassociate it"):
        ASSIGNED.delete(NOW)


def test_a_name_can_be_taken_away() -> None:
    named = LOCAL.update({"name": "Front desk"}, NOW)
    assert named.name == "Front desk"
    assert named.update({"name": ""}, NOW).name is None


def test_messages_are_carried_in_the_united_states_only() -> None:
    assert LOCAL.capabilities.outbound_sms
    assert not LONDON.capabilities.outbound_sms
    assert LONDON.capabilities.outbound_call
