"""Checks addresses for emergency calls in the US, and normalises them to the Postal Service's format.

The format is that of USPS Publication 28, "Postal Addressing Standards": two-letter states, abbreviated street
suffixes and directionals, everything in capitals. Whether an address exists is not checked.
"""

import re
from typing import Literal

from msgspec import Struct

from .errors import BadRequest

Result = Literal[0, 1, 2]
"""AWS's ValidationResult: 0, valid as given; 1, corrected in the returned address; 2, not valid."""
AS_GIVEN: Result = 0
CORRECTED: Result = 1
FAILED: Result = 2

_STATES = {
    "ALABAMA": "AL", "ALASKA": "AK", "ARIZONA": "AZ", "ARKANSAS": "AR", "CALIFORNIA": "CA", "COLORADO": "CO",
    "CONNECTICUT": "CT", "DELAWARE": "DE", "DISTRICT OF COLUMBIA": "DC", "FLORIDA": "FL", "GEORGIA": "GA",
    "HAWAII": "HI", "IDAHO": "ID", "ILLINOIS": "IL", "INDIANA": "IN", "IOWA": "IA", "KANSAS": "KS",
    "KENTUCKY": "KY", "LOUISIANA": "LA", "MAINE": "ME", "MARYLAND": "MD", "MASSACHUSETTS": "MA",
    "MICHIGAN": "MI", "MINNESOTA": "MN", "MISSISSIPPI": "MS", "MISSOURI": "MO", "MONTANA": "MT",
    "NEBRASKA": "NE", "NEVADA": "NV", "NEW HAMPSHIRE": "NH", "NEW JERSEY": "NJ", "NEW MEXICO": "NM",
    "NEW YORK": "NY", "NORTH CAROLINA": "NC", "NORTH DAKOTA": "ND", "OHIO": "OH", "OKLAHOMA": "OK",
    "OREGON": "OR", "PENNSYLVANIA": "PA", "PUERTO RICO": "PR", "RHODE ISLAND": "RI", "SOUTH CAROLINA": "SC",
    "SOUTH DAKOTA": "SD", "TENNESSEE": "TN", "TEXAS": "TX", "UTAH": "UT", "VERMONT": "VT", "VIRGINIA": "VA",
    "WASHINGTON": "WA", "WEST VIRGINIA": "WV", "WISCONSIN": "WI", "WYOMING": "WY",
}  # fmt: skip
_ZIP_AREAS = {
    "0": "CT MA ME NH NJ NY PR RI VT", "1": "DE NY PA", "2": "DC MD NC SC VA WV", "3": "AL FL GA MS TN",
    "4": "IN KY MI OH", "5": "IA MN MT ND SD WI", "6": "IL KS MO NE", "7": "AR LA OK TX",
    "8": "AZ CO ID NM NV TX UT WY", "9": "AK CA HI OR WA",
}  # fmt: skip
"""The states with ZIP codes that begin with a digit, by digit."""
_DIRECTIONALS = {
    "NORTH": "N", "SOUTH": "S", "EAST": "E", "WEST": "W",
    "NORTHEAST": "NE", "NORTHWEST": "NW", "SOUTHEAST": "SE", "SOUTHWEST": "SW",
}  # fmt: skip
_SUFFIXES = {
    "ALLEY": "ALY", "AVENUE": "AVE", "AV": "AVE", "BOULEVARD": "BLVD", "BRIDGE": "BRG", "CENTER": "CTR",
    "CIRCLE": "CIR", "COURT": "CT", "COVE": "CV", "CRESCENT": "CRES", "CROSSING": "XING", "DRIVE": "DR",
    "EXPRESSWAY": "EXPY", "FREEWAY": "FWY", "HEIGHTS": "HTS", "HIGHWAY": "HWY", "HILL": "HL", "JUNCTION": "JCT",
    "LANE": "LN", "LOOP": "LOOP", "MOUNT": "MT", "PARK": "PARK", "PARKWAY": "PKWY", "PLACE": "PL",
    "PLAZA": "PLZ", "POINT": "PT", "RIDGE": "RDG", "ROAD": "RD", "ROUTE": "RTE", "SQUARE": "SQ", "STREET": "ST",
    "STR": "ST", "TERRACE": "TER", "TRAIL": "TRL", "TURNPIKE": "TPKE", "VALLEY": "VLY", "VIEW": "VW",
    "VILLAGE": "VLG", "WALK": "WALK", "WAY": "WAY",
}  # fmt: skip
_UNITS = {"APARTMENT", "APT", "BUILDING", "BLDG", "FLOOR", "FL", "ROOM", "RM", "SUITE", "STE", "UNIT"}
_COUNTRIES = {"US": "US", "USA": "US", "UNITED STATES": "US"}
_STREET_NUMBER = re.compile(r"[0-9]{1,6}(?:-[0-9]{1,6})?[A-Z]?(?: 1/2)?")
_POSTAL_CODE = re.compile(r"([0-9]{5})(?:-?([0-9]{4}))?")
_CITY = re.compile(r"[A-Z][A-Z .'-]*")


