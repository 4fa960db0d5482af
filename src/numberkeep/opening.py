"""What a service and most commands need first: a store and its lock, its secrets, its carriers, a port.

Whatever cannot be opened raises StartError, whose text says what to do.
"""

import asyncio
import fcntl
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TextIO

from .carriers.routing import (
    Carriers,
    RoutingError,
    carriers_of,
    read_routing,
    simulated_only,
    subscriber_names,
)
from .config import SECRET_KEY_FILE_VARIABLE, SECRET_KEY_VARIABLE, Location, Settings, secret_key_text
from .domain.caller import NOBODY
from .metrics import Metrics
from .sealing import KeyFile, Sealer, SealError, is_sealed, parse_keys
from .storage import identities, store
from .storage.driver import Driver
from .storage.migrations import refuse_other_versions
from .storage.sqlite import Sqlite, version_of
from .storage.tx import Pool, Subscribers
from .wire import BACKLOG
from .world import World


class StartError(Exception):
    """A service or a command cannot start; the text says why, and what to do."""


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
    """Open the store in the file or at the URL `database`; None is one in memory, gone once `stack` closes."""
    storage: Driver
    if isinstance(database, str):
        from .storage.postgres import Postgres  # its driver is slow to import

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


def refuse_absent(database: Location) -> None:
    """Raise StartError if `database` is a file that does not exist."""
    if isinstance(database, Path) and not database.exists():
        raise StartError(f"There is no store {database}.")


def check_store(database: Location, *, make: bool = False) -> None:
    """Raise StartError if there is no such file, unless `make` allows to make one; StoreError if its schema is of
    another version. Opening would migrate it, and an older program that serves it could then not start again."""
    if not make:
        refuse_absent(database)
    if isinstance(database, Path) and (version := version_of(database)):
        refuse_other_versions(version)


def lock_file_of(database: Path) -> Path:
    """The file that the server of a SQLite store holds locked."""
    return Path(f"{database.resolve()}.lock")


def lock_store(database: Path) -> TextIO:
    """Keep other servers away from the store while the returned file is open. Commands at the shell may still use it.

    Raises StartError if another process serves the store, or the lock file cannot be opened.
    """
    try:
        lock = open(lock_file_of(database), "w")  # noqa: SIM115 - the caller closes it
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StartError(f"The store {database} is served by another process already.") from error
    except OSError as error:
        raise StartError(f"The store {database} cannot be opened: {error}.") from error
    return lock


def check_carriers_named(facts: Mapping[str, str], carriers: Path | None) -> None:
    """Raise StartError if `facts`, those of a store, say that it was served with a carriers file, and none is given.

    Else the simulated carrier would provide numbers that are not its own, and messages that wait would be given up.
    """
    subscribers = ", ".join(subscriber_names(facts.get(store.SUBSCRIBERS)))
    names = ", ".join(facts.get(store.CARRIERS, "").split())
    if carriers is None and (names or subscribers):
        had = "; ".join(
            f"{what} {which}" for what, which in (("carriers", names), ("subscribers", subscribers)) if which
        )
        raise StartError(
            f"The store was last served with a carriers file ({had}), and none is given: name it with --carriers. To"
            " go on with the simulated carrier alone, name a file that says so."
        )


def sealer_of(secret_key_file: Path | None) -> Sealer:
    """Return what seals the secrets of a store. Raises StartError if there is no key, or it is not valid."""
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
    """Seal the secrets that an earlier version stored as plain text; with `anew`, also those sealed with an old key.

    Returns how many were sealed. Raises StartError if a secret was sealed with none of the keys.
    """
    sealed, were_plain = 0, False
    for key in await storage.ask(NOBODY, identities.all_keys):
        secret, of = key.secret_access_key, key.access_key_id
        is_plain = not is_sealed(secret)
        try:
            plain = secret if is_plain else sealer.unseal(secret, of)
        except SealError as error:
            raise StartError(
                f"The access key {of} cannot be read; use its secret key, or delete it. {error}"
            ) from error
        if is_plain or (anew and not sealer.is_current(secret)):
            await storage.transact(NOBODY, identities.reseal_key, of, sealer.seal(plain, of))
            sealed += 1
        were_plain = were_plain or is_plain
    if were_plain:
        storage.scrub()
    return sealed


def reseal(database: Location, sealer: Sealer) -> int:
    """Seal every secret of the store with the newest key. Returns how many were not sealed with it yet."""

    async def once() -> int:
        async with AsyncExitStack() as stack:
            storage = open_store(database, World(), carriers_of(simulated_only(0)), stack)
            count = await seal_plain_secrets(storage, sealer, anew=True)
            # A key that was created meanwhile may have been sealed with the old one.
            return count + await seal_plain_secrets(storage, sealer, anew=True)

    return asyncio.run(once())


async def carriers_in(
    settings: Settings,
    world: World,
    stack: AsyncExitStack,
    more_headers: Callable[[], Mapping[str, str]] = dict,
) -> Carriers:
    """Make the carriers, and the routing of numbers to them. Raises StartError if their file cannot be used."""
    try:
        path = settings.carriers
        routing = read_routing(path) if path else simulated_only(settings.order_seconds)
        webhooks = None
        if routing.has_webhooks:
            from .carriers.webhook import Webhooks  # slow to import, and most setups have none

            webhooks = Webhooks(world.new_id, world.real_seconds, world.steady_seconds, more_headers)
            stack.push_async_callback(webhooks.close)
        return carriers_of(routing, webhooks)
    except RoutingError as error:
        raise StartError(f"The carriers cannot be used: {error}") from error


def listen(host: str, port: int, option: str, *, shared: bool = False) -> socket.socket:
    """Open a listening socket; if `shared`, other processes of the same user may listen there too. A host name that has
    an IPv4 address stands for that. Raises StartError, which names `option`."""
    try:
        families = {family for family, *_ in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6
        return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
    except OSError as error:
        # The text of socket's own error repeats the address; a resolver's error number is below 0.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror).partition(" (")[0]
        raise StartError(f"Cannot listen on {host}:{port}: {reason} (see {option}).") from error
