"""The commands for the inventory of numbers."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, get_args

import click
import msgspec

from ..config import Location
from ..domain.number_plan import normalize_id
from ..domain.phone_number import AssociationName, PhoneNumber, ProductType, Status
from ..session import open_session
from ..storage import inventory, pending_changes, phone_numbers
from ..storage.inventory import Search
from ..storage.pending_changes import PendingChange
from ..storage.phone_numbers import Change
from ..storage.tx import Tx
from . import pull, transfer
from .options import (
    facts_output_option,
    of_account,
    output_option,
    refusing,
    show,
    show_facts,
)
from .transactions import ask

FACTS = (*phone_numbers.COLUMNS, "associations")
SHOWN = ("e164_phone_number", "type", "product_type", "status", "calling_name", "calling_name_status", "name")


@click.group()
def numbers() -> None:
    """Show, import, export and compare phone numbers."""


@numbers.command("list")
@of_account
@click.option(
    "--status",
    type=click.Choice(get_args(Status)),
    help="Only numbers with this status; without it, none in the deletion queue are listed.",
)
@click.option("--product-type", type=click.Choice(get_args(ProductType)), help="Only numbers with this product type.")
@click.option(
    "--filter-name", type=click.Choice(get_args(AssociationName)), help="Only numbers assigned to this kind of thing."
)
@click.option("--filter-value", help="Only numbers assigned to the thing with this id; needs --filter-name.")
@click.option(
    "--search",
    default="",
    metavar="TEXT",
    help="Only numbers that contain TEXT in the number (+1206 matches its beginning), a name, a calling name, or the"
    " name of what they are assigned to; includes the deletion queue.",
)
@click.option("--limit", type=click.IntRange(1), help="The largest number of rows to show.")
@output_option
def list_(database: Location, account: str, search: str, limit: int | None, output: str, **filters: str | None) -> None:
    """List the account's numbers in the order of E.164."""
    if search and filters["filter_name"]:
        raise click.UsageError("--search looks at what holds a number by itself: leave --filter-name out.")
    if filters["filter_value"] and not filters["filter_name"]:
        raise click.UsageError("--filter-value needs --filter-name, which says whose value it is.")
    columns = (*SHOWN, "associations") if output == "text" else FACTS
    refusing(lambda: show(map(_facts, islice(_all(database, account, search, filters), limit)), columns, output))


def _all(database: Location, account: str, search: str, filters: dict[str, Any]) -> Iterator[PhoneNumber]:
    wanted = Search(search, filters["status"] or "", filters["product_type"] or "")

    def fetch(tx: Tx, after: str | None, limit: int) -> list[PhoneNumber]:
        if search:
            return inventory.page(tx, wanted, limit, after=after or "")
        return phone_numbers.page(tx, after=after or "", limit=limit, **filters)

    with open_session(database, account) as session:
        yield from session.pages(fetch, lambda number: number.e164_phone_number)


def _facts(number: PhoneNumber) -> dict[str, Any]:
    return {
        **{column: getattr(number, column) for column in phone_numbers.COLUMNS},
        "associations": msgspec.to_builtins(number.associations),
    }


@numbers.command("show")
@of_account
@click.argument("phone_number")
@facts_output_option
def show_(database: Location, account: str, phone_number: str, output: str) -> None:
    """Show a number, its assignment, and what is pending for it."""

    def look(tx: Tx) -> tuple[PhoneNumber, list[PendingChange]]:
        number = phone_numbers.get(tx, phone_number)
        return number, pending_changes.of_number(tx, number.e164_phone_number)

    number, pending = ask(database, account, look)
    told = map(_told if output == "text" else msgspec.to_builtins, pending)
    show_facts({**_facts(number), "pending": list(told)}, output)


def _told(change: PendingChange) -> str:
    failed = f"; {change.attempts} attempts failed: {change.failure}" if change.failure else ""
    return f"{change.kind} since {change.requested_at}, due {change.due_at}{failed}"


@numbers.command()
@of_account
@click.argument("phone_number")
@output_option
def history(database: Location, account: str, phone_number: str, output: str) -> None:
    """Show all changes of a number, the latest first. For each: what, when, by whom, and by which request."""
    e164 = refusing(lambda: normalize_id(phone_number))
    changes = ask(database, account, phone_numbers.history, e164)
    if not changes:
        raise click.ClickException(f"The account {account} has never had {e164}; numbers begin with a country code.")
    if output == "json":
        show((msgspec.to_builtins(change) for change in changes), (), output)
        return
    rows = [row for change in changes for row in _lines_of(change, repeat=output == "csv")]
    show(rows, ("when", "by", "request", "what", "from", "to"), output)


def _lines_of(change: Change, *, repeat: bool) -> Iterator[dict[str, Any]]:
    """A line for each member that changed. Unless `repeat`, only the first line says who changed it, and when."""
    by = {"when": change.changed_at, "by": change.arn, "request": change.request_id}
    for what, (before, after) in change.change.items():
        if what != "updated_timestamp":
            yield {**by, "what": what, "from": _words(before), "to": _words(after)}
            by = by if repeat else dict.fromkeys(by, "")


def _words(value: object) -> object:
    if isinstance(value, list):
        return [f"{one['name']} {one['value']}" for one in value] or None
    return value


numbers.add_command(transfer.export)
numbers.add_command(transfer.import_)
numbers.add_command(pull.pull)
numbers.add_command(pull.diff)
