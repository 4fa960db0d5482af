"""Whole histories from one seed: accounts that order, change and give back numbers, a clock that jumps, a carrier and a
subscriber that fail, and a service that crashes at any point of its work and starts again.

After every step the rules hold that no single request can show (`numberkeep.storage.checking`). In the end, when all is
quiet, the carrier has done what the service says, once, and the subscriber was told of everything, in order. The same
seed gives the same trace, on every engine.
"""

import asyncio
import hashlib
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec

from numberkeep.carriers import Answer, Done, Pending, Refused, Request
from numberkeep.carriers.simulated import SimulatedCarrier
from numberkeep.config import Location
from numberkeep.domain.caller import Caller
from numberkeep.domain.errors import Error, NotFound
from numberkeep.domain.events import event_of
from numberkeep.domain.moment import Timestamp, later
from numberkeep.maintenance import migrate
from numberkeep.opening import open_store
from numberkeep.operations import OPERATIONS
from numberkeep.settling import CLAIM_SECONDS, settle_now
from numberkeep.storage.checking import check
from numberkeep.storage.driver import Driver
from numberkeep.storage.tx import Tx
from numberkeep.worker import Worker
from numberkeep.world import World

P = ParamSpec("P")
T = TypeVar("T")

ACCOUNTS = [Caller(str(digit) * 12, f"arn:aws:iam::{str(digit) * 12}:user/one", "AKIA") for digit in (1, 2, 3)]
NUMBERS = [f"+1206555{line:04}" for line in (*range(187, 198), 199)]
"""The last of them the carrier never provides, and three more do what `numberkeep.carriers.simulated` says."""
JUMPS_SECONDS = (0, 1, 4, 30, CLAIM_SECONDS, 3600, 86_400, 72 * 3600, 8 * 86_400)


class Crash(BaseException):
    """The process is gone."""


class Mistakes(logging.Handler):
    """What the worker says that it could not work off: every carrier's failure is none."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())


class Fate:
    """What goes wrong: the same things, whatever else happens at the same time in whatever order."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._times: Counter[str] = Counter()
        self.crashed = False
        self.kind = False
        """Nothing goes wrong any more."""

    def draw(self, *what: object) -> int:
        """A number from 0 to 99 for `what`, another one each time."""
        name = repr(what)
        self._times[name] += 1
        drawn = random.Random(f"{self._seed} {name} {self._times[name]}").randrange(100)
        return 99 if self.kind else drawn

    def check(self) -> None:
        """Nobody does anything in a process that is gone."""
        if self.crashed:
            raise Crash

    def crash(self) -> None:
        self.crashed = True
        raise Crash


class Outside(SimulatedCarrier):
    """The carrier: it is asked by a process that may die meanwhile, fails, refuses, loses its answer, or takes its time
    and calls back. What it has done stands in `provided` and `names`, and it does nothing twice."""

    def __init__(self, fate: Fate) -> None:
        super().__init__(order_seconds=4)
        self._fate = fate
        self._answers: dict[str, Answer] = {}
        self.provided: dict[str, str] = {}
        """Whom each number was provided to."""
        self.names: dict[str, str] = {}
        self.calls_back: list[Request] = []
        """What it has done and has to tell of itself."""
        self.meanwhile: Callable[[], Awaitable[None]]
        """What happens while the process that has asked is not heard of for longer than a claim lasts."""

    async def order(self, request: Request) -> Answer:
        return await self._answer(super().order, request)

    async def set_calling_name(self, request: Request) -> Answer:
        return await self._answer(super().set_calling_name, request)

    async def release(self, request: Request) -> Answer:
        return await self._answer(super().release, request)

    async def _answer(self, usual: Callable[[Request], Awaitable[Answer]], request: Request) -> Answer:
        fate, e164 = self._fate, request.e164_phone_number
        fate.check()
        drawn = fate.draw("carrier", request.kind, request.account_id, e164, request.now)
        if drawn < 4:
            fate.crash()
        if drawn < 8:
            raise ConnectionError("the carrier is out of reach")
        if request.id in self._answers:
            return self._answers[request.id]
        answer = Refused("not today") if drawn < 12 else await usual(request)
        if isinstance(answer, Pending):
            return answer
        self._answers[request.id] = answer
        if isinstance(answer, Done):
            self._do(request)
        if drawn < 16:
            fate.crash()
        if drawn < 20:
            raise ConnectionError("the carrier's answer was lost")
        if drawn < 24:
            await self.meanwhile()
        elif drawn < 28:
            self.calls_back.append(request)
            return Pending(later(request.now, hours=1))
        return answer

    def answer_to(self, request: Request) -> Answer:
        """What came of a change, as it tells of itself."""
        return self._answers[request.id]

    def _do(self, request: Request) -> None:
        e164 = request.e164_phone_number
        if request.kind == "order":
            assert e164 not in self.provided, f"{e164} is ordered twice"
            self.provided[e164] = request.account_id
        elif request.kind == "release":
            assert self.provided.pop(e164) == request.account_id, f"{e164} is given back by another account"
            self.names.pop(e164, None)
        else:
            assert self.provided.get(e164) == request.account_id, f"{e164} is another account's to name"
            self.names[e164] = request.calling_name


