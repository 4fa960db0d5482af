"""The page Pending: what carriers have to do now, and where a person enters the outcome for one that cannot."""

from starlette.responses import Response

from ... import settling
from ...carriers import Done, Refused
from ...carriers.routing import Routing
from ...domain.errors import BadRequest
from ...domain.moment import Timestamp
from ...domain.number_plan import normalize_id
from ...domain.phone_number import PhoneNumber
from ...storage import pending_changes
from ...storage.pending_changes import PendingChange
from ...storage.tx import Tx
from . import calls
from .visit import Visit

PAGE_CHANGES = 50
ROWS_AT_ONCE = 500
SETTLE = f"{calls.SOURCE}:{calls.SETTLE}"
"""The action, in policies, of giving the outcome of a change: the API has no operation for it."""

Waiting = tuple[PendingChange, PhoneNumber, str]
"""A change, its number, and the name of its carrier."""


async def show(visit: Visit) -> Response:
    """Show what is pending, in the order of the numbers."""
    return await _show(visit)


async def _show(visit: Visit, wrong: str = "") -> Response:
    carrier, routing = visit.query("carrier"), visit.console.routing
    e164, _, kind = visit.query("after").partition(" ")
    waiting, now = await visit.survey(_page, routing, carrier, (e164, kind))
    waiting, has_after = waiting[:PAGE_CHANGES], len(waiting) > PAGE_CHANGES
    last = waiting[-1][0] if has_after else None
    return visit.page(
        "pending.html",
        400 if wrong else 200,
        title="Pending",
        waiting=[
            (change, settling.id_of(change), number, name, routing.is_manual(name)) for change, number, name in waiting
        ],
        asked_at=now,
        carrier=carrier,
        carriers=sorted(routing.carriers),
        after=f"{last.e164_phone_number} {last.kind}" if last else "",
        denied=_denied(visit),
        wrong=wrong,
    )


def _page(tx: Tx, routing: Routing, carrier: str, after: tuple[str, str]) -> tuple[list[Waiting], Timestamp]:
    """The changes of a page, and one more if there is one."""
    found: list[Waiting] = []
    while len(found) <= PAGE_CHANGES and (changes := pending_changes.page(tx, after, ROWS_AT_ONCE)):
        for change, number in pending_changes.with_numbers(tx, changes):
            name = routing.name_of(tx.account_id, number.e164_phone_number)
            if carrier in ("", name) and settling.is_asked(change, number, tx.now):
                found.append((change, number, name))
        after = changes[-1].e164_phone_number, changes[-1].kind
    return found[: PAGE_CHANGES + 1], tx.now


def _denied(visit: Visit) -> str:
    return "" if visit.allows(SETTLE) else visit.denial(SETTLE)


async def settle(visit: Visit) -> Response:
    """Settle a change with the outcome in the form."""
    try:
        e164, reason = normalize_id(visit.text("number")), visit.text("reason").strip()
        has_failed = visit.text("outcome") == "failed"
        if has_failed and not reason:
            raise BadRequest("Say why it has failed: this is kept in the number's history.")
        if reason and not has_failed:  # somebody wrote why it failed, and pressed Enter
            raise BadRequest("What is done has no reason. Leave it empty, or say that it has failed.")
    except BadRequest as error:
        return await _show(visit, str(error))
    denied = _denied(visit)
    answer = await visit.settle(e164, Refused(reason) if has_failed else Done(), visit.text("id"), denied)
    if denied:
        return visit.refused(403, denied)
    if answer.refusal:
        return await _show(visit, answer.refusal)
    kind = str(answer.body["Kind"]).replace("_", " ")
    return visit.go("/pending", f"{e164}: {kind} has {'failed' if has_failed else 'succeeded'}.")
