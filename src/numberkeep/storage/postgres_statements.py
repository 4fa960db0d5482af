"""What a transaction writes on PostgreSQL: rows that go the same way share one statement.

A statement costs a server more than a row does, and a client far more. So what is written waits until something is
read or the transaction ends, and what was written by the same statement to rows of their own then goes out as one,
its rows in one JSON parameter.
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
    """Portable SQL in psycopg's form. What stands in a comment is for this engine alone: other ones do without."""
    return _ONLY_HERE.sub(r"\1", sql).replace("%", "%%").replace("?", "%s")


class Statement(NamedTuple):
    """One that writes, and how to write several rows by it."""

    one: str
    many: str | None = None
    """Takes the rows as JSON; None if the statement has to go out by itself."""
    table: str = ""
    key: tuple[int, ...] = ()
    """Where among the parameters the row's key is."""


Rows = list[Sequence[Any]]


class Writes:
    """What is still to be written, in an order that leads to what the order of writing would have led to."""

    def __init__(self) -> None:
        self._sections: list[dict[Statement, Rows]] = [{}]
        self._touched: set[tuple[Any, ...]] = set()

    def add(self, sql: str, parameters: Sequence[Any]) -> None:
        """Have a statement run later."""
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
        """What is to be run now, statement by statement; nothing is left to be written."""
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
    # A column that is changed and a key's may have the same name: the key's comes last.
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
