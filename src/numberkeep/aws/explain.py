"""Explains, in AWS's words, why a request is invalid. Only refused requests come here, to keep others fast."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from ..domain.errors import BadRequest
from .errors import Refusal

Shapes = Mapping[str, dict[str, Any]]


_LINEAR = {r".*\S.*": r"[^\S\n]*+\S.*+", r".+@.+\..+": r"(?=.+\Z).[^@\n]*+@.+\..+"}
"""Equivalents of the models' patterns that do not try every way to divide a long value."""
MOST_INTEGER = 2**31 - 1
"""The largest ``integer`` of the models; no operation that is served has a ``long``."""
INTEGER = re.compile(r"-?[0-9]{1,18}")
"""A number in a query, which is text."""
MOST_VIOLATIONS = 100
"""How many violations a message lists at most."""


def whole(pattern: str) -> str:
    """Return the model's pattern as a Python one that must match a whole value, as in AWS."""
    return rf"\A(?:{_LINEAR.get(pattern, pattern)})\Z"


def why(shapes: Shapes, name: str, parameters: Mapping[str, str], body: bytes, otherwise: str) -> Exception:
    """Return the error for a request that the input shape `name` does not allow.

    It is a Refusal with SerializationException if the body is no JSON object or a value has the wrong type, else a
    BadRequest that lists the violated constraints, up to MOST_VIOLATIONS. `otherwise` is the message for what only the
    decoder finds, such as a lone surrogate.
    """
    try:
        given = msgspec.json.decode(body) if body else {}
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return _unreadable(f"The request body is not valid JSON: {error}")
    if not isinstance(given, dict):
        return _unreadable("The request body must be a JSON object.")
    try:
        given = {**with_booleans(shapes, name, given), **parameters}
        broken = list(islice(_violations(shapes, name, given, ""), MOST_VIOLATIONS))
    except TypeError as error:
        return _unreadable(str(error))
    if not broken:
        return _unreadable(otherwise)
    count = f"{len(broken)} validation error{'s' if len(broken) != 1 else ''} detected: "
    return BadRequest(count + "; ".join(broken))


def with_booleans(shapes: Shapes, name: str, value: Any) -> Any:
    """Return `value`, of the shape `name`, with true and false where it has "true" and "false" for a boolean."""
    shape = shapes[name]
    kind = shape["type"]
    if kind == "structure" and isinstance(value, dict):
        members = shape["members"]
        return {
            member: with_booleans(shapes, members[member]["shape"], one) if member in members else one
            for member, one in value.items()
        }
    if kind == "list" and isinstance(value, list):
        return [with_booleans(shapes, shape["member"]["shape"], item) for item in value]
    return value == "true" if kind == "boolean" and value in ("true", "false") else value


def _unreadable(message: str) -> Refusal:
    return Refusal(400, "SerializationException", message)


def _violations(shapes: Shapes, name: str, value: Any, place: str) -> Iterator[str]:
    shape = shapes[name]
    kind = shape["type"]
    if kind == "structure":
        _expect(value, dict, place, "an object")
        for member, reference in shape["members"].items():
            of_member = f"{place}.{member}".lstrip(".")
            if value.get(member) is None:
                if member in shape.get("required", ()):
                    yield _failed(None, of_member, "Member must not be null", hidden=True)
            else:
                yield from _violations(shapes, reference["shape"], value[member], of_member)
        return
    if kind == "list":
        _expect(value, list, place, "a list")
        yield from _bounds(shape, len(value), value, place, "Member must have length", hidden=True)
        for index, item in enumerate(value, 1):
            if item is None:
                raise TypeError(f"{place}.{index}.member must not be null.")
            yield from _violations(shapes, shape["member"]["shape"], item, f"{place}.{index}.member")
        return
    if kind == "string":
        _expect(value, str, place, "a string")
        hidden = shape.get("sensitive", False)
        if "enum" in shape:
            if value not in shape["enum"]:
                wanted = f"Member must satisfy enum value set: [{', '.join(shape['enum'])}]"
                yield _failed(value, place, wanted, hidden)
            return
        yield from _bounds(shape, len(value), value, place, "Member must have length", hidden)
        if "pattern" in shape and not re.search(whole(shape["pattern"]), value):
            wanted = f"Member must satisfy regular expression pattern: {shape['pattern']}"
            yield _failed(value, place, wanted, hidden)
        return
    if kind == "boolean":
        _expect(value, bool, place, "true or false")
        return
    if kind in ("integer", "long"):
        number = _whole_number(value, place)
        yield from _bounds({"max": MOST_INTEGER, **shape}, number, value, place, "Member must have value")


def _whole_number(value: Any, place: str) -> int:
    if isinstance(value, str) and INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{place} must be a whole number.")
    return value


def _expect(value: Any, kind: type, place: str, words: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{place or 'The request body'} must be {words}.")


def _bounds(
    shape: dict[str, Any], size: int, value: Any, place: str, words: str, hidden: bool = False
) -> Iterator[str]:
    if "min" in shape and size < shape["min"]:
        yield _failed(value, place, f"{words} greater than or equal to {shape['min']}", hidden)
    if "max" in shape and size > shape["max"]:
        yield _failed(value, place, f"{words} less than or equal to {shape['max']}", hidden)


def _failed(value: Any, place: str, constraint: str, hidden: bool = False) -> str:
    at = f"at '{place}' failed to satisfy constraint: {constraint}"
    return f"Value {at}" if hidden else f"Value '{value}' {at}"
