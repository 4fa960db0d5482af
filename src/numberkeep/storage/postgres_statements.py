"""The writes of a transaction on PostgreSQL: rows written by the same statement are sent together.

A statement costs a server more than a row does, and a client far more. So writes are held back until something is
read or the transaction ends; then those by the same statement to different rows are sent as one statement, with the
rows in one JSON parameter.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from .schema import tables

_ONLY_HERE = re.compile(r"/\*(.*?)\*/")


@cache
def translate(sql: str) -> str:
    """Return portable SQL in psycopg's form. SQL in a comment is for this engine alone, and is uncommented."""
    return _ONLY_HERE.sub(r"\1", sql).replace("%", "%%").replace("?", "%s")


class Statement(NamedTuple):
    """A statement that writes, and its form for several rows."""

    one: str
    many: str | None = None
    """Takes the rows as JSON; None if the statement has to be sent by itself."""
    table: str = ""
    key: tuple[int, ...] = ()
    """The positions of the row's key among the parameters."""


Rows = list[Sequence[Any]]


class Writes:
    """Writes that are held back, in an order with the same outcome as their original one."""

    def __init__(self) -> None:
        self._sections: list[dict[Statement, Rows]] = [{}]
        self._touched: set[tuple[Any, ...]] = set()

    def add(self, sql: str, parameters: Sequence[Any]) -> None:
        """Add a statement, to be run later."""
        statement = _statement(sql)
        row = (statement.table, *[parameters[index] for index in statement.key])
        if statement.many is None or row in self._touched:
            self._sections.append({})
            self._touched.clear()
        self._sections[-1].setdefault(statement, []).append(parameters)
        if statement.many is None:
            self._sections.append({})
        else:
            self._touched.add(row)

    def take(self) -> Iterator[tuple[str, Sequence[Any]]]:
        """Yield the statements to run, and leave none held back."""
        sections, self._sections = self._sections, [{}]
        self._touched.clear()
        for section in sections:
            for statement, rows in section.items():
                if statement.many is None or len(rows) == 1:
                    for row in rows:
                        yield statement.one, row
                else:
                    yield statement.many, (_encode(rows).decode(),)


_encode = msgspec.json.Encoder().encode
_INSERT = re.compile(r"INSERT INTO (?P<table>\w+) \((?P<columns>[\w, ]+)\) VALUES \([?, ]+\)(?P<rest> ON CONFLICT .+)?")
_UPDATE = re.compile(r"UPDATE (?P<table>\w+) SET (?P<columns>[\w=?, ]+) WHERE (?P<key>[\w=? ]+)")
_DELETE = re.compile(r"DELETE FROM (?P<table>\w+) WHERE (?P<key>[\w=? ]+)")


@cache
def _statement(sql: str) -> Statement:
    one = translate(sql)
    if match := _INSERT.fullmatch(sql):
        columns = match["columns"].split(", ")
        values = _value(match["table"], columns)
        many = (
            f"INSERT INTO {match['table']} ({match['columns']}) SELECT {', '.join(values)} {_ROWS}{match['rest'] or ''}"
        )
    elif match := _UPDATE.fullmatch(sql):
        columns = _names(match["columns"], ", ")
        key = _names(match["key"], " AND ")
        values = _value(match["table"], columns + key)
        changes = ", ".join(f"{column} = {value}" for column, value in zip(columns, values, strict=False))
        many = f"UPDATE {match['table']} SET {changes} {_ROWS} WHERE {_are(key, values[len(columns) :])}"
        columns += key
        if set(key) != set(tables()[match["table"]].key):
            return Statement(one)
    elif match := _DELETE.fullmatch(sql):
        columns = _names(match["key"], " AND ")
        if set(columns) != set(tables()[match["table"]].key):
            return Statement(one)
        using = _ROWS.replace("FROM", "USING", 1)
        many = f"DELETE FROM {match['table']} {using} WHERE {_are(columns, _value(match['table'], columns))}"
    else:
        return Statement(one)
    table = match["table"]
    # A changed column may have the same name as a key's: the key's, which comes last, counts.
    where = {column: index for index, column in enumerate(columns)}
    return Statement(one, many, table, tuple(where[column] for column in tables()[table].key))


_ROWS = "FROM jsonb_array_elements(%s::jsonb) AS batch (item)"


def _names(text: str, separator: str) -> list[str]:
    return [part.removesuffix(" = ?") for part in text.split(separator)]


def _value(table: str, columns: Sequence[str]) -> list[str]:
    integers = tables()[table].integers
    return [
        f"(item ->> {index})::bigint" if column in integers else f"item ->> {index}"
        for index, column in enumerate(columns)
    ]


def _are(key: Sequence[str], values: Sequence[str]) -> str:
    return " AND ".join(f"{column} = {value}" for column, value in zip(key, values, strict=True))
