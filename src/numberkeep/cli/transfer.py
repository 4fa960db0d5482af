"""The commands that export numbers to a file, and import them from one."""

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain, count
from pathlib import Path
from typing import Any, TextIO, get_args

import click

from ..config import Location
from ..domain.errors import BadRequest, ServiceFailure
from ..domain.phone_number import PhoneNumber
from ..operations import inventory
from ..operations.inventory import GivenNumber, Outcome, given_of
from ..session import Session, open_session
from ..storage import phone_numbers
from ..storage.tx import Tx
from . import rows
from .options import carriers_option, of_account, refusing
from .rows import Errors, Format, Raw, Reader

BATCH_ROWS = 500
"""How many rows are imported in one transaction, during which other writers wait."""

format_option = click.option(
    "--format", type=click.Choice(get_args(Format)), help="The file's format, if its name does not tell."
)


@click.command()
@of_account
@click.option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), help="The file to write; without it, standard output."
)
@format_option
def export(database: Location, account: str, file: Path | None, format: str | None) -> None:
    """Export all numbers of the account. This includes those in the deletion queue; `numbers import` reads the result.

    JSON is one object on each line. Without --file, the format is CSV unless --format says otherwise.
    """
    wanted = rows.format_of(file, format) if file else rows.format_of(Path(".csv"), format or "csv")

    def write() -> int:
        with open_session(database, account) as session:
            given = map(given_of, every(session))
            if file is None:
                return rows.write(sys.stdout, given, wanted)
            try:
                with _written(file) as target:
                    return rows.write(target, given, wanted)
            except OSError as error:
                raise click.ClickException(f"{file} cannot be written: {error.strerror}.") from error

    written = refusing(write)
    click.echo(f"{written} numbers{f' are in {file}' if file else ''}.", err=True)


@contextmanager
def _written(file: Path) -> Iterator[TextIO]:
    """A file that replaces `file` once it is complete; its owner and mode stay. What is no regular file, or stands in a
    directory that cannot be written, is written directly."""
    was = file.stat() if file.exists() else None
    if was and not (stat.S_ISREG(was.st_mode) and os.access(file.resolve().parent, os.W_OK)):
        with file.open("w", encoding="utf-8", newline="") as target:
            yield target
        return
    file = file.resolve()
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if was else 0o666)
        with open(descriptor, "w", encoding="utf-8", newline="") as target:
            yield target
            target.flush()
            os.fsync(descriptor)
        if was:
            os.chown(new, was.st_uid, was.st_gid)
            new.chmod(stat.S_IMODE(was.st_mode))
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


def every(session: Session) -> Iterator[PhoneNumber]:
    """All numbers of the account, including those in the deletion queue."""
    nothing: dict[str, Any] = dict.fromkeys(("status", "product_type", "filter_name", "filter_value"))

    def fetch(tx: Tx, after: str | None, limit: int) -> list[PhoneNumber]:
        return phone_numbers.page(tx, after=after or "", limit=limit, queue_too=True, **nothing)

    return session.pages(fetch, lambda number: number.e164_phone_number)


@click.command("import")
@of_account
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@format_option
@click.option("--dry-run", is_flag=True, help="Show what would happen to each row, without changing anything.")
@click.option(
    "--errors",
    "errors_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file for rows that break a rule; without it, a new file beside FILE.",
)
@carriers_option
@click.pass_context
def import_(
    context: click.Context,
    database: Location,
    account: str,
    file: Path,
    format: str | None,
    dry_run: bool,
    errors_path: Path | None,
    carriers: Path | None,
) -> None:
    """Import the numbers in FILE into the account's inventory. Those that are there already, as in FILE, are left
    alone.

    FILE is - for standard input, which needs --format.

    To continue an interrupted import, run the same command again. Rows that break a rule are written to a file of their
    own, to be corrected and imported; the exit code is 1 if there are any.
    """
    wanted = rows.format_of(file, format)
    is_file = file.is_file() and not str(file).startswith(("/dev/", "/proc/"))
    errors_path = errors_path or _errors_beside(file if is_file else Path("numbers"), wanted)
    if errors_path.resolve() == file.resolve():
        raise click.UsageError("--errors: this is the file that is imported.")
    if not os.access(errors_path if errors_path.exists() else errors_path.parent, os.W_OK):
        raise click.UsageError(f"{errors_path}, for rows that break a rule, cannot be written; name another: --errors.")
    in_memory = dry_run and isinstance(database, Path) and not database.exists()

    def run() -> dict[str, int]:
        with (
            nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as source,
            open_session(None if in_memory else database, account, carriers, make=not dry_run) as session,
        ):
            reader = rows.reader_of(source, wanted)
            errors = reader.errors_to(errors_path)
            try:
                return _import(session, reader, errors, file.stat().st_size if is_file else 0, dry_run)
            except OSError as error:
                raise click.ClickException(f"The import has stopped: {error}.") from error
            finally:
                errors.close()

    counts = refusing(run)
    added = "would be added" if dry_run else "added"
    click.echo(f"{counts['added']} {added}, {counts['same']} there already, {counts['refused']} refused.")
    if counts["refused"]:
        click.echo(
            f"The rows that are refused are in {errors_path}, each with the reason: mend and import them.", err=True
        )
        context.exit(1)


def _errors_beside(file: Path, format: Format) -> Path:
    """A file that does not exist yet, since somebody may be correcting the rows of an earlier import."""
    ending = "csv" if format == "csv" else "jsonl"
    names = chain([f"{file.name}.errors"], (f"{file.name}.errors-{n}" for n in count(2)))
    return next(path for name in names if not (path := file.with_name(f"{name}.{ending}")).exists())


def _import(session: Session, reader: Reader, errors: Errors, size: int, dry_run: bool) -> dict[str, int]:
    counts = {"added": 0, "same": 0, "refused": 0}
    with click.progressbar(length=size, label="Importing", file=sys.stderr) as bar:
        for batch in _batches(reader.rows()):
            for raw, outcome in zip(batch, _outcomes(session, reader, batch, dry_run), strict=True):
                if isinstance(outcome, str):
                    counts[outcome] += 1
                else:
                    counts["refused"] += 1
                    errors.write(raw, str(outcome))
            bar.update(reader.position - bar.pos)
    return counts


def _batches(raws: Iterator[Raw]) -> Iterator[list[Raw]]:
    batch: list[Raw] = []
    for raw in raws:
        batch.append(raw)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _outcomes(session: Session, reader: Reader, batch: Sequence[Raw], dry_run: bool) -> list[Outcome]:
    parsed: list[GivenNumber | BadRequest] = []
    for raw in batch:
        try:
            parsed.append(reader.parse(raw))
        except ValueError as error:
            parsed.append(BadRequest(inventory.explained(str(error))))
    put = iter(put_batch(session, [one for one in parsed if isinstance(one, GivenNumber)], dry_run))
    return [next(put) if isinstance(one, GivenNumber) else one for one in parsed]


def put_batch(session: Session, given: Sequence[GivenNumber], dry_run: bool = False) -> list[Outcome]:
    """Put numbers into the account's inventory, and return the outcome for each."""

    def put(tx: Tx, numbers: Sequence[GivenNumber]) -> list[Outcome]:
        return inventory.put(tx, numbers, dry_run=dry_run)

    run = session.ask if dry_run else session.transact
    try:
        return run(put, given)
    except (BadRequest, ServiceFailure) as error:  # about one of them; the others may be valid
        if len(given) == 1:
            return [BadRequest(str(error))]
        return [outcome for one in given for outcome in put_batch(session, [one], dry_run)]
