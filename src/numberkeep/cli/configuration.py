"""The settings of `serve`, from flags, the environment and a file; and the command that shows where each comes from.

Other commands take from the file what they take from the environment: all options that `serve` has too.
"""

import tomllib
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..config import PREFIX
from .options import SQLITE, Database, output_option, show

_FROM = {
    ParameterSource.COMMANDLINE: "flag",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "file",
    ParameterSource.DEFAULT: "default",
}


def name_of(option: click.Parameter) -> str:
    """The name of a setting in the file: its option without the dashes."""
    return option.opts[0].removeprefix("--")


def settings_of(serve: click.Command) -> dict[str, click.Option]:
    """All settings of `serve`, by name."""
    return {name_of(option): option for option in serve.params if isinstance(option, click.Option)}


def give_variables(serve: click.Command) -> None:
    """Give every option of `serve` an environment variable: --admin-port is NUMBERKEEP_ADMIN_PORT."""
    for name, option in settings_of(serve).items():
        option.envvar = option.envvar or PREFIX + name.replace("-", "_").upper()
        option.show_envvar = True


def defaults_of(context: click.Context, serve: click.Command, file: Path) -> dict[str, Any]:
    """Read the file as click's default map for the command that follows. Raises click.UsageError for a setting that
    does not exist or cannot have its value."""
    try:
        said = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"The configuration {file} cannot be read: {error}.") from error
    settings = settings_of(serve)
    values = {}
    for name, value in said.items():
        if name not in settings:
            raise click.UsageError(
                f"The configuration {file} has {name!r}, which is no setting: {', '.join(settings)}."
            )
        values[str(settings[name].envvar)] = _text(file, name, value, several=settings[name].multiple)
    wanted = context.invoked_subcommand
    assert isinstance(context.command, click.Group)
    command = context.command.get_command(context, wanted) if wanted else None
    return {str(wanted): _for(command, values)} if command else {}


def _text(file: Path, name: str, value: object, *, several: bool) -> str | list[str]:
    items = value if isinstance(value, list) else [value]
    if isinstance(value, list) != several or not all(isinstance(item, (str, int, float)) for item in items):
        wanted = "a list of texts" if several else "one text, number or truth value"
        raise click.UsageError(f"The configuration {file}: {name} must be {wanted}.")
    texts = [str(item) for item in items]
    return texts if several else texts[0]


def _for(command: click.Command, values: dict[str, Any]) -> dict[str, Any]:
    if isinstance(command, click.Group):
        return {name: _for(one, values) for name, one in command.commands.items()}
    return {
        str(option.name): values[option.envvar]
        for option in command.params
        if isinstance(option.envvar, str) and option.envvar in values
    }


def like_serve(serve: click.Command, name: str, callback: Callable[..., None]) -> click.Command:
    """Make a command that takes --output and the options of `serve`, none of them required."""
    options = [copy(option) for option in serve.params]
    for option in options:
        option.required = False
    return output_option(click.Command(name, params=options, callback=callback, help=callback.__doc__))


def config_of(serve: click.Command) -> click.Group:
    """Make the group `config`, about the settings of `serve`."""

    def show_(output: str, **values: object) -> None:
        """Show every setting of `serve` and where it comes from.

        That is the default, a file, the environment or a flag. Takes the options of `serve`, and shows what `serve`
        would make of them. Passwords are left out.
        """
        context = click.get_current_context()
        rows = []
        for name, option in settings_of(serve).items():
            source = context.get_parameter_source(str(option.name)) or ParameterSource.DEFAULT
            value = _shown(option, values[str(option.name)])
            rows.append({"setting": name, "value": value, "from": _FROM[source], "variable": option.envvar})
        show(rows, ("setting", "value", "from", "variable"), output)

    group = click.Group("config", help="Show the settings of `serve`.")
    group.add_command(like_serve(serve, "show", show_))
    return group


def _shown(option: click.Option, value: object) -> object:
    """A value in the form in which it is given."""
    if isinstance(value, tuple):
        pair = len(value) == 2 and isinstance(value[1], int)
        return f"{value[0]}={value[1]}" if pair else [_shown(option, one) for one in value]
    if isinstance(option.type, Database) and isinstance(value, Path):
        return f"{SQLITE}{value}"
    if isinstance(value, str) and value.startswith(("postgresql://", "postgres://")):
        from ..storage.postgres_schema import without_password  # its driver is slow to import

        return without_password(value)
    return value if value is None or isinstance(value, (int, float)) else str(value)
