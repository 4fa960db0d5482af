"""The file that says which carrier serves which number, by account and by range, and who subscribes to events.

```toml
default = "acme"                     # serves the numbers that no route matches

[carriers.acme]
kind = "webhook"
url = "https://numbers.example.com/numberkeep"
secret_file = "/etc/numberkeep/acme.secret"

[[routes]]                           # the first one that matches counts
account = "123456789012"
numbers = "+1206"
carrier = "desk"

[carriers.desk]
kind = "manual"

[subscribers.crm]                    # is told what happens to numbers
url = "https://crm.example.com/hooks"
secret_file = "/etc/numberkeep/crm.secret"
events = ["phone_number.released"]
```
"""

import asyncio
import heapq
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from ..domain.events import EVENT_TYPES, EventType
from . import Carrier
from .manual import ManualCarrier
from .simulated import SimulatedCarrier

if TYPE_CHECKING:  # slow to import, and not every setup has webhooks
    from .webhook import Endpoint, WebhookCarrier, Webhooks

T = TypeVar("T")
Seconds = Annotated[float, Meta(ge=0, le=86_400 * 365)]
Share = Annotated[float, Meta(ge=0, le=1)]
Url = Annotated[str, Meta(pattern=r"^https?://[^/\s]+")]
Timeout = Annotated[float, Meta(gt=0, le=25)]
Account = Annotated[str, Meta(pattern=r"^[0-9]{12}$")]
Range = Annotated[str, Meta(pattern=r"^\+[0-9]{0,15}$")]
"""The prefix that a range of numbers has in common."""
ANY = "+"
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class Simulated(Struct, frozen=True, tag_field="kind", tag="simulated", forbid_unknown_fields=True):
    """The settings of a `SimulatedCarrier`: its scenario."""

    order_seconds: Seconds = 4
    calling_name_hours: Annotated[float, Meta(ge=0, le=24 * 365)] = 72
    release_seconds: Seconds = 0
    refused: Share = 0
    failing: Share = 0


class Manual(Struct, frozen=True, tag_field="kind", tag="manual", forbid_unknown_fields=True):
    """The settings of a `ManualCarrier`, which has none."""


class Webhook(Struct, frozen=True, tag_field="kind", tag="webhook", forbid_unknown_fields=True):
    """The settings of a `WebhookCarrier`: a system of the operator's own."""

    url: Url
    secret_file: str
    """The file with the secret that signs messages: ``whsec_`` and base64. A relative path starts at the directory of
    the carriers file."""
    timeout_seconds: Timeout = 10
    sells: bool = False
    """Whether the carrier is asked what it has for sale."""


class Route(Struct, frozen=True, forbid_unknown_fields=True):
    """Which numbers of which account a carrier serves."""

    carrier: str
    account: Account | None = None
    numbers: Range = ANY


class Subscriber(Struct, frozen=True, forbid_unknown_fields=True):
    """A system that is told what happens to numbers."""

    url: Url
    secret_file: str
    timeout_seconds: Timeout = 10
    account: Account | None = None
    numbers: Range = ANY
    events: Sequence[EventType] = EVENT_TYPES

    def fits(self, account_id: str, e164: str, event: EventType) -> bool:
        return self.account in (None, account_id) and e164.startswith(self.numbers) and event in self.events


