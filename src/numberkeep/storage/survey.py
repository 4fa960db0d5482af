"""How much of everything there is: what takes too long to count while somebody waits."""

from collections.abc import Mapping
from typing import get_args

from msgspec import Struct

from ..domain.moment import seconds_of
from ..domain.phone_number import ChangeKind, Status
from .tx import Tx

KINDS = (*get_args(ChangeKind), "delivery")
"""Of what can be due."""


class Survey(Struct, frozen=True):
    """What there is at one moment, of all accounts."""

    numbers: Mapping[str, int]
    """By status."""
    pending: Mapping[str, int]
    """What carriers have still to settle, by kind."""
    due: Mapping[str, int]
    """What is due and nobody has taken up, by kind."""
    oldest_due_seconds: Mapping[str, float]
    """For how long, by kind: 0 if nothing is."""


def survey(tx: Tx) -> Survey:
    """Count all that."""
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
