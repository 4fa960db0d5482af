"""AWS's documented logic case by case, every refusal by its place and reason, and what must hold of any policy."""

import json
import time
from collections.abc import Callable
from functools import cache
from itertools import permutations
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from numberkeep.aws.policy import MANAGED, MOST_CHARACTERS, Context, Policy, PolicyError, parse

JULY = 1_782_864_000  # 2026-07-01T00:00:00Z
CONTEXT = Context("203.0.113.9", JULY + 0.75, True, "us-east-1", "alice")
NUMBER = "arn:aws:chime:us-east-1:123456789012:phone-number/+12065550100"
GET = "chime:GetPhoneNumber"


def statement(effect: str = "Allow", **members: Any) -> dict[str, Any]:
    """A statement about everything, unless told."""
    about: dict[str, Any] = {"Effect": effect}
    if "NotAction" not in members:
        about["Action"] = "*"
    if "NotResource" not in members:
        about["Resource"] = "*"
    return about | members


def document(*statements: Any, **members: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)} | members


def policy(*documents: dict[str, Any]) -> Policy:
    return Policy(parse(json.dumps(each)) for each in documents)


def decide(*statements: dict[str, Any], action: str = GET, resource: str = NUMBER, context: Context = CONTEXT) -> str:
    return policy(document(*statements)).decide(action, resource, context)


# Statements

ALLOW, DENY = statement(), statement("Deny")


