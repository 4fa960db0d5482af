"""Refusals as AWS's clients see them: a status, `x-amzn-ErrorType`, and one of two bodies.

The evidence: SDKs take the exception's name from that header, and from a body `{"Code", "Message"}` the short ErrorCode
and the text; the framework in front of the service (routes, syntax, signatures) answers `{"message"}` alone. Statuses
are those of the models, and of Common Error Types in the API reference. No capture of Chime's shows where the header
stands; here it follows the request's id. Texts are compared where one was recorded: those about signatures.
"""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, NamedTuple

import pytest
from botocore.model import NoShapeFoundError, ServiceModel
from botocore.session import get_session

from numberkeep.aws.errors import SHAPES, shape_of
from numberkeep.domain.errors import Error

from .conftest import Past
from .wire import AUTHORIZATION, HOSTS, Answer

FREE, ASSIGNED, DELETED, PENDING, ABSENT = (f"/phone-numbers/%2B1206555010{digit}" for digit in range(5))


class Refused(NamedTuple):
    """How a request is refused."""

    status: int
    error_type: str
    code: str | None = None
    """None if it is the framework that refuses."""
    connection: str = "keep-alive"


BAD_REQUEST = Refused(400, "BadRequestException", "BadRequest")
NOT_FOUND = Refused(404, "NotFoundException", "NotFound")
UNKNOWN_OPERATION = Refused(404, "UnknownOperationException")
SERIALIZATION = Refused(400, "SerializationException")

REFUSALS = {
    "no such number": (f"GET {ABSENT}", "", NOT_FOUND),
    "no such order": ("GET /phone-number-orders/6ab4e6f0-6b0c-4a8b-9e1a-000000000000", "", NOT_FOUND),
    "no phone number": ("GET /phone-numbers/reception", "", BAD_REQUEST),
    "no pattern's calling name": (f"POST {FREE}", '{"CallingName": "!"}', BAD_REQUEST),
    "no product type": (f"POST {FREE}", '{"ProductType": "Fax"}', BAD_REQUEST),
    "no detail": (f"POST {FREE}", "{}", BAD_REQUEST),
    "two details": (f"POST {FREE}", '{"CallingName": "two", "ProductType": "VoiceConnector"}', BAD_REQUEST),
    "no required member": ("POST /phone-number-orders", "{}", BAD_REQUEST),
    "no page of zero items": ("GET /phone-numbers?max-results=0", "", BAD_REQUEST),
    "no search without a filter": ("GET /search?type=phone-numbers", "", BAD_REQUEST),
    "restoring what is not deleted": (f"POST {FREE}?operation=restore", "", BAD_REQUEST),
    "updating what is deleted": (f"POST {DELETED}", '{"CallingName": "late"}', BAD_REQUEST),
    "deleting what is assigned": (
        f"DELETE {ASSIGNED}",
        "",
        Refused(400, "BadRequestException", "PhoneNumberAssociationsExist"),
    ),
    "a second calling name": (
        f"POST {PENDING}",
        '{"CallingName": "second"}',
        Refused(409, "ConflictException", "Conflict"),
    ),
    "no operation's path": ("GET /telephones", "", UNKNOWN_OPERATION),
    "no operation's method": (f"PATCH {FREE}", "{}", UNKNOWN_OPERATION),
    "no JSON": (f"POST {FREE}", '{"CallingName":', SERIALIZATION),
    "no JSON object": (f"POST {FREE}", '["CallingName"]', SERIALIZATION),
    "a member of another type": (f"POST {FREE}", '{"CallingName": 7}', SERIALIZATION),
    "a body of over a megabyte": (
        f"POST {FREE}",
        " " * (1024 * 1024 + 1),
        Refused(413, "RequestEntityTooLargeException", connection="close"),
    ),
    "no HTTP": ("GET", "", Refused(400, "MalformedHttpRequestException", connection="close")),
}
"""What is refused: the request's method and path, its body, and how."""

CREDENTIAL = "123456789012/20191028/us-east-1/chime/aws4_request"
SIGNED = "SignedHeaders=host;x-amz-date, Signature=0"
SIGNATURE_REFUSALS = {
    "none": ("", "MissingAuthenticationTokenException", "Missing Authentication Token"),
    "another algorithm": (
        f"AWS4-HMAC-SHA25 Credential={CREDENTIAL}, {SIGNED}",
        "IncompleteSignatureException",
        "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA25'.",
    ),
    "no pair": (
        "AWS4-HMAC-SHA256 FooBar",
        "IncompleteSignatureException",
        "'FooBar' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 FooBar'.",
    ),
    "nothing in it": (
        "AWS4-HMAC-SHA256",
        "IncompleteSignatureException",
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
        "Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256",
    ),
    "a short credential": (
        f"AWS4-HMAC-SHA256 Credential=a/b/c/d, {SIGNED}",
        "IncompleteSignatureException",
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b/c/d'",
    ),
    "not over the host": (
        f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=x-amz-date, Signature=0",
        "InvalidSignatureException",
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    ),
}
"""Authorization headers that even dev refuses, which takes every key at its word; and AWS's own texts for them."""


