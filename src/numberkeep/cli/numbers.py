"""The inventory at the shell."""

import click
import msgspec

from ..config import Location
from ..domain.errors import Error
from ..domain.number_plan import normalize_id
from ..storage import phone_numbers
from .options import of_account, output_option, run, show


@click.group()
def numbers() -> None:
    """Phone numbers."""


@numbers.command()
@of_account
@click.argument("phone_number")
@output_option
def history(database: Location, account: str, phone_number: str, output: str) -> None:
    """All that has happened to a number of the account, the latest first: what, when, by whom, by which request."""
    try:
        e164 = normalize_id(phone_number)
    except Error as error:
        raise click.BadParameter(str(error), param_hint="PHONE_NUMBER") from error
    changes = run(database, account, phone_numbers.history, e164)
    if not changes:
        raise click.ClickException(f"The account {account} has never had {e164}; numbers begin with a country code.")
    if output == "json":
        show((msgspec.to_builtins(change) for change in changes), (), output)
        return
    rows = [
        {
            "when": change.changed_at,
            "what": what,
            "from": _words(before),
            "to": _words(after),
            "by": change.arn,
            "request": change.request_id,
        }
        for change in changes
        for what, (before, after) in change.change.items()
        if what != "updated_timestamp"
    ]
    show(rows, ("when", "what", "from", "to", "by", "request"), output)


def _words(value: object) -> object:
    if isinstance(value, list):
        return [f"{one['name']} {one['value']}" for one in value] or None
    return value
