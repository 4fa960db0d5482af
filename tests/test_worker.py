"""What is due is done once, at its moment, whatever fails on the way."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from conftest import ALICE, BOB
from numberkeep import settling, worker
from numberkeep.carriers import Answer, Done, Pending, Refused, Request
from numberkeep.carriers.simulated import SimulatedCarrier
from numberkeep.domain.caller import Caller
from numberkeep.domain.errors import ServiceUnavailable
from numberkeep.domain.moment import later, seconds_of
from numberkeep.operations import OPERATIONS
from numberkeep.settling import ATTEMPTS, CLAIM_SECONDS
from numberkeep.storage import deliveries, pending_changes, phone_numbers, store
from numberkeep.storage.driver import Driver
from numberkeep.storage.tx import Tx
from numberkeep.worker import PLACES_OF_A_RECEIVER, Worker
from numberkeep.world import World

E164 = "+12065550100"
OTHER = "+12065550101"
SILENT = "+12065550102"


class Bench:
    """A store, a worker, and a carrier whose answers a test may change."""

    def __init__(self, storage: Driver, world: World) -> None:
        self.storage = storage
        self.world = world
        self.carrier = RecordingCarrier(SimulatedCarrier(4))
        self.worker = Worker(storage, lambda *_: self.carrier, world)

    async def do(self, operation: str, caller: Caller = ALICE, **arguments: Any) -> Any:
        answer = await self.storage.transact(caller, OPERATIONS[operation], **arguments)
        return msgspec.json.decode(answer) if isinstance(answer, bytes) else answer

    async def number(self, caller: Caller = ALICE, e164: str = E164) -> Any:
        return await self.storage.transact(caller, phone_numbers.find, e164)

    async def order(self, *e164s: str, caller: Caller = ALICE) -> str:
        answer = await self.do(
            "create_phone_number_order", caller, product_type="VoiceConnector", e164_phone_numbers=e164s
        )
        return str(answer["PhoneNumberOrder"].phone_number_order_id)

    async def order_status(self, order_id: str, caller: Caller = ALICE) -> str:
        answer = await self.do("get_phone_number_order", caller, phone_number_order_id=order_id)
        return str(answer["PhoneNumberOrder"].status)


class RecordingCarrier(SimulatedCarrier):
    """The simulated carrier, with a note of every question and room for other answers."""

    def __init__(self, carrier: SimulatedCarrier) -> None:
        self.__dict__.update(carrier.__dict__)
        self.asked: list[tuple[str, Request]] = []
        self.answers: list[Answer | BaseException] = []

    async def _answer(self, kind: str, request: Request) -> Answer:
        self.asked.append((kind, request))
        if not self.answers:
            return await getattr(SimulatedCarrier, kind)(self, request)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def order(self, request: Request) -> Answer:
        return await self._answer("order", request)

    async def set_calling_name(self, request: Request) -> Answer:
        return await self._answer("set_calling_name", request)

    async def release(self, request: Request) -> Answer:
        return await self._answer("release", request)


class Patient(SimulatedCarrier):
    """A carrier of somebody else's, which answers orders once a test lets it."""

    def __init__(self, receiver: str) -> None:
        super().__init__(0)
        self.receiver = receiver
        self.asked: list[str] = []
        self.may_answer = asyncio.Event()

    async def order(self, request: Request) -> Answer:
        self.asked.append(request.e164_phone_number)
        await self.may_answer.wait()
        return Done()


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def bench(storage: Driver, world: World) -> Bench:
    return Bench(storage, world)


def scenario(function: Callable[[Bench], Any]) -> Callable[[Bench], None]:
    """A test that is a coroutine."""

    def test(bench: Bench) -> None:
        asyncio.run(function(bench))

    test.__doc__ = function.__doc__
    return test


