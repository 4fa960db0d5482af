"""Copies of one store to another, whatever their engines: every row, and then the proof that it arrived.

Rows are copied in batches, each in one transaction with a note of the copy's progress. An interrupted copy resumes
from there; as long as the note exists, the target cannot be served. At the end both stores are read again and
compared.
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg

from . import store
from .driver import StoreError
from .postgres_schema import SCHEMA_VERSION, connect, without_password
from .postgres_statements import translate
from .schema import Table, tables

BATCH_ROWS = 10_000
"""How many rows are copied in one transaction, and held in memory."""

BATCH_PAGES = 1000
"""How many pages of a file are backed up between two reports of progress."""

Rows = Sequence[tuple[Any, ...]]
Progress = Callable[[int, int], object]
"""Called with how much is done, and of how much."""


class Side(ABC):
    """One of the two stores. Statements are in portable SQL."""

    @abstractmethod
    def view(self) -> None:
        """Take a snapshot: see the store as it is now, whatever others write later."""

    @abstractmethod
    def hold(self) -> None:
        """Like `view`; and if the engine can, keep others from changing the store."""

    @abstractmethod
    def damage(self, *, quick: bool = False) -> Iterator[str]:
        """Return what the engine finds wrong with its own files, if it can check them; `quick` omits the indexes."""

    def now(self) -> float | None:
        """Return the seconds since 1970 by the engine's own clock; None if it has none."""
        return None

    @abstractmethod
    def transaction(self) -> AbstractContextManager[object]:
        """Run the block in one transaction: all its writes are kept, or none."""

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run a statement, and return its rows."""

    @abstractmethod
    def read(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Rows]:
        """Yield the rows of a statement, `BATCH_ROWS` at a time."""

    @abstractmethod
    def insert(self, table: Table, rows: Rows) -> None:
        """Insert rows into a table."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class SqliteSide(Side):
    """An existing SQLite file. Raises StoreError if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        uri = f"{path.resolve().as_uri()}?mode=rw"
        try:
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise StoreError(f"The store {path} cannot be opened: {error}.") from error

    def view(self) -> None:
        self._connection.execute("BEGIN")
        self.execute("SELECT 1 FROM store LIMIT 1")  # the first read takes the snapshot

    def hold(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def back_up(self, path: Path, progress: Progress) -> None:
        """Write the snapshot to the empty file at `path`.

        It is one transaction from the first page to the last, so that no writer makes it start again; the write-ahead
        log grows meanwhile.
        """
        with closing(sqlite3.connect(path)) as copy:
            self._connection.backup(
                copy, pages=BATCH_PAGES, progress=lambda _, left, pages: progress(pages - left, pages)
            )
        as_one_file(path)

    def damage(self, *, quick: bool = False) -> Iterator[str]:
        pragma = f"PRAGMA {'quick' if quick else 'integrity'}_check"
        return (found for (found,) in self._connection.execute(pragma) if found != "ok")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            yield

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        return self._connection.execute(sql, parameters).fetchall()

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Rows]:
        cursor = self._connection.execute(sql, parameters)
        while rows := cursor.fetchmany(BATCH_ROWS):
            yield rows

    def insert(self, table: Table, rows: Rows) -> None:
        columns, marks = ", ".join(table.columns), ", ".join("?" * len(table.columns))
        self._connection.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", rows)

    def close(self) -> None:
        self._connection.close()


class PostgresSide(Side):
    """A PostgreSQL database. Raises StoreError if it cannot be used."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = connect(url, "numberkeep copy")

    def refuse_served(self) -> None:
        """Raise StoreError if a process is seen to serve the store."""
        served = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'numberkeep'"
        if self.execute(served):
            raise StoreError(f"The store {without_password(self._url)} is in use by another process: stop that first.")

    def view(self) -> None:
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self.execute("SELECT 1 FROM store LIMIT 1")  # the first read takes the snapshot

    def hold(self) -> None:
        self.view()

    def damage(self, *, quick: bool = False) -> Iterator[str]:
        return iter(())

    def now(self) -> float:
        return float(self.execute("SELECT extract(epoch FROM clock_timestamp())")[0][0])

    def transaction(self) -> AbstractContextManager[object]:
        return self._connection.transaction()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        cursor = self._connection.execute(translate(sql), parameters)
        return cursor.fetchall() if cursor.description else []

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Rows]:
        with self._connection.transaction(), self._connection.cursor(name="rows") as cursor:
            cursor.execute(translate(sql), parameters)
            while rows := cursor.fetchmany(BATCH_ROWS):
                yield rows

    def insert(self, table: Table, rows: Rows) -> None:
        copy = f"COPY {table.name} ({', '.join(table.columns)}) FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(copy) as lines:
            for row in rows:
                lines.write_row(row)

    def close(self) -> None:
        self._connection.close()


