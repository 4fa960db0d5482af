"""Who may sign requests: an account's users and roles, as in AWS Identity and Access Management (IAM)."""

import re
from typing import Literal

from msgspec import Struct

from .errors import BadRequest
from .moment import Timestamp

KEYS_OF_A_USER = 2
"""How many access keys a user can have: as in IAM, so that one can be rotated while the other works."""
SHORTEST_SESSION_SECONDS = 900
LONGEST_USER_SESSION_SECONDS = 129_600
DEFAULT_USER_SESSION_SECONDS = 43_200
DEFAULT_ROLE_SESSION_SECONDS = 3600
LONGEST_ROLE_SESSION_SECONDS = 43_200
EVERYTHING = "AdministratorAccess"
"""The managed policy that the first user of an account gets."""

_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")

KeyStatus = Literal["Active", "Inactive"]


class AttachedPolicy(Struct, frozen=True):
    """A policy attached to a user or role: a managed one by its name, or a document of its own."""

    policy_name: str
    document: str | None = None
    """JSON; None for a managed policy."""


class User(Struct, frozen=True, kw_only=True):
    """A user, who signs requests with access keys."""

    user_name: str
    user_id: str
    arn: str
    created_at: Timestamp
    policies: tuple[AttachedPolicy, ...] = ()


class Role(Struct, frozen=True, kw_only=True):
    """A role, which trusted users can assume for a limited time."""

    role_name: str
    role_id: str
    arn: str
    created_at: Timestamp
    trusted: tuple[str, ...]
    """ARNs of users, or twelve-digit ids of accounts whose users are all trusted."""
    longest_session_seconds: int = DEFAULT_ROLE_SESSION_SECONDS
    policies: tuple[AttachedPolicy, ...] = ()


class AccessKey(Struct, frozen=True, kw_only=True):
    """A key with which a user signs requests. Its secret is stored encrypted."""

    access_key_id: str
    account_id: str
    user_name: str
    secret_access_key: str
    """Encrypted; see `numberkeep.sealing`."""
    status: KeyStatus = "Active"
    created_at: Timestamp
    last_used_at: Timestamp | None = None


def check_name(what: str, name: str) -> None:
    """Raise BadRequest for a name that IAM does not allow."""
    if not _NAME.fullmatch(name):
        raise BadRequest(f"{what} must be 1 to 64 letters, digits or +=,.@_-; it is {name!r}.")
