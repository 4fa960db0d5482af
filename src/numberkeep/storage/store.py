"""Facts about the store itself."""

from .tx import Tx

CLOCK_OFFSET_SECONDS = "clock_offset_seconds"
"""The fact that tells how far the service's time was moved ahead of the real one."""
TOKEN_SECRET = "token_secret"  # noqa: S105 - its name is no secret
"""The fact that page tokens are sealed with: 64 hexadecimal digits."""
COPY_PROGRESS = "copy_progress"
"""The fact that a store is the target of a copy that has not ended; see `copying`."""


def get(tx: Tx, name: str) -> str | None:
    """The fact of that name, if it is known."""
    row = tx.execute("SELECT value FROM store WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def put(tx: Tx, name: str, value: str) -> None:
    """Keep a fact."""
    sql = "INSERT INTO store (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    tx.write(sql, (name, value))


def is_new(tx: Tx) -> bool:
    """Whether no number has ever been in the store."""
    return tx.execute("SELECT 1 FROM phone_number_history LIMIT 1", ()).fetchone() is None


def clear(tx: Tx) -> None:
    """Forget all accounts' numbers, orders and settings, and that the clock was moved; the keys stay."""
    for table in (
        "phone_number_owners",
        "phone_numbers",
        "phone_number_associations",
        "phone_number_history",
        "departed_phone_numbers",
        "phone_number_orders",
        "pending_changes",
        "deliveries",
        "account_settings",
        "voice_connectors",
        "voice_connector_groups",
        "sip_media_applications",
        "sip_rules",
        "resource_links",
        "resource_configurations",
        "business_accounts",
        "business_users",
    ):
        tx.write(f"DELETE FROM {table}", ())
    tx.known.clear()
    tx.write("DELETE FROM store WHERE name = ?", (CLOCK_OFFSET_SECONDS,))
