"""Messages to the operator's own systems, signed as Standard Webhooks specifies; and carriers that are such systems.

A carrier answers in JSON: ``{"status": "done"}``, ``{"status": "refused", "reason": "..."}`` or
``{"status": "pending"}``, which an empty answer means too; then it calls back, or is asked again.
"""

import asyncio
import base64
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import httpx
import msgspec
from msgspec import Meta, Struct
from standardwebhooks import Webhook, WebhookVerificationError

from ..domain.errors import BadRequest
from ..domain.moment import Timestamp, later, moment
from . import Answer, Done, Pending, Refused, Request, message_type

log = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request, with any secrets in its URL

SECRET_BYTES = 24
"""The smallest length of the secret that signs messages."""
LONGEST_ANSWER = 1024 * 1024
"""The largest answer that is read, in bytes."""
ASK_AGAIN_SECONDS = 3600
"""When a carrier is asked again about a pending change, unless it says when."""
OFFERS_SECONDS = 30
"""For how long a carrier's offers are used before it is asked again."""
SEARCH_SECONDS = 10
"""How long a carrier may take to say what it sells."""
FAILED_OFFERS_SECONDS = 15
"""For how long a carrier that did not answer counts as having no offers. Longer than a search waits for the other
carriers, or it would have to be asked again before that search could be answered."""
MOST_OFFERS = 1000
KEPT_SEARCHES = 100
KEPT_CONNECTIONS = 20
"""How many connections to a receiver are kept open for the next message."""


class Undelivered(ConnectionError):
    """The receiver did not accept the message, or its answer is not valid; the text says why."""


