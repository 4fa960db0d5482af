"""The commands for orders of phone numbers."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import click
import msgspec

from ..config import Location
from ..domain.phone_number_order import PhoneNumberOrder
from ..session import open_session
from ..storage import phone_number_orders
from ..storage.tx import Tx
from .options import (
    facts_output_option,
    of_account,
    output_option,
    refusing,
    show,
    show_facts,
)
from .transactions import ask

SHOWN = ("phone_number_order_id", "created_timestamp", "product_type", "status", "numbers")
FACTS = (*PhoneNumberOrder.__struct_fields__, "numbers")


@click.group()
def orders() -> None:
    """Show orders of phone numbers."""


@orders.command("list")
@of_account
@click.option("--limit", type=click.IntRange(1), help="The largest number of rows to show.")
@output_option
def list_(database: Location, account: str, limit: int | None, output: str) -> None:
    """List the account's orders, the newest first."""
    rows = map(_facts, islice(_all(database, account), limit))
    refusing(lambda: show(rows, SHOWN if output == "text" else FACTS, output))


def _all(database: Location, account: str) -> Iterator[PhoneNumberOrder]:
    def fetch(tx: Tx, before: tuple[str, str] | None, limit: int) -> list[PhoneNumberOrder]:
        return phone_number_orders.page(tx, before=before, limit=limit)

    with open_session(database, account) as session:
        yield from session.pages(fetch, lambda order: (order.created_timestamp, order.phone_number_order_id))


def _facts(order: PhoneNumberOrder) -> dict[str, Any]:
    return {**msgspec.to_builtins(order), "numbers": len(order.ordered_phone_numbers)}


@orders.command("show")
@of_account
@click.argument("phone_number_order_id")
@facts_output_option
def show_(database: Location, account: str, phone_number_order_id: str, output: str) -> None:
    """Show an order, and the progress of each of its numbers."""

    order = ask(database, account, phone_number_orders.get, phone_number_order_id)
    show_facts(msgspec.to_builtins(order), output)
