"""Who asks."""

import re

from msgspec import Struct

from .errors import BadRequest


class Caller(Struct, frozen=True):
    """The identity behind one signed request."""

    account_id: str
    """Twelve digits."""
    arn: str
    """``arn:aws:iam::ACCOUNT:user/NAME``, or ``...:root``."""
    access_key_id: str
    user_name: str | None = None
    """None for who is no user: a role's session, or the account itself."""
    principal_id: str = ""
    """IAM's unique id of the user, or of the role together with the session's name."""


NOBODY = Caller("", "", "")
"""Who asks what no account has asked."""


def root_of(account_id: str) -> Caller:
    """The account itself, as who its operator acts."""
    return Caller(account_id, f"arn:aws:iam::{account_id}:root", "")


def worker_of(account_id: str) -> Caller:
    """The service itself, as who it finishes what an account has begun."""
    return Caller(account_id, f"arn:aws:chime::{account_id}:worker", "")


def check_account_id(text: str) -> str:
    """`text`. Raises BadRequest if it is no account's id."""
    if not re.fullmatch(r"[0-9]{12}", text):
        raise BadRequest("account must be an account id, twelve digits.")
    return text
