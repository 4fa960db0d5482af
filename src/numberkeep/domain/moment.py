"""Timestamps as AWS writes them: ISO 8601 in UTC with milliseconds, ``2019-08-12T22:10:20.521Z``.

The same text is stored, compared and returned: its width is fixed, so that it sorts in the order of time.
"""

from datetime import UTC, datetime, timedelta

Timestamp = str


def moment(seconds: float) -> Timestamp:
    """Return the timestamp for `seconds` since 1970, rounded down to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def seconds_of(timestamp: Timestamp) -> float:
    """Return the seconds since 1970. Raises ValueError unless given an ISO 8601 date and time with a time zone."""
    parsed = datetime.fromisoformat(timestamp)
    if parsed.tzinfo is None:
        raise ValueError(f"{timestamp!r} has no time zone")
    return parsed.timestamp()


def later(timestamp: Timestamp, *, days: float = 0, hours: float = 0, seconds: float = 0) -> Timestamp:
    """Return the timestamp this much after `timestamp`."""
    wait = timedelta(days=days, hours=hours, seconds=seconds)
    return (datetime.fromisoformat(timestamp) + wait).isoformat(timespec="milliseconds")[:-6] + "Z"
