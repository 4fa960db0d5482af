"""The commands that read the numbers of an AWS account: into a store, or to compare them with one."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from ..config import Location
from ..operations import inventory
from ..operations.inventory import GivenNumber, compare, given_of
from ..session import Session, open_session
from .options import of_account, output_option, refusing, show
from .transfer import BATCH_ROWS, every, put_batch

if TYPE_CHECKING:
    from .aws_account import AwsAccount


def of_aws(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which AWS account is read."""
    for option in (
        click.option("--endpoint-url", help="Use this address instead of AWS's own."),
        click.option("--region", help="The region to read; without it, the profile's."),
        click.option("--profile", help="A profile of the AWS CLI; without it, the credentials in the environment."),
    ):
        function = option(function)
    return function


def _account(**options: str | None) -> "AwsAccount":
    try:
        from .aws_account import AwsAccount  # boto3 is slow to import, and optional
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error.name} is not there: pip install 'numberkeep[aws]'.") from error
    return AwsAccount(**options)


@click.command()
@of_account
@of_aws
@click.pass_context
def pull(context: click.Context, /, database: Location, account: str, **options: str | None) -> None:
    """Copy what an AWS account has into a store.

    That is its numbers, settled orders, Voice Connectors and their groups. What the store has already is left as it is.
    AWS is only read. The exit code is 1 if a number breaks a rule.
    """
    there = _account(**options)
    numbers, connectors, groups, orders = there.numbers(), there.connectors(), there.groups(), there.orders()

    def run() -> list[tuple[str, str]]:
        with open_session(database, account, make=True) as session:
            holders = session.transact(inventory.put_holders, connectors, groups)
            outcomes = list(_put(session, iter(numbers.values())))
            settled = session.transact(inventory.put_orders, orders)
        added, same = outcomes.count("added"), outcomes.count("same")
        click.echo(
            f"{added} numbers added, {same} there already, {len(outcomes) - added - same} refused;"
            f" {holders} Voice Connectors and groups and {settled} of {len(orders)} orders added."
        )
        return [(e164, str(one)) for e164, one in zip(numbers, outcomes, strict=True) if one not in ("added", "same")]

    refused = refusing(run)
    for e164, reason in refused:
        click.echo(f"{e164} is refused. {reason}", err=True)
    if refused:
        context.exit(1)


def _put(session: Session, numbers: Iterator[GivenNumber]) -> Iterator[inventory.Outcome]:
    while batch := list(islice(numbers, BATCH_ROWS)):
        yield from put_batch(session, batch)


@click.command()
@of_account
@of_aws
@output_option
@click.pass_context
def diff(context: click.Context, /, database: Location, account: str, output: str, **options: str | None) -> None:
    """Compare a store with an AWS account, number by number.

    Here is the store, there is AWS; timestamps are not compared. The exit code is 1 if they differ.
    """
    there = _account(**options).numbers()

    def run() -> list[dict[str, Any]]:
        with open_session(database, account) as session:
            return list(_differences(map(given_of, every(session)), there))

    found = refusing(run)
    if found or output != "text":
        show(found, ("e164_phone_number", "found", "member", "here", "there"), output)
    if found:
        context.exit(1)
    click.echo("They are the same.", err=True)


def _differences(here: Iterator[GivenNumber], there: dict[str, GivenNumber]) -> Iterator[dict[str, Any]]:
    left = dict(there)
    for number in here:
        e164 = number.e164_phone_number
        other = left.pop(e164, None)
        if other is None:
            yield {"e164_phone_number": e164, "found": "only here"}
            continue
        for member, (ours, theirs) in compare(number, other).items():
            yield {"e164_phone_number": e164, "found": "different", "member": member, "here": ours, "there": theirs}
    for e164 in sorted(left):
        yield {"e164_phone_number": e164, "found": "only there"}
