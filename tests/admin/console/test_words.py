"""How pages put things."""

import pytest

from numberkeep.admin.console.words import apart, between, spoken, when

T = "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("2026-01-01T00:00:00.999Z", "0 seconds"),
        ("2026-01-01T00:00:01.000Z", "1 second"),
        ("2026-01-01T00:01:05.000Z", "1 minute 5 seconds"),
        ("2026-01-01T02:00:05.000Z", "2 hours"),
        ("2026-01-04T00:00:00.000Z", "3 days"),
        ("2026-01-03T23:59:59.000Z", "2 days 23 hours"),
        ("2025-12-31T00:00:00.000Z", "0 seconds"),
    ],
)
def test_how_long_it_is(end: str, words: str) -> None:
    assert between(T, end) == words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ReleaseInProgress", "Release in progress"),
        ("SipRuleId", "SIP rule"),
        ("VoiceConnectorGroupId", "Voice Connector group"),
        ("calling_name_status", "Calling name status"),
        ("TollFree", "Toll free"),
    ],
)
def test_names_for_people(name: str, words: str) -> None:
    assert apart(name) == words


def test_numbers_and_moments() -> None:
    assert spoken("+12065550100") == "+1 206-555-0100"
    assert spoken("+442079460100") == "+44 20 7946 0100"
    assert spoken("nonsense") == "nonsense"
    assert '<time datetime="2026-01-01T00:00:00.000Z">2026-01-01 00:00:00' in when(T)
    assert when(None) == "—"
    assert "<b>" not in when("<b>" * 10)
