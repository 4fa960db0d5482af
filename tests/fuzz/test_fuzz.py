"""What fuzzing has found stays found: its corpus is replayed, more is made up, and the largest inputs are measured.

The targets themselves, and how to look for more with atheris: `fuzz/README.md`.
"""

import re
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numberkeep.aws import sigv4
from numberkeep.aws.errors import Refusal
from numberkeep.aws.policy import Policy, parse
from numberkeep.aws.sigv4 import Verifier

FUZZ = Path(__file__).parent.parent.parent / "fuzz"


def load() -> Any:
    spec = spec_from_file_location("numberkeep_fuzz_targets", FUZZ / "targets.py")
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


targets = load()
SMALL_SECONDS = 0.5
"""Of processor time, which a small input may take; most take less than a thousandth."""
LARGE_SECONDS = 4.0
"""Of processor time, which the largest input that the server lets through may take in a target, where it is read two to
eight times: by every flavour, say."""
HEAD_BYTES = 16 * 1024
BODY_BYTES = 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[None]:
    """What the targets make once is made before anything is measured, and is gone afterwards."""
    with targets.running():
        for name, target in targets.TARGETS.items():
            target((targets.CORPUS / name / "first").read_bytes())
        yield


def run(name: str, data: bytes, most_seconds: float) -> None:
    began = time.process_time()
    targets.TARGETS[name](data)
    seconds = time.process_time() - began
    assert seconds < most_seconds, f"{seconds:.2f} seconds of processor time for {len(data)} bytes"


# The corpus

CORPUS = [path.relative_to(targets.CORPUS).as_posix() for path in sorted(targets.CORPUS.glob("*/*"))]


def test_every_target_has_a_corpus() -> None:
    assert {name.partition("/")[0] for name in CORPUS} == set(targets.TARGETS)


@pytest.mark.parametrize("name", CORPUS)
def test_corpus(name: str) -> None:
    run(name.partition("/")[0], (targets.CORPUS / name).read_bytes(), SMALL_SECONDS)


# What is made up

WORDS = [
    word.encode().decode("unicode_escape").encode("latin-1")
    for word in re.findall(r'^"(.*)"$', (FUZZ / "dictionary").read_text(), re.MULTILINE)
]
PIECES = st.lists(
    st.sampled_from(WORDS) | st.sampled_from([b"\n", b"\n\n", b" ", b"/", b"?", b",", b":"]) | st.binary()
)


@st.composite
def near_a_seed(draw: st.DrawFn, name: str) -> bytes:
    """An input of the corpus of which one part is another."""
    seeds = [one for one in CORPUS if one.startswith(f"{name}/")]
    seed = (targets.CORPUS / draw(st.sampled_from(seeds))).read_bytes()
    begin, end = sorted((draw(st.integers(0, len(seed))), draw(st.integers(0, len(seed)))))
    return seed[:begin] + b"".join(draw(PIECES)) + seed[end:]


@pytest.mark.parametrize("name", targets.TARGETS)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_anything(name: str, data: st.DataObject) -> None:
    sent = data.draw(st.binary(max_size=1000) | PIECES.map(b"".join) | near_a_seed(name))
    run(name, sent, SMALL_SECONDS)


REQUESTS = st.builds(
    lambda method, path, query, headers, body: (method, path, query, headers, body),
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]),
    st.lists(
        st.sampled_from(["phone-numbers", "voice-connectors", "settings", "accounts", "%2B12065550100"]) | st.text()
    )
    .map(lambda parts: "/" + "/".join(parts))
    .map(lambda text: text.encode("utf-8", "replace").decode("latin-1")),
    st.text(st.characters(max_codepoint=255)),
    st.dictionaries(
        st.sampled_from(["host", "user-agent", "authorization"]), st.text(st.characters(max_codepoint=255))
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["Name", "ProductType"]), inner),
    ).map(lambda value: targets.msgspec.json.encode(surrogates_gone(value))),
)


