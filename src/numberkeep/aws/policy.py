"""IAM policy documents: they decide what a caller may do.

Identity-based policies of IAM's policy language are supported, with the condition keys that a `Context` carries.
Everything else is refused when a document is read: an ignored statement could be a Deny.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from operator import ge, gt, le, lt
from typing import Any, Literal, NamedTuple

MOST_CHARACTERS = 6_144
"""In a document, not counting white space: AWS's limit for a managed policy."""
MOST_CHARACTERS_IN_ALL = 131_072
"""In a document as it is sent: AWS's limit for the parameter PolicyDocument."""

Decision = Literal["Allow", "ExplicitDeny", "ImplicitDeny"]


class PolicyError(ValueError):
    """A policy document is refused; the message names the place (such as Statement[1].Condition.IpAddress) and the
    reason."""


class Context(NamedTuple):
    """The facts about a request that conditions test."""

    source_ip: str
    """Where it came from. For anything but an IP address, such as the empty string, aws:SourceIp is absent."""
    current_time: float
    """Epoch seconds."""
    secure_transport: bool
    requested_region: str
    username: str | None
    """None if the caller is no user (a role session, root): then aws:username is absent."""


def parse(document: str | bytes) -> dict[str, Any]:
    """Return the policy in the JSON text `document`, as it was written, in plain builtins.

    Raises `PolicyError` if it is not JSON in UTF-8, too long, or not a policy that `Policy` understands.
    """
    try:
        text = document if isinstance(document, str) else document.decode()
        if len(text) > MOST_CHARACTERS_IN_ALL:
            raise PolicyError(f"Document: has more than {MOST_CHARACTERS_IN_ALL} characters")
        if len(_WHITE_SPACE.sub("", text)) > MOST_CHARACTERS:
            raise PolicyError(f"Document: has more than {MOST_CHARACTERS} characters without white space")
        policy: dict[str, Any] = json.loads(text, object_pairs_hook=_object)
    except PolicyError:
        raise
    except RecursionError:
        raise PolicyError("Document: is nested too deeply") from None
    except ValueError as error:
        raise PolicyError(f"Document: is not JSON in UTF-8: {error}") from None
    _statements(policy)
    return policy


