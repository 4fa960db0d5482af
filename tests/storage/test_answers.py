"""What the API tells of numbers, made once for each of their states."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from conftest import ALICE, BOB, Do
from numberkeep.domain.errors import BadRequest
from numberkeep.operations import OPERATIONS
from numberkeep.storage import answers, phone_numbers
from numberkeep.storage.driver import Driver
from numberkeep.storage.tx import Tx

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


def test_what_is_kept_is_bounded(storage: Driver, put: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_ANSWERS", 10)
    put(*(f"+1206555{n:04}" for n in range(100, 125)))
    for _ in range(5):
        page, _ = told(storage, "list_phone_numbers", max_results=5)
        page, _ = told(storage, "list_phone_numbers", max_results=5, next_token=page["NextToken"])
        assert [one["E164PhoneNumber"] for one in page["PhoneNumbers"]] == [f"+1206555{n:04}" for n in range(105, 110)]
        for n in range(100, 125):
            told(storage, "get_phone_number", phone_number_id=f"+1206555{n:04}")
        assert len(storage._answers.of(ALICE.account_id)) <= 10 + 5  # type: ignore[attr-defined]
