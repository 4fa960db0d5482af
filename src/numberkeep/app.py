"""The only place that constructs: from settings to a running service."""

import asyncio
import fcntl
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from importlib import resources
from pathlib import Path
from typing import TextIO

from .admin import AdminServer, application
from .admin.control import DEFAULT_ACCOUNT_ID, Controls, caller_of
from .aws.api import Api
from .aws.message import Request
from .aws.model import flavours
from .aws.sigv4 import Key, Verifier, read_unverified
from .carriers.simulated import SimulatedCarrier
from .config import Settings
from .domain.caller import Caller
from .domain.limits import QUOTAS
from .operations import INSTEAD, OPERATIONS
from .server import Server
from .storage import access_keys, store
from .storage.access_keys import AccessKey
from .storage.sqlite import Sqlite
from .worker import Worker
from .world import World


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
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:
        settings, world = self.settings, self.world
        listener = stack.enter_context(_listen(settings.admin_host, settings.admin_port))
        carrier = SimulatedCarrier(settings.order_seconds)
        if settings.database:
            stack.enter_context(_lock(settings.database))
        quotas = {} if settings.dev else {**QUOTAS, **settings.quotas}
        self.store = open_store(settings.database, world, carrier, stack, quotas)
        worker = Worker(self.store, carrier, world)
        demonstration = _demonstration() if settings.dev and not settings.empty else b"[]"
        controls = Controls(world, self.store, worker, demonstration)
        self._set_clock()
        if self.store.look(caller_of(""), store.is_new):
            await controls.begin()
        api = Api(flavours(OPERATIONS, INSTEAD), self._identify(), self.store, world.new_id)
        server = Server(api)
        try:
            await server.start(settings.host, settings.port)
        except OSError as error:
            raise _cannot_listen(settings.host, settings.port, "--port", error) from error
        stack.push_async_callback(server.stop)
        admin = AdminServer(application(controls, dev=settings.dev), listener)
        await admin.start()
        stack.push_async_callback(admin.stop)
        stack.push_async_callback(_stop, asyncio.create_task(worker.run()))
        self.port, self.admin_port = server.port, admin.port
        self.credentials = ("test", "test")
        """What a first request can be signed with; in dev without verification, one of many."""
        if settings.dev and settings.verify:
            key = await self.store.transact(caller_of(DEFAULT_ACCOUNT_ID), access_keys.ensure, "developer")
            self.credentials = (key.access_key_id, key.secret_access_key)

    def _set_clock(self) -> None:
        offset = float(self.store.look(caller_of(""), store.get, store.CLOCK_OFFSET_SECONDS) or 0)
        if offset and not self.settings.dev:
            raise StartError("The store's clock was moved by numberkeep dev; real numbers need a store of their own.")
        self.world.offset_seconds = offset

    def _identify(self) -> Callable[[Request], Caller]:
        if not self.settings.verify:
            return _any_caller
        verify = Verifier(Keyring(self.store, self.world), regions=self.settings.regions)
        return lambda request: verify(request, self.world.real_seconds())


class Keyring:
    """The access keys, looked up once in a while."""

    KEPT_SECONDS = 1.0
    """How long a key that is deleted may still be accepted."""
    KEPT_KEYS = 10_000

    def __init__(self, storage: Sqlite, world: World) -> None:
        self._storage = storage
        self._world = world
        self._keys: dict[str, tuple[float, Key]] = {}

    def __call__(self, access_key_id: str) -> Key | None:
        """The key of that id, or None."""
        now = self._world.real_seconds()
        kept_until, key = self._keys.get(access_key_id, (0.0, None))
        if now < kept_until:
            return key
        found = self._storage.look(caller_of(""), access_keys.find, access_key_id)
        self._keys.pop(access_key_id, None)
        if found is None:
            return None
        if len(self._keys) >= self.KEPT_KEYS:
            self._keys.clear()
        key = Key(Caller(found.account_id, found.arn, access_key_id), found.secret_access_key)
        self._keys[access_key_id] = (now + self.KEPT_SECONDS, key)
        return key


def open_store(
    database: Path | None,
    world: World,
    carrier: SimulatedCarrier,
    stack: AsyncExitStack,
    quotas: Mapping[str, int] | None = None,
) -> Sqlite:
    """The store in the file `database`, or one in memory that is gone when `stack` is closed."""
    if database is None:
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a private directory is made there
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="numberkeep-", dir=memory))
        database = Path(directory, "numberkeep.sqlite3")
        storage = Sqlite(str(database), world, carrier, quotas, durable=False)
    else:
        storage = Sqlite(str(database), world, carrier, quotas)
    stack.callback(storage.close)
    return storage


def _lock(database: Path) -> TextIO:
    """Keep other servers away from the store while the file is open; commands at the shell may use it all the same."""
    try:
        lock = open(f"{database.resolve()}.lock", "w")  # noqa: SIM115 - the caller closes it
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StartError(f"The store {database} is served by another process already.") from error
    except OSError as error:
        raise StartError(f"The store {database} cannot be opened: {error}.") from error
    return lock


async def create_key(database: Path, account_id: str, user_name: str) -> AccessKey:
    """A new access key in the store `database`."""
    async with AsyncExitStack() as stack:
        storage = open_store(database, World(), SimulatedCarrier(0), stack)
        return await storage.transact(caller_of(account_id), access_keys.create, user_name)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _any_caller(request: Request) -> Caller:
    access_key_id = read_unverified(request)
    is_account = len(access_key_id) == 12 and access_key_id.isascii() and access_key_id.isdigit()
    account_id = access_key_id if is_account else DEFAULT_ACCOUNT_ID
    return Caller(account_id, f"arn:aws:iam::{account_id}:root", access_key_id)


def _demonstration() -> bytes:
    return resources.files(f"{__package__}.admin").joinpath("demonstration.json").read_bytes()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise _cannot_listen(host, port, "--admin-port", error) from error


def _cannot_listen(host: str, port: int, option: str, error: OSError) -> StartError:
    return StartError(f"Cannot listen on {host}:{port}: {error.strerror or error} (see {option}).")
