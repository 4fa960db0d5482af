"""The deletion queue: how long numbers have, and how they come back."""

import re

from console_visitor import Visitor

WAITING = {"ProductType": "VoiceConnector", "Status": "ReleaseInProgress"}


def rows(source: str) -> list[str]:
    return re.findall(r'<a class="number" href="/numbers/%2B(\d+)">', source)


def test_it_is_empty(visitor: Visitor) -> None:
    visitor.service.seed({"E164PhoneNumber": "+12065550100", "ProductType": "VoiceConnector"})
    assert "It is empty." in visitor.get("/deletion-queue").text


def test_who_leaves_first_is_first(visitor: Visitor) -> None:
    service = visitor.service
    service.seed({"E164PhoneNumber": "+12065550102", **WAITING})
    service.advance("2d")
    service.seed({"E164PhoneNumber": "+12065550100", **WAITING})
    service.seed({"E164PhoneNumber": "+12065550101", "ProductType": "VoiceConnector", "Status": "ReleaseFailed"})
    page = visitor.get("/deletion-queue")
    assert rows(page.source) == ["12065550101", "12065550102", "12065550100"]
    assert "4 days 23 hours" in page.text
    assert "6 days 23 hours" in page.text


def test_restored_one_by_one(visitor: Visitor) -> None:
    service = visitor.service
    service.seed({"E164PhoneNumber": "+12065550100", **WAITING}, {"E164PhoneNumber": "+12065550101", **WAITING})
    service.seed({"E164PhoneNumber": "+12065550102", "ProductType": "VoiceConnector"})
    page = visitor.post("/deletion-queue", number=["+12065550100", "+12065550102"])
    assert "Done for 1 of 2." in page.text
    assert "restore needs a number that is ReleaseInProgress" in page.text
    assert rows(visitor.get("/deletion-queue").source) == ["12065550101"]
    statuses = {one["E164PhoneNumber"]: one["Status"] for one in service.client().list_phone_numbers()["PhoneNumbers"]}
    assert statuses["+12065550100"] == "Unassigned"


def test_one_whose_days_are_over_cannot_be(visitor: Visitor) -> None:
    service = visitor.service
    service.seed({"E164PhoneNumber": "+12065550196", **WAITING})
    service.admin.post("/faults", json={"change": "release", "carrier": "never_answer"}).raise_for_status()
    service.advance("7d")
    service.advance("1m")
    page = visitor.get("/deletion-queue")
    assert "could be restored until" in page.text
    assert re.search(r'name="number"[^>]* disabled', page.source)


def test_page_after_page(visitor: Visitor) -> None:
    e164s = [f"+1206555{index:04}" for index in range(70)]
    visitor.service.seed(*({"E164PhoneNumber": e164, **WAITING} for e164 in e164s))
    page = visitor.get("/deletion-queue")
    found = rows(page.source)
    more = re.search(r'rel="next" href="([^"]+)"', page.source)
    assert more
    found += rows(visitor.get(more[1]).source)
    assert found == [e164[1:] for e164 in e164s]
