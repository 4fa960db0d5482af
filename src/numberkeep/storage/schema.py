"""The store's tables, as `schema.sql` defines them."""

import re
from functools import cache
from importlib import resources
from typing import NamedTuple

_TABLE = re.compile(r"^CREATE TABLE (\w+) \((.*?)PRIMARY KEY \(([\w, ]+)\)", re.M | re.S)
_COLUMN = re.compile(r"^ +(\w+) (TEXT|INTEGER)\b", re.M)


class Table(NamedTuple):
    """A table of the store."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    integers: frozenset[str]
    """The columns that hold integers, not text."""


@cache
def tables() -> dict[str, Table]:
    """Return all tables, by name."""
    found = {}
    text = resources.files(__package__).joinpath("schema.sql").read_text()
    for name, body, key in _TABLE.findall(text):
        kinds = dict(_COLUMN.findall(body))
        integers = frozenset(column for column, kind in kinds.items() if kind == "INTEGER")
        found[name] = Table(name, tuple(kinds), tuple(key.split(", ")), integers)
    return found
