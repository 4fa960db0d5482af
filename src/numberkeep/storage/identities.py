"""The rows of users, their access keys, and roles."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from ..domain.errors import BadRequest, Conflict, NotFound
from ..domain.identity import (
    EVERYTHING,
    KEYS_OF_A_USER,
    AccessKey,
    AttachedPolicy,
    KeyStatus,
    Role,
    User,
    check_name,
)
from .table import Table
from .tx import Tx

USERS = Table(User, "users", "User")
ROLES = Table(Role, "roles", "Role")

_COLUMNS = AccessKey.__struct_fields__
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM access_keys"


def create_user(tx: Tx, user_name: str) -> User:
    """Create a user; the first one of an account may do everything. Raises BadRequest, Conflict."""
    check_name("A user's name", user_name)
    if USERS.find(tx, user_name):
        raise Conflict(f"The account has a user {user_name} already.")
    user = User(
        user_name=user_name,
        user_id="AIDA" + tx.dice.new_code(17).upper(),
        arn=f"arn:aws:iam::{tx.account_id}:user/{user_name}",
        created_at=tx.now,
        policies=() if USERS.count(tx) else (AttachedPolicy(EVERYTHING),),
    )
    USERS.insert(tx, user)
    return user


def delete_user(tx: Tx, user_name: str) -> None:
    """Remove a user and their access keys. Raises NotFound."""
    USERS.get(tx, user_name)
    USERS.delete(tx, user_name)
    tx.write("DELETE FROM access_keys WHERE account_id = ? AND user_name = ?", (tx.account_id, user_name))


def create_role(tx: Tx, role_name: str, trusted: Sequence[str], longest_session_seconds: int) -> Role:
    """Create a role, which may do nothing yet. Raises BadRequest, Conflict."""
    check_name("A role's name", role_name)
    if ROLES.find(tx, role_name):
        raise Conflict(f"The account has a role {role_name} already.")
    role = Role(
        role_name=role_name,
        role_id="AROA" + tx.dice.new_code(17).upper(),
        arn=f"arn:aws:iam::{tx.account_id}:role/{role_name}",
        created_at=tx.now,
        trusted=tuple(trusted),
        longest_session_seconds=longest_session_seconds,
    )
    ROLES.insert(tx, role)
    return role


def attach(tx: Tx, table: Table[Any], name: str, policy: AttachedPolicy) -> None:
    """Attach a policy to a user or a role, replacing one of the same name. Raises NotFound."""
    principal = table.get(tx, name)
    others = tuple(one for one in principal.policies if one.policy_name != policy.policy_name)
    table.replace(tx, replace(principal, policies=(*others, policy)))


def detach(tx: Tx, table: Table[Any], name: str, policy_name: str) -> None:
    """Detach a policy. Raises NotFound if there is no such user or role, or it has no such policy."""
    principal = table.get(tx, name)
    left = tuple(one for one in principal.policies if one.policy_name != policy_name)
    if len(left) == len(principal.policies):
        raise NotFound(f"{name} has no policy {policy_name}")
    table.replace(tx, replace(principal, policies=left))


def insert_key(tx: Tx, key: AccessKey) -> None:
    """Add an access key, and its user if there is none of that name. Raises BadRequest if they have two keys."""
    if USERS.find(tx, key.user_name) is None:
        create_user(tx, key.user_name)
    if len(keys(tx, key.user_name)) >= KEYS_OF_A_USER:
        raise BadRequest(f"User {key.user_name} has {KEYS_OF_A_USER} access keys; delete one before making another.")
    marks = ", ".join("?" * len(_COLUMNS))
    row = tuple(getattr(key, column) for column in _COLUMNS)
    tx.write(f"INSERT INTO access_keys ({', '.join(_COLUMNS)}) VALUES ({marks})", row)


def keys(tx: Tx, user_name: str | None = None) -> list[AccessKey]:
    """Return the access keys of a user, or of the whole account."""
    of_user, values = (" AND user_name = ?", (user_name,)) if user_name else ("", ())
    sql = f"{_SELECT} WHERE account_id = ?{of_user} ORDER BY user_name, created_at, access_key_id"
    return [_key(row) for row in tx.execute(sql, (tx.account_id, *values)).fetchall()]


def all_keys(tx: Tx) -> list[AccessKey]:
    """Return the access keys of all accounts."""
    return [_key(row) for row in tx.execute(f"{_SELECT} ORDER BY access_key_id", ()).fetchall()]


def any_key(tx: Tx) -> AccessKey | None:
    """Return one access key of any account; None if there is none."""
    row = tx.execute(f"{_SELECT} LIMIT 1", ()).fetchone()
    return _key(row) if row else None


def find_key(tx: Tx, access_key_id: str) -> AccessKey | None:
    """Return the key with this id, of any account, or None."""
    row = tx.execute(f"{_SELECT} WHERE access_key_id = ?", (access_key_id,)).fetchone()
    return _key(row) if row else None


def find_key_and_user(tx: Tx, access_key_id: str) -> tuple[AccessKey, User] | None:
    """Return the key with this id, of any account, and its user; None if there is no such key."""
    key = find_key(tx, access_key_id)
    if key is None:
        return None
    row = tx.execute(f"{USERS.select} AND user_name = ?", (key.account_id, key.user_name)).fetchone()
    return (key, USERS.of(row)) if row else None


def get_key(tx: Tx, access_key_id: str) -> AccessKey:
    """Return the account's key with this id. Raises NotFound."""
    key = find_key(tx, access_key_id)
    if key is None or key.account_id != tx.account_id:
        raise NotFound(f"The account has no access key {access_key_id}")
    return key


def set_key_status(tx: Tx, access_key_id: str, status: KeyStatus) -> None:
    """Enable or disable a key. Raises NotFound."""
    get_key(tx, access_key_id)
    tx.write("UPDATE access_keys SET status = ? WHERE access_key_id = ?", (status, access_key_id))


def touch_key(tx: Tx, access_key_id: str) -> None:
    """Record that a key was used now."""
    tx.write("UPDATE access_keys SET last_used_at = ? WHERE access_key_id = ?", (tx.now, access_key_id))


def reseal_key(tx: Tx, access_key_id: str, secret_access_key: str) -> None:
    """Store a key's newly sealed secret."""
    sql = "UPDATE access_keys SET secret_access_key = ? WHERE access_key_id = ?"
    tx.write(sql, (secret_access_key, access_key_id))


def delete_key(tx: Tx, access_key_id: str) -> None:
    """Delete a key. Raises NotFound."""
    get_key(tx, access_key_id)
    tx.write("DELETE FROM access_keys WHERE access_key_id = ?", (access_key_id,))


def _key(row: Sequence[Any]) -> AccessKey:
    return AccessKey(**dict(zip(_COLUMNS, row, strict=True)))
