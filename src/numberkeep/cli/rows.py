"""Phone numbers in files: CSV with a header, or JSON as lines or as one array. No file is held in memory as a whole."""

import csv
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO

import click
import msgspec

from ..operations.inventory import GivenNumber

Format = Literal["csv", "json"]
ERROR = "error"
"""The column or member that says which rule a row breaks; it is ignored in a file that is read."""

_FIELDS = {field.encode_name: field.name for field in msgspec.structs.fields(GivenNumber)}
_ASSOCIATION = ("AssociationName", "AssociationValue", "AssociatedTimestamp")
_NOT_WRITTEN = {"Associations", "PhoneNumberId", "PhoneNumberArn", "Country", "Type", "Capabilities"}
COLUMNS = (*[name for name in _FIELDS if name not in _NOT_WRITTEN], *_ASSOCIATION)
"""The columns of a CSV file. If a number is assigned by several names (a user and their account), they share a cell,
separated by a space."""
_WRITTEN = [name for column, name in _FIELDS.items() if column not in _NOT_WRITTEN]
_KNOWN_COLUMNS = {*COLUMNS, *_NOT_WRITTEN, ERROR} - {"Associations"}

_CHUNK_CHARACTERS = 65_536
_LONGEST_ITEM_CHARACTERS = 1_048_576
_NO_TEXT = re.compile("[\udc80-\udcff]")
"""Stands for a byte that is not UTF-8."""
_GAP = re.compile(r"[\s,]*")

Raw = Any
"""A row as it is in the file: the cells of CSV, or a value of JSON."""


def format_of(path: Path, given: str | None) -> Format:
    """The format of a file: the one that is `given`, or the one that its name says."""
    if given:
        return "csv" if given == "csv" else "json"
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return "csv"
    if suffix in (".json", ".jsonl", ".ndjson"):
        return "json"
    raise click.UsageError(f"{path} does not say by its name what is in it: give --format csv or --format json.")


class Reader(ABC):
    """Reads the rows of a file. Raises click.ClickException if the file cannot be read any further."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @abstractmethod
    def rows(self) -> Iterator[Raw]:
        """Each row as it is in the file."""

    @abstractmethod
    def parse(self, raw: Raw) -> GivenNumber:
        """The number that a row describes. Raises ValueError, which says what is wrong with the row."""

    @abstractmethod
    def errors_to(self, path: Path) -> "Errors":
        """A file, in the same format, for the rows that break a rule."""

    @property
    def position(self) -> int:
        """How many bytes of the file have been read; 0 for a pipe, where this is unknown."""
        return self._file.tell() if self._file.seekable() else 0


class CsvReader(Reader):
    """Reads CSV whose header names members of PhoneNumber, in any order; an empty cell is ignored."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._text = TextIOWrapper(file, "utf-8-sig", newline="", errors="surrogateescape")
        self._lines = csv.reader(self._text, strict=True)
        self._header = self._next_row() or []
        for name in self._header:
            if name not in _KNOWN_COLUMNS:
                separated = " The columns are separated by commas." if re.search("[;\t|]", name) else ""
                raise click.ClickException(
                    f"The column {name!r} is not known; there are {', '.join(COLUMNS)}.{separated}"
                )
        if len(set(self._header)) != len(self._header) or not {"E164PhoneNumber", "ProductType"} <= {*self._header}:
            raise click.ClickException(
                "The first line must name the columns, each once, E164PhoneNumber and ProductType among them."
            )
        self._error = self._header.index(ERROR) if ERROR in self._header else None

    def rows(self) -> Iterator[list[str]]:
        while (cells := self._next_row()) is not None:
            if cells:
                yield cells

    def _next_row(self) -> list[str] | None:
        begin = self._lines.line_num + 1
        try:
            return next(self._lines, None)
        except csv.Error as error:
            what = "a quote is opened and never closed" if "end of data" in str(error) else str(error)
            raise click.ClickException(
                f"The row that begins in line {begin} is no CSV: {what}. Mend it and import again; rows before it that"
                " are there already stay."
            ) from error

    def parse(self, raw: list[str]) -> GivenNumber:
        if len(raw) != len(self._header):
            raise ValueError(f"The row has {len(raw)} cells, the header {len(self._header)}.")
        if any(map(_NO_TEXT.search, raw)):
            raise ValueError("The row is not in UTF-8.")
        said: dict[str, Any] = {name: cell for name, cell in zip(self._header, raw, strict=True) if cell}
        said.pop(ERROR, None)
        said.pop("Capabilities", None)
        if not said.keys().isdisjoint(_ASSOCIATION):
            said["Associations"] = _associations(*[said.pop(name, "").split() for name in _ASSOCIATION])
        return msgspec.convert(said, GivenNumber)

    def errors_to(self, path: Path) -> "Errors":
        return _CsvErrors(path, self._header, self._error)


