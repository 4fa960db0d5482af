"""The commands for the version of the store's schema."""

import click
import msgspec

from ..config import Location
from ..maintenance import migrate as bring_up_to_date
from ..maintenance import schema_version
from ..storage.migrations import latest, migrations
from .options import database_option, facts_output_option, refusing


@click.group()
def migrate() -> None:
    """Manage the store's schema. A SQLite file is migrated when it is opened, PostgreSQL only by `migrate up`."""


@migrate.command()
@database_option
@facts_output_option
def status(database: Location, output: str) -> None:
    """Show a store's version and its pending migrations. Also shows the latest version that this program knows."""
    version = refusing(lambda: schema_version(database))
    pending = [str(one) for one in migrations() if one.version > version]
    if output == "json":
        click.echo(msgspec.json.encode({"version": version, "latest": latest(), "pending": pending}).decode())
        return
    click.echo(f"The store is of version {version}, this program knows {latest()}.")
    for name in pending:
        click.echo(f"pending: {name}")


@migrate.command()
@database_option
def up(database: Location) -> None:
    """Run the pending migrations. Servers of the previous version go on serving meanwhile."""
    done = refusing(lambda: bring_up_to_date(database))
    for name in done:
        click.echo(f"done: {name}")
    click.echo(f"The store is of version {refusing(lambda: schema_version(database))}.")
