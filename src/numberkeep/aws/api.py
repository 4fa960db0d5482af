"""The whole request path: a request comes in, its answer goes out."""

import logging
from collections.abc import Callable, Hashable
from typing import Any, Protocol

import msgspec

from ..domain.caller import Caller
from ..domain.errors import Error, ServiceFailure
from .errors import Refusal, declared, shape_of
from .message import Request, Response
from .model import Flavour, Operation

log = logging.getLogger(__name__)

LONGEST_KEY = 200
"""The longest path and query by which an answer is recalled: longer ones, such as presigned URLs, do not come again."""

Reply = Callable[[Response], None]
Call = Callable[[Any], bytes]
Done = Callable[[Any], None]


class Store(Protocol):
    """Runs a call in a transaction and hands over its result once that is durable, or the `Error` it raised.

    A read that would give the same result as one before, because nothing was written since, can be recalled.
    """

    def recall(self, key: Hashable) -> bytes | None: ...
    def read(self, caller: Caller, request_id: str, work: Call, done: Done, key: Hashable) -> None: ...
    def write(self, caller: Caller, request_id: str, work: Call, done: Done) -> None: ...


class Api:
    """Answers every request to the AWS port."""

    def __init__(
        self,
        flavours: dict[str, Flavour],
        identify: Callable[[Request], Caller],
        store: Store,
        new_id: Callable[[], str],
    ) -> None:
        self._flavours = flavours
        self._identify = identify
        self._recall = store.recall
        self._read = store.read
        self._write = store.write
        self._new_id = new_id
        self._by_host: dict[str, Flavour] = {}

    def handle(self, request: Request, reply: Reply) -> None:
        """Answer `request` by calling `reply` once, now or when the change is durable."""
        request_id = self._new_id()
        operation = None
        try:
            flavour = self._flavour_of(request.headers.get("host", ""))
            operation, parameters = flavour.route(request)
            caller = self._identify(request)
            answer = _Answer(operation, request_id, reply)
            if not operation.reads:
                self._write(caller, request_id, operation.bind(parameters, request), answer)
                return
            is_short = len(request.path) + len(request.query) <= LONGEST_KEY
            key = (operation, caller.account_id, request.path, request.query) if is_short else None
            known = self._recall(key)
            if known is not None:
                answer(known)
            else:
                self._read(caller, request_id, operation.bind(parameters, request), answer, key)
        except (Error, Refusal) as error:
            reply(_refusal(error, request_id, operation))

    def refuse(self, error: Exception) -> Response:
        """The answer to a request that `error` has stopped; what is no refusal is logged and answered 500."""
        request_id = self._new_id()
        if not isinstance(error, (Error, Refusal)):
            log.error("request %s failed", request_id, exc_info=error)
            error = ServiceFailure("The service encountered an unexpected error.")
        return _refusal(error, request_id)

    def _flavour_of(self, host: str) -> Flavour:
        flavour = self._by_host.get(host)
        if flavour is None:
            flavour = self._flavours[flavour_name(host)]
            if len(self._by_host) > 1000:
                self._by_host.clear()
            self._by_host[host] = flavour
        return flavour


def flavour_name(host: str) -> str:
    """Which flavour the clients of `host` speak."""
    host = host.lower()
    if host.startswith("voice-chime."):
        return "chime-sdk-voice"
    return "chime" if host.startswith(("chime.", "service.chime.")) else "default"


_HEAD = b"x-amzn-RequestId: %b\r\nContent-Type: application/json\r\n"


class _Answer:
    """Waits for a call's result and replies with it."""

    __slots__ = ("_operation", "_reply", "_request_id")

    def __init__(self, operation: Operation, request_id: str, reply: Reply) -> None:
        self._operation = operation
        self._request_id = request_id
        self._reply = reply

    def __call__(self, result: bytes | Error) -> None:
        if isinstance(result, Error):
            self._reply(_refusal(result, self._request_id, self._operation))
        else:
            self._reply(Response(self._operation.status, _HEAD % self._request_id.encode(), result))


def _refusal(error: Error | Refusal, request_id: str, operation: Operation | None = None) -> Response:
    if isinstance(error, Refusal):
        name, status = error.shape, error.status
        body = {"message": str(error)}
    else:
        if operation:
            error = declared(error, operation.errors)
        name, status = shape_of(error)
        body = {"Code": error.code, "Message": str(error)}
    head = f"x-amzn-RequestId: {request_id}\r\nx-amzn-ErrorType: {name}\r\nContent-Type: application/json\r\n"
    return Response(status, head.encode(), msgspec.json.encode(body))