def _associations(names: Sequence[str], values: Sequence[str], timestamps: Sequence[str]) -> list[dict[str, str]]:
    if len(names) != len(values) or len(timestamps) not in (0, len(names)):
        raise ValueError(
            "Each AssociationName needs one AssociationValue, an id without blanks; it may have an AssociatedTimestamp."
        )
    given = [{"Name": name, "Value": value} for name, value in zip(names, values, strict=True)]
    return (
        [{**one, "AssociatedTimestamp": at} for one, at in zip(given, timestamps, strict=True)] if timestamps else given
    )


class _Unread(str):
    """A line that is not JSON. Bytes that are not UTF-8, which JSON cannot hold, are replaced by another sign."""


class JsonReader(Reader):
    """Reads JSON: objects like PhoneNumber, one on each line, or one array of them."""

    def rows(self) -> Iterator[Any]:
        first = self._file.peek(_CHUNK_CHARACTERS).lstrip()  # type: ignore[attr-defined]
        if first.startswith(b"["):
            self._text = TextIOWrapper(self._file, "utf-8")  # it closes the file when it is collected
            yield from _items(self._text)
            return
        for line in self._file:
            if not line.isspace():
                try:
                    yield msgspec.json.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    yield _Unread(line.decode(errors="replace").rstrip("\n"))

    def parse(self, raw: Any) -> GivenNumber:
        if not isinstance(raw, dict):
            is_text = isinstance(raw, _Unread) and "\N{REPLACEMENT CHARACTER}" in raw
            raise ValueError("The line is not in UTF-8." if is_text else "This is no JSON object.")
        return msgspec.convert({name: value for name, value in raw.items() if name != ERROR}, GivenNumber)

    def errors_to(self, path: Path) -> "Errors":
        return _JsonErrors(path)


def _items(text: TextIO) -> Iterator[Any]:
    """The items of an array, which is read piece by piece."""
    decode = json.JSONDecoder().raw_decode
    buffer, place = _more_of(text), 0
    place = buffer.index("[") + 1
    while True:
        gap = _GAP.match(buffer, place)
        place = gap.end() if gap else place
        if buffer.startswith("]", place):
            return
        try:
            item, place = decode(buffer, place)
        except ValueError as error:
            more = _more_of(text)
            if not more or len(buffer) - place > _LONGEST_ITEM_CHARACTERS:
                raise click.ClickException(
                    f"This is no JSON, after {buffer[max(0, place - 40) : place]!r}: {error}."
                ) from None
            buffer, place = buffer[place:] + more, 0
            continue
        yield item


def _more_of(text: TextIO) -> str:
    try:
        return text.read(_CHUNK_CHARACTERS)
    except UnicodeDecodeError as error:
        raise click.ClickException(f"The file cannot be read on: {error}. It must be CSV or JSON in UTF-8.") from None


def reader_of(file: BinaryIO, format: Format) -> Reader:
    """Make a reader for a file of that format."""
    return CsvReader(file) if format == "csv" else JsonReader(file)


class Errors(ABC):
    """A file for the rows that break a rule; it is created with the first of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def write(self, raw: Raw, error: str) -> None:
        """Write a row as it was, with what is wrong with it."""
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="", errors="surrogateescape")
            self._begin(self._file)
        self._write(self._file, raw, error)

    def close(self) -> None:
        if self._file:
            self._file.close()

    @abstractmethod
    def _begin(self, file: IO[str]) -> None: ...

    @abstractmethod
    def _write(self, file: IO[str], raw: Raw, error: str) -> None: ...


class _CsvErrors(Errors):
    def __init__(self, path: Path, header: Sequence[str], error: int | None) -> None:
        super().__init__(path)
        self._header = [name for name in header if name != ERROR]
        self._error = error

    def _begin(self, file: IO[str]) -> None:
        csv.writer(file).writerow([*self._header, ERROR])

    def _write(self, file: IO[str], raw: Sequence[str], error: str) -> None:
        cells = [cell for index, cell in enumerate(raw) if index != self._error]
        csv.writer(file).writerow([*cells, *[""] * (len(self._header) - len(cells)), error])


class _JsonErrors(Errors):
    def _begin(self, file: IO[str]) -> None:
        pass

    def _write(self, file: IO[str], raw: Any, error: str) -> None:
        said = raw if isinstance(raw, dict) else {"line": str(raw) if isinstance(raw, _Unread) else raw}
        file.write(msgspec.json.encode({**said, ERROR: error}).decode() + "\n")


def write(file: IO[str], numbers: Iterator[GivenNumber], format: Format) -> int:
    """Write numbers in the form that `Reader` reads, JSON as lines. Returns how many there were."""
    count = 0
    if format == "json":
        for count, number in enumerate(numbers, 1):  # noqa: B007
            file.write(msgspec.json.encode(number).decode() + "\n")
        return count
    lines = csv.writer(file)
    lines.writerow(COLUMNS)
    for count, number in enumerate(numbers, 1):  # noqa: B007
        lines.writerow(_cells(number))
    return count


def _cells(number: GivenNumber) -> list[str | None]:
    held = number.associations
    return [
        *[getattr(number, name) for name in _WRITTEN],
        " ".join(one.name for one in held),
        " ".join(one.value for one in held),
        " ".join(one.associated_timestamp or "" for one in held),
    ]
