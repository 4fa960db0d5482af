"""What an order needs, and what it leaves in the inventory."""

from typing import Any

import pytest

from conftest import ALICE, BOB, Do
from numberkeep.domain.errors import BadRequest, NotFound

ONE, TWO = "+12065550101", "+12065550102"


def order(do: Do, *e164s: str, product_type: str = "VoiceConnector", **details: Any) -> Any:
    answer = do("create_phone_number_order", product_type=product_type, e164_phone_numbers=list(e164s), **details)
    return answer["PhoneNumberOrder"]


def test_numbers_are_in_the_inventory_from_the_order_on(do: Do) -> None:
    made = order(do, ONE, "%2B12065550102", name="Desk")
    assert (made.status, made.order_type) == ("Processing", "New")
    assert [item.e164_phone_number for item in made.ordered_phone_numbers] == [ONE, TWO]
    numbers = do("list_phone_numbers")["PhoneNumbers"]
    assert [(n["Status"], n["Name"], n["OrderId"], n["CreatedTimestamp"]) for n in numbers] == [
        ("AcquireInProgress", "Desk", made.phone_number_order_id, made.created_timestamp)
    ] * 2
    assert do("get_phone_number_order", phone_number_order_id=made.phone_number_order_id)["PhoneNumberOrder"] == made


@pytest.mark.parametrize(
    ("e164s", "product_type", "rule"),
    [
        ([], "VoiceConnector", "1 to 50"),
        ([f"+1206555{n:04}" for n in range(51)], "VoiceConnector", "1 to 50"),
        ([ONE, ONE], "VoiceConnector", "twice"),
        (["+12065"], "VoiceConnector", "numbering plan"),
        (["+18885550100"], "BusinessCalling", "TollFree"),
        (["+442079460100"], "VoiceConnector", "outside the US"),
        (["+33123456789"], "SipMediaApplicationDialIn", "FR are not supported"),
        ([ONE, "nonsense"], "VoiceConnector", "E.164"),
    ],
)
def test_an_order_that_breaks_a_rule_changes_nothing(do: Do, e164s: list[str], product_type: str, rule: str) -> None:
    with pytest.raises(BadRequest, match=rule):
        order(do, *e164s, product_type=product_type)
    assert do("list_phone_numbers")["PhoneNumbers"] == []
    assert do("list_phone_number_orders")["PhoneNumberOrders"] == []


def test_a_number_that_the_account_has_is_not_ordered_again(do: Do, put: Do) -> None:
    put(ONE)
    with pytest.raises(BadRequest, match="in the account's inventory already"):
        order(do, TWO, ONE)
    assert do("list_phone_number_orders")["PhoneNumberOrders"] == []


def test_orders_are_listed_from_the_newest(do: Do, seconds: list[float]) -> None:
    made = []
    for n in range(10):
        seconds[0] += n % 2  # two of the same moment
        made.append(order(do, f"+1206555{n:04}"))
    made.sort(key=lambda one: (one.created_timestamp, one.phone_number_order_id), reverse=True)
    seen, token = [], None
    while True:
        answer = do("list_phone_number_orders", max_results=3, next_token=token)
        seen += answer["PhoneNumberOrders"]
        token = answer["NextToken"]
        if not token:
            break
    assert seen == made


def test_orders_are_the_accounts_own(do: Do) -> None:
    made = order(do, ONE)
    assert do("list_phone_number_orders", BOB)["PhoneNumberOrders"] == []
    with pytest.raises(NotFound, match=made.phone_number_order_id):
        do("get_phone_number_order", BOB, phone_number_order_id=made.phone_number_order_id)
    assert do("get_phone_number_order", ALICE, phone_number_order_id=made.phone_number_order_id)
