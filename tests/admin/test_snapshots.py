"""Snapshots: what tests change, and come back to."""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Service, Start
from numberkeep.domain.caller import root_of
from numberkeep.domain.moment import later
from numberkeep.storage import store
from numberkeep.storage.schema import tables
from numberkeep.world import World

E164, OTHER = "+12065550100", "+12065550101"
CONNECTOR = "abcdef1ghij2klmno3pqr4"
SEEDS = [
    {"E164PhoneNumber": E164, "ProductType": "VoiceConnector"},
    {
        "E164PhoneNumber": OTHER,
        "ProductType": "VoiceConnector",
        "CallingName": "Other",
        "Associations": [{"Name": "VoiceConnectorId", "Value": CONNECTOR}],
    },
]


def take(service: Service, name: str = "seeded") -> dict[str, Any]:
    answer = service.admin.post("/snapshots", json={"name": name})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def restore(service: Service, name: str = "seeded") -> None:
    answer = service.admin.post(f"/snapshots/{name}/restore")
    assert answer.status_code == 204, answer.text


def rows(service: Service) -> dict[str, Any]:
    """All that accounts have, by table, in an order."""
    found = service.run(service.app.store.ask(root_of(""), store.dump))
    return {name: sorted(map(repr, map(tuple, table))) for name, table in found.items()}


def time_of(service: Service) -> str:
    return str(service.admin.get("/clock").json()["time"])


def test_everything_comes_back(service: Service) -> None:
    service.seed(*SEEDS)
    chime, voice = service.client(), service.client("chime-sdk-voice", account_id="210987654321")
    chime.update_phone_number_settings(CallingName="Acme")
    chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550102"])
    connector = voice.create_voice_connector(Name="one", RequireEncryption=True)["VoiceConnector"]["VoiceConnectorId"]
    voice.put_voice_connector_termination(
        VoiceConnectorId=connector, Termination={"CallingRegions": ["US"], "CidrAllowedList": ["10.1.0.0/24"]}
    )
    account = chime.create_account(Name="one")["Account"]["AccountId"]
    chime.create_user(AccountId=account, Username="one", Email="one@example.com")
    service.advance("10s")
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    chime.delete_phone_number(PhoneNumberId="+12065550102")
    service.advance("1s")  # the carrier is asked for the name
    before = rows(service)
    empty = {name for name, found in before.items() if not found}
    assert empty <= {"deliveries", "departed_phone_numbers", "voice_connector_groups", "sip_media_applications",
                     "sip_rules", "resource_links"}  # fmt: skip
    take(service)

    service.advance("30d")
    chime.delete_phone_number(PhoneNumberId=E164)
    chime.update_phone_number_settings(CallingName="Other")
    voice.delete_voice_connector(VoiceConnectorId=connector)
    chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550103"])
    service.advance("8d")
    assert rows(service) != before

    restore(service)
    assert rows(service) == before
    assert len(chime.list_phone_numbers()["PhoneNumbers"]) == 2
    assert len(chime.list_phone_numbers(Status="ReleaseInProgress")["PhoneNumbers"]) == 1
    assert voice.get_voice_connector_termination(VoiceConnectorId=connector)["Termination"]["CallingRegions"] == ["US"]


def test_what_is_pending_is_pending_again(service: Service) -> None:
    service.seed(*SEEDS)
    chime = service.client()
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    take(service)

    def status() -> str:
        return str(chime.get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["CallingNameStatus"])

    for _ in range(3):
        service.advance("71h")
        assert status() == "UpdateInProgress"
        service.advance("1h")
        assert status() == "UpdateSucceeded"
        restore(service)
        assert status() == "UpdateInProgress"


def test_time_goes_on_from_the_snapshot(service: Service) -> None:
    service.advance("5d")
    time = take(service)["time"]
    service.advance("30d")
    restore(service)
    assert time <= time_of(service) <= later(time, seconds=60)
    service.admin.post("/reset").raise_for_status()
    assert time_of(service) < time
    restore(service)
    assert time <= time_of(service) <= later(time, seconds=60)


def test_the_time_between_is_not_counted(start: Start) -> None:
    real = [1_572_373_530.392]
    service = start(World(clock=lambda: real[0]))
    service.seed(*SEEDS)
    service.client().create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550102"])
    time = take(service)["time"]
    real[0] += 3600
    assert time_of(service) == later(time, seconds=3600)
    restore(service)
    assert time_of(service) == time
    number = service.client().get_phone_number(PhoneNumberId="+12065550102")["PhoneNumber"]
    assert number["Status"] == "AcquireInProgress"
    real[0] += 5
    assert time_of(service) == later(time, seconds=5)


