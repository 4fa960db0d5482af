"""The command line."""

import asyncio
import gc
import logging
import re
import signal
import sys
from pathlib import Path

import click
import msgspec
import uvloop

from . import app
from .app import App, StartError
from .config import DATABASE_VARIABLE, REGIONS, Settings
from .domain.limits import QUOTAS
from .storage.sqlite import StoreError

ACCOUNT_ID = re.compile(r"[0-9]{12}")
USER_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")
SQLITE = "sqlite:///"
PORT = click.IntRange(0, 65535)


class Database(click.ParamType[Path]):
    """``sqlite:///FILE``; an absolute FILE makes it four slashes."""

    name = "URL"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if isinstance(value, Path):
            return value
        if not value.startswith(SQLITE) or value == SQLITE:
            self.fail(f"{value!r} is not of the form sqlite:///FILE.", param, ctx)
        path = Path(value.removeprefix(SQLITE))
        if path.name == ":memory:":
            self.fail("a store in memory is what `numberkeep dev --memory` has.", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"the directory {path.parent} does not exist.", param, ctx)
        return path


class Quota(click.ParamType[tuple[str, int]]):
    """``NAME=COUNT``, of a quota that there is."""

    name = "NAME=COUNT"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        name, _, count = value.partition("=")
        if name not in QUOTAS:
            self.fail(f"{name!r} is no quota; there are {', '.join(QUOTAS)}.", param, ctx)
        if not (count.isascii() and count.isdigit() and len(count) <= 9):
            self.fail(f"{value!r} is not of the form NAME=COUNT.", param, ctx)
        return name, int(count)


def database_option(function: click.decorators.FC) -> click.decorators.FC:
    """--database, the same for every command."""
    return click.option(
        "--database",
        type=Database(),
        required=True,
        envvar=DATABASE_VARIABLE,
        show_envvar=True,
        help="Where the store is: sqlite:///FILE, made if it is absent.",
    )(function)


@click.group(context_settings={"show_default": True})
@click.version_option(package_name="numberkeep", prog_name="numberkeep")
def main() -> None:
    """A self-hosted phone-number service that speaks the Amazon Chime API."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


@main.command()
@click.option("--port", default=8000, type=PORT, help="The port of the AWS API.")
@click.option("--admin-port", default=8001, type=PORT, help="The port of health and controls.")
@click.option("--data", default=Path(".numberkeep"), type=click.Path(path_type=Path), help="Where the store is kept.")
@click.option("--memory", is_flag=True, help="Keep nothing.")
@click.option("--empty", is_flag=True, help="Begin a new store without the demonstration inventory.")
@click.option("--verify", is_flag=True, help="Check signatures, against a key that is shown at start.")
def dev(port: int, admin_port: int, data: Path, memory: bool, empty: bool, verify: bool) -> None:
    """Serve tests and try-outs, on loopback only: any access key, a clock that can be turned."""
    database = None
    if not memory:
        try:
            data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.BadParameter(f"{data} cannot be a directory: {error.strerror}.", param_hint="--data") from error
        database = data / "numberkeep.sqlite3"
    _run(Settings(port=port, admin_port=admin_port, database=database, dev=True, empty=empty, verify=verify))


@main.command()
@database_option
@click.option("--host", default="127.0.0.1", help="The address of the AWS API.")
@click.option("--port", default=8000, type=PORT, help="The port of the AWS API.")
@click.option("--admin-host", default="127.0.0.1", help="The address of health.")
@click.option("--admin-port", default=8001, type=PORT, help="The port of health.")
@click.option("--region", "regions", multiple=True, default=REGIONS, help="A region that credentials may be of.")
@click.option(
    "--quota",
    "quotas",
    multiple=True,
    type=Quota(),
    help=f"How many an account may have of {', '.join(QUOTAS)}: NAME=COUNT, once for each; 0 is no limit.",
)
@click.option(
    "--order-seconds",
    default=4,
    type=click.IntRange(0, 86400),
    help="How long the simulated carrier takes to provide a number.",
)
def serve(
    database: Path,
    host: str,
    port: int,
    admin_host: str,
    admin_port: int,
    regions: tuple[str, ...],
    quotas: tuple[tuple[str, int], ...],
    order_seconds: int,
) -> None:
    """Serve an organisation's numbers: every request is signed with a key that `keys create` has made."""
    _run(
        Settings(
            host=host,
            port=port,
            admin_host=admin_host,
            admin_port=admin_port,
            database=database,
            regions=regions,
            quotas=dict(quotas),
            order_seconds=order_seconds,
        )
    )


@main.group()
def keys() -> None:
    """Access keys, which requests are signed with."""


@keys.command()
@database_option
@click.option("--account", required=True, help="The account: twelve digits.")
@click.option("--name", required=True, help="The user's name.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="For people or for programs.")
def create(database: Path, account: str, name: str, output: str) -> None:
    """Make a key, and show its secret: now, and never again."""
    if not ACCOUNT_ID.fullmatch(account):
        raise click.BadParameter("must be an account id, twelve digits.", param_hint="--account")
    if not USER_NAME.fullmatch(name):
        raise click.BadParameter("must be 1 to 64 letters, digits or +=,.@_-", param_hint="--name")
    try:
        key = asyncio.run(app.create_key(database, account, name))
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    if output == "json":
        answer = {
            "AccessKeyId": key.access_key_id,
            "SecretAccessKey": key.secret_access_key,
            "UserName": key.user_name,
            "Arn": key.arn,
        }
        click.echo(msgspec.json.encode(answer).decode())
    else:
        click.echo(f"AWS_ACCESS_KEY_ID={key.access_key_id}\nAWS_SECRET_ACCESS_KEY={key.secret_access_key}")
        click.echo(f"The key of {key.arn}; its secret is not shown again.", err=True)


def _run(settings: Settings) -> None:
    try:
        uvloop.run(_serve(settings))
    except (StartError, StoreError) as error:
        raise click.ClickException(str(error)) from error


async def _serve(settings: Settings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with App(settings) as running:
        # What the start has made stays: collecting garbage need not look at it again, nor so often.
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        click.echo(_welcome(running))
        sys.stdout.flush()
        await stopped.wait()


def _welcome(running: App) -> str:
    settings = running.settings
    api = f"http://{settings.host}:{running.port}"
    lines = [
        f"Numberkeep answers the Amazon Chime API at {api}",
        f"Health{' and controls' if settings.dev else ''}: http://{settings.admin_host}:{running.admin_port}/_numberkeep/health",
    ]
    if settings.dev:
        key_id, secret = running.credentials
        lines += [
            "Try:",
            f"  AWS_ACCESS_KEY_ID={key_id} AWS_SECRET_ACCESS_KEY={secret} AWS_DEFAULT_REGION=us-east-1 \\",
            f"  aws chime update-phone-number --endpoint-url {api} \\",
            "  --phone-number-id +12065550100 --product-type BusinessCalling",
        ]
    return "\n".join(lines)
