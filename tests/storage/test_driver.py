"""What either driver does for those who look at very many rows."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from conftest import ALICE, Do
from numberkeep.domain.errors import BadRequest, ServiceFailure, ServiceUnavailable
from numberkeep.storage import postgres, sqlite, store
from numberkeep.storage.driver import SURVEYS, Driver
from numberkeep.storage.tx import Tx

LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n"


def count(tx: Tx, to: int) -> int:
    return int(tx.execute(LONG, (to,)).fetchone()[0])


def test_a_survey_sees_what_was_committed(storage: Driver, put: Do) -> None:
    put("+12065550100")
    names = asyncio.run(storage.survey(ALICE, lambda tx: tx.execute("SELECT e164_phone_number FROM phone_numbers", ())
                                       .fetchall()))  # fmt: skip
    assert [tuple(row) for row in names] == [("+12065550100",)]


def test_what_it_raises_is_raised(storage: Driver) -> None:
    def refuse(tx: Tx) -> None:
        raise BadRequest("no")

    def fail(tx: Tx) -> None:
        raise ValueError("a mistake")

    with pytest.raises(BadRequest, match="no"):
        asyncio.run(storage.survey(ALICE, refuse))
    with pytest.raises(ServiceFailure):
        asyncio.run(storage.survey(ALICE, fail))


def test_it_cannot_write(storage: Driver) -> None:
    def write(tx: Tx) -> None:
        store.put(tx, "fact", "x")
        tx.execute("SELECT 1", ()).fetchone()

    with pytest.raises((ServiceFailure, ServiceUnavailable)):
        asyncio.run(storage.survey(ALICE, write))
    assert asyncio.run(storage.survey(ALICE, store.get, "fact")) is None


def test_nobody_else_waits_for_it(storage: Driver, put: Do, do: Do) -> None:
    put("+12065550100")

    others_are_done = threading.Event()

    def look(tx: Tx) -> None:
        while not others_are_done.is_set():
            count(tx, 10_000)

    async def run() -> list[str]:
        order: list[str] = []

        async def note(name: str, work: Any) -> None:
            await work
            order.append(name)

        surveys = [note("survey", storage.survey(ALICE, look)) for _ in range(SURVEYS)]
        waiting = asyncio.gather(*surveys)
        await asyncio.sleep(0.05)
        await note("read", storage.ask(ALICE, store.get, "x"))
        await note("write", storage.transact(ALICE, store.put, "x", "y"))
        others_are_done.set()
        await waiting
        return order

    assert asyncio.run(run()) == ["read", "write", "survey", "survey"]


@pytest.fixture
def short_surveys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "SURVEY_SECONDS", 0.2)
    monkeypatch.setattr(postgres, "STATEMENT_SECONDS", 1)


def test_one_that_takes_too_long_is_ended(short_surveys: None, storage: Driver) -> None:
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="too long"):
        asyncio.run(storage.survey(ALICE, count, 1_000_000_000))
    assert time.monotonic() - began < 8
    assert asyncio.run(storage.survey(ALICE, count, 1)) == 1


def test_one_that_is_under_way_does_not_hold_up_the_end(short_surveys: None, storage: Driver) -> None:
    async def run() -> None:
        survey = asyncio.ensure_future(storage.survey(ALICE, count, 1_000_000_000))
        await asyncio.sleep(0.1)
        close: Callable[[], None] = storage.close
        await asyncio.to_thread(close)
        with pytest.raises(ServiceUnavailable):
            await survey

    asyncio.run(run())
