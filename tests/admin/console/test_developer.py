"""The controls of dev, as buttons."""

import botocore.exceptions
import pytest

from console_visitor import Visitor, key_of

E164 = "+12065550100"


def test_the_clock_is_turned(visitor: Visitor) -> None:
    visitor.service.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    chime = visitor.service.client()
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    page = visitor.post("/dev/clock", "/dev", advance="72h")
    assert page.path == "/dev"
    assert "72h have passed." in page.text
    assert "ahead of the real time" in page.text
    assert chime.get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["CallingName"] == "Acme"
    page = visitor.post("/dev/clock", "/dev", advance="soon")
    assert page.status == 400
    assert "advance must be a duration" in page.text


def test_faults_are_asked_for_and_removed(visitor: Visitor) -> None:
    page = visitor.post(
        "/dev/add-fault", "/dev", operation="ListPhoneNumbers", error="ThrottledClientException", count="2", number=""
    )
    assert "is in force." in page.text
    assert "fired 0 times" in page.text
    chime = visitor.service.client()
    with pytest.raises(botocore.exceptions.ClientError, match="Throttled"):
        chime.list_phone_numbers()
    page = visitor.get("/dev")
    assert "fired 1 time" in page.text
    (fault,) = visitor.service.admin.get("/faults").json()["faults"]
    assert (fault["count"], fault["error"]) == (2, "ThrottledClientException")
    assert "is removed." in visitor.post("/dev/remove-fault", "/dev", id=fault["id"]).text
    chime.list_phone_numbers()
    assert visitor.post("/dev/remove-fault", "/dev", id=fault["id"]).status == 400


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ({}, "A fault has an operation, or a change"),
        ({"operation": "Nothing", "error": "InternalFailure"}, "operation cannot be 'Nothing'"),
        ({"operation": "*", "delay_ms": "long"}, "That is no fault"),
        ({"operation": "*", "delay_ms": "-1"}, "That is no fault"),
        ({"change": "order", "carrier": "sulk"}, "carrier cannot be 'sulk'"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(visitor: Visitor, fault: dict[str, str], rule: str) -> None:
    page = visitor.post("/dev/add-fault", "/dev", **fault)
    assert page.status == 400
    assert rule in page.text
    assert not visitor.service.admin.get("/faults").json()["faults"]


def test_a_carrier_that_refuses(visitor: Visitor) -> None:
    visitor.post("/dev/add-fault", "/dev", change="set_calling_name", carrier="refuse")
    visitor.service.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    chime = visitor.service.client()
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    visitor.service.advance("72h")
    assert chime.get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["CallingNameStatus"] == "UpdateFailed"


def test_a_fault_strikes_the_console_too(visitor: Visitor) -> None:
    visitor.service.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    here = f"/numbers/{E164}"
    visitor.post("/dev/add-fault", "/dev", operation="UpdatePhoneNumber", drop="after")
    page = visitor.post(f"{here}/name", here, value="Sales")
    assert page.status == 400
    assert "The connection was closed unanswered" in page.text
    assert "Sales" in page.text, "the change was made all the same"


def test_snapshots(visitor: Visitor) -> None:
    visitor.service.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    page = visitor.post("/dev/take-snapshot", "/dev", name="seeded")
    assert "The snapshot seeded is taken." in page.text
    assert "1 number" in page.text
    visitor.service.client().delete_phone_number(PhoneNumberId=E164)
    assert "Everything is as it was" in visitor.post("/dev/restore-snapshot", "/dev", name="seeded").text
    status = visitor.service.client().get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["Status"]
    assert status == "Unassigned"
    assert "is forgotten." in visitor.post("/dev/forget-snapshot", "/dev", name="seeded").text
    page = visitor.post("/dev/restore-snapshot", "/dev", name="seeded")
    assert page.status == 400
    assert "There is no snapshot seeded" in page.text
    assert visitor.post("/dev/take-snapshot", "/dev", name="a b").status == 400


def test_begin_anew(visitor: Visitor) -> None:
    visitor.service.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    visitor.service.advance("72h")
    page = visitor.post("/dev/reset", "/dev")
    assert "Everything has begun anew" in page.text
    assert "ahead of the real time" not in page.text
    assert "No number is like that." in visitor.get("/numbers").text


def test_a_control_without_the_token_is_none(visitor: Visitor) -> None:
    visitor.service.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    visitor.get("/dev")
    assert visitor.client.post("/dev/reset").status_code == 403
    assert visitor.service.client().list_phone_numbers()["PhoneNumbers"]
    assert visitor.post("/dev/explode", "/dev").status == 404


def test_served_there_are_none(served: Visitor) -> None:
    served.sign_in(*key_of(served.service))
    assert served.get("/dev").status == 404
    assert served.post("/dev/reset").status == 404
    assert 'href="/dev"' not in served.get("/numbers").source
