"""What goes wrong on request, as real clients see it."""

import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from conftest import Service, Start
from numberkeep.domain.caller import root_of
from numberkeep.storage import phone_numbers
from numberkeep.world import World

E164, OTHER = "+12065550100", "+12065550101"
ACCOUNT = "123456789012"
STRANGER = "210987654321"


@pytest.fixture
def chime(service: Service) -> Any:
    """A client whose account has two numbers."""
    seed(service)
    return service.client()


def seed(service: Service) -> None:
    service.seed(*({"E164PhoneNumber": e164, "ProductType": "VoiceConnector"} for e164 in (E164, OTHER)))


def add(service: Service, **fault: Any) -> str:
    answer = service.admin.post("/faults", json=fault)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told == {"id": told["id"], **fault, "fired": 0}
    return str(told["id"])


def fired(service: Service) -> list[int]:
    return [fault["fired"] for fault in service.admin.get("/faults").json()["faults"]]


def fails(call: Callable[..., Any], **arguments: Any) -> ClientError | None:
    try:
        call(**arguments)
    except ClientError as error:
        return error
    return None


def error_of(call: Callable[..., Any], **arguments: Any) -> tuple[str, int] | None:
    if error := fails(call, **arguments):
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return None


def product_type(client: Any) -> str:
    return str(client.get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["ProductType"])


CHANGE = {"PhoneNumberId": E164, "ProductType": "BusinessCalling"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("BadRequestException", 400),
        ("UnauthorizedClientException", 401),
        ("ForbiddenException", 403),
        ("NotFoundException", 404),
        ("ConflictException", 409),
        ("ThrottledClientException", 429),
        ("ServiceFailureException", 500),
        ("ServiceUnavailableException", 503),
    ],
)
@pytest.mark.parametrize("name", ["chime", "chime-sdk-voice"])
def test_an_operation_raises_what_it_declares(service: Service, chime: Any, name: str, error: str, status: int) -> None:
    client = service.client(name)
    add(service, operation="UpdatePhoneNumber", error=error, count=1)
    with pytest.raises(getattr(client.exceptions, error)) as raised:
        client.update_phone_number(**CHANGE)
    response = raised.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["Error"]["Message"] == f"{error} was asked for at /_numberkeep/faults."
    if name == "chime":
        codes = client.meta.service_model.shape_for("ErrorCode").enum
        assert response["Code"] in codes, "modelled exceptions carry a Code"
    assert product_type(chime) == "VoiceConnector"
    client.update_phone_number(**CHANGE)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("AccessDeniedException", 403),
        ("ExpiredTokenException", 403),
        ("UnrecognizedClientException", 403),
        ("InternalFailure", 500),
        ("ThrottlingException", 400),
    ],
)
def test_every_operation_raises_what_the_framework_does(service: Service, chime: Any, error: str, status: int) -> None:
    add(service, operation="GetPhoneNumber", error=error)
    assert error_of(chime.get_phone_number, PhoneNumberId=E164) == (error, status)
    assert error_of(chime.list_phone_numbers) is None


def test_a_declared_exception_has_a_code_and_a_common_one_none(service: Service, chime: Any) -> None:
    """AccessDeniedException is both: some operations declare it."""
    add(service, operation="*", error="AccessDeniedException")
    declared, common = fails(chime.search_available_phone_numbers, AreaCode="206"), fails(chime.list_phone_numbers)
    assert declared
    assert common
    assert declared.response["Code"] == "AccessDenied"
    assert "Code" not in common.response
    assert declared.response["Error"] == common.response["Error"]


def test_an_operation_that_is_not_served_fails_like_any_other(service: Service, chime: Any) -> None:
    assert error_of(chime.list_rooms, AccountId=ACCOUNT) == ("OperationNotImplementedException", 501)
    add(service, operation="*", error="InternalFailure", count=1)
    add(service, operation="*", error="ForbiddenException", count=1)
    assert error_of(chime.list_rooms, AccountId=ACCOUNT) == ("InternalFailure", 500)
    assert error_of(chime.list_rooms, AccountId=ACCOUNT) == ("OperationNotImplementedException", 501)


