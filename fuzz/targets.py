"""The fuzz targets: functions of bytes that return for anything an attacker may send, and raise if there is a bug.

A bug is any exception but `Refusal` and `Error`, an answer or a record that cannot be written, and one whose size is
out of proportion to the input. The caller has to watch time and memory: `fuzz/run.py`, or a test.

Requests are written as messages: a request line without the version, header lines, an empty line, and the body, with LF
at the end of a line. The head is read as Latin-1 and not checked: it may contain what the server's own parser would
refuse.
"""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

from numberkeep.aws import policy as policies
from numberkeep.aws.api import Api
from numberkeep.aws.call import ApiCall
from numberkeep.aws.cloudtrail import Recorder
from numberkeep.aws.errors import Refusal
from numberkeep.aws.message import Request, Response
from numberkeep.aws.model import Flavour, Operation, flavours
from numberkeep.aws.policy import Context, Policy, PolicyError
from numberkeep.aws.sigv4 import Identity, Key, Verifier, read_unverified
from numberkeep.aws.sts import Sts
from numberkeep.carriers.routing import carriers_of, simulated_only
from numberkeep.domain.caller import Caller
from numberkeep.domain.errors import BadRequest, Error
from numberkeep.domain.limits import QUOTAS
from numberkeep.keyring import Keyring
from numberkeep.operations import INSTEAD, OPERATIONS
from numberkeep.sealing import Sealer
from numberkeep.storage import identities
from numberkeep.storage.sqlite import Sqlite
from numberkeep.world import World

NOW = 1_782_864_000
"""2026-07-01T00:00:00Z, in epoch seconds."""
MOST_FOLD = 8
"""How many bytes of an answer or a record one byte of a request may cause: ``%00`` in a form can become ``\\u0000``."""
MOST_BESIDES = 64 * 1024
"""How many bytes are allowed in addition, whatever the request is."""

ACCOUNT = "123456789012"
CALLER = Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/alice", "AKIAIOSFODNN7EXAMPLE", "alice", "AIDAALICE")
ALICE = Identity(CALLER, "us-east-1")
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105 - AWS's example
ROLE_NAME = "ops"


class Finding(AssertionError):
    """An input had a result that is no exception, but a bug all the same."""


def message(data: bytes) -> Request:
    """The request that is written in `data`."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    method, _, target = first.partition(" ")
    path, _, query = target.partition("?")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return Request(method, path, query, headers, body, "192.0.2.1", True)


def check_size(what: str, made: bytes, data: bytes) -> None:
    if len(made) > MOST_FOLD * len(data) + MOST_BESIDES:
        raise Finding(f"{what} of {len(made)} bytes for an input of {len(data)}")


def refused(call: Callable[[], Any], data: bytes) -> Exception | None:
    """The Refusal or Error that `call` raises, after checking that its answer can be written; None if it raises
    none."""
    try:
        call()
    except (Refusal, Error) as error:
        check_size("an answer", _api().refuse(error).body, data)
        return error
    return None


@cache
def _flavours() -> dict[str, Flavour]:
    return flavours(OPERATIONS, INSTEAD)


@cache
def _api() -> Api:
    """An API that writes the answers to refusals."""
    nothing: Any = None
    return Api({}, nothing, _NoStore(), lambda: "id", real_seconds=lambda: NOW)


class _NoStore:
    read = write = staticmethod(lambda *_: None)


# The signature parser

_KEYS = (
    Key(CALLER, SECRET),
    Key(CALLER, SECRET, session_token="token", expires_at=NOW),  # noqa: S106
    None,
)
_VERIFIERS = [
    Verifier(lambda key_id, token, key=key: key, regions=regions)  # type: ignore[misc]
    for key, regions in zip(_KEYS, (None, ("us-east-1",), None), strict=True)
]


def signature(data: bytes) -> None:
    """Fuzz the signature parser: who signed the message?"""
    request = message(data)
    for verify in _VERIFIERS:
        refused(partial(verify, request, NOW), data)
    refused(partial(read_unverified, request), data)


# The path and query parsers, and the JSON decoder


def route(data: bytes) -> None:
    """Fuzz the routing: which operation is the message for, and with which parameters?"""
    request = message(data)
    for flavour in _flavours().values():
        refused(partial(_bind, flavour, request), data)


def _bind(flavour: Flavour, request: Request) -> None:
    operation, parameters = flavour.route(request)
    operation.bind(parameters, request)


@cache
def _with_body() -> dict[str, list[Operation]]:
    """The operations whose input has a body, by name: as each flavour has them."""
    made: dict[str, list[Operation]] = {}
    for flavour in _flavours().values():
        for name, operation in flavour.operations.items():
            if operation.served and operation.method in ("POST", "PUT"):
                made.setdefault(name, []).append(operation)
    return dict(sorted(made.items()))


def json(data: bytes) -> None:
    """Fuzz the decoders of bodies. The first line names the operation, or stands for one."""
    name, _, body = data.partition(b"\n")
    everything = _with_body()
    operations = everything.get(name.decode("latin-1")) or list(everything.values())[sum(name) % len(everything)]
    for operation in operations:
        parameters = dict.fromkeys(operation.uri_members.values(), "x")
        refused(partial(operation.bind, parameters, Request("POST", "/x", "", {}, body)), data)


# The policy parser

_ACTIONS = ("chime:GetPhoneNumber", "sts:AssumeRole", "")
_RESOURCES = ("*", "arn:aws:chime:us-east-1:123456789012:vc/abc", "arn:" + "a" * 1000)
_CONTEXTS = (
    Context("192.0.2.1", NOW, True, "us-east-1", "alice"),
    Context("::ffff:192.0.2.1", NOW, False, "", None),
    Context("fe80::1%eth0", 0, False, "us-east-1", "\udcff"),
    Context("", NOW, True, "us-east-1", "alice"),
)


def policy(data: bytes) -> None:
    """Fuzz the policy parser. A document that was accepted must be accepted for ever, as it is stored."""
    with suppress(PolicyError):
        policies.parse(data.decode("latin-1"))
    try:
        document = policies.parse(data)
    except PolicyError as error:
        check_size("a message", str(error).encode(), data)
        return
    for stored in (document, msgspec.json.decode(msgspec.json.encode(document))):
        compiled = Policy([stored, policies.MANAGED["AmazonChimeReadOnly"]])
        for context in _CONTEXTS:
            for action in _ACTIONS:
                for resource in _RESOURCES:
                    if compiled.decide(action, resource, context) not in ("Allow", "ExplicitDeny", "ImplicitDeny"):
                        raise Finding("no decision")


# The trail's record writer


def trail(data: bytes) -> None:
    """Fuzz the trail's record writer, with the body as the request's and as the answer's."""
    request = message(data)
    lines: list[bytes] = []
    recorder = Recorder(lines.append, lambda: "2026-07-01T00:00:00.000Z")
    operation, parameters, outcome = None, {}, None
    try:
        operation, parameters = _flavours()["default"].route(request)
        operation.bind(parameters, request)
    except (Refusal, Error) as error:
        outcome = error
    latin = data.decode("latin-1")
    others = (Refusal(403, "InvalidSignatureException", latin), BadRequest(latin))
    for result in (*others, *([outcome] if outcome else []), *([request.body] if operation else [])):
        for identity in (None, ALICE):
            call = ApiCall(request, "id", operation=operation, parameters=parameters, identity=identity)
            recorder.record(call, result)
    other = ApiCall(request, "id", "sts.amazonaws.com", latin, True, None, {"RoleArn": latin}, ALICE)
    recorder.record(other, others[0])
    for line in lines:
        if line.count(b"\n") != 1 or not line.endswith(b"\n"):
            raise Finding("a record is not one line")
        msgspec.json.decode(line)
        check_size("a record", line, data)


