"""The rows of orders."""

import msgspec
from msgspec.structs import astuple

from ..domain.errors import NotFound
from ..domain.phone_number_order import OrderedPhoneNumber, PhoneNumberOrder
from .tx import Row, Tx

COLUMNS = PhoneNumberOrder.__struct_fields__
_ITEMS = COLUMNS.index("ordered_phone_numbers")
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM phone_number_orders WHERE account_id = ?"
_decode_items = msgspec.json.Decoder(tuple[OrderedPhoneNumber, ...]).decode
_encode = msgspec.json.Encoder().encode


def get(tx: Tx, phone_number_order_id: str) -> PhoneNumberOrder:
    """The account's order of that id. Raises NotFound."""
    row = tx.execute(f"{_SELECT} AND phone_number_order_id = ?", (tx.account_id, phone_number_order_id)).fetchone()
    if row is None:
        raise NotFound(f"Could not find PhoneNumberOrder with Id '{phone_number_order_id}'")
    return _of(row)


def page(tx: Tx, *, before: tuple[str, str] | None, limit: int) -> list[PhoneNumberOrder]:
    """Up to `limit` orders, the newest first, those before `before` (creation and id)."""
    where, values = ("", ()) if before is None else (" AND (created_timestamp, phone_number_order_id) < (?, ?)", before)
    sql = f"{_SELECT}{where} ORDER BY created_timestamp DESC, phone_number_order_id DESC LIMIT ?"
    return [_of(row) for row in tx.execute(sql, (tx.account_id, *values, limit)).fetchall()]


def insert(tx: Tx, order: PhoneNumberOrder) -> None:
    """An order that is new."""
    sql = f"INSERT INTO phone_number_orders ({', '.join(COLUMNS)}, account_id) VALUES (?{', ?' * len(COLUMNS)})"
    tx.write(sql, (*_row(order), tx.account_id))


def replace(tx: Tx, order: PhoneNumberOrder) -> None:
    """Keep `order` as it is now."""
    sql = (
        f"UPDATE phone_number_orders SET {' = ?, '.join(COLUMNS)} = ?"
        " WHERE account_id = ? AND phone_number_order_id = ?"
    )
    tx.write(sql, (*_row(order), tx.account_id, order.phone_number_order_id))


def _row(order: PhoneNumberOrder) -> Row:
    row = list(astuple(order))
    row[_ITEMS] = _encode(order.ordered_phone_numbers).decode()
    return row


def _of(row: Row) -> PhoneNumberOrder:
    values = dict(zip(COLUMNS, row, strict=True))
    values["ordered_phone_numbers"] = _decode_items(values["ordered_phone_numbers"])
    return PhoneNumberOrder(**values)
