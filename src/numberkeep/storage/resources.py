"""The rows of the resources that numbers can be assigned to, their links to each other, and their configurations."""

from collections.abc import Iterable
from typing import Any

import msgspec

from ..domain.business_account import Account, User
from ..domain.sip import SipMediaApplication, SipRule
from ..domain.voice_connector import VoiceConnector, VoiceConnectorGroup
from .table import Table
from .tx import Tx

VOICE_CONNECTORS = Table(VoiceConnector, "voice_connectors", "VoiceConnector")
VOICE_CONNECTOR_GROUPS = Table(VoiceConnectorGroup, "voice_connector_groups", "VoiceConnectorGroup")
SIP_MEDIA_APPLICATIONS = Table(SipMediaApplication, "sip_media_applications", "SipMediaApplication")
SIP_RULES = Table(SipRule, "sip_rules", "SipRule")
ACCOUNTS = Table(Account, "business_accounts", "Account")
USERS = Table(User, "business_users", "User")

_OF_RESOURCE = "FROM resource_configurations WHERE account_id = ? AND resource_id = ?"


def arn_of(tx: Tx, kind: str, id: str) -> str | None:
    """Return the ARN of the account's Voice Connector (``vc``) or SIP media application (``sma``), or None."""
    if kind == "vc":
        connector = VOICE_CONNECTORS.find(tx, id)
        return connector.voice_connector_arn if connector else None
    application = SIP_MEDIA_APPLICATIONS.find(tx, id)
    return application.sip_media_application_arn if application else None


def delete_users(tx: Tx, chime_account_id: str) -> None:
    """Delete all users of a Chime account."""
    sql = "DELETE FROM business_users WHERE account_id = ? AND chime_account_id = ?"
    tx.write(sql, (tx.account_id, chime_account_id))


def link(tx: Tx, source_id: str, target_ids: Iterable[str]) -> None:
    """Replace the links from `source_id` by links to `target_ids`: a group's to its Voice Connectors, a SIP rule's to
    its applications and the Voice Connector that triggers it."""
    tx.write("DELETE FROM resource_links WHERE account_id = ? AND source_id = ?", (tx.account_id, source_id))
    for target_id in sorted(set(target_ids)):
        tx.write(
            "INSERT INTO resource_links (account_id, target_id, source_id) VALUES (?, ?, ?)",
            (tx.account_id, target_id, source_id),
        )


def sources_of(tx: Tx, target_id: str, after: str | None = None, limit: int = 1) -> list[str]:
    """Return the ids of resources with a link to `target_id`: up to `limit`, sorted, those after `after`."""
    sql = (
        "SELECT source_id FROM resource_links WHERE account_id = ? AND target_id = ? AND source_id > ?"
        " ORDER BY source_id LIMIT ?"
    )
    return [source_id for (source_id,) in tx.execute(sql, (tx.account_id, target_id, after or "", limit)).fetchall()]


def user_of_email(tx: Tx, email: str) -> User | None:
    """Return the user with this email address, who is one at most, or None."""
    row = tx.execute(f"{USERS.select} AND primary_email = ?", (tx.account_id, email)).fetchone()
    return USERS.of(row) if row else None


def configuration(tx: Tx, resource_id: str, kind: str) -> Any:
    """Return what is stored for a resource under `kind`, or None."""
    row = tx.execute(f"SELECT value {_OF_RESOURCE} AND kind = ?", (tx.account_id, resource_id, kind)).fetchone()
    return msgspec.json.decode(row[0]) if row else None


def configure(tx: Tx, resource_id: str, kind: str, value: object) -> None:
    """Store `value` for a resource under `kind`."""
    tx.write(
        "INSERT INTO resource_configurations (account_id, resource_id, kind, value) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (account_id, resource_id, kind) DO UPDATE SET value = excluded.value",
        (tx.account_id, resource_id, kind, msgspec.json.encode(value).decode()),
    )


def unconfigure(tx: Tx, resource_id: str, kind: str | None = None) -> None:
    """Delete what is stored for a resource under `kind`, or under all kinds."""
    of_kind = " AND kind = ?" if kind else ""
    tx.write(f"DELETE {_OF_RESOURCE}{of_kind}", (tx.account_id, resource_id, *([kind] if kind else [])))