def test_any_operation_raises_what_it_declares_alone(service: Service, chime: Any) -> None:
    add(service, operation="*", error="ConflictException")
    assert error_of(chime.list_phone_numbers) is None
    assert error_of(chime.update_phone_number, **CHANGE) == ("ConflictException", 409)
    assert fired(service) == [1]


def test_a_fault_is_for_an_account_and_a_number(service: Service, chime: Any) -> None:
    throttled = ("ThrottledClientException", 429)
    add(service, operation="*", error="ThrottledClientException", account=STRANGER)
    add(service, operation="*", error="ThrottledClientException", number=OTHER)
    assert error_of(service.client(account_id=STRANGER).list_phone_numbers) == throttled
    assert error_of(chime.get_phone_number, PhoneNumberId=E164) is None
    assert error_of(chime.get_phone_number, PhoneNumberId=OTHER) == throttled
    assert error_of(chime.get_phone_number, PhoneNumberId="%2B" + OTHER[1:]) == throttled
    assert error_of(chime.list_phone_numbers) is None
    assert fired(service) == [1, 2]


def test_a_number_in_a_body_is_found(service: Service, chime: Any) -> None:
    add(service, operation="*", error="ServiceFailureException", number=OTHER)
    both, failed = [E164, OTHER], ("ServiceFailureException", 500)
    order = {"ProductType": "VoiceConnector", "E164PhoneNumbers": ["+12065550102", OTHER]}
    items = [{"PhoneNumberId": e164, "ProductType": "BusinessCalling"} for e164 in both]
    assert error_of(chime.create_phone_number_order, **order) == failed
    assert error_of(chime.batch_update_phone_number, UpdatePhoneNumberRequestItems=items) == failed
    assert error_of(chime.batch_delete_phone_number, PhoneNumberIds=both) == failed
    held = {"VoiceConnectorId": "abcdef1ghij2klmno3pqr4", "E164PhoneNumbers": both}
    voice = service.client("chime-sdk-voice")
    assert error_of(voice.associate_phone_numbers_with_voice_connector, **held) == failed
    assert error_of(chime.batch_delete_phone_number, PhoneNumberIds=[E164]) is None
    assert chime.get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["Status"] == "ReleaseInProgress"


def test_a_fault_fires_as_often_as_it_is_told(service: Service, chime: Any) -> None:
    add(service, operation="ListPhoneNumbers", error="ThrottledClientException", count=3)
    codes = [error_of(chime.list_phone_numbers) for _ in range(5)]
    assert codes == [("ThrottledClientException", 429)] * 3 + [None] * 2
    assert fired(service) == [3]


def test_the_first_fault_that_still_fires_is_the_one(service: Service, chime: Any) -> None:
    add(service, operation="ListPhoneNumbers", error="ThrottledClientException", count=1)
    add(service, operation="*", error="ServiceUnavailableException", count=1)
    assert error_of(chime.list_phone_numbers) == ("ThrottledClientException", 429)
    assert fired(service) == [1, 0]
    assert error_of(chime.list_phone_numbers) == ("ServiceUnavailableException", 503)
    assert error_of(chime.list_phone_numbers) is None


def throws(start: Start, seed: int) -> list[bool]:
    service = start(World(seed=seed))
    add(service, operation="*", error="ThrottledClientException", probability=0.25)
    chime = service.client()
    return [error_of(chime.list_phone_numbers) is not None for _ in range(200)]


def test_a_fault_with_a_probability_repeats_in_a_seeded_world(start: Start) -> None:
    first = throws(start, 7)
    assert throws(start, 7) == first
    assert throws(start, 8) != first
    assert 25 < sum(first) < 75


def test_a_request_that_is_dropped_before_changes_nothing(service: Service, chime: Any) -> None:
    add(service, operation="UpdatePhoneNumber", drop="before", count=1)
    with pytest.raises(ConnectionClosedError):
        chime.update_phone_number(**CHANGE)
    assert product_type(chime) == "VoiceConnector"
    chime.update_phone_number(**CHANGE)


