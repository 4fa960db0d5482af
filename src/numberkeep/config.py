"""What can be set, by which environment variable, and what it is when nobody sets it."""

import os
import pwd
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

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
"""The regions that have a Chime endpoint: a credential scoped to another one is refused."""

PREFIX = "NUMBERKEEP_"
"""What the names of environment variables begin with: every option of `serve` is one."""

CONFIG_VARIABLE = "NUMBERKEEP_CONFIG"
"""The environment variable that names the file with settings, if no option does."""

SECRET_KEY_VARIABLE = "NUMBERKEEP_SECRET_KEY"  # noqa: S105 - its name is no secret
"""The environment variable that holds the key which secrets are kept with, if no file does: 64 hex digits."""
SECRET_KEY_FILE_VARIABLE = "NUMBERKEEP_SECRET_KEY_FILE"  # noqa: S105
"""The environment variable that names the file with that key, if no option does."""

CARRIERS_VARIABLE = "NUMBERKEEP_CARRIERS"
"""The environment variable that names the file about carriers, if no option does."""

DATABASE_VARIABLE = "NUMBERKEEP_DATABASE"
"""The environment variable that every command takes the store from if no option names one."""


ACCOUNT_VARIABLE = "NUMBERKEEP_ACCOUNT"
"""The account that commands at the shell are about."""
SEAT_VARIABLE = "NUMBERKEEP_SEAT"
"""The environment variable by which a supervisor tells a worker where it sits; nobody else sets it."""

Location = Path | str
"""Where a store is: the SQLite file, or the URL of a PostgreSQL database."""


class Seat(Struct, frozen=True):
    """What a worker among several gets from its supervisor."""

    api_fd: int
    """The listening socket of the AWS API."""
    admin_fd: int
    lifeline_fd: int
    """Where the worker says that it serves, and sees when the supervisor has gone."""
    lock_fd: int
    """The file to be locked for what the workers do one after the other; it has no name, so nobody removes it."""
    metrics_fd: int
    """The file that the workers keep in what they have counted; it has no name either."""
    arguments: tuple[str, ...]
    """The command line that it serves by: not its own, which everybody on the machine can read, since passwords may
    stand in it."""


class Settings(Struct, frozen=True, kw_only=True):
    """What a running service is told."""

    host: str = "127.0.0.1"
    port: int = 8000
    admin_host: str = "127.0.0.1"
    admin_port: int = 8001
    database: Location | None = None
    """None keeps everything in memory."""
    standby: str | None = None
    """The URL of PostgreSQL servers that may be asked what only reads, though they may lag behind."""
    dev: bool = False
    """Any key is accepted, and the admin port has controls."""
    empty: bool = False
    """In dev: an empty store is left without a demonstration inventory."""
    verify: bool = True
    """Signatures are checked."""
    regions: tuple[str, ...] = REGIONS
    quotas: Mapping[str, int] = {}
    """How many of a thing an account may have, where that is not what `numberkeep.domain.limits.QUOTAS` says; in dev
    there are no quotas."""
    order_seconds: float = 4.0
    """How long the simulated carrier takes to provide a number, if there is no file about carriers."""
    carriers: Path | None = None
    """The file that tells which carriers there are, and which numbers each serves; None has the simulated one serve
    all."""
    secret_key_file: Path | None = None
    """The key that secrets are kept with; None if the environment has it. In dev one is made beside the store."""
    rate: float = 0
    """How often an account may call an operation, in requests a second; 0 is no limit."""
    burst: float = 0
    """How many of them at once; 0 is twice the rate."""
    tls_cert: Path | None = None
    """The certificate and its chain, in PEM. Without it and `tls_key` the API speaks plain HTTP."""
    tls_key: Path | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Whose X-Forwarded-For and X-Forwarded-Proto count."""
    trail: tuple[str, ...] = ()
    """Where the record of every request goes: ``stdout``, or the name of a file."""
    trail_file_bytes: int = 100 * 1024 * 1024
    """How large a file of the trail grows before the next one is begun."""
    trail_files: int = 10
    """How many full ones are kept."""
    stop_delay: float = 0
    """For how many seconds, once it is told to stop, it goes on to serve, while it says that it is not ready."""
    traces: bool = False
    """OpenTelemetry traces are sent, as the variables OTEL_... say."""
    log_format: Literal["text", "json"] = "text"
    """What is said on standard error: lines for people, or JSON for programs."""
    workers: int = 1
    """How many processes serve, on PostgreSQL."""
    seat: Seat | None = None
    """If this is one of them, which."""


def shell_user() -> str:
    """Who is at the shell: the user who has become another with sudo, or the one that this is."""
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container a user may have no name
        return str(os.getuid())


def secret_key_text() -> str | None:
    """What the environment has for a secret key."""
    return os.environ.get(SECRET_KEY_VARIABLE)


def seat() -> Seat | None:
    """The seat that a supervisor has given to this process."""
    text = os.environ.get(SEAT_VARIABLE)
    return msgspec.json.decode(text, type=Seat) if text else None


def environment_of(seat: Seat) -> dict[str, str]:
    """The environment of a worker in that seat."""
    return {**os.environ, SEAT_VARIABLE: msgspec.json.encode(seat).decode()}
