"""Assigning phone numbers, and taking them away."""

from collections.abc import Sequence

from ..domain.phone_number import Holder
from ..storage import phone_numbers
from ..storage.resources import VOICE_CONNECTOR_GROUPS, VOICE_CONNECTORS
from ..storage.tx import Tx
from .batches import Answer, each

_MEMBER = "E164PhoneNumbers"


def associate_phone_numbers_with_voice_connector(
    tx: Tx, voice_connector_id: str, e164_phone_numbers: Sequence[str], force_associate: bool | None = None
) -> Answer:
    """Assign numbers to a Voice Connector; if forced, take them away from their holders."""
    VOICE_CONNECTORS.get(tx, voice_connector_id)
    return _assign(tx, e164_phone_numbers, {"VoiceConnectorId": voice_connector_id}, force_associate)


def disassociate_phone_numbers_from_voice_connector(
    tx: Tx, voice_connector_id: str, e164_phone_numbers: Sequence[str]
) -> Answer:
    """Take numbers away from a Voice Connector."""
    VOICE_CONNECTORS.get(tx, voice_connector_id)
    return _unassign(tx, e164_phone_numbers, {"VoiceConnectorId": voice_connector_id})


def associate_phone_numbers_with_voice_connector_group(
    tx: Tx, voice_connector_group_id: str, e164_phone_numbers: Sequence[str], force_associate: bool | None = None
) -> Answer:
    """Assign numbers to a group of Voice Connectors; if forced, take them away from their holders."""
    VOICE_CONNECTOR_GROUPS.get(tx, voice_connector_group_id)
    return _assign(tx, e164_phone_numbers, {"VoiceConnectorGroupId": voice_connector_group_id}, force_associate)


def disassociate_phone_numbers_from_voice_connector_group(
    tx: Tx, voice_connector_group_id: str, e164_phone_numbers: Sequence[str]
) -> Answer:
    """Take numbers away from a group of Voice Connectors."""
    VOICE_CONNECTOR_GROUPS.get(tx, voice_connector_group_id)
    return _unassign(tx, e164_phone_numbers, {"VoiceConnectorGroupId": voice_connector_group_id})


def assign(tx: Tx, phone_number_id: str, holder: Holder, *, force: bool = False) -> None:
    """Assign one number. Raises what `PhoneNumber.assign` raises, and NotFound."""
    was = phone_numbers.get(tx, phone_number_id)
    phone_numbers.replace(tx, was, was.assign(holder, tx.now, force=force))


def unassign(tx: Tx, phone_number_id: str, holder: Holder) -> None:
    """Take one number away from `holder`. Raises what `PhoneNumber.unassign` raises, and NotFound."""
    was = phone_numbers.get(tx, phone_number_id)
    phone_numbers.replace(tx, was, was.unassign(holder, tx.now))


def _assign(tx: Tx, e164s: Sequence[str], holder: Holder, force: bool | None) -> Answer:
    return each(_MEMBER, e164s, lambda index: assign(tx, e164s[index], holder, force=bool(force)))


def _unassign(tx: Tx, e164s: Sequence[str], holder: Holder) -> Answer:
    return each(_MEMBER, e164s, lambda index: unassign(tx, e164s[index], holder))
