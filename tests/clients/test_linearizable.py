"""Many clients on few numbers: all that they are told can have happened one after the other, in an order that each of
them could have seen."""

import itertools
import random
import threading
import time
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from linearizable import NEVER, Call, first_impossible
from load import NOTHING_CHANGED, assert_sound, requests_in
from numberkeep.config import Location

from .. import test_cli
from .test_crashes import client_of, serving
from .test_processes import order

NUMBERS = [f"+1206555{line:04}" for line in range(100, 103)]
CLIENTS = 12
CALLS = 40
"""How many each client makes."""


class Number(NamedTuple):
    """A number as its clients see it."""

    product_type: str = "VoiceConnector"
    name: str | None = None
    status: str = "Unassigned"
    calling_name_status: str = "Unassigned"


def apply(number: Number, call: Call) -> tuple[Number, Any]:
    """The rules of one number, where nothing assigns it and no time passes."""
    if call.what == "get":
        return number, number
    if call.what == "restore":
        if number.status != "ReleaseInProgress":
            return number, "BadRequestException"
        after = number._replace(status="Unassigned")
        return after, after
    if number.status != "Unassigned":
        return number, "BadRequestException"
    if call.what == "delete":
        return number._replace(status="ReleaseInProgress"), None
    if call.what == "calling name":
        if number.calling_name_status == "UpdateInProgress":
            return number, "ConflictException"
        after = number._replace(calling_name_status="UpdateInProgress")
    elif call.what == "name":
        after = number._replace(name=call.argument)
    else:
        after = number._replace(product_type=call.argument)
    return after, after


def changes_nothing(call: Call) -> bool:
    """Refusals, and what only reads."""
    return call.what == "get" or isinstance(call.result, str)


class Client:
    """Makes calls, and remembers them by number."""

    def __init__(self, urls: list[str], key: tuple[str, str], index: int) -> None:
        self.calls: list[tuple[str, Call]] = []
        self.failures: list[BaseException] = []
        self._clients = itertools.cycle([client_of(url, key) for url in urls])
        self._client = next(itertools.islice(self._clients, index % len(urls), None))
        self._dice = random.Random(index)
        self._index = index

    def run(self) -> None:
        try:
            for round in range(CALLS):
                what, argument = self._dice.choice(
                    [
                        ("get", None),
                        ("get", None),
                        ("name", f"{self._index} {round}"),
                        ("name", f"{self._index} {round}"),
                        ("product type", "SipMediaApplicationDialIn"),
                        ("product type", "VoiceConnector"),
                        ("calling name", "Acme"),
                        ("delete", None),
                        ("restore", None),
                        ("restore", None),
                    ]
                )
                self.call(self._dice.choice(NUMBERS), what, argument)
        except BaseException as failure:
            self.failures.append(failure)

    def call(self, number: str, what: str, argument: Any = None) -> None:
        asked = time.perf_counter()
        try:
            result = self._ask(what, {"PhoneNumberId": number}, argument)
        except EndpointConnectionError:  # it was never sent
            self._client = next(self._clients)
            return
        except HTTPClientError:
            self.calls.append((number, Call(asked, NEVER, what, argument)))
            return
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 503:
                result = error.response["Error"]["Code"]
            elif NOTHING_CHANGED in error.response["Error"]["Message"]:
                return
            else:
                self.calls.append((number, Call(asked, NEVER, what, argument)))
                return
        self.calls.append((number, Call(asked, time.perf_counter(), what, argument, result)))

    def _ask(self, what: str, of_number: dict[str, str], argument: Any) -> Number | None:
        client = self._client
        if what == "delete":
            client.delete_phone_number(**of_number)
            return None
        if what == "get":
            shown = client.get_phone_number(**of_number)
        elif what == "restore":
            shown = client.restore_phone_number(**of_number)
        else:
            member = {"name": "Name", "product type": "ProductType", "calling name": "CallingName"}[what]
            shown = client.update_phone_number(**of_number, **{member: argument})
        one = shown["PhoneNumber"]
        return Number(one["ProductType"], one.get("Name"), one["Status"], one["CallingNameStatus"])


