"""The rows of account settings. An account without a row has the defaults."""

from msgspec.structs import astuple

from ..domain.settings import AccountSettings
from .tx import Tx

COLUMNS = AccountSettings.__struct_fields__


def get(tx: Tx) -> AccountSettings:
    """Return the account's settings."""
    sql = f"SELECT {', '.join(COLUMNS)} FROM account_settings WHERE account_id = ?"
    row = tx.execute(sql, (tx.account_id,)).fetchone()
    return AccountSettings(*row) if row else AccountSettings()


def put(tx: Tx, settings: AccountSettings) -> None:
    """Store `settings` as the account's."""
    assignments = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS)
    tx.write(
        f"INSERT INTO account_settings (account_id, {', '.join(COLUMNS)}) VALUES (?{', ?' * len(COLUMNS)})"
        f" ON CONFLICT (account_id) DO UPDATE SET {assignments}",
        (tx.account_id, *astuple(settings)),
    )
