"""The whole path from a request to its response."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import msgspec

from ..domain.caller import Caller
from ..domain.errors import Awaited, Error, ServiceFailure, ServiceUnavailable
from ..metrics import NO_OPERATION, Metrics
from .call import ApiCall, Observer, Result
from .errors import Dropped, Refusal, declared, denied, shape_of
from .message import DROPPED, Request, Response
from .model import Flavour, Operation
from .policy import Context, Policy
from .sigv4 import Identity
from .sts import PATHS as STS_PATHS
from .sts import Sts
from .throttle import Throttle

log = logging.getLogger(__name__)

BEHIND = "The trail cannot be kept at the moment."
"""Why requests are refused: they would go unrecorded."""
ATTEMPTS = 10
"""How often a request is retried because something has to be read first, such as the owner of its key."""

MOST_ALLOWED = 100_000
"""How many authorizations that hold for every request are cached."""

Reply = Callable[[Response], None]
Call = Callable[[Any], bytes]
OnResult = Callable[[Any], None]


class Store(Protocol):
    """Runs a call in a transaction and passes `done` its result once that is durable, or the `Error` it raised."""

    def read(self, caller: Caller, request_id: str, work: Call, done: OnResult, e164: str | None) -> None: ...
    def write(self, caller: Caller, request_id: str, work: Call, done: OnResult, e164: str | None) -> None: ...


class Strike(NamedTuple):
    """A fault injected into a request."""

    instead: Refusal | None
    """The error to answer with, without running the operation."""
    afterwards: Refusal | None
    """The error to answer with after running the operation."""
    delay_seconds: float
    """How long the answer, whatever it is, is delayed."""

    def on(self, answer: OnResult) -> OnResult:
        """Return `answer` with the fault applied."""

        def struck(result: Any) -> None:
            asyncio.get_running_loop().call_later(self.delay_seconds, answer, self.afterwards or result)

        return struck


class Faults(Protocol):
    """Decides which faults are injected."""

    def strike(
        self, request: Request, operation: Operation, account_id: str, parameters: dict[str, str]
    ) -> Strike | None: ...


class Api:
    """Answers every request to the AWS port."""

    def __init__(
        self,
        flavours: dict[str, Flavour],
        identify: Callable[[Request], Identity],
        store: Store,
        new_id: Callable[[], str],
        *,
        sts: Sts | None = None,
        throttle: Throttle | None = None,
        observers: Sequence[Observer] = (),
        is_behind: Callable[[], bool] | None = None,
        metrics: Metrics | None = None,
        faults: Faults | None = None,
        real_seconds: Callable[[], float],
        arn_of: Callable[[str, str, str], str | None] = lambda account_id, kind, id: None,
        of_one_number: frozenset[str] = frozenset(),
        before: Mapping[str, Callable[[str, Mapping[str, Any]], None]] | None = None,
    ) -> None:
        """Refuse all requests while the trail `is_behind`.

        `real_seconds` returns the time that policies see, in epoch seconds; `arn_of` the ARN of an account's resource
        by kind and id, or None. `of_one_number` are the operations that touch only the number in their path. `before`
        has, by operation, functions to call before it runs with the account and its arguments; they may raise Awaited.
        """
        self._flavours = flavours
        self._identify = identify
        self._read = store.read
        self._write = store.write
        self._new_id = new_id
        self._sts = sts
        self._throttle = throttle
        self._observers = observers
        self._is_behind = is_behind
        self._metrics = metrics or Metrics()
        self._faults = faults
        self._real_seconds = real_seconds
        self._arn_of = arn_of
        self._of_one_number = of_one_number
        self._before = before or {}
        self._by_host: dict[str, Flavour] = {}
        self._allowed: set[tuple[Policy, Operation]] = set()

    def handle(self, request: Request, reply: Reply, attempts: int = ATTEMPTS, began: float | None = None) -> None:
        """Answer `request` by calling `reply` once, now or later: when its change is durable."""
        began = began or perf_counter()
        done: OnResult
        call = ApiCall(request, self._new_id())
        done = answer = _Answer(call, reply, self._observers, self._metrics, began)
        if self._is_behind is not None and self._is_behind():
            reply(self._refuse(ServiceUnavailable(BEHIND), call.request_id))
            return
        try:
            if self._sts and request.path in STS_PATHS:
                reply(self._sts.handle(request, call.request_id, partial(self._context, request), began))
                return
            operation, parameters = self._flavour_of(request.headers.get("host", "")).route(request)
            call.operation, call.parameters = operation, parameters
            call.identity = identity = self._identify(request)
            caller = identity.caller
            policy = identity.policy
            if policy is not None and (policy, operation) not in self._allowed:
                self._authorize(identity, policy, operation, parameters, request)
            if self._throttle is not None:
                self._throttle.take(caller.account_id, operation.name)
            if operation.name in self._before:
                self._prepare(caller, operation, parameters, request)
            if self._faults is not None and (
                strike := self._faults.strike(request, operation, caller.account_id, parameters)
            ):
                done = strike.on(answer)
                if strike.instead:
                    raise strike.instead
            e164 = parameters["PhoneNumberId"] if operation.name in self._of_one_number else None
            run = self._read if operation.reads else self._write
            run(caller, call.request_id, operation.bind(parameters, request), done, e164)
        except Awaited as awaited:
            if attempts:
                awaited.resume_with(partial(self._handle_again, request, reply, attempts - 1, began))
            else:
                answer(ServiceUnavailable("The store is too slow at the moment."))
        except (Error, Refusal) as error:
            done(error)

    def _prepare(self, caller: Caller, operation: Operation, parameters: dict[str, str], request: Request) -> None:
        """Call what has to be called before the operation runs. Raises Awaited if that has to be waited for."""
        try:
            self._before[operation.name](caller.account_id, operation.bind(parameters, request).arguments)
        except Awaited:
            if self._throttle is not None:
                self._throttle.give_back(caller.account_id, operation.name)  # because the request will be retried
            raise

    def _handle_again(self, request: Request, reply: Reply, attempts: int, began: float) -> None:
        try:
            self.handle(request, reply, attempts, began)
        except Exception as error:  # which nobody else would handle
            reply(self.refuse(error))

    def refuse(self, error: Exception) -> Response:
        """Return the response to a request stopped by `error`; an unexpected error is logged and answered 500."""
        request_id = self._new_id()
        if not isinstance(error, (Error, Refusal)):
            log.error("request %s failed", request_id, exc_info=error, extra={"request_id": request_id})
            error = ServiceFailure("The service encountered an unexpected error.")
        return self._refuse(error, request_id)

    def _refuse(self, error: Error | Refusal, request_id: str) -> Response:
        self._metrics.refused(NO_OPERATION, *_shape_of(error))
        return _refusal(error, request_id)

    def _authorize(
        self, identity: Identity, policy: Policy, operation: Operation, parameters: dict[str, str], request: Request
    ) -> None:
        """Raise Refusal unless the caller's policies allow the operation."""
        resource = self._resource(identity, operation, parameters, request)
        decision = policy.decide(operation.action, resource, self._context(request, identity))
        if decision == "Allow":
            if policy.unconditional and operation.resource is None:
                if len(self._allowed) >= MOST_ALLOWED:
                    self._allowed.clear()
                self._allowed.add((policy, operation))
            return
        why = (
            "with an explicit deny in an identity-based policy"
            if decision == "ExplicitDeny"
            else f"because no identity-based policy allows the {operation.action} action"
        )
        raise denied(
            operation.flavour,
            f"User: {identity.caller.arn} is not authorized to perform: {operation.action} on resource: "
            f"{resource} {why}",
        )

    def _resource(self, identity: Identity, operation: Operation, parameters: dict[str, str], request: Request) -> str:
        """Return the ARN of the operation's resource, ``*`` if it has none."""
        if operation.resource is None:
            return "*"
        kind, member = operation.resource
        if not kind:
            return operation.named_arn(request) or "*"
        account_id, id = identity.caller.account_id, parameters.get(member, "")
        # The stored ARN, not one of the caller's making: the region that was signed for must not evade a Deny.
        return self._arn_of(account_id, kind, id) or f"arn:aws:chime:{identity.region}:{account_id}:{kind}/{id}"

    def _context(self, request: Request, identity: Identity) -> Context:
        return Context(
            request.source_ip, self._real_seconds(), request.secure, identity.region, identity.caller.user_name
        )

    def _flavour_of(self, host: str) -> Flavour:
        flavour = self._by_host.get(host)
        if flavour is None:
            flavour = self._flavours[flavour_name(host)]
            if len(self._by_host) > 1000:
                self._by_host.clear()
            self._by_host[host] = flavour
        return flavour


