"""The messages in the store, on both engines: in order, claimed by one, and forgotten in the end."""

import asyncio
from typing import Any

import pytest

from conftest import ALICE, BOB
from numberkeep import settling
from numberkeep.domain.moment import later
from numberkeep.settling import Failed
from numberkeep.storage import deliveries
from numberkeep.storage.deliveries import Delivery
from numberkeep.storage.driver import Driver
from numberkeep.world import World

E164, OTHER = "+12065550100", "+12065550101"


def settle(storage: Driver, delivery: Delivery, failed: Failed | None) -> None:
    status = settling.status_after(delivery.attempts, failed)
    do(storage, settling.settle_delivery, delivery, status, failed, 0.5)


def do(storage: Driver, function: Any, *args: Any, caller: Any = ALICE) -> Any:
    return asyncio.run(storage.transact(caller, function, *args))


def claim(storage: Driver, world: World, seconds: float = 60) -> list[deliveries.Delivery]:
    until = later(world.now(), seconds=seconds)
    claimed: list[deliveries.Delivery]
    claimed, _ = do(storage, settling.claim, lambda receiver: 100, until)
    return claimed


@pytest.fixture(autouse=True)
def messages(storage: Driver) -> None:
    """Two about one number, one about another, one to another receiver, one of another account."""
    for e164, receiver, caller in [
        (E164, "crm", ALICE),
        (E164, "crm", ALICE),
        (OTHER, "crm", ALICE),
        (E164, "erp", ALICE),
        (E164, "crm", BOB),
    ]:
        do(storage, deliveries.put, e164, receiver, "phone_number.changed", "{}", caller=caller)


def named(some: list[deliveries.Delivery]) -> list[tuple[str, str, str]]:
    return sorted((one.account_id, one.e164_phone_number, one.receiver) for one in some)


FIRST = sorted(
    [
        (ALICE.account_id, E164, "crm"),
        (ALICE.account_id, E164, "erp"),
        (ALICE.account_id, OTHER, "crm"),
        (BOB.account_id, E164, "crm"),
    ]
)


def test_the_first_of_each_goes_out_and_is_anothers_to_claim_when_the_claim_is_over(
    storage: Driver, world: World, seconds: list[float]
) -> None:
    claimed = claim(storage, world, 30)
    assert named(claimed) == FIRST
    assert claim(storage, world) == []
    assert all(do(storage, settling.begin_delivery, one) for one in claimed)
    seconds[0] += 31
    assert named(claim(storage, world)) == FIRST
    assert not any(do(storage, settling.begin_delivery, one) for one in claimed), "they are another's by now"
    settle(storage, claimed[0], None)
    assert all(one.status != "Delivered" for one in do(storage, deliveries.of_account, None, None, 10))


def test_the_next_goes_out_when_the_one_before_is_over(storage: Driver, world: World) -> None:
    (one,) = (one for one in claim(storage, world) if named([one]) == [(ALICE.account_id, E164, "crm")])
    settle(storage, one, None)
    (two,) = claim(storage, world)
    assert named([two]) == named([one])
    assert two.delivery_id > one.delivery_id
    assert two.message_id != one.message_id


def test_what_waits_for_what_is_over_already_goes_out_all_the_same(
    storage: Driver, world: World, seconds: list[float]
) -> None:
    """As when the two happened at once, and neither saw the other."""
    for one in claim(storage, world):
        do(storage, deliveries.forget, one)
    assert claim(storage, world) == []
    seconds[0] += deliveries.LOOK_AGAIN_SECONDS
    (waiting,) = claim(storage, world)
    assert (waiting.status, do(storage, settling.begin_delivery, waiting)) == ("Waiting", True)


def test_what_waits_is_looked_at_again_and_waits_on(storage: Driver, world: World, seconds: list[float]) -> None:
    first = claim(storage, world, 10_000)
    seconds[0] += deliveries.LOOK_AGAIN_SECONDS
    (waiting,) = claim(storage, world)
    assert not do(storage, settling.begin_delivery, waiting)
    assert claim(storage, world) == []
    for one in first:
        settle(storage, one, Failed("no"))
    seconds[0] += 2
    assert named(claim(storage, world)) == FIRST, "those that failed, and not the one that waits"


def test_what_is_over_is_forgotten_after_a_week(storage: Driver, world: World, seconds: list[float]) -> None:
    for one in claim(storage, world):
        settle(storage, one, None)
    for one in claim(storage, world):
        settle(storage, one, None)
    assert do(storage, settling.next_due_at) is None, "nothing is under way"
    seconds[0] += deliveries.KEPT_DAYS * 86400 - 1
    assert claim(storage, world) == []
    seconds[0] += 1
    assert claim(storage, world) == []
    assert do(storage, deliveries.of_account, None, None, 10) == []


def test_what_is_over_takes_nobodys_place(storage: Driver, world: World, seconds: list[float]) -> None:
    for one in claim(storage, world):
        settle(storage, one, None)
    seconds[0] += deliveries.KEPT_DAYS * 86400
    left = do(storage, deliveries.of_account, None, None, 10)
    assert [one.status for one in left].count("Delivered") == 3
    until = later(world.now(), seconds=60)
    none: list[deliveries.Delivery]
    none, may_be_more = do(storage, settling.claim, lambda receiver: 0, until)
    assert (none, may_be_more) == ([], True)
    left = do(storage, deliveries.of_account, None, None, 10)
    assert [one.status for one in left] == ["Pending"], "which has no place, and was not lost"


def test_what_a_carrier_was_asked_is_noted_once(storage: Driver) -> None:
    for status, failure in [("Pending", "no"), ("Pending", "no"), ("Delivered", None)]:
        do(storage, deliveries.note, OTHER, "own", "id", "number.order", status, failure)
    (noted,) = do(storage, deliveries.of_account, None, "own", 10)
    assert (noted.attempts, noted.status, noted.failure) == (3, "Delivered", None)
    assert do(storage, deliveries.again, "id", None, 10, ["crm"]) == 0, "it is asked again by itself"


def test_the_order_is_that_of_the_changes_whatever_clocks_say(storage: Driver, seconds: list[float]) -> None:
    """As when another process wrote them, or the machine's clock was set back."""
    for back in (0.0, 0.5, 10.0):
        seconds[0] -= back
        do(storage, deliveries.put, OTHER, "erp", "phone_number.changed", f'{{"back": {back}}}')
    told = [one.data for one in reversed(do(storage, deliveries.of_account, None, "erp", 3))]
    assert told == [f'{{"back": {back}}}' for back in (0.0, 0.5, 10.0)]


@pytest.mark.parametrize(
    ("said", "kept"), [("\0no\r\n\x1b[2Jroute", "no [2Jroute"), ("x" * 1000, "x" * 300 + "..."), ("\0", "")]
)
def test_what_others_say_can_be_kept_and_logged(storage: Driver, world: World, said: str, kept: str) -> None:
    one = claim(storage, world)[0]
    settle(storage, one, Failed(said))
    caller = ALICE if one.account_id == ALICE.account_id else BOB
    found = {other.message_id: other for other in do(storage, deliveries.of_account, None, None, 10, caller=caller)}
    assert (found[one.message_id].attempts, found[one.message_id].failure) == (1, kept)
