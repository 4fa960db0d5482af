"""The trail's records: one API call each, in the shape of an AWS CloudTrail event.

What the service models mark as sensitive (numbers, names, addresses, passwords) is left out of a record's
parameters and answer. A record names the request id, under which a number's own history tells the rest.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from ..domain.errors import Error
from .errors import Refusal, declared, shape_of
from .message import Request
from .model import Operation, Shapes
from .sigv4 import Identity

_LONGEST_TEXT = 1024
"""Of a message or a user agent in a record."""


class Event(Struct, rename="camel", kw_only=True):
    """A record. Its members are CloudTrail's."""

    event_version: str = "1.11"
    user_identity: Raw
    event_time: str
    event_source: str = "chime.amazonaws.com"
    event_name: str | None
    aws_region: str | None
    source_ip_address: str = msgspec.field(name="sourceIPAddress")
    user_agent: str | None
    error_code: str | None = None
    error_message: str | None = None
    request_parameters: Raw | None = None
    response_elements: Raw | None = None
    request_id: str = msgspec.field(name="requestID")
    event_id: str = msgspec.field(name="eventID")
    read_only: bool
    event_type: str = "AwsApiCall"
    management_event: bool = True
    recipient_account_id: str | None


class Recorder:
    """Writes records for requests and what came of them."""

    def __init__(self, write: Callable[[bytes], None], now: Callable[[], str], new_id: Callable[[], str]) -> None:
        """`write` takes a line; `now` gives the service's time as AWS writes it."""
        self._write = write
        self._now = now
        self._new_id = new_id
        self._views: dict[Operation, _Views] = {}
        self._identities: dict[Identity, Raw] = {}

    def record(
        self,
        request: Request,
        request_id: str,
        operation: Operation | None,
        parameters: Mapping[str, str],
        identity: Identity | None,
        result: bytes | Error | Refusal,
    ) -> None:
        """Write the record of a request; what is not known of it is None."""
        request_parameters = response_elements = None
        if operation is not None:
            views = self._views.get(operation)
            if views is None:
                views = self._views[operation] = _Views(operation)
            request_parameters = views.parameters(parameters, request.body)
            if isinstance(result, bytes) and not operation.reads:
                response_elements = views.answer(result)
        shown = result
        if isinstance(result, Error) and operation is not None:
            shown = declared(result, operation.errors)
        self._event(
            request,
            request_id,
            identity,
            None if isinstance(shown, bytes) else shown,
            event_name=operation.name if operation else None,
            request_parameters=request_parameters,
            response_elements=response_elements,
            read_only=operation.reads if operation else False,
        )

    def record_other(
        self,
        request: Request,
        request_id: str,
        source: str,
        name: str | None,
        parameters: Mapping[str, str],
        identity: Identity | None,
        refusal: Refusal | None,
    ) -> None:
        """Write the record of a request to another service that shares the port."""
        seen = {_camel(member): value for member, value in parameters.items()}
        self._event(
            request,
            request_id,
            identity,
            refusal,
            event_source=source,
            event_name=name,
            request_parameters=Raw(_encode(seen)) if seen else None,
            read_only=True,
        )

    def _event(
        self,
        request: Request,
        request_id: str,
        identity: Identity | None,
        error: Error | Refusal | None,
        **members: Any,
    ) -> None:
        event = Event(
            user_identity=self._identity(identity) if identity else _UNKNOWN,
            event_time=self._now()[:19] + "Z",
            aws_region=identity.region if identity else None,
            source_ip_address=request.source_ip,
            user_agent=request.headers.get("user-agent", "")[:_LONGEST_TEXT] or None,
            error_code=None if error is None else error.shape if isinstance(error, Refusal) else shape_of(error).name,
            error_message=None if error is None else str(error)[:_LONGEST_TEXT],
            request_id=request_id,
            event_id=self._new_id(),
            recipient_account_id=identity.caller.account_id if identity else None,
            **members,
        )
        self._write(_encode(event) + b"\n")

    def _identity(self, identity: Identity) -> Raw:
        known = self._identities.get(identity)
        if known is None:
            if len(self._identities) >= 10_000:
                self._identities.clear()
            known = self._identities[identity] = Raw(_encode(_user_identity(identity)))
        return known


