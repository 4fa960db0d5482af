"""Trends: what there was is told by what has happened since."""

import re
from datetime import date, timedelta

import pytest

from console_visitor import Page, Visitor, key_of
from numberkeep.admin.console import trends
from numberkeep.domain.identity import AttachedPolicy

E164S = [f"+1206555010{index}" for index in range(4)]


def days(page: Page) -> dict[str, list[str]]:
    """The figures of each day; those of the statuses, in the order in which they are told."""
    table = re.search(r'aria-label="Figures: Numbers.*?</table>', page.source, re.S)
    assert table
    rows = re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', table[0])
    return {day: re.findall("<td>(.*?)</td>", cells) for day, cells in rows}


def statuses(page: Page) -> list[str]:
    table = re.search(r'aria-label="Figures: Numbers.*?</thead>', page.source, re.S)
    assert table
    return re.findall('<th scope="col">(.*?)</th>', table[0])[1:]


def test_numbers_day_by_day(visitor: Visitor) -> None:
    service = visitor.service
    moment = service.admin.get("/clock").json()["time"]
    service.advance(f"{24 - int(moment[11:13])}h")  # into a new day, of which much is left
    first = date.fromisoformat(service.admin.get("/clock").json()["time"][:10])
    service.seed(*({"E164PhoneNumber": e164, "ProductType": "VoiceConnector"} for e164 in E164S))
    service.advance("24h")
    service.client().delete_phone_number(PhoneNumberId=E164S[0])
    service.advance("3d")
    service.client().delete_phone_number(PhoneNumberId=E164S[1])
    service.advance("4d")  # the first has left
    page = visitor.get("/trends")
    assert statuses(page) == ["Unassigned", "Release in progress"]
    told = days(page)
    assert len(told) == 30

    def on(day: int) -> list[str]:
        return told[str(first + timedelta(days=day))]

    assert on(-1) == ["0", "0"]
    assert on(0) == ["4", "0"]
    assert on(1) == on(3) == ["3", "1"]
    assert on(4) == on(7) == ["2", "2"]
    assert on(8) == ["2", "1"]
    assert next(iter(told.values())) == ["2", "1"], "today comes first"
    assert f"{first + timedelta(days=4)}: 2 Release in progress" in page.source

    service.client().restore_phone_number(PhoneNumberId=E164S[1])
    told = days(visitor.get("/trends"))
    assert on(7) == ["2", "2"]
    assert on(8) == ["3", "0"], "what was read before is remembered, and what is new was read"


def test_nobody_sees_anothers(visitor: Visitor) -> None:
    visitor.service.seed({"E164PhoneNumber": E164S[0], "ProductType": "VoiceConnector"}, account_id="222222222222")
    assert "There were no numbers in the last 30 days." in visitor.get("/trends").text


def test_another_past(visitor: Visitor) -> None:
    """What a restored snapshot has undone is not told."""
    service = visitor.service
    service.admin.post("/snapshots", json={"name": "empty"}).raise_for_status()
    service.seed({"E164PhoneNumber": E164S[0], "ProductType": "VoiceConnector"})
    assert statuses(visitor.get("/trends")) == ["Unassigned"]
    service.admin.post("/snapshots/empty/restore").raise_for_status()
    assert "There were no numbers" in visitor.get("/trends").text


def test_many_changes_are_read_bit_by_bit(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trends, "PAGE_CHANGES", 2)
    monkeypatch.setattr(trends, "SETTLED_SECONDS", -60)
    visitor.service.seed(*({"E164PhoneNumber": e164, "ProductType": "VoiceConnector"} for e164 in E164S))
    assert statuses(visitor.get("/trends")) == ["Unassigned"]
    visitor.service.client().delete_phone_number(PhoneNumberId=E164S[0])
    assert next(iter(days(visitor.get("/trends")).values())) == ["3", "1"]


def test_who_comes_while_they_are_read_is_told_how_far(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trends, "PAGE_CHANGES", 2)
    monkeypatch.setattr(trends, "SETTLED_SECONDS", -60)
    monkeypatch.setattr(trends, "PATIENCE_SECONDS", -1)
    visitor.service.seed(*({"E164PhoneNumber": e164, "ProductType": "VoiceConnector"} for e164 in E164S))
    page = visitor.get("/trends")
    assert "2 changes so far" in page.text
    assert 'hx-get="/trends"' in page.source
    assert "4 changes so far" in visitor.get("/trends").text
    assert next(iter(days(visitor.get("/trends")).values())) == ["4"]


def test_requests(visitor: Visitor) -> None:
    client = visitor.service.client()
    for _ in range(3):
        client.list_phone_numbers()
    page = visitor.get("/trends")
    assert 'aria-label="Requests a minute: served, refused, failed.' in page.source
    assert 'aria-label="Milliseconds to an answer: half of them, 95 of 100, 99 of 100.' in page.source
    table = re.search(r'aria-label="Figures: Requests.*?</table>', page.source, re.S)
    assert table
    assert sum(int(cell.replace(",", "")) for cell in re.findall("<td>(.*?)</td>", table[0])) >= 3


def test_served_they_take_a_policy(served: Visitor) -> None:
    served.sign_in(*key_of(served.service, AttachedPolicy("AmazonChimeReadOnly"), "rita"))
    page = served.get("/trends")
    assert page.status == 200
    assert "There were no numbers in the last 30 days." in page.text
    assert "Requests a minute" not in page.text
