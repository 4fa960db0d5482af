"""What becomes of a number when its carrier is asked and answers, and of a message when it is sent: each in one
transaction."""

import logging
from collections.abc import Callable

from msgspec.structs import replace

from .carriers import Answer, Done, Pending, Refused, Request, message_type
from .domain.errors import BadRequest, Conflict, NotFound
from .domain.moment import Timestamp, later
from .domain.phone_number import ChangeKind, PhoneNumber
from .storage import account_settings, deliveries, pending_changes, phone_number_orders, phone_numbers
from .storage.deliveries import Delivery, Status
from .storage.pending_changes import PendingChange
from .storage.tx import Tx

log = logging.getLogger(__name__)

ATTEMPTS = 20
"""How often a carrier may fail to answer before the change has failed: for about ten hours."""
FIRST_PAUSE_SECONDS = 1
"""How long a change waits whose carrier has failed, about; twice as long each further time, up to the longest."""
LONGEST_PAUSE_SECONDS = 3600


CLAIM_SECONDS = 60
"""For how long other workers leave alone what one has claimed: should that one die, they go on then."""
LONGEST_REASON = 300
"""In characters: what others say is kept and logged, and they may say anything."""


class Failed:
    """The carrier, or the subscriber, has not answered; `why` says why not, in one line that every store can keep."""

    def __init__(self, why: str) -> None:
        self.why = said(why)


def said(text: str) -> str:
    """What somebody else said, in one line, without what cannot be printed, and no longer than it has to be."""
    words = " ".join("".join(one if one.isprintable() else " " for one in text[: 4 * LONGEST_REASON]).split())
    return words if len(words) <= LONGEST_REASON else f"{words[:LONGEST_REASON]}..."


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
        id=id_of(change),
        account_id=change.account_id,
        e164_phone_number=e164,
        kind=change.kind,
        requested_at=change.requested_at,
        now=tx.now,
        attempts=change.attempts,
        calling_name=number.requested_calling_name or "",
        product_type=number.product_type,
        order_id=number.order_id,
    )


def id_of(change: PendingChange) -> str:
    """By which the carrier knows it, also if an earlier version has noted it."""
    of_number = f"{change.account_id} {change.e164_phone_number}"
    return change.change_key or f"{of_number} {change.kind} {change.requested_at}"


def settle(
    tx: Tx, change: PendingChange, answer: Answer | Failed, dice: float, noted: tuple[str, str] | None = None
) -> None:
    """Keep what the carrier has answered to a change that was claimed, unless it is pending no longer.

    `dice`, from 0 to 1, spreads out the attempts of changes that fail together. `noted` are the receiver and the id
    of the message, if it was one that has to be noted.
    """
    if not pending_changes.is_claimed(tx, change):
        return
    if noted:
        receiver, message_id = noted
        failed = answer if isinstance(answer, Failed) else None
        status, failure = status_after(change.attempts, failed), failed.why if failed else None
        type = message_type(change.kind)
        deliveries.note(tx, change.e164_phone_number, receiver, message_id, type, status, failure)
    if isinstance(answer, Pending):
        pending_changes.postpone(tx, replace(change, due_at=answer.ask_at, attempts=0, failure=None))
        return
    if isinstance(answer, Failed):
        attempts = change.attempts + 1
        if attempts < ATTEMPTS:
            due_at = _again_at(tx, change.attempts, dice)
            pending_changes.postpone(tx, replace(change, due_at=due_at, attempts=attempts, failure=answer.why))
            return
        answer = Refused(f"the carrier has failed to answer {attempts} times; the last time: {answer.why}")
    _settle(tx, change, answer)


def hurry(tx: Tx, e164: str | None, limit: int) -> int:
    """Have up to `limit` of the account's changes asked for now whose carrier has failed to answer; of one number, if
    it is given. How many. Those that are due soon are left to it: somebody may be asking for them."""
    return pending_changes.hurry(tx, e164, later(tx.now, seconds=CLAIM_SECONDS), limit)


def is_asked(change: PendingChange, number: PhoneNumber, now: Timestamp) -> bool:
    """Whether a change is its carrier's to make by now: a release is not while the number can be restored."""
    waits = change.kind == "release" and number.status == "ReleaseInProgress"
    return not waits or now >= str(number.deletion_timestamp)