@pytest.mark.parametrize(
    ("statements", "decision"),
    [
        ([ALLOW], "Allow"),
        ([DENY], "ExplicitDeny"),
        ([ALLOW, DENY], "ExplicitDeny"),
        ([ALLOW, statement("Deny", Action="chime:DeletePhoneNumber")], "Allow"),
        ([ALLOW, statement("Deny", Action="chime:Get*")], "ExplicitDeny"),
        ([ALLOW, statement("Deny", Resource="arn:aws:chime:*:*:phone-number/+1303*")], "Allow"),
        ([ALLOW, statement("Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})], "Allow"),
        ([statement(Action="chime:ListPhoneNumbers"), statement(Action="chime:GetPhoneNumber")], "Allow"),
        ([statement(Action="chime:ListPhoneNumbers")], "ImplicitDeny"),
        # Actions: any of several, in any case, with wildcards
        ([statement(Action=["chime:ListPhoneNumbers", "chime:GetPhoneNumber"])], "Allow"),
        ([statement(Action="CHIME:getphonenumber")], "Allow"),
        ([statement(Action="chime:GETPHONE*")], "Allow"),
        ([statement(Action="chime:Get?honeNumber")], "Allow"),
        ([statement(Action="chime:*Number")], "Allow"),
        ([statement(Action="chime:*N*m?er")], "Allow"),
        ([statement(Action="chime:Get?PhoneNumber")], "ImplicitDeny"),
        ([statement(Action="chime:Phone*")], "ImplicitDeny"),
        ([statement(Action="chime:GetPhone")], "ImplicitDeny"),
        ([statement(Action="chim:*")], "ImplicitDeny"),
        ([statement(Action="s3:*")], "ImplicitDeny"),
        # NotAction is about everything else; it does not deny what it names
        ([statement(NotAction="chime:DeletePhoneNumber")], "Allow"),
        ([statement(NotAction=["iam:*", "chime:get*"])], "ImplicitDeny"),
        ([statement(NotAction="*")], "ImplicitDeny"),
        ([ALLOW, statement("Deny", NotAction="iam:*")], "ExplicitDeny"),
        ([ALLOW, statement("Deny", NotAction="chime:Get*")], "Allow"),
        # Resources: as written
        ([statement(Resource=NUMBER)], "Allow"),
        ([statement(Resource=["arn:aws:s3:::bucket", NUMBER])], "Allow"),
        ([statement(Resource=NUMBER.replace("phone-number", "Phone-Number"))], "ImplicitDeny"),
        ([statement(Resource="arn:aws:chime:*:123456789012:phone-number/+1206*")], "Allow"),
        ([statement(Resource="arn:aws:chime:us-east-?:123456789012:*")], "Allow"),
        ([statement(Resource="arn:aws:chime:us-east-?:12345678901?")], "ImplicitDeny"),
        ([statement(Resource="arn:aws:chime:us.east-1:123456789012:phone-number/.12065550100")], "ImplicitDeny"),
        ([statement(NotResource=NUMBER)], "ImplicitDeny"),
        ([statement(NotResource="arn:aws:chime:*:*:phone-number/+1303*")], "Allow"),
        ([ALLOW, statement("Deny", NotResource=[NUMBER, "arn:aws:s3:::*"])], "Allow"),
        ([ALLOW, statement("Deny", NotResource="arn:aws:s3:::*")], "ExplicitDeny"),
        # Action and resource are one statement's
        ([statement(Action="chime:Get*", Resource="arn:x"), statement(Action="s3:*", Resource=NUMBER)], "ImplicitDeny"),
    ],
)
def test_a_deny_overrides_an_allow_and_silence_denies(statements: list[dict[str, Any]], decision: str) -> None:
    assert decide(*statements) == decision
    assert policy(*map(document, statements)).decide(GET, NUMBER, CONTEXT) == decision  # of several documents


def test_no_document_allows_nothing() -> None:
    assert Policy([]).decide(GET, NUMBER, CONTEXT) == "ImplicitDeny"
    assert Policy([]).unconditional


def test_one_statement_needs_no_list() -> None:
    assert policy({"Statement": ALLOW}).decide(GET, NUMBER, CONTEXT) == "Allow"


def test_unconditional_means_without_any_condition() -> None:
    condition = {"Bool": {"aws:SecureTransport": "true"}}
    assert policy(document(ALLOW, DENY)).unconditional
    assert not policy(document(ALLOW, statement("Deny", Condition=condition))).unconditional
    assert not policy(document(ALLOW), document(statement(Condition=condition))).unconditional


def test_more_actions_than_are_remembered() -> None:
    policies = policy(document(statement(Action="chime:Get*7")))
    decisions = [policies.decide(f"chime:Get{number}", NUMBER, CONTEXT) for number in range(3000)]
    assert [decision == "Allow" for decision in decisions] == [number % 10 == 7 for number in range(3000)]
    assert policies.decide("chime:Get7", NUMBER, CONTEXT) == "Allow"


def test_what_aws_manages() -> None:
    def allowed(name: str) -> list[str]:
        actions = (GET, "chime:SearchAvailablePhoneNumbers", "chime:DeletePhoneNumber", "iam:CreateUser")
        return [action for action in actions if Policy([MANAGED[name]]).decide(action, NUMBER, CONTEXT) == "Allow"]

    assert allowed("AmazonChimeReadOnly") == [GET, "chime:SearchAvailablePhoneNumbers"]
    assert allowed("AmazonChimeFullAccess") == [GET, "chime:SearchAvailablePhoneNumbers", "chime:DeletePhoneNumber"]
    assert "iam:CreateUser" in allowed("AdministratorAccess")
    for managed in MANAGED.values():
        assert parse(json.dumps(managed)) == managed


# Conditions

IP, TIME, TLS, REGION, USER = (
    "aws:SourceIp",
    "aws:CurrentTime",
    "aws:SecureTransport",
    "aws:RequestedRegion",
    "aws:username",
)
NOBODY = CONTEXT._replace(username=None, source_ip="")


@pytest.mark.parametrize(
    ("operator", "key", "values", "holds"),
    [
        ("StringEquals", USER, "alice", True),
        ("StringEquals", USER, "Alice", False),
        ("StringEquals", USER, "al*", False),
        ("StringEquals", USER, ["bob", "alice"], True),
        ("StringEquals", REGION, "us-east-1", True),
        ("StringNotEquals", USER, "alice", False),
        ("StringNotEquals", USER, "Alice", True),
        ("StringNotEquals", USER, ["bob", "alice"], False),
        ("StringNotEquals", USER, ["bob", "carol"], True),
        ("StringEqualsIgnoreCase", USER, "ALICE", True),
        ("StringEqualsIgnoreCase", USER, ["BOB", "carol"], False),
        ("StringNotEqualsIgnoreCase", USER, "ALICE", False),
        ("StringNotEqualsIgnoreCase", USER, "BOB", True),
        ("StringLike", USER, "al*", True),
        ("StringLike", USER, "alic?", True),
        ("StringLike", USER, "alice?", False),
        ("StringLike", USER, "AL*", False),
        ("StringLike", REGION, ["eu-*", "us-*"], True),
        ("StringNotLike", REGION, ["eu-*", "us-*"], False),
        ("StringNotLike", REGION, ["eu-*", "ap-*"], True),
        ("DateEquals", TIME, "2026-07-01T00:00:00Z", True),
        ("DateEquals", TIME, "2026-07-01T00:00:01Z", False),
        ("DateEquals", TIME, ["2026-06-01T00:00:00Z", "2026-07-01"], True),
        ("DateEquals", TIME, "2026-07", True),
        ("DateEquals", TIME, "2026-07-01T00:00Z", True),
        ("DateEquals", TIME, "2026-07-01T02:00:00.000+02:00", True),
        ("DateEquals", TIME, "2026-06-30T19:00-05:00", True),
        ("DateEquals", TIME, str(JULY), True),
        ("DateEquals", TIME, JULY, True),
        ("DateEquals", TIME, f"{JULY}.0", True),
        ("DateNotEquals", TIME, "2026-07-01T00:00:00Z", False),
        ("DateNotEquals", TIME, ["2026-06-01T00:00:00Z", "2026-07-02T00:00:00Z"], True),
        ("DateLessThan", TIME, "2026-07-01T00:00:00Z", False),
        ("DateLessThan", TIME, JULY + 1, True),
        ("DateLessThan", TIME, JULY + 0.5, True),
        ("DateLessThan", TIME, [JULY - 1, JULY + 1], True),
        ("DateLessThan", TIME, [JULY - 1, JULY], False),
        ("DateLessThanEquals", TIME, "2026-07-01T00:00:00Z", True),
        ("DateLessThanEquals", TIME, JULY - 1, False),
        ("DateLessThanEquals", TIME, [JULY, JULY - 1], True),
        ("DateGreaterThan", TIME, "2026-07-01T00:00:00Z", False),
        ("DateGreaterThan", TIME, "2026-06-30T23:59:59Z", True),
        ("DateGreaterThan", TIME, [JULY + 1, JULY - 1], True),
        ("DateGreaterThan", TIME, 0, True),
        ("DateGreaterThanEquals", TIME, "2026-07-01T00:00:00Z", True),
        ("DateGreaterThanEquals", TIME, JULY + 1, False),
        ("DateGreaterThanEquals", TIME, [JULY + 1, JULY], True),
        ("Bool", TLS, "true", True),
        ("Bool", TLS, True, True),
        ("Bool", TLS, "True", True),
        ("Bool", TLS, "false", False),
        ("Bool", TLS, False, False),
        ("Bool", TLS, ["false", True], True),
        ("IpAddress", IP, "203.0.113.9", True),
        ("IpAddress", IP, "203.0.113.9/32", True),
        ("IpAddress", IP, "203.0.113.10", False),
        ("IpAddress", IP, "203.0.113.0/24", True),
        ("IpAddress", IP, "203.0.113.77/24", True),
        ("IpAddress", IP, "203.0.112.0/24", False),
        ("IpAddress", IP, ["198.51.100.0/24", "203.0.113.0/29"], False),
        ("IpAddress", IP, ["2001:db8::/32", "203.0.113.8/29"], True),
        ("IpAddress", IP, "0.0.0.0/0", True),
        ("IpAddress", IP, "::/0", False),
        ("NotIpAddress", IP, "203.0.113.0/24", False),
        ("NotIpAddress", IP, ["198.51.100.0/24", "2001:db8::/32"], True),
        ("NotIpAddress", IP, ["198.51.100.0/24", "203.0.113.0/24"], False),
        ("Null", USER, "true", False),
        ("Null", USER, "false", True),
        ("Null", USER, ["true", False], True),
        ("Null", IP, True, False),
        ("Null", TIME, False, True),
        ("Null", TLS, "false", True),
        ("Null", REGION, "true", False),
    ],
)
def test_an_operator_with_its_key_present(operator: str, key: str, values: Any, holds: bool) -> None:
    for name in {operator, operator if operator == "Null" else f"{operator}IfExists"}:
        assert decide(statement(Condition={name: {key: values}})) == ("Allow" if holds else "ImplicitDeny")
        assert decide(ALLOW, statement("Deny", Condition={name: {key.upper(): values}})) == (
            "ExplicitDeny" if holds else "Allow"
        )


@pytest.mark.parametrize(
    ("operator", "key", "value", "holds"),
    [
        ("StringEquals", USER, "", False),
        ("StringEqualsIgnoreCase", USER, "alice", False),
        ("StringLike", USER, "*", False),
        ("StringNotEquals", USER, "alice", True),
        ("StringNotEqualsIgnoreCase", USER, "alice", True),
        ("StringNotLike", USER, "*", True),
        ("IpAddress", IP, "0.0.0.0/0", False),
        ("NotIpAddress", IP, "0.0.0.0/0", True),
        ("Null", USER, "true", True),
        ("Null", USER, False, False),
        ("Null", IP, "true", True),
        ("Null", IP, "false", False),
    ],
)
def test_an_operator_with_its_key_absent(operator: str, key: str, value: Any, holds: bool) -> None:
    allow = statement(Condition={operator: {key: value}})
    assert decide(allow, context=NOBODY) == ("Allow" if holds else "ImplicitDeny")
    if operator != "Null":
        assert decide(statement(Condition={f"{operator}IfExists": {key: value}}), context=NOBODY) == "Allow"


def test_case_is_ignored_on_either_side() -> None:
    context = CONTEXT._replace(username="Alice")
    assert decide(statement(Condition={"StringEqualsIgnoreCase": {USER: "aLICE"}}), context=context) == "Allow"


def test_a_date_without_a_time_is_utc_wherever_the_service_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        decision = decide(statement(Condition={"DateEquals": {TIME: "2026-07-01"}}))
    time.tzset()
    assert decision == "Allow"


def test_seconds_have_no_fractions_on_either_side() -> None:
    for fraction in (0, 0.001, 0.999):
        context = CONTEXT._replace(current_time=JULY + fraction)
        assert decide(statement(Condition={"DateEquals": {TIME: JULY}}), context=context) == "Allow"
        assert decide(statement(Condition={"DateGreaterThan": {TIME: JULY}}), context=context) == "ImplicitDeny"


@pytest.mark.parametrize(
    ("source_ip", "values", "holds"),
    [
        ("2001:db8::1", "2001:db8::/32", True),
        ("2001:db9::1", "2001:db8::/32", False),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1", True),
        ("2001:db8::1", "0.0.0.0/0", False),
        ("::ffff:203.0.113.9", "203.0.113.0/24", True),
        ("::ffff:203.0.113.9", "::/0", False),
        ("fe80::1%eth0", "fe80::/10", True),
        ("0.0.0.9", "::9/128", False),
        ("localhost", "0.0.0.0/0", False),
        ("203.0.113.9:443", "0.0.0.0/0", False),
    ],
)
def test_addresses_of_both_families(source_ip: str, values: str, holds: bool) -> None:
    context = CONTEXT._replace(source_ip=source_ip)
    for operator, expected in (("IpAddress", holds), ("NotIpAddress", not holds)):
        allow = statement(Condition={operator: {IP: values}})
        assert decide(allow, context=context) == ("Allow" if expected else "ImplicitDeny")


TRUE = [("Bool", TLS, "true"), ("StringEquals", USER, "alice"), ("StringEquals", REGION, "us-east-1")]


@pytest.mark.parametrize("broken", [None, 0, 1, 2])
def test_all_operators_and_all_keys_must_hold(broken: int | None) -> None:
    condition: dict[str, dict[str, str]] = {}
    for index, (operator, key, value) in enumerate(TRUE):
        condition.setdefault(operator, {})[key] = "false" if index == broken else value
    assert decide(statement(Condition=condition)) == ("Allow" if broken is None else "ImplicitDeny")


def test_a_condition_is_of_its_statement_alone() -> None:
    bob = statement(Condition={"StringEquals": {USER: "bob"}})
    assert decide(bob, statement(Action="chime:Get*")) == "Allow"
    assert decide(statement("Deny", Condition={"StringEquals": {USER: "bob"}}), ALLOW) == "Allow"


# Wildcards against an oracle


def like(pattern: str, text: str) -> bool:
    """What a wildcard means, with no thought of speed."""

    @cache
    def rest(i: int, j: int) -> bool:
        if i == len(pattern):
            return j == len(text)
        if pattern[i] == "*":
            return any(rest(i + 1, k) for k in range(j, len(text) + 1))
        return j < len(text) and pattern[i] in ("?", text[j]) and rest(i + 1, j + 1)

    return rest(0, 0)


pieces = st.text("ab*?", max_size=9) | st.text("ab*?.\\[\n", max_size=9)


@settings(max_examples=500)
@given(st.lists(pieces, min_size=1, max_size=3), st.text("ab", max_size=12) | st.text("ab*?.\\[\n", max_size=12))
@example(["*a*b*"], "aba")
@example(["a*ab*b"], "aab")
@example(["*ab"], "aab")
@example(["a*?"], "a")
@example(["**"], "")
@example(["*a?*a"], "baaba")
def test_wildcards_are_those_of_the_oracle(patterns: list[str], text: str) -> None:
    resource = statement(Resource=[f"arn:{pattern}" for pattern in patterns])
    user = statement(Condition={"StringLike": {USER: patterns}})
    expected = "Allow" if any(like(pattern, text) for pattern in patterns) else "ImplicitDeny"
    assert decide(resource, resource=f"arn:{text}") == expected
    assert decide(user, context=CONTEXT._replace(username=text)) == expected


@given(st.text("aBc*?", min_size=1, max_size=8), st.text("abC", max_size=10))
def test_an_action_is_one_in_any_case(pattern: str, name: str) -> None:
    expected = "Allow" if like(pattern.lower(), name.lower()) else "ImplicitDeny"
    assert decide(statement(Action=f"Chime:{pattern}"), action=f"chime:{name}") == expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a" * 2500 + "*b", "a" * 100_000),
        ("a*" * 2500 + "b*", "a" * 100_000),
        ("*?" * 2500 + "*b", "a" * 100_000),
        ("*a?" * 1500 + "*b", "a" * 100_000),
        ("*ab" * 1500 + "*c", "ab" * 50_000),
        ("*" * 5000 + "b", "a" * 100_000),
        ("*" + "a" * 1000 + "b*", "a" * 2048),
        ("*" + "a?" * 500 + "b*", "a" * 2048),
    ],
)
def test_no_pattern_is_slow(pattern: str, text: str) -> None:
    policies = policy(document(statement(Resource=f"arn:{pattern}")))
    start = time.process_time()
    assert policies.decide(GET, f"arn:{text}", CONTEXT) == "ImplicitDeny"
    assert time.process_time() - start < 2  # backtracking would take longer than there is time


# Refusals


def refused(text: str | bytes) -> str:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    return str(caught.value)


def condition(**operators: Any) -> dict[str, Any]:
    return document(ALLOW, statement(Condition=operators))


ACTION_FORM = "must be * or service:name, with letters, digits, * and ?"
DATE_FORM = "must be a date such as 2026-07-01T00:00:00Z, or epoch seconds"
IP_FORM = "must be an IPv4 or IPv6 address or range in CIDR notation"
VARIABLE = "has a policy variable, which is not supported"


@pytest.mark.parametrize(
    ("refused_document", "message"),
    [
        ([], "Document: must be an object"),
        ("*", "Document: must be an object"),
        (None, "Document: must be an object"),
        ({}, "Document: must not be empty"),
        ({"Version": "2012-10-17"}, "Document: has no Statement"),
        (document(ALLOW, Versoin=1), "Document: has the unknown member 'Versoin'"),
        (document(ALLOW, statement=[]), "Document: has the unknown member 'statement'"),
        (document(ALLOW, Version="2012-10-18"), "Version: must be 2012-10-17 or 2008-10-17"),
        (document(ALLOW, Version=20121017), "Version: must be a string"),
        (document(ALLOW, Version=["2012-10-17"]), "Version: must be a string"),
        (document(ALLOW, Id=1), "Id: must be a string"),
        (document(), "Statement: must not be empty"),
        ({"Statement": None}, "Statement: must be an object"),
        ({"Statement": {}}, "Statement: must not be empty"),
        (document(ALLOW, [ALLOW]), "Statement[1]: must be an object"),
        (document(ALLOW, {}), "Statement[1]: must not be empty"),
        (document(statement(Principal="*")), "Statement[0]: has the unknown member 'Principal'"),
        (document(statement(NotPrincipal="*")), "Statement[0]: has the unknown member 'NotPrincipal'"),
        (document(statement(**{"x" * 999: 1})), f"Statement[0]: has the unknown member '{'x' * 79}"),
        (document(statement(Sid=1)), "Statement[0].Sid: must be a string"),
        (document(statement(Sid="a-b")), "Statement[0].Sid: must have letters A-Z and a-z and digits only"),
        (document(statement(Sid="a\n")), "Statement[0].Sid: must have letters A-Z and a-z and digits only"),
        (document(statement(Sid="é")), "Statement[0].Sid: must have letters A-Z and a-z and digits only"),
        (document(statement(Sid="A"), statement(Sid="B"), statement(Sid="A")), "Statement[2].Sid: is not unique"),
        ({"Statement": {"Action": "*", "Resource": "*"}}, "Statement: has no Effect"),
        (document(statement("allow")), "Statement[0].Effect: must be Allow or Deny"),
        (document(ALLOW | {"Effect": ["Allow"]}), "Statement[0].Effect: must be a string"),
        (document({"Effect": "Allow", "Resource": "*"}), "Statement[0]: must have exactly one of Action and NotAction"),
        (document(ALLOW | {"NotAction": "*"}), "Statement[0]: must have exactly one of Action and NotAction"),
        (
            document({"Effect": "Deny", "Action": "*"}),
            "Statement[0]: must have exactly one of Resource and NotResource",
        ),
        (document(ALLOW | {"NotResource": "*"}), "Statement[0]: must have exactly one of Resource and NotResource"),
        (document(statement(Action=[])), "Statement[0].Action: must not be empty"),
        (document(statement(Action=None)), "Statement[0].Action: must be a string"),
        (document(statement(Action=["*", ["*"]])), "Statement[0].Action[1]: must be a string"),
        (document(statement(NotAction={"a": 1})), "Statement[0].NotAction: must be a string"),
        (document(statement(Action="")), f"Statement[0].Action: {ACTION_FORM}"),
        (document(statement(Action="GetPhoneNumber")), f"Statement[0].Action: {ACTION_FORM}"),
        (document(statement(NotAction=["*", "*:*"])), f"Statement[0].NotAction[1]: {ACTION_FORM}"),
        (document(statement(Action="chi*:Get")), f"Statement[0].Action: {ACTION_FORM}"),
        (document(statement(Action="chime:")), f"Statement[0].Action: {ACTION_FORM}"),
        (document(statement(Action="chime:Get\n")), f"Statement[0].Action: {ACTION_FORM}"),
        (document(statement(Action="chime:a:b")), f"Statement[0].Action: {ACTION_FORM}"),
        (document(statement(Action="chime:\u212a")), f"Statement[0].Action: {ACTION_FORM}"),
        (document(statement(Resource="phone-number/1")), "Statement[0].Resource: must be * or begin with arn:"),
        (document(statement(Resource="ARN:aws:x")), "Statement[0].Resource: must be * or begin with arn:"),
        (document(statement(NotResource=["*", "**"])), "Statement[0].NotResource[1]: must be * or begin with arn:"),
        (document(statement(Resource=7)), "Statement[0].Resource: must be a string"),
        (document(statement(Resource="arn:${aws:username}")), f"Statement[0].Resource: {VARIABLE}"),
        (document(statement(Resource="arn:\ud800")), "Statement[0].Resource: has half a surrogate pair"),
        (document(ALLOW, Id="\udfff"), "Id: has half a surrogate pair"),
        (document(statement(Condition=None)), "Statement[0].Condition: must be an object"),
        (document(statement(Condition=[])), "Statement[0].Condition: must be an object"),
        (condition(), "Statement[1].Condition: must not be empty"),
        (condition(IpAddress={}), "Statement[1].Condition.IpAddress: must not be empty"),
        (condition(IpAddress="10.0.0.0/8"), "Statement[1].Condition.IpAddress: must be an object"),
        (condition(IpAddress={IP: []}), "Statement[1].Condition.IpAddress.aws:SourceIp: must not be empty"),
        (condition(IpAdress={IP: "::1"}), "Statement[1].Condition: has the unknown operator 'IpAdress'"),
        (condition(ipaddress={IP: "::1"}), "Statement[1].Condition: has the unknown operator 'ipaddress'"),
        (condition(NullIfExists={IP: True}), "Statement[1].Condition: has the unknown operator 'NullIfExists'"),
        (condition(BoolIfExistsIfExists={}), "Statement[1].Condition: has the unknown operator 'BoolIfExistsIfExists'"),
        (condition(NotBool={}), "Statement[1].Condition: has the unknown operator 'NotBool'"),
        (condition(DateNotLessThan={}), "Statement[1].Condition: has the unknown operator 'DateNotLessThan'"),
        (condition(ArnLike={}), "Statement[1].Condition: has the unknown operator 'ArnLike'"),
        (
            condition(**{"ForAnyValue:StringLike": {USER: "a"}}),
            "Statement[1].Condition: has the unknown operator 'ForAnyValue:StringLike'",
        ),
        (
            condition(**{"ForAllValues:StringLike": {USER: "a"}}),
            "Statement[1].Condition: has the unknown operator 'ForAllValues:StringLike'",
        ),
        (
            condition(StringEquals={"aws:userid": "a"}),
            "Statement[1].Condition.StringEquals: has the unknown key 'aws:userid'",
        ),
        (condition(Null={"\ud800": True}), "Statement[1].Condition.Null: has the unknown key '\\ud800'"),
        (
            condition(StringLike={USER: "a", "AWS:UserName": "b"}),
            "Statement[1].Condition.StringLike: has the key aws:username twice",
        ),
        (
            condition(StringLike={IP: "10.*"}),
            "Statement[1].Condition.StringLike: does not fit aws:SourceIp, which is an IP address",
        ),
        (
            condition(DateLessThanIfExists={USER: "2026-07-01"}),
            "Statement[1].Condition.DateLessThanIfExists: does not fit aws:username, which is a string",
        ),
        (
            condition(NotIpAddress={TLS: "::1"}),
            "Statement[1].Condition.NotIpAddress: does not fit aws:SecureTransport, which is a Boolean",
        ),
        (condition(Bool={TIME: True}), "Statement[1].Condition.Bool: does not fit aws:CurrentTime, which is a date"),
        (condition(StringEquals={USER: True}), "Statement[1].Condition.StringEquals.aws:username: must be a string"),
        (condition(StringLike={USER: ["a", 1]}), "Statement[1].Condition.StringLike.aws:username[1]: must be a string"),
        (condition(StringLike={USER: [["a"]]}), "Statement[1].Condition.StringLike.aws:username[0]: must be a string"),
        (condition(StringNotLike={USER: "${*}"}), f"Statement[1].Condition.StringNotLike.aws:username: {VARIABLE}"),
        (condition(Bool={TLS: 1}), "Statement[1].Condition.Bool.aws:SecureTransport: must be a string"),
        (condition(Bool={TLS: "yes"}), "Statement[1].Condition.Bool.aws:SecureTransport: must be true or false"),
        (condition(Null={TLS: ""}), "Statement[1].Condition.Null.aws:SecureTransport: must be true or false"),
    ],
)
def test_what_is_not_understood_is_refused(refused_document: Any, message: str) -> None:
    assert refused(json.dumps(refused_document)) == message


@pytest.mark.parametrize(
    "value",
    [
        *("", "10", "10.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/255.0.0.0", "10.0.0.0/8/8", "10.0.0.0/8 "),
        *("010.0.0.1", "10.0.0.*", "\u0661.1.1.1", "localhost", "::/129", "fe80::1%eth0", "fe80::%1/64"),
        *("::ffff:10.0.0.1", "::ffff:10.0.0.0/104"),
    ],
)
def test_what_is_no_network_is_refused(value: str) -> None:
    place = "Statement[1].Condition.IpAddress.aws:SourceIp[1]"
    assert refused(json.dumps(condition(IpAddress={IP: ["::1", value]}))) == f"{place}: {IP_FORM}"


@pytest.mark.parametrize(
    "value",
    [
        *("", "2026", "tomorrow", "2026-13-01", "2026-02-30", "2026-07-01T00:00:00", "2026-07-01 00:00:00Z"),
        *("2026-07-01T00:00:00+2", "2026-07-01T25:00:00Z", "0000-01-01", "2026-W01", "\u0662026-07-01"),
        *("-1", "1e9", "1782864000000", " 5", True, None, -1, 10**12, 1e999, [5], {}),
    ],
)
def test_what_is_no_date_is_refused(value: Any) -> None:
    place = "Statement[1].Condition.DateEquals.aws:CurrentTime[0]"
    assert refused(json.dumps(condition(DateEquals={TIME: [value]}))) == f"{place}: {DATE_FORM}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"Statement":[],"Statement":[]}', "Document: has 'Statement' twice"),
        ('{"Statement":[{"Effect":"Deny","Effect":"Allow"}]}', "Statement[0]: has 'Effect' twice"),
        (
            '{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{},"Bool":{}}}}',
            "Statement.Condition: has 'Bool' twice",
        ),
        ("", "Document: is not JSON in UTF-8: Expecting value: line 1 column 1 (char 0)"),
        ("{'Statement': []}", "Document: is not JSON in UTF-8: Expecting property name"),
        ('{"Statement":[]} {}', "Document: is not JSON in UTF-8: Extra data"),
        ("\ufeff{}", "Document: is not JSON in UTF-8: Unexpected UTF-8 BOM"),
        (b'{"Id":"\xff"}', "Document: is not JSON in UTF-8: 'utf-8' codec"),
        (b"\xed\xa0\x80", "Document: is not JSON in UTF-8: 'utf-8' codec"),
        ("{}".encode("utf-16"), "Document: is not JSON in UTF-8: 'utf-8' codec"),
        ('{"Id":"\ud800","Statement":[]}', "Id: has half a surrogate pair"),
        ('{"Id":' + "9" * 5000 + "}", "Document: is not JSON in UTF-8: Exceeds the limit"),
        ('{"Id":NaN,"Statement":[]}', "Id: must be a string"),
        (" " * 131_073, "Document: has more than 131072 characters"),
    ],
)
def test_text_that_is_no_policy_is_refused(text: str | bytes, message: str) -> None:
    assert refused(text).startswith(message)


