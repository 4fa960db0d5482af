"""The background worker: finishes the changes that operations began, and delivers messages.

There are no timers: whatever a carrier still has to settle is a pending change with a due time. The worker claims a
due change, asks the carrier outside of any transaction, and settles the change. Any number of workers may share a
store: a worker leaves alone what another one has claimed.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import msgspec

from . import settling
from .carriers import Carrier, Request
from .domain.caller import NOBODY, worker_of
from .domain.errors import Error, ServiceUnavailable
from .domain.moment import Timestamp, later, seconds_of
from .metrics import Metrics
from .settling import CLAIM_SECONDS, Failed
from .storage import store
from .storage.deliveries import Delivery, Status
from .storage.driver import Driver
from .storage.pending_changes import PendingChange
from .storage.tx import Tx
from .world import World

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Claimed = PendingChange | Delivery
Asking = Callable[[str], AbstractContextManager[Callable[[str], None]]]
"""A context manager around one call to a carrier or subscriber, made from the call's name. It gives a function that is
called with the reason if the call fails."""

POLL_SECONDS = 0.1
"""The longest time until the worker notices that something has become due."""
BATCH_CHANGES = 256
"""How many changes without a receiver (of simulated and manual carriers) this process takes from the queue at once."""
PLACES_OF_A_RECEIVER = 64
"""How many changes and messages this process may have in progress for one receiver; the rest wait in its queue."""
CARRIER_SECONDS = 30
"""How long a carrier has to answer: less than a claim lasts, or two workers would keep asking it in turns."""
PAUSE_SECONDS = 1
"""How long something waits that the store has failed at."""
TELL_SECONDS = 60
"""How long the log stays silent about a receiver after reporting that it fails: with a hundred thousand messages
waiting for it, each failure is no news."""


class Endpoint(Protocol):
    """Where a subscriber's messages go."""

    async def send(self, message_id: str, type: str, timestamp: Timestamp | None, data: object) -> bytes: ...


