"""The only place that constructs: from settings to a running service."""

import asyncio
import fcntl
import logging
import os
import socket
import ssl
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from msgspec.structs import replace
from starlette.applications import Starlette

from .admin import AdminServer, application, health
from .admin import metrics as metrics_page
from .admin.callbacks import Callbacks
from .admin.console import Console
from .admin.control import DEFAULT_ACCOUNT_ID, Controls, caller_of
from .admin.faults import Faults, FaultyCarrier
from .admin.health import Health
from .admin.minutes import MINUTE_SECONDS, Minutes
from .admin.request_log import LatestRequests, RequestLog, WatchedApi
from .aws.api import Api
from .aws.cloudtrail import Recorder, Records
from .aws.errors import Refusal
from .aws.message import Request
from .aws.model import Flavour, flavours
from .aws.sigv4 import Identity, Verifier, read_unverified
from .aws.sts import SERVICE as STS
from .aws.sts import Sts
from .aws.throttle import Throttle
from .carriers import Carrier
from .carriers.routing import (
    Carriers,
    RoutingError,
    carriers_of,
    read_routing,
    simulated_only,
)
from .config import SECRET_KEY_FILE_VARIABLE, SECRET_KEY_VARIABLE, Location, Settings, secret_key_text
from .domain.caller import Caller
from .domain.errors import Awaited, BadRequest, ServiceUnavailable
from .domain.identity import AccessKey, AttachedPolicy
from .domain.limits import QUOTAS
from .keyring import Keyring, new_key_id, new_secret
from .metrics import KEEP_SECONDS, Counted, Metrics, Shared
from .operations import INSTEAD, OF_ONE_NUMBER, OPERATIONS
from .operations.search import filters_of
from .proxies import Proxies
from .sealing import KeyFile, Sealer, SealError, is_sealed, make_key_file, parse_keys
from .storage import identities, store
from .storage.driver import Driver
from .storage.resources import arn_of
from .storage.sqlite import Sqlite
from .storage.tx import Pool, Subscribers, Tx
from .trail import File, StandardOutput, Trail
from .wire.server import BACKLOG, Server
from .wire.tls import tls_context
from .worker import Worker
from .world import World

if TYPE_CHECKING:
    from .tracing import TracedApi, Tracing

log = logging.getLogger(__name__)

T = TypeVar("T")


class StartError(Exception):
    """The service cannot start; the text says why and what to do."""