class Endpoint:
    """The address and the secret of one receiver of messages."""

    def __init__(
        self,
        url: str,
        secret: str,
        client: httpx.AsyncClient,
        real_seconds: Callable[[], float],
        more_headers: Callable[[], Mapping[str, str]],
    ) -> None:
        """`secret` is ``whsec_`` and base64, or several such lines while it is rotated: messages are signed with each,
        and a callback may be signed with any. `more_headers` gives further headers, such as a trace's. Raises
        ValueError if the secret is not valid."""
        self._url = url
        self._webhooks = [_webhook_of(one) for one in secret.split() or [""]]
        self._client = client
        self._real_seconds = real_seconds
        self._more_headers = more_headers

    async def send(self, message_id: str, type: str, timestamp: Timestamp | None, data: object) -> bytes:
        """Deliver a message, return its answer. `timestamp` is when the event was; None is now. Raises Undelivered."""
        sent_at = datetime.fromtimestamp(int(self._real_seconds()), UTC)
        timestamp = timestamp or moment(sent_at.timestamp())
        body = msgspec.json.encode({"type": type, "timestamp": timestamp, "data": data})
        headers = {
            **self._more_headers(),
            "content-type": "application/json",
            "user-agent": "numberkeep",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(sent_at.timestamp())),
            "webhook-signature": " ".join(one.sign(message_id, sent_at, body.decode()) for one in self._webhooks),
        }
        try:
            async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                answer = bytearray()
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > LONGEST_ANSWER:
                        raise Undelivered(f"the answer has more than {LONGEST_ANSWER} bytes")
        except httpx.HTTPError as error:
            raise Undelivered(": ".join(filter(None, (error.__class__.__name__, str(error))))) from error
        if not response.is_success:
            raise Undelivered(f"HTTP {response.status_code} {bytes(answer[:200]).decode(errors='replace')}".strip())
        return bytes(answer)

    def verify(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether a message was signed with the receiver's secret, and recently."""
        return any(_is_signed(webhook, body, headers) for webhook in self._webhooks)


def _webhook_of(secret: str) -> Webhook:
    try:
        size = len(base64.b64decode(secret.removeprefix("whsec_"))) if secret.startswith("whsec_") else 0
    except ValueError:
        size = 0
    if size < SECRET_BYTES:
        raise ValueError(f"it must hold whsec_ and {SECRET_BYTES} random bytes or more in base64")
    return Webhook(secret)


def _is_signed(webhook: Webhook, body: bytes, headers: Mapping[str, str]) -> bool:
    try:
        webhook.verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        return False
    return True


Reason = Annotated[str, Meta(max_length=1000)]


class _Answer(Struct, forbid_unknown_fields=True):
    status: Literal["done", "refused", "pending"] = "pending"
    reason: Reason = "the carrier gives no reason"
    ask_again_seconds: Annotated[float, Meta(ge=1, le=86_400 * 30)] = ASK_AGAIN_SECONDS


class Settled(Struct):
    """What a carrier calls back with: a change, and its outcome."""

    id: str
    account_id: str
    e164_phone_number: str
    status: Literal["done", "refused"]
    reason: Reason = "the carrier gives no reason"

    @property
    def answer(self) -> Done | Refused:
        return Done() if self.status == "done" else Refused(self.reason)


class _Callback(Struct):
    type: Literal["number.settled"]
    data: Settled


class _Offers(Struct, forbid_unknown_fields=True):
    numbers: Annotated[list[Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{1,14}$")]], Meta(max_length=MOST_OFFERS)] = []


Filters = tuple[tuple[str, str | None], ...]


class WebhookCarrier:
    """A carrier that is called by webhook."""

    def __init__(
        self,
        receiver: str,
        endpoint: Endpoint,
        *,
        sells: bool,
        new_id: Callable[[], str],
        steady_seconds: Callable[[], float],
    ) -> None:
        """`sells` means that it is asked what it has for sale. `new_id` makes the ids of these questions;
        `steady_seconds` is a monotonic clock."""
        self.receiver = receiver
        self.sells = sells
        self._endpoint = endpoint
        self._new_id = new_id
        self._steady_seconds = steady_seconds
        self._offers: dict[Filters, tuple[float, list[str]]] = {}
        self._asking: dict[Filters, asyncio.Task[None]] = {}

    def search(self, *, after: str | None, **filters: str | None) -> Iterator[str]:
        """The numbers that it offered when `fetch` last asked."""
        _, offers = self._offers.get(_named(filters), (0, []))
        return (e164 for e164 in offers if after is None or e164 > after)

    def has_offers(self, **filters: str | None) -> bool:
        """Whether its offers for these filters are known and recent, so that `search` can answer."""
        known_until, _ = self._offers.get(_named(filters), (0, []))
        return self._steady_seconds() < known_until

    async def fetch(self, **filters: str | None) -> None:
        """Ask which numbers meeting all filters are for sale. No answer counts as none, and it is soon asked again."""
        name = _named(filters)
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = asyncio.create_task(self._fetch(name))
            asking.add_done_callback(lambda _: self._asking.pop(name))
        await asking

    async def _fetch(self, filters: Filters) -> None:
        data = {name: value for name, value in filters if value is not None}
        try:
            async with asyncio.timeout(SEARCH_SECONDS):
                answer = await self._endpoint.send(self._new_id(), "numbers.search", None, data)
            offers, kept_seconds = sorted(set(_decode(answer, _Offers).numbers)), OFFERS_SECONDS
        except OSError as error:  # a TimeoutError is one too
            log.warning("%s has not said what it sells: %.300r", self.receiver, error)
            offers, kept_seconds = [], FAILED_OFFERS_SECONDS
        if len(self._offers) >= KEPT_SEARCHES:
            del self._offers[next(iter(self._offers))]
        self._offers[filters] = self._steady_seconds() + kept_seconds, offers

    async def order(self, request: Request) -> Answer:
        return await self._ask(request, product_type=request.product_type, order_id=request.order_id)

    async def set_calling_name(self, request: Request) -> Answer:
        return await self._ask(request, calling_name=request.calling_name)

    async def release(self, request: Request) -> Answer:
        return await self._ask(request)

    def verify(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether a callback comes from this carrier: it must be signed with its secret."""
        return self._endpoint.verify(body, headers)

    def settled(self, body: bytes) -> Settled:
        """Decode a callback. Raises BadRequest."""
        try:
            return msgspec.json.decode(body, type=_Callback).data
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(
                f"The body must be the message that was asked with, and what came of it: {error}."
            ) from error

    async def _ask(self, request: Request, **more: str | None) -> Answer:
        data = {
            "id": request.id,
            "account_id": request.account_id,
            "e164_phone_number": request.e164_phone_number,
            "requested_at": request.requested_at,
            **more,
        }
        body = await self._endpoint.send(request.id, message_type(request.kind), request.requested_at, data)
        answer = _decode(body, _Answer)
        if answer.status == "done":
            return Done()
        if answer.status == "refused":
            return Refused(answer.reason)
        return Pending(later(request.now, seconds=answer.ask_again_seconds))


class Webhooks:
    """Makes the endpoints and webhook carriers that a carriers file names."""

    def __init__(
        self,
        new_id: Callable[[], str],
        real_seconds: Callable[[], float],
        steady_seconds: Callable[[], float],
        more_headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._trusted = httpx.create_ssl_context()
        self._clients: list[httpx.AsyncClient] = []
        self._more_headers = more_headers
        self._new_id = new_id
        self._real_seconds = real_seconds
        self._steady_seconds = steady_seconds

    def endpoint(self, url: str, secret: str, timeout_seconds: float) -> Endpoint:
        """Make an endpoint with its own connections, so that a slow receiver delays no other. Raises ValueError if the
        secret is not valid."""
        client = httpx.AsyncClient(
            verify=self._trusted,
            timeout=httpx.Timeout(timeout_seconds, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_CONNECTIONS),
        )
        self._clients.append(client)
        return Endpoint(url, secret, client, self._real_seconds, self._more_headers)

    @staticmethod
    def check_url(url: str) -> None:
        """Raise ValueError if nothing can be sent to this URL."""
        try:
            host = httpx.Request("POST", url).url.host
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from error
        if "%" in host:
            raise ValueError(f"{host!r} is no host")

    def carrier(self, name: str, endpoint: Endpoint, *, sells: bool) -> WebhookCarrier:
        """Make a carrier that is called at an endpoint."""
        return WebhookCarrier(name, endpoint, sells=sells, new_id=self._new_id, steady_seconds=self._steady_seconds)

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()


def _named(filters: Mapping[str, str | None]) -> Filters:
    return tuple(sorted(filters.items()))


def _decode(body: bytes, type: Any) -> Any:
    try:
        return msgspec.json.decode(body or b"{}", type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undelivered(f"the answer is none: {error}") from error
