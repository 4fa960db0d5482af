"""Moments as AWS writes them: ISO 8601 in UTC with milliseconds, ``2019-08-12T22:10:20.521Z``.

The same text is kept, compared and answered: its width is fixed, so that its order is the order of time.
"""

from datetime import UTC, datetime, timedelta

Timestamp = str


def moment(seconds: float) -> Timestamp:
    """The moment that is `seconds` after the beginning of 1970, to the millisecond, rounded down."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def seconds_of(timestamp: Timestamp) -> float:
    """Seconds since 1970. Raises ValueError if `timestamp` is no ISO 8601 date and time with a time zone."""
    parsed = datetime.fromisoformat(timestamp)
    if parsed.tzinfo is None:
        raise ValueError(f"{timestamp!r} has no time zone")
    return parsed.timestamp()


def later(timestamp: Timestamp, *, days: float = 0, hours: float = 0, seconds: float = 0) -> Timestamp:
    """The moment so much after `timestamp`."""
    wait = timedelta(days=days, hours=hours, seconds=seconds)
    return (datetime.fromisoformat(timestamp) + wait).isoformat(timespec="milliseconds")[:-6] + "Z"