@pytest.mark.parametrize(
    "bomb", ["[" * 6000, "[" * 3000 + "]" * 3000, '{"a":' * 1200, '{"a":' * 1000 + "1" + "}" * 1000]
)
def test_nesting_bombs_are_refused(bomb: str) -> None:
    for text in (bomb, f'{{"Statement":{bomb}', f'{{"Statement":[{{"Sid":{bomb}}}]}}'):
        assert refused(text).startswith(("Document: ", "Statement"))


def test_white_space_does_not_count() -> None:
    empty = len(json.dumps(document(ALLOW, Id=""), separators=(",", ":")))
    full = document(ALLOW, Id="x" * (MOST_CHARACTERS - empty))
    assert parse(json.dumps(full, indent=4) + "\r\n\t " * 10_000) == full
    assert parse(json.dumps(full, separators=(",", ":")).encode()) == full
    full["Id"] += "x"
    assert refused(json.dumps(full)) == "Document: has more than 6144 characters without white space"


def test_a_document_is_kept_as_it_was_written() -> None:
    written = {
        "Id": "Größe",
        "Version": "2008-10-17",
        "Statement": {
            "Sid": "",
            "Resource": ["*"],
            "Action": "CHIME:get*",
            "Effect": "Deny",
            "Condition": {"DateLessThan": {"AWS:currenttime": [5, "6"]}, "Bool": {TLS: True}},
        },
    }
    kept = parse(json.dumps(written))
    assert kept == written
    assert list(kept) == list(written)
    assert parse(json.dumps(document(statement(Sid=""), statement(Sid=""))))  # an empty Sid is none


