"""The log of requests: what a developer reads when a test fails."""

import http.client
import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from conftest import Service, Start
from numberkeep.admin import request_log
from numberkeep.aws.cloudtrail import HIDDEN

E164, OTHER = "+12065550100", "+12065550101"
ACCOUNT, STRANGER = "123456789012", "210987654321"


@pytest.fixture
def chime(service: Service) -> Any:
    """A client whose account has a number, and no entry in the log."""
    service.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    service.admin.delete("/requests").raise_for_status()
    return service.client()


def log(service: Service, **query: Any) -> list[dict[str, Any]]:
    answer = service.admin.get("/requests", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["requests"])


def send(service: Service, method: str, path: str, body: bytes = b"") -> int:
    """Send what no SDK would, signed as any key is."""
    connection = http.client.HTTPConnection("127.0.0.1", service.app.port, timeout=20)
    scope = f"{ACCOUNT}/20260101/us-east-1/chime/aws4_request"
    signature = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"
    connection.request(method, path, body, {"Authorization": signature, "X-Amz-Date": "20260101T000000Z"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_an_entry_tells_everything_of_a_request(service: Service, chime: Any) -> None:
    answer = chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    (entry,) = log(service)
    now = service.admin.get("/clock").json()["time"]
    assert now[:10] == entry["time"][:10]
    assert entry.pop("time") <= now
    assert 0 < entry.pop("duration_ms") < 10_000
    assert entry.pop("answer")["PhoneNumber"]["CallingNameStatus"] == "UpdateInProgress"
    assert entry == {
        "request_id": answer["ResponseMetadata"]["RequestId"],
        "operation": "UpdatePhoneNumber",
        "account": ACCOUNT,
        "access_key_id": ACCOUNT,
        "method": "POST",
        "path": "/phone-numbers/%2B12065550100",
        "source_ip": "127.0.0.1",
        "parameters": {"PhoneNumberId": E164},
        "body": {"CallingName": "Acme"},
        "status": 200,
        "error": None,
        "message": None,
        "faults": [],
    }


def test_an_answer_is_there(service: Service, chime: Any) -> None:
    number = chime.get_phone_number(PhoneNumberId=E164)["PhoneNumber"]
    told = log(service)[0]["answer"]["PhoneNumber"]
    assert (told["E164PhoneNumber"], told["Status"]) == (E164, "Unassigned")
    assert set(number) <= set(told)


def test_parameters_are_those_of_the_query_too(service: Service, chime: Any) -> None:
    chime.list_phone_numbers(Status="Unassigned", MaxResults=7)
    assert [entry["parameters"] for entry in log(service)] == [{"Status": "Unassigned", "MaxResults": "7"}]


def test_passwords_are_hidden_wherever_they_are(service: Service, chime: Any) -> None:
    voice = service.client("chime-sdk-voice")
    connector = voice.create_voice_connector(Name="one", RequireEncryption=True)["VoiceConnector"]["VoiceConnectorId"]
    voice.put_voice_connector_termination_credentials(
        VoiceConnectorId=connector, Credentials=[{"Username": "name", "Password": "secret-word"}]
    )
    chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550102"])
    order, credentials, _ = log(service)
    assert order["body"] == {"ProductType": "VoiceConnector", "E164PhoneNumbers": ["+12065550102"]}
    assert order["answer"]["PhoneNumberOrder"]["OrderedPhoneNumbers"][0]["E164PhoneNumber"] == "+12065550102"
    assert credentials["body"] == {"Credentials": [{"Username": "name", "Password": HIDDEN}]}
    assert (credentials["status"], credentials["answer"]) == (204, None)
    assert "secret-word" not in json.dumps([order, credentials])


def test_a_refusal_names_the_rule(service: Service, chime: Any) -> None:
    for call in (
        lambda: chime.get_phone_number(PhoneNumberId=OTHER),
        lambda: chime.update_phone_number(PhoneNumberId=E164, CallingName="!"),
    ):
        with pytest.raises(ClientError) as raised:
            call()
        (entry,) = log(service, limit=1)
        told = raised.value.response["Error"]
        assert (entry["error"], entry["message"]) == (told["Code"], told["Message"])
        assert entry["status"] == raised.value.response["ResponseMetadata"]["HTTPStatusCode"]
        assert entry["answer"]["Message"] == told["Message"]


def test_what_is_mistyped_can_be_seen(service: Service, chime: Any) -> None:
    assert send(service, "POST", "/phone-numbers/%2B12065550100", b'{"ProductTyp": "x", "CallingName": 5}') == 400
    assert send(service, "POST", "/phone-numbers/%2B12065550100", b'{"ProductType"') == 400
    assert send(service, "GET", "/phone-number/1?a=b", b'{"secret": 1}') == 404
    unknown, broken, mistyped = log(service)
    assert mistyped["body"] == {"ProductTyp": "x", "CallingName": 5}
    assert mistyped["error"] == "SerializationException"
    assert (broken["body"], broken["error"]) == (None, "SerializationException")
    assert unknown["error"] == "UnknownOperationException"
    assert (unknown["operation"], unknown["path"], unknown["body"]) == (None, "/phone-number/1", None)


def test_what_is_deep_is_not_shown(service: Service, chime: Any) -> None:
    for depth in (60, 100, 600, 5000):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        send(service, "POST", "/phone-numbers/%2B12065550100", deep)
    shown = [(entry["operation"], entry["body"] is not None) for entry in log(service)]
    assert shown == [("UpdatePhoneNumber", False)] * 3 + [("UpdatePhoneNumber", True)]


def test_a_request_of_somebody_unknown_is_there(start: Start) -> None:
    service = start(verify=True)
    with pytest.raises(ClientError):
        service.client(access_key_id="AKIAIOSFODNN7EXAMPLE").list_phone_numbers()
    (entry,) = log(service)
    assert (entry["operation"], entry["account"], entry["status"]) == ("ListPhoneNumbers", None, 403)
    assert entry["error"] == "UnrecognizedClientException"


def test_requests_to_sts_are_there_without_their_secrets(service: Service, chime: Any) -> None:
    sts = boto3.client(
        "sts",
        endpoint_url=service.url,
        region_name="us-east-1",
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="secret",
    )
    sts.get_caller_identity()
    (entry,) = log(service, operation="GetCallerIdentity")
    assert (entry["account"], entry["status"]) == (ACCOUNT, 200)
    assert entry["answer"]["Account"] == ACCOUNT


def test_the_newest_is_first_and_can_be_sought(service: Service, chime: Any) -> None:
    stranger = service.client(account_id=STRANGER)
    chime.list_phone_numbers()
    chime.get_phone_number(PhoneNumberId=E164)
    stranger.list_phone_numbers()
    stranger.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[OTHER])
    every = ["CreatePhoneNumberOrder", "ListPhoneNumbers", "GetPhoneNumber", "ListPhoneNumbers"]
    for query, expected in (
        ({}, every),
        ({"limit": 2}, every[:2]),
        ({"account": ACCOUNT}, every[2:]),
        ({"operation": "ListPhoneNumbers"}, ["ListPhoneNumbers"] * 2),
        ({"operation": "ListPhoneNumbers", "account": STRANGER}, ["ListPhoneNumbers"]),
        ({"number": E164}, ["GetPhoneNumber"]),
        ({"number": OTHER}, ["CreatePhoneNumberOrder"]),
        ({"number": "12065550101", "limit": 5}, ["CreatePhoneNumberOrder"]),
        ({"number": "+12065550199"}, []),
    ):
        assert [entry["operation"] for entry in log(service, **query)] == expected, query
    assert service.admin.delete("/requests").status_code == 204
    assert log(service) == []


def test_faults_are_with_the_request_that_they_struck(service: Service, chime: Any) -> None:
    slow = service.admin.post("/faults", json={"operation": "*", "delay_ms": 200}).json()
    drop = service.admin.post("/faults", json={"operation": "*", "drop": "after", "count": 1}).json()
    with pytest.raises(ConnectionClosedError):
        chime.list_phone_numbers()
    chime.list_phone_numbers()
    second, first = log(service)
    assert first["faults"] == [{**slow, "fired": 1}, {**drop, "fired": 1}]
    assert second["faults"] == [{**slow, "fired": 2}]
    assert (first["status"], first["answer"], first["error"]) == (None, None, None)
    assert first["message"] == "The connection was closed unanswered."
    assert second["status"] == 200
    assert first["duration_ms"] > 190
    error = {"operation": "ListPhoneNumbers", "error": "ThrottledClientException"}
    service.admin.post("/faults", json=error).raise_for_status()
    with pytest.raises(chime.exceptions.ThrottledClientException):
        chime.list_phone_numbers()
    (entry,) = log(service, limit=1)
    assert (entry["status"], entry["error"]) == (429, "ThrottledClientException")
    assert entry["message"] == "ThrottledClientException was asked for at /_numberkeep/faults."
    assert entry["parameters"] == {}


def test_the_log_has_a_limit(monkeypatch: pytest.MonkeyPatch, service: Service, chime: Any) -> None:
    monkeypatch.setattr(request_log, "MOST_REQUESTS", 20)
    monkeypatch.setattr(request_log, "MOST_BYTES", 100_000)
    for length in range(30):
        send(service, "GET", f"/{'x' * length}")
    paths = [entry["path"] for entry in log(service)]
    assert paths == [f"/{'x' * length}" for length in range(29, 9, -1)]
    for _ in range(9):
        send(service, "POST", "/phone-numbers/%2B12065550100", b"x" * 20_000)
    assert [entry["method"] for entry in log(service)] == ["POST"] * 4
    send(service, "POST", "/phone-numbers/%2B12065550100", b"x" * 200_000)
    assert log(service) == []


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        ({"limit": 0}, "limit must be a whole number from 1 to 1000."),
        ({"limit": 1001}, "limit must be a whole number from 1 to 1000."),
        ({"limit": "many"}, "limit must be a whole number from 1 to 1000."),
        ({"account": "me"}, "account must be an account id, twelve digits."),
        ({"number": "me"}, "A phone number must be in E.164 format"),
        ({"acount": ACCOUNT}, "The query has acount; it can have limit, account, operation, number alone."),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(service: Service, query: dict[str, Any], rule: str) -> None:
    answer = service.admin.get("/requests", params=query)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(rule)


def test_serve_has_no_log(start: Start) -> None:
    assert start(dev=False, verify=True).admin.get("/requests").status_code == 404
