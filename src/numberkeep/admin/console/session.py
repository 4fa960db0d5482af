"""Console sessions: a sealed cookie, and a token that a page of another site cannot know."""

import secrets
from collections.abc import Callable
from hmac import compare_digest

import msgspec
from msgspec import Struct

from ...sealing import Sealer, SealError

LONGEST_SECONDS = 12 * 3600
"""How long somebody stays signed in at most."""
_OF = "console session"


class Session(Struct, frozen=True):
    """The contents of the cookie, which is sealed so that nobody can forge one. Nothing of it is stored here."""

    csrf: str
    """The token that every form of the session carries."""
    expires_at: float
    """Epoch seconds."""
    access_key_id: str = ""
    """Empty until somebody has signed in."""
    account_id: str = ""
    """The account whose numbers are shown."""
    said: str = ""
    """A message for the next page to show."""

    def is_from_here(self, csrf: str) -> bool:
        """Whether a form belongs to this session, by its token."""
        return compare_digest(csrf.encode(), self.csrf.encode())


class Sessions:
    """Makes, seals and reads sessions."""

    def __init__(self, sealer: Sealer, real_seconds: Callable[[], float]) -> None:
        self._sealer = sealer
        self._real_seconds = real_seconds

    def begin(self, access_key_id: str = "", account_id: str = "") -> Session:
        """Make a new session."""
        expires_at = self._real_seconds() + LONGEST_SECONDS
        return Session(secrets.token_urlsafe(24), expires_at, access_key_id, account_id)

    def seal(self, session: Session) -> str:
        """The session as the text of a cookie."""
        return self._sealer.seal(msgspec.json.encode(session).decode(), _OF)

    def read(self, cookie: str | None) -> Session | None:
        """The session in a cookie; None if there is none, or it has expired."""
        try:
            session = msgspec.json.decode(self._sealer.unseal(cookie or "", _OF), type=Session)
        except (SealError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return session if self._real_seconds() < session.expires_at else None