class Address(Struct, frozen=True, rename="camel"):
    """An address, split into its parts."""

    street_number: str
    pre_directional: str | None
    street_name: str
    street_suffix: str | None
    post_directional: str | None
    city: str
    state: str
    postal_code: str
    postal_code_plus4: str | None
    country: str


def validate(
    street_number: str, street_info: str, city: str, state: str, country: str, postal_code: str
) -> tuple[Result, Address | None]:
    """Return the result of the validation, and the address in its parts, or None if it is not valid.

    Raises BadRequest for an address outside the US.
    """
    given = [" ".join(text.split()) for text in (street_number, street_info, city, state, postal_code)]
    number, street, city, state, postal_code = (text.upper().rstrip(",.") for text in given)
    if country.strip().upper() not in _COUNTRIES:
        raise BadRequest("Country must be US: emergency addresses are those of the United States.")
    state = _STATES.get(state, state)
    zip_code = _POSTAL_CODE.fullmatch(postal_code)
    parts = _parts(street)
    if not (
        parts
        and zip_code
        and _STREET_NUMBER.fullmatch(number)
        and _CITY.fullmatch(city)
        and state in _ZIP_AREAS[zip_code[1][0]].split()
    ):
        return FAILED, None
    pre_directional, name, suffix, post_directional = parts
    address = Address(
        number, pre_directional, name, suffix, post_directional, city, state, zip_code[1], zip_code[2], "US"
    )
    street = " ".join(part for part in parts if part)
    plus4 = f"-{zip_code[2]}" if zip_code[2] else ""
    is_as_given = given == [number, street, city, state, zip_code[1] + plus4] and country == "US"
    return AS_GIVEN if is_as_given else CORRECTED, address


def _parts(street: str) -> tuple[str | None, str, str | None, str | None] | None:
    """Split ``NORTH MAIN STREET`` into directional, name (what is left over), suffix and directional."""
    words = [word.rstrip(".,") for word in street.split()]
    if any(word in _UNITS or word.startswith("#") for word in words):
        return None  # Address has no part for a unit
    pre = _directional(words[0]) if len(words) > 1 else None
    if pre and not (len(words) == 2 and _suffix(words[1])):  # in SOUTH STREET, SOUTH is the name
        words = words[1:]
    else:
        pre = None
    post = _directional(words[-1]) if len(words) > 1 else None
    if post:
        words = words[:-1]
    suffix = _suffix(words[-1]) if len(words) > 1 else None
    if suffix:
        words = words[:-1]
    return (pre, " ".join(words), suffix, post) if words and all(words) else None


def _suffix(word: str) -> str | None:
    return _SUFFIXES.get(word) or (word if word in _SUFFIXES.values() else None)


def _directional(word: str) -> str | None:
    return _DIRECTIONALS.get(word) or (word if word in _DIRECTIONALS.values() else None)
