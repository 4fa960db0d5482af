"""What can be set, by which environment variable, and what it is when nobody sets it."""

from collections.abc import Mapping
from pathlib import Path

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

DATABASE_VARIABLE = "NUMBERKEEP_DATABASE"
"""The environment variable that every command takes the store from if no option names one."""


class Settings(Struct, frozen=True, kw_only=True):
    """What a running service is told."""

    host: str = "127.0.0.1"
    port: int = 8000
    admin_host: str = "127.0.0.1"
    admin_port: int = 8001
    database: Path | None = None
    """The SQLite file; None keeps everything in memory."""
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
    """How long the simulated carrier takes to provide a number."""
