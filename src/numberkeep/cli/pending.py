"""The commands for pending changes: what carriers still have to do, and what they did, entered by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
from msgspec.structs import asdict

from .. import settling
from ..carriers import Done, Refused
from ..carriers.routing import Routing, RoutingError, read_routing
from ..config import Location
from ..domain.moment import Timestamp
from ..domain.number_plan import normalize_id
from ..domain.phone_number import ChangeKind, PhoneNumber
from ..session import open_session
from ..storage import pending_changes
from ..storage.pending_changes import PendingChange
from ..storage.tx import Tx
from .options import (
    carriers_option,
    of_account,
    output_option,
    refusing,
    show,
)
from .transactions import run

CHANGES_AT_ONCE = 1000
COLUMNS = ("e164_phone_number", "kind", "calling_name", "requested_at", "due_at", "attempts", "failure")


@click.group()
def pending() -> None:
    """Show, retry and settle changes that carriers have to make."""


@pending.command("list")
@of_account
@carriers_option
@click.option("--carrier", metavar="NAME", help="Only changes for this carrier; needs --carriers.")
@click.option(
    "--now",
    "asked",
    is_flag=True,
    help="Only changes to be made now, not releases of numbers that can still be restored.",
)
@output_option
def list_(
    database: Location, account: str, carriers: Path | None, carrier: str | None, asked: bool, output: str
) -> None:
    """List the pending changes of the account's numbers. Shows since when they are pending, when the carrier is asked
    next, and how it failed; with --carriers, also which carrier has to make them."""
    if carrier and not carriers:
        raise click.UsageError("--carrier needs --carriers, the file that tells which numbers it serves.")
    routing = _routing(carriers, carrier) if carriers else None

    def told() -> Iterator[dict[str, Any]]:
        for change, number, now in _all(database, account):
            is_asked = settling.is_asked(change, number, now)
            name = routing.name_of(account, number.e164_phone_number) if routing else None
            if carrier not in (None, name) or (asked and not is_asked):
                continue
            row = asdict(change)
            row["calling_name"] = number.requested_calling_name if change.kind == "set_calling_name" else None
            if routing and name:
                row["carrier"] = name
                if is_asked and routing.is_manual(name):
                    row["due_at"] = None  # no carrier is asked
            yield row

    refusing(lambda: show(told(), ("carrier", *COLUMNS) if carriers else COLUMNS, output))


def _routing(carriers: Path, wanted: str | None) -> Routing:
    try:
        routing = read_routing(carriers)
    except RoutingError as error:
        raise click.ClickException(str(error)) from error
    if wanted and wanted not in routing.carriers:
        raise click.UsageError(f"--carrier: there is no {wanted!r}; there are {', '.join(routing.carriers)}.")
    return routing


def _all(database: Location, account: str) -> Iterator[tuple[PendingChange, PhoneNumber, Timestamp]]:
    """Each change with its number, and the time at which they were read."""

    def fetch(tx: Tx, after: tuple[str, str] | None, limit: int) -> list[tuple[PendingChange, PhoneNumber, Timestamp]]:
        changes = pending_changes.page(tx, after or ("", ""), limit)
        return [(*both, tx.now) for both in pending_changes.with_numbers(tx, changes)]

    with open_session(database, account) as session:
        yield from session.pages(fetch, lambda last: (last[0].e164_phone_number, last[0].kind))


@pending.command()
@of_account
@click.argument("phone_number", required=False)
@click.option("--all", "every", is_flag=True, help="Retry the changes of all numbers.")
def retry(database: Location, account: str, phone_number: str | None, every: bool) -> None:
    """Retry changes whose carrier has failed to answer. It is asked now, not after longer and longer pauses."""
    if bool(phone_number) == every:
        raise click.UsageError("Name either a number or, with --all, all of them.")
    e164 = refusing(lambda: normalize_id(phone_number)) if phone_number else None
    count = 0
    while some := run(database, account, settling.hurry, e164, CHANGES_AT_ONCE):
        count += some
    if not count:
        what = f"Nothing is pending of {e164 or 'any number'} whose carrier has failed to answer"
        raise click.ClickException(f"{what}, but for what is asked again within a minute.")
    click.echo(f"{count} change{'s are' if count > 1 else ' is'} asked for again.")


@pending.command()
@of_account
@click.argument("phone_number")
@click.option("--succeed", "succeeded", is_flag=True, help="The carrier has made the change.")
@click.option("--fail", "failed", is_flag=True, help="The carrier has not made the change, and will not.")
@click.option("--reason", help="Why it failed; kept in the number's history.")
@carriers_option
@click.option(
    "--change", type=click.Choice(get_args(ChangeKind)), help="Which change is meant, if several are pending."
)
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
    """Record the outcome of a pending change of a number. Use it for a carrier that does not report it itself."""
    if succeeded == failed:
        raise click.UsageError("Say either --succeed or --fail.")
    if bool(reason) != failed:
        raise click.UsageError("--fail needs a --reason, and --succeed has none.")
    e164 = refusing(lambda: normalize_id(phone_number))
    answer = Refused(reason) if reason else Done()
    kind = run(database, account, settling.settle_now, e164, answer, change, carriers=carriers)
    click.echo(f"{kind} of {e164} has {'failed' if failed else 'succeeded'}.")
