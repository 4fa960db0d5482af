"""Finishes what operations began.

There are no timers: whatever a carrier has still to settle is a pending change with a moment at which it is due.
The worker claims it, asks the carrier outside of any transaction, and settles it. Any number of workers may share a
store: what one has claimed the others leave alone.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from . import settling
from .carriers import Answer, Carrier, Request
from .domain.caller import Caller
from .domain.errors import Error, ServiceUnavailable
from .domain.moment import Timestamp, later, seconds_of
from .settling import Failed
from .storage import pending_changes, store
from .storage.driver import Driver
from .storage.pending_changes import PendingChange
from .world import World

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
"""How long something that has become due waits at most to be noticed."""
BATCH_CHANGES = 256
"""How many changes are worked off side by side."""
CLAIM_SECONDS = 60
"""For how long other workers leave a change alone that one has claimed: should that one die, they go on then."""
CARRIER_SECONDS = 30
"""How long a carrier has to answer: less than a claim lasts, or two workers would ask by turns for ever."""


class Worker:
    """Works off what is due, of all accounts."""

    def __init__(self, store: Driver, carrier_of: Callable[[str, str], Carrier], world: World) -> None:
        """`carrier_of` tells which carrier serves a number: by its account, and the number itself."""
        self._store = store
        self._carrier_of = carrier_of
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
        under_way: dict[asyncio.Task[None], PendingChange] = {}
        failure: BaseException | None = None
        try:
            while True:
                if failure is None and len(under_way) < BATCH_CHANGES:
                    for change in await self._claim(BATCH_CHANGES - len(under_way)):
                        under_way[asyncio.create_task(self._work_off(change))] = change
                if not under_way:
                    break
                # A carrier that takes its time holds up nobody else's changes.
                done, _ = await asyncio.wait(under_way, timeout=POLL_SECONDS)
                for task in done:
                    del under_way[task]
                    failure = task.exception() or failure
        finally:
            await self._give_back(under_way)
        if failure:
            raise failure

    async def _give_back(self, under_way: Mapping[asyncio.Task[None], PendingChange]) -> None:
        """Leave to others what was claimed and cannot be finished."""
        for task in under_way:
            task.cancel()
        results = await asyncio.gather(*under_way, return_exceptions=True)
        for change, result in zip(under_way.values(), results, strict=True):
            if result is None:
                continue
            caller, e164 = _worker_of(change.account_id), change.e164_phone_number
            try:
                await self._store.transact_locking(caller, e164, settling.release_claim, change)
            except Error as error:
                log.warning("%s of %s stays claimed for a while: %s", change.kind, e164, error)

    async def _claim(self, limit: int) -> list[PendingChange]:
        """What is due, as far as no other worker is at it."""
        until = later(self._world.now(), seconds=CLAIM_SECONDS)
        claim = pending_changes.claim
        return await self._store.transact_locking(_worker_of(""), None, claim, limit, until)

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
        question = await self._store.transact_locking(caller, e164, settling.begin, change)
        if question is not None:
            answer = await self._ask(question) if isinstance(question, Request) else question
            dice = self._world.random.random()
            await self._store.transact_locking(caller, e164, settling.settle, change, answer, dice)

    async def _ask(self, request: Request) -> Answer | Failed:
        carrier = self._carrier_of(request.account_id, request.e164_phone_number)
        try:
            async with asyncio.timeout(CARRIER_SECONDS) as limit:
                return await getattr(carrier, request.kind)(request)  # type: ignore[no-any-return]
        except Exception as error:
            why = f"it has not answered in {CARRIER_SECONDS} s" if limit.expired() else str(error) or repr(error)
            expected = isinstance(error, OSError)  # which a TimeoutError is too
            log.warning(
                "the carrier failed at %s of %s: %s",
                request.kind,
                request.e164_phone_number,
                why,
                exc_info=None if expected else error,
            )
            return Failed(why)


def _worker_of(account_id: str) -> Caller:
    return Caller(account_id, f"arn:aws:chime::{account_id}:worker", "")