# STS's form parser, and everything together


class _Failures(logging.Handler):
    """Keeps what the service would log for an answer with status 500."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        failure = record.exc_info[1] if record.exc_info else None
        self.errors.append(failure or Finding(record.getMessage()))


class _Service(NamedTuple):
    api: Api
    sts: Sts
    store: Sqlite
    lines: list[bytes]
    runner: asyncio.Runner
    failures: _Failures
    directory: str


@cache
def _service() -> _Service:
    """A service with a store and a trail; its requests are signed by alice, or unsigned."""
    directory = tempfile.mkdtemp(prefix="numberkeep-fuzz-")
    world = World(clock=lambda: NOW, seed=1)
    store = Sqlite(f"{directory}/store.sqlite3", world, carriers_of(simulated_only(4)), QUOTAS, durable=False)
    runner = asyncio.Runner()
    runner.run(store.transact(CALLER, identities.create_role, ROLE_NAME, (ACCOUNT,), 3600))
    lines: list[bytes] = []
    observers = [Recorder(lines.append, world.now).record]
    sts = Sts(lambda request: ALICE, Keyring(store, Sealer([bytes(32)]), world), observers=observers)
    real_seconds = world.real_seconds
    api = Api(
        _flavours(), lambda request: ALICE, store, world.new_id, sts=sts, observers=observers, real_seconds=real_seconds
    )
    failures = _Failures()
    logger = logging.getLogger("numberkeep")
    logger.addHandler(failures)
    logger.propagate = False
    return _Service(api, sts, store, lines, runner, failures, directory)


@contextmanager
def running() -> Iterator[None]:
    """Remove all that the targets have made when the block ends: for a process that goes on."""
    try:
        yield
    finally:
        if _service.cache_info().currsize:
            service = _service()
            _service.cache_clear()
            service.store.close()
            service.runner.close()
            logger = logging.getLogger("numberkeep")
            logger.removeHandler(service.failures)
            logger.propagate = True
            shutil.rmtree(service.directory)


def sts(data: bytes) -> None:
    """Fuzz the parser of STS's forms."""
    request = message(data)
    context = Context("192.0.2.1", NOW, True, "us-east-1", "alice")
    response = _service().sts.handle(request, "id", lambda identity: context, perf_counter())
    _check_service(response, data)


def api(data: bytes) -> None:
    """Fuzz the whole service."""
    service, request = _service(), message(data)

    async def ask() -> Response:
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        service.api.handle(request, answered.set_result)
        return await answered

    _check_service(service.runner.run(ask()), data)


def _check_service(response: Response, data: bytes) -> None:
    service = _service()
    lines, errors = list(service.lines), list(service.failures.errors)
    service.lines.clear()
    service.failures.errors.clear()
    if errors:
        raise errors[0]
    if response.status >= 500 and response.status != 501:
        raise Finding(f"the answer has status {response.status}: {response.body[:200]!r}")
    for made in (response.body, *lines):
        check_size("an answer or a record", made, data)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (signature, route, json, policy, trail, sts, api)
}
CORPUS = Path(__file__).parent / "corpus"