def check_actions(policy: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise `PolicyError` if `policy`, accepted by `parse`, names an action of Chime that is not `known`: a mistyped
    Deny would deny nothing."""
    spelled = {name.lower() for name in known}
    statements = policy["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        for member in ("Action", "NotAction"):
            actions = statement.get(member, ())
            for action in [actions] if isinstance(actions, str) else actions:
                literal = action.lower()
                if literal.startswith("chime:") and not set(literal) & {"*", "?"} and literal not in spelled:
                    raise PolicyError(f"Statement.{member}: {action} is no action of Amazon Chime's")


class Policy:
    """All policy `documents` of one caller, accepted by `parse`, combined.

    They are compiled here, once. Raises `PolicyError` as `parse` does.
    """

    unconditional: bool
    """Whether no statement has a Condition, so that decisions depend on action and resource alone."""

    def __init__(self, documents: Iterable[Mapping[str, Any]]) -> None:
        # Denials first, so that the first statement that applies decides.
        statements = [statement for document in documents for statement in _statements(document)]
        self._statements = sorted(statements, key=lambda statement: statement.decision != "ExplicitDeny")
        self.unconditional = not any(statement.conditions for statement in statements)
        self._by_action: dict[str, list[_Statement]] = {}

    def decide(self, action: str, resource: str, context: Context) -> Decision:
        """Decide whether `action`, such as ``chime:GetPhoneNumber``, may be done to the ARN `resource`.

        An explicit deny overrides every allow; what no statement covers is denied implicitly.
        """
        statements = self._by_action.get(action)
        if statements is None:
            statements = self._about(action)
        for decision, _, is_resource, conditions in statements:
            if is_resource(resource):
                for holds in conditions:
                    if not holds(context):
                        break
                else:
                    return decision
        return "ImplicitDeny"

    def _about(self, action: str) -> "list[_Statement]":
        """Return the statements about `action`, cached: a service has few actions."""
        if len(self._by_action) >= _MOST_ACTIONS:
            self._by_action.clear()
        name = action.lower()
        statements = self._by_action[action] = [each for each in self._statements if each.is_action(name)]
        return statements


_MOST_ACTIONS = 1024

_Test = Callable[[Any], bool]


class _Statement(NamedTuple):
    """A compiled statement."""

    decision: Decision
    is_action: Callable[[str], bool]
    """Takes the action in lower case."""
    is_resource: Callable[[str], bool]
    conditions: tuple[Callable[[Context], bool], ...]
    """All of them must hold."""


# Compiling a document is also what validates it: there is no second parser that could read it differently.

_WHITE_SPACE = re.compile(r"[ \t\r\n]+")
_VERSIONS = ("2012-10-17", "2008-10-17")
_DECISIONS: dict[str, Decision] = {"Allow": "Allow", "Deny": "ExplicitDeny"}
_STATEMENT = ("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition")
_SID = re.compile(r"[A-Za-z0-9]*")
_ACTION = re.compile(r"\*|[A-Za-z0-9][A-Za-z0-9-]*:[A-Za-z0-9*?]+")
_RESOURCE = re.compile(r"\*|arn:.*", re.DOTALL)


def _statements(document: Any) -> list[_Statement]:
    members = _members(document, "Document", ("Version", "Id", "Statement"))
    if _text(members.get("Version", "2008-10-17"), "Version") not in _VERSIONS:
        raise PolicyError(f"Version: must be {' or '.join(_VERSIONS)}")
    _text(members.get("Id", ""), "Id")
    if "Statement" not in members:
        raise PolicyError("Document: has no Statement")
    statements = []
    sids = set()
    for value, place in _one_or_more(members["Statement"], "Statement"):
        statements.append(_statement(value, place))
        sid = value.get("Sid")
        if sid in sids:
            raise PolicyError(f"{place}.Sid: is not unique")
        if sid:  # An empty one, as AWS's console writes it, identifies nothing.
            sids.add(sid)
    return statements


def _statement(value: Any, place: str) -> _Statement:
    members = _members(value, place, _STATEMENT)
    if not _SID.fullmatch(_text(members.get("Sid", ""), f"{place}.Sid")):
        raise PolicyError(f"{place}.Sid: must have letters A-Z and a-z and digits only")
    if "Effect" not in members:
        raise PolicyError(f"{place}: has no Effect")
    if (effect := _text(members["Effect"], f"{place}.Effect")) not in _DECISIONS:
        raise PolicyError(f"{place}.Effect: must be Allow or Deny")
    return _Statement(
        _DECISIONS[effect],
        _these(members, place, "Action", _ACTION, "must be * or service:name, with letters, digits, * and ?"),
        _these(members, place, "Resource", _RESOURCE, "must be * or begin with arn:"),
        tuple(_conditions(members["Condition"], f"{place}.Condition") if "Condition" in members else ()),
    )


def _these(
    members: Mapping[str, Any], place: str, name: str, form: re.Pattern[str], reason: str
) -> Callable[[str], bool]:
    """Return a test of what the statement's `name`, Action or Resource, or its NotAction or NotResource covers."""
    names = [each for each in (name, f"Not{name}") if each in members]
    if len(names) != 1:
        raise PolicyError(f"{place}: must have exactly one of {name} and Not{name}")
    patterns = []
    for value, at in _one_or_more(members[names[0]], f"{place}.{names[0]}"):
        if not form.fullmatch(_text(value, at)):
            raise PolicyError(f"{at}: {reason}")
        patterns.append(value.lower() if form is _ACTION else value)
    among = _like(patterns)
    return among if names[0] == name else lambda text: not among(text)


def _like(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a test whether a text matches any of `patterns`: ``*`` is any characters and ``?`` any one."""
    literals = {pattern for pattern in patterns if "*" not in pattern and "?" not in pattern}
    wild = set(patterns) - literals
    if "*" in wild:
        return lambda text: True
    if not wild:
        return literals.__contains__
    matches = re.compile("|".join(map(_regex, sorted(wild))), re.DOTALL).fullmatch
    return lambda text: text in literals or matches(text) is not None


def _regex(pattern: str) -> str:
    """Return a regular expression in which text between two ``*`` is searched for only once (hence ``(?>``).

    If the rest matches at all, it also matches after the first. So the worst cost is the length of the pattern times
    that of the text, however many ``*`` there are.
    """
    head, *others = (".".join(map(re.escape, part.split("?"))) for part in pattern.split("*"))
    if not others:
        return head
    *middle, tail = others
    return head + "".join(f"(?>.*?{part})" for part in middle if part) + ".*" + tail


def _conditions(value: Any, place: str) -> Iterator[Callable[[Context], bool]]:
    for name, keys in _members(value, place, _OPERATORS, "operator").items():
        operator, at = _OPERATORS[name], f"{place}.{name}"
        seen = set()
        for key_name, values in _members(keys, at).items():
            key = _KEYS.get(key_name.lower())
            if key is None:
                raise PolicyError(f"{at}: has the unknown key {key_name!r:.80}")
            if key in seen:
                raise PolicyError(f"{at}: has the key {key.name} twice")
            if operator.kind not in (key.kind, "any"):
                raise PolicyError(f"{at}: does not fit {key.name}, which is {key.kind}")
            seen.add(key)
            operands = [operator.read(each, where) for each, where in _one_or_more(values, f"{at}.{key_name}")]
            yield _condition(operator, key, operands)


def _condition(operator: "_Operator", key: "_Key", operands: list[Any]) -> Callable[[Context], bool]:
    kind, _, compile_test, negated, if_absent = operator
    test, value_in = compile_test(operands), key.value_in
    if kind == "any":  # Null, which tests any key for being absent
        return lambda context: test(value_in(context) is None)

    def holds(context: Context) -> bool:
        value = value_in(context)
        return if_absent if value is None else test(value) is not negated

    return holds


# Condition keys and operators


class _Key(NamedTuple):
    name: str
    kind: str
    value_in: Callable[[Context], Any]
    """Returns None if the key is absent."""


@lru_cache(maxsize=1024)
def _address(source_ip: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(source_ip)
    except ValueError:
        return None
    # A socket for both families reports IPv4 peers as mapped to IPv6.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


_KEYS = {
    key.name.lower(): key
    for key in (
        _Key("aws:SourceIp", "an IP address", lambda context: _address(context.source_ip)),
        # AWS's time has whole seconds; otherwise DateEquals would never hold.
        _Key("aws:CurrentTime", "a date", lambda context: int(context.current_time)),
        _Key("aws:SecureTransport", "a Boolean", lambda context: context.secure_transport),
        _Key("aws:RequestedRegion", "a string", lambda context: context.requested_region),
        _Key("aws:username", "a string", lambda context: context.username),
    )
}

_MAPPED = IPv6Network("::ffff:0:0/96")
_NETWORK = re.compile(r"[0-9A-Fa-f:.]+(/[0-9]{1,3})?")
_EPOCH_SECONDS = re.compile(r"[0-9]{1,3}|[0-9]{5,12}(\.[0-9]{1,9})?")
"""Not four digits, which could also be a year."""
_DATE = re.compile(r"\d{4}-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d))?)?", re.ASCII)
"""ISO 8601 in W3C's profile: a time must have a zone; without a time, it is the beginning of the UTC day or month."""


def _network(value: Any, place: str) -> IPv4Network | IPv6Network:
    if _NETWORK.fullmatch(_text(value, place)):
        with suppress(ValueError):
            network = ip_network(value, strict=False)
            # IPv4 callers are compared as IPv4: a mapped network would never match.
            if isinstance(network, IPv4Network) or not network.subnet_of(_MAPPED):
                return network
    raise PolicyError(f"{place}: must be an IPv4 or IPv6 address or range in CIDR notation")


def _date(value: Any, place: str) -> float:
    """Return a date in epoch seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**12:
        return value
    text = _text(value, place) if isinstance(value, str) else ""
    if _EPOCH_SECONDS.fullmatch(text):
        return float(text)
    if _DATE.fullmatch(text):
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(f"{text}-01" if len(text) == len("YYYY-MM") else text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    raise PolicyError(f"{place}: must be a date such as 2026-07-01T00:00:00Z, or epoch seconds")


def _boolean(value: Any, place: str) -> bool:
    text = str(value).lower() if isinstance(value, bool) else _text(value, place).lower()
    if text not in ("true", "false"):
        raise PolicyError(f"{place}: must be true or false")
    return text == "true"


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise PolicyError(f"{place}: must be a string")
    if "${" in value:
        raise PolicyError(f"{place}: has a policy variable, which is not supported")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise PolicyError(f"{place}: has half a surrogate pair")
    return value


class _Operator(NamedTuple):
    kind: str
    """The kind of the keys that it fits."""
    read: Callable[[Any, str], Any]
    """Reads the operand at a place. Raises `PolicyError`."""
    test: Callable[[list[Any]], _Test]
    """Takes operands; returns a test whether a value fits any of them."""
    negated: bool = False
    if_absent: bool = False
    """The result if the key is absent."""


def _is_any(operands: list[Any]) -> _Test:
    return frozenset(operands).__contains__


def _is_any_ignoring_case(operands: list[str]) -> _Test:
    folded = frozenset(map(str.casefold, operands))
    return lambda value: value.casefold() in folded


def _is_in_any(networks: list[IPv4Network | IPv6Network]) -> _Test:
    return lambda address: any(address in network for network in networks)


_OPERATORS = {
    "StringEquals": _Operator("a string", _text, _is_any),
    "StringEqualsIgnoreCase": _Operator("a string", _text, _is_any_ignoring_case),
    "StringLike": _Operator("a string", _text, _like),
    "DateEquals": _Operator("a date", _date, _is_any),
    # Before any of several moments means before the last of them.
    "DateLessThan": _Operator("a date", _date, lambda dates: partial(gt, max(dates))),
    "DateLessThanEquals": _Operator("a date", _date, lambda dates: partial(ge, max(dates))),
    "DateGreaterThan": _Operator("a date", _date, lambda dates: partial(lt, min(dates))),
    "DateGreaterThanEquals": _Operator("a date", _date, lambda dates: partial(le, min(dates))),
    "Bool": _Operator("a Boolean", _boolean, _is_any),
    "IpAddress": _Operator("an IP address", _network, _is_in_any),
}
_OPERATORS |= {
    re.sub("(String|Date|)(.*)", r"\1Not\2", name, count=1): operator._replace(negated=True, if_absent=True)
    for name, operator in _OPERATORS.items()
    if name.startswith("String") or name in ("DateEquals", "IpAddress")
}
_OPERATORS |= {f"{name}IfExists": operator._replace(if_absent=True) for name, operator in _OPERATORS.items()}
_OPERATORS["Null"] = _Operator("any", _boolean, _is_any)


# JSON


class _Repeating(NamedTuple):
    """A JSON object with a member given twice, which is refused wherever it is, with its place in the message."""

    name: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeating:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            return _Repeating(name)
        members[name] = value
    return members


def _members(value: Any, place: str, known: Iterable[str] | None = None, kind: str = "member") -> Mapping[str, Any]:
    """Return `value`, checked to be an object with members, all of them `known` (None: any)."""
    if isinstance(value, _Repeating):
        raise PolicyError(f"{place}: has {value.name!r:.80} twice")
    if not isinstance(value, Mapping):
        raise PolicyError(f"{place}: must be an object")
    if not value:
        raise PolicyError(f"{place}: must not be empty")
    for name in value:
        if known is not None and name not in known:
            raise PolicyError(f"{place}: has the unknown {kind} {name!r:.80}")
    return value


def _one_or_more(value: Any, place: str) -> list[tuple[Any, str]]:
    """Return the elements of a list, or a single value, each with its place."""
    if not isinstance(value, list):
        return [(value, place)]
    if not value:
        raise PolicyError(f"{place}: must not be empty")
    return [(each, f"{place}[{index}]") for index, each in enumerate(value)]


def _managed(*actions: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}


MANAGED: dict[str, dict[str, Any]] = {
    "AmazonChimeFullAccess": _managed("chime:*"),
    "AmazonChimeReadOnly": _managed(
        "chime:Get*", "chime:List*", "chime:Describe*", "chime:SearchAvailablePhoneNumbers"
    ),
    "AdministratorAccess": _managed("*"),
}
"""The AWS managed policies, by name."""