class App:
    """One running service: ``async with App(settings) as app``."""

    def __init__(self, settings: Settings, world: World | None = None) -> None:
        self.settings = settings
        self.world = world or World()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "App":
        async with AsyncExitStack() as stack:
            try:
                await self._start(stack)
            except ServiceUnavailable as error:
                raise StartError(str(error)) from error
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop_soon()
        await self._stack.aclose()

    def stop_soon(self) -> None:
        """Have it said that nobody should be sent here any more; all who come are served still."""
        self._health.reason = "It is stopping."

    def hand_over(self) -> None:
        """Leave the admin port to the process that has taken this one's place."""
        self._admin.leave()

    async def _start(self, stack: AsyncExitStack) -> None:
        settings, world = self.settings, self.world
        seat = settings.seat
        listener = stack.enter_context(
            socket.socket(fileno=seat.admin_fd)
            if seat
            else listen(settings.admin_host, settings.admin_port, "--admin-port")
        )
        requests = RequestLog(world.now, world.steady_seconds)
        latest, recorder, tracing = self._observers(requests, stack)
        carriers = await carriers_in(settings, world, stack, tracing.headers if tracing else dict)
        metrics = Metrics()
        counted = self._shared(metrics, stack)
        self.store = self._open_store(carriers, metrics, stack)
        compiled = flavours(OPERATIONS, INSTEAD)
        faults = Faults(compiled.values(), world.new_dice(), requests.struck, requests.struck_carrier)
        carrier_of = self._faulty(carriers, faults) if settings.dev else carriers.of
        asking: Any = {"asking": tracing.asking} if tracing else {}
        worker = Worker(self.store, carrier_of, world, carriers.endpoint_of, metrics=metrics, **asking)
        demonstration = _demonstration() if settings.dev and not settings.empty else b"[]"
        controls = Controls(world, self.store, worker, demonstration, faults, requests)
        await self._begin(controls, carriers)
        sealer = self._sealer()
        await seal_plain_secrets(self.store, sealer)
        keyring = Keyring(self.store, sealer, world)
        throttle = self._throttle()
        api_of = partial(
            self._api,
            compiled,
            throttle=throttle,
            recorder=recorder,
            metrics=metrics,
            faults=faults if settings.dev else None,
            before={"SearchAvailablePhoneNumbers": _offers_first(carriers)} if carriers.are_asked_for_offers else {},
        )
        api = api_of(
            self._identify(keyring, settings.regions),
            sts=Sts(self._identify(keyring, None, STS), keyring, throttle, recorder, metrics),
        )
        watched = requests.watch if settings.dev else _unwatched
        self._health = Health(self.store, world, recorder.is_behind)
        surveys = metrics_page.Surveys(self.store, world.steady_seconds)
        more = [*health.routes(self._health), *metrics_page.routes(counted, surveys)]
        pages = Console(
            self.store,
            keyring,
            sealer,
            world,
            controls,
            latest,
            self._minutes(counted, stack),
            lambda identify: watched(api_of(identify)),
            compiled["default"].operations,
            Proxies(settings.trusted_proxies),
            dev=settings.dev,
        )
        # What ends first was started last: that the server stops is told until it has.
        site = application(controls, Callbacks(self.store, carriers), pages, dev=settings.dev, more=more)
        await self._start_admin(site, listener, worker, stack)
        await self._serve(watched(tracing.watch(api) if tracing else api), stack)
        self.port, self.admin_port = self._server.port, self._admin.port
        self.credentials = ("test", "test")
        """What a first request can be signed with; in dev without verification, one of many."""
        if settings.dev and settings.verify:
            key, secret = await self.store.transact(caller_of(DEFAULT_ACCOUNT_ID), _developer, sealer)
            self.credentials = (key.access_key_id, secret)
        self._health.reason = None

    async def _start_admin(
        self, site: Starlette, listener: socket.socket, worker: Worker, stack: AsyncExitStack
    ) -> None:
        self._admin = AdminServer(site, listener)
        await self._admin.start()
        stack.push_async_callback(self._admin.stop)
        self._health.working = asyncio.create_task(worker.run())
        stack.push_async_callback(_stop, self._health.working)

    def _open_store(self, carriers: Carriers, metrics: Metrics, stack: AsyncExitStack) -> Driver:
        settings = self.settings
        if isinstance(settings.database, Path):
            stack.enter_context(lock_store(settings.database))
        quotas = {} if settings.dev else {**QUOTAS, **settings.quotas}
        told, standby = carriers.subscribers, settings.standby
        return open_store(
            settings.database, self.world, carriers, stack, quotas, subscribers=told, metrics=metrics, standby=standby
        )

    def _api(self, compiled: dict[str, Flavour], identify: Callable[[Request], Identity], **options: Any) -> Api:
        return Api(
            compiled,
            identify,
            self.store,
            self.world.new_id,
            real_seconds=self.world.real_seconds,
            arn_of=lambda account_id, kind, id: self.store.look(caller_of(account_id), arn_of, kind, id),
            of_one_number=OF_ONE_NUMBER,
            **options,
        )

    async def _serve(self, api: "Api | WatchedApi | TracedApi", stack: AsyncExitStack) -> None:
        settings, seat = self.settings, self.settings.seat
        self._server = Server(api, tls=self._tls(), trusted_proxies=settings.trusted_proxies)
        try:
            listener = socket.socket(fileno=seat.api_fd) if seat else None
            await self._server.start(settings.host, settings.port, listener)
        except OSError as error:
            raise _cannot_listen(settings.host, settings.port, "--port", error) from error
        stack.push_async_callback(self._server.stop)

    def _observers(
        self, requests: RequestLog, stack: AsyncExitStack
    ) -> "tuple[RequestLog | LatestRequests, Records, Tracing | None]":
        """What the console shows requests from, what each is told to, and what follows them, if that is wanted."""
        trail = self._recorder(stack)
        latest = requests if self.settings.dev else LatestRequests(self.world.second, trail)
        recorder: Records = trail or requests if self.settings.dev else latest
        tracing = _tracing(recorder, stack) if self.settings.traces else None
        return latest, tracing or recorder, tracing

    def _recorder(self, stack: AsyncExitStack) -> Recorder | None:
        """What keeps the trail, if one is wanted."""
        outputs = _outputs(self.settings)
        if not outputs:
            return None
        trail = Trail(outputs)
        stack.callback(trail.close)
        return Recorder(trail, self.world.second)

    def _throttle(self) -> Throttle | None:
        rate, burst = self.settings.rate, self.settings.burst
        return Throttle(rate, max(1, burst or 2 * rate), self.world.steady_seconds) if rate else None

    def _shared(self, metrics: Metrics, stack: AsyncExitStack) -> Callable[[], Counted]:
        """Gives what was counted: by this process or, if it is one of several, by all of them."""
        seat = self.settings.seat
        if seat is None:
            return metrics.counted
        shared = Shared(seat.metrics_fd, metrics)
        stack.callback(shared.keep)
        stack.push_async_callback(_stop, asyncio.create_task(_every(KEEP_SECONDS, shared.keep)))
        return shared.counted

    def _minutes(self, counted: Callable[[], Counted], stack: AsyncExitStack) -> Minutes:
        minutes = Minutes(counted, self.world.real_seconds)
        stack.push_async_callback(_stop, asyncio.create_task(_every(MINUTE_SECONDS, minutes.note)))
        return minutes

    def _faulty(self, carriers: Carriers, faults: Faults) -> Callable[[str, str], Carrier]:
        """As `Carriers.of`: each fails as it is asked to."""
        return lambda account_id, e164: FaultyCarrier(carriers.of(account_id, e164), faults, self.store)

    async def _note_subscribers(self, carriers: Carriers) -> None:
        """Have commands at the shell know who is told of what happens."""
        known = await self.store.ask(caller_of(""), store.get, store.SUBSCRIBERS)
        if carriers.subscribers_text != known and (known or carriers.subscribers):
            await self.store.transact(caller_of(""), store.put, store.SUBSCRIBERS, carriers.subscribers_text)

    async def _begin(self, controls: Controls, carriers: Carriers) -> None:
        """Have the store as it has to be. Raises StartError if it cannot be served."""
        if await self.store.ask(caller_of(""), store.get, store.COPY_PROGRESS):
            raise StartError(store.UNFINISHED)
        await self._set_clock()
        await self._note_subscribers(carriers)
        if await self.store.ask(caller_of(""), store.is_new):
            await controls.begin()

    async def _set_clock(self) -> None:
        kept = await self.store.ask(caller_of(""), store.get, store.CLOCK_OFFSET_SECONDS)
        offset = float(kept or 0)
        if offset and not self.settings.dev:
            raise StartError("The store's clock was moved by numberkeep dev; real numbers need a store of their own.")
        self.world.offset_seconds = offset

    def _identify(
        self, keyring: Keyring, regions: tuple[str, ...] | None, service: str = "chime"
    ) -> Callable[[Request], Identity]:
        if not self.settings.verify:
            return _anybody
        verify = Verifier(keyring, regions=regions, service=service)
        real_seconds, used = self.world.real_seconds, keyring.used

        def identify(request: Request) -> Identity:
            identity = verify(request, real_seconds())
            used(identity.caller)
            return identity

        return identify

    def _sealer(self) -> Sealer:
        """What the secrets in the store are sealed with; in dev, a key beside the store."""
        database = self.settings.database
        if not self.settings.dev:
            return sealer_of(self.settings.secret_key_file)
        if not isinstance(database, Path):
            return Sealer([os.urandom(32)])
        path = database.with_name("secret.key")
        if not path.exists():
            make_key_file(path)
        return KeyFile(path)

    def _tls(self) -> ssl.SSLContext | None:
        cert, key = self.settings.tls_cert, self.settings.tls_key
        if not (cert and key):
            return None
        try:
            return tls_context(cert, key)
        except OSError as error:
            raise StartError(f"The certificate cannot be used: {error}.") from error

    def reload(self) -> None:
        """Read the certificate again, for the connections that come; what cannot be read is logged, and not used."""
        if self._server.tls is None:
            return
        try:
            self._server.tls = self._tls()
        except StartError:
            log.exception("the certificate was not read again")
        else:
            log.info("the certificate was read again")


