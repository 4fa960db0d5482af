"""Counts of what is in the store, which take too long to make while a request waits."""

from collections.abc import Mapping
from typing import get_args

from msgspec import Struct

from ..domain.moment import seconds_of
from ..domain.phone_number import ChangeKind, Status
from .tx import Tx

KINDS = (*get_args(ChangeKind), "delivery")
"""The kinds of work that can be due."""


class Survey(Struct, frozen=True):
    """Counts at one moment, over all accounts."""

    numbers: Mapping[str, int]
    """Phone numbers, by status."""
    pending: Mapping[str, int]
    """Changes that carriers have still to settle, by kind."""
    due: Mapping[str, int]
    """What is due and not claimed, by kind."""
    oldest_due_seconds: Mapping[str, float]
    """For how long the oldest of that has been due, by kind; 0 if nothing is."""


def survey(tx: Tx) -> Survey:
    """Return the counts as of now."""
    numbers = dict.fromkeys(get_args(Status), 0)
    numbers.update(tx.execute("SELECT status, count(*) FROM phone_numbers GROUP BY status", ()).fetchall())
    pending = dict.fromkeys(get_args(ChangeKind), 0)
    pending.update(tx.execute("SELECT kind, count(*) FROM pending_changes GROUP BY kind", ()).fetchall())
    due, oldest = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0.0)
    changes = "SELECT kind, count(*), min(due_at) FROM pending_changes WHERE due_at <= ? GROUP BY kind"
    messages = (
        "SELECT 'delivery', count(*), min(due_at) FROM deliveries"
        " WHERE due_at <= ? AND status IN ('Waiting', 'Pending')"
    )
    for sql in (changes, messages):
        for kind, count, since in tx.execute(sql, (tx.now,)).fetchall():
            if count:
                due[kind], oldest[kind] = count, seconds_of(tx.now) - seconds_of(since)
    return Survey(numbers, pending, due, oldest)
