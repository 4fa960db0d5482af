"""Compiles the AWS service models, once at start, into routes, decoders and encoders.

The models are files of the ``botocore`` package, read without importing it. Every operation that is served gets a
decoder that validates requests (types, enums, patterns, lengths, ranges) and an encoder that checks responses
(members, types, enums) and writes them as AWS does: keys in alphabetical order, absent values as nulls. No operation
is known by name here.

Two models describe nearly the same service, so there are three flavours: ``chime`` and ``chime-sdk-voice`` use their
own model and, for operations it lacks, the other's; ``default`` uses the union of both.
"""

import gzip
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import unquote

import msgspec

from ..domain.errors import OperationNotImplemented
from . import explain
from .errors import Refusal
from .message import Request

Shapes = Mapping[str, dict[str, Any]]
Function = Callable[..., Any]

SERVICES = ("chime", "chime-sdk-voice")
RESOURCE_KINDS = {"VoiceConnectorId": "vc", "SipMediaApplicationId": "sma"}
"""The members of paths that identify a resource with an ARN, each with the kind in that ARN."""
RESOURCE_ARN = "ResourceARN"
"""The member that is an ARN itself."""
SAMPLES_PREFIX = "console"
"""AWS's own samples send requests to ``/console`` of a host; this prefix changes nothing."""


def load(service: str) -> dict[str, Any]:
    """Return the newest model of `service` in the installed botocore. Raises LookupError if it has none."""
    spec = find_spec("botocore")
    if spec is None or not spec.submodule_search_locations:
        raise LookupError("the package botocore, which carries the service models, is not installed")
    directory = Path(spec.submodule_search_locations[0], "data", service)
    for path in sorted(directory.glob("*/service-2.json*"), reverse=True):
        data = path.read_bytes()
        return msgspec.json.decode(gzip.decompress(data) if path.suffix == ".gz" else data)  # type: ignore[no-any-return]
    raise LookupError(f"the installed botocore has no model of {service}")