def claim(tx: Tx, places: Callable[[str], int], until: Timestamp) -> tuple[list[PendingChange | Delivery], bool]:
    """What is due, for the caller to work off until that moment: of each receiver's queue so much as it has `places`,
    and of the changes whose carrier nobody has looked up yet as many as the queue of no name has. And whether more may
    be due, for which there is no place."""
    claimed: list[PendingChange | Delivery] = []
    is_all = True
    for changes_or_messages in (pending_changes, deliveries):
        # In this order whoever has waited for a place comes before the queue of no name.
        for queue in sorted(changes_or_messages.QUEUES.due(tx), reverse=True):
            limit = max(0, places(queue))
            some = changes_or_messages.claim(tx, queue, limit, until)
            is_all = is_all and len(some) < limit
            claimed += some
    return claimed, not is_all


def release_claim(tx: Tx, claimed: PendingChange | Delivery, queue: str | None = None) -> None:
    """Leave what was claimed, and will not be worked off now, to others; in the `queue` of a receiver, if one is
    given."""
    if isinstance(claimed, Delivery):
        if deliveries.is_claimed(tx, claimed):
            deliveries.postpone(tx, replace(claimed, due_at=tx.now))
    elif pending_changes.is_claimed(tx, claimed):
        pending_changes.postpone(tx, replace(claimed, due_at=tx.now, queue=queue or claimed.queue))


def next_due_at(tx: Tx) -> Timestamp | None:
    """When the next thing is due; None if nothing is under way."""
    moments = pending_changes.QUEUES.next_due_at(tx), deliveries.QUEUES.next_due_at(tx)
    return min(filter(None, moments), default=None)


def begin_delivery(tx: Tx, delivery: Delivery) -> bool:
    """Whether a message that was claimed has to be sent now."""
    if not deliveries.is_claimed(tx, delivery):
        return False
    if deliveries.is_over(delivery):
        deliveries.forget(tx, delivery)
        return False
    if deliveries.is_first(tx, delivery):
        return True
    deliveries.postpone(tx, replace(delivery, due_at=later(tx.now, seconds=deliveries.LOOK_AGAIN_SECONDS)))
    return False


def status_after(attempts: int, failed: Failed | None, *, hopeless: bool = False) -> Status:
    """How a message stands after so many `attempts` and one more; if that was `hopeless`, it is not tried again."""
    if failed is None:
        return "Delivered"
    return "Failed" if hopeless or attempts + 1 >= ATTEMPTS else "Pending"


def settle_delivery(tx: Tx, delivery: Delivery, status: Status, failed: Failed | None, dice: float) -> None:
    """Keep how a message that was claimed stands after it was sent."""
    if not deliveries.is_claimed(tx, delivery):
        return
    failure = failed.why if failed else None
    if status == "Pending":
        due_at = _again_at(tx, delivery.attempts, dice)
        again = replace(delivery, status=status, attempts=delivery.attempts + 1, failure=failure, due_at=due_at)
        deliveries.postpone(tx, again)
    else:
        deliveries.finish(tx, delivery, status, failure)


def _again_at(tx: Tx, attempts: int, dice: float) -> Timestamp:
    return later(tx.now, seconds=min(FIRST_PAUSE_SECONDS * 2**attempts, LONGEST_PAUSE_SECONDS) * (0.5 + dice))


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
        if kind in (None, change.kind) and id in (None, id_of(change))
    ]
    if not pending:
        raise NotFound(f"No change{f' of the kind {kind}' if kind else ''} is pending of {e164}")
    if len(pending) > 1:
        kinds = " and ".join(change.kind for change in pending)
        raise BadRequest(f"{kinds} are pending of {e164}: say which change is meant.")
    (change,) = pending
    number = phone_numbers.get(tx, e164)
    if change.kind == "release" and number.status == "ReleaseInProgress":
        if isinstance(answer, Refused) or not is_asked(change, number, tx.now):
            raise Conflict(f"{e164} can be restored until {number.deletion_timestamp}; its carrier is asked then.")
        phone_numbers.replace(tx, number, number.begin_release(tx.now))
    if change.kind == "order" and isinstance(answer, Done) and not phone_numbers.claim(tx, e164):
        raise Conflict(f"Another account owns {e164}.")
    deliveries.give_up(tx, e164, id_of(change), "somebody has said what came of it")
    _settle(tx, change, answer)
    return change.kind


def _settle(tx: Tx, change: PendingChange, answer: Done | Refused) -> None:
    e164 = change.e164_phone_number
    pending_changes.delete(tx, e164, change.kind)
    reason = said(answer.reason) or "no reason was given" if isinstance(answer, Refused) else None
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