def test_a_request_that_is_dropped_after_has_changed_everything(service: Service, chime: Any) -> None:
    add(service, operation="UpdatePhoneNumber", drop="after", count=1)
    with pytest.raises(ConnectionClosedError):
        chime.update_phone_number(**CHANGE)
    assert product_type(chime) == "BusinessCalling"


@pytest.mark.parametrize("drop", ["before", "after"])
def test_an_order_that_is_dropped_is_made_once_or_not(service: Service, chime: Any, drop: str) -> None:
    add(service, operation="CreatePhoneNumberOrder", drop=drop, count=1)
    with pytest.raises(ConnectionClosedError):
        chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550102"])
    assert len(chime.list_phone_number_orders()["PhoneNumberOrders"]) == (drop == "after")


def test_a_read_and_a_refusal_are_dropped_too(service: Service, chime: Any) -> None:
    add(service, operation="*", drop="after")
    for call in (
        chime.list_phone_numbers,
        lambda: chime.get_phone_number(PhoneNumberId="+12065550188"),
        lambda: chime.update_phone_number(PhoneNumberId=E164, CallingName="!!"),
    ):
        with pytest.raises(ConnectionClosedError):
            call()
    assert fired(service) == [3]


def test_an_sdk_that_retries_gets_over_faults(service: Service, chime: Any) -> None:
    add(service, operation="ListPhoneNumbers", drop="after", count=1)
    add(service, operation="ListPhoneNumbers", error="ServiceUnavailableException", count=1)
    patient = boto3.client(
        "chime",
        endpoint_url=service.url,
        region_name="us-east-1",
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 3}),
    )
    assert len(patient.list_phone_numbers()["PhoneNumbers"]) == 2
    assert fired(service) == [1, 1]


