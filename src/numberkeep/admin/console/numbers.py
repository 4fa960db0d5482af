"""The page Numbers: find numbers, and change many at once."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from starlette.responses import Response

from ...domain.errors import BadRequest
from ...domain.limits import BATCH_PHONE_NUMBERS
from ...domain.moment import Timestamp
from ...domain.number_plan import normalize_id, supported_countries
from ...domain.phone_number import MOVES, PhoneNumber
from ...storage import inventory, phone_numbers
from ...storage.inventory import Search
from ...storage.tx import Tx
from .possible import (
    PRODUCT_TYPES,
    why_not_any_other_product_type,
    why_not_calling_name,
    why_not_delete,
    why_not_name,
)
from .visit import Visit

PAGE_NUMBERS = BATCH_PHONE_NUMBERS
"""How many numbers are on a page: as many as one request can change."""
STATUSES = tuple(dict.fromkeys(status for status, _ in MOVES))
TYPES = ("Local", "TollFree")
COUNTRIES = tuple(country for country, _ in supported_countries("SipMediaApplicationDialIn"))


class Page(Struct, frozen=True):
    """A page of the numbers that were found."""

    numbers: list[PhoneNumber]
    has_before: bool
    has_after: bool


async def show(visit: Visit) -> Response:
    """Show a page of the numbers that match a search."""
    search = Search(**{name: visit.query(name).strip() for name in Search.__struct_fields__})
    found, counts = await asyncio.gather(
        visit.survey(_look, search, visit.query("after"), visit.query("before")), visit.survey(inventory.counts)
    )
    wanted = {name: value for name in Search.__struct_fields__ if (value := getattr(search, name))}

    def address(**more: str) -> str:
        """The address of these numbers, with the parameters in `more` changed."""
        return "/numbers?" + urlencode({name: value for name, value in {**wanted, **more}.items() if value})

    return visit.page(
        "numbers.html",
        title="Numbers",
        search=search,
        found=found,
        counts=counts,
        statuses=STATUSES,
        product_types=PRODUCT_TYPES,
        types=TYPES,
        countries=COUNTRIES,
        address=address,
    )


def _look(tx: Tx, search: Search, after: str, before: str) -> Page:
    some = inventory.page(tx, search, PAGE_NUMBERS + 1, after=after, before=before)
    is_more = len(some) > PAGE_NUMBERS
    some = some[-PAGE_NUMBERS:] if before else some[:PAGE_NUMBERS]
    return Page(
        numbers=some,
        has_before=is_more if before else bool(after),
        has_after=bool(before) or is_more,
    )


class Kind(Struct, frozen=True):
    """A change that can be made to many numbers."""

    operation: str
    member: str
    """The member of each number's request item that holds the new value; empty if there is none."""
    done: str
    why_not: Callable[[PhoneNumber, Timestamp], str]


KINDS = {
    "product_type": Kind(
        "BatchUpdatePhoneNumber",
        "ProductType",
        "It has the product type {value}.",
        why_not_any_other_product_type,
    ),
    "calling_name": Kind(
        "BatchUpdatePhoneNumber", "CallingName", "The calling name {value} is asked for.", why_not_calling_name
    ),
    "name": Kind("BatchUpdatePhoneNumber", "Name", "It is called {value}.", why_not_name),
    "delete": Kind("BatchDeletePhoneNumber", "", "It is in the deletion queue.", why_not_delete),
}


async def selected(visit: Visit) -> Response:
    """Show what can be done with the selected numbers."""
    e164s = selected_numbers(visit)
    numbers, now = await visit.survey(_several, e164s)
    ways: dict[str, dict[str, Any]] = {}
    for name, kind in KINDS.items():
        reasons = {number.e164_phone_number: kind.why_not(number, now) for number in numbers}
        possible = sum(not reason for reason in reasons.values())
        ways[name] = {
            "possible": possible,
            "reasons": {e164: reason for e164, reason in reasons.items() if reason},
            "denial": visit.why_denied(kind.operation) or ("" if possible else "It is possible for none of them now."),
        }
    return visit.page(
        "selected.html", title="Selected numbers", numbers=numbers, ways=ways, product_types=PRODUCT_TYPES
    )


def _several(tx: Tx, e164s: list[str]) -> tuple[list[PhoneNumber], Timestamp]:
    found = [number for e164 in e164s if (number := phone_numbers.find(tx, e164))]
    return found, tx.now


async def change(visit: Visit) -> Response:
    """Change the selected numbers, and show the result for each."""
    kind = KINDS.get(visit.text("change"))
    if kind is None:
        raise BadRequest(f"A change is one of {', '.join(KINDS)}.")
    e164s, value = selected_numbers(visit), visit.text("value")
    if kind.member:
        items = [{"PhoneNumberId": e164, kind.member: value} for e164 in e164s]
        answer = await visit.call(kind.operation, UpdatePhoneNumberRequestItems=items)
    else:
        answer = await visit.call(kind.operation, PhoneNumberIds=e164s)
    failures = {one["PhoneNumberId"]: one["ErrorMessage"] for one in answer.body.get("PhoneNumberErrors") or ()}
    results = [(e164, answer.refusal or failures.get(e164, "")) for e164 in e164s]
    return visit.page(
        "changed.html",
        title="Results",
        results=results,
        done=sum(not refusal for _, refusal in results),
        told=kind.done.format(value=f"“{value}”" if value else "none"),
        back=("/numbers", "Back to the numbers"),
    )


def selected_numbers(visit: Visit) -> list[str]:
    """The numbers that are selected in a form. Raises BadRequest if there are none, or too many."""
    e164s = list(dict.fromkeys(normalize_id(e164) for e164 in visit.form.get("number", ())))
    if not 1 <= len(e164s) <= PAGE_NUMBERS:
        raise BadRequest(f"Select 1 to {PAGE_NUMBERS} numbers; {len(e164s)} are selected.")
    return e164s
