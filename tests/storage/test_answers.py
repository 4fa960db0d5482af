"""What the API tells of numbers, made once for each of their states."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
from msgspec import structs

from conftest import ALICE, BOB, POOL, Do
from numberkeep.config import Location
from numberkeep.domain.errors import BadRequest, NotFound
from numberkeep.opening import open_store
from numberkeep.operations import OPERATIONS
from numberkeep.storage import answers, phone_numbers
from numberkeep.storage.driver import Driver
from numberkeep.storage.tx import Tx
from numberkeep.world import World

ONE, TWO = "+12065550101", "+12065550102"


def told(storage: Driver, operation: str, **arguments: Any) -> tuple[Any, int]:
    """What an operation that reads tells Alice, and how many numbers it has read in full."""
    statements: list[str] = []

    def work(tx: Tx) -> Any:
        execute = tx.execute

        def counting(sql: str, parameters: Sequence[Any]) -> Any:
            statements.append(sql)
            return execute(sql, parameters)

        tx.execute = counting
        return OPERATIONS[operation](tx, **arguments)

    answer = msgspec.json.decode(asyncio.run(storage.ask(ALICE, work)))
    return answer, sum("calling_name" in sql for sql in statements)


def test_an_answer_is_made_once_and_anew_for_what_has_changed(storage: Driver, put: Do, do: Do) -> None:
    put(ONE, TWO)
    page, read = told(storage, "list_phone_numbers")
    assert ([one["E164PhoneNumber"] for one in page["PhoneNumbers"]], read) == ([ONE, TWO], 1)
    assert told(storage, "list_phone_numbers") == (page, 0)
    assert told(storage, "get_phone_number", phone_number_id=TWO) == ({"PhoneNumber": page["PhoneNumbers"][1]}, 0)
    changed = do("update_phone_number", phone_number_id=ONE, name="Desk")
    assert changed["PhoneNumber"]["Name"] == "Desk"
    assert told(storage, "get_phone_number", phone_number_id=ONE) == (changed, 1)
    page["PhoneNumbers"][0] = changed["PhoneNumber"]
    assert told(storage, "list_phone_numbers") == (page, 0)


def test_another_process_changes_what_is_told(
    storage: Driver, location: Location, world: World, put: Do, seconds: list[float]
) -> None:
    """Whatever it does to a number: it may even leave, and come back."""

    def name() -> Any:
        return told(storage, "get_phone_number", phone_number_id=ONE)[0]["PhoneNumber"]["Name"]

    def come_back(tx: Tx) -> None:
        was = phone_numbers.get(tx, ONE)
        phone_numbers.delete(tx, was)
        phone_numbers.claim(tx, ONE)
        phone_numbers.insert(tx, structs.replace(was, name="back"))

    put(ONE, TWO)
    assert name() is None
    with ExitStack() as stack:
        other = open_store(location, World(clock=lambda: seconds[0]), POOL, stack)
        asyncio.run(other.transact(ALICE, OPERATIONS["update_phone_number"], phone_number_id=ONE, name="theirs"))
        assert name() == "theirs"
        asyncio.run(other.transact(ALICE, come_back))
    assert name() == "back"
    page, _ = told(storage, "list_phone_numbers")
    assert [one["Name"] for one in page["PhoneNumbers"]] == ["back", None]


def test_what_was_undone_is_told_to_nobody(storage: Driver, put: Do) -> None:
    put(ONE)
    before = told(storage, "get_phone_number", phone_number_id=ONE)[0]

    def spoil(tx: Tx) -> None:
        OPERATIONS["update_phone_number"](tx, phone_number_id=ONE, name="undone")
        raise BadRequest("no")

    with pytest.raises(BadRequest):
        asyncio.run(storage.transact(ALICE, spoil))
    assert told(storage, "get_phone_number", phone_number_id=ONE)[0] == before


def test_an_account_is_told_of_its_own_numbers_alone(storage: Driver, put: Do, do: Do) -> None:
    """Though another's change has the same id, as those of two processes may."""
    put(ONE)
    put(TWO, caller=BOB)
    change_id = asyncio.run(storage.ask(ALICE, phone_numbers.get, ONE)).change_id

    def take_its_id(tx: Tx) -> None:
        tx.write(
            "UPDATE phone_numbers SET change_id = ? WHERE account_id = ? AND e164_phone_number = ?",
            (change_id, tx.account_id, TWO),
        )

    asyncio.run(storage.transact(BOB, take_its_id))
    assert do("get_phone_number", phone_number_id=ONE)["PhoneNumber"]["E164PhoneNumber"] == ONE
    assert do("get_phone_number", caller=BOB, phone_number_id=TWO)["PhoneNumber"]["E164PhoneNumber"] == TWO


def test_what_is_made_anew_is_counted_once(storage: Driver, put: Do, do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_ANSWERS", 100)
    put(*(f"+1206555{n:04}" for n in range(100, 120)))
    for name in "abcdefghij":
        do("update_phone_number", phone_number_id="+12065550100", name=name)
        told(storage, "list_phone_numbers")
    assert len(storage._kept.of(ALICE.account_id)) == 29  # type: ignore[attr-defined]


def test_numbers_that_are_not_there_are_looked_for_together(storage: Driver, put: Do) -> None:
    put(ONE)

    def work(tx: Tx) -> Any:
        found = phone_numbers.answers(tx.execute, tx.kept, [(tx.account_id, ONE), (tx.account_id, TWO)])
        tx.known.update(found)
        tx.execute = None  # type: ignore[assignment]
        with pytest.raises(NotFound):
            phone_numbers.answer(tx, TWO)
        return phone_numbers.answer(tx, ONE)

    assert ONE.encode() in bytes(asyncio.run(storage.ask(ALICE, work)))


def test_what_is_kept_is_bounded(storage: Driver, put: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_ANSWERS", 10)
    put(*(f"+1206555{n:04}" for n in range(100, 125)))
    for _ in range(5):
        page, _ = told(storage, "list_phone_numbers", max_results=5)
        page, _ = told(storage, "list_phone_numbers", max_results=5, next_token=page["NextToken"])
        assert [one["E164PhoneNumber"] for one in page["PhoneNumbers"]] == [f"+1206555{n:04}" for n in range(105, 110)]
        for n in range(100, 125):
            told(storage, "get_phone_number", phone_number_id=f"+1206555{n:04}")
        assert len(storage._kept.of(ALICE.account_id)) <= 10 + 5  # type: ignore[attr-defined]
