"""AWS's own suite, botocore as an independent signer, and every refusal by its exact words."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import combinations
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from numberkeep.aws import sigv4
from numberkeep.aws.errors import Refusal
from numberkeep.aws.message import Request
from numberkeep.aws.sigv4 import Key, Verifier, read_unverified
from numberkeep.domain.caller import Caller

from . import sigv4_suite

ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CALLER = Caller("123456789012", "arn:aws:iam::123456789012:user/alice", ACCESS_KEY_ID)
KEY = Key(CALLER, SECRET)
HOST = "chime.us-east-1.amazonaws.com"
REGIONS = frozenset({"us-east-1", "eu-central-1"})


def caller_by(verify: Verifier) -> Callable[[Request, float], Caller]:
    """`verify`, of whose answer the caller alone is looked at."""
    return lambda request, now: verify(request, now).caller


def verifier(*keys: Key, **options: Any) -> Verifier:
    by_id = {key.caller.access_key_id: key for key in keys or (KEY,)}
    return caller_by(Verifier(lambda key_id, _: by_id.get(key_id), **({"regions": REGIONS} | options)))


def signed(
    method: str = "POST",
    path: str = "/phone-numbers/%2B12065550100",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b'{"CallingName":"Numberkeep"}',
    *,
    token: str | None = None,
    region: str = "us-east-1",
    service: str = "chime",
) -> Request:
    """A request that botocore has just signed, as it arrives."""
    aws = AWSRequest(method, f"https://{HOST}{path}" + (query and f"?{query}"), headers, body)
    SigV4Auth(Credentials(ACCESS_KEY_ID, SECRET, token), service, region).add_auth(aws)
    return Request(method, path, query, arriving(aws), body)


def presigned(
    method: str = "GET",
    path: str = "/phone-numbers/%2B12065550100",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    *,
    token: str | None = None,
    expires: int = 900,
) -> Request:
    aws = AWSRequest(method, f"https://{HOST}{path}" + (query and f"?{query}"), headers)
    SigV4QueryAuth(Credentials(ACCESS_KEY_ID, SECRET, token), "chime", "us-east-1", expires).add_auth(aws)
    return Request(method, path, urlsplit(aws.url).query, arriving(aws), b"")


def arriving(aws: AWSRequest) -> dict[str, str]:
    headers = {"host": HOST, "user-agent": "Boto3/1 botocore/1"}
    return headers | {name.lower(): value.encode().decode("latin-1") for name, value in aws.headers.items()}


def date_of(request: Request) -> str:
    if "x-amz-date" in request.headers:
        return request.headers["x-amz-date"]
    return request.query.partition("X-Amz-Date=")[2][:16]


def moment_of(request: Request) -> int:
    return int(datetime.strptime(date_of(request) + "+0000", "%Y%m%dT%H%M%SZ%z").timestamp())


def basic(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y%m%dT%H%M%SZ}"


def with_headers(request: Request, **changes: str | None) -> Request:
    """`request` with some headers changed (``_`` for ``-``) or, if None, left out."""
    headers = dict(request.headers)
    for name, value in changes.items():
        headers.pop(name.replace("_", "-"), None)
        if value is not None:
            headers[name.replace("_", "-")] = value
    return replace(request, headers=headers)


def with_authorization(request: Request, old: str, new: str) -> Request:
    assert old in request.headers["authorization"]
    return with_headers(request, authorization=request.headers["authorization"].replace(old, new))


def with_query(request: Request, old: str, new: str) -> Request:
    assert old in request.query
    return replace(request, query=request.query.replace(old, new))


def refusal(verify: Verifier, request: Request, now: float | None = None) -> tuple[str, str]:
    """Type and message of the refusal that `request` gets."""
    with pytest.raises(Refusal) as refused:
        verify(request, moment_of(request) if now is None else now)
    assert refused.value.status == 403
    return refused.value.shape, str(refused.value)


MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)
UNKNOWN_KEY = ("UnrecognizedClientException", "The security token included in the request is invalid.")
WRONG_TOKEN = ("UnrecognizedClientException", "The security token included in the request is invalid")
EXPIRED_TOKEN = ("ExpiredTokenException", "The security token included in the request is expired")


# AWS's suite


@pytest.fixture(scope="session")
def suite(pytestconfig: pytest.Config) -> sigv4_suite.Suite:
    assert pytestconfig.cache
    return sigv4_suite.obtain(pytestconfig.cache.mkdir("sigv4-suite"))


def test_the_suite_is_run_whole(suite: sigv4_suite.Suite) -> None:
    assert suite.names() == set(sigv4_suite.NAMES)


@pytest.mark.parametrize("name", sigv4_suite.NAMES)
def test_case_of_the_suite(suite: sigv4_suite.Suite, name: str) -> None:
    request, canonical_request, string_to_sign = suite.case(name)
    token = request.headers.get("x-amz-security-token")
    caller = Caller("123456789012", "arn:aws:iam::123456789012:root", sigv4_suite.ACCESS_KEY_ID)
    key = Key(caller, sigv4_suite.SECRET_ACCESS_KEY, token)
    verify = verifier(key, regions={sigv4_suite.REGION}, service=sigv4_suite.SERVICE)

    assert verify(request, sigv4_suite.MOMENT) == caller

    head, _, signature = request.headers["authorization"].rpartition("=")
    explanation = (
        f"\n\nThe Canonical String for this request should have been\n'{canonical_request}'"
        f"\n\nThe String-to-Sign should have been\n'{string_to_sign}'\n"
    )
    if token and token in canonical_request:
        explanation = ""  # it is a secret
    for place, digit in enumerate(signature):
        other = signature[:place] + ("1" if digit == "0" else "0") + signature[place + 1 :]
        broken = with_headers(request, authorization=f"{head}={other}")
        assert refusal(verify, broken, sigv4_suite.MOMENT) == (
            "InvalidSignatureException",
            MISMATCH + explanation,
        )


# botocore as the oracle

text = st.text(st.characters(categories=["L", "N", "P", "S"], include_characters=" "), max_size=12)
name = st.from_regex(r"[A-Za-z][A-Za-z0-9_.~-]{0,8}", fullmatch=True).filter(lambda name: name[:2] != "X-")
segment = text.map(lambda segment: quote(segment, safe="")) | st.sampled_from(["", ".", "..", "%2B12065550100"])
path = st.lists(segment, max_size=5).map(lambda segments: "/" + "/".join(segments))
query = st.lists(st.tuples(name | text.filter(bool), text), max_size=4)
headers = st.dictionaries(st.from_regex(r"X-Test-[a-z]{1,6}", fullmatch=True), text.map(str.strip), max_size=3)


def encoded(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def changed(request: Request) -> Iterator[Request]:
    """`request` with any one thing changed, as often as there are things."""
    yield replace(request, method="DELETE")
    yield replace(request, path=request.path + "x")
    yield replace(request, query=request.query + "&" * bool(request.query) + "another=1")
    if request.query:
        pair, *rest = request.query.split("&")
        yield replace(request, query="&".join([pair + "x", *rest]))
    yield replace(request, body=request.body + b"\0")
    for header in request.headers:
        if header not in ("authorization", "user-agent"):
            yield with_headers(request, **{header: request.headers[header] + "x"})
            yield with_headers(request, **{header: None})


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["GET", "POST", "PUT", "PATCH"]), path, query, headers, st.binary(max_size=64))
def test_what_botocore_signs_is_accepted_and_nothing_else(
    method: str, path: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> None:
    request = signed(method, path, encoded(query), headers, body)
    verify, now = verifier(), moment_of(request)
    assert verify(request, now) == CALLER
    for other in changed(request):
        refusal(verify, other, now)


@settings(max_examples=100, deadline=None)
@given(path, st.lists(st.tuples(name, text), max_size=3, unique_by=lambda pair: pair[0]), headers)
def test_what_botocore_presigns_is_accepted_and_nothing_else(
    path: str, query: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    request = presigned("GET", path, encoded(query), headers)
    verify, now = verifier(), moment_of(request)
    assert verify(request, now) == CALLER
    for other in changed(request):
        refusal(verify, other, now)


garbage = st.text(st.characters(max_codepoint=0xFF), max_size=40)
fragments = st.lists(
    garbage
    | st.sampled_from(
        [
            *("AWS4-HMAC-SHA256 ", " ", ",", "=", "&", "+", "%", ";", "a/b/c/d/e", "0123456789abcdef"),
            *("Credential=", "SignedHeaders=host", "Signature=", "20150830T123600Z", "99999999T999999Z"),
            *("00000101T000000Z", "00010101T000000Z", "Sun, 30 Aug 2015 12:36:00 GMT", "X-Amz-Credential="),
            *("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-SignedHeaders=host", "X-Amz-Signature=f"),
            *("X-Amz-Date=20150830T123600Z", "X-Amz-Expires=60"),
            "X-Amz-Credential=AKIA/20150830/us-east-1/chime/aws4_request",
            "AWS4-HMAC-SHA256 Credential=AKIA/20150830/\xe9/chime/aws4_request,SignedHeaders=host,Signature=",
        ]
    ),
    max_size=10,
)


@settings(max_examples=300, deadline=None)
@given(fragments.map("".join), fragments.map("&".join), fragments.map("".join), garbage, garbage, garbage)
def test_garbage_is_refused_and_breaks_nothing(
    authorization: str, query: str, date: str, token: str, method: str, path: str
) -> None:
    for place in ({"authorization": authorization}, {}, {"authorization": authorization, "x-amz-date": date}):
        request = Request(method, path, query, {"host": token, "x-amz-security-token": token} | place, b"")
        with suppress(Refusal):
            read_unverified(request)
        with pytest.raises(Refusal):
            verifier(regions=None)(request, sigv4_suite.MOMENT)


# Refusals, in AWS's order


class Draft:
    """A good request before it is put together, in parts that can be broken one by one."""

    def __init__(self, good: Request) -> None:
        self.good = good
        self.now = moment_of(good)
        self.algorithm, *pairs = good.headers["authorization"].replace(",", "").split(" ")
        self.parts = dict(pair.split("=") for pair in pairs)
        self.credential = self.parts["Credential"].split("/")
        self.date: str | None = date_of(good)
        self.authenticated = True
        self.stray = ""
        self.query = ""
        self.token: str | None = None

    @property
    def authorization(self) -> str:
        parts = self.parts | {"Credential": "/".join(self.credential)}
        return f"{self.algorithm} {', '.join(f'{name}={value}' for name, value in parts.items())}{self.stray}"

    def request(self) -> Request:
        authorization = self.authorization if self.authenticated else None
        request = with_headers(
            self.good, authorization=authorization, x_amz_date=self.date, x_amz_security_token=self.token
        )
        return replace(request, query=self.query)


def no_authentication(draft: Draft) -> tuple[str, str]:
    draft.authenticated = False
    return "MissingAuthenticationTokenException", "Missing Authentication Token"


def two_authentications(draft: Draft) -> tuple[str, str]:
    draft.query = "X-Amz-Algorithm=AWS4-HMAC-SHA256"
    return (
        "InvalidSignatureException",
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    )


def other_algorithm(draft: Draft) -> tuple[str, str]:
    draft.algorithm = "AWS4-ECDSA-P256-SHA256"
    return "IncompleteSignatureException", "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'."


def stray_word(draft: Draft) -> tuple[str, str]:
    draft.stray = ", FooBar"
    return (
        "IncompleteSignatureException",
        f"'FooBar' not a valid key=value pair (missing equal-sign) in Authorization header: '{draft.authorization}'.",
    )


def no_signature(draft: Draft) -> tuple[str, str]:
    del draft.parts["Signature"]
    return (
        "IncompleteSignatureException",
        f"Authorization header requires 'Signature' parameter. Authorization={draft.authorization}",
    )


def no_date(draft: Draft) -> tuple[str, str]:
    draft.date = None
    return (
        "IncompleteSignatureException",
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        f"Authorization={draft.authorization}",
    )


def host_unsigned(draft: Draft) -> tuple[str, str]:
    draft.parts["SignedHeaders"] = "content-type;x-amz-date"
    return (
        "InvalidSignatureException",
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    )


def bad_date(draft: Draft) -> tuple[str, str]:
    draft.date = "201"
    return (
        "IncompleteSignatureException",
        "Date must be in ISO-8601 'basic format'. Got '201'. See http://en.wikipedia.org/wiki/ISO_8601",
    )


def too_old(draft: Draft) -> tuple[str, str]:
    now = draft.now = moment_of(draft.good) + 301
    return (
        "InvalidSignatureException",
        f"Signature expired: {date_of(draft.good)} is now earlier than {basic(now - 300)} ({basic(now)} - 5 min.)",
    )


def too_new(draft: Draft) -> tuple[str, str]:
    now = draft.now = moment_of(draft.good) - 301
    return (
        "InvalidSignatureException",
        f"Signature not yet current: {date_of(draft.good)} is still later than {basic(now + 300)} "
        f"({basic(now)} + 5 min.)",
    )


def four_elements(draft: Draft) -> tuple[str, str]:
    del draft.credential[-1]
    return (
        "IncompleteSignatureException",
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
        f"got '{'/'.join(draft.credential)}'",
    )


def other_scope(draft: Draft) -> tuple[str, str]:
    draft.credential[1:] = ["20150830", "mars-1", "dynamodb", "aws5_request"][: len(draft.credential) - 1]
    date = date_of(draft.good)
    return (
        "InvalidSignatureException",
        "Credential should be scoped to a valid region, not 'mars-1'. "
        "Credential should be scoped to correct service: 'chime'. "
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'. "
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        f"'20150830' != '{date[:8]}', from '{date}'.",
    )


def unknown_key(draft: Draft) -> tuple[str, str]:
    draft.credential[0] = "AKIANOBODY"
    return UNKNOWN_KEY


def token_nobody_gave(draft: Draft) -> tuple[str, str]:
    draft.token = "made up"
    return WRONG_TOKEN


def wrong_signature(draft: Draft) -> tuple[str, str]:
    draft.parts["Signature"] = "0" * 64
    return "InvalidSignatureException", MISMATCH


BREAKS: list[Callable[[Draft], tuple[str, str]]] = [
    *(no_authentication, two_authentications, other_algorithm, stray_word, no_signature, no_date),
    *(host_unsigned, bad_date, too_old, too_new, four_elements, other_scope, unknown_key),
    *(token_nobody_gave, wrong_signature),
]
TOGETHER_SOMETHING_ELSE = [
    {no_authentication, two_authentications},  # that is a presigned URL
    {no_signature, no_date},  # reported together
    {no_signature, wrong_signature},
    {no_date, bad_date},
    {too_old, too_new},
]


@pytest.fixture(scope="module")
def good() -> Request:
    return signed(headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda break_it: break_it.__name__)
def test_refusal(good: Request, break_it: Callable[[Draft], tuple[str, str]]) -> None:
    draft = Draft(good)
    assert verifier()(draft.request(), draft.now) == CALLER
    shape, message = break_it(draft)
    refused = refusal(verifier(), draft.request(), draft.now)
    assert refused[0] == shape
    assert refused[1].partition("\n\nThe Canonical String")[0] == message


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in combinations(BREAKS, 2) if set(pair) not in TOGETHER_SOMETHING_ELSE],
    ids=lambda break_it: break_it.__name__,
)
def test_of_two_faults_the_first_in_order_is_reported(
    good: Request, first: Callable[[Draft], tuple[str, str]], second: Callable[[Draft], tuple[str, str]]
) -> None:
    draft = Draft(good)
    second(draft)
    try:
        expected = first(draft)
    except KeyError:
        pytest.fail("the two cannot be combined: list them in TOGETHER_SOMETHING_ELSE")
    assert refusal(verifier(), draft.request(), draft.now) == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("/us-east-1/", "/mars-1/", "Credential should be scoped to a valid region, not 'mars-1'."),
        ("/chime/", "/s3/", "Credential should be scoped to correct service: 'chime'."),
        (
            "/aws4_request",
            "/aws5_request",
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'.",
        ),
    ],
)
def test_each_part_of_the_scope_counts(good: Request, old: str, new: str, message: str) -> None:
    refused = refusal(verifier(), with_authorization(good, old, new))
    assert refused == ("InvalidSignatureException", message)


def test_all_missing_parts_are_reported_together() -> None:
    request = Request("GET", "/", "", {"host": HOST, "authorization": "AWS4-HMAC-SHA256"}, b"")
    assert refusal(verifier(), request, 0) == (
        "IncompleteSignatureException",
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' "
        "parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires "
        "existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256",
    )


@pytest.mark.parametrize(
    ("old", "new", "shape", "message"),
    [
        (
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA1",
            "IncompleteSignatureException",
            "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'.",
        ),
        (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=",
            "X-Amz-Algorithm&Credential=",
            "IncompleteSignatureException",
            "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must "
            "include 'X-Amz-Credential'. Re-examine the query-string parameters.",
        ),
        (
            "X-Amz-SignedHeaders=host",
            "X-Amz-SignedHeaders=date",
            "InvalidSignatureException",
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            "X-Amz-Date=20",
            "X-Amz-Date=x20",
            "IncompleteSignatureException",
            "Date must be in ISO-8601 'basic format'. Got 'x{date}'. See http://en.wikipedia.org/wiki/ISO_8601",
        ),
        *(
            (
                "X-Amz-Expires=900",
                f"X-Amz-Expires={expires}",
                "IncompleteSignatureException",
                f"X-Amz-Expires must be a number of seconds from 1 to 604800. Got '{expires}'.",
            )
            for expires in ("0", "-1", "604801", "1.5", "soon", "9" * 5000)
        ),
        (
            "%2Fchime",
            "",
            "IncompleteSignatureException",
            "Credential must have exactly 5 slash-delimited elements",
        ),
        (
            "%2Fchime",
            "%2Fs3",
            "InvalidSignatureException",
            "Credential should be scoped to correct service: 'chime'.",
        ),
        (ACCESS_KEY_ID, "AKIANOBODY", *UNKNOWN_KEY),
        ("X-Amz-Signature=", "X-Amz-Signature=0", "InvalidSignatureException", MISMATCH),
        ("X-Amz-Expires=900", "X-Amz-Expires=901", "InvalidSignatureException", MISMATCH),
    ],
)
def test_refusal_of_a_presigned_url(old: str, new: str, shape: str, message: str) -> None:
    request = presigned()
    refused_shape, refused_message = refusal(verifier(), with_query(request, old, new), moment_of(request))
    assert refused_shape == shape
    assert refused_message.startswith(message.format(date=date_of(request)))


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda break_it: break_it.__name__)
def test_unverified_only_the_form_counts(good: Request, break_it: Callable[[Draft], tuple[str, str]]) -> None:
    draft = Draft(good)
    expected = break_it(draft)
    if break_it in (too_old, too_new, other_scope, unknown_key, token_nobody_gave, wrong_signature):
        assert read_unverified(draft.request())[0] == draft.credential[0]
    else:
        with pytest.raises(Refusal) as refused:
            read_unverified(draft.request())
        assert (refused.value.shape, str(refused.value)) == expected


def test_of_repeated_parameters_of_a_presigned_url_the_first_counts() -> None:
    request = presigned()
    repeated = replace(request, query=request.query + "&X-Amz-Date=201&X-Amz-Expires=0")
    assert refusal(verifier(), repeated)[1].startswith(MISMATCH)


def test_unverified_presigned_url() -> None:
    assert read_unverified(presigned())[0] == ACCESS_KEY_ID


# Time


@pytest.mark.parametrize("age", [-300, 0, 300, 300.9])
def test_the_skew_is_allowed_to_the_second(good: Request, age: float) -> None:
    assert verifier()(good, moment_of(good) + age) == CALLER


def test_skew_of_odd_seconds(good: Request) -> None:
    assert refusal(verifier(skew_seconds=90), good, moment_of(good) + 91)[1].endswith(" - 90 sec.)")


def test_a_presigned_url_lives_as_long_as_it_says() -> None:
    request = presigned(expires=7200)
    signed_at = moment_of(request)
    for age in (-300, 0, 7200):
        assert verifier()(request, signed_at + age) == CALLER
    assert refusal(verifier(), request, signed_at + 7201) == (
        "InvalidSignatureException",
        f"Signature expired: {basic(signed_at)} is now earlier than {basic(signed_at + 1)} "
        f"({basic(signed_at + 7201)} - 120 min.)",
    )
    assert "Signature not yet current" in refusal(verifier(), request, signed_at - 301)[1]


def test_without_a_lifetime_a_presigned_url_lives_as_long_as_the_skew() -> None:
    request = presigned()
    request = with_query(request, "X-Amz-Expires=900&", "")
    assert refusal(verifier(), request)[1].startswith(MISMATCH)
    assert "Signature expired" in refusal(verifier(), request, moment_of(request) + 301)[1]


@pytest.mark.parametrize("days", [-1, 1])
def test_the_scope_is_of_the_day_of_the_signature(good: Request, days: int) -> None:
    other_day = f"{datetime.fromtimestamp(moment_of(good), UTC) + timedelta(days=days):%Y%m%d}"
    request = with_authorization(good, f"/{date_of(good)[:8]}/", f"/{other_day}/")
    assert refusal(verifier(), request)[1].startswith("Date in Credential scope does not match")


@pytest.mark.parametrize(
    "write",
    [
        lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        lambda moment: format_datetime(moment, usegmt=True),
        lambda moment: format_datetime(moment.replace(tzinfo=None)),
    ],
    ids=["ISO extended", "HTTP", "botocore"],
)
@pytest.mark.parametrize("header", ["date", "x-amz-date"])
def test_dates_of_other_formats(write: Callable[[datetime], str], header: str) -> None:
    # Not signed as a header, so that its format is free: the signature covers it in the string to sign.
    good = signed()
    aws = AWSRequest("POST", f"https://{HOST}{good.path}", data=good.body)
    aws.context["timestamp"] = date_of(good)
    auth = SigV4Auth(Credentials(ACCESS_KEY_ID, SECRET), "chime", "us-east-1")
    signature = auth.signature(auth.string_to_sign(aws, auth.canonical_request(aws)), aws)
    credential = auth.scope(aws)
    request = with_headers(
        good,
        authorization=f"AWS4-HMAC-SHA256 Credential={credential},SignedHeaders=host,Signature={signature}",
        x_amz_date=None,
        **{header: write(datetime.fromtimestamp(moment_of(good), UTC))},
    )
    assert verifier()(request, moment_of(good)) == CALLER


def test_x_amz_date_comes_before_date(good: Request) -> None:
    request = with_headers(good, date="Sun, 30 Aug 2015 12:36:00 GMT")
    assert verifier()(request, moment_of(good)) == CALLER


@pytest.mark.parametrize(
    "date", ["20150230T123600Z", "2015-08-30", "20150830T126000Z", "20150830T123600+0100", "Sun, 30 Abc 2015"]
)
def test_dates_that_are_none(good: Request, date: str) -> None:
    assert refusal(verifier(), with_headers(good, x_amz_date=date), 0) == (
        "IncompleteSignatureException",
        f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601",
    )


# Regions


def test_regions() -> None:
    for region in REGIONS:
        request = signed(region=region)
        assert verifier()(request, moment_of(request)) == CALLER
    request = signed(region="us-west-2")
    assert refusal(verifier(), request) == (
        "InvalidSignatureException",
        "Credential should be scoped to a valid region, not 'us-west-2'.",
    )
    assert verifier(regions=None)(request, moment_of(request)) == CALLER


# Keys and session tokens

TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJH+A=="
TEMPORARY = Key(CALLER, SECRET, TOKEN)


@pytest.mark.parametrize("sign", [signed, presigned])
class TestSessionToken:
    def test_the_right_one(self, sign: Callable[..., Request]) -> None:
        request = sign(token=TOKEN)
        assert verifier(TEMPORARY)(request, moment_of(request)) == CALLER

    def test_none_where_one_is_needed(self, sign: Callable[..., Request]) -> None:
        assert refusal(verifier(TEMPORARY), sign()) == UNKNOWN_KEY

    @pytest.mark.parametrize("token", ["another", TOKEN + "A", TOKEN[:-1], "\xe9"])
    def test_a_wrong_one(self, sign: Callable[..., Request], token: str) -> None:
        assert refusal(verifier(TEMPORARY), sign(token=token)) == WRONG_TOKEN

    def test_one_where_none_belongs(self, sign: Callable[..., Request]) -> None:
        assert refusal(verifier(), sign(token=TOKEN)) == WRONG_TOKEN

    def test_unsigned(self, sign: Callable[..., Request]) -> None:
        request = with_headers(sign(), x_amz_security_token=TOKEN)
        assert verifier(TEMPORARY)(request, moment_of(request)) == CALLER

    def test_is_not_shown(self, sign: Callable[..., Request]) -> None:
        request = replace(sign(token=TOKEN), method="DELETE")
        assert refusal(verifier(TEMPORARY), request) == ("InvalidSignatureException", MISMATCH)

    def test_of_an_expired_key(self, sign: Callable[..., Request]) -> None:
        request = sign(token=TOKEN)
        now = moment_of(request)
        verify = verifier(Key(CALLER, SECRET, TOKEN, expires_at=now))
        assert verify(request, now) == CALLER
        assert refusal(verify, request, now + 0.001) == EXPIRED_TOKEN
        assert refusal(verify, replace(request, method="DELETE"), now + 0.001) == EXPIRED_TOKEN


def test_a_changed_or_revoked_key_stops_at_once(good: Request) -> None:
    keys = {ACCESS_KEY_ID: KEY}
    verify, now = caller_by(Verifier(lambda key_id, _: keys.get(key_id), regions=None)), moment_of(good)
    assert verify(good, now) == CALLER
    keys[ACCESS_KEY_ID] = Key(CALLER, SECRET + "x")
    assert refusal(verify, good)[1].startswith(MISMATCH)
    del keys[ACCESS_KEY_ID]
    assert refusal(verify, good) == UNKNOWN_KEY


# What is signed


@pytest.mark.parametrize(
    "signature",
    [
        str.upper,
        lambda signature: signature[:-1],
        lambda signature: signature + "0",
        lambda signature: signature[:-1] + "\xe9",
        lambda _: "",
    ],
)
def test_a_signature_is_64_lower_case_digits(good: Request, signature: Callable[[str], str]) -> None:
    head, _, right = good.headers["authorization"].rpartition("Signature=")
    assert right != right.upper()
    request = with_headers(good, authorization=f"{head}Signature={signature(right)}")
    assert refusal(verifier(), request)[1].startswith(MISMATCH)


def test_a_hash_of_the_body_is_welcome() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    request = signed("GET", body=b"", headers={"X-Amz-Content-SHA256": empty})
    assert verifier()(request, moment_of(request)) == CALLER
    assert refusal(verifier(), replace(request, body=b"{}"))[1].startswith(MISMATCH)


@pytest.mark.parametrize("content_hash", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64, ""])
def test_any_other_content_hash_is_refused(content_hash: str) -> None:
    request = signed(headers={"X-Amz-Content-SHA256": content_hash})
    assert refusal(verifier(), request)[1].startswith(MISMATCH)
    # also beside a signature over the true hash
    request = with_headers(signed(), x_amz_content_sha256=content_hash)
    assert refusal(verifier(), request)[1].startswith(MISMATCH)


@pytest.mark.parametrize("query", ["X-Amz-Signature=0&a=b", "name=X-Amz-Algorithm"])
def test_a_signed_query_may_look_presigned(query: str) -> None:
    request = signed("GET", query=query, body=b"")
    assert verifier()(request, moment_of(request)) == CALLER
    refusal(verifier(), replace(request, query="a=b"), moment_of(request))


def test_white_space_in_a_header_is_one_space() -> None:
    request = signed(headers={"X-Test": "a\tb c"})
    for same in ("a b c", "a\tb c", "a \t b  c"):
        assert verifier()(with_headers(request, x_test=same), moment_of(request)) == CALLER
    refusal(verifier(), with_headers(request, x_test="a bc"), moment_of(request))


def test_a_plus_in_the_query_is_a_space() -> None:
    request = signed("GET", query="name=Front%20desk", body=b"")
    now = moment_of(request)
    assert verifier()(replace(request, query="name=Front+desk"), now) == CALLER
    refusal(verifier(), replace(request, query="name=Front%2Bdesk"), now)


def test_the_query_in_another_encoding_and_order_is_the_same() -> None:
    request = signed("GET", query="b=%C3%A9&a=%2A~&a=", body=b"")
    now = moment_of(request)
    for same in ("a&a=*%7E&b=%c3%a9", "&a=%2a~&&b=\xc3\xa9&a="):
        assert verifier()(replace(request, query=same), now) == CALLER
    refusal(verifier(), replace(request, query="b=%C3%A9&a=%2A~"), now)


def test_the_way_the_header_is_written_is_free(good: Request) -> None:
    algorithm, credential, signed_headers, signature = good.headers["authorization"].replace(",", "").split(" ")
    names = signed_headers.removeprefix("SignedHeaders=").split(";")
    for authorization in (
        f"{algorithm} {credential},{signed_headers},{signature}",
        f"{algorithm} {credential} {signed_headers} {signature}",
        f"{algorithm}   {signature} ,,  {signed_headers},  {credential},",
        f"{algorithm} Credential=x, Signature=y, {credential}, {signed_headers}, {signature}",
        f"{algorithm} {credential}, SignedHeaders={';'.join(reversed(names)).upper()}, {signature}",
    ):
        request = with_headers(good, authorization=authorization)
        for _ in range(2):  # the second time from what was remembered
            assert verifier()(request, moment_of(good)) == CALLER


def test_what_is_remembered_of_a_header_never_hides_another_part(good: Request) -> None:
    head, _, signature = good.headers["authorization"].rpartition("Signature=")
    for _ in range(2):
        request = with_headers(good, authorization=f"{head}Signature=0, XSignature={signature}")
        assert refusal(verifier(), request)[1].startswith(MISMATCH)
    assert verifier()(good, moment_of(good)) == CALLER
    request = with_headers(good, authorization=f"{head}Signature={signature},SignedHeaders=date")
    assert "'Host'" in refusal(verifier(), request)[1]
    assert "'X-Amz-Date'" in refusal(verifier(), with_headers(good, x_amz_date=None), moment_of(good))[1]


def test_what_is_remembered_is_bounded(good: Request) -> None:
    for number in range(3000):
        read_unverified(with_authorization(good, ACCESS_KEY_ID, f"AKIA{number}"))
    assert len(sigv4._forms) <= sigv4._MOST_FORMS


def test_requests_are_not_changed(good: Request) -> None:
    before = deepcopy(good)
    verifier()(good, moment_of(good))
    assert good == before
