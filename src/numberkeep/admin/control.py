"""/_numberkeep/: the controls for test suites, such as moving the clock, adding numbers and resetting. In dev only."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from itertools import islice

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .. import settling
from ..domain.caller import NOBODY, check_account_id, root_of
from ..domain.errors import BadRequest, Error, NotFound
from ..domain.moment import Timestamp, seconds_of
from ..domain.number_plan import normalize_id, phone_number_id
from ..operations import inventory
from ..operations.inventory import GivenNumber
from ..storage import phone_numbers, store
from ..storage.driver import Driver
from ..storage.tx import Tx
from ..worker import Worker
from ..world import World
from .faults import Fault, Faults, check_one_of
from .request_log import MOST_REQUESTS, RequestLog
from .snapshots import Snapshot, take

DEFAULT_ACCOUNT_ID = "123456789012"
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_ADVANCE_DAYS = 3650
SEEDS_AT_ONCE = 1000
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])")


class Controls:
    """What test suites can do to the world, the store and the worker."""

    def __init__(
        self,
        world: World,
        storage: Driver,
        worker: Worker,
        demonstration: bytes,
        faults: Faults,
        requests: RequestLog,
        operations: Collection[str],
    ) -> None:
        """`operations` are the names of all operations that requests can be for."""
        self.operations = operations
        self.faults = faults
        self.requests = requests
        self.snapshots: dict[str, Snapshot] = {}
        self.rewound = 0
        """How often the past was replaced by another one, by a reset or by restoring a snapshot."""
        self._world = world
        self._storage = storage
        self._worker = worker
        self._demonstration = demonstration

    async def health(self) -> Timestamp:
        """The service's time, once the store has been read. Raises ServiceUnavailable if it cannot be read."""
        await self._storage.ask(NOBODY, settling.next_due_at)
        return self._world.now()

    async def advance(self, seconds: float) -> Timestamp:
        """Move the clock forward, and return the time once all that has become due is done."""
        await self._worker.advance(seconds)
        return self._world.now()

    async def reset(self) -> None:
        """Delete all but the access keys, faults too; begin again with the demonstration inventory at the real time."""
        async with self._at(None):
            await self._storage.transact(root_of(DEFAULT_ACCOUNT_ID), _begin_anew, self._demonstration)
        self.faults.put([])

    async def take_snapshot(self, name: str) -> Snapshot:
        """Keep all that `reset` deletes, and the time, under a name. Raises BadRequest if the name is not valid."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise BadRequest(
                "name must be 1 to 64 letters, digits, dots, hyphens and underscores, and begin with no sign."
            )
        async with self._worker.paused():
            snapshot = await self._storage.transact(NOBODY, take, name, tuple(self.faults))
        self.snapshots[name] = snapshot
        return snapshot

    async def restore_snapshot(self, name: str) -> None:
        """Restore everything from a snapshot, the time too. Raises NotFound, which lists the existing snapshots."""
        snapshot = self._snapshot(name)
        async with self._at(snapshot.time) as offset_seconds:
            await self._storage.transact(NOBODY, store.load, snapshot.rows, offset_seconds)
        self.faults.put(snapshot.faults)

    def remove_snapshot(self, name: str) -> None:
        """Forget a snapshot. Raises NotFound, which lists the existing ones."""
        del self.snapshots[self._snapshot(name).name]

    def _snapshot(self, name: str) -> Snapshot:
        if name not in self.snapshots:
            raise NotFound(f"There is no snapshot {name}; there are {', '.join(self.snapshots) or 'none'}.")
        return self.snapshots[name]

    @asynccontextmanager
    async def _at(self, time: Timestamp | None) -> AsyncIterator[float]:
        """Pause the worker and set the clock to `time`, or to the real time; gives the offset from the real time. If
        the block raises an `Error`, the clock is as before."""
        async with self._worker.paused():
            before = self._world.offset_seconds
            offset_seconds = seconds_of(time) - self._world.real_seconds() if time else 0.0
            self._world.reset(offset_seconds)
            try:
                yield offset_seconds
            except Error:
                self._world.reset(before)
                raise
            self.rewound += 1

    async def begin(self) -> None:
        """Put the demonstration inventory into a new store."""
        await self._storage.transact(root_of(DEFAULT_ACCOUNT_ID), _begin, self._demonstration)

    async def seed(self, account_id: str, body: bytes) -> list[str]:
        """Put numbers into an account's inventory: all of them or, if one is not valid, none. Raises BadRequest."""
        try:
            seeds = _decode_seeds(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            why = inventory.explained(str(error))
            raise BadRequest(f"The body must be a list of objects shaped like PhoneNumber: {why}") from error
        return await self._storage.transact(root_of(account_id), _seed, seeds)

    async def history(self, account_id: str, e164: str) -> list[phone_numbers.Change]:
        """All that happened to an account's number, the latest first."""
        return await self._storage.ask(root_of(account_id), phone_numbers.history, e164)


def routes() -> list[Route]:
    """The routes of the controls."""
    return [
        Route("/_numberkeep/clock", _tell_time, methods=["GET"]),
        Route("/_numberkeep/clock", _not_for_pages(_turn_clock), methods=["POST"]),
        Route("/_numberkeep/reset", _not_for_pages(_reset), methods=["POST"]),
        Route("/_numberkeep/numbers", _not_for_pages(_seed_numbers), methods=["POST"]),
        Route("/_numberkeep/history", _tell_history, methods=["GET"]),
        Route("/_numberkeep/faults", _list_faults, methods=["GET"]),
        Route("/_numberkeep/faults", _not_for_pages(_add_fault), methods=["POST"]),
        Route("/_numberkeep/faults", _not_for_pages(_remove_all_faults), methods=["DELETE"]),
        Route("/_numberkeep/faults/{id}", _not_for_pages(_remove_fault), methods=["DELETE"]),
        Route("/_numberkeep/requests", _list_requests, methods=["GET"]),
        Route("/_numberkeep/requests", _not_for_pages(_forget_requests), methods=["DELETE"]),
        Route("/_numberkeep/snapshots", _list_snapshots, methods=["GET"]),
        Route("/_numberkeep/snapshots", _not_for_pages(_take_snapshot), methods=["POST"]),
        Route("/_numberkeep/snapshots", _not_for_pages(_remove_all_snapshots), methods=["DELETE"]),
        Route("/_numberkeep/snapshots/{name}/restore", _not_for_pages(_restore_snapshot), methods=["POST"]),
        Route("/_numberkeep/snapshots/{name}", _not_for_pages(_remove_snapshot), methods=["DELETE"]),
    ]


Handler = Callable[[Request], Awaitable[Response]]


def _not_for_pages(control: Handler) -> Handler:
    """Refuse requests with an Origin header, which browsers send with all but GET: a web page that somebody visits must
    not be able to reset their inventory."""

    async def guarded(request: Request) -> Response:
        if "origin" in request.headers:
            raise BadRequest("The controls are not for web pages: the request has an Origin header.")
        return await control(request)

    return guarded


async def _tell_time(request: Request) -> JSONResponse:
    return JSONResponse({"time": await request.app.state.controls.health()})


async def _turn_clock(request: Request) -> JSONResponse:
    try:
        wanted = msgspec.json.decode(await request.body(), type=_Advance)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f'The body must be like {{"advance": "72h"}}: {error}.') from error
    return JSONResponse({"time": await request.app.state.controls.advance(seconds_in(wanted.advance))})


