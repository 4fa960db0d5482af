"""What happens to a number when its carrier is asked and answers, and to a message when it is sent.

Each function runs in one transaction.
"""

import logging
from collections import Counter
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
"""How many times a carrier may fail to answer before the change itself fails: after about eight hours."""
FIRST_PAUSE_SECONDS = 1
"""About how long a change waits after its carrier has failed to answer; doubled with each further failure, up to
`LONGEST_PAUSE_SECONDS`."""
LONGEST_PAUSE_SECONDS = 3600


CLAIM_SECONDS = 60
"""How long a claim keeps other workers away; if the worker that made it dies, they take over after this time."""
LONGEST_REASON = 300
"""In characters, of a reason that is stored and logged: carriers and subscribers may send any text."""


class Failed:
    """The carrier or subscriber did not answer; `why` is the reason, in one line that every store can hold."""

    def __init__(self, why: str) -> None:
        self.why = said(why)


def said(text: str) -> str:
    """Cut text from elsewhere to one printable line of about LONGEST_REASON characters, to log and store it."""
    words = " ".join("".join(one if one.isprintable() else " " for one in text[: 4 * LONGEST_REASON]).split())
    return words if len(words) <= LONGEST_REASON else f"{words[:LONGEST_REASON]}..."


def begin(tx: Tx, change: PendingChange) -> Request | Refused | None:
    """Return what to ask the carrier, or a refusal that needs no asking; None if the change is not pending any more."""
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
    """The id under which the carrier knows the change, even if an earlier version of the program recorded it."""
    of_number = f"{change.account_id} {change.e164_phone_number}"
    return change.change_key or f"{of_number} {change.kind} {change.requested_at}"


def settle(
    tx: Tx, change: PendingChange, answer: Answer | Failed, dice: float, noted: tuple[str, str] | None = None
) -> None:
    """Apply the carrier's answer to a claimed change, unless it is no longer pending or claimed by another worker.

    `dice`, from 0 to 1, spreads out the retries of changes that failed together. `noted` is the receiver and the
    message id, if the question was a message that has to be recorded.
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
        pending_changes.postpone(tx, replace(change, due_at=answer.ask_at, attempts=0, failure=None, queue=""))
        return
    if isinstance(answer, Failed):
        attempts = change.attempts + 1
        if attempts < ATTEMPTS:
            due_at = _again_at(tx, change.attempts, dice)
            again = replace(change, due_at=due_at, attempts=attempts, failure=answer.why, queue="")
            pending_changes.postpone(tx, again)
            return
        answer = Refused(f"the carrier has failed to answer {attempts} times; the last time: {answer.why}")
    _settle(tx, change, answer)


def hurry(tx: Tx, e164: str | None, limit: int) -> int:
    """Retry now up to `limit` of the account's changes whose carrier failed to answer; of one number, if given.

    Returns how many. Changes due within CLAIM_SECONDS are left alone: a worker may be asking for them.
    """
    return pending_changes.hurry(tx, e164, later(tx.now, seconds=CLAIM_SECONDS), limit)


def is_asked(change: PendingChange, number: PhoneNumber, now: Timestamp) -> bool:
    """Whether the carrier is to be asked for a change by now: not for a release while the number can be restored."""
    waits = change.kind == "release" and number.status == "ReleaseInProgress"
    return not waits or now >= str(number.deletion_timestamp)


def claim(tx: Tx, places: Callable[[str], int], until: Timestamp) -> tuple[list[PendingChange | Delivery], bool]:
    """Claim what is due, for the caller to work on until `until`; the flag tells whether more may be due.

    `places` gives how many may be taken from each receiver's queue. The queue with the empty name holds the changes
    whose receiver has not been looked up yet.
    """
    claimed: list[PendingChange | Delivery] = []
    taken: Counter[str] = Counter()
    may_be_more = False
    for changes_or_messages in (pending_changes, deliveries):
        # In this order, what has already waited for a place comes before the queue with the empty name.
        for queue in sorted(changes_or_messages.QUEUES.due(tx), reverse=True):
            limit = max(0, places(queue) - taken[queue])
            some, has_more = changes_or_messages.claim(tx, queue, limit, until)
            may_be_more = may_be_more or has_more
            taken[queue] += len(some)
            claimed += some
    return claimed, may_be_more


def release_claim(
    tx: Tx, claimed: PendingChange | Delivery, queue: str | None = None, *, pause_seconds: float = 0
) -> None:
    """Give up the claim on something that will not be worked on now, so that others can take it after the pause. If
    `queue` is given, a change moves to that receiver's queue."""
    due_at = later(tx.now, seconds=pause_seconds)
    if isinstance(claimed, Delivery):
        if deliveries.is_claimed(tx, claimed):
            deliveries.postpone(tx, replace(claimed, due_at=due_at))
    elif pending_changes.is_claimed(tx, claimed):
        pending_changes.postpone(tx, replace(claimed, due_at=due_at, queue=queue or claimed.queue))


def next_due_at(tx: Tx) -> Timestamp | None:
    """When the next change or message is due; None if none is waiting."""
    moments = pending_changes.QUEUES.next_due_at(tx), deliveries.QUEUES.next_due_at(tx)
    return min(filter(None, moments), default=None)


def begin_delivery(tx: Tx, delivery: Delivery) -> bool:
    """Whether a claimed message has to be sent now. One that must wait for an earlier one is postponed."""
    if not deliveries.is_claimed(tx, delivery):
        return False
    if deliveries.is_first(tx, delivery):
        return True
    deliveries.postpone(tx, replace(delivery, due_at=later(tx.now, seconds=deliveries.LOOK_AGAIN_SECONDS)))
    return False


def status_after(attempts: int, failed: Failed | None, *, hopeless: bool = False) -> Status:
    """The status of a message after `attempts` earlier attempts and this one; a `hopeless` failure is not retried."""
    if failed is None:
        return "Delivered"
    return "Failed" if hopeless or attempts + 1 >= ATTEMPTS else "Pending"


def settle_delivery(tx: Tx, delivery: Delivery, status: Status, failed: Failed | None, dice: float) -> None:
    """Store the result of sending a claimed message."""
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
    """Settle the pending change of the account's number with an outcome that did not come as the carrier's answer (a
    callback, or a person's word). Returns the kind of the change.

    Raises NotFound if nothing is pending (of that `kind` or `id`, if given); BadRequest if several changes match;
    Conflict if the change cannot be made now.
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