def _user_identity(identity: Identity) -> dict[str, str]:
    caller = identity.caller
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
_UNKNOWN = Raw(b'{"type":"Unknown"}')


class _Views:
    """What may be seen of an operation's input and output, in CloudTrail's spelling."""

    def __init__(self, operation: Operation) -> None:
        shapes = operation.shapes
        members = shapes[operation.input_shape]["members"] if operation.input_shape else {}
        self._located = {
            member: _camel(member)
            for member, reference in members.items()
            if "location" in reference and not _is_sensitive(shapes, reference["shape"])
        }
        in_body = {member: reference for member, reference in members.items() if "location" not in reference}
        self._body = _view(shapes, {"members": in_body}) if in_body else None
        self._output = _view(shapes, shapes[operation.output_shape]) if operation.output_shape else None

    def parameters(self, located: Mapping[str, str], body: bytes) -> Raw | None:
        """What a request asked for, but for what is sensitive."""
        seen = {self._located[member]: value for member, value in located.items() if member in self._located}
        in_body = self._body(body) if self._body and body else None
        if not in_body:
            return Raw(_encode(seen)) if seen else None
        return Raw(_encode(seen)[:-1] + b"," + in_body[1:]) if seen and len(in_body) > 2 else Raw(in_body)

    def answer(self, body: bytes) -> Raw | None:
        """What an answer said, but for what is sensitive."""
        seen = self._output(body) if self._output and body else None
        return Raw(seen) if seen else None


View = Callable[[bytes], bytes | None]


def _view(shapes: Shapes, shape: Mapping[str, Any]) -> View:
    """Reads JSON of a structure, and writes what is not sensitive of it; None for what is no such JSON."""
    read = cast(Any, _structure(shapes, shape, str))
    written = _structure(shapes, shape, _camel)
    decode = msgspec.json.Decoder(read).decode

    def view(text: bytes) -> bytes | None:
        try:
            return _encode(msgspec.convert(decode(text), written, from_attributes=True))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None

    return view


def _structure(shapes: Shapes, shape: Mapping[str, Any], spell: Callable[[str], str]) -> Any:
    visible = {
        member: reference["shape"]
        for member, reference in shape["members"].items()
        if not _is_sensitive(shapes, reference["shape"])
    }
    fields: list[Any] = [(member, _type(shapes, name, spell) | None, None) for member, name in visible.items()]
    names = {member: spell(member) for member in visible}
    return msgspec.defstruct("Seen", fields, rename=names, kw_only=True, omit_defaults=True)


def _type(shapes: Shapes, name: str, spell: Callable[[str], str]) -> Any:
    shape = shapes[name]
    match shape["type"]:
        case "structure":
            return _structure(shapes, shape, spell)
        case "list":
            return list[_type(shapes, shape["member"]["shape"], spell)]  # type: ignore[misc]
        case "map":
            return dict[str, _type(shapes, shape["value"]["shape"], spell)]  # type: ignore[misc]
        case "boolean":
            return bool | str  # see Operation.bind
        case "integer" | "long":
            return int
        case "float" | "double":
            return float
    return str


def _is_sensitive(shapes: Shapes, name: str) -> bool:
    """Whether the shape is sensitive, or a list of what is."""
    shape = shapes[name]
    if shape.get("sensitive"):
        return True
    return shape["type"] == "list" and _is_sensitive(shapes, shape["member"]["shape"])


def _camel(member: str) -> str:
    """``PhoneNumberId`` -> ``phoneNumberId``, as CloudTrail has it."""
    return member[:1].lower() + member[1:]
