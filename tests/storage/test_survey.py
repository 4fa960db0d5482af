"""What there is, counted on either engine."""

import asyncio

from conftest import ALICE, BOB, Do
from numberkeep.domain.moment import later
from numberkeep.storage import deliveries, pending_changes
from numberkeep.storage.driver import Driver
from numberkeep.storage.survey import survey
from numberkeep.storage.tx import Tx


def test_the_numbers_of_all_accounts_are_counted_by_status(storage: Driver, put: Do) -> None:
    put("+12065550100", "+12065550101")
    put("+12065550102", caller=BOB)
    put("+12065550103", status="AcquireFailed")
    found = asyncio.run(storage.survey(ALICE, survey)).numbers
    assert {status: count for status, count in found.items() if count} == {"Unassigned": 3, "AcquireFailed": 1}
    assert found["Assigned"] == 0


def test_what_is_due_is_counted_and_how_long_it_has_been(storage: Driver, seconds: list[float]) -> None:
    def pend(tx: Tx) -> None:
        pending_changes.put(tx, "+12065550100", "order", due_at=tx.now)
        pending_changes.put(tx, "+12065550101", "order", due_at=later(tx.now, seconds=10))
        pending_changes.put(tx, "+12065550102", "release", due_at=later(tx.now, days=7))
        deliveries.put(tx, "+12065550100", "crm", "phone_number.updated", "{}")
        deliveries.note(tx, "+12065550100", "acme", "1", "number.order", "Delivered", None)

    asyncio.run(storage.transact(BOB, pend))
    seconds[0] += 30
    found = asyncio.run(storage.survey(ALICE, survey))
    assert found.pending == {"order": 2, "set_calling_name": 0, "release": 1}
    assert found.due == {"order": 2, "set_calling_name": 0, "release": 0, "delivery": 1}
    assert found.oldest_due_seconds == {"order": 30, "set_calling_name": 0, "release": 0, "delivery": 30}


def test_a_survey_holds_up_nobody(storage: Driver) -> None:
    """What is asked meanwhile is answered before it ends."""

    async def both() -> list[str]:
        done: list[str] = []

        async def count() -> None:
            await storage.survey(ALICE, lambda tx: tx.execute(slow, ()).fetchone())
            done.append("survey")

        counting = asyncio.create_task(count())
        await asyncio.sleep(0.05)
        await storage.ask(BOB, lambda tx: tx.execute("SELECT count(*) FROM store", ()).fetchone())
        done.append("read")
        await storage.transact(BOB, pending_changes.put, "+12065550100", "order", due_at="2019-10-29T18:25:30.392Z")
        done.append("write")
        await counting
        return done

    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT count(*) FROM n"
    assert asyncio.run(both()) == ["read", "write", "survey"]
