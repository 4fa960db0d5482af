"""What carriers have still to do, and what they did, told by hand."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import click
from msgspec.structs import asdict

from .. import settling
from ..carriers import Done, Refused
from ..carriers.routing import RoutingError, read_routing
from ..config import Location
from ..domain.number_plan import normalize_id
from ..domain.phone_number import ChangeKind, PhoneNumber
from ..session import open_session
from ..storage import pending_changes, phone_numbers
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
    """Changes that a carrier has still to make."""


@pending.command("list")
@of_account
@carriers_option
@click.option("--carrier", metavar="NAME", help="Only what this one has to do; it takes the file of --carriers.")
@output_option
def list_(database: Location, account: str, carriers: Path | None, carrier: str | None, output: str) -> None:
    """What is pending of the account's numbers: what is asked for, since when, when the carrier is asked next, and how
    it has failed; and by --carriers, whose it is to do."""
    if carrier and not carriers:
        raise click.UsageError("--carrier needs --carriers, the file that tells which numbers it serves.")
    columns = ("carrier", *COLUMNS) if carriers else COLUMNS

    name_of = _names(carriers, carrier)

    def told() -> Iterator[dict[str, Any]]:
        for change in _all(database, account):
            name = name_of(account, change["e164_phone_number"])
            if carrier in (None, name):
                yield {**change, "carrier": name} if name else change

    refusing(lambda: show(told(), columns, output))


def _names(carriers: Path | None, wanted: str | None) -> Callable[[str, str], str | None]:
    """Tells who serves an account's number, as far as that is known."""
    if carriers is None:
        return lambda account_id, e164: None
    try:
        routing = read_routing(carriers)
    except RoutingError as error:
        raise click.ClickException(str(error)) from error
    if wanted and wanted not in routing.carriers:
        raise click.UsageError(f"--carrier: there is no {wanted!r}; there are {', '.join(routing.carriers)}.")
    return routing.name_of


def _all(database: Location, account: str) -> Iterator[dict[str, Any]]:
    """Each change, with the calling name that is asked for."""

    def fetch(tx: Tx, after: tuple[str, str] | None, limit: int) -> list[dict[str, Any]]:
        changes = pending_changes.page(tx, after or ("", ""), limit)
        named = [(account, change.e164_phone_number) for change in changes if change.kind == "set_calling_name"]
        numbers = phone_numbers.find_all(tx.execute, named, lock=False)
        return [{**asdict(change), "calling_name": _asked_for(change, numbers)} for change in changes]

    with open_session(database, account) as session:
        yield from session.pages(fetch, lambda last: (last["e164_phone_number"], last["kind"]))


def _asked_for(change: PendingChange, numbers: Mapping[Hashable, PhoneNumber | None]) -> str | None:
    number = numbers.get((change.account_id, change.e164_phone_number))
    return number.requested_calling_name if number and change.kind == "set_calling_name" else None


@pending.command()
@of_account
@click.argument("phone_number", required=False)
@click.option("--all", "every", is_flag=True, help="Of all numbers.")
def retry(database: Location, account: str, phone_number: str | None, every: bool) -> None:
    """Have a carrier asked again now that has failed to answer, in place of later and later."""
    if bool(phone_number) == every:
        raise click.UsageError("Name either a number or, with --all, all of them.")
    e164 = refusing(lambda: normalize_id(phone_number)) if phone_number else None
    count = 0
    while some := run(database, account, pending_changes.hurry, e164, CHANGES_AT_ONCE):
        count += len(some)
    if not count:
        raise click.ClickException(f"Nothing is pending of {e164 or 'any number'} whose carrier has failed to answer.")
    click.echo(f"{count} change{'s are' if count > 1 else ' is'} asked for again.")


@pending.command()
@of_account
@click.argument("phone_number")
@click.option("--succeed", "succeeded", is_flag=True, help="The carrier has made the change.")
@click.option("--fail", "failed", is_flag=True, help="It has not, and will not.")
@click.option("--reason", help="Why not: this is kept in the number's history.")
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
    """Say what came of a pending change of a number, for a carrier that does not say so itself."""
    if succeeded == failed:
        raise click.UsageError("Say either --succeed or --fail.")
    if bool(reason) != failed:
        raise click.UsageError("--fail needs a --reason, and --succeed has none.")
    e164 = refusing(lambda: normalize_id(phone_number))
    answer = Refused(reason) if reason else Done()
    kind = run(database, account, settling.settle_now, e164, answer, change, carriers=carriers)
    click.echo(f"{kind} of {e164} has {'failed' if failed else 'succeeded'}.")