# What holds of any policy

ACTIONS = [GET, "chime:ListPhoneNumbers", "chime:DeletePhoneNumber", "iam:CreateUser"]
RESOURCES = [NUMBER, "arn:aws:chime:us-east-1:123456789012:phone-number/+13035550100", "*", "arn:x"]
contexts = st.builds(
    Context,
    st.sampled_from(["", "203.0.113.9", "2001:db8::1", "::ffff:10.0.0.1"]),
    st.sampled_from([0.0, JULY - 1.0, JULY + 0.5, 4e9]),
    st.booleans(),
    st.sampled_from(["us-east-1", "eu-central-1"]),
    st.sampled_from([None, "alice", "bob"]),
)
VALUES: dict[str, list[Any]] = {
    IP: ["203.0.113.0/24", "2001:db8::/32", "10.0.0.1"],
    TIME: ["2026-07-01T00:00:00Z", JULY - 1, "0"],
    TLS: ["true", False],
    REGION: ["us-*", "us-east-1", "EU-CENTRAL-1"],
    USER: ["alice", "B?B", "*"],
}
STRINGS = ["Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike"]
DATES = ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"]
FITTING = {
    IP: ["IpAddress", "NotIpAddress"],
    TIME: [f"Date{name}" for name in DATES],
    TLS: ["Bool"],
    REGION: [f"String{name}" for name in STRINGS],
    USER: [f"String{name}" for name in STRINGS],
}


