"""Builds a running service from its settings; nothing else constructs one."""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .admin import AdminServer, application, health
from .admin import metrics as metrics_page
from .admin.callbacks import Callbacks
from .admin.console import Console
from .admin.console.calls import SETTLE, Settlements
from .admin.control import DEFAULT_ACCOUNT_ID, Controls
from .admin.faults import Faults, FaultyCarrier
from .admin.health import Health
from .admin.minutes import MINUTE_SECONDS, Minutes
from .admin.request_log import LatestRequests, RequestLog, WatchedApi
from .aws.api import Api
from .aws.call import Observer
from .aws.cloudtrail import Recorder
from .aws.errors import Refusal
from .aws.message import Request
from .aws.model import Flavour, flavours
from .aws.sigv4 import Identity, Verifier, read_unverified
from .aws.sts import ACTIONS as STS_ACTIONS
from .aws.sts import SERVICE as STS
from .aws.sts import Sts
from .aws.throttle import Throttle
from .carriers import Carrier
from .carriers.routing import Carriers, subscriber_names
from .config import Settings
from .domain.caller import NOBODY, Caller, root_of
from .domain.errors import Awaited, ServiceUnavailable
from .domain.identity import AccessKey
from .domain.limits import QUOTAS
from .keyring import Keyring, new_key
from .metrics import KEEP_SECONDS, Counted, Metrics, Shared
from .opening import (
    StartError,
    carriers_in,
    check_carriers_named,
    listen,
    lock_store,
    open_store,
    seal_plain_secrets,
    sealer_of,
)
from .operations import INSTEAD, OF_ONE_NUMBER, OPERATIONS
from .operations.search import filters_of
from .proxies import Proxies
from .sealing import KeyFile, Sealer, SealError, make_key_file
from .storage import identities, store
from .storage.driver import Driver
from .storage.resources import arn_of
from .storage.tx import Tx
from .trail import File, StandardOutput, Trail
from .wire.server import Server
from .wire.tls import tls_context
from .worker import Worker
from .world import World

if TYPE_CHECKING:
    from .tracing import TracedApi, Tracing

    Watched = Api | WatchedApi | TracedApi

log = logging.getLogger(__name__)