@scenario
async def test_an_order_is_settled_when_the_carrier_has_provided_its_numbers(bench: Bench) -> None:
    order_id = await bench.order(E164, "+12065550101")
    await bench.worker.run_due()
    assert (await bench.number()).status == "AcquireInProgress"
    assert await bench.order_status(order_id) == "Processing"
    await bench.worker.advance(3.9)
    assert await bench.order_status(order_id) == "Processing"
    await bench.worker.advance(0.1)
    assert (await bench.number()).status == "Unassigned"
    assert await bench.order_status(order_id) == "Successful"


@scenario
async def test_a_number_that_the_carrier_refuses_is_free_again(bench: Bench) -> None:
    order_id = await bench.order(E164, "+12065550199")
    await bench.worker.advance(5)
    assert await bench.order_status(order_id) == "Partial"
    failed = await bench.number(e164="+12065550199")
    assert failed.status == "AcquireFailed"
    assert await bench.storage.transact(BOB, phone_numbers.claim, "+12065550199")


@scenario
async def test_of_two_accounts_that_order_a_number_one_gets_it(bench: Bench) -> None:
    first, second = await asyncio.gather(bench.order(E164), bench.order(E164, caller=BOB))
    await bench.worker.advance(5)
    assert await bench.order_status(first) == "Successful"
    assert await bench.order_status(second, BOB) == "Failed"
    assert (await bench.number(BOB)).status == "AcquireFailed"
    assert [kind for kind, _ in bench.carrier.asked] == ["order", "order"], "the carrier was asked for the owner only"


@scenario
async def test_a_failed_number_can_be_ordered_again(bench: Bench) -> None:
    await bench.order(E164, caller=BOB)
    failed = await bench.order(E164)
    await bench.worker.advance(5)
    await bench.do("delete_phone_number", BOB, phone_number_id=E164)
    await bench.worker.advance(7 * 86400)
    order_id = await bench.order(E164)
    assert (await bench.number()).status == "AcquireInProgress"
    await bench.worker.advance(5)
    assert await bench.order_status(order_id) == "Successful"
    assert await bench.order_status(failed) == "Failed"
    number = await bench.number()
    assert (number.status, number.order_id) == ("Unassigned", order_id)


@scenario
async def test_a_failed_number_is_deleted_at_once(bench: Bench) -> None:
    await bench.order("+12065550199")
    await bench.worker.advance(5)
    await bench.do("delete_phone_number", phone_number_id="+12065550199")
    assert await bench.number(e164="+12065550199") is None


@scenario
async def test_everything_happens_at_its_moment_however_far_the_clock_is_turned(bench: Bench) -> None:
    """An order, the default calling name that follows it, and a deletion, in one turn of ten days."""
    began = bench.world.now()
    await bench.do("update_phone_number_settings", calling_name="Acme")
    await bench.order(E164)
    await bench.worker.advance(10 * 86400)
    number = await bench.number()
    assert (number.calling_name, number.calling_name_status) == ("Acme", "UpdateSucceeded")
    assert number.updated_timestamp == later(began, hours=72, seconds=4)
    assert bench.world.now() == later(began, days=10)


@scenario
async def test_the_calling_name_waits_for_72_hours(bench: Bench) -> None:
    await bench.order(E164)
    await bench.worker.advance(5)
    await bench.do("update_phone_number", phone_number_id=E164, calling_name="Acme")
    await bench.worker.advance(72 * 3600 - 0.001)
    assert (await bench.number()).calling_name_status == "UpdateInProgress"
    await bench.worker.advance(0.001)
    assert (await bench.number()).calling_name == "Acme"


@scenario
async def test_a_calling_name_that_the_carrier_refuses_leaves_the_old_one(bench: Bench) -> None:
    await bench.order(E164)
    await bench.worker.advance(5)
    for name, settled in [("Acme", ("Acme", "UpdateSucceeded")), ("Refused", ("Acme", "UpdateFailed"))]:
        await bench.do("update_phone_number", phone_number_id=E164, calling_name=name)
        await bench.worker.advance(72 * 3600)
        number = await bench.number()
        assert (number.calling_name, number.calling_name_status) == settled


