"""The last requests: what was asked, what was answered, and what was wrong with it."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from ..aws.api import Reply
from ..aws.cloudtrail import HIDDEN, Records
from ..aws.errors import Refusal, declared, shape_of
from ..aws.message import DROPPED, Request, Response
from ..aws.model import Operation, Shapes
from ..aws.sigv4 import Identity
from ..carriers import Request as CarrierRequest
from ..domain.errors import Error
from ..domain.moment import Timestamp
from .faults import Armed, numbers_of

MOST_REQUESTS = 1000
MOST_BYTES = 32 * 1024 * 1024
"""Of memory for all of them: before there are so many, the oldest go if they and their answers are long."""
OVERHEAD_BYTES = 3000
"""Which one takes besides its body, its path and its answer."""


MOST_LATEST = 300
"""How many requests `LatestRequests` keeps."""
LONGEST_LATEST_BODY = 8192
"""A longer body is not kept there."""


class Api(Protocol):
    """What can be watched."""

    def handle(self, request: Request, reply: Reply) -> None: ...
    def refuse(self, error: Exception) -> Response: ...


class _Entry(Struct):
    """One request, without its headers, and what is known of it yet."""

    request: Request
    began_at: Timestamp
    began_seconds: float
    faults: list[dict[str, Any]]
    response: Response | None = None
    milliseconds: float = 0
    request_id: str | None = None
    operation: Operation | None = None
    name: str | None = None
    """The operation's, also of one of another service."""
    parameters: Mapping[str, str] = {}
    identity: Identity | None = None
    result: bytes | Error | Refusal | Mapping[str, Any] = b""

    @property
    def size(self) -> int:
        """How many bytes of memory it takes, about."""
        request, answer = self.request, self.response.body if self.response else b""
        return OVERHEAD_BYTES + len(request.path) + len(request.query) + len(request.body) + len(answer)

    def is_of(self, account_id: str | None, operation: str | None, number: str | None) -> bool:
        """Whether it is the account's, for the operation, and names the number; None for any."""
        return (
            (account_id is None or (self.identity is not None and self.identity.caller.account_id == account_id))
            and operation in (None, self.name)
            and (number is None or number in numbers_of(self.parameters, self.request.body))
        )

    def told(self) -> dict[str, Any]:
        """As the admin port tells it."""
        request, caller = self.request, self.identity.caller if self.identity else None
        response = None if self.response is DROPPED else self.response
        error, message = self._error()
        return {
            "time": self.began_at,
            "request_id": self.request_id,
            "operation": self.name,
            "account": caller and caller.account_id,
            "access_key_id": caller and caller.access_key_id,
            "method": request.method,
            "path": request.path,
            "source_ip": request.source_ip,
            "parameters": self._parameters(),
            "body": self._seen(request.body, self.operation.input_shape) if self.operation else None,
            "status": response and response.status,
            "error": error,
            "message": message,
            "answer": self._answer(response.body) if response else None,
            "duration_ms": self.milliseconds,
            "faults": self.faults,
        }

    def _error(self) -> tuple[str | None, str | None]:
        """The type of the error, if the request was refused, and the rule that it broke."""
        result = self.result
        if isinstance(result, Refusal):
            return result.shape or None, str(result)
        if isinstance(result, Error):
            result = declared(result, self.operation.errors) if self.operation else result
            return shape_of(result).name, str(result)
        return None, None

    def _parameters(self) -> Any:
        if self.operation is None:
            return self.parameters
        located = {**self.parameters, **dict(self.operation.in_query(self.request.query))}
        return _redacted(self.operation.shapes, self.operation.input_shape, located)

    def _answer(self, body: bytes) -> Any:
        if isinstance(self.result, Mapping):  # what may be seen of another service's answer, which is no JSON
            return self.result
        if isinstance(self.result, bytes) and self.operation:
            return self._seen(body, self.operation.output_shape)
        return _decoded(body)

    def _seen(self, text: bytes, shape: str | None) -> Any:
        return _redacted(self.operation.shapes, shape, _decoded(text)) if self.operation else None


class _CarrierFault(Struct):
    """A fault that fired when a carrier was asked for something: no request, but a reason for what comes of one."""

    began_at: Timestamp
    asked: CarrierRequest
    fault: dict[str, Any]
    size: int = OVERHEAD_BYTES

    def is_of(self, account_id: str | None, operation: str | None, number: str | None) -> bool:
        """Whether the carrier was asked for the account and the number; no operation asks a carrier."""
        asked = self.asked
        return (
            operation is None and account_id in (None, asked.account_id) and number in (None, asked.e164_phone_number)
        )

    def told(self) -> dict[str, Any]:
        """As the admin port tells it: with the members of a request, most of which it lacks."""
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
    """A request that knows its place in the log."""

    entry: _Entry


