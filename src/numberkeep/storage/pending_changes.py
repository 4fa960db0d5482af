"""What a carrier has still to do, and when to ask it: the rows that the worker works off."""

from typing import Literal

from msgspec import Struct

from ..domain.moment import Timestamp
from .tx import Tx

Kind = Literal["order", "set_calling_name", "release"]

_ONE = "FROM pending_changes WHERE account_id = ? AND e164_phone_number = ? AND kind = ?"


class PendingChange(Struct, frozen=True):
    """A change of one number that its carrier has not settled."""

    account_id: str
    e164_phone_number: str
    kind: Kind
    requested_at: Timestamp
    due_at: Timestamp
    """When the carrier is asked, for the first time or again."""


def put(tx: Tx, e164: str, kind: Kind, due_at: Timestamp) -> None:
    """Have the carrier asked at `due_at`. A number has one change of a kind pending at most."""
    tx.write(
        "INSERT INTO pending_changes (account_id, e164_phone_number, kind, requested_at, due_at)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT (account_id, e164_phone_number, kind)"
        " DO UPDATE SET requested_at = excluded.requested_at, due_at = excluded.due_at",
        (tx.account_id, e164, kind, tx.now, due_at),
    )


def postpone(tx: Tx, e164: str, kind: Kind, due_at: Timestamp) -> None:
    """Ask the carrier again at `due_at`."""
    tx.write(
        "UPDATE pending_changes SET due_at = ? WHERE account_id = ? AND e164_phone_number = ? AND kind = ?",
        (due_at, tx.account_id, e164, kind),
    )


def delete(tx: Tx, e164: str, kind: Kind) -> None:
    """The change is pending no longer."""
    tx.write(f"DELETE {_ONE}", (tx.account_id, e164, kind))


def is_pending(tx: Tx, e164: str, kind: Kind) -> bool:
    """Whether a carrier has the change still to settle."""
    return tx.execute(f"SELECT 1 {_ONE}", (tx.account_id, e164, kind)).fetchone() is not None


def due(tx: Tx, limit: int) -> list[PendingChange]:
    """Up to `limit` changes of all accounts that are due at `tx.now`, the longest due first."""
    sql = (
        "SELECT account_id, e164_phone_number, kind, requested_at, due_at FROM pending_changes"
        " WHERE due_at <= ? ORDER BY due_at LIMIT ?"
    )
    return [PendingChange(*row) for row in tx.execute(sql, (tx.now, limit)).fetchall()]


def next_due_at(tx: Tx) -> Timestamp | None:
    """When the next change of any account is due; None if nothing is pending."""
    (due_at,) = tx.execute("SELECT min(due_at) FROM pending_changes", ()).fetchone()
    return due_at  # type: ignore[no-any-return]
