"""The default calling name changes once in seven days."""

import pytest

from numberkeep.domain.errors import BadRequest
from numberkeep.domain.settings import AccountSettings

SET_AT = "2019-10-28T18:56:42.911Z"
SET = AccountSettings().change_calling_name("myName", SET_AT)


def test_it_is_set_at_once() -> None:
    assert AccountSettings("myName", SET_AT) == SET


@pytest.mark.parametrize("name", ["Other", ""])
def test_it_cannot_change_again_within_seven_days(name: str) -> None:
    with pytest.raises(BadRequest, match=r"once every 7 days.*2019-11-04T18:56:42\.911Z"):
        SET.change_calling_name(name, "2019-11-04T18:56:42.910Z")
    after = SET.change_calling_name(name, "2019-11-04T18:56:42.911Z")
    assert after == AccountSettings(name or None, "2019-11-04T18:56:42.911Z")


def test_the_name_it_has_already_is_no_change() -> None:
    assert SET.change_calling_name("myName", "2019-10-29T00:00:00.000Z") == SET
