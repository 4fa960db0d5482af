"""A record tells who asked for what, when, and what came of it; and nothing that is sensitive."""

import json
from typing import Any

import msgspec
import pytest

from numberkeep.aws.api import Api
from numberkeep.aws.call import ApiCall
from numberkeep.aws.cloudtrail import Recorder
from numberkeep.aws.errors import Refusal
from numberkeep.aws.message import Request
from numberkeep.aws.model import flavours
from numberkeep.aws.sigv4 import Identity
from numberkeep.domain.caller import Caller
from numberkeep.domain.errors import Conflict, Error
from numberkeep.operations import OPERATIONS

CALLER = Caller("123456789012", "arn:aws:iam::123456789012:user/alice", "AKIAALICE", "alice", "AIDAALICE")
ID = "885b5970-6640-46e9-8b59-3d77be15a4f5"


class Store:
    def read(self, caller: Any, request_id: str, work: Any, done: Any, *_: Any) -> None:
        try:
            done(work(None))
        except Error as error:
            done(error)

    write = read


ALICE = Identity(CALLER, "us-east-1")


def record(method: str, target: str, body: bytes = b"", identity: Any = ALICE, **functions: Any) -> Any:
    """The record of one request."""
    lines: list[bytes] = []
    recorder = Recorder(lines.append, lambda: "2019-10-29T18:25:30Z")

    def identify(request: Request) -> Identity:
        if isinstance(identity, Refusal):
            raise identity
        return identity

    api = Api(
        flavours({**OPERATIONS, **functions}),
        identify,
        Store(),
        lambda: ID,
        observers=[recorder.record],
        real_seconds=lambda: 0.0,
    )
    path, _, query = target.partition("?")
    headers = {"host": "localhost", "user-agent": "aws-cli/1.16.170"}
    api.handle(Request(method, path, query, headers, body, "192.0.2.7", True), lambda response: None)
    (line,) = lines
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return json.loads(line)


def test_a_record_is_shaped_like_cloudtrails() -> None:
    seen = record(
        "PUT",
        "/settings/phone-number",
        b'{"CallingName":"Acme"}',
        update_phone_number_settings=lambda tx, calling_name: None,
    )
    assert seen == {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDAALICE",
            "arn": "arn:aws:iam::123456789012:user/alice",
            "accountId": "123456789012",
            "accessKeyId": "AKIAALICE",
            "userName": "alice",
        },
        "eventTime": "2019-10-29T18:25:30Z",
        "eventSource": "chime.amazonaws.com",
        "eventName": "UpdatePhoneNumberSettings",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "192.0.2.7",
        "userAgent": "aws-cli/1.16.170",
        "errorCode": None,
        "errorMessage": None,
        "requestParameters": {},  # CallingName is sensitive
        "responseElements": None,
        "requestID": ID,
        "eventID": ID,
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "123456789012",
    }


def test_what_is_sensitive_is_left_out() -> None:
    body = {
        "Credentials": [{"Username": "ann", "Password": "pa55word"}],
    }
    seen = record(
        "POST",
        f"/voice-connectors/{'a' * 22}/termination/credentials?operation=put",
        json.dumps(body).encode(),
        put_voice_connector_termination_credentials=lambda tx, **_: None,
    )
    assert seen["requestParameters"] == {"VoiceConnectorId": "a" * 22, "Credentials": [{}]}
    assert "pa55word" not in json.dumps(seen)
    assert "ann" not in json.dumps(seen["requestParameters"])


def test_answers_of_writes_are_shown_and_those_of_reads_are_not() -> None:
    connector = {"VoiceConnectorId": "a" * 22, "Name": "Trunk", "RequireEncryption": True}
    made = record(
        "POST",
        "/voice-connectors",
        b'{"Name":"Trunk","RequireEncryption":"true","Tags":[{"Key":"k","Value":"v"}]}',
        create_voice_connector=lambda tx, **_: {"VoiceConnector": connector},
    )
    assert made["requestParameters"] == {"Name": "Trunk", "RequireEncryption": "true", "Tags": [{}]}
    assert made["responseElements"]["VoiceConnector"]["VoiceConnectorId"] == "a" * 22
    read = record(
        "GET", f"/voice-connectors/{'a' * 22}", get_voice_connector=lambda tx, **_: {"VoiceConnector": connector}
    )
    assert (read["readOnly"], read["responseElements"]) == (True, None)