class App:
    """One running service: ``async with App(settings) as app``."""

    def __init__(self, settings: Settings, world: World | None = None) -> None:
        self.settings = settings
        self.world = world or World()
        self._stack = AsyncExitStack()
        self._is_replaced = False

    async def __aenter__(self) -> "App":
        async with AsyncExitStack() as stack:
            try:
                await self._start(stack)
            except (ServiceUnavailable, SealError) as error:
                raise StartError(str(error)) from error
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._is_replaced:
            self.stop_soon()
        await self._stack.aclose()

    def stop_soon(self) -> None:
        """Report on the admin port that the service is stopping; requests are still served."""
        self._health.reason = "It is stopping."

    def stop_now(self) -> None:
        """Stop waiting for requests that are still being answered."""
        self._server.cut()
        self._admin.force_exit = True

    def hand_over(self) -> None:
        """Leave the ports to the process that replaces this one. Connections that remain here are told the state of the
        service as a whole, which goes on."""
        self._is_replaced = True
        self._health.working = None
        self._admin.leave()

    async def _start(self, stack: AsyncExitStack) -> None:
        settings, world = self.settings, self.world
        listener, admin_listener = self._listeners(stack)
        requests = RequestLog(world.now, world.steady_seconds)
        observers, is_behind, latest, tracing = self._observers(requests, stack)
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
        operations = {name for flavour in compiled.values() for name in flavour.operations} | {*STS_ACTIONS, SETTLE}
        controls = Controls(world, self.store, worker, demonstration, faults, requests, operations)
        await self._begin(controls, carriers)
        sealer = self._sealer()
        await seal_plain_secrets(self.store, sealer)
        keyring = Keyring(self.store, sealer, world)
        throttle = self._throttle()
        api_of = partial(
            self._api,
            compiled,
            throttle=throttle,
            observers=observers,
            is_behind=is_behind,
            metrics=metrics,
            faults=faults if settings.dev else None,
            before={"SearchAvailablePhoneNumbers": _offers_first(carriers)} if carriers.are_asked_for_offers else {},
        )
        api = api_of(
            self._identify(keyring, settings.regions),
            sts=Sts(self._identify(keyring, None, STS), keyring, throttle, observers, metrics),
        )
        watched = self._watching(requests, tracing)
        self._health = Health(self.store, world, is_behind)
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
            carriers.routing,
            Settlements(self.store, observers, world.new_id, watched, is_behind),
            dev=settings.dev,
        )
        site = application(controls, Callbacks(self.store, carriers), pages, dev=settings.dev, more=more)
        self._admin = AdminServer(site, admin_listener)
        stack.push_async_callback(self._admin.stop)  # last: until it has ended, the service reports that it is stopping
        self._health.working = asyncio.create_task(worker.run())
        stack.push_async_callback(_stop, self._health.working)
        self._server = Server(watched(api), tls=self._tls(), trusted_proxies=settings.trusted_proxies)
        await self._server.start(listener)
        stack.push_async_callback(self._server.stop)
        self.port, self.admin_port = self._server.port, self._admin.port
        self.credentials = ("test", "test")
        """What a first request can be signed with; in dev without --verify, one pair of many."""
        if settings.dev and settings.verify:
            key, secret = await self.store.transact(root_of(DEFAULT_ACCOUNT_ID), _developer, sealer)
            self.credentials = (key.access_key_id, secret)
        await self._admin.start()  # a client that asks earlier whether the service is ready waits until it is

    def _listeners(self, stack: AsyncExitStack) -> tuple[socket.socket, socket.socket]:
        """The sockets of the API and the admin port, opened before the store: none is made that cannot be served."""
        settings, seat = self.settings, self.settings.seat
        if seat:
            both = socket.socket(fileno=seat.api_fd), socket.socket(fileno=seat.admin_fd)
            return stack.enter_context(both[0]), stack.enter_context(both[1])
        return (
            stack.enter_context(listen(settings.host, settings.port, "--port")),
            stack.enter_context(listen(settings.admin_host, settings.admin_port, "--admin-port")),
        )

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
            arn_of=lambda account_id, kind, id: self.store.look(root_of(account_id), arn_of, kind, id),
            of_one_number=OF_ONE_NUMBER,
            **options,
        )

    def _watching(self, requests: RequestLog, tracing: "Tracing | None") -> "Callable[[Api], Watched]":
        """Return a function that has the requests to an API traced and logged, as the settings ask."""

        def watched(api: Api) -> "Watched":
            traced = tracing.watch(api) if tracing else api
            return requests.watch(traced) if self.settings.dev else traced

        return watched

    def _observers(
        self, requests: RequestLog, stack: AsyncExitStack
    ) -> "tuple[list[Observer], Callable[[], bool] | None, RequestLog | LatestRequests, Tracing | None]":
        """Return who is told of every call; whether the trail among them is behind; the requests that the console
        shows; and the tracing, if it is wanted."""
        observers: list[Observer] = []
        is_behind = None
        if outputs := _outputs(self.settings):
            trail = Trail(outputs)
            stack.callback(trail.close)
            observers.append(Recorder(trail.write, self.world.second).record)
            is_behind = trail.is_behind
        latest = requests if self.settings.dev else LatestRequests(self.world.second)
        observers.append(latest.observe)
        tracing = _tracing(stack) if self.settings.traces else None
        if tracing:
            observers.append(tracing.observe)
        return observers, is_behind, latest, tracing

    def _throttle(self) -> Throttle | None:
        rate, burst = self.settings.rate, self.settings.burst
        return Throttle(rate, max(1, burst or 2 * rate), self.world.steady_seconds) if rate else None

    def _shared(self, metrics: Metrics, stack: AsyncExitStack) -> Callable[[], Counted]:
        """Return a function that gives the metrics: of this process or, if it is one of several, of all of them."""
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
        """Like `Carriers.of`, but each carrier also fails as the faults in force ask."""
        return lambda account_id, e164: FaultyCarrier(carriers.of(account_id, e164), faults, self.store)

    async def _note_carriers(self, carriers: Carriers) -> None:
        """Store which carriers and subscribers there are, so that commands at the shell can notify the latter too.
        Raises StartError if there were some, and no file is given."""
        known: dict[str, str] = {}
        for name in (store.SUBSCRIBERS, store.CARRIERS):
            value = await self.store.ask(NOBODY, store.get, name)
            known[name] = value or ""
        if not self.settings.dev:
            check_carriers_named(known, self.settings.carriers)
        for name in subscriber_names(known[store.SUBSCRIBERS]):
            if name not in carriers.routing.subscribers:
                log.warning(
                    "the subscriber %s is no longer in the carriers file, and its messages are given up; when it is"
                    " there again, `numberkeep deliveries retry --receiver %s` sends them",
                    name,
                    name,
                )
        found = {store.SUBSCRIBERS: carriers.subscribers_text if carriers.subscribers else ""}
        if self.settings.carriers:  # what is known stays if dev takes a store of `serve` without its file
            found[store.CARRIERS] = " ".join(sorted(carriers.routing.carriers))
        for name, text in found.items():
            if text != known[name]:
                await self.store.transact(NOBODY, store.put, name, text)

    async def _begin(self, controls: Controls, carriers: Carriers) -> None:
        """Prepare the store. Raises StartError if it cannot be served."""
        if await self.store.ask(NOBODY, store.get, store.COPY_PROGRESS):
            raise StartError(store.UNFINISHED)
        await self._set_clock()
        await self._note_carriers(carriers)
        if self.settings.dev and await self.store.ask(NOBODY, store.is_new):
            await controls.begin()

    async def _set_clock(self) -> None:
        kept = await self.store.ask(NOBODY, store.get, store.CLOCK_OFFSET_SECONDS)
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
        """What seals the secrets in the store; in dev, a key file beside the store, or a random key in memory."""
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
        """Read the certificate again, for new connections. One that cannot be read is logged, and the old one stays."""
        if self._server.tls is None:
            log.info("SIGHUP: there is no certificate to read again; for another carriers file, start the server anew")
            return
        try:
            self._server.tls = self._tls()
        except StartError as error:
            log.error("%s; the one before is served", str(error).rstrip("."))
        else:
            log.info("the certificate was read again")


def _developer(tx: Tx, sealer: Sealer) -> tuple[AccessKey, str]:
    """The access key that `dev --verify` shows: an existing one, or a new one."""
    for key in identities.keys(tx, "developer"):
        return key, sealer.unseal(key.secret_access_key, key.access_key_id)
    return new_key(tx, sealer, "developer")


def _tracing(stack: AsyncExitStack) -> "Tracing":
    try:
        from .tracing import Tracing  # most setups do not need it, and it is slow to import
    except ModuleNotFoundError as error:
        raise StartError(f"--traces takes more: pip install 'numberkeep[otel]' ({error}).") from error
    tracing = Tracing()
    stack.callback(tracing.close)
    return tracing


def _offers_first(carriers: Carriers) -> Callable[[str, Mapping[str, Any]], None]:
    """Return what runs before a search for numbers: has it wait until the carriers were asked what they sell."""

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


async def _every(seconds: float, act: Callable[[], object]) -> None:
    """Call `act` every `seconds` until cancelled; exceptions are logged and do not end the loop."""
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
