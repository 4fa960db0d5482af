"""The controls of dev: the clock, the seed, the reset."""

import contextlib
import threading
from typing import Any

import pytest

from conftest import Service, Start
from numberkeep.domain.moment import later

E164 = "+12065550100"
CONNECTOR = "abcdef1ghij2klmno3pqr4"
HELD = {"Name": "VoiceConnectorId", "Value": CONNECTOR}
SEED = {"E164PhoneNumber": E164, "ProductType": "VoiceConnector"}


def time_of(service: Service) -> str:
    return str(service.admin.get("/clock").json()["time"])


@pytest.mark.parametrize(
    ("advance", "days", "seconds"),
    [("72h", 3, 0), ("7d", 7, 0), ("30m", 0, 1800), ("1.5s", 0, 1.5), ("1d12h", 1.5, 0), ("0s", 0, 0)],
)
def test_the_clock_is_turned(service: Service, advance: str, days: float, seconds: float) -> None:
    before = time_of(service)
    answer = service.admin.post("/clock", json={"advance": advance})
    assert answer.status_code == 200
    least = later(before, days=days, seconds=seconds)
    assert least <= answer.json()["time"] <= later(least, seconds=60)
    assert answer.json()["time"] <= time_of(service)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"advance": 72}', b'{"advance": "-1h"}', b'{"advance": "soon"}', b'{"advance": "1h!"}',
     b'{"advance": ""}', b'{"retreat": "1h"}', b'{"advance": "1h", "x": 1}', b'{"advance": "99999999999d"}'],
)  # fmt: skip
def test_a_turn_that_makes_no_sense_is_refused(service: Service, body: bytes) -> None:
    before = time_of(service)
    answer = service.admin.post("/clock", content=body)
    assert answer.status_code == 400
    assert "advance" in answer.json()["message"]
    assert time_of(service)[:16] == before[:16]


def test_what_is_due_is_done_when_the_clock_answers(service: Service) -> None:
    chime = service.client()
    service.seed(SEED)
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    service.advance("72h")
    assert chime.get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["CallingName"] == "Acme"


def test_the_offset_survives_a_restart(start: Start, tmp_path: Any) -> None:
    database = tmp_path / "store.sqlite3"
    first = start(database=database)
    first.advance("30d")
    time = time_of(first)
    first.stop()
    second = start(database=database)
    assert time_of(second) >= time
    second.admin.post("/reset").raise_for_status()
    assert time_of(second) < time
    second.stop()
    assert time_of(start(database=database)) < time


@pytest.mark.parametrize("control", ["clock", "reset", "numbers", "faults", "snapshots", "snapshots/x/restore"])
def test_a_web_page_cannot_reach_the_controls(service: Service, control: str) -> None:
    service.seed(SEED)
    answer = service.admin.post(f"/{control}", headers={"Origin": "http://evil.example"}, json={"advance": "1h"})
    assert answer.status_code == 400
    assert "Origin" in answer.json()["message"]
    assert len(service.client().list_phone_numbers()["PhoneNumbers"]) == 1


@pytest.mark.parametrize("control", ["clock", "numbers", "faults", "snapshots"])
@pytest.mark.parametrize("body", [b'"\xff"', b"[" * 100_000])
def test_what_is_no_text_or_too_deep_is_refused(service: Service, control: str, body: bytes) -> None:
    assert service.admin.post(f"/{control}", content=body).status_code == 400


def test_reset_is_whole_beside_requests(start: Start) -> None:
    """Somebody orders what the demonstration has, in whatever moment of a reset."""
    service = start(empty=False, order_seconds=0)
    chime = service.client(account_id="210987654321")
    stop = threading.Event()

    def order() -> None:
        while not stop.is_set():
            with contextlib.suppress(chime.exceptions.BadRequestException):
                chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[E164])

    thread = threading.Thread(target=order)
    thread.start()
    try:
        for _ in range(20):
            assert service.admin.post("/reset").status_code == 204
            assert service.client().get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["Status"] == "Unassigned"
    finally:
        stop.set()
        thread.join()


