"""Addresses are taken apart and written as the Postal Service writes them."""

import pytest

from numberkeep.domain.e911_address import AS_GIVEN, CORRECTED, FAILED, validate

PLACE = {"city": "SEATTLE", "state": "WA", "country": "US", "postal_code": "98109"}


@pytest.mark.parametrize(
    ("street", "parts"),
    [
        ("MAIN ST", (None, "MAIN", "ST", None)),
        ("Main Street", (None, "MAIN", "ST", None)),
        ("N. Main St.", ("N", "MAIN", "ST", None)),
        ("North Main Street Southwest", ("N", "MAIN", "ST", "SW")),
        ("Martin Luther King Jr Boulevard", (None, "MARTIN LUTHER KING JR", "BLVD", None)),
        ("Broadway", (None, "BROADWAY", None, None)),
        ("Broadway East", (None, "BROADWAY", None, "E")),
        ("North", (None, "NORTH", None, None)),
        ("Street", (None, "STREET", None, None)),
        ("South Street", (None, "SOUTH", "ST", None)),
        ("E St", (None, "E", "ST", None)),
        ("East South Street", ("E", "SOUTH", "ST", None)),
    ],
)
def test_streets(street: str, parts: tuple[str | None, ...]) -> None:
    _, address = validate("410", street, **PLACE)
    assert address is not None
    assert (
        address.pre_directional,
        address.street_name,
        address.street_suffix,
        address.post_directional,
    ) == parts


def test_as_it_should_be() -> None:
    assert validate("410", "TERRY AVE N", **PLACE)[0] == AS_GIVEN
    assert validate("410", "TERRY AVE N", **{**PLACE, "postal_code": "98109-5210"})[0] == AS_GIVEN


@pytest.mark.parametrize(
    "change",
    [
        {"city": "Seattle"},
        {"state": "Washington"},
        {"country": "USA"},
        {"postal_code": "981095210"},
    ],
)
def test_corrected(change: dict[str, str]) -> None:
    result, address = validate("410", "TERRY AVE N", **{**PLACE, **change})
    assert result == CORRECTED
    assert address is not None
    assert (address.city, address.state, address.country, address.postal_code) == ("SEATTLE", "WA", "US", "98109")


@pytest.mark.parametrize(
    "change",
    [
        {"city": "98109"},
        {"state": "XX"},
        {"state": "TX"},  # no ZIP code that begins with 9 is of Texas
        {"postal_code": "9810"},
        {"postal_code": "98109-52"},
        {"street_number": "no"},
        {"street_info": "."},
        {"street_info": "MAIN ST APT 4"},
        {"street_info": "MAIN ST #4"},
    ],
)
def test_no_address(change: dict[str, str]) -> None:
    given = {"street_number": "410", "street_info": "TERRY AVE N", **PLACE, **change}
    assert validate(**given) == (FAILED, None)