def sealer_of(secret_key_file: Path | None) -> Sealer:
    """What the secrets of a store are sealed with. Raises StartError if there is no key, or it is none."""
    try:
        if secret_key_file:
            return KeyFile(secret_key_file)
        if text := secret_key_text():
            return Sealer(parse_keys(text, SECRET_KEY_VARIABLE))
    except SealError as error:
        raise StartError(str(error)) from error
    raise StartError(
        "There is no secret key to keep secrets with. Make one with `numberkeep keys init FILE`, and name it with "
        f"--secret-key-file or {SECRET_KEY_FILE_VARIABLE}."
    )


async def seal_plain_secrets(storage: Driver, sealer: Sealer, *, anew: bool = False) -> int:
    """Seal what an earlier version has kept plain or, `anew`, what was sealed with another key than the first.

    How many were sealed. Raises StartError if a secret was sealed with none of the keys.
    """
    sealed, were_plain = 0, False
    for key in await storage.ask(caller_of(""), identities.all_keys):
        secret, of = key.secret_access_key, key.access_key_id
        is_plain = not is_sealed(secret)
        try:
            plain = secret if is_plain else sealer.unseal(secret, of)
        except SealError as error:
            raise StartError(
                f"The access key {of} cannot be read; use its secret key, or delete it. {error}"
            ) from error
        if is_plain or (anew and not sealer.is_current(secret)):
            await storage.transact(caller_of(""), identities.reseal_key, of, sealer.seal(plain, of))
            sealed += 1
        were_plain = were_plain or is_plain
    if were_plain:
        storage.scrub()
    return sealed


