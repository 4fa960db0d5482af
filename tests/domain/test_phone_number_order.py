"""An order is what its numbers are."""

from itertools import permutations, product

import pytest

from numberkeep.domain.phone_number_order import OrderedPhoneNumber, PhoneNumberOrder

NOW = "2019-09-18T17:57:36.280Z"
E164S = ("+12065550100", "+12065550101", "+12065550102")


@pytest.mark.parametrize("outcomes", list(product([True, False], repeat=3)))
@pytest.mark.parametrize("sequence", list(permutations(range(3))))
def test_it_is_settled_with_its_last_number(outcomes: tuple[bool, ...], sequence: tuple[int, ...]) -> None:
    order = PhoneNumberOrder(
        phone_number_order_id="abc",
        product_type="VoiceConnector",
        ordered_phone_numbers=tuple(map(OrderedPhoneNumber, E164S)),
        created_timestamp=NOW,
        updated_timestamp=NOW,
    )
    for index in sequence:
        assert order.status == "Processing"
        order = order.settle(E164S[index], outcomes[index], "2019-09-18T17:57:40.000Z")
    assert order.status == {3: "Successful", 0: "Failed"}.get(sum(outcomes), "Partial")
    assert order.ordered_phone_numbers == tuple(
        OrderedPhoneNumber(e164, "Acquired" if outcome else "Failed")
        for e164, outcome in zip(E164S, outcomes, strict=True)
    )
    assert order.updated_timestamp == "2019-09-18T17:57:40.000Z"