class RequestLog:
    """Stands where `serve` has the recorder of its trail."""

    def __init__(self, now: Callable[[], Timestamp], steady_seconds: Callable[[], float]) -> None:
        self._now = now
        self._steady_seconds = steady_seconds
        self._entries: deque[_Entry | _CarrierFault] = deque()
        self._bytes = 0

    def watch(self, api: Api) -> "WatchedApi":
        """`api`, all whose requests are noted."""
        return WatchedApi(api, self)

    def begin(self, request: Request) -> _Noted:
        """Take note of a request that has come."""
        entry = _Entry(replace(request, headers={}), self._now(), self._steady_seconds(), [])
        return _Noted(*astuple(request), entry=entry)

    def end(self, request: _Noted, response: Response) -> None:
        """Keep it, now that it has its answer."""
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
        """A fault has fired at a request."""
        assert isinstance(request, _Noted)
        request.entry.faults.append(armed.told())

    def struck_carrier(self, asked: CarrierRequest, armed: Armed) -> None:
        """A fault has fired at what a carrier was asked for."""
        self._keep(_CarrierFault(self._now(), asked, armed.told()))

    def is_behind(self) -> bool:
        """Never."""
        return False

    def record(
        self,
        request: Request,
        request_id: str,
        operation: Operation | None,
        parameters: Mapping[str, str],
        identity: Identity | None,
        result: bytes | Error | Refusal,
    ) -> None:
        """What the API knows of a request."""
        assert isinstance(request, _Noted)
        entry = request.entry
        entry.request_id, entry.identity, entry.result = request_id, identity, result
        entry.operation, entry.parameters = operation, parameters
        entry.name = operation.name if operation else None

    def record_other(
        self,
        request: Request,
        request_id: str,
        source: str,
        name: str | None,
        parameters: Mapping[str, str],
        identity: Identity | None,
        result: Mapping[str, Any] | Refusal,
    ) -> None:
        """What another service that shares the port knows of a request."""
        assert isinstance(request, _Noted)
        entry = request.entry
        entry.request_id, entry.identity, entry.result = request_id, identity, result
        entry.name, entry.parameters = name, parameters

    def find(self, account_id: str | None, operation: str | None, number: str | None) -> Iterator[dict[str, Any]]:
        """Those of an account, an operation and a number, None for any; the newest first."""
        return (entry.told() for entry in reversed(self._entries) if entry.is_of(account_id, operation, number))

    def clear(self) -> None:
        """Forget them all."""
        self._entries.clear()
        self._bytes = 0


class WatchedApi:
    """An API between which and the server every request is noted."""

    def __init__(self, api: Api, log: RequestLog) -> None:
        self._api = api
        self._log = log
        self.refuse = api.refuse

    def handle(self, request: Request, reply: Reply) -> None:
        """As `Api.handle`."""
        noted = self._log.begin(request)

        def end(response: Response) -> None:
            self._log.end(noted, response)
            reply(response)

        self._api.handle(noted, end)


class LatestRequests:
    """The last few requests of a service that has no `RequestLog`, noted on the way to its trail: without headers,
    answers and durations, so that it costs next to nothing."""

    def __init__(self, now: Callable[[], Timestamp], trail: Records | None) -> None:
        self._now = now
        self._trail = trail
        self._latest: deque[tuple[Any, ...]] = deque(maxlen=MOST_LATEST)

    def is_behind(self) -> bool:
        """As the trail."""
        return self._trail is not None and self._trail.is_behind()

    def record(
        self,
        request: Request,
        request_id: str,
        operation: Operation | None,
        parameters: Mapping[str, str],
        identity: Identity | None,
        result: bytes | Error | Refusal,
    ) -> None:
        """What the API knows of a request."""
        name = operation.name if operation else None
        self._note(request, request_id, operation, name, parameters, identity, result)
        if self._trail is not None:
            self._trail.record(request, request_id, operation, parameters, identity, result)

    def record_other(
        self,
        request: Request,
        request_id: str,
        source: str,
        name: str | None,
        parameters: Mapping[str, str],
        identity: Identity | None,
        result: Mapping[str, Any] | Refusal,
    ) -> None:
        """What another service that shares the port knows of a request."""
        self._note(request, request_id, None, name, parameters, identity, result)
        if self._trail is not None:
            self._trail.record_other(request, request_id, source, name, parameters, identity, result)

    def _note(
        self,
        request: Request,
        request_id: str,
        operation: Operation | None,
        name: str | None,
        parameters: Mapping[str, str],
        identity: Identity | None,
        result: object,
    ) -> None:
        body = request.body if operation and len(request.body) <= LONGEST_LATEST_BODY else b""
        done = result if isinstance(result, (Error, Refusal)) else b""
        known = (request.method, request.path, request.query, body, request.source_ip)
        self._latest.append((self._now(), request_id, operation, name, parameters, identity, done, known))

    def find(self, account_id: str | None, operation: str | None, number: str | None) -> Iterator[dict[str, Any]]:
        """As `RequestLog.find`."""
        entries = (_entry(*one) for one in reversed(self._latest))
        return (entry.told() for entry in entries if entry.is_of(account_id, operation, number))


def _entry(
    time: Timestamp,
    request_id: str,
    operation: Operation | None,
    name: str | None,
    parameters: Mapping[str, str],
    identity: Identity | None,
    result: bytes | Error | Refusal,
    known: tuple[str, str, str, bytes, str],
) -> _Entry:
    method, path, query, body, source_ip = known
    request = Request(method, path, query, {}, body, source_ip)
    response = Response(_status(operation, result), b"", b"")
    return _Entry(request, time, 0, [], response, 0, request_id, operation, name, parameters, identity, result)


def _status(operation: Operation | None, result: bytes | Error | Refusal) -> int:
    if isinstance(result, Refusal):
        return result.status
    if isinstance(result, Error):
        return shape_of(declared(result, operation.errors) if operation else result).status
    return operation.status if operation else 200


def _decoded(text: bytes) -> Any:
    """What JSON says; None if it is none."""
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _redacted(shapes: Shapes, name: str | None, value: Any) -> Any:
    """`value`, in which what the model takes for sensitive is hidden; what the model does not know stays."""
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
