"""The settings, their default values, and the environment variables that set them."""

import os
import pwd
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

REGIONS = (
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "us-east-1",
    "us-west-2",
)
"""The regions with a Chime endpoint; a credential scoped to any other region is refused."""

PREFIX = "NUMBERKEEP_"
"""The prefix of environment variables: every option of `serve` can be set by one."""

CONFIG_VARIABLE = "NUMBERKEEP_CONFIG"
"""Names the configuration file, unless an option does."""

SECRET_KEY_VARIABLE = "NUMBERKEEP_SECRET_KEY"  # noqa: S105 - its name is no secret
"""Holds the key that seals the store's secrets, if no key file is given: 64 hex digits."""
SECRET_KEY_FILE_VARIABLE = "NUMBERKEEP_SECRET_KEY_FILE"  # noqa: S105
"""Names the file with that key, unless an option does."""

CARRIERS_VARIABLE = "NUMBERKEEP_CARRIERS"
"""Names the file that describes the carriers, unless an option does."""

DATABASE_VARIABLE = "NUMBERKEEP_DATABASE"
"""Tells commands where the store is, unless an option does."""


ACCOUNT_VARIABLE = "NUMBERKEEP_ACCOUNT"
"""Tells commands at the shell which account they are about, unless an option does."""
SEAT_VARIABLE = "NUMBERKEEP_SEAT"
"""Tells a worker its seat; set by the supervisor, and by nobody else."""

Location = Path | str
"""Where a store is: the path of a SQLite file, or the URL of a PostgreSQL database."""


class Seat(Struct, frozen=True):
    """What a worker process gets from its supervisor."""

    api_fd: int
    """The listening socket of the AWS API."""
    admin_fd: int
    lifeline_fd: int
    """A socket by which the worker tells the supervisor that it serves, and notices when the supervisor dies."""
    lock_fd: int
    """A file that workers lock to take turns; it has no name, so nobody can remove it."""
    metrics_fd: int
    """The file in which the workers share their metrics; it has no name either."""
    arguments: tuple[str, ...]
    """The command line to serve by. It may contain passwords, so it is passed here: the process's own can be read by
    everybody on the machine."""


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of a running service."""

    host: str = "127.0.0.1"
    port: int = 8000
    admin_host: str = "127.0.0.1"
    admin_port: int = 8001
    database: Location | None = None
    """Where the store is; None keeps everything in memory."""
    standby: str | None = None
    """The URL of PostgreSQL standby servers that may be used for reading; they may lag behind."""
    dev: bool = False
    """Accept any key (unless `verify`), and offer controls on the admin port."""
    empty: bool = False
    """In dev: begin a new store without the demonstration inventory."""
    verify: bool = True
    """Check signatures."""
    regions: tuple[str, ...] = REGIONS
    quotas: Mapping[str, int] = {}
    """How many of each thing an account may have, where it differs from `numberkeep.domain.limits.QUOTAS`; in dev there
    are no quotas."""
    order_seconds: float = 4.0
    """How long the simulated carrier takes to provide a number, if no file describes the carriers."""
    carriers: Path | None = None
    """The file that describes the carriers, and which numbers each serves; without it the simulated carrier serves
    all."""
    secret_key_file: Path | None = None
    """The file with the key that seals secrets; None if the environment has it. In dev, made beside the store."""
    rate: float = 0
    """How many requests a second an account may make for each operation; 0 is no limit."""
    burst: float = 0
    """How many of these requests may come at once; 0 is twice the rate."""
    tls_cert: Path | None = None
    """The certificate with its chain, in PEM. Without it and `tls_key`, the API speaks plain HTTP."""
    tls_key: Path | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """The proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    trail: tuple[str, ...] = ()
    """Where the record of every request goes: ``stdout``, or the name of a file."""
    trail_file_bytes: int = 100 * 1024 * 1024
    """How large a trail file may grow before it is rotated."""
    trail_files: int = 10
    """How many full trail files are kept."""
    stop_delay: float = 0
    """How many seconds the service goes on serving after it is told to stop, while it reports that it is not ready."""
    traces: bool = False
    """Send OpenTelemetry traces, as the environment variables OTEL_... configure."""
    log_format: Literal["text", "json"] = "text"
    """The format of standard error: lines for people, or JSON for programs."""
    workers: int = 1
    """How many processes serve; more than one needs PostgreSQL."""
    seat: Seat | None = None
    """The seat of this process, if it is one of several workers."""


def contradictions(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with settings, by name, that do not go together."""
    if (settings["tls_cert"] is None) != (settings["tls_key"] is None):
        yield "--tls-cert and --tls-key go together."
    port, address = settings["port"], (settings["host"], settings["port"])
    if port and address == (settings["admin_host"], settings["admin_port"]):
        yield f"--port and --admin-port are both {port}: each needs one of its own."
    if isinstance(settings["database"], Path):
        if settings["workers"] > 1:
            yield "--workers: a SQLite file has one writer, and so one process; PostgreSQL has many."
        if settings["standby"]:
            yield "--standby: a SQLite file has none; PostgreSQL has."


def shell_user() -> str:
    """The name of the user at the shell; under sudo, of the user who called sudo."""
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container, a user may have no name
        return str(os.getuid())


def secret_key_text() -> str | None:
    """The secret key in the environment; None if there is none."""
    return os.environ.get(SECRET_KEY_VARIABLE)


def seat() -> Seat | None:
    """The seat that the supervisor gave this process; None if it has no supervisor."""
    text = os.environ.get(SEAT_VARIABLE)
    return msgspec.json.decode(text, type=Seat) if text else None


def environment_of(seat: Seat) -> dict[str, str]:
    """The environment for a worker in that seat."""
    return {**os.environ, SEAT_VARIABLE: msgspec.json.encode(seat).decode()}