def as_one_file(path: Path) -> None:
    """Make a store that is not in use readable without files beside it; it can be served as before."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()


def side_of(location: Path | str) -> Side:
    """Open an existing store: a file, or the database at a URL. Raises StoreError if it cannot be used."""
    return PostgresSide(location) if isinstance(location, str) else SqliteSide(location)


class Compared(NamedTuple):
    """What a table has on a side."""

    table: str
    rows: int
    digest: str
    """The sum of the hashes of all rows modulo 2**128, in hexadecimal."""


class _Note(msgspec.Struct, frozen=True):
    """The progress of a copy, stored in the target."""

    table: str
    after: tuple[str | int, ...] | None
    """The key of the last copied row of the table."""
    rows: int
    """How many rows were copied, of this table and those before."""


class Copy:
    """A copy of `source` to `target`, or the rest of one: run `copy` to its end, then `compare`.

    Meanwhile the source is held (`Side.hold`); or only viewed, if it `is_served`.

    Both methods yield how many more rows are done. They raise StoreError if the stores cannot be read or written, and
    `compare` also if they differ.
    """

    def __init__(self, source: Side, target: Side, *, is_served: bool = False) -> None:
        """Raise StoreError if the target has data that is not from this copy."""
        self._source = source
        self._target = target
        self._tables = [table for table in tables().values() if table.name != "store"]
        with _explained("store"):
            if is_served:
                source.view()
            else:
                source.hold()
            self._facts = _facts(source)
            if store.COPY_PROGRESS in self._facts:
                raise StoreError(store.UNFINISHED)
            self.rows = sum(source.execute(f"SELECT count(*) FROM {table.name}")[0][0] for table in self._tables)
            """How many rows have to be copied in all."""
            with target.transaction():
                self._note = self._begin()
        self.compared: list[Compared] = []
        """What `compare` has found in the source, table by table."""

    @property
    def rows_copied(self) -> int:
        """How many rows were copied so far, by this run and those before."""
        return self._note.rows

    def copy(self) -> Iterator[int]:
        """Copy the rows that are still to be copied."""
        names = [table.name for table in self._tables]
        for table in self._tables[names.index(self._note.table) :]:
            with _explained(table.name):
                for rows in self._source.read(*_rest(table, self._note)):
                    key = tuple(rows[-1][table.columns.index(column)] for column in table.key)
                    with self._target.transaction():
                        self._advance(_Note(table.name, key, self._note.rows + len(rows)))
                        self._target.insert(table, rows)
                    yield len(rows)

    def compare(self) -> Iterator[int]:
        """Read both stores again; if they are the same, mark the target as ready to be served."""
        different = []
        for table in self._tables:
            with _explained(table.name):
                ours = yield from _compared(self._source, table)
                theirs = yield from _compared(self._target, table)
            self.compared.append(ours)
            if ours != theirs:
                different.append(f"{table.name} ({ours.rows} rows and {theirs.rows})")
        with _explained("store"):
            facts = _facts(self._target)
            facts.pop(store.COPY_PROGRESS, None)
            if facts != self._facts:
                different.append("store")
            if different:
                raise StoreError(
                    f"The stores differ in {', '.join(different)}: one of them was changed meanwhile. "
                    "Empty the target, and copy anew."
                )
            self._target.execute("DELETE FROM store WHERE name = ?", (store.COPY_PROGRESS,))

    def _begin(self) -> _Note:
        there = _facts(self._target)
        if (note := there.pop(store.COPY_PROGRESS, None)) is not None:
            if there != self._facts:
                raise StoreError("The target has part of another store: empty it, and copy anew.")
            return msgspec.json.decode(note, type=_Note)
        if there.keys() != {store.TOKEN_SECRET} or any(
            self._target.execute(f"SELECT 1 FROM {table.name} LIMIT 1") for table in self._tables
        ):
            raise StoreError(
                "This store has been copied to that one already; what has changed since cannot be added."
                if there == self._facts
                else "The target is a store with numbers or keys of its own: a copy needs an empty one."
            )
        begun = _Note(self._tables[0].name, None, 0)
        self._target.execute("DELETE FROM store WHERE name = ?", (store.TOKEN_SECRET,))
        for fact in {**self._facts, store.COPY_PROGRESS: _encode(begun)}.items():
            self._target.execute("INSERT INTO store (name, value) VALUES (?, ?)", fact)
        return begun

    def _advance(self, note: _Note) -> None:
        sql = "UPDATE store SET value = ? WHERE name = ? AND value = ? RETURNING name"
        if not self._target.execute(sql, (_encode(note), store.COPY_PROGRESS, _encode(self._note))):
            raise StoreError("Another process copies to the same target.")
        self._note = note


def _encode(note: _Note) -> str:
    return msgspec.json.encode(note).decode()


def _facts(side: Side) -> dict[str, str]:
    """Return the facts in the table `store`, except the one that only PostgreSQL keeps there."""
    return dict(side.execute("SELECT name, value FROM store WHERE name <> ?", (SCHEMA_VERSION,)))


def _rest(table: Table, note: _Note) -> tuple[str, tuple[Any, ...]]:
    """Return the statement, with parameters, for the rows of a table not copied yet, in the order of its key."""
    key = ", ".join(table.key)
    after = note.after if note.table == table.name and note.after else ()
    where = f" WHERE ({key}) > ({', '.join('?' * len(after))})" if after else ""
    return f"SELECT {', '.join(table.columns)} FROM {table.name}{where} ORDER BY {key}", after


def _compared(side: Side, table: Table) -> Generator[int, None, Compared]:
    count = total = 0
    for rows in side.read(f"SELECT {', '.join(table.columns)} FROM {table.name}"):
        count += len(rows)
        total += sum(map(_hash, rows))
        yield len(rows)
    return Compared(table.name, count, f"{total % 2**128:032x}")


def _hash(row: tuple[Any, ...]) -> int:
    return int.from_bytes(blake2b(msgspec.json.encode(row), digest_size=16).digest())


@contextmanager
def _explained(table: str) -> Iterator[None]:
    with explained(f"The copy has stopped in {table}", "\nWhat was copied stays; the same command goes on from there."):
        yield


@contextmanager
def explained(what: str, more: str = "") -> Iterator[None]:
    """Turn an engine's error in the block into a StoreError that says `what` has failed, why, and `more`."""
    try:
        yield
    except (sqlite3.Error, psycopg.Error) as error:
        raise StoreError(f"{what}: {str(error).strip()}{more}") from error