@st.composite
def some_conditions(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    operators: dict[str, dict[str, Any]] = {}
    for key in draw(st.sets(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3)):
        operator = draw(st.sampled_from([*FITTING[key], "Null"]))
        values: list[Any] = ["true", False] if operator == "Null" else VALUES[key]
        if operator != "Null" and draw(st.booleans()):
            operator += "IfExists"
        chosen = st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=2)
        operators.setdefault(operator, {})[key] = draw(chosen)
    return operators


def some_of(*values: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=3)


@st.composite
def some_statements(draw: st.DrawFn, effect: str | None = None) -> dict[str, Any]:
    made = {
        "Effect": effect or draw(st.sampled_from(["Allow", "Deny"])),
        draw(st.sampled_from(["Action", "NotAction"])): draw(some_of("*", "chime:*", "chime:Get*", *ACTIONS)),
        draw(st.sampled_from(["Resource", "NotResource"])): draw(some_of("*", NUMBER, "arn:*+1303*", "arn:?")),
    }
    if draw(st.booleans()):
        made["Condition"] = draw(some_conditions())
    return made


policies = st.lists(some_statements(), min_size=1, max_size=5)
requests = st.tuples(st.sampled_from(ACTIONS), st.sampled_from(RESOURCES), contexts)


@given(policies, some_statements("Deny"), requests)
def test_another_deny_never_allows_more(
    statements: list[dict[str, Any]], deny: dict[str, Any], request_: tuple[str, str, Context]
) -> None:
    before, after = (policy(document(*each)).decide(*request_) for each in (statements, [*statements, deny]))
    assert after in (before, "ExplicitDeny")


