"""Facts about the store itself."""

from collections.abc import Mapping, Sequence

from .schema import Table, tables
from .tx import Row, Tx

CLOCK_OFFSET_SECONDS = "clock_offset_seconds"
"""The fact that tells how far the service's time was moved ahead of the real one."""
TOKEN_SECRET = "token_secret"  # noqa: S105 - its name is no secret
"""The fact that page tokens are sealed with: 64 hexadecimal digits."""
TRIED_AT = "tried_at"
"""The fact that tells when it was last tried whether the store can be written again."""
COPY_PROGRESS = "copy_progress"
"""The fact that a store is the target of a copy that has not ended; see `copying`."""
UNFINISHED = "The store is the target of a copy that has not ended: run the same `numberkeep copy` again."
"""What is said of one, which nobody can use."""
SUBSCRIBERS = "subscribers"
"""The fact that tells whom the servers tell of what happens, so that commands at the shell do too."""

BEGUN = "begun"
"""The fact that numberkeep dev has begun with the store: it puts nothing into it of itself any more."""

KEPT_TABLES = frozenset({"store", "access_keys", "users", "roles"})
"""The tables that hold nothing of what accounts have."""


def get(tx: Tx, name: str) -> str | None:
    """The fact of that name, if it is known."""
    row = tx.execute("SELECT value FROM store WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def put(tx: Tx, name: str, value: str) -> None:
    """Keep a fact."""
    sql = "INSERT INTO store (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    tx.write(sql, (name, value))


def lock(tx: Tx) -> None:
    """Change nothing in a way that only a store allows which can be written."""
    tx.execute("SELECT 1 FROM store WHERE name = ? /*FOR UPDATE*/", (TOKEN_SECRET,)).fetchone()


def is_new(tx: Tx) -> bool:
    """Whether no number has ever been in the store, and numberkeep dev has not left it so."""
    was_used = "SELECT 1 FROM phone_number_history UNION ALL SELECT 1 FROM store WHERE name = ? LIMIT 1"
    return tx.execute(was_used, (BEGUN,)).fetchone() is None


def clear(tx: Tx) -> None:
    """Forget all accounts' numbers, orders and settings, and that the clock was moved; the keys stay."""
    for table in _of_accounts():
        tx.write(f"DELETE FROM {table.name}", ())
    tx.known.clear()
    tx.write("DELETE FROM store WHERE name = ?", (CLOCK_OFFSET_SECONDS,))


def dump(tx: Tx) -> dict[str, list[Row]]:
    """The rows of every table that `clear` empties."""
    return {
        table.name: tx.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}", ()).fetchall()
        for table in _of_accounts()
    }


def load(tx: Tx, rows: Mapping[str, Sequence[Row]], offset_seconds: float) -> None:
    """Have these rows, as `dump` gave them, in place of all that `clear` forgets, and so far a clock."""
    clear(tx)
    for table in _of_accounts():
        marks = ", ".join("?" * len(table.columns))
        sql = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})"
        for row in rows[table.name]:
            tx.write(sql, row)
    put(tx, CLOCK_OFFSET_SECONDS, str(offset_seconds))


def _of_accounts() -> list[Table]:
    return [table for table in tables().values() if table.name not in KEPT_TABLES]