def surrogates_gone(value: Any) -> Any:
    """`value` as JSON in UTF-8 can carry it."""
    if isinstance(value, dict):
        return {surrogates_gone(name): surrogates_gone(one) for name, one in value.items()}
    if isinstance(value, list):
        return [surrogates_gone(one) for one in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


@pytest.mark.parametrize("name", ["signature", "route", "trail", "sts", "api"])
@given(parts=REQUESTS)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_request(name: str, parts: tuple[str, str, str, dict[str, str], bytes]) -> None:
    method, path, query, headers, body = parts
    lines = "".join(f"\n{header}: {value}" for header, value in headers.items())
    run(name, f"{method} {path}?{query}{lines}\n\n".encode("latin-1") + body, SMALL_SECONDS)


# The largest inputs

SCOPE = "AKIAIOSFODNN7EXAMPLE/20260701/us-east-1/chime/aws4_request"


def signed(target: str = "/", more: str = "", names: str = "host", scope: str = SCOPE, date: str = "20260701T000000Z"):  # type: ignore[no-untyped-def]
    """A message with a signature, which is wrong, and parts that grow until the head is as large as may be."""
    head = (
        f"GET {target}\nhost: a\nx-amz-date: {date}\n"
        f"authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={'0' * 64}{more}"
    )
    assert 0.75 * HEAD_BYTES < len(head) <= HEAD_BYTES
    return head.encode("latin-1")


def filled(before: bytes, piece: bytes, after: bytes = b"") -> bytes:
    """As many of `piece` between `before` and `after` as a body may have bytes."""
    return before + piece * ((BODY_BYTES - len(before) - len(after)) // len(piece)) + after


def document(action: str = "*", resource: str = "*", condition: str = "") -> bytes:
    """A policy that is about as long as may be."""
    text = f'{{"Statement":{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"{condition}}}}}'
    assert len(text) <= 6144
    parse(text)
    return text.encode()


def query(start: str, piece: str, end: str = "") -> bytes:
    return (start + piece * ((HEAD_BYTES - len(start) - len(end)) // len(piece)) + end).encode("latin-1")


CONNECTOR = b"/voice-connectors/abcdefghijklmnopqrstu"
LARGE: dict[str, Callable[[], bytes]] = {
    "signature: signed headers": lambda: signed(names="host;" + ";".join(f"a{n}" for n in range(2500))),
    "signature: slashes in the credential": lambda: signed(scope="/" * 16000),
    "signature: commas": lambda: signed(more="," * 16000),
    "signature: pairs": lambda: signed(more=" a=b" * 4000),
    "signature: date": lambda: signed(date="2" * 16000),
    "signature: ampersands": lambda: signed("/?" + "&" * 16000),
    "signature: escapes": lambda: signed("/?" + "%ff&" * 4000),
    "signature: slashes": lambda: signed("/" * 16000),
    "signature: dots": lambda: signed("/a/.." * 2600),
    "signature: almost plain path": lambda: signed("/a" * 8000 + "!"),
    "signature: white space": lambda: signed(more="\nx: a" + "\t " * 8000, names="host;x"),
    "signature: parameters": lambda: signed("/?X-Amz-Algorithm=AWS4-HMAC-SHA256&" + "a=%41&" * 2600),
    "signature: body": lambda: filled(b"GET /\nhost: a\n\n", b"\xff"),
    "route: ampersands": lambda: query("GET /phone-numbers?", "&"),
    "route: parts": lambda: query("GET ", "/a"),
    "route: escapes": lambda: query("GET /phone-numbers/", "%ff"),
    "route: digits": lambda: query("GET /phone-numbers?max-results=", "9"),
    "route: a parameter again and again": lambda: query("GET /phone-numbers?", "max-results=x&"),
    "json: lists in lists": lambda: filled(b"UpdatePhoneNumber\n", b"["),
    "json: objects in objects": lambda: filled(b"UpdatePhoneNumber\n", b'{"CallingName":'),
    "json: lists in a list": lambda: filled(b'UpdatePhoneNumber\n{"Name":[', b"[],", b"[]]}"),
    "json: objects in a list": lambda: filled(b'UpdatePhoneNumber\n{"Name":[', b"{},", b"{}]}"),
    "json: digits": lambda: filled(b'PutVoiceConnectorTermination\n{"Termination":{"CpsLimit":', b"1", b"}}"),
    "json: decimals": lambda: filled(b'PutVoiceConnectorTermination\n{"Termination":{"CpsLimit":.', b"1", b"}}"),
    "json: members": lambda: b'UpdatePhoneNumber\n{"Name":1,' + b",".join(b'"%07d":0' % n for n in range(85000)) + b"}",
    "json: escapes": lambda: filled(b'UpdatePhoneNumber\n{"CallingName":"', b"\\u00e9", b'"}'),
    "json: a long name": lambda: filled(b'UpdatePhoneNumber\n{"Name":"', b"a ", b'!"}'),
    "json: empty numbers": lambda: filled(
        b'CreatePhoneNumberOrder\n{"E164PhoneNumbers":[', b'"",', b'""],"ProductType":"VoiceConnector"}'
    ),
    "trail: objects in objects": lambda: filled(b"PUT /settings\n\n", b'{"VoiceConnector":'),
    "trail: a long text": lambda: filled(b'POST /voice-connectors\n\n{"AwsRegion":"', b"x", b'"}'),
    "trail: objects in a list": lambda: filled(
        b"PUT " + CONNECTOR + b'/origination\n\n{"Origination":{"Routes":[', b"{},", b"{}]}}"
    ),
    "sts: ampersands": lambda: filled(b"POST /\n\n", b"&"),
    "sts: a long action": lambda: filled(b"POST /\n\nAction=", b"%26"),
    "sts: a long name": lambda: filled(b"POST /\n\n", b"a", b"="),
    "sts: NULs": lambda: filled(b"POST /\n\nAction=AssumeRole&RoleSessionName=me&RoleArn=", b"%00"),
    "sts: colons": lambda: filled(b"POST /\n\nAction=AssumeRole&RoleSessionName=me&RoleArn=", b":"),
    "policy: stars": lambda: document("c:" + "*a" * 1500, "arn:" + "*a" * 1500),
    "policy: question marks": lambda: document("c:" + "*?" * 1500, "arn:" + "*?" * 1500),
    "policy: white space": lambda: b" " * 131000 + document(),
    "policy: too much white space": lambda: b" " * BODY_BYTES,
    "policy: lists in lists": lambda: b"[" * 6144,
    "policy: objects in objects": lambda: b'{"a":' * 1200,
    "policy: digits": lambda: b"1" * 6144,
    "policy: statements": lambda: (
        b'{"Statement":[%b]}' % b",".join([b'{"Effect":"Deny","Action":"*","Resource":"*"}'] * 130)
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_the_largest_input_takes_no_longer_than_its_share(name: str) -> None:
    run(name.partition(":")[0], LARGE[name](), LARGE_SECONDS)


@pytest.mark.parametrize(
    "pattern", ["*" + "a" * 5900 + "b", "*a" * 2900 + "b", "*" + "a?" * 2900 + "b", "*" + "?" * 5900]
)
def test_the_longest_policy_decides_about_the_longest_resource_in_time(pattern: str) -> None:
    compiled = Policy([parse(document(resource=f"arn:{pattern}"))])
    began = time.process_time()
    compiled.decide("chime:GetVoiceConnector", "arn:" + "a" * HEAD_BYTES, targets._CONTEXTS[0])
    assert time.process_time() - began < LARGE_SECONDS


# Memory, and the disk


@pytest.mark.parametrize("name", ["json: objects in a list", "json: lists in lists", "sts: a long name"])
def test_the_largest_input_takes_no_more_memory_than_its_share(name: str) -> None:
    """At its peak: an empty object takes three bytes on the wire, and 64 bytes and its place in a list."""
    sent = LARGE[name]()
    tracemalloc.start()
    try:
        targets.TARGETS[name.partition(":")[0]](sent)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(sent)


@pytest.mark.parametrize(
    ("names", "scope"),
    [("host;" + ";".join(map("".join, product("abcdefghijklmnop", repeat=3))), SCOPE), ("host", "/éé" * 5200)],
    ids=["signed headers", "credential"],
)
def test_what_is_remembered_of_a_signature_is_small(names: str, scope: str) -> None:
    """1024 forms are remembered, before it is known whether who sent them has a key: of 32 KiB each, 32 MiB."""
    verify: Any = Verifier(lambda key_id, token: None, regions=None)
    several = 8
    sigv4._forms.clear()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for n in range(several):
            request = targets.message(signed(names=f"{names[:15_000]};x{n}", scope=f"{n}{scope}"))
            with pytest.raises(Refusal):
                verify(request, targets.NOW)
            del request
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        sigv4._forms.clear()
    assert after - before < several * 32 * 1024


def test_a_region_is_short() -> None:
    """STS takes any region: 1024 are kept with signing keys, and 10,000 with what the trail says of callers."""
    request = targets.message(signed(scope=f"{targets.CALLER.access_key_id}/20260701/{'é' * 15_000}/sts/aws4_request"))
    with pytest.raises(Refusal):
        sigv4.read_unverified(request)


@pytest.mark.parametrize(
    "sent",
    [
        filled(b'POST /voice-connectors\n\n{"AwsRegion":"', b"x", b'"}'),
        filled(b"POST /\n\nAction=AssumeRole&RoleArn=", b"x"),
    ],
    ids=["api", "sts"],
)
def test_a_record_is_short(sent: bytes) -> None:
    """CloudTrail leaves out parameters of more than 100 KB. Else whoever can send fills the disk, or turns the trail's
    files over until what they did before is gone."""
    lines: list[bytes] = []
    observers = [targets.Recorder(lines.append, lambda: "2026-07-01T00:00:00.000Z").record]

    def nobody(request: Any) -> Any:
        raise Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")

    nothing: Any = None
    api = targets.Api(
        targets._flavours(),
        nobody,
        targets._NoStore(),
        lambda: "id",
        sts=targets.Sts(nobody, nothing, observers=observers),
        observers=observers,
        real_seconds=lambda: targets.NOW,
    )
    api.handle(targets.message(sent), lambda response: None)
    assert len(lines) == 1
    assert len(lines[0]) <= 128 * 1024