def seconds_of(call: Callable[[], Any]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_a_delay_holds_the_answer_back_and_not_the_change(service: Service, chime: Any) -> None:
    add(service, operation="UpdatePhoneNumber", delay_ms=3000, count=2)
    hasty = service.client(read_timeout=0.3)
    with pytest.raises(ReadTimeoutError):
        hasty.update_phone_number(**CHANGE)
    assert product_type(chime) == "BusinessCalling"
    assert seconds_of(lambda: chime.update_phone_number(**CHANGE)) > 2.99
    assert seconds_of(lambda: chime.update_phone_number(**CHANGE)) < 2.99


def test_a_delay_goes_with_an_error_or_a_drop_and_delays_add_up(service: Service, chime: Any) -> None:
    add(service, operation="*", delay_ms=100)
    add(service, operation="*", error="ThrottledClientException", delay_ms=100, count=1)
    add(service, operation="*", drop="before", delay_ms=200, count=1)

    def throttled() -> None:
        assert error_of(chime.list_phone_numbers) == ("ThrottledClientException", 429)

    def dropped() -> None:
        with pytest.raises(ConnectionClosedError):
            chime.list_phone_numbers()

    assert seconds_of(throttled) > 0.19
    assert seconds_of(dropped) > 0.29
    assert seconds_of(chime.list_phone_numbers) > 0.09


def test_a_refused_signature_is_no_matter_for_faults(start: Start) -> None:
    """A fault meets who may make the request: whoever may not is told that."""
    service = start(verify=True)
    add(service, operation="*", error="ThrottledClientException")
    key, secret = service.app.credentials
    chime = service.client(access_key_id=key, secret_access_key=secret)
    stranger = service.client(access_key_id="AKIAIOSFODNN7EXAMPLE")
    assert error_of(stranger.list_phone_numbers) == ("UnrecognizedClientException", 403)
    assert fired(service) == [0]
    assert error_of(chime.list_phone_numbers) == ("ThrottledClientException", 429)


def test_faults_are_removed_one_by_one_and_all(service: Service, chime: Any) -> None:
    one, two, three = (add(service, operation="*", error="ThrottledClientException") for _ in range(3))
    assert service.admin.delete(f"/faults/{one}").status_code == 204
    again = service.admin.delete(f"/faults/{one}")
    assert (again.status_code, again.json()["message"]) == (404, f"There is no fault {one}; there are {two}, {three}.")
    assert [fault["id"] for fault in service.admin.get("/faults").json()["faults"]] == [two, three]
    assert service.admin.delete("/faults").status_code == 204
    assert service.admin.get("/faults").json() == {"faults": []}
    assert error_of(chime.list_phone_numbers) is None


def test_a_reset_removes_faults(service: Service) -> None:
    add(service, operation="*", drop="before")
    service.admin.post("/reset").raise_for_status()
    assert service.admin.get("/faults").json() == {"faults": []}


@pytest.mark.parametrize(
    ("fault", "rules"),
    [
        ({}, ["operation", "change"]),
        ([], ["object"]),
        ({"operation": "*", "change": "*", "error": "ConflictException"}, ["not both"]),
        ({"operation": "UpdateNumber", "drop": "before"}, ["'UpdateNumber'", "*, ", "UpdatePhoneNumber, "]),
        ({"operation": "UpdatePhoneNumber"}, ["error", "drop", "delay_ms"]),
        ({"operation": "UpdatePhoneNumber", "error": "Oops"}, ["'Oops'", "ConflictException", "InternalFailure"]),
        ({"operation": "ListPhoneNumbers", "error": "ConflictException"}, ["'ConflictException'", "NotFoundException"]),
        ({"operation": "*", "error": "NotFoundException", "drop": "after"}, ["one effect"]),
        ({"operation": "*", "drop": "during"}, ["drop cannot be 'during': it must be one of before, after."]),
        ({"operation": "*", "delay_ms": 0}, ["$.delay_ms", ">= 1"]),
        ({"operation": "*", "delay_ms": 600_001}, ["$.delay_ms", "<= 600000"]),
        ({"operation": "*", "delay_ms": "1s"}, ["$.delay_ms", "int"]),
        ({"operation": "*", "drop": "after", "count": 0}, ["$.count", ">= 1"]),
        ({"operation": "*", "drop": "after", "probability": 0}, ["$.probability", "> 0"]),
        ({"operation": "*", "drop": "after", "probability": 1.5}, ["$.probability", "<= 1"]),
        ({"operation": "*", "drop": "after", "account": "me"}, ["account", "twelve digits"]),
        ({"operation": "*", "drop": "after", "number": "me"}, ["E.164"]),
        ({"operation": "*", "drop": "after", "colour": "red"}, ["colour"]),
        ({"operation": "*", "carrier": "refuse"}, ["carrier goes with change"]),
        ({"change": "rename", "carrier": "refuse"}, ["*, order, set_calling_name, release", "'rename'"]),
        ({"change": "order"}, ["carrier is missing; it must be one of refuse, time_out, answer_twice, never_answer."]),
        ({"change": "order", "carrier": "lie"}, ["'lie'"]),
        (
            {"change": "order", "carrier": "refuse", "delay_ms": 5},
            ["error, message, code, drop and delay_ms go with"],
        ),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(service: Service, fault: Any, rules: list[str]) -> None:
    answer = service.admin.post("/faults", json=fault)
    assert answer.status_code == 400
    for rule in rules:
        assert rule in answer.json()["message"]
    assert service.admin.get("/faults").json() == {"faults": []}


def calling_name(chime: Any, e164: str = E164) -> tuple[str | None, str]:
    number = chime.get_phone_number(PhoneNumberId=e164)["PhoneNumber"]
    return number.get("CallingName"), number["CallingNameStatus"]


def changes(service: Service, e164: str = E164) -> list[dict[str, Any]]:
    """What has happened to a number, the latest first."""
    history = service.run(service.app.store.ask(root_of(ACCOUNT), phone_numbers.history, e164))
    return [change.change for change in history]


def test_a_carrier_refuses(service: Service, chime: Any) -> None:
    add(service, change="set_calling_name", carrier="refuse", number=E164)
    for e164 in (E164, OTHER):
        chime.update_phone_number(PhoneNumberId=e164, CallingName="Acme")
    service.advance("72h")
    assert calling_name(chime) == (None, "UpdateFailed")
    assert changes(service)[0]["reason"][1] == "the refusal was asked for at /_numberkeep/faults"
    assert calling_name(chime, OTHER) == ("Acme", "UpdateSucceeded")
    assert fired(service) == [1]
    requests = service.admin.get("/requests", params={"number": E164}).json()["requests"]
    noted = next(request for request in requests if request["faults"])
    assert noted["parameters"] == {"change": "set_calling_name", "number": E164, "attempts": 0}
    assert noted["faults"][0]["carrier"] == "refuse"


def test_a_carrier_that_times_out_is_asked_again(service: Service, chime: Any) -> None:
    add(service, change="set_calling_name", carrier="time_out", count=3)
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    service.advance("72h")
    service.advance("1h")
    assert calling_name(chime) == ("Acme", "UpdateSucceeded")
    assert fired(service) == [3]


def test_a_carrier_that_never_answers_keeps_a_change_pending(service: Service, chime: Any) -> None:
    id = add(service, change="*", carrier="never_answer")
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    service.advance("72h")
    assert calling_name(chime) == (None, "UpdateInProgress")
    service.advance("30d")
    assert calling_name(chime) == (None, "UpdateInProgress")
    assert fired(service)[0] > 30 * 24
    service.admin.delete(f"/faults/{id}").raise_for_status()
    service.advance("1h")
    assert calling_name(chime) == ("Acme", "UpdateSucceeded")


def test_a_second_answer_of_a_carrier_changes_nothing(service: Service, chime: Any) -> None:
    add(service, change="*", carrier="answer_twice")
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550102"])
    chime.delete_phone_number(PhoneNumberId=OTHER)
    service.advance("8d")
    assert calling_name(chime) == ("Acme", "UpdateSucceeded")
    assert len(changes(service)) == 3, "it came, a name was asked for, and settled once"
    assert len(changes(service, "+12065550102")) == 2, "it was ordered, and came"
    numbers = chime.list_phone_numbers()["PhoneNumbers"]
    assert [(one["E164PhoneNumber"], one["Status"]) for one in numbers] == [
        (E164, "Unassigned"),
        ("+12065550102", "Unassigned"),
    ]
    assert [order["Status"] for order in chime.list_phone_number_orders()["PhoneNumberOrders"]] == ["Successful"]
    assert error_of(chime.get_phone_number, PhoneNumberId=OTHER) == ("NotFoundException", 404)
    assert fired(service)[0] >= 3


def test_an_order_and_a_release_that_the_carrier_refuses(service: Service, chime: Any) -> None:
    add(service, change="order", carrier="refuse", account=ACCOUNT)
    add(service, change="release", carrier="refuse", account=STRANGER)
    new = "+12065550102"
    chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[new])
    chime.delete_phone_number(PhoneNumberId=E164)
    stranger = service.client(account_id=STRANGER)
    stranger.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550103"])
    service.advance("1m")
    assert chime.get_phone_number(PhoneNumberId=new)["PhoneNumber"]["Status"] == "AcquireFailed"
    assert [order["Status"] for order in chime.list_phone_number_orders()["PhoneNumberOrders"]] == ["Failed"]
    stranger.delete_phone_number(PhoneNumberId="+12065550103")
    service.advance("8d")
    assert error_of(chime.get_phone_number, PhoneNumberId=E164) == ("NotFoundException", 404)
    number = stranger.get_phone_number(PhoneNumberId="+12065550103")["PhoneNumber"]
    assert number["Status"] == "ReleaseFailed"
    assert fired(service) == [1, 1]


def test_serve_has_no_faults(start: Start) -> None:
    service = start(dev=False, verify=True)
    assert service.admin.get("/faults").status_code == 404
