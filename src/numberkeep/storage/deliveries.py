"""Outgoing messages: those still to be delivered, and those that were.

A change of a number and the message about it are written in one transaction. Messages about one number reach a
receiver in order: later ones wait for earlier ones.
"""

from collections.abc import Collection
from typing import Literal

from msgspec import Struct
from msgspec.structs import astuple, replace

from ..domain.errors import NotFound
from ..domain.moment import Timestamp, later
from .queues import Queues
from .tx import Tx

KEPT_DAYS = 7
"""How many days a message is kept after it was delivered, or has failed."""
LOOK_AGAIN_SECONDS = 3600
"""How often a message that waits for an earlier one is checked. It is normally released when that one is finished;
this is for one that was queued just as the earlier one was finished."""
DELETED_AT_ONCE = 64
"""How many messages that are over are deleted together."""

Status = Literal["Waiting", "Pending", "Delivered", "Failed"]
OPEN: tuple[Status, ...] = ("Waiting", "Pending")
"""The statuses of a message that has not reached its receiver yet."""
_OPEN = f"status IN {OPEN!r}"
QUEUES = Queues("deliveries", "receiver", _OPEN)


class Delivery(Struct, frozen=True):
    """One message to one receiver."""

    account_id: str
    e164_phone_number: str
    receiver: str
    """The name of a subscriber, or of a carrier."""
    delivery_id: int
    """Larger than that of every earlier message to the receiver about the number."""
    message_id: str
    """The id by which the receiver recognises the message when it is resent."""
    type: str
    created_at: Timestamp
    data: str
    """The payload, as JSON; empty for a question to a carrier, which is in `pending_changes`."""
    status: Status
    attempts: int
    failure: str | None
    """Why the last attempt failed."""
    due_at: Timestamp
    """When it is sent, or resent; while it is claimed, when the claim expires; once finished, when it is deleted."""


_COLUMNS = Delivery.__struct_fields__
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM deliveries"
_KEY = ("account_id", "e164_phone_number", "receiver", "delivery_id")
_ONE = f"WHERE {' AND '.join(f'{column} = ?' for column in _KEY)}"
_OF_RECEIVER = "WHERE account_id = ? AND e164_phone_number = ? AND receiver = ?"
_INSERT = f"INSERT INTO deliveries ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


def put(tx: Tx, e164: str, receiver: str, type: str, data: str) -> None:
    """Queue a message, to be sent after the receiver's unfinished ones about the same number."""
    of_receiver = (tx.account_id, e164, receiver)
    # The lock keeps the latest message from being finished before this one is there to wait for it.
    latest = f"SELECT status, delivery_id FROM deliveries {_OF_RECEIVER} ORDER BY delivery_id DESC LIMIT 1"
    before = tx.execute(f"{latest} /*FOR UPDATE*/", of_receiver).fetchone()
    waits = before is not None and before[0] in OPEN
    delivery = Delivery(
        *of_receiver,
        # Another process's clock may be ahead of this one's.
        delivery_id=max(tx.dice.new_change_id(), before[1] + 1 if before else 0),
        message_id=tx.new_id(),
        type=type,
        created_at=tx.now,
        data=data,
        status="Waiting" if waits else "Pending",
        attempts=0,
        failure=None,
        due_at=later(tx.now, seconds=LOOK_AGAIN_SECONDS) if waits else tx.now,
    )
    tx.write(_INSERT, astuple(delivery))


def note(tx: Tx, e164: str, receiver: str, message_id: str, type: str, status: Status, failure: str | None) -> None:
    """Record that a carrier was asked, and whether it answered; the question is in `pending_changes`."""
    sql = f"{_SELECT} {_OF_RECEIVER} AND message_id = ?"
    row = tx.execute(sql, (tx.account_id, e164, receiver, message_id)).fetchone()
    was = Delivery(*row) if row else None
    delivery = Delivery(
        account_id=tx.account_id,
        e164_phone_number=e164,
        receiver=receiver,
        delivery_id=was.delivery_id if was else tx.dice.new_change_id(),
        message_id=message_id,
        type=type,
        created_at=was.created_at if was else tx.now,
        data="",
        status=status,
        attempts=(was.attempts if was else 0) + 1,
        failure=failure,
        due_at=later(tx.now, days=KEPT_DAYS),
    )
    if was:
        postpone(tx, delivery)
    else:
        tx.write(_INSERT, astuple(delivery))


def give_up(tx: Tx, e164: str, message_id: str, why: str) -> None:
    """Mark a question that its carrier has not answered as failed."""
    sql = "UPDATE deliveries SET status = 'Failed', failure = ? WHERE account_id = ? AND e164_phone_number = ?"
    values = (why, tx.account_id, e164, message_id)
    tx.write(f"{sql} AND message_id = ? AND status = 'Pending' AND data = ''", values)


