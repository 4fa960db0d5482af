"""The command line: its main group, `dev`, `serve`, `worker` and `completion`."""

from importlib import import_module
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import get_completion_class
from msgspec import structs

from .. import config, logs
from ..config import REGIONS, Settings
from ..domain.limits import QUOTAS
from . import configuration
from .options import (
    PORT,
    Postgresql,
    carriers_option,
    database_option,
    log_format_option,
    secret_key_option,
    traces_option,
)

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Quota(click.ParamType):  # type: ignore[type-arg]  # older versions take no argument
    """The type of ``NAME=COUNT``, where NAME is an existing quota."""

    name = "NAME=COUNT"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        name, _, count = value.partition("=")
        if name not in QUOTAS:
            self.fail(f"{name!r} is no quota; there are {', '.join(QUOTAS)}.", param, ctx)
        if not (count.isascii() and count.isdigit() and len(count) <= 9):
            self.fail(f"{value!r} is not of the form NAME=COUNT.", param, ctx)
        return name, int(count)


class Network(click.ParamType):  # type: ignore[type-arg]  # older versions take no argument
    """The type of an address, or a network in CIDR notation."""

    name = "CIDR"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> IPv4Network | IPv6Network:
        try:
            return ip_network(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


_MODULES = {
    "backup": "backup",
    "check": "check",
    "copy": "copy",
    "deliveries": "deliveries",
    "doctor": "doctor",
    "keys": "access",
    "migrate": "migrate",
    "numbers": "numbers",
    "orders": "orders",
    "pending": "pending",
    "policies": "access",
    "roles": "access",
    "users": "access",
}
"""The modules of the commands that are imported only when they are used, so that the server does not load them."""


class Commands(click.Group):
    """A group of the commands of this module and those of `_MODULES`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *_MODULES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _MODULES and cmd_name not in self.commands:
            found = getattr(import_module(f".{_MODULES[cmd_name]}", __package__), cmd_name)
            is_command = isinstance(found, click.Command)
            self.add_command(found if is_command else configuration.like_serve(serve, cmd_name, found))
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.BadParameter as error:
            source = error.ctx.get_parameter_source(str(error.param.name)) if error.ctx and error.param else None
            if source is ParameterSource.DEFAULT_MAP:
                text = f"{error.message.rstrip('.')}. The configuration {ctx.params['file']} says so."
                raise click.BadParameter(text, error.ctx, error.param, error.param_hint) from error
            raise


@click.group(cls=Commands, context_settings={"show_default": True})
@click.version_option(package_name="numberkeep", prog_name="numberkeep")
@click.option(
    "--config",
    "file",
    type=FILE,
    envvar=config.CONFIG_VARIABLE,
    show_envvar=True,
    help="A TOML file of settings, named like the options of `serve`; flags and environment variables override it.",
)
@click.pass_context
def main(context: click.Context, file: Path | None) -> None:
    """A self-hosted phone-number service that speaks the Amazon Chime API."""
    logs.configure("text")
    if file:
        context.default_map = configuration.defaults_of(context, serve, file)


@main.command()
@click.option("--port", default=8000, type=PORT, help="The port of the AWS API.")
@click.option("--admin-port", default=8001, type=PORT, help="The port of health, the console and the controls.")
@click.option(
    "--data", default=Path(".numberkeep"), type=click.Path(path_type=Path), help="The directory for the store."
)
@click.option("--memory", is_flag=True, help="Keep the store in memory; it is gone at the end.")
@click.option("--empty", is_flag=True, help="Begin a new store without the demonstration inventory.")
@click.option("--verify", is_flag=True, help="Verify signatures, with an access key that is shown at the start.")
@log_format_option
@traces_option
@carriers_option
def dev(data: Path, memory: bool, **settings: Any) -> None:
    """Serve tests and experiments, on loopback only. Any access key is accepted, and the clock can be moved forward."""
    if memory and click.get_current_context().get_parameter_source("data") == ParameterSource.COMMANDLINE:
        raise click.UsageError("--memory keeps nothing, and so there is no use for --data.")
    database = None
    if not memory:
        try:
            data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.BadParameter(f"{data} cannot be a directory: {error.strerror}.", param_hint="--data") from error
        database = data / "numberkeep.sqlite3"
    _run(Settings(database=database, dev=True, **settings))


@main.command()
@database_option
@secret_key_option
@click.option("--host", default="127.0.0.1", help="The address of the AWS API.")
@click.option("--port", default=8000, type=PORT, help="The port of the AWS API.")
@click.option(
    "--admin-host", default="127.0.0.1", help="The address of the admin port: health, metrics and the console."
)
@click.option("--admin-port", default=8001, type=PORT, help="The admin port: health, metrics and the console.")
@click.option(
    "--region",
    "regions",
    multiple=True,
    default=REGIONS,
    help="A region whose credentials are accepted; repeat for several.",
)
@click.option(
    "--quota",
    "quotas",
    multiple=True,
    type=Quota(),
    help=f"How many an account may have of {', '.join(QUOTAS)}, as NAME=COUNT; repeat for several; 0 is unlimited.",
)
@click.option(
    "--rate",
    default=1000.0,
    type=click.FloatRange(0, 1_000_000),
    help="How many requests a second an account may make for each operation; 0 is unlimited.",
)
@click.option(
    "--burst",
    default=0.0,
    type=click.FloatRange(0, 1_000_000),
    help="How many of these requests may come at once; 0 is twice the rate.",
)
@click.option("--tls-cert", type=FILE, help="The certificate with its chain, in PEM; reloaded on SIGHUP.")
@click.option("--tls-key", type=FILE, help="The certificate's key, in PEM.")
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    type=Network(),
    help="A proxy (address or network) whose X-Forwarded-For and X-Forwarded-Proto are trusted; repeat for several.",
)
@click.option(
    "--trail",
    multiple=True,
    default=["stdout"],
    help="Where every request is recorded: stdout, a file, or none; repeat for several.",
)
@click.option(
    "--trail-file-bytes",
    default=100 * 1024 * 1024,
    type=click.IntRange(1024),
    help="The size at which a trail file is rotated.",
)
@click.option("--trail-files", default=10, type=click.IntRange(0, 1000), help="How many rotated trail files are kept.")
@click.option(
    "--order-seconds",
    default=4,
    type=click.IntRange(0, 86400),
    help="How long the simulated carrier takes to provide a number; ignored with --carriers.",
)
@log_format_option
@traces_option
@carriers_option
@click.option(
    "--standby",
    type=Postgresql(),
    show_default=False,
    help="PostgreSQL standby servers for reads; they may lag behind.",
)
@click.option(
    "--stop-delay",
    default=0.0,
    type=click.FloatRange(0, 3600),
    help="How many seconds to keep serving after SIGTERM, while /_numberkeep/ready answers 503.",
)
@click.option(
    "--workers",
    default=1,
    type=click.IntRange(1, 256),
    help="How many processes serve; more than one needs PostgreSQL.",
)
def serve(
    tls_cert: Path | None,
    tls_key: Path | None,
    quotas: tuple[tuple[str, int], ...],
    trail: tuple[str, ...],
    **settings: Any,
) -> None:
    """Serve an organisation's numbers. Every request must be signed with a key that `keys create` has made."""
    targets = tuple(target for target in trail if target != "none")
    given = Settings(
        tls_cert=tls_cert, tls_key=tls_key, quotas=dict(quotas), trail=targets, seat=config.seat(), **settings
    )
    _run(given)


@main.command(hidden=True)
def worker() -> None:
    """Run one of the processes of `serve --workers`, which starts them."""
    seat = config.seat()
    if seat is None:
        raise click.UsageError("this is started by `numberkeep serve --workers`.")
    main(seat.arguments, "numberkeep")


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes commands and options. Load it with eval "$(numberkeep completion bash)"."""
    made = get_completion_class(shell)
    assert made
    click.echo(made(main, {}, "numberkeep", "_NUMBERKEEP_COMPLETE").source())


configuration.give_variables(serve)
main.add_command(configuration.config_of(serve))


def _run(settings: Settings) -> None:
    for wrong in config.contradictions(structs.asdict(settings)):
        raise click.UsageError(wrong)
    from .serving import run  # imports the whole service, for which no other command should wait

    run(settings)