class Worker:
    """Works on the due changes and messages of all accounts."""

    def __init__(
        self,
        store: Driver,
        carrier_of: Callable[[str, str], Carrier],
        world: World,
        endpoint_of: Callable[[str], Endpoint | None] = lambda receiver: None,
        poll_seconds: float = POLL_SECONDS,
        metrics: Metrics | None = None,
        asking: Asking = lambda name: nullcontext(lambda why: None),
    ) -> None:
        """`carrier_of` returns the carrier that serves a number, given the account and the number; `endpoint_of`
        returns where a subscriber's messages go. `poll_seconds` is the longest time until something due is noticed."""
        self._poll_seconds = poll_seconds
        self._store = store
        self._carrier_of = carrier_of
        self._endpoint_of = endpoint_of
        self._world = world
        self._metrics = metrics or Metrics()
        self._under_way: Counter[str] = Counter()
        """How many changes and messages are in progress for each receiver."""
        self._in_vain: Counter[str] = Counter()
        """How many calls to each failing receiver have failed since the log reported that it fails."""
        self._told_at: dict[str, float] = {}
        """When that was reported."""
        self._asking = asking
        self._working = asyncio.Lock()

    async def run(self) -> None:
        """Work until cancelled. Failures are logged and retried."""
        while True:
            try:
                await self.run_due()
            except ServiceUnavailable:
                await asyncio.sleep(1)  # the store has logged why
            except Exception:
                log.exception("the worker failed and goes on")
                await asyncio.sleep(1)
            await asyncio.sleep(self._poll_seconds)

    async def run_due(self) -> None:
        """Work until nothing is due."""
        async with self._working:
            await self._run_due()

    async def _run_due(self) -> None:
        under_way: dict[asyncio.Task[None], Claimed] = {}
        try:
            while True:
                may_be_more = False
                try:
                    some, may_be_more = await self._claim()
                    under_way |= {asyncio.create_task(self._work_off(claimed)): claimed for claimed in some}
                except ServiceUnavailable:
                    if not under_way:
                        raise
                if not under_way:
                    if may_be_more:
                        continue
                    return
                # Does not wait for all: a slow carrier must not hold up other carriers' changes.
                wait_for = asyncio.FIRST_COMPLETED if may_be_more else asyncio.ALL_COMPLETED
                done, _ = await asyncio.wait(under_way, timeout=self._poll_seconds, return_when=wait_for)
                for task in done:
                    del under_way[task]
                    task.result()
        finally:
            await self._give_back(under_way)

    async def _give_back(self, under_way: Mapping[asyncio.Task[None], Claimed]) -> None:
        """Release the claims on what cannot be finished, so that other workers can take it."""
        for task in under_way:
            task.cancel()
        results = await asyncio.gather(*under_way, return_exceptions=True)
        left = [claimed for claimed, result in zip(under_way.values(), results, strict=True) if result is not None]
        giving_back = [self._in_turn(claimed, settling.release_claim, claimed) for claimed in left]
        for claimed, result in zip(left, await asyncio.gather(*giving_back, return_exceptions=True), strict=True):
            if isinstance(result, Error):
                log.warning("%s stays claimed for a while: %s", claimed.e164_phone_number, result)
            elif result is not None:
                raise result

    async def _claim(self) -> tuple[list[Claimed], bool]:
        """Claim what is due and unclaimed, as far as there are places for it; and tell whether more may be due."""
        until = later(self._world.now(), seconds=CLAIM_SECONDS)
        return await self._store.transact_locking(NOBODY, None, settling.claim, self._places, until)

    def _places(self, receiver: str) -> int:
        """How many more changes or messages may be started for a receiver now. The empty name stands for no receiver,
        or one that is not known yet."""
        return (PLACES_OF_A_RECEIVER if receiver else BATCH_CHANGES) - self._under_way[receiver]

    async def _in_turn(
        self, claimed: Claimed, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``function(tx, ...)`` in a transaction that holds the lock on the claimed change's number."""
        caller = worker_of(claimed.account_id)
        return await self._store.transact_locking(caller, claimed.e164_phone_number, function, *args, **kwargs)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Wait until the worker is idle, and keep it so during the block."""
        async with self._working:
            yield

    async def advance(self, seconds: float) -> None:
        """Move the service's clock forward, stopping wherever something is due, so that it happens at its time."""
        async with self._working:
            await self._run_due()
            target = later(self._world.now(), seconds=seconds)
            while (due_at := await self._store.transact(NOBODY, settling.next_due_at)) and (due_at <= target):
                await self._move_to(due_at)
                await self._run_due()
            await self._move_to(target)
            await self._run_due()

    async def _move_to(self, moment: Timestamp) -> None:
        """Move the clock to `moment`. The offset is stored before anything happens under it, so that a restart never
        moves the clock back."""
        offset = self._world.offset_seconds + max(0.0, seconds_of(moment) - seconds_of(self._world.now()))
        await self._store.transact(NOBODY, store.put, store.CLOCK_OFFSET_SECONDS, str(offset))
        self._world.offset_seconds = offset

    async def _work_off(self, claimed: Claimed) -> None:
        """Finish one claimed change or message. Any failure is logged and retried, and does not stop the others."""
        try:
            receiver = self._receiver_of(claimed)
            if receiver and self._places(receiver) <= 0:
                await self._in_turn(claimed, settling.release_claim, claimed, receiver)
                return
            self._under_way[receiver] += 1
            try:
                await self._finish(claimed, receiver)
            finally:
                self._under_way[receiver] -= 1
        except ServiceUnavailable:  # the store has logged why
            with suppress(Error):  # else the claim has to expire
                await self._in_turn(claimed, settling.release_claim, claimed, pause_seconds=PAUSE_SECONDS)
        except Exception as error:
            log.exception("what is due of %s was not worked off, and is tried again", claimed.e164_phone_number)
            await self._fail(claimed, Failed(f"it could not be worked off: {error}"))

    async def _fail(self, claimed: Claimed, failed: Failed) -> None:
        """Count the attempt as failed; if even that fails, the claim has to expire before a retry."""
        dice = self._world.random.random()
        try:
            if isinstance(claimed, Delivery):
                status = settling.status_after(claimed.attempts, failed)
                await self._in_turn(claimed, settling.settle_delivery, claimed, status, failed, dice)
            else:
                await self._in_turn(claimed, settling.settle, claimed, failed, dice)
        except Exception as error:
            log.warning("%s is left for a while: %r", claimed.e164_phone_number, error)

    def _receiver_of(self, claimed: Claimed) -> str:
        """The system that has to be called for this; the empty string if it is done in this process."""
        if isinstance(claimed, Delivery):
            return claimed.receiver
        return self._carrier_of(claimed.account_id, claimed.e164_phone_number).receiver or ""

    async def _finish(self, claimed: Claimed, receiver: str) -> None:
        dice = self._world.random.random()
        if isinstance(claimed, Delivery):
            if await self._in_turn(claimed, settling.begin_delivery, claimed):
                await self._deliver(claimed, dice)
            return
        question = await self._in_turn(claimed, settling.begin, claimed)
        if isinstance(question, Request):
            carrier = self._carrier_of(question.account_id, question.e164_phone_number)
            asked = getattr(carrier, question.kind)(question)
            with self._asking(f"carrier {question.kind}") as has_failed:
                answer = await self._answer_of(asked, receiver or "the simulated carrier", question, has_failed)
            self._metrics.carrier_called(question.kind, type(answer).__name__.lower())
            noted = (receiver, question.id) if receiver else None
            await self._in_turn(claimed, settling.settle, claimed, answer, dice, noted)
        elif question:
            await self._in_turn(claimed, settling.settle, claimed, question, dice)

    async def _deliver(self, delivery: Delivery, dice: float) -> None:
        endpoint = self._endpoint_of(delivery.receiver)
        if endpoint is None:
            failed: Failed | None = Failed(f"there is no subscriber {delivery.receiver} any more")
        else:
            failed = await self._send(delivery, endpoint)
        status = settling.status_after(delivery.attempts, failed, hopeless=endpoint is None)
        self._metrics.delivered(_OUTCOMES[status])
        await self._in_turn(delivery, settling.settle_delivery, delivery, status, failed, dice)

    async def _send(self, delivery: Delivery, endpoint: Endpoint) -> Failed | None:
        """Deliver a message. Returns what went wrong, or None."""
        data = msgspec.Raw(delivery.data.encode())
        sending = endpoint.send(delivery.message_id, delivery.type, delivery.created_at, data)
        with self._asking(f"deliver {delivery.type}") as has_failed:
            answer = await self._answer_of(sending, delivery.receiver, delivery, has_failed)
        return answer if isinstance(answer, Failed) else None

    async def _answer_of(
        self, asking: Awaitable[T], whom: str, about: Request | Delivery, has_failed: Callable[[str], None]
    ) -> T | Failed:
        try:
            async with asyncio.timeout(CARRIER_SECONDS) as limit:
                answer = await asking
        except Exception as error:
            why = f"it has not answered in {CARRIER_SECONDS} s" if limit.expired() else str(error) or repr(error)
            trace = None if isinstance(error, OSError) else error  # a TimeoutError is one too
            failed = Failed(why)
            now = self._world.steady_seconds()
            if whom not in self._in_vain and now - self._told_at.get(whom, -TELL_SECONDS) >= TELL_SECONDS:
                told = "%s fails, and is asked again; the first time it was about %s: %s"
                log.warning(told, whom, about.e164_phone_number, failed.why, exc_info=trace)
                self._in_vain[whom], self._told_at[whom] = 0, now
            if whom in self._in_vain:
                self._in_vain[whom] += 1
            has_failed(failed.why)
            return failed
        if count := self._in_vain.pop(whom, 0):
            log.warning("%s answers again; it was asked %d times in vain", whom, count)
        return answer


_OUTCOMES: dict[Status, str] = {"Delivered": "delivered", "Pending": "failed", "Failed": "given_up"}