def test_what_clients_are_told_happens_one_after_the_other(location: Location, database: str) -> None:
    """On PostgreSQL by two processes. In the end a server is killed: what it did not answer has happened or has not,
    and what is seen after that is one of both."""
    key = test_cli.create_key(database)
    with ExitStack() as stack:
        started = [stack.enter_context(serving(database)) for _ in range(2 if isinstance(location, str) else 1)]
        urls = [url for _, url, _ in started]
        order(client_of(urls[0], key), *NUMBERS)
        clients = [Client(urls, key, index) for index in range(CLIENTS)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        while sum(len(client.calls) for client in clients) < CLIENTS * CALLS * 3 / 4:
            assert any(thread.is_alive() for thread in threads)
            time.sleep(0.005)
        started[0][0].kill()
        for thread in threads:
            thread.join()
    for failure in (failure for client in clients for failure in client.failures):
        raise failure
    with serving(database) as (_, url, _):
        late = Client([url], key, 0)
        for number in NUMBERS:
            late.call(number, "get")
    told = [one for client in (*clients, late) for one in client.calls]
    for number in NUMBERS:
        calls = [call for of, call in told if of == number]
        assert (impossible := first_impossible(calls, Number(), apply, changes_nothing)) is None, (
            f"{number}: {impossible}"
        )
    unanswered = [call for _, call in told if call.answered == NEVER]
    overlaps = sum(
        one.asked < other.answered and other.asked < one.answered
        for (number, one), (of, other) in itertools.combinations(told, 2)
        if number == of
    )
    assert unanswered, "a server was killed while it was asked"
    assert overlaps > len(told), "they are told at once"
    assert {call.result for _, call in told if isinstance(call.result, str)} == {
        "BadRequestException",
        "ConflictException",
    }
    assert requests_in(location)
    assert_sound(location)
    print(f"{len(told)} calls, {len(unanswered)} not answered, {overlaps} pairs at once")


FIRST, A, B, GONE = Number(), Number(name="a"), Number(name="b"), Number(status="ReleaseInProgress")
PENDING = Number(calling_name_status="UpdateInProgress")
POSSIBLE = {
    "nothing": [],
    "one after the other": [Call(0, 1, "name", "a", A), Call(2, 3, "get", None, A)],
    "a read that overlaps sees either": [
        Call(0, 9, "name", "a", A),
        Call(1, 2, "get", None, FIRST),
        Call(3, 4, "get", None, A),
    ],
    "the later asked comes first": [
        Call(0, 9, "name", "a", A),
        Call(1, 8, "name", "b", B),
        Call(10, 11, "get", None, A),
    ],
    "what was not answered happens late": [
        Call(0, NEVER, "name", "a"),
        Call(1, 2, "get", None, FIRST),
        Call(3, 4, "get", None, A),
    ],
    "what was not answered never happens": [Call(0, NEVER, "delete"), Call(1, 2, "delete", None, None)],
    "one of two is refused": [
        Call(0, 2, "calling name", "x", "ConflictException"),
        Call(1, 3, "calling name", "y", PENDING),
    ],
}
IMPOSSIBLE = {
    "a read of what was overwritten": [
        Call(0, 1, "name", "a", A),
        Call(2, 3, "name", "b", B),
        Call(4, 5, "get", None, A),
    ],
    "a change that was lost": [Call(0, 1, "name", "a", A), Call(2, 3, "get", None, FIRST)],
    "a value that nobody gave": [Call(0, 1, "get", None, A)],
    "a read before it was asked": [Call(0, 1, "get", None, A), Call(2, 3, "name", "a", A)],
    "to and fro": [
        Call(0, 9, "name", "a", A),
        Call(1, 2, "get", None, A),
        Call(3, 4, "get", None, FIRST),
    ],
    "to and fro of what was not answered": [
        Call(0, NEVER, "name", "a"),
        Call(1, 2, "get", None, A),
        Call(3, 4, "get", None, FIRST),
    ],
    "two who see two changes in two orders": [
        Call(0, 9, "name", "a", A),
        Call(0, 9, "name", "b", B),
        Call(1, 2, "get", None, A),
        Call(3, 4, "get", None, B),
        Call(5, 6, "get", None, A),
    ],
    "both are served": [Call(0, 2, "calling name", "x", PENDING), Call(1, 3, "calling name", "y", PENDING)],
    "both are refused": [
        Call(0, 2, "calling name", "x", "ConflictException"),
        Call(1, 3, "calling name", "y", "ConflictException"),
    ],
    "deleted twice": [Call(0, 2, "delete", None, None), Call(1, 3, "delete", None, None)],
    "an answer that leaves out what was there before": [
        Call(0, 1, "product type", "SipMediaApplicationDialIn", Number("SipMediaApplicationDialIn")),
        Call(2, 3, "name", "a", A),
    ],
    "refused for no reason": [Call(0, 1, "restore", None, GONE), Call(2, 3, "get", None, FIRST)],
}


@pytest.mark.parametrize("name", POSSIBLE)
def test_what_can_have_happened_is_taken(name: str) -> None:
    assert first_impossible(POSSIBLE[name], FIRST, apply, changes_nothing) is None


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_have_happened_is_refused(name: str) -> None:
    assert first_impossible(IMPOSSIBLE[name], FIRST, apply, changes_nothing) in IMPOSSIBLE[name]


def reads(call: Call) -> bool:
    return call.what == "read"


def write_or_read(value: int, call: Call) -> tuple[int, int]:
    return (value, value) if reads(call) else (call.argument, call.argument)


def tried_in_every_order(calls: list[Call]) -> bool:
    """The same question, answered by its definition."""
    unsure = [call for call in calls if call.answered == NEVER]
    for count in range(len(unsure) + 1):
        for left_out in itertools.combinations(unsure, count):
            some = [call for call in calls if call not in left_out]
            for ordered in itertools.permutations(some):
                if any(later.answered < one.asked for one, later in itertools.combinations(ordered, 2)):
                    continue
                value, true = 0, True
                for call in ordered:
                    value, result = write_or_read(value, call)
                    true = true and (call.answered == NEVER or result == call.result)
                if true:
                    return True
    return False


@st.composite
def histories(draw: st.DrawFn) -> list[Call]:
    calls = []
    for index in range(draw(st.integers(1, 5))):
        asked = draw(st.integers(0, 8)) + index / 10
        answered = NEVER if draw(st.integers(0, 5)) == 0 else asked + draw(st.integers(0, 6)) + 0.05
        value = draw(st.integers(0, 2))
        calls.append(Call(asked, answered, draw(st.sampled_from(["read", "write"])), value, value))
    return calls


@given(histories())
@settings(max_examples=300)
def test_the_search_finds_what_trying_every_order_finds(calls: list[Call]) -> None:
    assert (first_impossible(calls, 0, write_or_read, reads) is None) == tried_in_every_order(calls)
