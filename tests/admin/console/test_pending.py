"""What carriers have to do, and what somebody says came of it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from conftest import ALICE, Service, Start
from console_visitor import Visitor, key_of
from numberkeep.admin.console import pending
from numberkeep.domain.identity import AttachedPolicy
from numberkeep.operations import inventory
from numberkeep.operations.inventory import GivenNumber
from numberkeep.operations.phone_numbers import update_phone_number
from numberkeep.storage import phone_numbers

E164, OTHER = "+12065550100", "+12065550101"
FILE = """
default = "desk"
[carriers.desk]
kind = "manual"
[carriers.lab]
kind = "simulated"
[[routes]]
numbers = "+12065550101"
carrier = "lab"
"""


@pytest.fixture
def manual(start: Start, tmp_path: Path) -> Iterator[Visitor]:
    """Somebody at the console of a service whose numbers a person serves, but for one."""
    (tmp_path / "carriers.toml").write_text(FILE)
    one = Visitor(start(carriers=tmp_path / "carriers.toml"))
    with one.client:
        yield one


def name_both(service: Service) -> None:
    for e164 in (E164, OTHER):
        service.seed({"E164PhoneNumber": e164, "ProductType": "VoiceConnector"})
        service.client().update_phone_number(PhoneNumberId=e164, CallingName=f"Acme {e164[-2:]}")


def id_on(visitor: Visitor, path: str = "/pending") -> str:
    found = re.findall(r'name="id" value="([^"]+)"', visitor.get(path).source)
    return str(found[0])


def test_nothing_is(visitor: Visitor) -> None:
    assert "Nothing is pending." in visitor.get("/pending").text


def test_what_is_to_be_done_and_by_whom(manual: Visitor) -> None:
    name_both(manual.service)
    manual.service.advance("1m")
    page = manual.get("/pending")
    for text in (
        "the calling name “Acme 00” desk",
        "somebody says what came of it",
        "“Acme 01” lab",
        "asked in 2 days 23",
    ):
        assert text in page.text, text
    assert "Acme 01" not in manual.get("/pending", carrier="desk").text
    assert "somebody says what came of it" in manual.get(f"/numbers/{E164}").text


def test_what_can_be_restored_is_nobody_s_yet(manual: Visitor) -> None:
    service = manual.service
    service.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    service.client().delete_phone_number(PhoneNumberId=E164)
    assert "Nothing is pending." in manual.get("/pending").text
    service.advance("7d")
    assert "Take the number back" in manual.get("/pending").text


def test_what_came_of_it(manual: Visitor) -> None:
    service = manual.service
    name_both(service)
    page = manual.post("/pending", "/pending", number=E164, id=id_on(manual, "/pending"), outcome="failed")
    assert (page.status, "Say why it has failed" in page.text) == (400, True)
    page = manual.post("/pending", "/pending", number=E164, id=id_on(manual), outcome="done", reason="LIDB says no")
    assert (page.status, "What is done has no reason" in page.text) == (400, True)
    page = manual.post("/pending", "/pending", number=E164, id=id_on(manual), outcome="failed", reason="LIDB says no")
    assert f"{E164}: set calling name has failed." in page.text
    assert service.client().get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["CallingNameStatus"] == "UpdateFailed"
    assert "LIDB says no" in manual.get(f"/numbers/{E164}").text
    (asked,) = service.admin.get("/requests", params={"operation": "SettlePendingChange"}).json()["requests"]
    assert (asked["status"], asked["parameters"]) == (200, {"Outcome": "Failed"})
    id = id_on(manual)
    page = manual.post("/pending", "/pending", number=OTHER, id=id, outcome="done")
    assert f"{OTHER}: set calling name has succeeded." in page.text
    assert service.client().get_phone_number(PhoneNumberId=OTHER)["PhoneNumber"]["CallingName"] == "Acme 01"
    page = manual.post("/pending", "/pending", number=OTHER, id=id, outcome="done")
    assert (page.status, f"No change is pending of {OTHER}" in page.text) == (400, True)


def test_what_is_said_is_recorded(start: Start, tmp_path: Path) -> None:
    service = start(dev=False, verify=True, trail=(str(tmp_path / "trail"),))
    given = [msgspec.convert({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"}, GivenNumber)]
    service.run(service.app.store.transact(ALICE, inventory.put, given))
    visitor = Visitor(service)
    with visitor.client:
        visitor.sign_in(*key_of(service))
        visitor.post(f"/numbers/{E164}/calling-name", f"/numbers/{E164}", value="Acme")
        visitor.post("/pending", "/pending", number=E164, id=id_on(visitor), outcome="done")
        visitor.post("/pending", "/pending", number=E164, id="x", outcome="done")
        visitor.sign_in(*key_of(service, AttachedPolicy("AmazonChimeReadOnly"), "bob"))
        visitor.post("/pending", "/pending", number=E164, id="x", outcome="failed", reason="no")
    history = service.run(service.app.store.ask(ALICE, phone_numbers.history, E164))
    service.stop()
    records = [json.loads(line) for line in (tmp_path / "trail").read_text().splitlines()]
    told = [one for one in records if one["eventName"] == "SettlePendingChange"]
    assert [(one["errorCode"], one["userIdentity"]["userName"], one["readOnly"]) for one in told] == [
        (None, "alice", False),
        ("NotFoundException", "alice", False),
        ("AccessDeniedException", "bob", False),
    ]
    assert told[0]["requestID"] == history[0].request_id
    assert told[0]["responseElements"] == {"Kind": "set_calling_name"}


def test_nothing_is_settled_that_could_not_be_recorded(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start(dev=False, verify=True, trail=(str(tmp_path / "trail"),))
    given = [msgspec.convert({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"}, GivenNumber)]
    service.run(service.app.store.transact(ALICE, inventory.put, given))
    service.run(service.app.store.transact(ALICE, update_phone_number, E164, calling_name="Acme"))
    visitor = Visitor(service)
    with visitor.client:
        visitor.sign_in(*key_of(service))
        monkeypatch.setattr("numberkeep.trail.WAITING_BYTES", -1)
        page = visitor.post("/pending", "/pending", number=E164, id=id_on(visitor), outcome="done")
    assert "The trail cannot be kept at the moment." in page.text
    number = service.run(service.app.store.ask(ALICE, phone_numbers.get, E164))
    assert number.calling_name_status == "UpdateInProgress"


def test_page_after_page(manual: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "PAGE_CHANGES", 2)
    monkeypatch.setattr(pending, "ROWS_AT_ONCE", 1)
    e164s = [f"+1206555{index:04}" for index in range(5)]
    for e164 in e164s:
        manual.service.seed({"E164PhoneNumber": e164, "ProductType": "VoiceConnector"})
        manual.service.client().update_phone_number(PhoneNumberId=e164, CallingName="Acme")
    seen: list[str] = []
    address: str | None = "/pending?carrier=desk"
    while address:
        page = manual.get(address)
        seen += re.findall(r'<a class="number" href="/numbers/%2B(\d+)">', page.source)
        more = re.search(r'rel="next" href="([^"]+)"', page.source)
        address = more[1].replace("&amp;", "&") if more else None
    assert seen == [e164[1:] for e164 in e164s]


def test_who_may_say_so(served: Visitor) -> None:
    looks = AttachedPolicy("AmazonChimeReadOnly")
    served.sign_in(*key_of(served.service, looks))
    assert served.get("/pending").status == 200
    page = served.post("/pending", "/pending", number=E164, id="x", outcome="done")
    assert (page.status, f"allows {pending.SETTLE}" in page.text) == (403, True)
    document = {"Statement": {"Effect": "Allow", "Action": [pending.SETTLE, "chime:List*"], "Resource": "*"}}
    served.sign_in(*key_of(served.service, AttachedPolicy("settles", json.dumps(document)), "bob", ALICE))
    page = served.post("/pending", "/pending", number=E164, id="x", outcome="done")
    assert (page.status, f"No change is pending of {E164}" in page.text) == (400, True)