class Subscriber:
    """Is told what happens, now and then in vain; `told` is what, by account and number, without what came twice."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self._seen: set[str] = set()
        self.told: dict[tuple[str, str], list[str]] = {}

    async def send(self, message_id: str, type: str, timestamp: Timestamp | None, data: Any) -> bytes:
        told = msgspec.json.decode(bytes(data))
        self._fate.check()
        drawn = self._fate.draw("subscriber", told["account_id"], told["e164_phone_number"], type, timestamp)
        if drawn < 4:
            self._fate.crash()
        if drawn < 15:
            raise ConnectionError("the subscriber is out of reach")
        if message_id not in self._seen:
            self._seen.add(message_id)
            self.told.setdefault((told["account_id"], told["e164_phone_number"]), []).append(type)
        if drawn < 18:
            self._fate.crash()
        if drawn < 22:
            raise ConnectionError("the subscriber's answer was lost")
        return b""


class Mortal:
    """The store as a worker sees it whose process may die before or after any transaction."""

    def __init__(self, store: Driver, fate: Fate) -> None:
        self._store = store
        self._fate = fate

    async def transact_locking(
        self, caller: Caller, e164: str | None, function: Callable[..., T], *args: Any, **kwargs: Any
    ) -> T:
        fate = self._fate
        fate.check()
        drawn = fate.draw("transaction", function.__name__, caller.account_id, e164)
        if drawn < 1:
            fate.crash()
        result = await self._store.transact_locking(caller, e164, function, *args, **kwargs)
        fate.check()
        if drawn < 3:
            fate.crash()
        return result


class Simulation:
    """One history: ``Simulation(seed, location).run(steps)`` gives the digest of its trace."""

    def __init__(self, seed: int, location: Location) -> None:
        """`location` is of an empty store, or of none."""
        migrate(location)
        self._location = location
        self._dice = random.Random(seed)
        self._seconds = 1_572_373_530.0
        self._world = World(clock=lambda: self._seconds, seed=seed)
        self._fate = Fate(seed)
        self._carrier = Outside(self._fate)
        self._subscriber = Subscriber(self._fate)
        self._connectors: dict[str, list[str]] = {}
        self._own: dict[str, list[str]] = {}
        self.trace: list[str] = []
        self.seen: set[str] = set()
        """The statuses that numbers have had, and what happened to them."""
        self.crashes = 0
        self._mistakes = Mistakes()

    def run(self, steps: int) -> str:
        """Raises AssertionError as soon as a rule does not hold."""
        left = steps
        log = logging.getLogger("numberkeep.worker")
        log.addHandler(self._mistakes)
        try:
            while left:
                left = self._with_store(self._live, left)
            self._fate.kind = True
            self._with_store(self._come_to_rest)
        finally:
            log.removeHandler(self._mistakes)
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()

    def _with_store(self, function: Callable[Concatenate[Driver, P], Coroutine[Any, Any, T]], *args: P.args) -> T:
        with ExitStack() as stack:
            subscribers = lambda *_: ["crm"]  # noqa: E731
            store = open_store(self._location, self._world, self._carrier, stack, subscribers=subscribers)
            return asyncio.run(function(store, *args))

    def _worker(self, store: Driver) -> Worker:
        """A worker; while one of its carriers takes longer than its claim lasts, another does what is due."""

        async def meanwhile() -> None:
            self._seconds += CLAIM_SECONDS + 1
            await self._one_worker(store).run_due()

        self._carrier.meanwhile = meanwhile
        return self._one_worker(store)

    def _one_worker(self, store: Driver) -> Worker:
        mortal: Any = Mortal(store, self._fate)
        # What is under way is waited for, or how busy the machine is would decide what happens next.
        return Worker(mortal, lambda *_: self._carrier, self._world, lambda _: self._subscriber, poll_seconds=600)

    async def _live(self, store: Driver, steps: int) -> int:
        """Steps until the service crashes, or all are done; how many are left."""
        worker = self._worker(store)
        while steps:
            steps -= 1
            try:
                drawn = self._dice.randrange(8)
                if drawn < 2:
                    await self._wait(store, worker)
                elif drawn == 2 and self._carrier.calls_back:
                    await self._call_back(store)
                else:
                    await self._request(store)
            except Crash:
                others = asyncio.all_tasks() - {asyncio.current_task()}
                await asyncio.gather(*others, return_exceptions=True)  # what was under way ends, as it happens
                self._fate.crashed = False
                self.crashes += 1
                self._note("crash")
                await self._check(store)
                break
            await self._check(store)
        return steps

    async def _wait(self, store: Driver, worker: Worker) -> None:
        """Time passes, and what is due is done."""
        self._seconds += self._dice.choice(JUMPS_SECONDS)
        self._note("clock", self._seconds)
        await worker.run_due()
        for table in ("pending_changes", "deliveries"):
            due = f"SELECT count(*) FROM {table} WHERE due_at <= ?"
            (left,) = await store.ask(ACCOUNTS[0], lambda tx, due=due: tx.execute(due, (tx.now,)).fetchone())
            assert left == 0, f"something that is due was forgotten in {table}"

    async def _call_back(self, store: Driver) -> None:
        """The carrier tells of itself what it has done, though the service may know already."""
        request = self._carrier.calls_back.pop(self._dice.randrange(len(self._carrier.calls_back)))
        caller = Caller(request.account_id, f"arn:aws:chime::{request.account_id}:carrier/own", "")
        e164, answer = request.e164_phone_number, self._carrier.answer_to(request)
        assert isinstance(answer, Done | Refused)
        try:
            await store.transact(caller, settle_now, e164, answer, id=request.id)
            settled = "settled"
        except NotFound as error:
            settled = str(error)
        self._note("called back", request.kind, e164, settled)

    async def _come_to_rest(self, store: Driver) -> None:
        """Everything is done that has begun, and everybody agrees."""
        worker = self._worker(store)
        for seconds in [600] * 60 + [86_400] * 30:
            self._seconds += seconds
            await worker.run_due()
        await self._check(store)
        known = await store.ask(ACCOUNTS[0], _known)
        provided = {e164: account for account, e164, status, *_ in known if status not in OWNERLESS}
        assert provided == self._carrier.provided, "what the carrier has provided, and what the service says"
        names = {e164: name for _, e164, status, name, _ in known if name and status not in OWNERLESS}
        assert names == {e164: name for e164, name in self._carrier.names.items() if name}, "calling names"
        told = await store.ask(ACCOUNTS[0], _happened)
        for key, events in told.items():
            assert self._subscriber.told.get(key) == events, f"what the subscriber was told of {key}"
        assert set(self._subscriber.told) == set(told)
        self.seen |= {event for events in told.values() for event in events}
        (left,) = await store.ask(ACCOUNTS[0], lambda tx: tx.execute(_UNDER_WAY, ()).fetchone())
        assert left == 0, "something is under way for ever"
        self._note("rest", sorted(provided.items()), sorted(names.items()))

    async def _request(self, store: Driver) -> None:
        caller = self._dice.choice(ACCOUNTS)
        own = self._own.get(caller.account_id, [])
        among = own if own and self._dice.randrange(3) else NUMBERS  # refusals are not all that there is to see
        some = self._dice.sample(among, min(len(among), self._dice.randrange(1, 4)))
        one = {"phone_number_id": some[0]}
        connector = self._dice.choice(self._connectors.get(caller.account_id) or ["none"])
        held = {"voice_connector_id": connector, "e164_phone_numbers": some}
        product_type = self._dice.choice(["VoiceConnector", "BusinessCalling", "SipMediaApplicationDialIn"])
        operation, arguments = self._dice.choice(
            [
                ("create_phone_number_order", {"product_type": product_type, "e164_phone_numbers": some}),
                ("create_phone_number_order", {"product_type": "VoiceConnector", "e164_phone_numbers": some}),
                ("update_phone_number", {**one, "product_type": product_type}),
                ("update_phone_number", {**one, "calling_name": self._dice.choice(["Acme", "REFUSED", ""])}),
                ("update_phone_number", {**one, "name": self._dice.choice(["front", "back"])}),
                ("update_phone_number_settings", {"calling_name": self._dice.choice(["Acme", "Other"])}),
                ("delete_phone_number", one),
                ("batch_delete_phone_number", {"phone_number_ids": some}),
                ("restore_phone_number", one),
                ("create_voice_connector", {"name": "one", "require_encryption": True}),
                ("associate_phone_numbers_with_voice_connector", {**held, "force_associate": True}),
                ("associate_phone_numbers_with_voice_connector", held),
                ("disassociate_phone_numbers_from_voice_connector", held),
                ("delete_voice_connector", {"voice_connector_id": connector}),
                ("list_phone_number_orders", {}),
                ("list_phone_numbers", {"status": self._dice.choice([None, "Unassigned", "ReleaseInProgress"])}),
            ]
        )
        try:
            answer = msgspec.to_builtins(await store.transact(caller, OPERATIONS[operation], **arguments))
        except Error as error:
            answer = f"{error.code}: {error}"
        else:
            if operation == "create_voice_connector":
                made = answer["VoiceConnector"]["voice_connector_id"]
                self._connectors.setdefault(caller.account_id, []).append(made)
        self._note(caller.account_id, operation, arguments, answer)

    def _note(self, *what: object) -> None:
        self.trace.append(msgspec.json.encode(what).decode())

    async def _check(self, store: Driver) -> None:
        found, known = await store.ask(ACCOUNTS[0], lambda tx: (list(check(_rows_of(tx))), _known(tx)))
        assert not found, "\n".join(map(str, found))
        assert not self._mistakes.found, self._mistakes.found
        self._own = {}
        for account, e164, status, _, of_name in known:
            self._own.setdefault(account, []).append(e164)
            self.seen |= {status, f"calling name {of_name}"}


OWNERLESS = ("AcquireInProgress", "AcquireFailed")
"""Numbers that the account has not got."""
_UNDER_WAY = "SELECT count(*) FROM pending_changes WHERE kind <> 'release'"


def _known(tx: Tx) -> list[Any]:
    """All numbers: account, number, status, calling name, and how that stands."""
    columns = "account_id, e164_phone_number, status, calling_name, calling_name_status"
    sql = f"SELECT {columns} FROM phone_numbers ORDER BY account_id, e164_phone_number"
    return tx.execute(sql, ()).fetchall()


def _happened(tx: Tx) -> dict[tuple[str, str], list[str]]:
    """What has happened to every number, as subscribers are told it, in order."""
    told: dict[tuple[str, str], list[str]] = {}
    sql = "SELECT account_id, e164_phone_number, change FROM phone_number_history ORDER BY change_id"
    for account, e164, change in tx.execute(sql, ()).fetchall():
        told.setdefault((account, e164), []).append(
            event_of(msgspec.json.decode(change, type=dict[str, tuple[Any, Any]]))
        )
    return told


def _rows_of(tx: Tx) -> Callable[[str, Sequence[Any]], list[Any]]:
    execute = tx.execute
    return lambda sql, parameters: execute(sql, parameters).fetchall()
