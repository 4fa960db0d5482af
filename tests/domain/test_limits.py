"""One request holds so many phone numbers."""

import pytest

from numberkeep.domain.errors import BadRequest
from numberkeep.domain.limits import check_list


def test_one_to_most_are_allowed() -> None:
    check_list("PhoneNumberIds", ["+1"], 50)
    check_list("PhoneNumberIds", [f"+{n}" for n in range(50)], 50)


@pytest.mark.parametrize(
    ("items", "rule"),
    [
        ([], "hold 1 to 50 phone numbers; it holds 0"),
        ([f"+{n}" for n in range(51)], "hold 1 to 50 phone numbers; it holds 51"),
        (["+1", "+2", "+1"], r"not hold a phone number twice; item 3 is there before"),
    ],
)
def test_others_are_refused(items: list[str], rule: str) -> None:
    with pytest.raises(BadRequest, match=f"^PhoneNumberIds must {rule}"):
        check_list("PhoneNumberIds", items, 50)