@given(policies, some_statements("Allow"), requests)
def test_another_allow_never_allows_less(
    statements: list[dict[str, Any]], allow: dict[str, Any], request_: tuple[str, str, Context]
) -> None:
    before, after = (policy(document(*each)).decide(*request_) for each in (statements, [*statements, allow]))
    assert (before, after) == ("ImplicitDeny", "Allow") or before == after


@given(st.lists(some_statements(), min_size=1, max_size=3), requests)
def test_order_does_not_matter_nor_which_document(
    statements: list[dict[str, Any]], request_: tuple[str, str, Context]
) -> None:
    decisions = {policy(document(*each)).decide(*request_) for each in permutations(statements)}
    decisions |= {policy(*map(document, each)).decide(*request_) for each in permutations(statements)}
    decisions.add(decide_slowly(statements, request_))
    assert len(decisions) == 1


def decide_slowly(statements: list[dict[str, Any]], request_: tuple[str, str, Context]) -> str:
    """Each statement asked alone, the decisions put together as AWS documents it."""
    alone = [policy(document(each)).decide(*request_) for each in statements]
    return next((decision for decision in ("ExplicitDeny", "Allow") if decision in alone), "ImplicitDeny")


@given(some_conditions(), contexts)
def test_negated_operators_are_the_opposite(operators: dict[str, dict[str, Any]], context: Context) -> None:
    opposites = {"StringEquals": "StringNotEquals", "StringEqualsIgnoreCase": "StringNotEqualsIgnoreCase"}
    opposites |= {"StringLike": "StringNotLike", "DateEquals": "DateNotEquals", "IpAddress": "NotIpAddress"}
    for name, keys in operators.items():
        for key, values in keys.items():
            if name in opposites:
                one, other = (
                    decide(statement(Condition={operator: {key: values}}), context=context)
                    for operator in (name, opposites[name])
                )
                assert {one, other} == {"Allow", "ImplicitDeny"}


