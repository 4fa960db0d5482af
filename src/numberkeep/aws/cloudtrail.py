"""The trail's records: one per API call, in the shape of an AWS CloudTrail event.

A record's parameters and response have the API's member names, and lack what the model of the flavour called marks as
sensitive (names, addresses, passwords; in chime-sdk-voice the ids of numbers too). A record has the request id, under
which a number's own history has the rest.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..domain.caller import Caller
from ..domain.errors import Error
from .call import CHIME_SOURCE, ApiCall, Result
from .errors import Refusal, declared, shape_of
from .message import Request
from .model import Operation, Shapes
from .sigv4 import Identity

_LONGEST_TEXT = 1024
"""Characters of a message or a user agent in a record."""
_LONGEST_JSON = 100_000
"""Bytes of parameters or a response in a record; longer ones are omitted, as in CloudTrail."""
_PHONE_NUMBER = re.compile(r"(?:\+|%2B)[1-9][0-9]{6,14}")
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
_MOST_BEGINNINGS = 2_000
"""How many beginnings of records of known callers are cached: two kilobytes each, or up to eight if a user agent is
long and unusual."""


class Recorder:
    """Writes a record for each request and its result.

    A record begins with what is the same for all requests of one caller to one operation with one client: that is made
    once, and cached.
    """

    def __init__(self, write: Callable[[bytes], None], now: Callable[[], str]) -> None:
        """`write` takes the lines; `now` returns the service's time to the second, ``2019-08-12T22:10:20Z``."""
        self._write = write
        self._now = now
        self._views: dict[Operation, _Views] = {}
        self._beginnings: dict[tuple[str, str, bytes, str, str], bytes] = {}

    def record(self, call: ApiCall, result: Result) -> None:
        """Write the record of a call; what is unknown is null."""
        operation, identity = call.operation, call.identity
        seen = answer = b"null"
        # What unidentified senders send is not recorded: they could have the trail's files rotated.
        if operation is None:
            event = _event(call.source, _text(call.action) if call.action else None, read_only=call.reads)
            if identity:
                seen = _encode({member: _text(value) for member, value in call.parameters.items()})
            if isinstance(result, Mapping):
                answer = _encode(result)
        else:
            views = self._views.get(operation)
            if views is None:
                views = self._views[operation] = _Views(operation)
            event = views.event
            if identity:
                seen = views.parameters(call.parameters, call.request.body)
            if isinstance(result, bytes) and not operation.reads:
                answer = views.answer(result)
            elif isinstance(result, Error):
                result = declared(result, operation.errors)
        error = _error(result) if isinstance(result, (Error, Refusal)) else _NO_ERROR
        id = call.request_id.encode()
        self._write(
            _LINE % (self._beginning(call.request, identity, event), error, self._now().encode(), seen, answer, id, id)
        )

    def _beginning(self, request: Request, identity: Identity | None, event: bytes) -> bytes:
        agent, source_ip = request.headers.get("user-agent", "")[:_LONGEST_TEXT], request.source_ip
        if identity is None:
            return b"%b,%b,%b," % (_UNKNOWN, event, _client(source_ip, agent))
        key = identity.caller.access_key_id, identity.region, event, source_ip, agent
        beginning = self._beginnings.get(key)
        if beginning is None:
            who = _who(_user_identity(identity.caller), identity.region)
            beginning = b"%b,%b,%b," % (who, event, _client(source_ip, agent))
            if len(self._beginnings) >= _MOST_BEGINNINGS:
                self._beginnings.clear()
            self._beginnings[key] = beginning
        return beginning


def _event(source: str, name: str | None, *, read_only: bool) -> bytes:
    return b'"eventSource":"%b","eventName":%b,"readOnly":%b,"eventType":"AwsApiCall","managementEvent":true' % (
        source.encode(),
        _encode(name),
        _encode(read_only),
    )


def _error(error: Error | Refusal) -> bytes:
    """Return the error's members, without phone numbers and without what was meant to be a signature."""
    if isinstance(error, Refusal):
        name, message = error.shape, str(error)
        if name == "IncompleteSignatureException":
            message = "The signature is not complete."
    else:
        name, message = shape_of(error).name, str(error)
    return b'"errorCode":%b,"errorMessage":%b' % (_encode(name), _encode(_PHONE_NUMBER.sub(HIDDEN, _text(message))))


def _text(text: str) -> str:
    """Return `text`, shortened, as JSON can carry it: what a peer sent may hold lone surrogates."""
    return text[:_LONGEST_TEXT].encode("utf-8", "replace").decode()


