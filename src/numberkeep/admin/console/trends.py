"""Trends: how many numbers there were of each status, how many requests came, and how long they took."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Mapping
from datetime import date, timedelta

from starlette.responses import Response

from ...domain.moment import Timestamp
from ...storage import inventory
from ...storage.inventory import Moves
from ...storage.tx import Tx
from ...world import World, change_id_at
from ..minutes import Minutes
from . import plots
from .numbers import STATUSES
from .plots import Plot
from .visit import Visit
from .words import apart

DAYS = 30
PAGE_CHANGES = 10_000
"""How many changes are read at a time, while other surveys wait."""
PATIENCE_SECONDS = 1.0
"""How long a page waits until all are read; then it tells how far that is, and asks again."""
KNOWN_ACCOUNTS = 100
"""Of how many accounts it is remembered what has been read."""
SETTLED_SECONDS = 120
"""When a change is so old, none that was made before it has still to be seen: transactions end in seconds, and the
clocks of several servers are not a minute apart."""
SHARES = {"half of them": (3, 0.5), "95 of 100": (2, 0.95), "99 of 100": (0, 0.99)}
"""Of requests, with the colour of each."""


class _Known:
    """What has been read of the changes of one account."""

    def __init__(self, after: int) -> None:
        self.moves = Moves(after)
        self.turn = asyncio.Lock()


class Trends:
    """How many numbers accounts had, by what has happened since; and what the service had to do."""

    def __init__(self, world: World, minutes: Minutes) -> None:
        self._world = world
        self._minutes = minutes
        self._known: OrderedDict[tuple[str, int], _Known] = OrderedDict()

    async def show(self, visit: Visit) -> Response:
        """The page."""
        numbers = await self._numbers(visit)
        is_part = "hx-request" in visit.request.headers  # which has no use for the rest
        service = self._service() if visit.allows("cloudtrail:LookupEvents") and not is_part else []
        return visit.page("trends.html", title="Trends", numbers=numbers, days=DAYS, service=service)

    def _service(self) -> list[Plot]:
        minutes = self._minutes.latest()
        moments = [minute.begins_at[11:16] for minute in minutes]
        requests = plots.columns(
            "Requests a minute",
            moments,
            {
                "served": (2, [minute.served for minute in minutes]),
                "refused": (4, [minute.refused for minute in minutes]),
                "failed": (6, [minute.failed for minute in minutes]),
            },
        )
        durations = plots.lines(
            "Milliseconds to an answer",
            moments,
            {
                name: (colour, [_milliseconds(minute.seconds_of(share)) for minute in minutes])
                for name, (colour, share) in SHARES.items()
            },
        )
        return [requests, durations]

    async def _numbers(self, visit: Visit) -> Plot | int:
        """The plot; or how many changes have been read, if there are more."""
        past = visit.console.controls.rewound
        known = self._of(visit.caller.account_id, past)
        until = self._world.steady_seconds() + PATIENCE_SECONDS
        async with known.turn:
            while True:
                settled = change_id_at(self._world.real_seconds() - SETTLED_SECONDS)
                more = await visit.survey(inventory.moves, known.moves.last, settled, PAGE_CHANGES)
                known.moves = known.moves.and_then(more)
                if more.read < PAGE_CHANGES:
                    break
                if self._world.steady_seconds() > until:
                    return known.moves.read
            counts, recent, now = await visit.survey(_present, known.moves.last)
            if past != visit.console.controls.rewound:  # what was read is of two pasts
                return known.moves.read
            return _plot(counts, known.moves.and_then(recent).by_day, now)

    def _of(self, *past: *tuple[str, int]) -> _Known:
        known = self._known.get(past)
        if known is None:
            # A change is as old by the service's time as by the real one, or older, unless that was set back.
            since = self._world.real_seconds() + min(0.0, self._world.offset_seconds) - (DAYS + 1) * 86400
            known = self._known[past] = _Known(change_id_at(since))
            if len(self._known) > KNOWN_ACCOUNTS:
                self._known.popitem(last=False)
        self._known.move_to_end(past)
        return known


def _present(tx: Tx, after: int) -> tuple[dict[str, int], Moves, Timestamp]:
    return inventory.counts(tx), inventory.moves(tx, after), tx.now


def _plot(counts: Mapping[str, int], by_day: Counter[tuple[str, str]], now: Timestamp) -> Plot:
    """From how many there are back to how many there were, day by day."""
    today = date.fromisoformat(now[:10])
    days = [str(today - timedelta(days=ago)) for ago in range(DAYS)]
    figures: dict[str, tuple[int, list[int]]] = {}
    for colour, status in enumerate(STATUSES):
        left = counts.get(status, 0)
        values: list[int] = []
        for day in days:
            values.insert(0, left)
            left -= by_day[day, status]
        if any(values):
            figures[apart(status)] = colour, values
    return plots.columns("Numbers at the end of each day", days[::-1], figures)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
