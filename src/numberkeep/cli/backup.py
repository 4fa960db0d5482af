"""The command `backup`."""

import sys
from pathlib import Path

import click

from .. import maintenance
from ..config import Location
from .options import database_option, refusing


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@database_option
@click.option("--force", is_flag=True, help="Replace FILE if there is one.")
def backup(file: Path, database: Location, force: bool) -> None:
    """Back up a store to FILE, a SQLite store. The store may be served meanwhile."""
    with click.progressbar(length=1, label="Backing up", file=sys.stderr) as bar:

        def progress(done: int, of: int) -> None:
            bar.length = of
            bar.update(done - bar.pos)

        refusing(lambda: maintenance.back_up(database, file, progress, force=force))
    click.echo(f"{file} is a copy of the store.", err=True)
