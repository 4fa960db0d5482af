"""A page token opens one list of one account, and only as it was given out."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import ALICE, BOB
from numberkeep.domain.errors import BadRequest
from numberkeep.operations import pages
from numberkeep.storage.driver import Driver


def test_a_token_leads_back(storage: Driver) -> None:
    token = asyncio.run(storage.ask(ALICE, pages.token, "list", ["a", 1]))
    assert asyncio.run(storage.ask(ALICE, pages.position, "list", token)) == ["a", 1]


@pytest.mark.parametrize("token", [None, ""])
def test_no_token_is_the_beginning(storage: Driver, token: str | None) -> None:
    assert asyncio.run(storage.ask(ALICE, pages.position, "list", token)) is None


def test_it_is_for_one_account_and_one_list(storage: Driver) -> None:
    token = asyncio.run(storage.ask(ALICE, pages.token, "list", "a"))
    for caller, scope in [(BOB, "list"), (ALICE, "other")]:
        with pytest.raises(BadRequest, match="NextToken"):
            asyncio.run(storage.ask(caller, pages.position, scope, token))


def altered(token: str, index: int, bit: int) -> str:
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[index % len(raw)] ^= 1 << bit
    return base64.urlsafe_b64encode(bytes(raw)).decode()


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_can_be_changed(storage: Driver, bit: int) -> None:
    token = asyncio.run(storage.ask(ALICE, pages.token, "list", "+12065550100"))
    for index in range(len(base64.urlsafe_b64decode(token))):
        with pytest.raises(BadRequest, match="NextToken"):
            asyncio.run(storage.ask(ALICE, pages.position, "list", altered(token, index, bit)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.text(min_size=1))
def test_nothing_else_opens(storage: Driver, token: str) -> None:
    ask: Callable[..., Any] = storage.ask
    with pytest.raises(BadRequest, match="NextToken"):
        asyncio.run(ask(ALICE, pages.position, "list", token))
