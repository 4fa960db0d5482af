"""Everything that can happen to a number has a name."""

import pytest

from numberkeep.domain.events import EVENT_TYPES, event_of
from numberkeep.domain.phone_number import MOVES

NAMED = {
    "acquire": "acquired",
    "fail_to_acquire": "acquire_failed",
    "restore": "restored",
    "fail_to_release": "release_failed",
    "release": "released",
    "begin_release": "changed",
    "assign": "changed",
    "unassign": "changed",
}


@pytest.mark.parametrize(("move", "after"), MOVES.items(), ids=str)
def test_every_move_is_told(move: tuple[str, str], after: str | None) -> None:
    before, event = move
    named = NAMED.get(event) or ("deleted" if after else "released")
    assert event_of({"status": (before, after), "updated_timestamp": ("a", "b")}) == f"phone_number.{named}"


@pytest.mark.parametrize(
    ("change", "event"),
    [
        ({"status": (None, "AcquireInProgress")}, "ordered"),
        ({"status": ("AcquireFailed", "AcquireInProgress")}, "ordered"),
        ({"status": (None, "Unassigned")}, "added"),
        (
            {"status": ("AcquireInProgress", "Unassigned"), "calling_name_status": ("Unassigned", "UpdateInProgress")},
            "acquired",
        ),
        ({"calling_name_status": ("UpdateInProgress", "UpdateFailed")}, "calling_name_settled"),
        ({"calling_name_status": ("Unassigned", "UpdateInProgress")}, "changed"),
        ({"name": (None, "desk")}, "changed"),
    ],
)
def test_what_else_happens(change: dict[str, tuple[str | None, str | None]], event: str) -> None:
    assert event_of(change) == f"phone_number.{event}"
    assert f"phone_number.{event}" in EVENT_TYPES
