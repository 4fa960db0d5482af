"""The command `copy`: from a file to PostgreSQL, when one machine is not enough, or back."""

import sys

import click

from .. import maintenance
from ..config import Location
from ..storage.copying import Compared
from .options import Database, output_option, refusing, show


@click.command()
@click.option(
    "--from", "source", type=Database(), required=True, help="The store to copy; it must not be served meanwhile."
)
@click.option("--to", "target", type=Database(), required=True, help="The store to copy to: empty, or not made yet.")
@output_option
def copy(source: Location, target: Location, output: str) -> None:
    """Copy a store to another one, and compare the two. To continue an interrupted copy, run the same command again."""
    compared = refusing(lambda: _copy(source, target))
    show((one._asdict() for one in compared), Compared._fields, output)
    click.echo(f"The stores are the same: {sum(one.rows for one in compared)} rows.", err=True)
    click.echo("Serve one of them from now on: what is pending stands in both, and either would ask for it.", err=True)


def _copy(source: Location, target: Location) -> list[Compared]:
    with maintenance.open_copy(source, target) as one:
        for label, rows, already, steps in (
            ("Copying", one.rows, one.rows_copied, one.copy()),
            ("Comparing", 2 * one.rows, 0, one.compare()),
        ):
            with click.progressbar(length=rows, label=label, file=sys.stderr) as bar:
                bar.update(already)
                for count in steps:
                    bar.update(count)
        return one.compared