@scenario
async def test_a_deleted_number_is_gone_after_seven_days_and_may_be_anothers(bench: Bench) -> None:
    await bench.order(E164)
    await bench.worker.advance(5)
    await bench.do("delete_phone_number", phone_number_id=E164)
    await bench.worker.advance(7 * 86400 - 0.001)
    assert (await bench.number()).status == "ReleaseInProgress"
    await bench.worker.advance(0.001)
    assert await bench.number() is None
    order_id = await bench.order(E164, caller=BOB)
    await bench.worker.advance(5)
    assert await bench.order_status(order_id, BOB) == "Successful"


@scenario
async def test_a_restored_number_stays(bench: Bench) -> None:
    await bench.order(E164)
    await bench.worker.advance(5)
    await bench.do("delete_phone_number", phone_number_id=E164)
    await bench.worker.advance(6 * 86400)
    await bench.do("restore_phone_number", phone_number_id=E164)
    await bench.worker.advance(30 * 86400)
    assert (await bench.number()).status == "Unassigned"
    assert [kind for kind, _ in bench.carrier.asked if kind == "release"] == []


@scenario
async def test_a_number_with_a_pending_name_is_deleted_and_comes_back_with_it_settled(bench: Bench) -> None:
    await bench.order(E164)
    await bench.worker.advance(5)
    await bench.do("update_phone_number", phone_number_id=E164, calling_name="Acme")
    await bench.do("delete_phone_number", phone_number_id=E164)
    await bench.worker.advance(4 * 86400)
    await bench.do("restore_phone_number", phone_number_id=E164)
    number = await bench.number()
    assert (number.calling_name, number.calling_name_status) == ("Acme", "UpdateSucceeded")


@scenario
async def test_a_carrier_that_keeps_a_number_is_seen(bench: Bench) -> None:
    await bench.order(E164)
    await bench.worker.advance(5)
    await bench.do("delete_phone_number", phone_number_id=E164)
    bench.carrier.answers = [Refused("no")]
    await bench.worker.advance(7 * 86400)
    assert (await bench.number()).status == "ReleaseFailed"
    await bench.do("delete_phone_number", phone_number_id=E164)
    await bench.worker.advance(7 * 86400)
    assert await bench.number() is None


@scenario
async def test_a_carrier_that_fails_is_asked_again(bench: Bench) -> None:
    bench.carrier.answers = [RuntimeError("connection lost"), Pending(later(bench.world.now(), seconds=60)), Done()]
    order_id = await bench.order(E164)
    await bench.worker.run_due()
    assert await bench.order_status(order_id) == "Processing"
    (change,) = await bench.storage.ask(ALICE, pending_changes.of_number, E164)
    assert (change.attempts, change.failure) == (1, "connection lost")
    assert later(bench.world.now(), seconds=0.5) <= change.due_at <= later(bench.world.now(), seconds=1.5)
    await bench.worker.advance(2)
    (change,) = await bench.storage.ask(ALICE, pending_changes.of_number, E164)
    assert (change.attempts, change.failure) == (0, None), "it has answered"
    await bench.worker.advance(58)
    assert await bench.order_status(order_id) == "Successful"
    assert len(bench.carrier.asked) == 3
    assert len({request.id for _, request in bench.carrier.asked}) == 1, "it is the same change"


