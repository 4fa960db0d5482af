"""What is to be worked off stands in queues, one for each receiver: those in which something is due are found without
reading what stands in them."""

from collections.abc import Iterator

from ..domain.moment import Timestamp
from .tx import Tx


def _names(table: str, column: str) -> str:
    """SQL of a table ``queues`` with one row for each value of a column that an index begins with."""
    first = f"SELECT min({column}) AS name FROM {table}"
    return (
        f"WITH RECURSIVE queues AS ({first} UNION ALL"
        f" SELECT (SELECT min({column}) FROM {table} WHERE {column} > queues.name) FROM queues WHERE name IS NOT NULL)"
    )


class Queues:
    """The queues of a table that has an index on its `column`, by which they are named, and ``due_at``."""

    def __init__(self, table: str, column: str, where: str = "TRUE") -> None:
        """`where` says which rows are ever waited for."""
        of_queue = f"FROM {table} t WHERE t.{column} = queues.name"
        names = _names(table, column)
        self._due = f"{names} SELECT name FROM queues WHERE EXISTS (SELECT 1 {of_queue} AND t.due_at <= ?)"
        self._next = f"{names} SELECT min((SELECT min(due_at) {of_queue} AND {where})) FROM queues"

    def due(self, tx: Tx) -> Iterator[str]:
        """The names of those in which something is due."""
        return (name for (name,) in tx.execute(self._due, (tx.now,)).fetchall())

    def next_due_at(self, tx: Tx) -> Timestamp | None:
        """When the next thing in any of them is due; None if nothing is."""
        (due_at,) = tx.execute(self._next, ()).fetchone()
        return due_at  # type: ignore[no-any-return]
