"""Tokens run out, and come back with time."""

import pytest

from numberkeep.aws import throttle
from numberkeep.aws.throttle import Throttle
from numberkeep.domain.errors import Throttled


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(one: Throttle, times: int, account: str = "1", operation: str = "GetPhoneNumber") -> int:
    """How many of so many calls are let through."""
    through = 0
    for _ in range(times):
        try:
            one.take(account, operation)
        except Throttled:
            pass
        else:
            through += 1
    return through


def test_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    one = Throttle(10, 20, clock)
    assert taken(one, 30) == 20
    with pytest.raises(Throttled, match=r"^Rate exceeded$"):
        one.take("1", "GetPhoneNumber")
    clock.now = 0.5
    assert taken(one, 30) == 5
    clock.now = 100
    assert taken(one, 30) == 20


def test_accounts_and_operations_have_buckets_of_their_own() -> None:
    one = Throttle(1, 2, Clock())
    assert taken(one, 5) == 2
    assert taken(one, 5, account="2") == 2
    assert taken(one, 5, operation="ListPhoneNumbers") == 2


def test_full_buckets_are_forgotten_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MOST_BUCKETS", 3)
    clock = Clock()
    one = Throttle(1, 2, clock)
    assert taken(one, 5, account="busy") == 2
    for account in ("a", "b"):
        one.take(account, "GetPhoneNumber")
    clock.now = 1.5
    one.take("c", "GetPhoneNumber")  # a and b are full again by now, and go
    assert set(one._buckets) == {("busy", "GetPhoneNumber"), ("c", "GetPhoneNumber")}
    assert taken(one, 5, account="busy") == 1


def test_what_was_taken_in_vain_is_given_back() -> None:
    one = Throttle(10, 2, Clock())
    one.take("1", "AssumeRole")
    one.give_back("1", "AssumeRole")
    assert taken(one, 3, operation="AssumeRole") == 2