@given(some_statements(), requests)
def test_a_not_is_the_opposite(made: dict[str, Any], request_: tuple[str, str, Context]) -> None:
    action, resource, context = request_
    made.pop("Condition", None)
    for one, other, rest in (("Action", "NotAction", {"Resource": "*"}), ("Resource", "NotResource", {"Action": "*"})):
        patterns = made.get(one, made.get(other))
        decisions = {
            policy(document({"Effect": "Allow", name: patterns} | rest)).decide(action, resource, context)
            for name in (one, other)
        }
        assert decisions == {"Allow", "ImplicitDeny"}


# Nothing but PolicyError

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["Version", "Id", "Statement", "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"]
WORDS = ["Allow", "Deny", "*", "arn:*", "2012-10-17", "a:b", "${a}", "\ud800", "::1", "0001-01-01T00:00+23:59", "true"]
words = st.sampled_from(WORDS)
names = st.sampled_from([*NAMES, *VALUES, *(name for fitting in FITTING.values() for name in fitting), "Null"])
almost_policies = st.recursive(
    words | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=20,
)


def spoil(draw: st.DrawFn, value: Any) -> Any:
    """`value` with something in it exchanged for something else, most of the time."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 9)):
        copy: Any = value.copy()
        place = draw(st.sampled_from(sorted(copy) if isinstance(copy, dict) else range(len(copy))))
        copy[place] = spoil(draw, copy[place])
        return copy
    return draw(any_json | words | st.text(max_size=20) | st.integers(0, 10**13))


@st.composite
def spoilt_policies(draw: st.DrawFn) -> Any:
    return spoil(draw, document(*draw(policies)))


def accepts(text: str | bytes) -> bool:
    try:
        parsed = parse(text)
    except PolicyError as error:
        str(error).encode()  # can be told
        return False
    assert json.loads(json.dumps(parsed)) == parsed
    assert Policy([parsed]).decide(GET, NUMBER, CONTEXT) in ("Allow", "ExplicitDeny", "ImplicitDeny")
    return True


@given(st.text(st.characters()) | st.text('{}[]":,\\u d8.0-9eE"'))
def test_any_text_is_accepted_or_refused(text: str) -> None:
    accepts(text)


@given(st.binary())
def test_any_bytes_are_accepted_or_refused(text: bytes) -> None:
    accepts(text)


@settings(max_examples=300)
@given(any_json | almost_policies | spoilt_policies(), st.booleans())
def test_any_json_is_accepted_or_refused(value: Any, ascii_only: bool) -> None:
    accepts(json.dumps(value, ensure_ascii=ascii_only))


@given(policies)
def test_policies_are_accepted(statements: list[dict[str, Any]]) -> None:
    """The property tests above speak of policies, not of refusals."""
    assert accepts(json.dumps(document(*statements)))


@given(policies, requests)
def test_unconditional_policies_do_not_look_at_the_context(
    statements: list[dict[str, Any]], request_: tuple[str, str, Context]
) -> None:
    made = policy(document(*statements))
    assert made.unconditional == (not any("Condition" in each for each in statements))
    if made.unconditional:
        decide_anyhow: Callable[..., str] = made.decide
        assert made.decide(*request_) == decide_anyhow(*request_[:2], None)
