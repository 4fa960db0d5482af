"""What a carrier has still to do, and when to ask it: the rows that the worker works off."""

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
    """When the carrier is asked, for the first time or again; while the change is claimed, when the claim expires."""
    change_key: str
    """By which the carrier knows it; empty for a change that an earlier version has noted."""
    attempts: int
    """How often the carrier has failed to answer since it last did."""
    failure: str | None
    """Why it has, the last time."""
    queue: str
    """The receiver that had no place for it, the last time it was due; empty if there was none such."""


def put(tx: Tx, e164: str, kind: ChangeKind, due_at: Timestamp) -> None:
    """Have the carrier asked at `due_at`. A number has one change of a kind pending at most."""
    tx.write(
        "INSERT INTO pending_changes (account_id, e164_phone_number, kind, requested_at, due_at, change_key)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, e164_phone_number, kind)"
        " DO UPDATE SET requested_at = excluded.requested_at, due_at = excluded.due_at,"
        " change_key = excluded.change_key, attempts = 0, failure = NULL",
        (tx.account_id, e164, kind, tx.now, due_at, tx.new_id()),
    )
    tx.known.pop((tx.account_id, e164, kind), None)


def postpone(tx: Tx, change: PendingChange) -> None:
    """Have the carrier asked again, at the moment at which `change` is due now."""
    key = (change.account_id, change.e164_phone_number, change.kind)
    sql = f"UPDATE pending_changes SET due_at = ?, attempts = ?, failure = ?, queue = ? {_ONE}"
    tx.write(sql, (change.due_at, change.attempts, change.failure, change.queue, *key))
    tx.known.pop(key, None)


def delete(tx: Tx, e164: str, kind: ChangeKind) -> None:
    """The change is pending no longer."""
    key = (tx.account_id, e164, kind)
    tx.write(f"DELETE FROM pending_changes {_ONE}", key)
    tx.known.pop(key, None)


def delete_all(tx: Tx, e164: str) -> None:
    """Nothing of the number is pending any longer."""
    key = (tx.account_id, e164)
    tx.write("DELETE FROM pending_changes WHERE account_id = ? AND e164_phone_number = ?", key)
    for kind in get_args(ChangeKind):
        tx.known.pop((*key, kind), None)


def hurry(tx: Tx, e164: str | None, after: Timestamp, limit: int) -> int:
    """Have up to `limit` of the account's changes asked for now whose carrier has failed to answer, and would be asked
    again `after` that moment only; of one number, if it is given. How many; the failures count anew for them."""
    sql = f"{_SELECT} WHERE account_id = ? AND attempts > 0 AND due_at > ?"
    values = [tx.account_id, after]
    if e164:
        sql, values = f"{sql} AND e164_phone_number = ?", [*values, e164]
    rows = tx.execute(f"{sql} ORDER BY e164_phone_number LIMIT ?", (*values, limit)).fetchall()
    for row in rows:
        postpone(tx, replace(PendingChange(*row), due_at=tx.now, attempts=0))
    return len(rows)


def claim(tx: Tx, queue: str, limit: int, until: Timestamp) -> list[PendingChange]:
    """Up to `limit` changes of all accounts in a queue that are due at `tx.now`, the longest due first. Until that
    moment they are the caller's to work off; then they are due again."""
    order = "due_at, account_id, e164_phone_number, kind"
    sql = f"{_SELECT} WHERE queue = ? AND due_at <= ? ORDER BY {order} LIMIT ? /*FOR UPDATE SKIP LOCKED*/"
    rows = tx.execute(sql, (queue, tx.now, limit)).fetchall()
    claimed = [replace(PendingChange(*row), due_at=until) for row in rows]
    for change in claimed:
        postpone(tx, change)
    return claimed


def page(tx: Tx, after: tuple[str, str], limit: int) -> list[PendingChange]:
    """Up to `limit` of the account's, by number and kind: those that follow `after`, such a pair."""
    sql = f"{_SELECT} WHERE account_id = ? AND (e164_phone_number, kind) > (?, ?)"
    rows = tx.execute(f"{sql} ORDER BY e164_phone_number, kind LIMIT ?", (tx.account_id, *after, limit)).fetchall()
    return [PendingChange(*row) for row in rows]


def with_numbers(tx: Tx, changes: Sequence[PendingChange]) -> list[tuple[PendingChange, PhoneNumber]]:
    """Each of the account's changes with the number that it is of."""
    numbers = find_numbers(tx.execute, [(one.account_id, one.e164_phone_number) for one in changes], lock=False)
    found = [(one, numbers[one.account_id, one.e164_phone_number]) for one in changes]
    return [(one, number) for one, number in found if number is not None]


def of_number(tx: Tx, e164: str) -> list[PendingChange]:
    """Those of one number of the account."""
    sql = f"{_SELECT} WHERE account_id = ? AND e164_phone_number = ? ORDER BY kind"
    return [PendingChange(*row) for row in tx.execute(sql, (tx.account_id, e164)).fetchall()]


def is_claimed(tx: Tx, claimed: PendingChange) -> bool:
    """Whether a change that was claimed is pending still, and nobody else's to work off."""
    key = (claimed.account_id, claimed.e164_phone_number, claimed.kind)
    if key in tx.known:
        return bool(tx.known[key] == claimed)
    row = tx.execute(f"{_SELECT} {_ONE}", key).fetchone()
    return row is not None and PendingChange(*row) == claimed


def find_all(execute: Callable[..., Rows], keys: Iterable[tuple[str, str]]) -> dict[Hashable, PendingChange]:
    """What is pending of several accounts' numbers: what `Tx.known` holds of it."""
    found: dict[Hashable, PendingChange] = {}
    for account_id, e164s in by_account(keys):
        marks = ", ".join("?" * len(e164s))
        rows = execute(f"{_SELECT} WHERE account_id = ? AND e164_phone_number IN ({marks})", (account_id, *e164s))
        for change in (PendingChange(*row) for row in rows.fetchall()):
            found[change.account_id, change.e164_phone_number, change.kind] = change
    return found
