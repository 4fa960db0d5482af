"""Finishes what operations began.

There are no timers: whatever a carrier has still to settle is a pending change with a moment at which it is due.
The worker claims it, asks the carrier outside of any transaction, and settles it. Any number of workers may share a
store: what one has claimed the others leave alone.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from .carriers import Answer, Carrier, Done, Pending, Refused, Request
from .domain.caller import Caller
from .domain.errors import ServiceUnavailable
from .domain.moment import Timestamp, later, seconds_of
from .storage import account_settings, pending_changes, phone_number_orders, phone_numbers, store
from .storage.driver import Driver
from .storage.pending_changes import PendingChange
from .storage.tx import Tx
from .world import World

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
"""How long something that has become due waits at most to be noticed."""
BATCH_CHANGES = 256
"""How many changes are worked off side by side."""
CLAIM_SECONDS = 60
"""For how long other workers leave a change alone that one has claimed: should that one die, they go on then."""
RETRY_SECONDS = 30
"""How long a change waits whose carrier failed to answer."""


class Worker:
    """Works off what is due, of all accounts."""

    def __init__(self, store: Driver, carrier: Carrier, world: World) -> None:
        self._store = store
        self._carrier = carrier
        self._world = world
        self._working = asyncio.Lock()

    async def run(self) -> None:
        """Work until cancelled. What fails is logged and tried again."""
        while True:
            try:
                await self.run_due()
            except ServiceUnavailable:
                await asyncio.sleep(1)  # which the store has said
            except Exception:
                log.exception("the worker failed and goes on")
                await asyncio.sleep(1)
            await asyncio.sleep(POLL_SECONDS)

    async def run_due(self) -> None:
        """Work until nothing is due."""
        async with self._working:
            await self._run_due()

    async def _run_due(self) -> None:
        while changes := await self._claim():
            await asyncio.gather(*map(self._work_off, changes))

    async def _claim(self) -> list[PendingChange]:
        """What is due, as far as no other worker is at it."""
        until = later(self._world.now(), seconds=CLAIM_SECONDS)
        claim = pending_changes.claim
        return await self._store.transact_locking(_worker_of(""), None, claim, BATCH_CHANGES, until)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Nothing is worked off meanwhile."""
        async with self._working:
            yield

    async def advance(self, seconds: float) -> None:
        """Move the service's time forward, stopping wherever something is due, to have it happen at its moment."""
        async with self._working:
            await self._run_due()
            target = later(self._world.now(), seconds=seconds)
            while (due_at := await self._store.transact(_worker_of(""), pending_changes.next_due_at)) and (
                due_at <= target
            ):
                await self._move_to(due_at)
                await self._run_due()
            await self._move_to(target)
            await self._run_due()

    async def _move_to(self, moment: Timestamp) -> None:
        """The offset is kept before anything happens under it, so that no restart leads back behind that."""
        offset = self._world.offset_seconds + max(0.0, seconds_of(moment) - seconds_of(self._world.now()))
        await self._store.transact(_worker_of(""), store.put, store.CLOCK_OFFSET_SECONDS, str(offset))
        self._world.offset_seconds = offset

    async def _work_off(self, change: PendingChange) -> None:
        caller, e164 = _worker_of(change.account_id), change.e164_phone_number
        question = await self._store.transact_locking(caller, e164, _begin, change)
        if question is not None:
            answer = await self._ask(change, question) if isinstance(question, Request) else question
            await self._store.transact_locking(caller, e164, _settle, change, answer)

    async def _ask(self, change: PendingChange, request: Request) -> Answer:
        try:
            return await getattr(self._carrier, change.kind)(request)  # type: ignore[no-any-return]
        except Exception:
            log.exception("the carrier failed at %s of %s", change.kind, change.e164_phone_number)
            return Pending(later(self._world.now(), seconds=RETRY_SECONDS))


def _worker_of(account_id: str) -> Caller:
    return Caller(account_id, f"arn:aws:chime::{account_id}:worker", "")


def _begin(tx: Tx, change: PendingChange) -> Request | Refused | None:
    """What the carrier is to be asked; None if the change is pending no longer."""
    e164 = change.e164_phone_number
    if not pending_changes.is_claimed(tx, change):
        return None
    number = phone_numbers.get(tx, e164)
    if change.kind == "order" and not phone_numbers.claim(tx, e164):
        return Refused("another account owns the number")
    if change.kind == "release" and number.status == "ReleaseInProgress":
        phone_numbers.replace(tx, number, number.begin_release(tx.now))
    return Request(e164, change.requested_at, tx.now, calling_name=number.requested_calling_name or "")


def _settle(tx: Tx, change: PendingChange, answer: Answer) -> None:
    e164 = change.e164_phone_number
    if not pending_changes.is_claimed(tx, change):
        return
    if isinstance(answer, Pending):
        pending_changes.postpone(tx, change, answer.ask_at)
        return
    pending_changes.delete(tx, e164, change.kind)
    if isinstance(answer, Refused):
        log.info("%s of %s was refused: %s", change.kind, e164, answer.reason)
    _SETTLE[change.kind](tx, e164, isinstance(answer, Done))


def _settle_order(tx: Tx, e164: str, done: bool) -> None:
    was = phone_numbers.get(tx, e164)
    if done:
        number = was.acquire(account_settings.get(tx).calling_name, tx.now)
        if number.calling_name_status == "UpdateInProgress":
            pending_changes.put(tx, e164, "set_calling_name", due_at=tx.now)
    else:
        number = was.fail_to_acquire(tx.now)
        phone_numbers.disclaim(tx, e164)
    phone_numbers.replace(tx, was, number)
    if was.order_id:
        order = phone_number_orders.get(tx, was.order_id, lock=True)
        phone_number_orders.replace(tx, order.settle(e164, done, tx.now))


def _settle_calling_name(tx: Tx, e164: str, done: bool) -> None:
    was = phone_numbers.get(tx, e164)
    phone_numbers.replace(tx, was, was.settle_calling_name(done, tx.now))


def _settle_release(tx: Tx, e164: str, done: bool) -> None:
    was = phone_numbers.get(tx, e164)
    if done:
        phone_numbers.delete(tx, was)
        pending_changes.delete_all(tx, e164)
    else:
        phone_numbers.replace(tx, was, was.fail_to_release(tx.now))


_SETTLE: dict[str, Callable[[Tx, str, bool], None]] = {
    "order": _settle_order,
    "set_calling_name": _settle_calling_name,
    "release": _settle_release,
}