def _is_over(delivery: Delivery) -> bool:
    """Return whether a message that is due only has to be deleted."""
    return delivery.status not in OPEN or not delivery.data


def claim(tx: Tx, receiver: str, limit: int, until: Timestamp) -> tuple[list[Delivery], bool]:
    """Claim and return up to `limit` messages to a receiver that are due, of all accounts; the flag tells whether more
    may be due. No one else is given them before `until`; then they are due again. Those that are over are deleted."""
    most = max(limit, DELETED_AT_ONCE)
    order = f"due_at, {', '.join(_KEY)}"
    sql = f"{_SELECT} WHERE receiver = ? AND due_at <= ? ORDER BY {order} LIMIT ? /*FOR UPDATE SKIP LOCKED*/"
    due = [Delivery(*row) for row in tx.execute(sql, (receiver, tx.now, most)).fetchall()]
    to_send = [one for one in due if not _is_over(one)]
    for delivery in filter(_is_over, due):
        forget(tx, delivery)
    claimed = [replace(one, due_at=until) for one in to_send[:limit]]
    for delivery in claimed:
        postpone(tx, delivery)
    return claimed, len(to_send) > limit or len(due) == most


def is_claimed(tx: Tx, claimed: Delivery) -> bool:
    """Return whether a claimed message is still claimed by the caller."""
    row = tx.execute(f"{_SELECT} {_ONE} /*FOR UPDATE*/", astuple(claimed)[: len(_KEY)]).fetchone()
    return row is not None and Delivery(*row) == claimed


def is_first(tx: Tx, delivery: Delivery) -> bool:
    """Return whether no earlier message about the number has still to reach the receiver."""
    sql = f"SELECT 1 FROM deliveries {_OF_RECEIVER} AND delivery_id < ? AND {_OPEN} LIMIT 1"
    return tx.execute(sql, astuple(delivery)[: len(_KEY)]).fetchone() is None


def finish(tx: Tx, delivery: Delivery, status: Status, failure: str | None) -> None:
    """Set a message's final status, and make the receiver's next one about the number due now."""
    attempts = delivery.attempts + 1
    due_at = later(tx.now, days=KEPT_DAYS)
    postpone(tx, replace(delivery, status=status, attempts=attempts, failure=failure, due_at=due_at))
    sql = f"{_SELECT} {_OF_RECEIVER} AND delivery_id > ? AND {_OPEN} ORDER BY delivery_id LIMIT 1"
    row = tx.execute(sql, astuple(delivery)[: len(_KEY)]).fetchone()
    if row:
        postpone(tx, replace(Delivery(*row), status="Pending", due_at=tx.now))


def forget(tx: Tx, delivery: Delivery) -> None:
    """Delete a message."""
    tx.write(f"DELETE FROM deliveries {_ONE}", astuple(delivery)[: len(_KEY)])


def of_account(
    tx: Tx, status: Status | None, receiver: str | None, limit: int, failing: bool = False
) -> list[Delivery]:
    """Return up to `limit` of the account's messages, the latest first: those of one status or receiver, if given, and
    if `failing`, those whose last attempt failed."""
    where, values = "WHERE account_id = ?", [tx.account_id]
    for column, value in (("status", status), ("receiver", receiver)):
        if value:
            where += f" AND {column} = ?"
            values.append(value)
    where += " AND failure IS NOT NULL" * failing
    sql = f"{_SELECT} {where} ORDER BY delivery_id DESC LIMIT ?"
    return [Delivery(*row) for row in tx.execute(sql, (*values, limit)).fetchall()]


def again(tx: Tx, message_id: str | None, receiver: str | None, limit: int, known: Collection[str]) -> int:
    """Retry up to `limit` failed messages, with this id or to this receiver; return how many.

    Raises NotFound if their receiver is not one of the `known`.
    """
    column, value = ("message_id", message_id) if message_id else ("receiver", receiver)
    where = f"WHERE account_id = ? AND {column} = ? AND status = 'Failed' AND data <> ''"
    rows = tx.execute(f"{_SELECT} {where} ORDER BY delivery_id LIMIT ?", (tx.account_id, value, limit)).fetchall()
    for delivery in (Delivery(*row) for row in rows):
        if delivery.receiver not in known:
            there = ", ".join(known) or "none"
            raise NotFound(f"There is no subscriber {delivery.receiver} any more; the servers' last file has {there}.")
        postpone(tx, replace(delivery, status="Pending", attempts=0, due_at=tx.now))
    return len(rows)


def postpone(tx: Tx, delivery: Delivery) -> None:
    """Store a message's new `status`, `attempts`, `failure` and `due_at`."""
    sql = f"UPDATE deliveries SET status = ?, attempts = ?, failure = ?, due_at = ? {_ONE}"
    values = (delivery.status, delivery.attempts, delivery.failure, delivery.due_at)
    tx.write(sql, (*values, *astuple(delivery)[: len(_KEY)]))
