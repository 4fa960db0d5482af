"""Groups of Voice Connectors that are fallbacks for each other."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..domain.errors import Conflict
from ..domain.limits import check_distinct, check_quota
from ..domain.voice_connector import DEFAULT_REGION, GROUP_ID_LENGTH, VoiceConnectorGroup, VoiceConnectorItem
from ..storage import phone_numbers
from ..storage.resources import VOICE_CONNECTOR_GROUPS, VOICE_CONNECTORS, link
from ..storage.tx import Tx
from . import pages
from .batches import Answer


def create_voice_connector_group(
    tx: Tx,
    name: str,
    voice_connector_items: Sequence[Struct] | None = None,
    call_distribution_type: str | None = None,
) -> Answer:
    """Create a group, empty or of the given Voice Connectors."""
    check_quota(tx.quotas, "voice_connector_groups", lambda: VOICE_CONNECTOR_GROUPS.count(tx) + 1)
    group = new_voice_connector_group(tx, tx.dice.new_code(GROUP_ID_LENGTH), name)
    group = replace(
        group,
        voice_connector_items=_items(tx, voice_connector_items or ()),
        call_distribution_type=call_distribution_type or group.call_distribution_type,
    )
    VOICE_CONNECTOR_GROUPS.insert(tx, group)
    _link(tx, group)
    return {"VoiceConnectorGroup": group}


def new_voice_connector_group(tx: Tx, voice_connector_group_id: str, name: str) -> VoiceConnectorGroup:
    """Return an empty group with this id."""
    return VoiceConnectorGroup(
        voice_connector_group_id=voice_connector_group_id,
        name=name,
        voice_connector_group_arn=f"arn:aws:chime:{DEFAULT_REGION}:{tx.account_id}:vcg/{voice_connector_group_id}",
        created_timestamp=tx.now,
        updated_timestamp=tx.now,
    )


def get_voice_connector_group(tx: Tx, voice_connector_group_id: str) -> Answer:
    """Return one group."""
    return {"VoiceConnectorGroup": VOICE_CONNECTOR_GROUPS.get(tx, voice_connector_group_id)}


def list_voice_connector_groups(tx: Tx, max_results: int | None = None, next_token: str | None = None) -> Answer:
    """List the account's groups, in the order of their ids."""
    page, next_token = pages.of_table(tx, "ListVoiceConnectorGroups", VOICE_CONNECTOR_GROUPS, max_results, next_token)
    return {"VoiceConnectorGroups": page, "NextToken": next_token}


def update_voice_connector_group(
    tx: Tx,
    voice_connector_group_id: str,
    name: str,
    voice_connector_items: Sequence[Struct],
    call_distribution_type: str | None = None,
) -> Answer:
    """Change a group's name, and replace its Voice Connectors."""
    was = VOICE_CONNECTOR_GROUPS.get(tx, voice_connector_group_id)
    group = replace(
        was,
        name=name,
        voice_connector_items=_items(tx, voice_connector_items),
        call_distribution_type=call_distribution_type or was.call_distribution_type,
        updated_timestamp=tx.now,
    )
    VOICE_CONNECTOR_GROUPS.replace(tx, group)
    _link(tx, group)
    return {"VoiceConnectorGroup": group}


def delete_voice_connector_group(tx: Tx, voice_connector_group_id: str) -> None:
    """Delete a group that has neither Voice Connectors nor phone numbers."""
    group = VOICE_CONNECTOR_GROUPS.get(tx, voice_connector_group_id)
    if phone_numbers.is_held_by(tx, "VoiceConnectorGroupId", voice_connector_group_id):
        raise Conflict(
            f"VoiceConnectorGroup {voice_connector_group_id} has phone numbers; disassociate them before deleting it.",
            "PhoneNumberAssociationsExist",
        )
    if group.voice_connector_items:
        raise Conflict(
            f"VoiceConnectorGroup {voice_connector_group_id} has Voice Connectors; remove them before deleting it.",
            "VoiceConnectorGroupAssociationsExist",
        )
    VOICE_CONNECTOR_GROUPS.delete(tx, voice_connector_group_id)


def _items(tx: Tx, given: Sequence[Struct]) -> tuple[VoiceConnectorItem, ...]:
    items = msgspec.convert(given, tuple[VoiceConnectorItem, ...], from_attributes=True)
    check_quota(tx.quotas, "voice_connectors_per_group", lambda: len(items))
    check_distinct("VoiceConnectorItems", [item.voice_connector_id for item in items], "Voice Connector")
    for item in items:
        VOICE_CONNECTORS.get(tx, item.voice_connector_id)
    return items


def _link(tx: Tx, group: VoiceConnectorGroup) -> None:
    link(tx, group.voice_connector_group_id, [item.voice_connector_id for item in group.voice_connector_items])