def new_key(tx: Tx, sealer: Sealer, user_name: str, policy: AttachedPolicy | None = None) -> tuple[AccessKey, str]:
    """A new access key of the account's user, who is made if there is none of that name; and its secret.

    Raises BadRequest if the store's secrets are sealed with another key than the new one would be.
    """
    for other in identities.all_keys(tx)[:1]:
        try:
            if is_sealed(other.secret_access_key):
                sealer.unseal(other.secret_access_key, other.access_key_id)
        except SealError as error:
            raise BadRequest(str(error)) from error
    access_key_id, secret = new_key_id("AKIA"), new_secret()
    key = AccessKey(
        access_key_id=access_key_id,
        account_id=tx.account_id,
        user_name=user_name,
        secret_access_key=sealer.seal(secret, access_key_id),
        created_at=tx.now,
    )
    is_new = identities.USERS.find(tx, user_name) is None
    identities.insert_key(tx, key)
    if policy and is_new:  # instead of what the first user of an account gets
        user = identities.USERS.get(tx, user_name)
        identities.USERS.replace(tx, replace(user, policies=(policy,)))
    elif policy:
        identities.attach(tx, identities.USERS, user_name, policy)
    return key, secret


def _developer(tx: Tx, sealer: Sealer) -> tuple[AccessKey, str]:
    """The key that `dev --verify` shows: the one there is, or a new one."""
    for key in identities.keys(tx, "developer"):
        return key, sealer.unseal(key.secret_access_key, key.access_key_id)
    return new_key(tx, sealer, "developer")


def _tracing(recorder: Records | None, stack: AsyncExitStack) -> "Tracing":
    try:
        from .tracing import Tracing  # most have no use for it, and it takes its time to import
    except ModuleNotFoundError as error:
        raise StartError(f"--traces takes more: pip install 'numberkeep[otel]' ({error}).") from error
    tracing = Tracing(recorder)
    stack.callback(tracing.close)
    return tracing


async def carriers_in(
    settings: Settings,
    world: World,
    stack: AsyncExitStack,
    more_headers: Callable[[], Mapping[str, str]] = dict,
) -> Carriers:
    """Who serves which numbers. Raises StartError if the file that says so cannot be used."""
    try:
        path = settings.carriers
        routing = read_routing(path) if path else simulated_only(settings.order_seconds)
        webhooks = None
        if routing.has_webhooks:
            from .carriers.webhook import Webhooks  # it takes its time to import, and most have none

            webhooks = Webhooks(world.new_id, world.real_seconds, world.steady_seconds, more_headers)
            stack.push_async_callback(webhooks.close)
        return carriers_of(routing, webhooks)
    except RoutingError as error:
        raise StartError(f"The carriers cannot be used: {error}") from error


