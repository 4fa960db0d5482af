"""The last requests: what was asked for, what was answered, and which rule a refused one broke."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from ..aws.api import Reply
from ..aws.call import ApiCall, Result
from ..aws.cloudtrail import HIDDEN
from ..aws.errors import Refusal, declared, shape_of
from ..aws.message import DROPPED, Request, Response
from ..aws.model import Operation, Shapes
from ..carriers import Request as CarrierRequest
from ..domain.errors import Error
from ..domain.moment import Timestamp
from .faults import Armed, numbers_of

MOST_REQUESTS = 1000
MOST_BYTES = 32 * 1024 * 1024
"""The memory for all of them: if they and their answers are long, the oldest are dropped before MOST_REQUESTS."""
OVERHEAD_BYTES = 3000
"""The memory of one request besides its body, its path and its answer."""


DEEPEST = 64
"""How deep JSON may be nested to be shown."""
MOST_LATEST = 300
"""How many requests `LatestRequests` keeps."""
LONGEST_LATEST_BODY = 8192
"""Longer bodies are not kept there."""


class Api(Protocol):
    """An API whose requests can be logged."""

    def handle(self, request: Request, reply: Reply) -> None: ...
    def refuse(self, error: Exception) -> Response: ...


class _Entry(Struct):
    """One request, without its headers, and what is known of it so far."""

    call: ApiCall
    began_at: Timestamp
    began_seconds: float = 0
    faults: list[dict[str, Any]] = []
    response: Response | None = None
    milliseconds: float = 0
    result: Result = b""
    hides: bool = False
    """Whether all values are hidden that the model marks as sensitive, not passwords alone."""

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        request, answer = self.call.request, self.response.body if self.response else b""
        return OVERHEAD_BYTES + len(request.path) + len(request.query) + len(request.body) + len(answer)

    def is_of(self, account_id: str | None, operation: str | None, number: str | None) -> bool:
        """Whether it is of the account, for the operation, and names the number; None matches any."""
        call = self.call
        return (
            (account_id is None or (call.identity is not None and call.identity.caller.account_id == account_id))
            and operation in (None, call.name)
            and (number is None or number in numbers_of(call.parameters, call.request.body))
        )

    def told(self) -> dict[str, Any]:
        """The entry as the admin port shows it."""
        call, request = self.call, self.call.request
        caller = call.identity.caller if call.identity else None
        response = None if self.response is DROPPED else self.response
        error, message = self._error()
        return {
            "time": self.began_at,
            "request_id": call.request_id or None,
            "operation": call.name,
            "account": caller and caller.account_id,
            "access_key_id": caller and caller.access_key_id,
            "method": request.method,
            "path": request.path,
            "source_ip": request.source_ip,
            "parameters": self._parameters(),
            "body": self._seen(request.body, call.operation.input_shape) if call.operation else None,
            "status": response and response.status,
            "error": error,
            "message": message,
            "answer": self._answer(response.body) if response else None,
            "duration_ms": self.milliseconds,
            "faults": self.faults,
        }

    def _error(self) -> tuple[str | None, str | None]:
        """The type of the error and the rule that was broken, if the request was refused."""
        result, operation = self.result, self.call.operation
        if isinstance(result, Refusal):
            return result.shape or None, str(result)
        if isinstance(result, Error):
            result = declared(result, operation.errors) if operation else result
            return shape_of(result).name, str(result)
        return None, None

    def _parameters(self) -> Any:
        operation, parameters = self.call.operation, self.call.parameters
        if operation is None:
            return parameters
        located = {**parameters, **dict(operation.in_query(self.call.request.query))}
        return self._view(operation.shapes, operation.input_shape, located)

    def _answer(self, body: bytes) -> Any:
        if isinstance(self.result, Mapping):  # the visible part of another service's answer, which is not JSON
            return self.result
        if isinstance(self.result, bytes) and self.call.operation:
            return self._seen(body, self.call.operation.output_shape)
        return _decoded(body)

    def _seen(self, text: bytes, shape: str | None) -> Any:
        return self._view(self.call.operation.shapes, shape, _decoded(text)) if self.call.operation else None

    def _view(self, shapes: Shapes, name: str | None, value: Any) -> Any:
        return _redacted(shapes, name, value) if self.hides else _without_passwords(value)


class _CarrierFault(Struct):
    """A fault that fired when a carrier was asked for something. It is no request, but explains what comes of one."""

    began_at: Timestamp
    asked: CarrierRequest
    fault: dict[str, Any]
    size: int = OVERHEAD_BYTES

    def is_of(self, account_id: str | None, operation: str | None, number: str | None) -> bool:
        """Whether the carrier was asked for the account and the number. An entry like this is of no operation."""
        asked = self.asked
        return (
            operation is None and account_id in (None, asked.account_id) and number in (None, asked.e164_phone_number)
        )

    def told(self) -> dict[str, Any]:
        """The entry as the admin port shows it: with the members of a request, most of them empty."""
        asked = self.asked
        return {
            **dict.fromkeys(_MEMBERS),
            "time": self.began_at,
            "account": asked.account_id,
            "parameters": {"change": asked.kind, "number": asked.e164_phone_number, "attempts": asked.attempts},
            "faults": [self.fault],
        }


_MEMBERS = (
    "time",
    "request_id",
    "operation",
    "account",
    "access_key_id",
    "method",
    "path",
    "source_ip",
    "parameters",
    "body",
    "status",
    "error",
    "message",
    "answer",
    "duration_ms",
    "faults",
)


class _Noted(Request, frozen=True, kw_only=True):
    """A request that carries its entry in the log."""

    entry: _Entry


class RequestLog:
    """The complete last requests of `dev`, with their answers."""

    def __init__(self, now: Callable[[], Timestamp], steady_seconds: Callable[[], float]) -> None:
        self._now = now
        self._steady_seconds = steady_seconds
        self._entries: deque[_Entry | _CarrierFault] = deque()
        self._bytes = 0

    def watch(self, api: Api) -> "WatchedApi":
        """Wrap `api` so that all its requests are logged."""
        return WatchedApi(api, self)

    def begin(self, request: Request) -> _Noted:
        """Make the entry of a request that has arrived."""
        call = ApiCall(replace(request, headers={}), "")
        entry = _Entry(call, self._now(), self._steady_seconds(), [])
        return _Noted(*astuple(request), entry=entry)

    def end(self, request: _Noted, response: Response) -> None:
        """Keep the entry, now that the request is answered."""
        entry = request.entry
        entry.response = response
        entry.milliseconds = round((self._steady_seconds() - entry.began_seconds) * 1000, 3)
        self._keep(entry)

    def _keep(self, entry: _Entry | _CarrierFault) -> None:
        self._entries.append(entry)
        self._bytes += entry.size
        while len(self._entries) > MOST_REQUESTS or self._bytes > MOST_BYTES:
            self._bytes -= self._entries.popleft().size

    def struck(self, request: Request, armed: Armed) -> None:
        """Add a fault that fired at a request to its entry."""
        assert isinstance(request, _Noted)
        request.entry.faults.append(armed.told())

    def struck_carrier(self, asked: CarrierRequest, armed: Armed) -> None:
        """Log a fault that fired when a carrier was asked for something."""
        self._keep(_CarrierFault(self._now(), asked, armed.told()))

    def observe(self, call: ApiCall, result: Result) -> None:
        """Add what the API knows about a request to its entry."""
        assert isinstance(call.request, _Noted)
        entry = call.request.entry
        entry.call, entry.result = replace(call, request=entry.call.request), result

    def find(self, account_id: str | None, operation: str | None, number: str | None) -> Iterator[dict[str, Any]]:
        """The entries of an account, an operation and a number (None matches any), the newest first."""
        return (entry.told() for entry in reversed(self._entries) if entry.is_of(account_id, operation, number))

    def clear(self) -> None:
        """Delete all entries."""
        self._entries.clear()
        self._bytes = 0


class WatchedApi:
    """An API whose requests are logged."""

    def __init__(self, api: Api, log: RequestLog) -> None:
        self._api = api
        self._log = log
        self.refuse = api.refuse

    def handle(self, request: Request, reply: Reply) -> None:
        """Like `Api.handle`."""
        noted = self._log.begin(request)

        def end(response: Response) -> None:
            self._log.end(noted, response)
            reply(response)

        self._api.handle(noted, end)


class LatestRequests:
    """The last few requests of `serve`: without headers, answers, durations and long bodies, so that keeping them costs
    next to nothing."""

    def __init__(self, now: Callable[[], Timestamp]) -> None:
        self._now = now
        self._latest: deque[tuple[Timestamp, ApiCall, Result]] = deque(maxlen=MOST_LATEST)

    def observe(self, call: ApiCall, result: Result) -> None:
        """Keep a request and its result."""
        request, operation = call.request, call.operation
        body = request.body if operation and len(request.body) <= LONGEST_LATEST_BODY else b""
        kept = Request(request.method, request.path, request.query, {}, body, request.source_ip)
        refused = result if isinstance(result, (Error, Refusal)) else b""
        self._latest.append((self._now(), replace(call, request=kept), refused))

    def find(self, account_id: str | None, operation: str | None, number: str | None) -> Iterator[dict[str, Any]]:
        """Like `RequestLog.find`."""
        for time, call, result in reversed(self._latest):
            response = Response(_status(call.operation, result), b"", b"")
            entry = _Entry(call, time, response=response, result=result, hides=True)
            if entry.is_of(account_id, operation, number):
                yield entry.told()


def _status(operation: Operation | None, result: Result) -> int:
    if isinstance(result, Refusal):
        return result.status
    if isinstance(result, Error):
        return shape_of(declared(result, operation.errors) if operation else result).status
    return operation.status if operation else 200


def _decoded(text: bytes) -> Any:
    """Decode JSON; None if it is not JSON, or so deep that those who read it could not."""
    try:
        value = msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    level = [value]
    for _ in range(DEEPEST):
        level = [child for one in level for child in _children(one)]
    return None if level else value


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _without_passwords(value: Any) -> Any:
    """Return `value` with passwords hidden."""
    if isinstance(value, dict):
        return {name: HIDDEN if name == "Password" else _without_passwords(item) for name, item in value.items()}
    return [_without_passwords(item) for item in value] if isinstance(value, list) else value


def _redacted(shapes: Shapes, name: str | None, value: Any) -> Any:
    """`value` with members hidden that the model marks as sensitive; members that the model does not have stay."""
    if name is None or value is None:
        return value
    shape = shapes[name]
    if shape.get("sensitive"):
        return HIDDEN
    if isinstance(value, dict) and shape["type"] == "structure":
        members = shape["members"]
        return {
            member: _redacted(shapes, members[member]["shape"], item) if member in members else item
            for member, item in value.items()
        }
    if isinstance(value, dict) and shape["type"] == "map":
        return {key: _redacted(shapes, shape["value"]["shape"], item) for key, item in value.items()}
    if isinstance(value, list) and shape["type"] == "list":
        return [_redacted(shapes, shape["member"]["shape"], item) for item in value]
    return value