class Routing(Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of the file."""

    default: str
    """The carrier that serves the numbers that no route matches."""
    carriers: Mapping[Name, Simulated | Manual | Webhook]
    routes: Sequence[Route] = ()
    subscribers: Mapping[Name, Subscriber] = {}

    @property
    def has_webhooks(self) -> bool:
        """Whether any messages are sent: to subscribers or to webhook carriers."""
        return bool(self.subscribers) or any(isinstance(told, Webhook) for told in self.carriers.values())

    def name_of(self, account_id: str, e164: str) -> str:
        """The name of the carrier that serves an account's number."""
        return next(name for begin, name in self.ranges(account_id) if e164.startswith(begin))

    def is_manual(self, name: str) -> bool:
        """Whether a person does the work of the carrier of that name."""
        return isinstance(self.carriers[name], Manual)

    def ranges(self, account_id: str) -> Iterator[tuple[str, str]]:
        """Pairs of a prefix and the carrier that serves it for the account; the first prefix that matches counts."""
        for route in self.routes:
            if route.account in (None, account_id):
                yield route.numbers, route.carrier
                if route.numbers == ANY:
                    return
        yield ANY, self.default


_encode = msgspec.json.Encoder(order="sorted").encode


def subscribers_text(subscribers: Mapping[str, Subscriber]) -> str:
    """The subscribers as text, which `subscribers_from` reads."""
    return _encode(subscribers).decode()


def subscribers_from(text: str | None) -> Mapping[str, Subscriber]:
    """Read the subscribers from the text of `subscribers_text`; None means that there are none."""
    return msgspec.json.decode(text or "{}", type=dict[str, Subscriber])


def subscriber_names(text: str | None) -> list[str]:
    """The names in the text of `subscribers_text`, also if another version has written it."""
    return list(msgspec.json.decode(text or "{}", type=dict[str, msgspec.Raw]))


class RoutingError(Exception):
    """The carriers file cannot be used; the text says where and why."""


class Carriers:
    """All carriers and subscribers, and which of them a number concerns."""

    def __init__(
        self,
        routing: Routing,
        carriers: Mapping[str, Carrier],
        webhooks: "Mapping[str, WebhookCarrier] | None" = None,
        endpoints: "Mapping[str, Endpoint] | None" = None,
    ) -> None:
        """`webhooks` are the carriers that are called by webhook; `endpoints` are where subscribers' messages go."""
        self._carriers = carriers
        self._webhooks = webhooks or {}
        self.routing = routing
        self.subscribers_text = subscribers_text(routing.subscribers)
        self.subscribers = subscribers_of(routing.subscribers)
        """Returns the names of the subscribers to an event; None if there are no subscribers at all."""
        self.endpoint_of = (endpoints or {}).get
        """Returns where a subscriber's messages go; None if there is no such subscriber."""

    def of(self, account_id: str, e164: str) -> Carrier:
        """The carrier that serves an account's number."""
        return self._carriers[self.routing.name_of(account_id, e164)]

    def webhook(self, name: str) -> "WebhookCarrier | None":
        """The webhook carrier of that name, which may call back; None if there is none."""
        return self._webhooks.get(name)

    @property
    def are_asked_for_offers(self) -> bool:
        """Whether some carriers have to be asked what they sell before `search` can answer."""
        return any(carrier.sells for carrier in self._webhooks.values())

    def have_offers(self, account_id: str, **filters: str | None) -> bool:
        """Whether `search` can answer with these filters, without a `fetch` first."""
        return all(seller.has_offers(**filters) for seller in self._sellers(account_id))

    async def fetch(self, account_id: str, **filters: str | None) -> None:
        """Ask the carriers that `search` needs the offers of."""
        asked = [seller for seller in self._sellers(account_id) if not seller.has_offers(**filters)]
        await asyncio.gather(*[seller.fetch(**filters) for seller in asked])

    def _sellers(self, account_id: str) -> "list[WebhookCarrier]":
        names = {name for _, name in self.routing.ranges(account_id)}
        return [carrier for name, carrier in self._webhooks.items() if carrier.sells and name in names]

    def search(self, account_id: str, *, after: str | None, **filters: str | None) -> Iterator[str]:
        """The numbers that the account's carriers have for sale, in order; of each, only those it would serve."""

        def offers(begin: str, carrier: Carrier, others: Sequence[str]) -> Iterator[str]:
            position: str | None = max(after or "", _before(begin))
            while position is not None:
                start, position = position, None
                for e164 in carrier.search(after=start, **filters):
                    if not e164.startswith(begin):
                        return
                    other = next((one for one in others if e164.startswith(one)), None)
                    if other is not None:
                        position = other + _PAST_DIGITS  # past all numbers with this prefix, however many digits follow
                        break
                    yield e164

        ranges = list(self.routing.ranges(account_id))
        begins = [begin for begin, _ in ranges]
        return heapq.merge(
            *[offers(begin, self._carriers[name], begins[:index]) for index, (begin, name) in enumerate(ranges)]
        )


_PAST_DIGITS = ":"


def _before(begin: str) -> str:
    """A text that sorts before all numbers with this prefix, and after all smaller numbers."""
    return "" if begin == ANY else f"{begin[:-1]}{chr(ord(begin[-1]) - 1)}{_PAST_DIGITS}"


Told = Callable[[str, str, EventType], Sequence[str]]


def subscribers_of(subscribers: Mapping[str, Subscriber]) -> Told | None:
    """Make a function that gives the subscribers to an event, by account, number and event; None if there are none."""
    if not subscribers:
        return None
    return lambda account_id, e164, event: [
        name for name, one in subscribers.items() if one.fits(account_id, e164, event)
    ]


def simulated_only(order_seconds: float) -> Routing:
    """A routing in which the simulated carrier serves everything."""
    return Routing("simulated", {"simulated": Simulated(order_seconds=order_seconds)})


def read_routing(path: Path) -> Routing:
    """Read a carriers file. Raises RoutingError."""
    try:
        said = tomllib.loads(path.read_text())
        _check_each(path, said, "carriers", Simulated | Manual | Webhook)
        _check_each(path, said, "subscribers", Subscriber)
        routing = msgspec.convert(said, Routing)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RoutingError(f"{path}: {error}") from error
    routing = replace(
        routing,
        carriers={name: _beside(path, told) for name, told in routing.carriers.items()},
        subscribers={name: _beside(path, told) for name, told in routing.subscribers.items()},
    )
    if both := set(routing.carriers) & set(routing.subscribers):
        raise RoutingError(f"{path}: {', '.join(sorted(both))} is the name of a carrier and of a subscriber.")
    named = {"default": routing.default} | {f"routes[{n}]": route.carrier for n, route in enumerate(routing.routes)}
    for place, name in named.items():
        if name not in routing.carriers:
            there = ", ".join(routing.carriers)
            raise RoutingError(f"{path}: {place}: there is no carrier {name!r}; there are {there}.")
    return routing


def _check_each(path: Path, said: Mapping[str, Any], kind: str, type: Any) -> None:
    """Raise RoutingError that names the first carrier, or subscriber, whose settings are not valid."""
    named = said.get(kind)
    for name, told in named.items() if isinstance(named, dict) else ():
        try:
            msgspec.convert(told, type)
        except msgspec.ValidationError as error:
            raise RoutingError(f"{path}: {kind}.{name}: {error}{_choices(str(error))}") from error


def _choices(error: str) -> str:
    """The valid choices, as an addition to an error about a wrong one."""
    if re.search(r"[$.`]kind\b", error):
        return "; there are " + ", ".join(str(one.__struct_config__.tag) for one in (Simulated, Manual, Webhook))
    return f"; there are {', '.join(EVENT_TYPES)}" if "$.events[" in error else ""


def _beside(path: Path, told: T) -> T:
    """Resolve the path of the secret file from the directory of the file at `path`."""
    if isinstance(told, Webhook | Subscriber):
        return replace(told, secret_file=str(path.parent / told.secret_file))
    return told


def carriers_of(routing: Routing, webhooks: "Webhooks | None" = None) -> Carriers:
    """Make the carriers and subscribers of a routing; `webhooks` is needed if it has any. Raises RoutingError."""
    made: dict[str, Carrier] = {}
    those: dict[str, WebhookCarrier] = {}
    endpoints: dict[str, Endpoint] = {}
    for name, told in routing.carriers.items():
        if isinstance(told, Webhook):
            assert webhooks
            made[name] = those[name] = webhooks.carrier(name, _endpoint(webhooks, name, told), sells=told.sells)
        elif isinstance(told, Manual):
            made[name] = ManualCarrier()
        else:
            made[name] = SimulatedCarrier(**msgspec.structs.asdict(told))
    for name, subscriber in routing.subscribers.items():
        assert webhooks
        endpoints[name] = _endpoint(webhooks, name, subscriber)
    return Carriers(routing, made, those, endpoints)


def _endpoint(webhooks: "Webhooks", name: str, told: Webhook | Subscriber) -> "Endpoint":
    try:
        webhooks.check_url(told.url)
    except ValueError as error:
        raise RoutingError(f"The url of {name}, {told.url}, cannot be used: {error}.") from error
    try:
        return webhooks.endpoint(told.url, Path(told.secret_file).read_text().strip(), told.timeout_seconds)
    except (OSError, UnicodeDecodeError, ValueError, RuntimeError) as error:
        raise RoutingError(f"The secret_file of {name}, {told.secret_file}, cannot be used: {error}") from error
