"""What carriers have still to do, and what they did, told by hand."""

from pathlib import Path

import click
import msgspec

from .. import settling
from ..carriers import Done, Refused
from ..config import Location
from ..domain.number_plan import normalize_id
from ..storage import pending_changes
from .options import (
    carriers_option,
    of_account,
    output_option,
    refusing,
    show,
)
from .transactions import run

KINDS = ("order", "set_calling_name", "release")


@click.group()
def pending() -> None:
    """Changes that a carrier has still to make."""


@pending.command("list")
@of_account
@output_option
def list_(database: Location, account: str, output: str) -> None:
    """What is pending of the account's numbers: since when, when the carrier is asked next, and how it has failed."""
    changes = run(database, account, pending_changes.of_account)
    columns = ("e164_phone_number", "kind", "requested_at", "due_at", "attempts", "failure")
    show((msgspec.to_builtins(change) for change in changes), columns, output)


@pending.command()
@of_account
@click.argument("phone_number")
@click.option("--succeed", "succeeded", is_flag=True, help="The carrier has made the change.")
@click.option("--fail", "failed", is_flag=True, help="It has not, and will not.")
@click.option("--reason", help="Why not: this is kept in the number's history.")
@carriers_option
@click.option("--change", type=click.Choice(KINDS), help="Which change is meant, if several are pending.")
def settle(
    database: Location,
    account: str,
    phone_number: str,
    succeeded: bool,
    failed: bool,
    reason: str | None,
    change: str | None,
    carriers: Path | None,
) -> None:
    """Say what came of a pending change of a number, for a carrier that does not say so itself."""
    if succeeded == failed:
        raise click.UsageError("Say either --succeed or --fail.")
    if bool(reason) != failed:
        raise click.UsageError("--fail needs a --reason, and --succeed has none.")
    e164 = refusing(lambda: normalize_id(phone_number))
    answer = Refused(reason) if reason else Done()
    kind = run(database, account, settling.settle_now, e164, answer, change, carriers=carriers)
    click.echo(f"{kind} of {e164} has {'failed' if failed else 'succeeded'}.")