@scenario
async def test_a_carrier_that_never_answers_has_refused_in_the_end(bench: Bench) -> None:
    """It is asked less and less often, and every kind of change fails so that it is seen."""
    await bench.order(E164, OTHER)
    await bench.worker.advance(5)
    await bench.do("update_phone_number", phone_number_id=E164, calling_name="Acme")
    await bench.do("delete_phone_number", phone_number_id=OTHER)
    await bench.order(SILENT)
    bench.carrier.asked.clear()
    bench.carrier.answers = [ConnectionError("no route to it")] * (3 * ATTEMPTS)
    await bench.worker.advance(8 * 86400)
    statuses = [(await bench.number(e164=e164)).status for e164 in (E164, OTHER, SILENT)]
    assert statuses == ["Unassigned", "ReleaseFailed", "AcquireFailed"]
    assert (await bench.number()).calling_name_status == "UpdateFailed"
    for e164 in (E164, OTHER, SILENT):
        last, *_ = await bench.storage.ask(ALICE, phone_numbers.history, e164)
        assert last.change["reason"][1] == "the carrier has failed to answer 20 times; the last time: no route to it"
    moments = [seconds_of(request.now) for kind, request in bench.carrier.asked if kind == "set_calling_name"]
    pauses = [later - before for before, later in pairwise(moments)]
    assert len(moments) == ATTEMPTS
    assert all(0.5 <= pause / min(2**attempt, 3600) <= 1.5 for attempt, pause in enumerate(pauses))
    assert len({round(pause / min(2**attempt, 3600), 2) for attempt, pause in enumerate(pauses)}) > ATTEMPTS / 2


@scenario
async def test_a_slow_carrier_holds_up_no_other(bench: Bench) -> None:
    """And who is stopped while it waits leaves the change to others at once."""
    slow, quick = Patient("slow"), SimulatedCarrier(0)
    one = Worker(bench.storage, lambda _, e164: slow if e164 == E164 else quick, bench.world)
    first = await bench.order(E164)
    working = asyncio.create_task(one.run())
    await until(lambda: slow.asked)
    second = await bench.order(OTHER)
    async with asyncio.timeout(30):
        while await bench.order_status(second) == "Processing":
            await asyncio.sleep(0.01)
    assert await bench.order_status(first) == "Processing"
    working.cancel()
    await asyncio.wait([working])
    await Worker(bench.storage, lambda *_: quick, bench.world).run_due()
    assert await bench.order_status(first) == "Successful"


def test_a_carrier_has_only_so_long_to_answer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "CARRIER_SECONDS", 0.1)

    class Silent(SimulatedCarrier):
        async def order(self, request: Request) -> Answer:
            await asyncio.Event().wait()
            return Done()

    async def run() -> None:
        silent = Silent()
        await bench.order(E164)
        await Worker(bench.storage, lambda *_: silent, bench.world).run_due()
        (change,) = await bench.storage.ask(ALICE, pending_changes.of_number, E164)
        assert change.failure == "it has not answered in 0.1 s"

    asyncio.run(run())


@scenario
async def test_what_was_settled_since_it_was_claimed_is_not_asked_for(bench: Bench) -> None:
    await bench.order(E164)
    until = later(bench.world.now(), seconds=60)
    (change,), _ = await bench.storage.transact(ALICE, settling.claim, lambda queue: 10, until)
    await bench.storage.transact(ALICE, settling.settle_now, E164, Done())
    assert await bench.storage.transact(ALICE, settling.begin, change) is None


