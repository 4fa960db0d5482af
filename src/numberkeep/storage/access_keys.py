"""The rows of access keys: whose signatures count."""

import secrets
import string

from msgspec import Struct

from .tx import Tx

_SELECT = "SELECT access_key_id, account_id, user_name, secret_access_key FROM access_keys"


class AccessKey(Struct, frozen=True):
    """What a user of an account signs requests with."""

    access_key_id: str
    account_id: str
    user_name: str
    secret_access_key: str

    @property
    def arn(self) -> str:
        """The user's ARN."""
        return f"arn:aws:iam::{self.account_id}:user/{self.user_name}"


def create(tx: Tx, user_name: str) -> AccessKey:
    """A new key of the account's user, made of the operating system's randomness."""
    letters = string.ascii_uppercase + "234567"
    access_key_id = "AKIA" + "".join(secrets.choice(letters) for _ in range(16))
    key = AccessKey(access_key_id, tx.account_id, user_name, secrets.token_urlsafe(30))
    tx.write(
        "INSERT INTO access_keys (access_key_id, account_id, user_name, secret_access_key, created_at)"
        " VALUES (?, ?, ?, ?, ?)",
        (key.access_key_id, key.account_id, key.user_name, key.secret_access_key, tx.now),
    )
    return key


def ensure(tx: Tx, user_name: str) -> AccessKey:
    """A key of the account's user: the one there is, or a new one."""
    row = tx.execute(f"{_SELECT} WHERE account_id = ? AND user_name = ?", (tx.account_id, user_name)).fetchone()
    return AccessKey(*row) if row else create(tx, user_name)


def find(tx: Tx, access_key_id: str) -> AccessKey | None:
    """The key of that id, of any account; None if there is none."""
    row = tx.execute(f"{_SELECT} WHERE access_key_id = ?", (access_key_id,)).fetchone()
    return AccessKey(*row) if row else None