def test_reset_begins_anew(service: Service) -> None:
    chime = service.client()
    service.seed(SEED)
    chime.update_phone_number_settings(CallingName="Acme")
    chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550101"])
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    service.advance("10s")
    before = time_of(service)
    assert service.admin.post("/reset").status_code == 204
    assert chime.list_phone_numbers()["PhoneNumbers"] == []
    assert chime.list_phone_number_orders()["PhoneNumberOrders"] == []
    assert "CallingName" not in chime.get_phone_number_settings()
    assert time_of(service) < before
    service.advance("80h")  # nothing that was pending comes back
    assert chime.list_phone_numbers()["PhoneNumbers"] == []


def test_reset_brings_the_demonstration_back(start: Start) -> None:
    service = start(empty=False)
    chime = service.client()
    seeded = chime.list_phone_numbers()["PhoneNumbers"]
    assert E164 in [number["E164PhoneNumber"] for number in seeded]
    chime.delete_phone_number(PhoneNumberId=E164)
    service.admin.post("/reset").raise_for_status()
    again = chime.list_phone_numbers()["PhoneNumbers"]
    assert [n["E164PhoneNumber"] for n in again] == [n["E164PhoneNumber"] for n in seeded]


def test_the_demonstration_is_put_into_a_new_store_only(start: Start, tmp_path: Any) -> None:
    database = tmp_path / "store.sqlite3"
    first = start(database=database, empty=False)
    assert len(first.client().list_phone_numbers()["PhoneNumbers"]) == 6
    first.client().delete_phone_number(PhoneNumberId=E164)
    first.stop()
    assert len(start(database=database, empty=False).client().list_phone_numbers()["PhoneNumbers"]) == 5


def test_a_seed_is_what_an_answer_looks_like(service: Service) -> None:
    """What GetPhoneNumber gives can be put in again, in another account."""
    voice = service.client("chime-sdk-voice")
    number = {
        **SEED,
        "CallingName": "phonenumber1",
        "Name": "Desk",
        "CreatedTimestamp": "2019-08-12T22:10:20.521Z",
        "Associations": [
            {"Name": "VoiceConnectorId", "Value": CONNECTOR, "AssociatedTimestamp": "2019-10-28T18:40:37.453Z"}
        ],
    }
    service.seed(number)
    answered = service.admin.post("/numbers", json=[]).status_code
    assert answered == 201
    shown = voice.get_phone_number(PhoneNumberId=E164)["PhoneNumber"]
    assert (shown["Status"], shown["CallingNameStatus"]) == ("Assigned", "UpdateSucceeded")
    assert shown["CreatedTimestamp"].isoformat() == "2019-08-12T22:10:20.521000+00:00"
    service.admin.post("/reset").raise_for_status()
    plain = {
        key: value.isoformat() if key.endswith("Timestamp") else value
        for key, value in shown.items()
        if key != "Associations"
    }
    plain["Associations"] = number["Associations"]
    service.seed(plain, account_id="210987654321")
    other = service.client("chime-sdk-voice", account_id="210987654321")
    assert other.get_phone_number(PhoneNumberId=E164)["PhoneNumber"] == shown


def test_what_holds_a_seeded_number_is_there_and_lets_go_of_it(service: Service) -> None:
    group = {"Name": "VoiceConnectorGroupId", "Value": "obmgetfdqcrknrlxfld2s"}
    service.seed({**SEED, "Associations": [HELD]}, {**SEED, "E164PhoneNumber": "+12065550143", "Associations": [group]})
    voice = service.client("chime-sdk-voice")
    voice.disassociate_phone_numbers_from_voice_connector(VoiceConnectorId=CONNECTOR, E164PhoneNumbers=[E164])
    voice.disassociate_phone_numbers_from_voice_connector_group(
        VoiceConnectorGroupId=group["Value"], E164PhoneNumbers=["+12065550143"]
    )
    assert {one["Status"] for one in voice.list_phone_numbers()["PhoneNumbers"]} == {"Unassigned"}


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("VoiceConnectorId", "0a1b2c3d-0a1b-4c3d-8e9f-0a1b2c3d4e5f"),
        ("VoiceConnectorGroupId", "123a456b-c7d8-90e1-fg23-4h567jkl8901"),  # as an AWS sample has it
    ],
)
def test_ids_of_another_form(service: Service, name: str, id: str) -> None:
    service.seed({**SEED, "Associations": [{"Name": name, "Value": id}]})
    held = service.client("chime-sdk-voice").list_phone_numbers(FilterName=name, FilterValue=id)["PhoneNumbers"]
    assert [one["E164PhoneNumber"] for one in held] == [E164]