def test_failures() -> None:
    def fail(tx: Any, **_: Any) -> Any:
        raise Conflict("rule")

    failed = record("DELETE", f"/voice-connectors/{'a' * 22}", delete_voice_connector=fail)
    assert (failed["errorCode"], failed["errorMessage"]) == ("ConflictException", "rule")
    undeclared = record("DELETE", "/phone-numbers/1", delete_phone_number=fail)
    assert undeclared["errorCode"] == "BadRequestException"
    broken = record("POST", "/voice-connectors", b"{")
    assert (broken["errorCode"], broken["requestParameters"]) == ("SerializationException", None)
    nowhere = record("GET", "/nowhere")
    assert (nowhere["errorCode"], nowhere["eventName"]) == ("UnknownOperationException", None)


def test_who_is_not_known() -> None:
    refusal = Refusal(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    seen = record("GET", "/phone-numbers", identity=refusal)
    assert (seen["userIdentity"], seen["eventName"]) == ({"type": "Unknown"}, "ListPhoneNumbers")
    assert seen["recipientAccountId"] is None


@pytest.mark.parametrize(
    ("caller", "kind"),
    [
        (Caller("1", "arn:aws:iam::1:root", "1", None, "1"), "Root"),
        (Caller("1", "arn:aws:sts::1:assumed-role/ops/me", "ASIA", None, "AROA:me"), "AssumedRole"),
    ],
)
def test_who_is_no_user(caller: Caller, kind: str) -> None:
    identity = Identity(caller, "us-east-1")
    seen = record("GET", "/phone-numbers", identity=identity, list_phone_numbers=lambda tx, **_: {"PhoneNumbers": []})
    assert seen["userIdentity"]["type"] == kind
    assert "userName" not in seen["userIdentity"]


def test_every_served_operation_has_a_record() -> None:
    """Views are made of every operation's shapes, whatever those hold."""
    recorder = Recorder([].append, lambda: "2019-10-29T18:25:30Z")
    for flavour in flavours(OPERATIONS).values():
        for operation in flavour.operations.values():
            request = Request(operation.method, "/", "", {}, b"{}")
            recorder.record(ApiCall(request, ID, operation=operation), msgspec.json.encode({}))


def test_a_refusal_does_not_tell_what_is_sensitive() -> None:
    def fail(tx: Any, **_: Any) -> Any:
        raise Conflict("Could not find +12065550100, nor %2B12065550101")

    hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"
    seen = record("DELETE", f"/voice-connectors/{'a' * 22}", delete_voice_connector=fail)
    assert seen["errorMessage"] == f"Could not find {hidden}, nor {hidden}"
    misplaced = Refusal(403, "IncompleteSignatureException", "Unsupported AWS 'algorithm': 'a secret'.")
    assert record("GET", "/phone-numbers", identity=misplaced)["errorMessage"] == "The signature is not complete."


def test_what_strangers_send_is_not_repeated() -> None:
    refusal = Refusal(403, "InvalidSignatureException", "no")
    seen = record("POST", "/voice-connectors", b'{"Name":"Trunk","RequireEncryption":true}', identity=refusal)
    assert seen["requestParameters"] is None


def test_records_of_one_recorder_are_not_mixed_up() -> None:
    """What is alike from one to the next is made once: whatever one of them tells belongs to it."""
    lines: list[bytes] = []
    recorder = Recorder(lines.append, lambda: "2019-10-29T18:25:30Z")
    operations = flavours(OPERATIONS)["default"].operations
    bob = Caller("123456789012", "arn:aws:iam::123456789012:user/bob", "AKIABOB", "bob", "AIDABOB")
    told = [
        (identity, operation, source_ip, agent)
        for identity in (ALICE, Identity(CALLER, "eu-west-1"), Identity(bob, "us-east-1"), None)
        for operation in ("GetPhoneNumber", "DeletePhoneNumber")
        for source_ip in ("192.0.2.1", "192.0.2.2")
        for agent in ("Boto3/1", "Boto3/2")
    ]
    for identity, operation, source_ip, agent in told * 2:
        request = Request("GET", "/", "", {"user-agent": agent}, b"", source_ip)
        recorder.record(ApiCall(request, ID, operation=operations[operation], identity=identity), b"{}")
    seen = [json.loads(line) for line in lines]
    assert [(one["eventName"], one["sourceIPAddress"], one["userAgent"]) for one in seen] == [
        (operation, source_ip, agent) for _, operation, source_ip, agent in told * 2
    ]
    assert [(one["userIdentity"].get("accessKeyId"), one["awsRegion"]) for one in seen] == [
        (identity.caller.access_key_id, identity.region) if identity else (None, None) for identity, *_ in told * 2
    ]
