"""Makes the console's changes through the API, like any client: the same checks, policies, trail and faults."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import quote

import msgspec
from msgspec import Struct

from ...aws.api import BEHIND, Reply
from ...aws.call import ApiCall, Observer
from ...aws.errors import Refusal, shape_of
from ...aws.message import Request, Response
from ...aws.model import Operation
from ...aws.sigv4 import Identity
from ...carriers import Done, Refused
from ...domain.errors import Error
from ...settling import settle_now
from ...storage.driver import Driver

USER_AGENT = "numberkeep-console"
SOURCE = "numberkeep"
"""The name, in the trail, of the service that handles what the API has no operation for."""
SETTLE = "SettlePendingChange"


class Answer(Struct, frozen=True):
    """An answer of the API."""

    status: int
    body: dict[str, Any]
    """Named as AWS names them."""

    @property
    def refusal(self) -> str:
        """Why the call was refused; empty if it was done."""
        if 200 <= self.status < 300:
            return ""
        if not self.status:
            return "The connection was closed unanswered, as a fault asks; the change may have been made."
        return str(self.body.get("Message") or self.body.get("message") or f"The answer was {self.status}.")


class Handler(Protocol):
    """An API: see `numberkeep.aws.api.Api`."""

    def handle(self, request: Request, reply: Reply) -> None: ...


ApiOf = Callable[[Callable[[Request], Identity]], Handler]
"""Makes the API, given the function that identifies its callers."""


class Calls:
    """Calls the API without a socket."""

    def __init__(self, api_of: ApiOf, operations: Mapping[str, Operation]) -> None:
        self._api_of = api_of
        self._operations = operations

    def is_of_resource(self, operation: str) -> bool:
        """Whether policies can name an operation's resource: only a request can then tell whether it is allowed."""
        return self._operations[operation].resource is not None

    async def call(self, identity: Identity, source_ip: str, secure: bool, name: str, **members: Any) -> Answer:
        """Call an operation with its `members` (by AWS's names) as `identity`."""
        request = request_of(self._operations[name], members, source_ip, secure)
        return await _ask(self._api_of(lambda _: identity), request)


class Settlements:
    """Settles pending changes with an outcome that a person gives. The API has no operation for that, but it is
    requested, refused and recorded like one."""

    def __init__(
        self,
        storage: Driver,
        observers: Sequence[Observer],
        new_id: Callable[[], str],
        watched: Callable[[Any], Handler],
        is_behind: Callable[[], bool] | None,
    ) -> None:
        """`watched` wraps an API so that requests are logged and traced like others. While the trail `is_behind`,
        nothing is settled."""
        self._storage = storage
        self._observers = observers
        self._new_id = new_id
        self._watched = watched
        self._is_behind = is_behind

    async def settle(
        self, identity: Identity, source_ip: str, secure: bool, e164: str, answer: Done | Refused, id: str, denied: str
    ) -> Answer:
        """Settle the change with that `id`; if `denied` is not empty, refuse it for that reason."""

        def handle(request: Request, reply: Reply) -> None:
            if self._is_behind and self._is_behind():
                reply(Response(503, b"", msgspec.json.encode({"message": BEHIND})))
                return
            parameters = {"Outcome": "Failed" if isinstance(answer, Refused) else "Done"}
            call = ApiCall(request, self._new_id(), SOURCE, SETTLE, parameters=parameters, identity=identity)

            def done(result: Any) -> None:
                refusal = result if isinstance(result, Refusal) else None
                if isinstance(result, Error):
                    name, status = shape_of(result)
                    refusal = Refusal(status, name, str(result))
                told = refusal or {"Kind": result}
                for observe in self._observers:
                    observe(call, told)
                body = {"message": str(refusal)} if refusal else told
                reply(Response(refusal.status if refusal else 200, b"", msgspec.json.encode(body)))

            if denied:
                done(Refusal(403, "AccessDeniedException", denied))
            else:
                work = partial(settle_now, e164=e164, answer=answer, id=id)
                self._storage.write(identity.caller, call.request_id, work, done)

        request = Request("POST", "/pending", "", {"user-agent": USER_AGENT}, b"", source_ip, secure)
        return await _ask(self._watched(SimpleNamespace(handle=handle, refuse=None)), request)


async def _ask(api: Handler, request: Request) -> Answer:
    future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    api.handle(request, lambda response: _settle(future, response))
    response = await future
    return Answer(response.status, msgspec.json.decode(response.body) if response.body else {})


def request_of(operation: Operation, members: Mapping[str, Any], source_ip: str, secure: bool) -> Request:
    """Make the request for an operation with its `members`; those that are None are left out."""
    left = {name: value for name, value in members.items() if value is not None}
    path, _, query = operation.uri.partition("?")
    for place, member in operation.uri_members.items():
        path = path.replace(f"{{{place}}}", quote(str(left.pop(member)), safe=""))
    pairs = [query] if query else []
    for place, member in operation.query_names.items():
        if member in left:
            pairs.append(f"{quote(place)}={quote(str(left.pop(member)), safe='')}")
    body = msgspec.json.encode(left) if left else b""
    return Request(operation.method, path, "&".join(pairs), {"user-agent": USER_AGENT}, body, source_ip, secure)


def _settle(future: asyncio.Future[Response], response: Response) -> None:
    if not future.done():  # the browser may have gone
        future.set_result(response)
