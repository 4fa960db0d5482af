"""A session is what was sealed, until it is over."""

import pytest
from msgspec.structs import replace

from numberkeep.admin.console.session import LONGEST_SECONDS, Session, Sessions
from numberkeep.sealing import Sealer

SEALER = Sealer([b"1" * 32])


@pytest.fixture
def sessions(seconds: list[float]) -> Sessions:
    return Sessions(SEALER, lambda: seconds[0])


def test_it_lasts_twelve_hours(sessions: Sessions, seconds: list[float]) -> None:
    session = sessions.begin("AKIA", "123456789012")
    cookie = sessions.seal(session)
    seconds[0] += LONGEST_SECONDS - 1
    assert sessions.read(cookie) == session
    seconds[0] += 1
    assert sessions.read(cookie) is None
    assert LONGEST_SECONDS == 12 * 3600


def test_nobody_else_makes_one(sessions: Sessions, seconds: list[float]) -> None:
    session = sessions.begin("AKIA", "123456789012")
    forged = Sessions(Sealer([b"2" * 32]), lambda: seconds[0]).seal(session)
    other = SEALER.seal('{"csrf":"x","expires_at":9e9,"access_key_id":"AKIA"}', "another thing")
    for cookie in (forged, other, "", None, "sealed:", sessions.seal(session)[:-4] + "AAAA"):
        assert sessions.read(cookie) is None


def test_a_form_is_of_its_session(sessions: Sessions) -> None:
    one, other = sessions.begin(), sessions.begin()
    assert one.is_from_here(one.csrf)
    assert not one.is_from_here(other.csrf)
    assert not one.is_from_here("")
    assert not one.is_from_here("é")


def test_what_was_said_goes_along(sessions: Sessions) -> None:
    session: Session = replace(sessions.begin(), said="Done.")
    assert sessions.read(sessions.seal(session)) == session