def test_the_time_of_a_restored_snapshot_survives_a_restart(start: Start, tmp_path: Path) -> None:
    first = start(database=tmp_path / "store.sqlite3")
    first.advance("5d")
    time = take(first)["time"]
    first.advance("30d")
    restore(first)
    first.stop()
    second = start(database=tmp_path / "store.sqlite3")
    assert time <= time_of(second) <= later(time, seconds=60)
    assert second.admin.get("/snapshots").json() == {"snapshots": []}, "they are in the memory of the process"


def test_snapshots_are_listed_taken_anew_and_removed(service: Service) -> None:
    for snapshot in service.admin.get("/snapshots").json()["snapshots"]:
        service.admin.delete(f"/snapshots/{snapshot['name']}").raise_for_status()
    empty = take(service, "empty")
    service.seed(SEEDS[0])
    take(service, "seeded")
    service.seed(SEEDS[1], account_id="210987654321")
    seeded = take(service, "seeded")
    assert (empty["name"], empty["numbers"], seeded["numbers"]) == ("empty", 0, 2)
    assert empty["time"] <= seeded["time"] <= time_of(service)
    assert service.admin.get("/snapshots").json() == {"snapshots": [empty, seeded]}
    for name, count in (("empty", 0), ("seeded", 1), ("empty", 0)):
        restore(service, name)
        assert len(service.client().list_phone_numbers()["PhoneNumbers"]) == count
    for request in (("POST", "/snapshots/seed/restore"), ("DELETE", "/snapshots/seed")):
        answer = service.admin.request(*request)
        assert answer.status_code == 404
        assert answer.json()["message"] == "There is no snapshot seed; there are empty, seeded."
    assert service.admin.delete("/snapshots/seeded").status_code == 204
    assert service.admin.delete("/snapshots/empty").status_code == 204
    answer = service.admin.post("/snapshots/seeded/restore")
    assert answer.json()["message"] == "There is no snapshot seeded; there are none."


@pytest.mark.parametrize("body", [b"", b"{}", b'{"name": 1}', b'{"name": ""}', b'{"name": "a/b"}', b'{"name": ".."}',
                                  b'{"name": "x", "y": 1}', b'{"name": "%s"}' % (b"x" * 65)])  # fmt: skip
def test_a_snapshot_has_a_name(service: Service, body: bytes) -> None:
    before = service.admin.get("/snapshots").json()
    answer = service.admin.post("/snapshots", content=body)
    assert answer.status_code == 400
    assert "name" in answer.json()["message"]
    assert service.admin.get("/snapshots").json() == before


def test_faults_are_those_of_the_snapshot(service: Service) -> None:
    slow = service.admin.post("/faults", json={"operation": "*", "delay_ms": 1, "count": 2}).json()
    service.client().list_phone_numbers()
    take(service)
    service.client().list_phone_numbers()
    service.admin.post("/faults", json={"operation": "*", "drop": "before"}).raise_for_status()
    restore(service)
    assert service.admin.get("/faults").json() == {"faults": [{**slow, "fired": 1}]}


def test_keys_stay(start: Start) -> None:
    service = start(verify=True)
    key, secret = service.app.credentials
    chime = service.client(access_key_id=key, secret_access_key=secret)
    take(service)
    chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[E164])
    restore(service)
    assert chime.list_phone_numbers()["PhoneNumbers"] == []


def test_a_restored_snapshot_is_whole_beside_requests(service: Service) -> None:
    """Somebody else changes the same numbers, in whatever moment of a restore."""
    service.seed(*SEEDS)
    chime = service.client()
    take(service)
    before = rows(service)
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            with suppress(ClientError):
                chime.delete_phone_number(PhoneNumberId=E164)
            with suppress(ClientError):
                chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550103"])

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(20):
            restore(service)
            assert chime.get_phone_number(PhoneNumberId=OTHER)["PhoneNumber"]["Status"] == "Assigned"
    finally:
        stop.set()
        thread.join()
    restore(service)
    assert rows(service) == before


def test_every_table_is_restored_or_kept() -> None:
    assert set(tables()) > store.KEPT_TABLES


def test_serve_has_no_snapshots(start: Start) -> None:
    assert start(dev=False, verify=True).admin.get("/snapshots").status_code == 404
