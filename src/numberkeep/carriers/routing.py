"""Which carrier serves which number: by account and by range, as a file says.

```toml
default = "acme"                     # serves what no route names

[carriers.acme]
kind = "webhook"
url = "https://numbers.example.com/numberkeep"
secret_file = "/etc/numberkeep/acme.secret"

[[routes]]                           # the first one that fits
account = "123456789012"
numbers = "+1206"
carrier = "desk"

[carriers.desk]
kind = "manual"
```
"""

import heapq
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from . import Carrier
from .manual import ManualCarrier
from .simulated import SimulatedCarrier

Seconds = Annotated[float, Meta(ge=0, le=86_400 * 365)]
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class Simulated(Struct, frozen=True, tag_field="kind", tag="simulated", forbid_unknown_fields=True):
    """A `SimulatedCarrier` and its scenario."""

    order_seconds: Seconds = 4
    calling_name_hours: Annotated[float, Meta(ge=0, le=24 * 365)] = 72
    release_seconds: Seconds = 0
    refused: Share = 0
    failing: Share = 0


class Manual(Struct, frozen=True, tag_field="kind", tag="manual", forbid_unknown_fields=True):
    """A `ManualCarrier`."""


class Route(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose numbers of which range a carrier serves."""

    carrier: str
    account: Annotated[str, Meta(pattern=r"^[0-9]{12}$")] | None = None
    numbers: Annotated[str, Meta(pattern=r"^\+[0-9]{0,15}$")] = "+"
    """How they begin."""

    def fits(self, account_id: str, e164: str) -> bool:
        return self.account in (None, account_id) and e164.startswith(self.numbers)


class Routing(Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says."""

    default: str
    """The carrier that serves what no route names."""
    carriers: Mapping[Name, Simulated | Manual]
    routes: Sequence[Route] = ()


class RoutingError(Exception):
    """The file cannot be used; the text says where and why."""


class Carriers:
    """All carriers, and who of them serves a number."""

    def __init__(self, carriers: Mapping[str, Carrier], default: str, routes: Sequence[Route] = ()) -> None:
        self._carriers = carriers
        self._default = default
        self._routes = routes

    def name_of(self, account_id: str, e164: str) -> str:
        """The name of the carrier that serves an account's number."""
        return next((route.carrier for route in self._routes if route.fits(account_id, e164)), self._default)

    def of(self, account_id: str, e164: str) -> Carrier:
        """That carrier."""
        return self._carriers[self.name_of(account_id, e164)]

    def search(self, *, after: str | None, **filters: str | None) -> Iterator[str]:
        """What any of them has for sale."""
        offers = [carrier.search(after=after, **filters) for carrier in self._carriers.values()]
        last = None
        for e164 in heapq.merge(*offers):
            if e164 != last:
                yield e164
            last = e164


def simulated_only(order_seconds: float) -> Routing:
    """The simulated carrier serves all."""
    return Routing("simulated", {"simulated": Simulated(order_seconds=order_seconds)})


def read_routing(path: Path) -> Routing:
    """What a file says. Raises RoutingError."""
    try:
        routing = msgspec.convert(tomllib.loads(path.read_text()), Routing)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RoutingError(f"{path}: {error}") from error
    for name in (routing.default, *(route.carrier for route in routing.routes)):
        if name not in routing.carriers:
            raise RoutingError(f"{path}: there is no carrier {name!r}; there are {', '.join(routing.carriers)}.")
    return routing


def carriers_of(routing: Routing) -> Carriers:
    """The carriers that a file names."""
    made: dict[str, Carrier] = {}
    for name, told in routing.carriers.items():
        made[name] = ManualCarrier() if isinstance(told, Manual) else SimulatedCarrier(**msgspec.structs.asdict(told))
    return Carriers(made, routing.default, routing.routes)
