"""Callers: who is behind a request or transaction."""

import re

from msgspec import Struct

from .errors import BadRequest


class Caller(Struct, frozen=True):
    """The identity behind a request or transaction."""

    account_id: str
    """Twelve digits."""
    arn: str
    """Such as ``arn:aws:iam::ACCOUNT:user/NAME``, or ``...:root``."""
    access_key_id: str
    user_name: str | None = None
    """None if the caller is not a user but a role session, or the account itself."""
    principal_id: str = ""
    """IAM's unique id of the user; for a role session, the role's id and the session name."""


NOBODY = Caller("", "", "")
"""The caller for what no account has requested."""


def root_of(account_id: str) -> Caller:
    """Return the account itself, as the caller for its operator."""
    return Caller(account_id, f"arn:aws:iam::{account_id}:root", "")


def worker_of(account_id: str) -> Caller:
    """Return the service itself, as the caller that finishes what an account has begun."""
    return Caller(account_id, f"arn:aws:chime::{account_id}:worker", "")


def check_account_id(text: str) -> str:
    """Return `text`. Raises BadRequest unless it is an account id."""
    if not re.fullmatch(r"[0-9]{12}", text):
        raise BadRequest("account must be an account id, twelve digits.")
    return text
