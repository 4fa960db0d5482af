"""The chain of a number's changes, and who owns what."""

import asyncio

import pytest

from conftest import ALICE, BOB, Do
from numberkeep.storage import phone_numbers
from numberkeep.storage.driver import Driver

ONE = "+12065550101"


def test_the_history_goes_on_over_departures(do: Do, put: Do, storage: Driver, seconds: list[float]) -> None:
    """The account has the number, loses it, and has it again: one chain, also while it is away."""
    lengths = []
    for n in range(3):
        seconds[0] += 1
        put(ONE)
        lengths.append(len(asyncio.run(storage.ask(ALICE, phone_numbers.history, ONE))))
        seconds[0] += 1
        do("update_phone_number", phone_number_id=ONE, name=f"Desk{n}")
        seconds[0] += 1
        number = asyncio.run(storage.ask(ALICE, phone_numbers.get, ONE))
        asyncio.run(storage.transact(ALICE, phone_numbers.delete, number))
        lengths.append(len(asyncio.run(storage.ask(ALICE, phone_numbers.history, ONE))))
    assert lengths == [1, 3, 4, 6, 7, 9]
    changes = asyncio.run(storage.ask(ALICE, phone_numbers.history, ONE))
    assert [change.changed_at for change in changes] == sorted((c.changed_at for c in changes), reverse=True)
    names = [change.change.get("name") for change in reversed(changes)]
    assert names == [name for n in range(3) for name in (None, (None, f"Desk{n}"), (f"Desk{n}", None))]


@pytest.mark.parametrize("status", ["Unassigned", "ReleaseInProgress"])
def test_history_replays_to_the_present(do: Do, put: Do, storage: Driver, seconds: list[float], status: str) -> None:
    put(ONE, status=status)
    for change in [{"name": "Desk"}, {"calling_name": "Acme"}, {"product_type": "BusinessCalling"}]:
        seconds[0] += 1
        if status == "Unassigned":
            do("update_phone_number", phone_number_id=ONE, **change)
    state: dict[str, object] = {}
    for change in reversed(asyncio.run(storage.ask(ALICE, phone_numbers.history, ONE))):
        for column, (before, after) in change.change.items():
            assert state.get(column) == before
            state[column] = after
    number = asyncio.run(storage.ask(ALICE, phone_numbers.get, ONE))
    assert {column: getattr(number, column) for column in state} == state
    for column in set(phone_numbers.COLUMNS) - set(state):
        assert getattr(number, column) is None


def test_a_number_has_one_owner(storage: Driver) -> None:
    def claim(caller: object) -> bool:
        return asyncio.run(storage.transact(caller, phone_numbers.claim, ONE))  # type: ignore[arg-type]

    assert claim(ALICE)
    assert claim(ALICE)
    assert not claim(BOB)
    asyncio.run(storage.transact(BOB, phone_numbers.disclaim, ONE))
    assert not claim(BOB)
    asyncio.run(storage.transact(ALICE, phone_numbers.disclaim, ONE))
    assert claim(BOB)
    assert asyncio.run(storage.ask(ALICE, phone_numbers.owners, [ONE, "+12065550102"])) == {ONE: BOB.account_id}
