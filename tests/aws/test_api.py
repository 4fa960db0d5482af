"""A request comes in, its answer goes out: each kind of end that one can have."""

import json
import logging
from typing import Any

import pytest

from numberkeep.aws.api import Api, flavour_name
from numberkeep.aws.errors import Refusal
from numberkeep.aws.message import Request, Response
from numberkeep.aws.model import flavours
from numberkeep.aws.sigv4 import Identity
from numberkeep.domain.caller import Caller
from numberkeep.domain.errors import Awaited, BadRequest, Conflict, Error, PhoneNumberAssociationsExist, ServiceFailure
from numberkeep.operations import OPERATIONS

CALLER = Caller("123456789012", "arn:aws:iam::123456789012:root", "AKIA")
ID = "885b5970-6640-46e9-8b59-3d77be15a4f5"


class Store:
    """Runs a call on the spot and notes how."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def read(self, caller: Caller, request_id: str, work: Any, done: Any, e164: Any, kind: str = "read") -> None:
        assert (caller, request_id) == (CALLER, ID)
        self.ran.append(kind)
        try:
            result = work(None)
        except Error as error:
            result = error
        done(result)

    def write(self, caller: Caller, request_id: str, work: Any, done: Any, e164: Any) -> None:
        self.read(caller, request_id, work, done, e164, "write")


IDENTITY = Identity(CALLER, "us-east-1")


def ask(method: str, target: str, body: bytes = b"", identify: Any = lambda request: IDENTITY, **functions: Any) -> Any:
    store = Store()
    api = Api(flavours({**OPERATIONS, **functions}), identify, store, lambda: ID, real_seconds=lambda: 0.0)
    answers: list[Response] = []
    path, _, query = target.partition("?")
    api.handle(Request(method, path, query, {"host": "localhost:8000"}, body), answers.append)
    (answer,) = answers
    return answer, store.ran


def fail_with(error: Exception) -> Any:
    def function(tx: Any, **arguments: Any) -> Any:
        raise error

    return function


def test_success() -> None:
    answer, ran = ask("GET", "/settings/phone-number", get_phone_number_settings=lambda tx: {"CallingName": "myName"})
    assert answer == Response(
        200,
        f"x-amzn-RequestId: {ID}\r\nContent-Type: application/json\r\n".encode(),
        b'{"CallingName":"myName","CallingNameUpdatedTimestamp":null}',
    )
    assert ran == ["read"]


def test_success_without_a_body() -> None:
    answer, ran = ask(
        "PUT",
        "/settings/phone-number",
        b'{"CallingName":"x1"}',
        update_phone_number_settings=lambda tx, calling_name: None,
    )
    assert (answer.status, answer.body) == (204, b"")
    assert ran == ["write"]


@pytest.mark.parametrize(
    ("error", "status", "shape", "code"),
    [
        (BadRequest("rule"), 400, "BadRequestException", "BadRequest"),
        (PhoneNumberAssociationsExist("rule"), 400, "BadRequestException", "PhoneNumberAssociationsExist"),
        (Conflict("rule"), 409, "ConflictException", "Conflict"),
        (ServiceFailure("rule"), 500, "ServiceFailureException", "ServiceFailure"),
    ],
)
def test_refusal_by_the_service(error: Exception, status: int, shape: str, code: str) -> None:
    answer, _ = ask("POST", "/phone-numbers/x", update_phone_number=fail_with(error))
    assert answer == Response(
        status,
        f"x-amzn-RequestId: {ID}\r\nx-amzn-ErrorType: {shape}\r\nContent-Type: application/json\r\n".encode(),
        f'{{"Code":"{code}","Message":"rule"}}'.encode(),
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Conflict("rule"), "Conflict"),
        (Conflict("rule", "PhoneNumberAssociationsExist"), "PhoneNumberAssociationsExist"),
    ],
)
def test_what_the_operation_does_not_declare_is_a_bad_request(error: Exception, code: str) -> None:
    answer, _ = ask("GET", "/phone-numbers/x", get_phone_number=fail_with(error))
    assert answer.status == 400
    assert b"x-amzn-ErrorType: BadRequestException\r\n" in answer.head
    assert json.loads(answer.body) == {"Code": code, "Message": "rule"}


def test_refusal_by_the_framework() -> None:
    refusal = Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")

    def identify(request: Request) -> Caller:
        raise refusal

    answer, ran = ask("GET", "/phone-numbers", identify=identify)
    assert (answer.status, answer.body) == (403, b'{"message":"Missing Authentication Token"}')
    assert b"x-amzn-ErrorType: MissingAuthenticationTokenException\r\n" in answer.head
    assert ran == []


def test_what_is_asked_is_looked_at_before_who_asks_and_that_before_the_rest() -> None:
    def identify(request: Request) -> Caller:
        raise Refusal(403, "InvalidSignatureException", "no")

    assert ask("GET", "/nowhere", identify=identify)[0].status == 404
    assert ask("POST", "/phone-numbers/x", b"{", identify=identify)[0].status == 403
    assert ask("GET", "/rooms", identify=identify)[0].status == 404
    assert ask("GET", "/voice-connectors", identify=identify)[0].status == 403
    assert ask("POST", "/phone-numbers/x", b"{")[0].status == 400


def test_an_operation_that_is_not_served_is_named() -> None:
    answer, _ = ask("GET", "/voice-profile-domains")
    assert answer.status == 501
    assert (
        json.loads(answer.body)["Message"] == "The operation ListVoiceProfileDomains is not implemented by this server."
    )


@pytest.mark.parametrize(
    ("host", "name"),
    [("localhost", "Desk"), ("voice-chime.x", "Desk"), ("chime.x", None)],
    ids=["both", "voice", "chime"],
)
def test_what_is_json_already_has_the_members_of_the_flavour(host: str, name: str | None) -> None:
    answer = b'{"PhoneNumber":{"Name":"Desk","PhoneNumberId":"x"}}'
    functions = {**OPERATIONS, "get_phone_number": lambda tx, **_: answer}
    api = Api(flavours(functions), lambda request: IDENTITY, Store(), lambda: ID, real_seconds=lambda: 0.0)
    answers: list[Response] = []
    api.handle(Request("GET", "/phone-numbers/x", "", {"host": host}, b""), answers.append)
    number = json.loads(answers[0].body)["PhoneNumber"]
    assert (number.get("Name"), number["PhoneNumberId"], "Name" in number) == (name, "x", name is not None)


def test_an_unknown_error_is_logged_and_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    api = Api({}, lambda request: IDENTITY, Store(), lambda: ID, real_seconds=lambda: 0.0)
    with caplog.at_level(logging.ERROR):
        answer = api.refuse(RuntimeError("secret detail"))
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert ID in caplog.text
    assert "secret detail" in caplog.text


@pytest.mark.parametrize(
    ("host", "flavour"),
    [
        ("service.chime.aws.amazon.com", "chime"),
        ("chime.us-east-1.amazonaws.com", "chime"),
        ("Chime.localhost:8000", "chime"),
        ("voice-chime.eu-west-1.amazonaws.com:443", "chime-sdk-voice"),
        ("voice-chime-fips.us-east-1.api.aws", "chime-sdk-voice"),
        ("chime-fips.us-east-1.amazonaws.com", "chime"),
        ("127.0.0.1:8000", "default"),
        ("", "default"),
        ("mychime.example", "default"),
    ],
)
def test_the_host_chooses_the_flavour(host: str, flavour: str) -> None:
    assert flavour_name(host) == flavour


def test_what_has_to_be_looked_up_first_is_waited_for() -> None:
    """Who signed is not known yet: the request begins again when it may be."""
    waiting: list[Any] = []
    known: list[Identity] = []

    def identify(request: Request) -> Identity:
        if not known:
            raise Awaited(waiting.append)
        return known[0]

    store = Store()
    functions = {**OPERATIONS, "get_phone_number_settings": lambda tx: {"CallingName": "myName"}}
    api = Api(flavours(functions), identify, store, lambda: ID, real_seconds=lambda: 0.0)
    answers: list[Response] = []
    api.handle(Request("GET", "/settings/phone-number", "", {"host": "localhost"}, b""), answers.append)
    assert (answers, len(waiting)) == ([], 1)
    waiting.pop()()
    assert (answers, len(waiting)) == ([], 1)
    known.append(IDENTITY)
    waiting.pop()()
    assert [answer.status for answer in answers] == [200]


def test_what_fails_when_it_begins_again_is_answered() -> None:
    waiting: list[Any] = []

    def identify(request: Request) -> Identity:
        if not waiting:
            raise Awaited(waiting.append)
        raise RuntimeError("nobody expects this")

    api = Api(flavours(OPERATIONS), identify, Store(), lambda: ID, real_seconds=lambda: 0.0)
    answers: list[Response] = []
    api.handle(Request("GET", "/settings/phone-number", "", {"host": "localhost"}, b""), answers.append)
    waiting[0]()
    assert [answer.status for answer in answers] == [500]


def test_nobody_waits_for_ever() -> None:
    def identify(request: Request) -> Identity:
        raise Awaited(lambda resume: resume())

    answer, ran = ask("GET", "/settings/phone-number", identify=identify)
    assert (answer.status, ran) == (503, [])
    assert b"too slow" in answer.body
