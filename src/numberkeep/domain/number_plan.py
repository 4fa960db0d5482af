"""What an E.164 number says about itself, and which numbers each product type may have.

The numbering plans are libphonenumber's. The countries are from Amazon Chime SDK's "Phone number country
requirements"; the other rules are from its API reference (CreatePhoneNumberOrder, UpdatePhoneNumber,
SearchAvailablePhoneNumbers) unless a comment says otherwise.
"""

import re
from contextlib import suppress
from functools import lru_cache
from typing import Literal, NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from .errors import BadRequest

Type = Literal["Local", "TollFree"]
"""AWS's PhoneNumberType."""


class Plan(NamedTuple):
    """The country and type that a numbering plan gives a number."""

    country: str
    """ISO 3166-1 alpha-2. Toll-free numbers of the NANP count as US, although its countries share them."""
    type: Type


_BOTH: tuple[Type, ...] = ("Local", "TollFree")

_SUPPORTED: dict[str, dict[str, tuple[Type, ...]]] = {
    "BusinessCalling": {"US": ("Local",)},
    "VoiceConnector": {"US": _BOTH},
    "SipMediaApplicationDialIn": {
        **dict.fromkeys(("AT", "AU", "CH", "DE", "DK", "FI", "GB", "IE", "KR", "NG", "NZ", "SE", "US"), _BOTH),
        # "You can only select local numbers for Canada and toll-free numbers for Italy" (provision-phone).
        "CA": ("Local",),
        "IT": ("TollFree",),
        "PR": ("Local",),  # Its toll-free numbers are the NANP's.
    },
}

_PURCHASABLE = _SUPPORTED["SipMediaApplicationDialIn"]
"""All countries and types that can be ordered: the other product types may have some of these."""

_TYPES: dict[int, Type] = {
    PhoneNumberType.FIXED_LINE: "Local",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "Local",  # Any geographic number of the NANP: no NPA is mobile.
    PhoneNumberType.TOLL_FREE: "TollFree",
}

_WORLD = "001"
"""The region code, the UN's for the world, of country codes that belong to no country (+800, +870, ...)."""

_E164_RULE = "'+' and 2 to 15 digits, the first of them not 0"
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_PHONE_NUMBER_ID = re.compile(r"(?:\+|%2[Bb])?([1-9][0-9]{1,14})")
_AREA_CODE = re.compile(r"[2-9][0-9]{2}")
_TOLL_FREE_PREFIX = re.compile(r"8(?:00|33|44|55|66|77|88)")


def normalize_id(phone_number_id: str) -> str:
    """Return the E.164 number that a PhoneNumberId names. Raises BadRequest if it names none.

    Clients send the id as the service returned it (`%2B1206...`), which is then encoded twice in a path; the number
    itself (`+1206...`); or its digits alone, as the `+` of the E164PhoneNumber shape is optional.
    """
    if match := _PHONE_NUMBER_ID.fullmatch(phone_number_id):
        return "+" + match[1]
    raise BadRequest(f"A phone number must be in E.164 format: {_E164_RULE}.")


def phone_number_id(e164: str) -> str:
    """Return the PhoneNumberId that the service gives a number: its E.164 form, URL-encoded."""
    return "%2B" + e164[1:]


def describe(e164: str) -> Plan:
    """Return the plan of a number. Raises BadRequest if the number is in no plan, or cannot be ordered."""
    if e164.startswith("+1") and len(e164) == 12 and _E164.fullmatch(e164):
        # The NANP assigns numbers by the thousand: no plan of its countries depends on the last three digits.
        with suppress(BadRequest):  # whose message would name another number
            return _describe(e164[:-3] + "000")
    return _describe(e164)


