"""Whole histories from one seed: accounts that order, change and give back numbers, a clock that jumps, a carrier that
fails, and a service that crashes and starts again.

After every step the rules hold that no single request can show. The same seed gives the same trace, on every engine.
"""

import asyncio
import hashlib
import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import msgspec

from numberkeep.app import migrate, open_store
from numberkeep.carriers import Answer, Refused, Request
from numberkeep.carriers.simulated import SimulatedCarrier
from numberkeep.config import Location
from numberkeep.domain.caller import Caller
from numberkeep.domain.errors import Error
from numberkeep.operations import OPERATIONS
from numberkeep.storage.checking import Finding, check
from numberkeep.storage.driver import Driver
from numberkeep.storage.tx import Tx
from numberkeep.worker import CLAIM_SECONDS, Worker
from numberkeep.world import World

ACCOUNTS = [Caller(str(digit) * 12, f"arn:aws:iam::{str(digit) * 12}:user/one", "AKIA") for digit in (1, 2, 3)]
NUMBERS = [f"+1206555{line:04}" for line in (*range(187, 198), 199)]
"""The last of them the carrier never provides, and three more do what `numberkeep.carriers.simulated` says."""
JUMPS_SECONDS = (0, 1, 4, 30, CLAIM_SECONDS, 3600, 86_400, 72 * 3600, 8 * 86_400)


class Crash(BaseException):
    """The process is gone."""


class Faulty(SimulatedCarrier):
    """The simulated carrier, which now and then fails, refuses, or is asked by a process that dies meanwhile."""

    def __init__(self, seed: int) -> None:
        super().__init__(order_seconds=4)
        self._seed = seed
        self.crashed = False

    async def order(self, request: Request) -> Answer:
        return await self._answer(super().order, request)

    async def set_calling_name(self, request: Request) -> Answer:
        return await self._answer(super().set_calling_name, request)

    async def release(self, request: Request) -> Answer:
        return await self._answer(super().release, request)

    async def _answer(self, usual: Callable[[Request], Any], request: Request) -> Answer:
        # By what is asked, not by when: threads may ask in any order.
        asked = (request.kind, request.account_id, request.e164_phone_number, request.requested_at, request.attempts)
        fate = random.Random(f"{self._seed} {asked} {request.now}").randrange(20)
        self.crashed = self.crashed or fate == 0
        if self.crashed:
            raise Crash
        if fate == 1:
            raise ConnectionError("the carrier is out of reach")
        if fate == 2:
            return Refused("not today")
        return await usual(request)  # type: ignore[no-any-return]


class Simulation:
    """One history: ``Simulation(seed, location).run(steps)`` gives the digest of its trace."""

    def __init__(self, seed: int, location: Location) -> None:
        """`location` is of an empty store, or of none."""
        migrate(location)
        self._location = location
        self._dice = random.Random(seed)
        self._seconds = 1_572_373_530.0
        self._world = World(clock=lambda: self._seconds, seed=seed)
        self._carrier = Faulty(seed)
        self._connectors: dict[str, list[str]] = {}
        self.trace: list[str] = []
        self.seen: set[str] = set()
        """The statuses that numbers have had."""

    def run(self, steps: int) -> str:
        """Raises AssertionError as soon as a rule does not hold."""
        left = steps
        while left:
            with ExitStack() as stack:
                store = open_store(self._location, self._world, self._carrier, stack)
                left = asyncio.run(self._live(store, left))
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()

    async def _live(self, store: Driver, steps: int) -> int:
        """Steps until the service crashes, or all are done; how many are left."""
        worker = Worker(store, lambda *_: self._carrier, self._world)
        while steps:
            steps -= 1
            try:
                await (self._wait(store, worker) if self._dice.randrange(4) == 0 else self._request(store))
            except Crash:
                others = asyncio.all_tasks() - {asyncio.current_task()}
                await asyncio.gather(*others, return_exceptions=True)  # what was under way ends, as it happens
                self._carrier.crashed = False
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
        due = "SELECT count(*) FROM pending_changes WHERE due_at <= ?"
        (left,) = await store.ask(ACCOUNTS[0], lambda tx: tx.execute(due, (tx.now,)).fetchone())
        assert left == 0, "something that is due was forgotten"

    async def _request(self, store: Driver) -> None:
        caller = self._dice.choice(ACCOUNTS)
        some = self._dice.sample(NUMBERS, self._dice.randrange(1, 4))
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
        found, seen = await store.ask(ACCOUNTS[0], _look)
        assert not found, "\n".join(map(str, found))
        self.seen |= seen


def _look(tx: Tx) -> tuple[list[Finding], set[str]]:
    """What breaks a rule, and the statuses that numbers have."""
    execute = tx.execute
    found = list(check(lambda sql, parameters: execute(sql, parameters).fetchall()))
    seen = {
        status
        for one, of_name in execute("SELECT status, calling_name_status FROM phone_numbers", ()).fetchall()
        for status in (one, f"calling name {of_name}")
    }
    return found, seen