async def _reset(request: Request) -> Response:
    await request.app.state.controls.reset()
    return Response(status_code=204)


async def _seed_numbers(request: Request) -> JSONResponse:
    account_id = check_account_id(_query(request, "account").get("account", DEFAULT_ACCOUNT_ID))
    seeded = await request.app.state.controls.seed(account_id, await request.body())
    return JSONResponse({"PhoneNumberIds": seeded}, 201)


async def _tell_history(request: Request) -> JSONResponse:
    query = _query(request, "account", "number")
    account_id = check_account_id(query.get("account", DEFAULT_ACCOUNT_ID))
    if "number" not in query:
        raise BadRequest("number is missing: whose history it is, such as ?number=%2B12065550100.")
    changes = await request.app.state.controls.history(account_id, _number(query))
    return JSONResponse({"changes": msgspec.to_builtins(changes)})


async def _list_faults(request: Request) -> JSONResponse:
    return JSONResponse({"faults": [armed.told() for armed in request.app.state.controls.faults]})


async def _add_fault(request: Request) -> JSONResponse:
    try:
        fault = msgspec.json.decode(await request.body(), type=Fault)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        members = ", ".join(Fault.__struct_fields__)
        raise BadRequest(f"The body must be a fault, with some of {members}: {error}.") from error
    return JSONResponse(request.app.state.controls.faults.add(fault).told(), 201)


