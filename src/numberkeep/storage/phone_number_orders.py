"""The rows of phone number orders."""

from ..domain.phone_number_order import PhoneNumberOrder
from .table import Table
from .tx import Tx

ORDERS = Table(PhoneNumberOrder, "phone_number_orders", "PhoneNumberOrder")
get, insert, replace = ORDERS.get, ORDERS.insert, ORDERS.replace


def page(tx: Tx, *, before: tuple[str, str] | None, limit: int) -> list[PhoneNumberOrder]:
    """Return up to `limit` orders before `before` (creation time and id), newest first."""
    where, values = ("", ()) if before is None else (" AND (created_timestamp, phone_number_order_id) < (?, ?)", before)
    sql = f"{ORDERS.select}{where} ORDER BY created_timestamp DESC, phone_number_order_id DESC LIMIT ?"
    return [ORDERS.of(row) for row in tx.execute(sql, (tx.account_id, *values, limit)).fetchall()]