def test_one_change_that_fails_leaves_the_others_alone(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """It is tried again later and later, as if its carrier had failed."""

    async def run() -> None:
        await bench.order(E164, OTHER)
        await bench.storage.transact(ALICE, lambda tx: tx.write("DELETE FROM phone_number_orders", ()))
        await bench.do("create_phone_number_order", BOB, product_type="VoiceConnector", e164_phone_numbers=[SILENT])
        bench.carrier.answers = [Done(), Done(), Done()]
        await bench.worker.run_due()
        assert (await bench.number(BOB, SILENT)).status == "Unassigned"
        for e164 in (E164, OTHER):
            (change,) = await bench.storage.ask(ALICE, pending_changes.of_number, e164)
            assert change.attempts == 1
            assert str(change.failure).startswith("it could not be worked off: Could not find")
            assert change.due_at <= later(bench.world.now(), seconds=1.5)

    asyncio.run(run())
    assert f"what is due of {E164} was not worked off" in caplog.text


@scenario
async def test_what_fails_holds_up_nothing_new(bench: Bench) -> None:
    """Not until another carrier has answered, which takes its time."""
    slow, quick = Patient("slow"), SimulatedCarrier(0)
    first = Worker(bench.storage, lambda _, e164: slow if e164 == E164 else quick, bench.world)
    await bench.order(E164)
    working = asyncio.create_task(first.run())
    await until(lambda: slow.asked)
    await bench.order(OTHER)
    await bench.storage.transact(ALICE, lambda tx: tx.write("DELETE FROM phone_number_orders", ()))
    async with asyncio.timeout(30):
        while not (await bench.storage.ask(ALICE, pending_changes.of_number, OTHER))[0].attempts:
            await asyncio.sleep(0.01)
        sound = await bench.order(SILENT)
        while await bench.order_status(sound) == "Processing":
            await asyncio.sleep(0.01)
    working.cancel()
    await asyncio.wait([working])


@scenario
async def test_a_carrier_s_notes_take_none_of_its_places(bench: Bench) -> None:
    """Nor do they wait for one: they are deleted while it is busy."""
    busy = Patient("busy")
    await bench.storage.transact(ALICE, deliveries.note, OTHER, "busy", "1", "number.order", "Delivered", None)
    bench.world.offset_seconds += deliveries.KEPT_DAYS * 86_400
    for first in (1000, 1050):
        await bench.order(*(f"+1206555{n:04}" for n in range(first, first + 50)))
    working = asyncio.create_task(Worker(bench.storage, lambda *_: busy, bench.world).run())
    await until(lambda: len(busy.asked) == PLACES_OF_A_RECEIVER)
    async with asyncio.timeout(30):
        while await bench.storage.ask(ALICE, deliveries.of_account, None, "busy", 10):
            await asyncio.sleep(0.01)
    working.cancel()
    await asyncio.wait([working])


@scenario
async def test_what_was_asked_for_has_left_the_queue(bench: Bench) -> None:
    """Its number may be another carrier's by the time that it is due again."""
    await bench.order(E164)
    await bench.storage.transact(ALICE, lambda tx: tx.write("UPDATE pending_changes SET queue = 'busy'", ()))
    bench.carrier.receiver = "busy"
    bench.carrier.answers = [OSError("down")]
    await bench.worker.run_due()
    (change,) = await bench.storage.ask(ALICE, pending_changes.of_number, E164)
    assert (change.attempts, change.queue) == (1, "")


@scenario
async def test_what_the_store_has_failed_at_is_tried_again_soon(bench: Bench) -> None:
    """And nothing is counted against its carrier."""
    await bench.order(E164)
    settle, failures = settling.settle, [ServiceUnavailable("Others change the same things all the time.")]

    def fail_once(tx: Tx, *args: Any, **kwargs: Any) -> None:
        if failures:
            raise failures.pop()
        settle(tx, *args, **kwargs)

    bench.carrier.answers = [Done(), Done()]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(settling, "settle", fail_once)
        await bench.worker.run_due()
        (change,) = await bench.storage.ask(ALICE, pending_changes.of_number, E164)
        assert (change.attempts, change.failure) == (0, None)
        await bench.worker.advance(1)
    assert (await bench.number()).status == "Unassigned"


@scenario
async def test_what_a_busy_carrier_has_no_place_for_holds_up_no_other(bench: Bench) -> None:
    """It waits in the carrier's queue, is written there once, and is asked for as places become free."""
    busy, quick = Patient("busy"), Patient("quick")
    quick.may_answer.set()
    one = Worker(bench.storage, lambda _, e164: quick if e164 == E164 else busy, bench.world)
    e164s = [f"+1206555{n:04}" for n in range(1000, 1400)]
    for first in range(0, 400, 50):
        await bench.order(*e164s[first : first + 50])
    working = asyncio.create_task(one.run())
    await until(lambda: len(busy.asked) == PLACES_OF_A_RECEIVER)
    await bench.order(E164)
    await until(lambda: quick.asked)
    assert len(busy.asked) == PLACES_OF_A_RECEIVER

    async def queued() -> list[tuple[str, str]]:
        changes = await bench.storage.ask(ALICE, pending_changes.page, ("", ""), 1000)
        return [(change.queue, change.due_at) for change in changes if change.e164_phone_number not in busy.asked]

    async with asyncio.timeout(30):
        before = await queued()
        while {queue for queue, _ in before} != {"busy"}:
            await asyncio.sleep(0.01)
            before = await queued()
    await asyncio.sleep(0.5)
    assert await queued() == before, "nobody writes them again and again"
    busy.may_answer.set()
    await until(lambda: len(busy.asked) == len(e164s))
    working.cancel()
    await asyncio.wait([working])
    assert sorted(busy.asked) == e164s


@scenario
async def test_a_change_survives_a_crash_between_the_question_and_its_settling(bench: Bench) -> None:
    """The carrier answers, and the process is gone before the answer is kept: it is asked again, once nobody can be
    at it any more."""
    await bench.order(E164)
    await bench.worker.advance(5)
    await bench.do("delete_phone_number", phone_number_id=E164)
    bench.carrier.answers = [asyncio.CancelledError()]
    with pytest.raises(asyncio.CancelledError):
        await bench.worker.advance(7 * 86400)
    assert (await bench.number()).status == "DeleteInProgress"
    await Worker(bench.storage, lambda *_: bench.carrier, bench.world).advance(CLAIM_SECONDS)
    assert await bench.number() is None


@scenario
async def test_no_restart_leads_back_behind_what_has_happened(bench: Bench) -> None:
    """The offset of the clock is kept before anything happens under it."""
    await bench.order(E164)
    bench.carrier.answers = [Pending(later(bench.world.now(), days=2)), asyncio.CancelledError()]
    with pytest.raises(asyncio.CancelledError):
        await bench.worker.advance(5 * 86400)
    kept = await bench.storage.transact(ALICE, store.get, store.CLOCK_OFFSET_SECONDS)
    assert float(kept) == bench.world.offset_seconds == 2 * 86400


@scenario
async def test_many_changes_are_worked_off_in_one_run(bench: Bench) -> None:
    for first in range(0, 250, 50):
        await bench.order(*(f"+1206555{n:04}" for n in range(1000 + first, 1050 + first)))
    await bench.worker.advance(5)
    answer = await bench.do("list_phone_numbers", status="Unassigned", max_results=99)
    assert len(answer["PhoneNumbers"]) == 99
    assert (await bench.do("list_phone_numbers", status="AcquireInProgress"))["PhoneNumbers"] == []


@scenario
async def test_it_works_by_itself(bench: Bench) -> None:
    """`run` notices what becomes due without being told."""
    working = asyncio.create_task(bench.worker.run())
    order_id = await bench.order(E164)
    bench.world.offset_seconds += 5
    async with asyncio.timeout(30):
        while await bench.order_status(order_id) == "Processing":
            await asyncio.sleep(0.01)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


def test_many_workers_do_nothing_twice(storage: Driver, world: World, seconds: list[float]) -> None:
    """Each with a loop of its own on the same store, all at once: every change is asked for once, and settled once."""
    e164s = [f"+1206555{line:04}" for line in range(200, 500)]
    carrier = RecordingCarrier(SimulatedCarrier(4))

    async def order(some: list[str]) -> None:
        arguments = {"product_type": "VoiceConnector", "e164_phone_numbers": some}
        await storage.transact(ALICE, OPERATIONS["create_phone_number_order"], **arguments)

    async def work() -> None:
        workers = [Worker(storage, lambda *_: carrier, world) for _ in range(10)]
        await asyncio.gather(*[worker.run_due() for worker in workers])

    for index in range(0, 300, 50):
        asyncio.run(order(e164s[index : index + 50]))
    asyncio.run(work())
    seconds[0] += 4
    asyncio.run(work())
    asked = [(request.e164_phone_number, request.now) for _, request in carrier.asked]
    assert len(asked) == len(set(asked)) == 600
    for e164 in e164s:
        changes = asyncio.run(storage.ask(ALICE, phone_numbers.history, e164))
        assert [change.change["status"][1] for change in changes] == ["Unassigned", "AcquireInProgress"]