async def _remove_all_faults(request: Request) -> Response:
    request.app.state.controls.faults.put([])
    return Response(status_code=204)


async def _remove_fault(request: Request) -> Response:
    request.app.state.controls.faults.remove(request.path_params["id"])
    return Response(status_code=204)


async def _list_requests(request: Request) -> JSONResponse:
    query = _query(request, "limit", "account", "operation", "number")
    limit = query.get("limit", str(MOST_REQUESTS))
    if not re.fullmatch(r"[0-9]{1,9}", limit) or not 1 <= int(limit) <= MOST_REQUESTS:
        raise BadRequest(f"limit must be a whole number from 1 to {MOST_REQUESTS}.")
    if account_id := query.get("account"):
        check_account_id(account_id)
    controls, operation = request.app.state.controls, query.get("operation")
    if operation:
        check_one_of("operation", operation, sorted(controls.operations))
    found = controls.requests.find(account_id, operation, _number(query) if "number" in query else None)
    return JSONResponse({"requests": list(islice(found, int(limit)))})


async def _forget_requests(request: Request) -> Response:
    request.app.state.controls.requests.clear()
    return Response(status_code=204)


async def _list_snapshots(request: Request) -> JSONResponse:
    return JSONResponse({"snapshots": [one.told() for one in request.app.state.controls.snapshots.values()]})


async def _take_snapshot(request: Request) -> JSONResponse:
    try:
        wanted = msgspec.json.decode(await request.body(), type=_Name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f'The body must be like {{"name": "seeded"}}: {error}.') from error
    return JSONResponse((await request.app.state.controls.take_snapshot(wanted.name)).told(), 201)


async def _restore_snapshot(request: Request) -> Response:
    await request.app.state.controls.restore_snapshot(request.path_params["name"])
    return Response(status_code=204)


async def _remove_all_snapshots(request: Request) -> Response:
    request.app.state.controls.snapshots.clear()
    return Response(status_code=204)


async def _remove_snapshot(request: Request) -> Response:
    request.app.state.controls.remove_snapshot(request.path_params["name"])
    return Response(status_code=204)


def _query(request: Request, *allowed: str) -> dict[str, str]:
    """The parameters of the query. Raises BadRequest if there are others than the allowed ones."""
    if unknown := set(request.query_params) - set(allowed):
        raise BadRequest(f"The query has {', '.join(sorted(unknown))}; it can have {', '.join(allowed)} alone.")
    return dict(request.query_params)


def _number(query: dict[str, str]) -> str:
    """The number in a query, where a plus sign that was not written as %2B arrives as a space."""
    return normalize_id(query["number"].replace(" ", "+"))


class _Advance(Struct, forbid_unknown_fields=True):
    advance: str


class _Name(Struct, forbid_unknown_fields=True):
    name: str


def seconds_in(duration: str) -> float:
    """The seconds in a duration such as ``72h`` or ``1h30m``. Raises BadRequest."""
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise BadRequest('advance must be a duration such as "72h", "7d" or "1h30m"; units are d, h, m and s.')
    seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    if seconds > LONGEST_ADVANCE_DAYS * 86400:
        raise BadRequest(f"advance can be {LONGEST_ADVANCE_DAYS} days at most.")
    return seconds


_decode_seeds = msgspec.json.Decoder(list[GivenNumber]).decode


def _begin(tx: Tx, demonstration: bytes) -> None:
    store.put(tx, store.BEGUN, tx.now)
    _seed(tx, _decode_seeds(demonstration))


def _begin_anew(tx: Tx, demonstration: bytes) -> None:
    store.clear(tx)
    _seed(tx, _decode_seeds(demonstration))


def _seed(tx: Tx, seeds: list[GivenNumber]) -> list[str]:
    for begin in range(0, len(seeds), SEEDS_AT_ONCE):
        some = seeds[begin : begin + SEEDS_AT_ONCE]
        for seed, outcome in zip(some, inventory.put(tx, some), strict=True):
            if outcome == "same":
                raise BadRequest(f"{seed.e164_phone_number} is in the account's inventory already: delete or reset it.")
            if outcome != "added":
                raise outcome
    return [phone_number_id(normalize_id(seed.e164_phone_number)) for seed in seeds]
