"""Queues of work, one for each receiver: those with something due are found without reading what is in them."""

from collections.abc import Iterator

from ..domain.moment import Timestamp
from .tx import Tx


def _names(table: str, column: str) -> str:
    """Return SQL for a table ``queues`` with one row per value of `column`, with which an index must begin."""
    first = f"SELECT min({column}) AS name FROM {table}"
    return (
        f"WITH RECURSIVE queues AS ({first} UNION ALL"
        f" SELECT (SELECT min({column}) FROM {table} WHERE {column} > queues.name) FROM queues WHERE name IS NOT NULL)"
    )


class Queues:
    """The queues of a table, named by its `column`; it needs an index on that and ``due_at``."""

    def __init__(self, table: str, column: str, where: str = "TRUE") -> None:
        """`where` selects the rows that `next_due_at` considers."""
        of_queue = f"FROM {table} t WHERE t.{column} = queues.name"
        names = _names(table, column)
        self._due = f"{names} SELECT name FROM queues WHERE EXISTS (SELECT 1 {of_queue} AND t.due_at <= ?)"
        self._next = f"{names} SELECT min((SELECT min(due_at) {of_queue} AND {where})) FROM queues"

    def due(self, tx: Tx) -> Iterator[str]:
        """Return the names of the queues in which something is due."""
        return (name for (name,) in tx.execute(self._due, (tx.now,)).fetchall())

    def next_due_at(self, tx: Tx) -> Timestamp | None:
        """Return when the next item in any queue is due; None if there is none."""
        (due_at,) = tx.execute(self._next, ()).fetchone()
        return due_at  # type: ignore[no-any-return]