@pytest.fixture
def refuser(past: Past) -> Past:
    """A service with a number in each of the states that the refusals need."""
    past.at("2019-10-28T18:00:00Z").seed(
        {"E164PhoneNumber": "+12065550100", "ProductType": "VoiceConnector"},
        {
            "E164PhoneNumber": "+12065550101",
            "ProductType": "VoiceConnector",
            "Associations": [{"Name": "VoiceConnectorId", "Value": "abcdef1ghij2klmno3pqr4"}],
        },
        {"E164PhoneNumber": "+12065550102", "ProductType": "VoiceConnector", "Status": "ReleaseInProgress"},
        {"E164PhoneNumber": "+12065550103", "ProductType": "VoiceConnector"},
    )
    past.boto3.update_phone_number(PhoneNumberId="+12065550103", CallingName="first")
    return past


def ask(past: Past, host: str, request: str, body: str = "", authorization: str = AUTHORIZATION) -> Answer:
    head = [f"{request} HTTP/1.1", f"Host: {host}", "X-Amz-Date: 20191028T180000Z", f"Content-Length: {len(body)}"]
    if authorization:
        head.append(f"Authorization: {authorization}")
    return past.send("\r\n".join([*head, "", body]).encode())


def message_of(answer: Answer, refused: Refused) -> Any:
    """The text of a refusal, once all the rest of the answer is seen to be as it must."""
    assert answer.status == f"HTTP/1.1 {refused.status} {HTTPStatus(refused.status).phrase}"
    assert [name for name, _ in answer.headers] == [
        "x-amzn-RequestId",
        "x-amzn-ErrorType",
        "Content-Type",
        "Content-Length",
        "Date",
        "Connection",
    ]
    headers = dict(answer.headers)
    assert headers["x-amzn-ErrorType"] == refused.error_type
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Length"] == str(len(answer.body))
    assert headers["Connection"] == refused.connection
    body = json.loads(answer.body)
    message = body["Message" if refused.code else "message"]
    expected = {"Code": refused.code, "Message": message} if refused.code else {"message": message}
    assert answer.body.decode() == json.dumps(expected, separators=(",", ":"))
    return message


@pytest.mark.parametrize("flavour", HOSTS)
@pytest.mark.parametrize("what", REFUSALS)
def test_a_refusal(refuser: Past, what: str, flavour: str) -> None:
    request, body, refused = REFUSALS[what]
    assert message_of(ask(refuser, HOSTS[flavour], request, body), refused)


@pytest.mark.parametrize("what", SIGNATURE_REFUSALS)
def test_a_refusal_of_a_signature(past: Past, what: str) -> None:
    authorization, error_type, message = SIGNATURE_REFUSALS[what]
    answer = ask(past, HOSTS["chime"], f"GET {FREE}", authorization=authorization)
    assert message_of(answer, Refused(403, error_type)) == message


def test_a_signature_in_two_places(past: Past) -> None:
    answer = ask(past, HOSTS["chime"], f"GET {FREE}?X-Amz-Algorithm=AWS4-HMAC-SHA256")
    assert message_of(answer, Refused(403, "InvalidSignatureException")) == (
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    )


@pytest.mark.parametrize("flavour", HOSTS)
@pytest.mark.parametrize(
    ("request_line", "operation"),
    [
        ("GET /voice-profile-domains", "ListVoiceProfileDomains"),
        ("POST /sip-media-applications/1/calls", "CreateSipMediaApplicationCall"),
        ("GET /accounts/1/rooms", "ListRooms"),
        ("POST /accounts/1/users/2?operation=reset-personal-pin", "ResetPersonalPIN"),
    ],
)
def test_an_operation_that_is_not_served_is_named(past: Past, request_line: str, operation: str, flavour: str) -> None:
    """Of either model, on every host: SDKs of before 2025 send those of chime-sdk-voice to chime's."""
    answer = ask(past, HOSTS[flavour], request_line, "{}")
    assert operation in message_of(answer, Refused(501, "OperationNotImplementedException", "OperationNotImplemented"))


@pytest.fixture(scope="module")
def models() -> list[ServiceModel]:
    session = get_session()
    return [session.get_service_model(service) for service in ("chime", "chime-sdk-voice")]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.name)
def test_a_modelled_exception_has_the_models_status(models: list[ServiceModel], shape: Any) -> None:
    statuses = set()
    for model in models:
        try:
            statuses.add(model.shape_for(shape.name).metadata["error"]["httpStatusCode"])
        except NoShapeFoundError:
            assert shape.name == "OperationNotImplementedException", "only this one is of our own"
    assert statuses <= {shape.status}


def test_every_code_is_an_error_code_of_a_model(models: list[ServiceModel]) -> None:
    known = {code for model in models for code in model.shape_for("ErrorCode").enum}
    assert {kind("").code for kind in kinds_of(Error)} - known == {"OperationNotImplemented"}


def test_every_error_has_a_shape() -> None:
    for kind in kinds_of(Error):
        assert shape_of(kind("")) in SHAPES.values()


def kinds_of(kind: type[Error]) -> Iterator[type[Error]]:
    for narrower in kind.__subclasses__():
        yield narrower
        yield from kinds_of(narrower)
