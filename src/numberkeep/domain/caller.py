"""Who asks."""

from msgspec import Struct


class Caller(Struct, frozen=True):
    """The identity behind one signed request."""

    account_id: str
    """Twelve digits."""
    arn: str
    """``arn:aws:iam::ACCOUNT:user/NAME``, or ``...:root``."""
    access_key_id: str
