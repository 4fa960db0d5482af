"""What becomes of a number when its carrier is asked, and when it answers: each in one transaction."""

import logging
from collections.abc import Callable

from msgspec.structs import replace

from .carriers import Answer, Done, Pending, Refused, Request
from .domain.errors import BadRequest, Conflict, NotFound
from .domain.moment import later
from .domain.phone_number import ChangeKind
from .storage import account_settings, pending_changes, phone_number_orders, phone_numbers
from .storage.pending_changes import PendingChange
from .storage.tx import Tx

log = logging.getLogger(__name__)

ATTEMPTS = 20
"""How often a carrier may fail to answer before the change has failed: for about ten hours."""
FIRST_PAUSE_SECONDS = 1
"""How long a change waits whose carrier has failed, about; twice as long each further time, up to the longest."""
LONGEST_PAUSE_SECONDS = 3600


class Failed(Exception):
    """The carrier has not answered; the text says why."""


def begin(tx: Tx, change: PendingChange) -> Request | Refused | None:
    """What the carrier is to be asked, or what is known without it; None if the change is pending no longer."""
    e164 = change.e164_phone_number
    if not pending_changes.is_claimed(tx, change):
        return None
    number = phone_numbers.get(tx, e164)
    if change.kind == "order" and not phone_numbers.claim(tx, e164):
        return Refused("another account owns the number")
    if change.kind == "release" and number.status == "ReleaseInProgress":
        phone_numbers.replace(tx, number, number.begin_release(tx.now))
    return Request(
        id=change.change_key or f"{change.account_id} {e164} {change.kind} {change.requested_at}",
        account_id=change.account_id,
        e164_phone_number=e164,
        kind=change.kind,
        requested_at=change.requested_at,
        now=tx.now,
        attempts=change.attempts,
        calling_name=number.requested_calling_name or "",
    )


def settle(tx: Tx, change: PendingChange, answer: Answer | Failed, dice: float) -> None:
    """Keep what the carrier has answered to a change that was claimed, unless it is pending no longer.

    `dice`, from 0 to 1, spreads out the attempts of changes that fail together.
    """
    if not pending_changes.is_claimed(tx, change):
        return
    if isinstance(answer, Pending):
        pending_changes.postpone(tx, replace(change, due_at=answer.ask_at, attempts=0, failure=None))
        return
    if isinstance(answer, Failed):
        attempts = change.attempts + 1
        if attempts < ATTEMPTS:
            pause = min(FIRST_PAUSE_SECONDS * 2**change.attempts, LONGEST_PAUSE_SECONDS) * (0.5 + dice)
            due_at = later(tx.now, seconds=pause)
            pending_changes.postpone(tx, replace(change, due_at=due_at, attempts=attempts, failure=str(answer)))
            return
        answer = Refused(f"the carrier has failed to answer {attempts} times; the last time: {answer}")
    _settle(tx, change, answer)


def release_claim(tx: Tx, change: PendingChange) -> None:
    """Have a change that was claimed, and will not be worked off, due for others at once."""
    if pending_changes.is_claimed(tx, change):
        pending_changes.postpone(tx, replace(change, due_at=tx.now))


def settle_now(
    tx: Tx, e164: str, answer: Done | Refused, kind: ChangeKind | None = None, id: str | None = None
) -> ChangeKind:
    """Settle what is pending of the account's number, as its carrier has said by other ways than an answer; what that
    was.

    Raises NotFound if nothing is pending, of that `kind` or with that `id` if they are given; BadRequest if two things
    are, and `kind` is not; Conflict if the change cannot be made now.
    """
    pending = [
        change
        for change in pending_changes.of_number(tx, e164)
        if kind in (None, change.kind) and id in (None, change.change_key)
    ]
    if not pending:
        raise NotFound(f"Nothing{f' of the kind {kind}' if kind else ' such'} is pending of {e164}")
    if len(pending) > 1:
        kinds = " and ".join(change.kind for change in pending)
        raise BadRequest(f"{kinds} are pending of {e164}: say which is meant.")
    (change,) = pending
    number = phone_numbers.get(tx, e164)
    if change.kind == "release" and number.status == "ReleaseInProgress":
        if isinstance(answer, Refused) or tx.now < str(number.deletion_timestamp):
            raise Conflict(f"{e164} can be restored until {number.deletion_timestamp}; its carrier is asked then.")
        phone_numbers.replace(tx, number, number.begin_release(tx.now))
    if change.kind == "order" and isinstance(answer, Done) and not phone_numbers.claim(tx, e164):
        raise Conflict(f"Another account owns {e164}.")
    _settle(tx, change, answer)
    return change.kind


def _settle(tx: Tx, change: PendingChange, answer: Done | Refused) -> None:
    e164 = change.e164_phone_number
    pending_changes.delete(tx, e164, change.kind)
    reason = answer.reason if isinstance(answer, Refused) else None
    if reason:
        log.info("%s of %s was refused: %s", change.kind, e164, reason)
    _SETTLE[change.kind](tx, e164, reason)


def _settle_order(tx: Tx, e164: str, refused: str | None) -> None:
    was = phone_numbers.get(tx, e164)
    if refused is None:
        number = was.acquire(account_settings.get(tx).calling_name, tx.now)
        if number.calling_name_status == "UpdateInProgress":
            pending_changes.put(tx, e164, "set_calling_name", due_at=tx.now)
    else:
        number = was.fail_to_acquire(tx.now)
        phone_numbers.disclaim(tx, e164)
    phone_numbers.replace(tx, was, number, refused)
    if was.order_id:
        order = phone_number_orders.get(tx, was.order_id, lock=True)
        phone_number_orders.replace(tx, order.settle(e164, refused is None, tx.now))


def _settle_calling_name(tx: Tx, e164: str, refused: str | None) -> None:
    was = phone_numbers.get(tx, e164)
    phone_numbers.replace(tx, was, was.settle_calling_name(refused is None, tx.now), refused)


def _settle_release(tx: Tx, e164: str, refused: str | None) -> None:
    was = phone_numbers.get(tx, e164)
    if refused is None:
        phone_numbers.delete(tx, was)
        pending_changes.delete_all(tx, e164)
    else:
        phone_numbers.replace(tx, was, was.fail_to_release(tx.now), refused)


_SETTLE: dict[ChangeKind, Callable[[Tx, str, str | None], None]] = {
    "order": _settle_order,
    "set_calling_name": _settle_calling_name,
    "release": _settle_release,
}
