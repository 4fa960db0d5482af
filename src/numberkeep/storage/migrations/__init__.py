"""The migrations that lead to the schema in `schema.sql`: plain SQL in the order of the files' names, forward only.

A version can keep serving while the migrations of the next one run: they add tables, and columns that are NULL or
have a default; they rename and remove no table and no column that the version before reads or writes.
"""

import re
from functools import cache
from importlib import resources
from typing import NamedTuple

from ..driver import StoreError


class Migration(NamedTuple):
    """A step from one version of the schema to the next."""

    version: int
    """The version of the schema afterwards."""
    name: str
    statements: tuple[str, ...]
    """In portable SQL."""

    def __str__(self) -> str:
        return f"{self.version:04} {self.name}"


@cache
def migrations() -> tuple[Migration, ...]:
    """Return all migrations, in order."""
    files = sorted(
        (file for file in resources.files(__package__).iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return tuple(Migration(int(file.name[:4]), file.name[5:-4], statements_of(file.read_text())) for file in files)


def latest() -> int:
    """Return the version of the schema that this program knows."""
    return migrations()[-1].version


def refuse_newer_version(version: int) -> None:
    """Raise StoreError if the schema is of a version that this program does not know."""
    if version > latest():
        raise StoreError(f"The store is of version {version}, this program knows {latest()}: use a newer one.")


def refuse_other_versions(version: int) -> None:
    """Raise StoreError unless the schema is of the version that this program needs."""
    refuse_newer_version(version)
    if version == 0:
        raise StoreError(
            "There is no store yet: run `numberkeep migrate up` first, which makes an empty one, or `numberkeep copy`."
        )
    if version < latest():
        raise StoreError(
            f"The store is of version {version}, this program needs {latest()}: run `numberkeep migrate up` first."
        )


def statements_of(script: str) -> tuple[str, ...]:
    """Return the statements of a script, without its comments."""
    text = "".join(line for line in script.splitlines(keepends=True) if not line.startswith("--"))
    return tuple(statement.strip() for statement in text.split(";\n") if statement.strip())


def of_sqlite(statement: str) -> str:
    """Adapt a statement to SQLite: tables are stored in the order of their key, as one B-tree instead of two."""
    return f"{statement} WITHOUT ROWID, STRICT" if statement.startswith("CREATE TABLE") else statement


def of_postgres(statement: str) -> str:
    """Adapt a statement to PostgreSQL: text is sorted by its bytes, as in SQLite, and integers have 64 bits."""
    statement = re.sub(r"(\w TEXT)\b", r'\1 COLLATE "C"', statement)
    return re.sub(r"(\w) INTEGER\b", r"\1 BIGINT", statement)
