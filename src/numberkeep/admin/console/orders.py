"""The pages for orders: search for numbers, select some, order them, and watch the order settle."""

from urllib.parse import urlencode

from starlette.responses import Response

from ...domain.limits import ORDER_PHONE_NUMBERS
from ...domain.phone_number_order import PhoneNumberOrder
from ...storage import phone_number_orders
from ...storage.tx import Tx
from .numbers import COUNTRIES, TYPES
from .possible import PRODUCT_TYPES
from .visit import Visit

PAGE_ORDERS = 50
FILTERS = {
    "country": "Country",
    "phone_number_type": "PhoneNumberType",
    "area_code": "AreaCode",
    "city": "City",
    "state": "State",
    "toll_free_prefix": "TollFreePrefix",
}
"""The filters for numbers for sale: their names in the form, and AWS's."""


async def show(visit: Visit) -> Response:
    """Show the orders, the newest first."""
    time, _, id = visit.query("before").partition(" ")
    orders = await visit.survey(_page, (time, id) if id else None)
    return visit.page(
        "orders.html",
        title="Orders",
        orders=orders[:PAGE_ORDERS],
        has_after=len(orders) > PAGE_ORDERS,
        denied=visit.why_denied("CreatePhoneNumberOrder"),
    )


def _page(tx: Tx, before: tuple[str, str] | None) -> list[PhoneNumberOrder]:
    return phone_number_orders.page(tx, before=before, limit=PAGE_ORDERS + 1)


async def new(visit: Visit) -> Response:
    """Show the numbers that are for sale, and the form for an order."""
    return await _offer(visit)


async def _offer(visit: Visit, wrong: str = "") -> Response:
    wanted = {name: visit.query(name).strip() for name in FILTERS}
    offered: list[str] = []
    token, is_searched = "", any(value for name, value in wanted.items() if name != "country")
    if is_searched:
        members = {FILTERS[name]: value or None for name, value in wanted.items()}
        token = visit.query("token")
        answer = await visit.call(
            "SearchAvailablePhoneNumbers", **members, NextToken=token or None, MaxResults=ORDER_PHONE_NUMBERS
        )
        wrong = wrong or answer.refusal
        offered, token = answer.body.get("E164PhoneNumbers") or [], answer.body.get("NextToken") or ""
    more = {**{name: value for name, value in wanted.items() if value}, "token": token}
    return visit.page(
        "order_new.html",
        400 if wrong else 200,
        title="New order",
        wanted=wanted,
        is_searched=is_searched,
        offered=offered,
        next_address=f"/orders/new?{urlencode(more)}" if token else "",
        countries=COUNTRIES,
        types=TYPES,
        product_types=PRODUCT_TYPES,
        most=ORDER_PHONE_NUMBERS,
        denied=visit.why_denied("CreatePhoneNumberOrder"),
        wrong=wrong,
    )


async def create(visit: Visit) -> Response:
    """Order the selected numbers."""
    picked = [*visit.form.get("number", ()), *visit.text("others").replace(",", " ").split()]
    answer = await visit.call(
        "CreatePhoneNumberOrder",
        ProductType=visit.text("product_type"),
        E164PhoneNumbers=picked,
        Name=visit.text("name").strip() or None,
    )
    if answer.refusal:
        return await _offer(visit, answer.refusal)
    return visit.go(f"/orders/{answer.body['PhoneNumberOrder']['PhoneNumberOrderId']}", "It is ordered.")


async def order(visit: Visit) -> Response:
    """Show one order and its progress."""
    found = await visit.survey(phone_number_orders.get, visit.request.path_params["id"])
    return visit.page("order.html", title="Order", order=found)
