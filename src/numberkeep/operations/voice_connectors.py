"""Voice Connectors: create, read, list, update, delete, and who may call through them."""

from collections.abc import Sequence
from hashlib import scrypt
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..domain.errors import BadRequest, Conflict
from ..domain.limits import TERMINATION_CREDENTIALS, check_list, check_quota
from ..domain.tags import Tag, add_tags
from ..domain.voice_connector import DEFAULT_REGION, ID_LENGTH, REGIONS, VoiceConnector
from ..storage import phone_numbers
from ..storage.resources import (
    VOICE_CONNECTOR_GROUPS,
    VOICE_CONNECTORS,
    configuration,
    configure,
    sources_of,
    unconfigure,
)
from ..storage.tx import Tx
from . import pages
from .batches import Answer

_CREDENTIALS = "termination_credentials"
SCRYPT_COST = 512
"""A hash takes about two milliseconds, during which nobody else writes."""


def create_voice_connector(
    tx: Tx,
    name: str,
    require_encryption: bool,
    aws_region: str | None = None,
    tags: Sequence[Struct] | None = None,
    integration_type: str | None = None,
    network_type: str | None = None,
) -> Answer:
    """Create a Voice Connector, in us-east-1 unless another region is given."""
    region = aws_region or DEFAULT_REGION
    check_quota(tx.quotas, "voice_connectors", lambda: VOICE_CONNECTORS.count(tx, "aws_region = ?", (region,)) + 1)
    connector = replace(
        new_voice_connector(tx, tx.dice.new_code(ID_LENGTH), name, region),
        require_encryption=require_encryption,
        integration_type=integration_type,
        tags=add_tags((), msgspec.convert(tags or (), tuple[Tag, ...], from_attributes=True)),
    )
    if network_type:
        connector = replace(connector, network_type=network_type)
    VOICE_CONNECTORS.insert(tx, connector)
    return {"VoiceConnector": connector}


def new_voice_connector(tx: Tx, voice_connector_id: str, name: str, aws_region: str = DEFAULT_REGION) -> VoiceConnector:
    """Return a Voice Connector with this id and default settings."""
    return VoiceConnector(
        voice_connector_id=voice_connector_id,
        aws_region=aws_region,
        name=name,
        voice_connector_arn=f"arn:aws:chime:{aws_region}:{tx.account_id}:vc/{voice_connector_id}",
        created_timestamp=tx.now,
        updated_timestamp=tx.now,
    )


def get_voice_connector(tx: Tx, voice_connector_id: str) -> Answer:
    """Return one Voice Connector."""
    return {"VoiceConnector": VOICE_CONNECTORS.get(tx, voice_connector_id)}


def list_voice_connectors(tx: Tx, max_results: int | None = None, next_token: str | None = None) -> Answer:
    """List the account's Voice Connectors, in the order of their ids."""
    page, next_token = pages.of_table(tx, "ListVoiceConnectors", VOICE_CONNECTORS, max_results, next_token)
    return {"VoiceConnectors": page, "NextToken": next_token}


def update_voice_connector(tx: Tx, voice_connector_id: str, name: str, require_encryption: bool) -> Answer:
    """Change the name, and whether calls must be encrypted."""
    connector = replace(
        VOICE_CONNECTORS.get(tx, voice_connector_id),
        name=name,
        require_encryption=require_encryption,
        updated_timestamp=tx.now,
    )
    VOICE_CONNECTORS.replace(tx, connector)
    return {"VoiceConnector": connector}


def delete_voice_connector(tx: Tx, voice_connector_id: str) -> None:
    """Delete a Voice Connector that has no phone numbers, is in no group and triggers no SIP rule."""
    VOICE_CONNECTORS.get(tx, voice_connector_id)
    if phone_numbers.is_held_by(tx, "VoiceConnectorId", voice_connector_id):
        raise Conflict(
            f"VoiceConnector {voice_connector_id} has phone numbers; disassociate them before deleting it.",
            "PhoneNumberAssociationsExist",
        )
    for source_id in sources_of(tx, voice_connector_id, limit=1):
        if VOICE_CONNECTOR_GROUPS.find(tx, source_id):
            raise Conflict(
                f"VoiceConnector {voice_connector_id} is in VoiceConnectorGroup {source_id}; remove it there first.",
                "VoiceConnectorGroupAssociationsExist",
            )
        raise Conflict(f"VoiceConnector {voice_connector_id} is the trigger of SipRule {source_id}; delete that first.")
    VOICE_CONNECTORS.delete(tx, voice_connector_id)
    unconfigure(tx, voice_connector_id)


def list_available_voice_connector_regions(tx: Tx) -> Answer:
    """List the regions that a Voice Connector can be in."""
    return {"VoiceConnectorRegions": REGIONS}


def put_voice_connector_termination_credentials(
    tx: Tx, voice_connector_id: str, credentials: Sequence[Any] | None = None
) -> None:
    """Add users whose calls are accepted, or change their passwords. Only a hash of a password is stored."""
    VOICE_CONNECTORS.get(tx, voice_connector_id)
    usernames = [credential.username or "" for credential in credentials or ()]
    check_list("Credentials", usernames, TERMINATION_CREDENTIALS, "user")
    words = [*usernames, *(credential.password or "" for credential in credentials or ())]
    if not all(word and word.isascii() for word in words):
        raise BadRequest("Credentials must have a Username and a Password each, in US-ASCII.")
    known = configuration(tx, voice_connector_id, _CREDENTIALS) or {}
    if len(known.keys() | set(usernames)) > TERMINATION_CREDENTIALS:
        raise BadRequest(f"A VoiceConnector has at most {TERMINATION_CREDENTIALS} termination credentials.")
    known |= {credential.username: _hashed(tx, credential.password) for credential in credentials or ()}
    configure(tx, voice_connector_id, _CREDENTIALS, known)


def list_voice_connector_termination_credentials(tx: Tx, voice_connector_id: str) -> Answer:
    """List the users whose calls are accepted, never their passwords."""
    VOICE_CONNECTORS.get(tx, voice_connector_id)
    return {"Usernames": sorted(configuration(tx, voice_connector_id, _CREDENTIALS) or ())}


def delete_voice_connector_termination_credentials(tx: Tx, voice_connector_id: str, usernames: Sequence[str]) -> None:
    """Accept no calls from these users any more. Raises BadRequest for one that is unknown."""
    VOICE_CONNECTORS.get(tx, voice_connector_id)
    check_list("Usernames", usernames, TERMINATION_CREDENTIALS, "user")
    known = configuration(tx, voice_connector_id, _CREDENTIALS) or {}
    for place, username in enumerate(usernames, 1):
        if known.pop(username, None) is None:
            raise BadRequest(f"Usernames must hold users of the VoiceConnector; item {place} is none.")
    configure(tx, voice_connector_id, _CREDENTIALS, known)


def get_voice_connector_termination_health(tx: Tx, voice_connector_id: str) -> Answer:
    """Return when and from where the last SIP OPTIONS request came: never, as no calls are carried here."""
    VOICE_CONNECTORS.get(tx, voice_connector_id)
    return {"TerminationHealth": {"Timestamp": None, "Source": None}}


def _hashed(tx: Tx, password: str) -> str:
    salt = tx.dice.new_secret()[:32]
    hashed = scrypt(password.encode(), salt=bytes.fromhex(salt), n=SCRYPT_COST, r=8, p=1)
    return f"scrypt${SCRYPT_COST}$8$1${salt}${hashed.hex()}"
