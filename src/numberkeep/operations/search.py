"""What can be ordered: which numbers, in which countries."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from ..domain.number_plan import check_search, supported_countries
from ..storage import phone_numbers
from ..storage.tx import Tx
from . import pages
from .batches import Answer

FILTERS = ("area_code", "city", "country", "state", "toll_free_prefix", "phone_number_type")
LOOKED_UP = 500
"""How many numbers are looked up at a time if the first ones were not enough."""


def search_available_phone_numbers(
    tx: Tx,
    area_code: str | None = None,
    city: str | None = None,
    country: str | None = None,
    state: str | None = None,
    toll_free_prefix: str | None = None,
    phone_number_type: str | None = None,
    max_results: int | None = None,
    next_token: str | None = None,
) -> Answer:
    """Search for numbers that nobody owns and that meet every filter given. To find none is no error."""
    filters = filters_of(
        {
            "area_code": area_code,
            "city": city,
            "country": country,
            "state": state,
            "toll_free_prefix": toll_free_prefix,
            "phone_number_type": phone_number_type,
        }
    )

    def available(after: str | None, limit: int) -> list[str]:
        candidates = tx.pool.search(tx.account_id, after=after, **filters)
        found: list[str] = []
        size = limit
        while len(found) < limit and (some := list(islice(candidates, size))):
            owned = phone_numbers.owners(tx, some)
            found += [e164 for e164 in some if e164 not in owned]
            size = max(limit, LOOKED_UP)
        return found[:limit]

    scope = ["SearchAvailablePhoneNumbers", filters]
    page, next_token = pages.page(tx, scope, max_results, next_token, available, lambda e164: e164)
    return {"E164PhoneNumbers": page, "NextToken": next_token}


def filters_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters of `search_available_phone_numbers` for these arguments. Raises BadRequest."""
    filters = {name: arguments[name] for name in FILTERS}
    filters["country"] = filters["country"] or "US"
    check_search(**filters)
    return filters


def list_supported_phone_number_countries(tx: Tx, product_type: str) -> Answer:
    """List the countries whose numbers a product type may have, and of which types."""
    return {
        "PhoneNumberCountries": [
            {"CountryCode": country, "SupportedPhoneNumberTypes": types}
            for country, types in supported_countries(product_type)
        ]
    }