def _who(user_identity: dict[str, str], region: str | None) -> bytes:
    return b'{"eventVersion":"1.11","userIdentity":%b,"awsRegion":%b,"recipientAccountId":%b' % (
        _encode(user_identity),
        _encode(region),
        _encode(user_identity.get("accountId")),
    )


def _client(source_ip: str, agent: str) -> bytes:
    return b'"sourceIPAddress":%b,"userAgent":%b' % (_encode(source_ip), _encode(_text(agent) or None))


def _user_identity(caller: Caller) -> dict[str, str]:
    kind = "IAMUser" if caller.user_name else "AssumedRole" if ":assumed-role/" in caller.arn else "Root"
    known = {
        "type": kind,
        "principalId": caller.principal_id or caller.account_id,
        "arn": caller.arn,
        "accountId": caller.account_id,
        "accessKeyId": caller.access_key_id,
        "userName": caller.user_name,
    }
    return {name: value for name, value in known.items() if value}


_encode = msgspec.json.Encoder().encode
_UNKNOWN = _who({"type": "Unknown"}, None)
_LINE = b'%b%b,"eventTime":"%b","requestParameters":%b,"responseElements":%b,"requestID":"%b","eventID":"%b"}\n'
_NO_ERROR = b'"errorCode":null,"errorMessage":null'


class _Views:
    """An operation's input and output without what is sensitive, under the API's member names."""

    def __init__(self, operation: Operation) -> None:
        shapes = operation.shapes
        self.event = _event(CHIME_SOURCE, operation.name, read_only=operation.reads)
        members = shapes[operation.input_shape]["members"] if operation.input_shape else {}
        self._located = {
            member
            for member, reference in members.items()
            if "location" in reference and not _is_sensitive(shapes, reference["shape"])
        }
        in_body = {member: reference for member, reference in members.items() if "location" not in reference}
        self._all_located = len(self._located) + len(in_body) == len(members)
        self._body = _view(shapes, {"members": in_body}) if in_body else None
        self._output = _view(shapes, shapes[operation.output_shape]) if operation.output_shape else None

    def parameters(self, located: Mapping[str, str], body: bytes) -> bytes:
        """Return a request's parameters, without what is sensitive."""
        in_body = self._body(body) if self._body and body else b"null"
        seen = located
        if not self._all_located:
            seen = {member: value for member, value in located.items() if member in self._located}
        if not seen:
            return in_body
        both = _encode(seen)[:-1] + b"," + in_body[1:] if len(in_body) > 4 else _encode(seen)
        return both if len(both) <= _LONGEST_JSON else b"null"

    def answer(self, body: bytes) -> bytes:
        """Return a response, without what is sensitive."""
        return self._output(body) if self._output and body else b"null"


def _view(shapes: Shapes, shape: Mapping[str, Any]) -> Callable[[bytes], bytes]:
    """Return a function that removes what is sensitive from JSON of a structure; other text becomes null."""
    decode = msgspec.json.Decoder(_structure(shapes, shape)).decode

    def view(text: bytes) -> bytes:
        try:
            seen = _encode(decode(text))
            return seen if len(seen) <= _LONGEST_JSON else b"null"
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return b"null"

    return view


def _structure(shapes: Shapes, shape: Mapping[str, Any]) -> Any:
    visible = {
        member: reference["shape"]
        for member, reference in shape["members"].items()
        if not _is_sensitive(shapes, reference["shape"])
    }
    fields: list[Any] = [(member, _type(shapes, name) | None, None) for member, name in visible.items()]
    return msgspec.defstruct("Seen", fields, kw_only=True, omit_defaults=True)


def _type(shapes: Shapes, name: str) -> Any:
    shape = shapes[name]
    match shape["type"]:
        case "structure":
            return _structure(shapes, shape)
        case "list":
            return list[_type(shapes, shape["member"]["shape"])]  # type: ignore[misc]
        case "map":
            return dict[str, _type(shapes, shape["value"]["shape"])]  # type: ignore[misc]
        case "boolean":
            return bool | str  # see Operation.bind
        case "integer" | "long":
            return int
        case "float" | "double":
            return float
    return str


def _is_sensitive(shapes: Shapes, name: str) -> bool:
    """Return whether the shape is sensitive, or a list of such."""
    shape = shapes[name]
    if shape.get("sensitive"):
        return True
    return shape["type"] == "list" and _is_sensitive(shapes, shape["member"]["shape"])