def _offers_first(carriers: Carriers) -> Callable[[str, Mapping[str, Any]], None]:
    """Before numbers are searched: has the carriers asked what they sell. That is awaited."""

    def ask(account_id: str, arguments: Mapping[str, Any]) -> None:
        filters = filters_of(arguments)
        if not carriers.have_offers(account_id, **filters):
            asking = asyncio.ensure_future(carriers.fetch(account_id, **filters))
            raise Awaited(lambda resume: asking.add_done_callback(lambda _: resume()))

    return ask


def _outputs(settings: Settings) -> list[File | StandardOutput]:
    seat = settings.seat
    try:
        return [
            StandardOutput(seat.lock_fd if seat else None)
            if target == "stdout"
            else File(Path(target), settings.trail_file_bytes, settings.trail_files)
            for target in settings.trail
        ]
    except OSError as error:
        raise StartError(f"The trail cannot be written: {error}.") from error


def open_store(
    database: Location | None,
    world: World,
    pool: Pool,
    stack: AsyncExitStack | ExitStack,
    quotas: Mapping[str, int] | None = None,
    *,
    subscribers: Subscribers | None = None,
    metrics: Metrics | None = None,
    standby: str | None = None,
) -> Driver:
    """The store in the file `database` or behind that URL, or one in memory that is gone when `stack` is closed."""
    storage: Driver
    if isinstance(database, str):
        from .storage.postgres import Postgres  # its driver takes its time to import

        storage = Postgres(database, world, pool, quotas, subscribers=subscribers, metrics=metrics, standby_url=standby)
    elif database:
        storage = Sqlite(str(database), world, pool, quotas, subscribers=subscribers, metrics=metrics)
    else:
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a private directory is made there
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="numberkeep-", dir=memory))
        path = str(Path(directory, "numberkeep.sqlite3"))
        storage = Sqlite(path, world, pool, quotas, subscribers=subscribers, metrics=metrics, durable=False)
    stack.callback(storage.close)
    return storage


def lock_file_of(database: Path) -> Path:
    """The file that a server of the store holds locked."""
    return Path(f"{database.resolve()}.lock")


def lock_store(database: Path) -> TextIO:
    """Keep other servers away from the store while the file is open; commands at the shell may use it all the same."""
    try:
        lock = open(lock_file_of(database), "w")  # noqa: SIM115 - the caller closes it
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StartError(f"The store {database} is served by another process already.") from error
    except OSError as error:
        raise StartError(f"The store {database} cannot be opened: {error}.") from error
    return lock


async def _every(seconds: float, act: Callable[[], object]) -> None:
    """Call `act` again and again until cancelled; what it raises is logged, and ends nothing."""
    while True:
        await asyncio.sleep(seconds)
        try:
            act()
        except Exception:
            log.exception("what was counted could not be kept")


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _unwatched(api: T) -> T:
    return api


def _anybody(request: Request) -> Identity:
    if "origin" in request.headers:
        raise Refusal(403, "AccessDeniedException", "Requests of web pages are not answered: this one has an Origin.")
    access_key_id, region, _ = read_unverified(request)
    is_account = len(access_key_id) == 12 and access_key_id.isascii() and access_key_id.isdigit()
    account_id = access_key_id if is_account else DEFAULT_ACCOUNT_ID
    caller = Caller(account_id, f"arn:aws:iam::{account_id}:root", access_key_id, principal_id=account_id)
    return Identity(caller, region)


def _demonstration() -> bytes:
    return resources.files(f"{__package__}.admin").joinpath("demonstration.json").read_bytes()


def listen(host: str, port: int, option: str, *, shared: bool = False) -> socket.socket:
    """A socket that listens there; `shared`, others of this user's may too. Raises StartError, which names `option`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
    except OSError as error:
        raise _cannot_listen(host, port, option, error) from error


def _cannot_listen(host: str, port: int, option: str, error: OSError) -> StartError:
    # The text that socket and uvloop give a system's error names the address once more; a resolver's number is below 0.
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
    return StartError(f"Cannot listen on {host}:{port}: {reason} (see {option}).")
