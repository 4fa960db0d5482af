"""Facts about the store itself, by name."""

from collections.abc import Mapping, Sequence

from .schema import Table, tables
from .tx import Row, Tx

CLOCK_OFFSET_SECONDS = "clock_offset_seconds"
"""The fact that says how far the service's clock was moved ahead of real time."""
TOKEN_SECRET = "token_secret"  # noqa: S105 - its name is no secret
"""The fact that holds the HMAC key of page tokens: 64 hexadecimal digits."""
TRIED_AT = "tried_at"
"""The fact that says when writing to a lost store was last retried."""
COPY_PROGRESS = "copy_progress"
"""The fact that marks a store as the target of an unfinished copy; see `copying`."""
UNFINISHED = "The store is the target of a copy that has not ended: run the same `numberkeep copy` again."
"""The error message for such a store, which cannot be used."""
SUBSCRIBERS = "subscribers"
"""The fact that holds the servers' subscribers, so that shell commands notify them too."""
CARRIERS = "carriers"
"""The fact that holds the names of the servers' carriers, separated by blanks; none without a carriers file."""

BEGUN = "begun"
"""The fact that numberkeep dev has set up the store: at start it adds no numbers of its own any more."""

KEPT_TABLES = frozenset({"store", "access_keys", "users", "roles"})
"""The tables that `clear` keeps: facts about the store, and who may use it."""


def get(tx: Tx, name: str) -> str | None:
    """Return the fact with this name, or None."""
    row = tx.execute("SELECT value FROM store WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def put(tx: Tx, name: str, value: str) -> None:
    """Store a fact."""
    sql = "INSERT INTO store (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    tx.write(sql, (name, value))


def lock(tx: Tx) -> None:
    """Lock a row but change nothing, which works only if the store can be written."""
    tx.execute("SELECT 1 FROM store WHERE name = ? /*FOR UPDATE*/", (TOKEN_SECRET,)).fetchone()


def is_new(tx: Tx) -> bool:
    """Return whether the store has never had a number, and numberkeep dev has not set it up."""
    was_used = "SELECT 1 FROM phone_number_history UNION ALL SELECT 1 FROM store WHERE name = ? LIMIT 1"
    return tx.execute(was_used, (BEGUN,)).fetchone() is None


def clear(tx: Tx) -> None:
    """Delete all accounts' numbers, orders and settings, and the clock offset; the keys stay."""
    for table in _of_accounts():
        tx.write(f"DELETE FROM {table.name}", ())
    tx.known.clear()
    tx.write("DELETE FROM store WHERE name = ?", (CLOCK_OFFSET_SECONDS,))


def dump(tx: Tx) -> dict[str, list[Row]]:
    """Return the rows of every table that `clear` empties."""
    return {
        table.name: tx.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}", ()).fetchall()
        for table in _of_accounts()
    }


def load(tx: Tx, rows: Mapping[str, Sequence[Row]], offset_seconds: float) -> None:
    """Replace all that `clear` deletes by these rows, as `dump` returned them, and this clock offset."""
    clear(tx)
    for table in _of_accounts():
        marks = ", ".join("?" * len(table.columns))
        sql = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})"
        for row in rows[table.name]:
            tx.write(sql, row)
    put(tx, CLOCK_OFFSET_SECONDS, str(offset_seconds))


def _of_accounts() -> list[Table]:
    return [table for table in tables().values() if table.name not in KEPT_TABLES]
