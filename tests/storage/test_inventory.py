"""Numbers are found by whatever is known of them, on either engine."""

import asyncio
from typing import Any

import pytest

from conftest import ALICE, BOB, Do
from numberkeep.domain.phone_number import Association
from numberkeep.storage import inventory
from numberkeep.storage.driver import Driver
from numberkeep.storage.inventory import Search

CONNECTOR = "abcdef1ghij2klmno3pqr4"
NOW = "2026-01-01T00:00:00.000Z"


def found(storage: Driver, text: str = "", limit: int = 50, **more: Any) -> list[str]:
    where = {name: more.pop(name) for name in ("after", "before") if name in more}
    numbers = asyncio.run(storage.survey(ALICE, inventory.page, Search(text, **more), limit, **where))
    return [number.e164_phone_number[-4:] for number in numbers]


@pytest.fixture
def estate(put: Do, do: Do) -> str:
    """Some numbers; and the id of the Voice Connector that holds one of them."""
    connector = do("create_voice_connector", name="Head Office", require_encryption=True)["VoiceConnector"]
    id: str = connector.voice_connector_id
    put("+12065550100", name="Front desk", calling_name="Acme Inc")
    put("+12065550101", name="100% Cotton", calling_name_status="UpdateInProgress", requested_calling_name="Beta")
    put("+12065550102", status="Assigned", associations=(Association("VoiceConnectorId", id, NOW),))
    put("+12065550103", status="Assigned", associations=(Association("VoiceConnectorGroupId", CONNECTOR[:21], NOW),))
    put("+18885550104", status="ReleaseInProgress", name="a_b")
    put("+442079460105", product_type="SipMediaApplicationDialIn", name="LONDON 0100")
    put("+12065550199", caller=BOB, name="Front desk")
    return id


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", ["0100", "0101", "0102", "0103", "0104", "0105"]),
        ("+1206", ["0100", "0101", "0102", "0103"]),
        ("+1 (206) 555-0102", ["0102"]),
        ("+44", ["0105"]),
        ("+9", []),
        ("206555010", ["0100", "0101", "0102", "0103"]),
        ("555-0104", ["0104"]),
        ("0100", ["0100", "0105"]),
        ("front", ["0100"]),
        ("FRONT DESK", ["0100"]),
        ("london", ["0105"]),
        ("acme", ["0100"]),
        ("beta", ["0101"]),
        ("  acme  ", ["0100"]),
        ("100%", ["0101"]),
        ("%", ["0101"]),
        ("a_b", ["0104"]),
        ("_", ["0104"]),
        ("!", []),
        ("'", []),
        ("head off", ["0102"]),
        (CONNECTOR[:21], ["0103"]),
        (CONNECTOR[:9], ["0103"]),
        ("nothing like it", []),
        ("+", ["0100", "0101", "0102", "0103", "0104", "0105"]),
        ("-", []),
    ],
)
def test_by_text(storage: Driver, estate: str, text: str, numbers: list[str]) -> None:
    assert found(storage, text) == numbers


def test_by_what_holds_it(storage: Driver, estate: str) -> None:
    assert found(storage, estate) == found(storage, estate[:8]) == ["0102"]


def test_by_filters(storage: Driver, estate: str) -> None:
    assert found(storage, status="Assigned") == ["0102", "0103"]
    assert found(storage, product_type="SipMediaApplicationDialIn") == ["0105"]
    assert found(storage, type="TollFree") == ["0104"]
    assert found(storage, country="GB") == ["0105"]
    assert found(storage, "desk", status="Unassigned", country="US", type="Local") == ["0100"]
    assert found(storage, "desk", status="Assigned") == []


def test_page_after_page_and_back(storage: Driver, estate: str) -> None:
    assert found(storage, limit=2) == ["0100", "0101"]
    assert found(storage, limit=2, after="+12065550101") == ["0102", "0103"]
    assert found(storage, limit=2, after="+442079460105") == []
    assert found(storage, limit=2, before="+18885550104") == ["0102", "0103"]
    assert found(storage, "+1206", limit=3, before="+12065550102") == ["0100", "0101"]
    assert found(storage, "0100", limit=1, after="+12065550100") == ["0105"]


def test_counts(storage: Driver, estate: str) -> None:
    counts = asyncio.run(storage.survey(ALICE, inventory.counts))
    assert counts == {"Unassigned": 3, "Assigned": 2, "ReleaseInProgress": 1}


def test_accounts(storage: Driver, estate: str) -> None:
    assert asyncio.run(storage.survey(ALICE, inventory.accounts, 10)) == [ALICE.account_id, BOB.account_id]
    assert asyncio.run(storage.survey(ALICE, inventory.accounts, 1)) == [ALICE.account_id]
