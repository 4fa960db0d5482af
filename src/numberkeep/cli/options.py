"""What commands have in common: options for the store, the account and the output, and how output is written."""

import csv
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from ..config import ACCOUNT_VARIABLE, CARRIERS_VARIABLE, DATABASE_VARIABLE, SECRET_KEY_FILE_VARIABLE, Location
from ..domain.errors import Error
from ..opening import StartError
from ..storage.driver import StoreError

SQLITE = "sqlite:///"
TABLE_ROWS = 1000
"""How many rows of a table are in memory at a time; columns are as wide as these rows need."""
PORT = click.IntRange(0, 65535)
T = TypeVar("T")


def _is_postgresql(url: str) -> bool:
    """Whether libpq understands the URL as it was meant. If a password contains a special sign, it is cut off there,
    and the rest ends up in another part."""
    import psycopg.conninfo  # slow to import

    try:
        given = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error:  # its text may show the password
        return False
    ports = str(given.get("port", "")).split(",")
    names = f"{given.get('host', '')}{given.get('dbname', '')}"
    return "@" not in names and all(port == "" or (port.isascii() and port.isdigit()) for port in ports)


class Postgresql(click.ParamType):  # type: ignore[type-arg]  # older versions take no argument
    """The type of ``postgresql://...``, as libpq understands it."""

    name = "URL"
    schemes = ("postgresql://", "postgres://")

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.startswith(self.schemes):
            self.fail("it must be of the form postgresql://USER:PASSWORD@HOST/DATABASE.", param, ctx)
        if not _is_postgresql(value):
            self.fail(
                "it is no URL of PostgreSQL's. In a name or a password, what is neither a letter nor a digit is"
                " written as its code: %40 is @, %2F is /.",
                param,
                ctx,
            )
        return value


class Database(click.ParamType):  # type: ignore[type-arg]  # older versions take no argument
    """The type of ``sqlite:///FILE`` (four slashes for an absolute FILE), or ``postgresql://...`` as for libpq."""

    name = "URL"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Location:
        if isinstance(value, Path):
            return value
        if value.startswith(Postgresql.schemes):
            return Postgresql().convert(value, param, ctx)
        if not value.startswith(SQLITE) or value == SQLITE:
            self.fail("it must be of the form sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE.", param, ctx)
        path = Path(value.removeprefix(SQLITE))
        if path.name == ":memory:":
            self.fail("a store in memory is what `numberkeep dev --memory` has.", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"the directory {path.parent} does not exist.", param, ctx)
        return path


class AccountId(click.ParamType):  # type: ignore[type-arg]  # older versions take no argument
    """The type of an account id: twelve digits."""

    name = "ACCOUNT"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[0-9]{12}", value):
            self.fail("must be an account id, twelve digits.", param, ctx)
        return value


def database_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add --database, the same for every command."""
    return click.option(
        "--database",
        type=Database(),
        required=True,
        envvar=DATABASE_VARIABLE,
        show_envvar=True,
        show_default=False,  # the value from a configuration file could show a password
        help="Where the store is: sqlite:///FILE or postgresql://...",
    )(function)


def secret_key_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add --secret-key-file, for commands that read or write secrets."""
    return click.option(
        "--secret-key-file",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar=SECRET_KEY_FILE_VARIABLE,
        show_envvar=True,
        help="The file with the key that seals secrets; make one with `numberkeep keys init`.",
    )(function)


def carriers_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add --carriers, for commands that call carriers or notify subscribers."""
    return click.option(
        "--carriers",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar=CARRIERS_VARIABLE,
        show_envvar=True,
        help="The file that defines the carriers, the numbers each serves, and the subscribers.",
    )(function)


def log_format_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add --log-format, for commands that serve."""
    return click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        help="The format of the log on standard error: lines for people, or JSON.",
    )(function)


def traces_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add --traces, for commands that serve."""
    return click.option(
        "--traces",
        is_flag=True,
        help="Send OpenTelemetry traces, configured by the variables OTEL_...; needs numberkeep[otel].",
    )(function)


def account_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add --account, the same for every command."""
    return click.option(
        "--account",
        type=AccountId(),
        required=True,
        envvar=ACCOUNT_VARIABLE,
        show_envvar=True,
        help="The account: twelve digits.",
    )(function)


def of_account(function: click.decorators.FC) -> click.decorators.FC:
    """Add --database and --account: the store, and the account in it."""
    return database_option(account_option(function))


def output_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add --output, the same for every command that lists things."""
    return _output("text", "json", "csv")(function)


def facts_output_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add --output, the same for every command that shows one thing."""
    return _output("text", "json")(function)


def _output(*forms: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option(
        "--output",
        type=click.Choice(forms),
        default="text",
        help="The output format: text for people, the others for programs.",
    )


def refusing(act: Callable[[], T]) -> T:
    """Call `act`, and turn what it refuses into an error message of one line."""
    try:
        return act()
    except (Error, StartError, StoreError) as error:
        raise click.ClickException(str(error)) from error


def show(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], output: str) -> None:
    """Print `rows` as they come: as JSON with all members, or their `columns` as CSV (RFC 4180) or as a table."""
    if output == "json":
        separator = "["
        for row in rows:
            sys.stdout.write(separator + msgspec.json.encode(row).decode())
            separator = ","
        sys.stdout.write("[]\n" if separator == "[" else "]\n")
    elif output == "csv":
        lines = csv.writer(sys.stdout)
        lines.writerow(columns)
        lines.writerows([_words(row.get(column)) for column in columns] for row in rows)
    else:
        _show_table(
            [_words(row.get(column), "-") for column in columns]
            for row in chain([dict(zip(columns, columns, strict=True))], rows)
        )


def _show_table(lines: Iterator[list[str]]) -> None:
    widths: list[int] = []
    while some := list(islice(lines, TABLE_ROWS)):
        lengths = (max(map(len, cells)) for cells in zip(*some, strict=True))
        widths = [max(pair) for pair in zip_longest(widths, lengths, fillvalue=0)]
        for line in some:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            sys.stdout.write("  ".join(cells).rstrip() + "\n")


def show_facts(facts: Mapping[str, Any], output: str) -> None:
    """Print the facts about one thing: as JSON, or one on each line."""
    if output == "json":
        click.echo(msgspec.json.encode(facts).decode())
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        lines = (
            [_words(one, "-") for one in value] if isinstance(value, (list, tuple)) and value else [_words(value, "-")]
        )
        for index, line in enumerate(lines):
            click.echo(f"{'' if index else name:{width}}  {line}")


def _words(value: object, nothing: str = "") -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value)) or nothing
    if isinstance(value, dict):
        return " ".join(_words(one) for one in value.values() if one is not None)
    return nothing if value is None else str(value)
