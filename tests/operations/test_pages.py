"""A page token opens one list of one account, and only as it was given out."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import ALICE, BOB
from numberkeep.domain.errors import BadRequest
from numberkeep.operations import pages
from numberkeep.storage.sqlite import Sqlite


def test_a_token_leads_back(storage: Sqlite) -> None:
    token = storage.look(ALICE, pages.token, "list", ["a", 1])
    assert storage.look(ALICE, pages.position, "list", token) == ["a", 1]


@pytest.mark.parametrize("token", [None, ""])
def test_no_token_is_the_beginning(storage: Sqlite, token: str | None) -> None:
    assert storage.look(ALICE, pages.position, "list", token) is None


def test_it_is_for_one_account_and_one_list(storage: Sqlite) -> None:
    token = storage.look(ALICE, pages.token, "list", "a")
    for caller, scope in [(BOB, "list"), (ALICE, "other")]:
        with pytest.raises(BadRequest, match="NextToken"):
            storage.look(caller, pages.position, scope, token)


def altered(token: str, index: int, bit: int) -> str:
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[index % len(raw)] ^= 1 << bit
    return base64.urlsafe_b64encode(bytes(raw)).decode()


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_can_be_changed(storage: Sqlite, bit: int) -> None:
    token = storage.look(ALICE, pages.token, "list", "+12065550100")
    for index in range(len(base64.urlsafe_b64decode(token))):
        with pytest.raises(BadRequest, match="NextToken"):
            storage.look(ALICE, pages.position, "list", altered(token, index, bit))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.text(min_size=1))
def test_nothing_else_opens(storage: Sqlite, token: str) -> None:
    call: Callable[..., Any] = storage.look
    with pytest.raises(BadRequest, match="NextToken"):
        call(ALICE, pages.position, "list", token)
