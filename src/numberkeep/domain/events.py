"""The events that subscribers are notified of: a name for everything that can happen to a number."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

EventType = Literal[
    "phone_number.ordered",
    "phone_number.acquired",
    "phone_number.acquire_failed",
    "phone_number.added",
    "phone_number.changed",
    "phone_number.calling_name_settled",
    "phone_number.deleted",
    "phone_number.restored",
    "phone_number.release_failed",
    "phone_number.released",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)

_OF_STATUS: dict[tuple[str | None, str | None], EventType] = {
    (None, "AcquireInProgress"): "phone_number.ordered",
    ("AcquireFailed", "AcquireInProgress"): "phone_number.ordered",
    ("AcquireInProgress", "Unassigned"): "phone_number.acquired",
    ("AcquireInProgress", "AcquireFailed"): "phone_number.acquire_failed",
    ("Unassigned", "ReleaseInProgress"): "phone_number.deleted",
    ("ReleaseFailed", "ReleaseInProgress"): "phone_number.deleted",
    ("ReleaseInProgress", "Unassigned"): "phone_number.restored",
    ("ReleaseFailed", "Unassigned"): "phone_number.restored",
    ("DeleteInProgress", "ReleaseFailed"): "phone_number.release_failed",
}


def event_of(change: Mapping[str, tuple[Any, Any]]) -> EventType:
    """Return the event type of a number's change, given as (before, after) pairs by column."""
    status = before, after = change.get("status", ("", ""))
    if after is None:
        return "phone_number.released"
    if event := _OF_STATUS.get(status):
        return event
    if before is None:
        return "phone_number.added"
    if change.get("calling_name_status", ("", ""))[0] == "UpdateInProgress":
        return "phone_number.calling_name_settled"
    return "phone_number.changed"
