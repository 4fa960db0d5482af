"""Orders of phone numbers."""

from collections.abc import Sequence
from typing import cast

from ..domain.errors import BadRequest
from ..domain.limits import ORDER_PHONE_NUMBERS, check_list
from ..domain.number_plan import check_order, describe, normalize_id
from ..domain.phone_number import PhoneNumber, ProductType
from ..domain.phone_number_order import OrderedPhoneNumber, PhoneNumberOrder
from ..storage import pending_changes, phone_numbers
from ..storage import phone_number_orders as orders
from ..storage.tx import Tx
from . import pages
from .batches import Answer
from .phone_numbers import check_phone_number_quota


def create_phone_number_order(
    tx: Tx, product_type: str, e164_phone_numbers: Sequence[str], name: str | None = None
) -> Answer:
    """Order numbers. They are in the inventory from now on; the worker settles whether each is acquired."""
    e164s = [normalize_id(e164) for e164 in e164_phone_numbers]
    check_list("E164PhoneNumbers", e164s, ORDER_PHONE_NUMBERS)
    failed_before = {}
    for e164 in e164s:
        check_order(e164, product_type)
        if was := phone_numbers.find(tx, e164):
            if was.status != "AcquireFailed":
                raise BadRequest(f"Phone number {e164} is in the account's inventory already.")
            failed_before[e164] = was
    check_phone_number_quota(tx, len(e164s) - len(failed_before))
    order = PhoneNumberOrder(
        phone_number_order_id=tx.new_id(),
        product_type=product_type,
        ordered_phone_numbers=tuple(OrderedPhoneNumber(e164) for e164 in e164s),
        created_timestamp=tx.now,
        updated_timestamp=tx.now,
    )
    for e164 in e164s:
        plan = describe(e164)
        number = PhoneNumber(
            e164_phone_number=e164,
            country=plan.country,
            type=plan.type,
            product_type=cast(ProductType, product_type),
            status="AcquireInProgress",
            name=name or None,
            order_id=order.phone_number_order_id,
            created_timestamp=tx.now,
            updated_timestamp=tx.now,
        )
        phone_numbers.claim(tx, e164)
        if e164 in failed_before:
            phone_numbers.replace(tx, failed_before[e164], number)
        else:
            phone_numbers.insert(tx, number)
        pending_changes.put(tx, e164, "order", due_at=tx.now)
    orders.insert(tx, order)
    return {"PhoneNumberOrder": order}


def get_phone_number_order(tx: Tx, phone_number_order_id: str) -> Answer:
    """Return an order and its progress."""
    return {"PhoneNumberOrder": orders.get(tx, phone_number_order_id)}


def list_phone_number_orders(tx: Tx, next_token: str | None = None, max_results: int | None = None) -> Answer:
    """List the account's orders, the newest first."""
    page, next_token = pages.page(
        tx,
        "ListPhoneNumberOrders",
        max_results,
        next_token,
        lambda before, limit: orders.page(tx, before=before, limit=limit),
        lambda order: (order.created_timestamp, order.phone_number_order_id),
    )
    return {"PhoneNumberOrders": page, "NextToken": next_token}