@lru_cache(maxsize=16384)
def _describe(e164: str) -> Plan:
    if not _E164.fullmatch(e164):
        raise BadRequest(f"Phone number {e164} must be in E.164 format: {_E164_RULE}.")
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        raise _not_in_any_plan(e164) from None
    # The parser drops a trunk prefix (+44 0...); a number accepted in two forms could be ordered twice.
    if phonenumbers.format_number(number, PhoneNumberFormat.E164) != e164:
        raise _not_in_any_plan(e164)
    if not phonenumbers.is_valid_number(number):
        raise _not_in_any_plan(e164)
    country = phonenumbers.region_code_for_number(number)
    if country is None or country == _WORLD:
        raise BadRequest(f"Phone number {e164} belongs to no country; only numbers of a country can be ordered.")
    type = _TYPES.get(phonenumbers.number_type(number))
    if type is None:
        raise BadRequest(f"Phone number {e164} is neither local nor toll-free; only such numbers can be ordered.")
    return Plan(country, type)


def supported_countries(product_type: str) -> list[tuple[str, tuple[Type, ...]]]:
    """Return the countries whose numbers a product type may have, sorted, each with the types of number."""
    return sorted(_SUPPORTED.get(product_type, {}).items())


def check_order(e164: str, product_type: str) -> Plan:
    """Return the plan of a number. Raises BadRequest unless `product_type` may have the number."""
    plan = describe(e164)
    check_product_type(plan.country, plan.type, product_type)
    return plan


def check_product_type(country: str, type: str, product_type: str) -> None:
    """Raise BadRequest unless `product_type` may have numbers of this country and type."""
    _check_purchasable(country, type)
    if type in _SUPPORTED.get(product_type, {}).get(country, ()):
        return
    if country != "US":
        raise BadRequest(
            "Phone numbers outside the US must have the product type SipMediaApplicationDialIn; "
            f"{product_type} was given for one of {country}."
        )
    raise BadRequest(f"{type} phone numbers cannot have the product type {product_type}.")


def check_search(
    *,
    country: str = "US",
    phone_number_type: str | None = None,
    area_code: str | None = None,
    city: str | None = None,
    state: str | None = None,
    toll_free_prefix: str | None = None,
) -> None:
    """Raise BadRequest unless a search for available numbers accepts these filters. An empty filter is ignored."""
    _check_purchasable(country, phone_number_type)
    place = area_code or city or state
    if country != "US":
        if place or toll_free_prefix:
            raise BadRequest(
                "AreaCode, City, State and TollFreePrefix apply to the US only; "
                f"a search in {country} takes PhoneNumberType and no other filter."
            )
        if not phone_number_type:
            raise BadRequest(f"A search outside the US needs PhoneNumberType; the one in {country} gives none.")
        return
    if not (place or toll_free_prefix):
        raise BadRequest(
            "Required search parameters are empty: a search in the US needs at least one of "
            "AreaCode, City, State and TollFreePrefix."
        )
    if city and not state:
        raise BadRequest("City must be given together with State.")
    if area_code and not _AREA_CODE.fullmatch(area_code):
        raise BadRequest("AreaCode must be three digits, the first of them not 0 or 1.")
    if toll_free_prefix and not _TOLL_FREE_PREFIX.fullmatch(toll_free_prefix):
        raise BadRequest("TollFreePrefix must be one of 800, 833, 844, 855, 866, 877 and 888.")
    # Filters for local and for toll-free numbers exclude each other, so that no search contradicts itself.
    if place and (toll_free_prefix or phone_number_type == "TollFree"):
        raise BadRequest("AreaCode, City and State are for local numbers; a toll-free search gives TollFreePrefix.")
    if toll_free_prefix and phone_number_type == "Local":
        raise BadRequest("TollFreePrefix cannot be combined with the PhoneNumberType Local.")


def _check_purchasable(country: str, type: str | None) -> None:
    """Raise BadRequest unless numbers of the country, and of the type if one is given, can be ordered at all."""
    types = _PURCHASABLE.get(country)
    if types is None:
        raise BadRequest(f"Phone numbers of {country} are not supported; see ListSupportedPhoneNumberCountries.")
    if type and type not in types:
        raise BadRequest(f"{country} has no {type} phone numbers for sale, only {' and '.join(types)}.")


def _not_in_any_plan(e164: str) -> BadRequest:
    return BadRequest(f"Phone number {e164} is not a valid number of any country's numbering plan.")
