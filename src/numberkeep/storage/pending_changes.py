"""Changes that carriers have still to make, and when to ask: the rows that the worker processes."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import get_args

from msgspec import Struct
from msgspec.structs import replace

from ..domain.moment import Timestamp
from ..domain.phone_number import ChangeKind, PhoneNumber
from .phone_numbers import by_account
from .phone_numbers import find_all as find_numbers
from .queues import Queues
from .tx import Rows, Tx

_COLUMNS = "account_id, e164_phone_number, kind, requested_at, due_at, change_key, attempts, failure, queue"
_SELECT = f"SELECT {_COLUMNS} FROM pending_changes"
QUEUES = Queues("pending_changes", "queue")
_ONE = "WHERE account_id = ? AND e164_phone_number = ? AND kind = ?"


class PendingChange(Struct, frozen=True):
    """A change of one number that its carrier has not settled."""

    account_id: str
    e164_phone_number: str
    kind: ChangeKind
    requested_at: Timestamp
    due_at: Timestamp
    """When the carrier is asked, or asked again; while the change is claimed, when the claim expires."""
    change_key: str
    """The id by which the carrier knows it; empty for a change stored by an earlier version."""
    attempts: int
    """How often the carrier has failed to answer since its last answer."""
    failure: str | None
    """Why it last failed to answer."""
    queue: str
    """The receiver that has had no room for it yet; empty if nobody has looked, or it has had its turn."""


def put(tx: Tx, e164: str, kind: ChangeKind, due_at: Timestamp) -> None:
    """Add a change, due at `due_at`; it replaces a pending one of the same number and kind."""
    tx.write(
        "INSERT INTO pending_changes (account_id, e164_phone_number, kind, requested_at, due_at, change_key)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, e164_phone_number, kind)"
        " DO UPDATE SET requested_at = excluded.requested_at, due_at = excluded.due_at,"
        " change_key = excluded.change_key, attempts = 0, failure = NULL, queue = ''",
        (tx.account_id, e164, kind, tx.now, due_at, tx.new_id()),
    )
    tx.known.pop((tx.account_id, e164, kind), None)


def postpone(tx: Tx, change: PendingChange) -> None:
    """Store a change's new `due_at`, `attempts`, `failure` and `queue`."""
    key = (change.account_id, change.e164_phone_number, change.kind)
    sql = f"UPDATE pending_changes SET due_at = ?, attempts = ?, failure = ?, queue = ? {_ONE}"
    tx.write(sql, (change.due_at, change.attempts, change.failure, change.queue, *key))
    tx.known.pop(key, None)


def delete(tx: Tx, e164: str, kind: ChangeKind) -> None:
    """Remove a change: it is no longer pending."""
    key = (tx.account_id, e164, kind)
    tx.write(f"DELETE FROM pending_changes {_ONE}", key)
    tx.known.pop(key, None)


def delete_all(tx: Tx, e164: str) -> None:
    """Remove all pending changes of a number."""
    key = (tx.account_id, e164)
    tx.write("DELETE FROM pending_changes WHERE account_id = ? AND e164_phone_number = ?", key)
    for kind in get_args(ChangeKind):
        tx.known.pop((*key, kind), None)


def hurry(tx: Tx, e164: str | None, after: Timestamp, limit: int) -> int:
    """Make up to `limit` of the account's changes due now, reset their failure count, and return how many they are.

    These are changes whose carrier has failed to answer and that are due after `after`; of one number, if given.
    """
    sql = f"{_SELECT} WHERE account_id = ? AND attempts > 0 AND due_at > ?"
    values = [tx.account_id, after]
    if e164:
        sql, values = f"{sql} AND e164_phone_number = ?", [*values, e164]
    rows = tx.execute(f"{sql} ORDER BY e164_phone_number LIMIT ?", (*values, limit)).fetchall()
    for row in rows:
        postpone(tx, replace(PendingChange(*row), due_at=tx.now, attempts=0))
    return len(rows)


def claim(tx: Tx, queue: str, limit: int, until: Timestamp) -> tuple[list[PendingChange], bool]:
    """Claim and return up to `limit` changes in a queue that are due, of all accounts, the longest due first; the flag
    tells whether more may be due.

    No one else is given them before `until`; then they are due again.
    """
    order = "due_at, account_id, e164_phone_number, kind"
    sql = f"{_SELECT} WHERE queue = ? AND due_at <= ? ORDER BY {order} LIMIT ? /*FOR UPDATE SKIP LOCKED*/"
    rows = tx.execute(sql, (queue, tx.now, limit)).fetchall()
    claimed = [replace(PendingChange(*row), due_at=until) for row in rows]
    for change in claimed:
        postpone(tx, change)
    return claimed, len(claimed) == limit


def page(tx: Tx, after: tuple[str, str], limit: int) -> list[PendingChange]:
    """Return up to `limit` of the account's changes after `after`, ordered by number and kind."""
    sql = f"{_SELECT} WHERE account_id = ? AND (e164_phone_number, kind) > (?, ?)"
    rows = tx.execute(f"{sql} ORDER BY e164_phone_number, kind LIMIT ?", (tx.account_id, *after, limit)).fetchall()
    return [PendingChange(*row) for row in rows]


def with_numbers(tx: Tx, changes: Sequence[PendingChange]) -> list[tuple[PendingChange, PhoneNumber]]:
    """Return each of these changes with its number, unless that is gone."""
    numbers = find_numbers(tx.execute, [(one.account_id, one.e164_phone_number) for one in changes], lock=False)
    found = [(one, numbers[one.account_id, one.e164_phone_number]) for one in changes]
    return [(one, number) for one, number in found if number is not None]


def of_number(tx: Tx, e164: str) -> list[PendingChange]:
    """Return the changes pending for one number of the account."""
    sql = f"{_SELECT} WHERE account_id = ? AND e164_phone_number = ? ORDER BY kind"
    return [PendingChange(*row) for row in tx.execute(sql, (tx.account_id, e164)).fetchall()]


def is_claimed(tx: Tx, claimed: PendingChange) -> bool:
    """Return whether a claimed change is still pending, and still claimed by the caller."""
    key = (claimed.account_id, claimed.e164_phone_number, claimed.kind)
    if key in tx.known:
        return bool(tx.known[key] == claimed)
    row = tx.execute(f"{_SELECT} {_ONE}", key).fetchone()
    return row is not None and PendingChange(*row) == claimed


def find_all(execute: Callable[..., Rows], keys: Iterable[tuple[str, str]]) -> dict[Hashable, PendingChange]:
    """Return the pending changes of several accounts' numbers, keyed as in `Tx.known`."""
    found: dict[Hashable, PendingChange] = {}
    for account_id, e164s in by_account(keys):
        marks = ", ".join("?" * len(e164s))
        rows = execute(f"{_SELECT} WHERE account_id = ? AND e164_phone_number IN ({marks})", (account_id, *e164s))
        for change in (PendingChange(*row) for row in rows.fetchall()):
            found[change.account_id, change.e164_phone_number, change.kind] = change
    return found
