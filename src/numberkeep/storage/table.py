"""The statements that every plain table needs, made once from the type of its objects."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from ..domain.errors import NotFound
from .tx import Row, Tx

T = TypeVar("T", bound=Struct)


class Table(Generic[T]):
    """A table of objects of one type, a row each, keyed by account and id, the type's first field.

    Each field is the column of its name. Text and numbers are stored as they are, booleans as 0 or 1, others as JSON.
    """

    def __init__(self, kind: type[T], name: str, noun: str) -> None:
        """`noun` is AWS's name for such an object."""
        self._kind = kind
        self._noun = noun
        self._columns = columns = kind.__struct_fields__
        hints = get_type_hints(kind)
        self._codecs = [(index, *codec) for index, column in enumerate(columns) if (codec := _codec_of(hints[column]))]
        self._id = columns[0]
        of_id = f"WHERE account_id = ? AND {self._id} = ?"
        self.select = f"SELECT {', '.join(columns)} FROM {name} WHERE account_id = ?"
        """Selects all of the account's rows, for `of`; more conditions can be appended."""
        self._select_one = f"SELECT {', '.join(columns)} FROM {name} {of_id}"
        self._insert = f"INSERT INTO {name} ({', '.join(columns)}, account_id) VALUES (?{', ?' * len(columns)})"
        self._update = f"UPDATE {name} SET {' = ?, '.join(columns)} = ? {of_id}"
        self._delete = f"DELETE FROM {name} {of_id}"
        self._count = f"SELECT count(*) FROM {name} WHERE account_id = ?"

    def id_of(self, item: T) -> str:
        """Return the id of an object."""
        return str(getattr(item, self._id))

    def get(self, tx: Tx, id: str, *, lock: bool = False) -> T:
        """Return the account's object with this id, locked until the transaction ends if `lock`. Raises NotFound."""
        found = self.find(tx, id, lock=lock)
        if found is None:
            raise NotFound(f"Could not find {self._noun} with Id '{id}'")
        return found

    def find(self, tx: Tx, id: str, *, lock: bool = False) -> T | None:
        """Like `get`, but return None if there is none."""
        row = tx.execute(self._select_one + " /*FOR UPDATE*/" * lock, (tx.account_id, id)).fetchone()
        return self.of(row) if row else None

    def page(self, tx: Tx, after: str | None, limit: int, where: str = "", values: tuple[object, ...] = ()) -> list[T]:
        """Return up to `limit` of the account's objects after `after`, ordered by id, that meet a condition."""
        sql = f"{self.select} AND {self._id} > ?{' AND ' * bool(where)}{where} ORDER BY {self._id} LIMIT ?"
        return [self.of(row) for row in tx.execute(sql, (tx.account_id, after or "", *values, limit)).fetchall()]

    def count(self, tx: Tx, where: str = "", values: tuple[object, ...] = ()) -> int:
        """Return how many of the account's objects meet a condition."""
        (count,) = tx.execute(f"{self._count}{' AND ' * bool(where)}{where}", (tx.account_id, *values)).fetchone()
        return int(count)

    def insert(self, tx: Tx, item: T) -> None:
        """Insert a new object."""
        tx.write(self._insert, (*self._row(item), tx.account_id))

    def replace(self, tx: Tx, item: T) -> None:
        """Update a stored object to `item`."""
        row = self._row(item)
        tx.write(self._update, (*row, tx.account_id, row[0]))

    def delete(self, tx: Tx, id: str) -> None:
        """Delete the account's object with this id."""
        tx.write(self._delete, (tx.account_id, id))

    def of(self, row: Row) -> T:
        """Return the object in a row."""
        values = list(row)
        for index, _, decode in self._codecs:
            values[index] = decode(values[index])
        return self._kind(**dict(zip(self._columns, values, strict=True)))

    def _row(self, item: T) -> list[Any]:
        row = list(astuple(item))
        for index, encode, _ in self._codecs:
            row[index] = encode(row[index])
        return row


Codec = tuple[Callable[[Any], Any], Callable[[Any], Any]]


def _codec_of(hint: Any) -> Codec | None:
    """Return the encoder and decoder for a field's type; None if its values are stored as they are."""
    if hint is bool:
        return int, bool
    if get_origin(hint) is tuple or (isinstance(hint, type) and issubclass(hint, Struct)):
        return (lambda value: _encode(value).decode()), msgspec.json.Decoder(hint).decode
    return None


_encode = msgspec.json.Encoder().encode
