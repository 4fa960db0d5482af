"""The commands for the messages to the operator's own systems."""

from typing import Any

import click
import msgspec
from msgspec import structs

from ..carriers.routing import subscribers_from
from ..config import Location
from ..storage import deliveries as messages
from ..storage import store
from ..storage.deliveries import Delivery
from ..storage.tx import Tx
from .options import of_account, output_option, show
from .transactions import ask, run

COLUMNS = ("created_at", "type", "e164_phone_number", "receiver", "status", "attempts", "failure", "message_id")

MESSAGES_AT_ONCE = 1000


@click.group()
def deliveries() -> None:
    """Show and resend messages to subscribers and webhook carriers."""


@deliveries.command("list")
@of_account
@click.option(
    "--status", type=click.Choice(["Waiting", "Pending", "Delivered", "Failed"]), help="Only messages with this status."
)
@click.option("--receiver", help="Only messages to this subscriber or carrier.")
@click.option("--failing", is_flag=True, help="Only messages whose last attempt failed.")
@click.option("--limit", default=100, type=click.IntRange(1, 100_000), help="The largest number of rows to show.")
@output_option
def list_(
    database: Location,
    account: str,
    status: messages.Status | None,
    receiver: str | None,
    failing: bool,
    limit: int,
    output: str,
) -> None:
    """List the messages about the account's numbers. The latest come first: all that are still to be delivered, and the
    others of the last seven days."""
    found: list[Delivery] = ask(database, account, messages.of_account, status, receiver, limit, failing)
    show(map(_row, found), COLUMNS, output)
    if len(found) == limit:
        click.echo(f"These are the latest {limit}; there may be more: see --limit.", err=True)


def _row(delivery: Delivery) -> dict[str, Any]:
    data = msgspec.Raw(delivery.data.encode()) if delivery.data else None
    return {**structs.asdict(delivery), "data": data}


def _again(tx: Tx, message_id: str | None, receiver: str | None) -> int:
    known = subscribers_from(store.get(tx, store.SUBSCRIBERS))
    return messages.again(tx, message_id, receiver, MESSAGES_AT_ONCE, known)


@deliveries.command()
@of_account
@click.argument("message_id", required=False)
@click.option("--receiver", help="Resend all messages to this subscriber, instead of one message.")
def retry(database: Location, account: str, message_id: str | None, receiver: str | None) -> None:
    """Send messages again that were given up."""
    if bool(message_id) == bool(receiver):
        raise click.UsageError("Name either a message or, with --receiver, a subscriber.")
    count = 0
    while some := run(database, account, _again, message_id, receiver):
        count += some
    if not count:
        what = f"message {message_id} to a subscriber" if message_id else f"message to {receiver}"
        raise click.ClickException(f"The account {account} has no {what} that was given up.")
    click.echo(f"{count} message{'s are' if count > 1 else ' is'} sent again.")
