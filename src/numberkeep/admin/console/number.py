"""The page of one number: what it is, what happened to it, and what can be done with it now."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from ...domain.errors import BadRequest, NotFound
from ...domain.events import event_of
from ...domain.moment import Timestamp
from ...domain.number_plan import normalize_id
from ...domain.phone_number import Association, PhoneNumber
from ...domain.voice_connector import VoiceConnector, VoiceConnectorGroup
from ...storage import pending_changes, phone_numbers
from ...storage.pending_changes import PendingChange
from ...storage.phone_numbers import Change
from ...storage.resources import VOICE_CONNECTOR_GROUPS, VOICE_CONNECTORS
from ...storage.tx import Tx
from . import possible
from .calls import Answer
from .visit import Visit

MOST_CHANGES = 200
"""How many changes of the history are shown."""
MOST_HOLDERS = 100
"""How many Voice Connectors, and how many groups, there are to choose from."""


class Known(Struct, frozen=True):
    """All that there is to know about a number."""

    e164: str
    number: PhoneNumber | None
    """None if the number has left the account."""
    pending: list[PendingChange]
    history: list[Change]
    connectors: list[VoiceConnector]
    groups: list[VoiceConnectorGroup]
    now: Timestamp


def _know(tx: Tx, e164: str) -> Known:
    number, history = phone_numbers.find(tx, e164), phone_numbers.history(tx, e164, MOST_CHANGES + 1)
    if number is None and not history:
        raise NotFound(f"The account has no number {e164}, and never had.")
    return Known(
        e164=e164,
        number=number,
        pending=pending_changes.of_number(tx, e164),
        history=history,
        connectors=VOICE_CONNECTORS.page(tx, None, MOST_HOLDERS),
        groups=VOICE_CONNECTOR_GROUPS.page(tx, None, MOST_HOLDERS),
        now=tx.now,
    )


async def show(visit: Visit) -> Response:
    """Show the number."""
    return await _show(visit, normalize_id(visit.request.path_params["e164"]))


async def _show(visit: Visit, e164: str, wrong: str = "") -> Response:
    known, routing = await visit.survey(_know, e164), visit.console.routing
    return visit.page(
        "number.html",
        400 if wrong else 200,
        title=e164,
        known=known,
        number=known.number,
        why=_reasons(visit, known.number, known.now) if known.number else {},
        events=[(change, event_of(change.change).removeprefix("phone_number.")) for change in known.history],
        most_changes=MOST_CHANGES,
        is_manual=routing.is_manual(routing.name_of(visit.caller.account_id, e164)),
        product_types=possible.PRODUCT_TYPES,
        wrong=wrong,
    )


def _reasons(visit: Visit, number: PhoneNumber, now: Timestamp) -> dict[str, Any]:
    """Why each action is not possible now; empty for those that are."""
    may_update = visit.why_denied("UpdatePhoneNumber")
    return {
        "product_type": may_update or possible.why_not_any_other_product_type(number, now),
        "product_types": {one: possible.why_not_product_type(number, one, now) for one in possible.PRODUCT_TYPES},
        "calling_name": may_update or possible.why_not_calling_name(number, now),
        "name": may_update or possible.why_not_name(number, now),
        "delete": visit.why_denied("DeletePhoneNumber") or possible.why_not_delete(number, now),
        "restore": visit.why_denied("RestorePhoneNumber") or possible.why_not_restore(number, now),
        "assign": possible.why_not_assign(number, {"VoiceConnectorId": "of some"}, now),
        "unassign": "" if _holder(number) else _why_not_unassign(number),
    }


def _holder(number: PhoneNumber) -> Association | None:
    """The association that the number can be released from on its own page; None if there is none."""
    return next((one for one in number.associations if one.name in _FREE), None)


def _why_not_unassign(number: PhoneNumber) -> str:
    for one in number.associations:
        return f"{one.name} {one.value} holds it: disable the SIP rule to have it free."
    return "Nothing holds it."


async def change(visit: Visit) -> Response:
    """Carry out one action on the number."""
    e164 = normalize_id(visit.request.path_params["e164"])
    action = _ACTIONS.get(visit.request.path_params["action"])
    if action is None:
        raise NotFound("There is no such action.")
    answer, done = await action(visit, e164)
    for failure in answer.body.get("PhoneNumberErrors") or ():
        return await _show(visit, e164, failure["ErrorMessage"])
    if answer.refusal:
        return await _show(visit, e164, answer.refusal)
    return visit.go(f"/numbers/{e164}", done)


Done = tuple[Answer, str]
"""The API's answer, and what to say if it succeeded."""


async def _product_type(visit: Visit, e164: str) -> Done:
    product_type = visit.text("value")
    answer = await visit.call("UpdatePhoneNumber", PhoneNumberId=e164, ProductType=product_type)
    return answer, f"It has the product type {product_type} now."


async def _calling_name(visit: Visit, e164: str) -> Done:
    answer = await visit.call("UpdatePhoneNumber", PhoneNumberId=e164, CallingName=visit.text("value"))
    return answer, "The calling name is asked for. That takes up to 72 hours."


async def _name(visit: Visit, e164: str) -> Done:
    answer = await visit.call("UpdatePhoneNumber", PhoneNumberId=e164, Name=visit.text("value"))
    return answer, "The name is changed."


async def _delete(visit: Visit, e164: str) -> Done:
    return await visit.call("DeletePhoneNumber", PhoneNumberId=e164), "It is deleted."


async def _restore(visit: Visit, e164: str) -> Done:
    return await visit.call("RestorePhoneNumber", PhoneNumberId=e164), "It is restored."


async def _assign(visit: Visit, e164: str) -> Done:
    name, _, id = visit.text("holder").partition(" ")
    if name not in ("VoiceConnectorId", "VoiceConnectorGroupId"):
        raise BadRequest("Choose a Voice Connector or a group.")
    operation = f"AssociatePhoneNumbersWith{name.removesuffix('Id')}"
    return await visit.call(operation, **{name: id}, E164PhoneNumbers=[e164]), f"It is assigned to {name} {id}."


async def _unassign(visit: Visit, e164: str) -> Done:
    known = await visit.survey(_know, e164)
    holder = _holder(known.number) if known.number else None
    if holder is None:
        raise BadRequest("Nothing holds it that it can be taken away from here.")
    held_by: dict[str, str] = {one.name: one.value for one in known.number.associations} if known.number else {}
    operation, members = _FREE[holder.name](held_by, e164)
    return await visit.call(operation, **members), "It is free now."


_FREE: dict[str, Callable[[Mapping[str, str], str], tuple[str, dict[str, Any]]]] = {
    "VoiceConnectorId": lambda held_by, e164: (
        "DisassociatePhoneNumbersFromVoiceConnector",
        {"VoiceConnectorId": held_by["VoiceConnectorId"], "E164PhoneNumbers": [e164]},
    ),
    "VoiceConnectorGroupId": lambda held_by, e164: (
        "DisassociatePhoneNumbersFromVoiceConnectorGroup",
        {"VoiceConnectorGroupId": held_by["VoiceConnectorGroupId"], "E164PhoneNumbers": [e164]},
    ),
    "UserId": lambda held_by, e164: (
        "DisassociatePhoneNumberFromUser",
        {"AccountId": held_by["AccountId"], "UserId": held_by["UserId"]},
    ),
}
"""By the name of an association: the call that removes it."""

_ACTIONS = {
    "product-type": _product_type,
    "calling-name": _calling_name,
    "name": _name,
    "delete": _delete,
    "restore": _restore,
    "assign": _assign,
    "unassign": _unassign,
}
