"""The command `doctor`: finds what is wrong with a set-up, and says what to do about it."""

import asyncio
import errno
import os
import re
import shutil
import socket
import sqlite3
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click
import psycopg

from ..carriers.routing import Subscriber, Webhook, read_routing
from ..config import REGIONS, Location, Settings, contradictions
from ..maintenance import schema_version
from ..opening import StartError, carriers_in, check_carriers_named, lock_file_of, sealer_of
from ..sealing import SealError, is_sealed
from ..storage import store
from ..storage.copying import Side, side_of
from ..storage.driver import StoreError
from ..storage.migrations import latest
from ..storage.postgres_schema import without_password
from ..world import World
from .options import show

LEAST_FREE_BYTES = 1024**3
"""With less free space than this on the store's disk, there is a warning."""
MOST_SECONDS_APART = 5.0
"""How far the clocks of the server and the database may differ; a signature is valid for five minutes."""


FEW_DAYS = 14
"""There is a warning about a certificate that expires within so many days."""

Status = Literal["ok", "warning", "problem"]


class Result(NamedTuple):
    """The result of one check."""

    check: str
    status: Status
    found: str
    advice: str = ""


def doctor(output: str, **settings: Any) -> None:
    """Check a set-up for problems, without changing anything. The exit code is 1 if there is a problem.

    Takes the options of `serve`, and checks what `serve` would use.
    """
    results = [result for check in _CHECKS for result in check(settings)]
    if output == "text":
        for one in results:
            advice = f"\n{'':9}{one.advice}" if one.advice else ""
            click.echo(f"{one.status:8} {one.check}: {one.found}{advice}")
    else:
        show((one._asdict() for one in results), Result._fields, output)
    if any(one.status == "problem" for one in results):
        click.get_current_context().exit(1)


def _versions(settings: dict[str, Any]) -> Iterator[Result]:
    yield Result("python", "ok", sys.version.split()[0])
    wrong = []
    for requirement in metadata.requires("numberkeep") or ():
        match = re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", requirement)
        if match and ";" not in requirement:
            try:
                there = metadata.version(match[1])
            except metadata.PackageNotFoundError:
                there = "0"
            if _parts(there) < _parts(match[2]):
                wrong.append(f"{match[1]} is {there}, {match[2]} is needed")
    advice = "Install numberkeep anew, in a virtual environment of its own."
    version = f"numberkeep {metadata.version('numberkeep')}, and what it needs"
    yield Result("packages", "problem", "; ".join(wrong), advice) if wrong else Result("packages", "ok", version)