def test_a_seeded_number_in_the_deletion_queue_leaves_it(service: Service) -> None:
    service.seed({**SEED, "Status": "ReleaseInProgress"})
    chime = service.client()
    assert len(chime.list_phone_numbers(Status="ReleaseInProgress")["PhoneNumbers"]) == 1
    service.advance("7d")
    with pytest.raises(chime.exceptions.NotFoundException):
        chime.get_phone_number(PhoneNumberId=E164)


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        ({"ProductType": "VoiceConnector"}, "E164PhoneNumber"),
        ({"E164PhoneNumber": E164}, "ProductType"),
        ({**SEED, "Colour": "red"}, "Colour"),
        ({**SEED, "ProductType": "Fax"}, "Fax"),
        ({**SEED, "E164PhoneNumber": "12"}, "numbering plan"),
        ({**SEED, "Status": "Assigned"}, "associations"),
        ({**SEED, "Status": "Unassigned", "Associations": [HELD]}, "associations"),
        ({**SEED, "Associations": [{"Name": "SipRuleId", "Value": "x"}]}, "SipRuleId"),
        ({**SEED, "Associations": [{"Name": "VoiceConnectorId", "Value": "x"}]}, "VoiceConnectorId"),
        ({**SEED, "ProductType": "BusinessCalling", "Associations": [HELD]}, "only VoiceConnector numbers"),
        ({**SEED, "Status": "AcquireInProgress"}, "in progress"),
        ({**SEED, "CallingNameStatus": "UpdateInProgress"}, "in progress"),
        ({**SEED, "E164PhoneNumber": "+442079460100"}, "outside the US"),
        ({**SEED, "E164PhoneNumber": "+18885550100", "CallingName": "Acme"}, "toll-free"),
        ({**SEED, "CallingName": "x"}, "CallingName"),
        ({**SEED, "Associations": [HELD, HELD]}, "one thing at a time"),
        ({**SEED, "CreatedTimestamp": "yesterday"}, "ISO 8601"),
        ({**SEED, "DeletionTimestamp": "2019-08-12T22:10:20.521Z"}, "ReleaseInProgress"),
        ({**SEED, "E164PhoneNumber": "+12065550177"}, "in an inventory already"),
    ],
)
def test_a_seed_that_breaks_a_rule_puts_nothing_in(service: Service, number: dict[str, Any], rule: str) -> None:
    service.seed({**SEED, "E164PhoneNumber": "+12065550177"}, account_id="210987654321")
    first = {**SEED, "E164PhoneNumber": "+12065550178"}
    answer = service.admin.post("/numbers", json=[first, number])
    assert answer.status_code == 400
    assert rule in answer.json()["message"]
    assert service.client().list_phone_numbers()["PhoneNumbers"] == []


def test_a_query_that_is_mistyped_is_refused(service: Service) -> None:
    answer = service.admin.post("/numbers", params={"acount": "210987654321"}, json=[SEED])
    assert (answer.status_code, answer.json()["message"]) == (400, "The query has acount; it can have account alone.")


def test_an_account_is_twelve_digits(service: Service) -> None:
    answer = service.admin.post("/numbers", params={"account": "me"}, json=[SEED])
    assert (answer.status_code, answer.json()["message"]) == (400, "account must be an account id, twelve digits.")