def flavour_name(host: str) -> str:
    """Return the flavour that the clients of `host` speak."""
    host = host.lower()
    if host.startswith(("voice-chime.", "voice-chime-fips.")):
        return "chime-sdk-voice"
    return "chime" if host.startswith(("chime.", "chime-fips.", "service.chime.")) else "default"


_HEAD = b"x-amzn-RequestId: %b\r\nContent-Type: application/json\r\n"


class _Answer:
    """The callback for a request's result, which replies with it."""

    __slots__ = ("_began", "_call", "_metrics", "_observers", "_reply")

    def __init__(
        self, call: ApiCall, reply: Reply, observers: Sequence[Observer], metrics: Metrics, began: float
    ) -> None:
        self._call = call
        self._reply = reply
        self._observers = observers
        self._metrics = metrics
        self._began = began

    def __call__(self, result: Result) -> None:
        call = self._call
        operation = call.operation
        if operation is not None and isinstance(result, bytes):
            self._reply(Response(operation.status, _HEAD % call.request_id.encode(), result))
            self._metrics.answered(operation.name, operation.status, self._began)
        else:
            assert isinstance(result, (Error, Refusal))
            self._reply(_refusal(result, call.request_id, operation))
            name = operation.name if operation else NO_OPERATION
            self._metrics.refused(name, *_shape_of(result, operation), self._began)
        for observe in self._observers:
            observe(call, result)


def _refusal(error: Error | Refusal, request_id: str, operation: Operation | None = None) -> Response:
    if isinstance(error, Dropped):
        return DROPPED
    status, name = _shape_of(error, operation)
    body = {"message": str(error)} if error.code is None else {"Code": error.code, "Message": str(error)}
    head = f"x-amzn-RequestId: {request_id}\r\nx-amzn-ErrorType: {name}\r\nContent-Type: application/json\r\n"
    return Response(status, head.encode(), msgspec.json.encode(body))


def _shape_of(error: Error | Refusal, operation: Operation | None = None) -> tuple[int, str]:
    """Return the HTTP status and the error type for the client."""
    if isinstance(error, Refusal):
        return error.status, error.shape
    name, status = shape_of(declared(error, operation.errors) if operation else error)
    return status, name