def _parts(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _ports(settings: dict[str, Any]) -> Iterator[Result]:
    is_served = _answers(settings["admin_host"], settings["admin_port"])
    for option, host in (("port", settings["host"]), ("admin_port", settings["admin_host"])):
        name, port = option.replace("_", "-"), settings[option]
        try:
            socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE and is_served:
                yield Result(name, "ok", f"{host}:{port} is in use, and Numberkeep answers on the admin port")
            else:
                advice = f"End what uses it, or choose another with --{name}."
                yield Result(name, "problem", f"{host}:{port} cannot be had: {error.strerror or error}", advice)
        else:
            yield Result(name, "ok", f"{host}:{port} is free")


def _answers(host: str, port: int) -> bool:
    """Whether Numberkeep answers at that address."""
    try:
        with socket.create_connection((host, port), 2) as connection:
            connection.sendall(f"GET /_numberkeep/health HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            return b'"status"' in b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError:
        return False


def _options(settings: dict[str, Any]) -> Iterator[Result]:
    wrong = list(contradictions(settings))
    for one in wrong:
        yield Result("options", "problem", one, "`serve` refuses these options.")
    if strange := sorted(set(settings["regions"]) - set(REGIONS)):
        advice = f"Clients sign for a region that they know; Chime has {', '.join(REGIONS)}."
        yield Result("options", "warning", f"AWS has no Chime endpoint in {', '.join(strange)}", advice)
    elif not wrong:
        yield Result("options", "ok", "they go together")


def _files(settings: dict[str, Any]) -> Iterator[Result]:
    database, key_file = settings["database"], settings["secret_key_file"]
    if isinstance(database, Path):
        directory = database.resolve().parent
        if not os.access(directory, os.W_OK | os.X_OK):
            yield Result("directory", "problem", f"{directory} cannot be written", "Give it to the user that serves.")
        else:
            yield Result("directory", "ok", str(directory))
        free = shutil.disk_usage(directory).free
        is_little = free < LEAST_FREE_BYTES
        advice = "When the disk is full, requests are answered 503: make room." if is_little else ""
        yield Result("disk", "warning" if is_little else "ok", f"{free / 1024**3:.1f} GiB are free", advice)
        if database.exists():
            yield _private("store", database, os.R_OK | os.W_OK)
        if lock_file_of(database).exists() and not os.access(lock_file_of(database), os.W_OK):
            found = f"{lock_file_of(database)} cannot be written"
            yield Result("lock", "problem", found, "Give it to the user that serves, or delete it.")
    if isinstance(key_file, Path) and key_file.is_file():
        yield _private("secret key file", key_file, os.R_OK)


def _configuration(settings: dict[str, Any]) -> Iterator[Result]:
    file = click.get_current_context().find_root().params.get("file")
    urls = [url for url in (settings["database"], settings["standby"]) if isinstance(url, str)]
    if file and any(without_password(url) != url for url in urls):
        yield _private("configuration", file, os.R_OK)


def _trail(settings: dict[str, Any]) -> Iterator[Result]:
    for target in settings["trail"]:
        if target in ("stdout", "none"):
            continue
        path = Path(target)
        if os.access(path if path.exists() else path.parent, os.W_OK) and not path.is_dir():
            yield Result("trail", "ok", str(path))
        else:
            advice = "Make its directory, and give it to the user that serves."
            yield Result("trail", "problem", f"{path} cannot be written", advice)


def _private(check: str, path: Path, access: int) -> Result:
    """Check that a file with secrets belongs to this user, who can use it, and is closed to others."""
    status = path.stat()
    if not os.access(path, access):
        return Result(check, "problem", f"{path} cannot be used by this user", "Give it to the user that serves.")
    if status.st_mode & 0o077:
        advice = f"Others can read secrets there: chmod 600 {path}"
        return Result(check, "warning", f"{path} has the mode {status.st_mode & 0o777:o}", advice)
    if status.st_uid != os.geteuid():
        return Result(check, "warning", f"{path} belongs to another user", "Run this as the user that serves.")
    return Result(check, "ok", f"{path} is private")


def _carriers(settings: dict[str, Any]) -> Iterator[Result]:
    path = settings["carriers"]
    if path is None:
        yield Result("carriers", "ok", "the simulated carrier serves all")
        return
    try:
        asyncio.run(_read_carriers(path))
    except StartError as error:
        yield Result("carriers", "problem", str(error), f"Mend {path}, or what it names.")
    else:
        yield Result("carriers", "ok", str(path))
        routing = read_routing(path)
        for name, one in {**routing.carriers, **routing.subscribers}.items():
            if isinstance(one, Webhook | Subscriber):
                yield _private(f"secret of {name}", Path(one.secret_file), os.R_OK)


async def _read_carriers(path: Path) -> None:
    async with AsyncExitStack() as stack:
        await carriers_in(Settings(carriers=path), World(), stack)


def _tls(settings: dict[str, Any]) -> Iterator[Result]:
    cert, key = settings["tls_cert"], settings["tls_key"]
    if not (cert and key):
        if not (cert or key):
            yield Result("certificate", "ok", "none: the API speaks plain HTTP")
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except OSError as error:
        advice = "--tls-cert is the certificate with its chain, --tls-key its key, both in PEM."
        yield Result("certificate", "problem", f"{cert} and {key} cannot be used: {error}", advice)
        return
    from cryptography.x509 import load_pem_x509_certificate  # slow to import

    ends = load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc
    left = (ends.timestamp() - World().real_seconds()) / 86400
    status: Status = "problem" if left < 0 else "warning" if left < FEW_DAYS else "ok"
    advice = "" if status == "ok" else "Have it renewed; SIGHUP has the server read it again."
    yield Result("certificate", status, f"{cert} is valid until {ends:%Y-%m-%d}", advice)


def _database(settings: dict[str, Any]) -> Iterator[Result]:
    database: Location | None = settings["database"]
    if database is None:
        yield Result("database", "problem", "none is named", "Name it with --database or NUMBERKEEP_DATABASE.")
        return
    try:
        version = schema_version(database)
        if version == 0:
            advice = "" if isinstance(database, Path) else "Run `numberkeep migrate up`."
            yield Result("database", "warning" if advice else "ok", "there is no store yet; it will be made", advice)
            yield _secrets([], settings["secret_key_file"])
        elif version > latest():
            advice = f"Install a newer numberkeep: this one knows version {latest()}."
            yield Result("database", "problem", f"the store is of version {version}", advice)
        elif version < latest() and not isinstance(database, Path):
            found = f"the store is of version {version}, this program needs {latest()}"
            yield Result("database", "problem", found, "Run `numberkeep migrate up`.")
        else:
            yield Result("database", "ok", f"the store is of version {version} of {latest()}")
            with closing(side_of(database)) as side:
                yield from _store(side, settings)
    except (StoreError, sqlite3.Error, psycopg.Error) as error:
        advice = "Is the server there, and are address, user and password right?"
        of_file = "Is this the store's file? Name it with --database."
        yield Result("database", "problem", str(error).strip(), of_file if isinstance(database, Path) else advice)


def _store(side: Side, settings: dict[str, Any]) -> Iterator[Result]:
    side.view()
    facts: dict[str, str] = dict(side.execute("SELECT name, value FROM store"))
    if store.COPY_PROGRESS in facts:
        yield Result("copy", "problem", store.UNFINISHED)
    try:
        check_carriers_named(facts, settings["carriers"])
    except StartError as error:
        yield Result("carriers", "problem", str(error), "`serve` refuses this.")
    if float(facts.get(store.CLOCK_OFFSET_SECONDS) or 0):
        advice = "Real numbers need a store of their own; `serve` refuses this one."
        yield Result("clock", "problem", "the store's clock was moved by numberkeep dev", advice)
    if damage := next(side.damage(quick=True), None):
        yield Result("integrity", "problem", damage, "Stop the server, and go back to a copy of the store.")
    elif isinstance(settings["database"], Path):
        yield Result("integrity", "ok", "the database finds no damage; `numberkeep check` looks at every rule")
    yield from _clock(side)
    keys = side.execute("SELECT access_key_id, secret_access_key FROM access_keys")
    yield _secrets(keys, settings["secret_key_file"])


def _clock(side: Side) -> Iterator[Result]:
    now = World().real_seconds()
    ((latest_change,),) = side.execute("SELECT max(change_id) FROM phone_number_history")
    ahead = ((latest_change or 0) >> 20) / 1000 - now
    theirs = side.now()
    if ahead > MOST_SECONDS_APART:
        found = f"the store's last change is {ahead:.0f} seconds ahead of this machine's clock"
        yield Result("clock", "problem", found, "Set the clock: is an NTP client running?")
    elif theirs is not None and abs(theirs - now) > MOST_SECONDS_APART:
        found = f"the database's clock is {theirs - now:+.0f} seconds from this machine's"
        yield Result("clock", "warning", found, "Set both by the same NTP servers.")
    else:
        yield Result("clock", "ok", "it agrees with the store")


def _secrets(keys: Sequence[tuple[Any, ...]], key_file: Path | None) -> Result:
    try:
        sealer = sealer_of(key_file)
    except StartError as error:
        return Result("secret key", "problem", str(error))
    try:
        for access_key_id, secret in keys:
            if is_sealed(secret):
                sealer.unseal(secret, access_key_id)
    except SealError as error:
        return Result("secret key", "problem", str(error), "Name the key that the store's secrets were made with.")
    return Result("secret key", "ok", f"it opens the secrets of {len(keys)} access keys")


_CHECKS: tuple[Callable[[dict[str, Any]], Iterator[Result]], ...] = (
    _versions,
    _ports,
    _options,
    _configuration,
    _files,
    _trail,
    _carriers,
    _tls,
    _database,
)
