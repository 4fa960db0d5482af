"""Orders: what is for sale, what was ordered, and how it settles."""

import re

from console_visitor import Visitor, key_of
from numberkeep.domain.identity import AttachedPolicy


def offered_on(source: str) -> list[str]:
    return re.findall(r'type="checkbox" name="number" value="([^"]+)"', source)


def test_none_yet(visitor: Visitor) -> None:
    assert "There are no orders yet." in visitor.get("/orders").text


def test_search_pick_order_and_watch(visitor: Visitor) -> None:
    page = visitor.get("/orders/new", country="US", area_code="206")
    first = offered_on(page.source)
    assert len(first) == 50
    assert all(e164.startswith("+1206") for e164 in first)
    more = re.search(r'rel="next" href="([^"]+)"', page.source)
    assert more
    second = offered_on(visitor.get(more[1].replace("&amp;", "&")).source)
    assert len(second) == 45, "all of 206-555 but those that the simulated carrier treats differently"
    assert not set(first) & set(second)
    page = visitor.post("/orders", "/orders/new", number=first[:2], product_type="VoiceConnector", name="Sales")
    assert re.fullmatch(r"/orders/[0-9a-f-]{36}", page.path)
    assert "It is ordered." in page.text
    assert 'hx-trigger="every 1s"' in page.source
    visitor.service.advance("10s")
    page = visitor.get(page.path)
    assert "Successful" in page.section("order")
    assert page.text.count("Acquired") == 2
    assert "hx-trigger" not in page.section("order")
    assert 'hx-trigger="every 1s"' not in page.source
    listed = visitor.get("/orders").text
    assert "Successful" in listed
    assert "and 1 more" in listed
    assert visitor.service.client("chime-sdk-voice").list_phone_numbers()["PhoneNumbers"][0]["Name"] == "Sales"
    assert first[0] not in offered_on(visitor.get("/orders/new", country="US", area_code="206").source)


def test_numbers_that_are_typed(visitor: Visitor) -> None:
    page = visitor.post(
        "/orders", "/orders/new", others="+12065550142, +12065550199", product_type="VoiceConnector", name=""
    )
    visitor.service.advance("10s")
    page = visitor.get(page.path)
    assert "Partial" in page.section("order")
    assert "Acquired" in page.text
    assert "Failed" in page.text


def test_a_search_that_makes_no_sense_says_why(visitor: Visitor) -> None:
    page = visitor.get("/orders/new", country="US", city="Seattle")
    assert page.status == 400
    assert "City must be given together with State." in page.text
    assert "Nothing like that is for sale." in visitor.get("/orders/new", toll_free_prefix="800").text
    assert "Nothing like that" not in visitor.get("/orders/new").text


def test_an_order_that_makes_no_sense_says_why(visitor: Visitor) -> None:
    page = visitor.post("/orders", "/orders/new", others="+442079460100", product_type="VoiceConnector")
    assert page.status == 400
    assert "Phone numbers outside the US must have the product type" in page.text
    assert visitor.post("/orders", "/orders/new", product_type="VoiceConnector").status == 400
    assert "There are no orders yet." in visitor.get("/orders").text


def test_one_that_is_not_there(visitor: Visitor) -> None:
    assert visitor.get("/orders/00000000-0000-4000-a000-000000000000").status == 404


def test_page_after_page(visitor: Visitor) -> None:
    chime = visitor.service.client()
    ids = [
        chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[f"+1206555{index:04}"])[
            "PhoneNumberOrder"
        ]["PhoneNumberOrderId"]
        for index in range(60)
    ]
    page = visitor.get("/orders")
    found = re.findall(r'<a href="/orders/([0-9a-f-]{36})">', page.source)
    more = re.search(r'rel="next" href="([^"]+)"', page.source)
    assert more
    found += re.findall(r'<a href="/orders/([0-9a-f-]{36})">', visitor.get(more[1]).source)
    assert set(found) == set(ids)
    assert len(found) == 60


def test_who_may_only_read(served: Visitor) -> None:
    served.sign_in(*key_of(served.service, AttachedPolicy("AmazonChimeReadOnly"), "rita"))
    assert "No policy of rita allows chime:CreatePhoneNumberOrder." in served.get("/orders").text
    page = served.get("/orders/new", country="US", area_code="206")
    assert len(offered_on(page.source)) == 50
    assert re.search(r'<button class="main" disabled', page.source)
    page = served.post("/orders", others="+12065550142", product_type="VoiceConnector")
    assert "not authorized to perform: chime:CreatePhoneNumberOrder" in page.text