def union(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return a model that accepts what either accepts. A member of both has the first one's shape, unless that has an
    enum where the second takes any text."""
    shapes = {**second["shapes"], **first["shapes"]}
    for name in first["shapes"].keys() & second["shapes"].keys():
        shapes[name] = shape = _union_of(first["shapes"][name], second["shapes"][name])
        for member, reference in second["shapes"][name].get("members", {}).items():
            ours, theirs = shapes[shape["members"][member]["shape"]], second["shapes"][reference["shape"]]
            if "enum" in ours and "enum" not in theirs:
                shape["members"][member] = reference
    return {**first, "operations": {**second["operations"], **first["operations"]}, "shapes": shapes}


def _union_of(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    shape = dict(first)
    if "members" in shape:
        shape["members"] = {**second["members"], **first["members"]}
        both = set(second.get("required", ()))
        shape["required"] = [name for name in first.get("required", ()) if name in both]
    if "enum" in shape:
        shape["enum"] = [
            *first["enum"],
            *(value for value in second.get("enum", ()) if value not in first["enum"]),
        ]
    if "max" in shape:
        shape["max"] = max(first["max"], second.get("max", first["max"]))
    return shape


@cache
def snake(name: str) -> str:
    """Return a name in snake case, as in AWS's SDK for Python: ``E164PhoneNumber`` is ``e164_phone_number``."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


class Operation:
    """One operation of one flavour, compiled."""

    def __init__(
        self,
        name: str,
        flavour: str,
        model: dict[str, Any],
        everything: Shapes,
        types: "_Types",
        answers: "_Types",
        function: Function | None,
    ) -> None:
        """`function` returns an answer with its members as keys or attributes, or as JSON to be sent; it has the
        members of `everything`, the shapes of both models."""
        definition = model["operations"][name]
        self.name = name
        self.flavour = flavour
        self.errors = frozenset(error["shape"] for error in definition.get("errors", ()))
        """The exceptions that the model declares for it."""
        self.method: str = definition["http"]["method"]
        self.uri: str = definition["http"]["requestUri"]
        self.reads = self.method == "GET"
        self.status: int = definition["http"].get("responseCode", 200)
        self.served = function is not None
        self.action = f"chime:{name}"
        """Its name in policies, the same in every flavour."""
        self.shapes: Shapes = model["shapes"]
        self._everything = everything
        self.input_shape: str | None = definition.get("input", {}).get("shape")
        self.output_shape: str | None = definition.get("output", {}).get("shape")
        self.resource: tuple[str, str] | None = None
        """The resource that a policy can name: its kind in the ARN, and the member that has its id; the kind is empty
        if the member is the ARN."""
        self.uri_members: dict[str, str] = {}
        self.query_names: dict[str, str] = {}
        if function is None:
            return
        self._function = function
        self._input = (model["shapes"], definition["input"]["shape"]) if "input" in definition else None
        members = model["shapes"][self._input[1]] if self._input else {"members": {}}
        located: dict[str, Any] = {"members": {}}
        body: dict[str, Any] = {"members": {}}
        for member, reference in members["members"].items():
            part = located if "location" in reference else body
            part["members"][member] = reference
        for part in (located, body):
            part["required"] = [member for member in members.get("required", ()) if member in part["members"]]
        self.query_names = {
            reference["locationName"]: member
            for member, reference in located["members"].items()
            if reference["location"] == "querystring"
        }
        self._integers = {
            member
            for member in self.query_names.values()
            if model["shapes"][located["members"][member]["shape"]]["type"] == "integer"
        }
        self._located = types.structure(f"{name}Parameters", located)
        self._body = types.structure(f"{name}Body", body)
        self._decode_body = msgspec.json.Decoder(self._body).decode if body["members"] else None
        output = definition.get("output", {}).get("shape")
        self._output = answers.type_of(output) if output and self.status != 204 else None
        self.uri_members = {
            reference["locationName"]: member
            for member, reference in located["members"].items()
            if reference["location"] == "uri"
        }
        named = next((one for one in self.uri_members.values() if one in RESOURCE_KINDS), None)
        if named:
            self.resource = RESOURCE_KINDS[named], named
        elif RESOURCE_ARN in members["members"]:
            self.resource = "", RESOURCE_ARN

    @cached_property
    def _tells_all(self) -> bool:
        """Whether its answers have all the members that either model defines for them."""
        return self.output_shape is None or _has_all(self.shapes, self._everything, self.output_shape)

    def named_arn(self, request: Request) -> str | None:
        """Return the ARN in the operation's member `RESOURCE_ARN`, or None."""
        if RESOURCE_ARN in self.query_names.values():
            return dict(self.in_query(request.query)).get(RESOURCE_ARN)
        try:
            return msgspec.json.decode(request.body, type=_Named).resource_arn
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None  # the operation's own decoder will refuse it

    def bind(self, parameters: dict[str, str], request: Request) -> "Call":
        """Return the call that `request` asks for: a function of a transaction that returns the response's body.

        `parameters` are the members in the path. Raises BadRequest or Refusal for what the model does not allow.
        """
        if not self.served:
            raise OperationNotImplemented(f"The operation {self.name} is not implemented by this server.")
        if request.query and self.query_names:
            parameters.update(self.in_query(request.query))
        try:
            given = self._with_integers(parameters) if self._integers else parameters
            arguments = msgspec.structs.asdict(msgspec.convert(given, self._located))
            if self._decode_body is not None:
                try:
                    body = self._decode_body(request.body or b"{}")
                except msgspec.ValidationError:
                    body = msgspec.convert(self._with_booleans(request.body), self._body)
                arguments.update(msgspec.structs.asdict(body))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise self._explain(parameters, request.body, str(error)) from error
        return Call(self._function, arguments, self._output, self._tells_all)

    def in_query(self, query: str) -> Iterator[tuple[str, str]]:
        """Yield the members in a query."""
        for pair in query.split("&"):
            name, _, value = pair.partition("=")
            if member := self.query_names.get(unquote(name)):
                yield member, unquote(value.replace("+", " "))

    def _with_integers(self, parameters: dict[str, str]) -> dict[str, str | int]:
        return {
            member: int(value) if member in self._integers and explain.INTEGER.fullmatch(value) else value
            for member, value in parameters.items()
        }

    def _with_booleans(self, body: bytes) -> Any:
        """Decode a body, accepting "true" and "false" for booleans: CloudFormation makes every property a string, and
        its custom resources pass those on."""
        assert self._input is not None
        return explain.with_booleans(*self._input, msgspec.json.decode(body))

    def _explain(self, parameters: dict[str, str], body: bytes, otherwise: str) -> Exception:
        assert self._input is not None
        return explain.why(*self._input, parameters, body if self._decode_body else b"", otherwise)


def _has_all(shapes: Shapes, everything: Shapes, name: str) -> bool:
    """Return whether a shape, and those within it, have all the members that either model defines."""
    if shapes is everything:
        return True
    shape, whole = shapes[name], everything[name]
    inner = [member["shape"] for member in shape.get("members", {}).values()]
    inner += [shape[of]["shape"] for of in ("member", "value") if of in shape]
    return shape.get("members", {}).keys() == whole.get("members", {}).keys() and all(
        _has_all(shapes, everything, one) for one in inner
    )


class _Named(msgspec.Struct, rename={"resource_arn": RESOURCE_ARN}):
    resource_arn: str | None = None


class Call:
    """What a request asks for: a function of a transaction that returns the response's body."""

    __slots__ = ("_function", "_output", "_tells_all", "arguments")

    def __init__(self, function: Function, arguments: dict[str, Any], output: Any, tells_all: bool) -> None:
        self._function = function
        self.arguments = arguments
        self._output = output
        self._tells_all = tells_all

    def __call__(self, tx: Any) -> bytes:
        answer = self._function(tx, **self.arguments)
        if self._output is None:
            return b""
        if isinstance(answer, bytes):
            return answer if self._tells_all else _encode(msgspec.json.decode(answer, type=self._output))
        return _encode(msgspec.convert(answer, self._output, from_attributes=True))


_encode = msgspec.json.Encoder().encode


class _Types:
    """msgspec types for shapes. `constrained` types also check patterns, lengths and ranges."""

    def __init__(self, shapes: Shapes, *, constrained: bool, enums: Shapes | None = None) -> None:
        self._shapes = shapes
        self._enums = enums or shapes
        self._constrained = constrained
        self._made: dict[str, Any] = {}

    def type_of(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._make(name, self._shapes[name])
        return self._made[name]

    def structure(self, name: str, shape: dict[str, Any]) -> Any:
        """Return a type with its members in alphabetical order; required ones may be null in answers only."""
        required = shape.get("required", ()) if self._constrained else ()
        fields: list[Any] = []
        for member, reference in sorted(shape["members"].items()):
            kind = self.type_of(reference["shape"])
            fields.append((snake(member), kind) if member in required else (snake(member), kind | None, None))
        names = {snake(member): member for member in shape["members"]}
        return msgspec.defstruct(name, fields, rename=names, kw_only=True)

    def _make(self, name: str, shape: dict[str, Any]) -> Any:
        match shape["type"]:
            case "structure":
                return self.structure(name, shape)
            case "list":
                return self._constrain(list[self.type_of(shape["member"]["shape"])], shape)  # type: ignore[misc]
            case "map":
                return dict[self.type_of(shape["key"]["shape"]), self.type_of(shape["value"]["shape"])]  # type: ignore[misc]
            case "string":
                if "enum" in shape:
                    return Literal[tuple(self._enums.get(name, shape)["enum"])]
                return self._constrain(str, shape)
            case "boolean":
                return bool
            case "integer" | "long":
                return self._constrain(int, shape)
            case "float" | "double":
                return self._constrain(float, shape)
            case "timestamp":
                return str
        raise LookupError(f"the model's type {shape['type']} of {name} is not one that this API uses")

    def _constrain(self, kind: Any, shape: dict[str, Any]) -> Any:
        if not self._constrained:
            return kind
        if kind is int:
            shape = {"max": explain.MOST_INTEGER, **shape}
        low, high = ("ge", "le") if kind in (int, float) else ("min_length", "max_length")
        limits = {key: shape[bound] for bound, key in (("min", low), ("max", high)) if bound in shape}
        if "pattern" in shape:
            limits["pattern"] = explain.whole(shape["pattern"])
        return Annotated[kind, msgspec.Meta(**limits)] if limits else kind


class Route(NamedTuple):
    """An operation at the end of a path, and the members in the path."""

    operation: Operation
    members: tuple[str, ...]


class _Node:
    """A node in the tree of paths: its children by their literal text, or for any text, a member's value."""

    __slots__ = ("literal", "member", "routes")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.member: _Node | None = None
        self.routes: dict[str, list[tuple[str, Route]]] = {}


class Flavour:
    """The operations that one kind of client knows, found by method and path."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self.operations = operations
        self._root = self._entry = _Node()
        for operation in operations.values():
            self._add(operation)

    def accept_prefixes(self, flavours: "Mapping[str, Flavour]") -> None:
        """Let the first part of a path select one of `flavours` by its name, whatever the host is."""
        self._entry = _Node()
        self._entry.literal = {
            **self._root.literal,
            **{name: other._root for name, other in flavours.items()},
        }

    def _add(self, operation: Operation) -> None:
        path, _, query = operation.uri.partition("?")
        node, members = self._root, []
        for part in path.split("/")[1:]:
            if part.startswith("{"):
                node.member = node.member or _Node()
                node = node.member
                members.append(operation.uri_members.get(part[1:-1], part))
            else:
                node = node.literal.setdefault(part, _Node())
        routes = node.routes.setdefault(operation.method, [])
        routes.append((query, Route(operation, tuple(members))))
        routes.sort(key=lambda route: not route[0])  # routes with a literal query are tried first

    def route(self, request: Request) -> tuple[Operation, dict[str, str]]:
        """Return the operation for `request`, and the members in its path. Raises Refusal if there is none."""
        node = self._entry
        values: list[str] = []
        for part in request.path.split("/")[1:]:
            step = node.literal.get(part)
            if step is None:
                step = node.member
                if step is None or not part:
                    raise _unknown(request)
                values.append(_decoded(part))
            node = step
        routes = node.routes.get("GET" if request.method == "HEAD" else request.method, [])
        if len(routes) == 1 and not routes[0][0]:  # as for most paths, where the query selects nothing
            operation, members = routes[0][1]
            return operation, dict(zip(members, values, strict=False))
        pairs = request.query.split("&")
        if "%" in request.query and len(routes) > 1:
            # Signatures cover decoded names, so operations must not be selected by names as sent.
            pairs = [unquote(pair) if "%" in pair.partition("=")[0] else pair for pair in pairs]
        for query, (operation, members) in routes:
            if query in pairs or (not query and not _chooses_another(pairs, routes)):
                return operation, dict(zip(members, values, strict=False))
        raise _unknown(request)


def _chooses_another(pairs: list[str], routes: list[tuple[str, Route]]) -> bool:
    """Return whether the query has a parameter that selects operations of this path, with none of their values."""
    names = {query.partition("=")[0] for query, _ in routes if query}
    return any(pair.partition("=")[0] in names for pair in pairs)


def _decoded(part: str) -> str:
    part = part.replace("%2B", "+")  # the only escape in most paths
    return unquote(part) if "%" in part else part


def _unknown(request: Request) -> Refusal:
    return Refusal(404, "UnknownOperationException", f"No operation is at {request.method} {request.path}.")


def flavours(
    functions: Mapping[str, Function], instead: Mapping[str, Mapping[str, Function]] = MappingProxyType({})
) -> dict[str, Flavour]:
    """Return the three flavours, compiled for the operations of `functions`; `instead` has exceptions by flavour.

    Raises LookupError if a function belongs to no operation of either model.
    """
    models = {service: load(service) for service in SERVICES}
    everything = union(*models.values())
    unknown = set(functions) - {snake(name) for name in everything["operations"]}
    if unknown:
        raise LookupError(f"no model has an operation for {', '.join(sorted(unknown))}")
    made = {"default": Flavour(dict(_compile("default", everything, everything["operations"], everything, functions)))}
    for service, other in zip(SERVICES, reversed(SERVICES), strict=True):
        own = models[service]["operations"]
        its_functions = {**functions, **instead.get(service, {})}
        lacking = [name for name in models[other]["operations"] if name not in own]
        compiled = [
            *_compile(service, models[service], own, everything, its_functions),
            *_compile(service, models[other], lacking, everything, its_functions),
        ]
        made[service] = Flavour(dict(compiled))
    for flavour in made.values():
        flavour.accept_prefixes({**{service: made[service] for service in SERVICES}, SAMPLES_PREFIX: flavour})
    return made


def _compile(
    flavour: str,
    model: dict[str, Any],
    names: Iterable[str],
    everything: dict[str, Any],
    functions: Mapping[str, Function],
) -> Iterator[tuple[str, Operation]]:
    # Answers have the flavour's members, but any value that the service knows: a BusinessCalling number must not turn
    # into an error because the newer model lacks that value.
    answers = _Types(model["shapes"], constrained=False, enums=everything["shapes"])
    types = _Types(model["shapes"], constrained=True)
    for name in names:
        function = functions.get(snake(name))
        yield name, Operation(name, flavour, model, everything["shapes"], types, answers, function)
