"""A refusal says which member broke which constraint, in AWS's words."""

from typing import Any

import msgspec
import pytest

from numberkeep.aws import explain
from numberkeep.aws.errors import Refusal
from numberkeep.aws.message import Request
from numberkeep.aws.model import flavours, load
from numberkeep.domain.errors import BadRequest
from numberkeep.operations import OPERATIONS

FLAVOURS = flavours(OPERATIONS)
CHIME = FLAVOURS["chime"].operations


def refusal(operation: str, body: Any = b"", **parameters: str) -> Exception:
    """Why chime's operation refuses `body`, and query or path `parameters`."""
    one = CHIME[operation]
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    with pytest.raises((BadRequest, Refusal)) as refused:
        one.bind(dict(parameters), Request(one.method, "/", "", {}, raw))
    return refused.value


ID = {"PhoneNumberId": "+12065550100"}
PRODUCT_TYPES = "[BusinessCalling, VoiceConnector, SipMediaApplicationDialIn]"
NAME_PATTERN = "^$|^[a-zA-Z0-9 ]{2,15}$"


@pytest.mark.parametrize(
    ("operation", "body", "parameters", "message"),
    [
        (
            "UpdatePhoneNumber",
            {"ProductType": "Fax"},
            ID,
            "1 validation error detected: Value 'Fax' at 'ProductType' failed to satisfy constraint: "
            f"Member must satisfy enum value set: {PRODUCT_TYPES}",
        ),
        (
            "UpdatePhoneNumber",
            {"CallingName": "x"},
            ID,
            "1 validation error detected: Value at 'CallingName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {NAME_PATTERN}",
        ),
        (
            "UpdatePhoneNumber",
            {"CallingName": "Acme\n", "ProductType": ""},
            ID,
            "2 validation errors detected: Value '' at 'ProductType' failed to satisfy constraint: "
            f"Member must satisfy enum value set: {PRODUCT_TYPES}; "
            "Value at 'CallingName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {NAME_PATTERN}",
        ),
        (
            "UpdatePhoneNumberSettings",
            {},
            {},
            "1 validation error detected: Value at 'CallingName' failed to satisfy constraint: Member must not be null",
        ),
        (
            "BatchDeletePhoneNumber",
            {"PhoneNumberIds": []},
            {},
            "1 validation error detected: Value at 'PhoneNumberIds' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
        (
            "BatchUpdatePhoneNumber",
            {"UpdatePhoneNumberRequestItems": [ID, {**ID, "ProductType": "Fax"}]},
            {},
            "1 validation error detected: Value 'Fax' at 'UpdatePhoneNumberRequestItems.2.member.ProductType' failed "
            f"to satisfy constraint: Member must satisfy enum value set: {PRODUCT_TYPES}",
        ),
        (
            "ListPhoneNumbers",
            b"",
            {"MaxResults": "100", "Status": "Lost"},
            "2 validation errors detected: Value 'Lost' at 'Status' failed to satisfy constraint: Member must satisfy "
            "enum value set: [AcquireInProgress, AcquireFailed, Unassigned, Assigned, ReleaseInProgress, "
            "DeleteInProgress, ReleaseFailed, DeleteFailed]; Value '100' at 'MaxResults' failed to satisfy constraint: "
            "Member must have value less than or equal to 99",
        ),
        (
            "ListPhoneNumbers",
            b"",
            {"MaxResults": "0"},
            "1 validation error detected: Value '0' at 'MaxResults' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1",
        ),
    ],
)
def test_broken_constraints(operation: str, body: Any, parameters: dict[str, str], message: str) -> None:
    error = refusal(operation, body, **parameters)
    assert isinstance(error, BadRequest)
    assert str(error) == message


@pytest.mark.parametrize(
    ("operation", "body", "parameters", "message"),
    [
        ("UpdatePhoneNumber", b"{", ID, "not valid JSON"),
        ("UpdatePhoneNumber", b"\xff\xfe", ID, "not valid JSON"),
        ("UpdatePhoneNumber", b"[" * 100_000, ID, "not valid JSON"),
        ("UpdatePhoneNumber", b'{"x":' * 100_000, ID, "not valid JSON"),
        ("UpdatePhoneNumber", b"[]", ID, "must be a JSON object"),
        ("UpdatePhoneNumber", b"null", ID, "must be a JSON object"),
        ("UpdatePhoneNumber", b'"text"', ID, "must be a JSON object"),
        ("UpdatePhoneNumber", {"CallingName": 12}, ID, "CallingName must be a string"),
        ("UpdatePhoneNumber", {"ProductType": {}}, ID, "ProductType must be a string"),
        ("BatchDeletePhoneNumber", {"PhoneNumberIds": "x"}, {}, "PhoneNumberIds must be a list"),
        ("BatchDeletePhoneNumber", {"PhoneNumberIds": [None]}, {}, r"PhoneNumberIds.1.member must not be null"),
        ("UpdateGlobalSettings", {"VoiceConnector": []}, {}, "VoiceConnector must be an object"),
        ("ListPhoneNumbers", b"", {"MaxResults": "many"}, "MaxResults must be a whole number"),
        ("ListPhoneNumbers", b"", {"MaxResults": "9" * 400}, "MaxResults must be a whole number"),
        ("ListPhoneNumbers", b"", {"MaxResults": "1.5"}, "MaxResults must be a whole number"),
    ],
)
def test_what_cannot_be_read(operation: str, body: Any, parameters: dict[str, str], message: str) -> None:
    error = refusal(operation, body, **parameters)
    assert isinstance(error, Refusal)
    assert (error.status, error.shape) == (400, "SerializationException")
    assert message in str(error)


def test_what_only_the_decoder_has_found_is_said_in_its_words() -> None:
    error = explain.why(load("chime")["shapes"], "UpdatePhoneNumberRequest", ID, b"{}", "something else")
    assert isinstance(error, Refusal)
    assert str(error) == "something else"


def test_sensitive_values_are_not_repeated() -> None:
    """The model marks calling names and numbers so."""
    assert "Secret!" not in str(refusal("UpdatePhoneNumber", {"CallingName": "Secret!"}, **ID))
