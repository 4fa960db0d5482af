"""The command `check`."""

import click

from .. import maintenance
from ..config import Location
from ..storage.checking import Finding
from .options import database_option, output_option, refusing, show


@click.command()
@database_option
@output_option
@click.pass_context
def check(context: click.Context, database: Location, output: str) -> None:
    """Check that a store obeys all rules. It may be served meanwhile. The exit code is 1 if a rule is broken."""
    found = refusing(lambda: list(maintenance.check(database)))
    if found or output != "text":
        show((one._asdict() for one in found), Finding._fields, output)
    if found:
        click.echo(f"{len(found)} findings: the store is not sound.", err=True)
        context.exit(1)
    click.echo("All rules hold.", err=True)
