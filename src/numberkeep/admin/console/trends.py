"""The page Trends: how many numbers had each status, how many requests came, and how long they took."""

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
"""How many changes are read at a time; other surveys wait meanwhile."""
PATIENCE_SECONDS = 1.0
"""How long a page waits until all changes are read; after that it shows how many have been, and asks again."""
KNOWN_ACCOUNTS = 100
"""For how many accounts the changes that were read are remembered."""
SETTLED_SECONDS = 120
"""At this age of a change, no change from before it can still appear: transactions end in seconds, and the clocks of
several servers are less than a minute apart."""
SHARES = {"half of them": (3, 0.5), "95 of 100": (2, 0.95), "99 of 100": (0, 0.99)}
"""The shares of requests whose durations are shown, and the colour of each."""


class _Known:
    """What has been read of one account's changes."""

    def __init__(self, after: int) -> None:
        self.moves = Moves(after)
        self.turn = asyncio.Lock()


class Trends:
    """Computes how many numbers accounts had in the past, and what the service had to do."""

    def __init__(self, world: World, minutes: Minutes) -> None:
        self._world = world
        self._minutes = minutes
        self._known: OrderedDict[tuple[str, int], _Known] = OrderedDict()

    async def show(self, visit: Visit) -> Response:
        """Show the page."""
        numbers = await self._numbers(visit)
        is_part = "hx-request" in visit.request.headers  # htmx renews only the plot of the numbers
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
        """The plot of the numbers; or, if there are more changes to read, how many have been read."""
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
            if past != visit.console.controls.rewound:  # what was read mixes two pasts
                return known.moves.read
            return _plot(counts, known.moves.and_then(recent).by_day, now)

    def _of(self, *past: *tuple[str, int]) -> _Known:
        known = self._known.get(past)
        if known is None:
            # By the service's time a change is at least as old as by the real time, unless the service's clock was set
            # back.
            since = self._world.real_seconds() + min(0.0, self._world.offset_seconds) - (DAYS + 1) * 86400
            known = self._known[past] = _Known(change_id_at(since))
            if len(self._known) > KNOWN_ACCOUNTS:
                self._known.popitem(last=False)
        self._known.move_to_end(past)
        return known


def _present(tx: Tx, after: int) -> tuple[dict[str, int], Moves, Timestamp]:
    return inventory.counts(tx), inventory.moves(tx, after), tx.now


def _plot(counts: Mapping[str, int], by_day: Counter[tuple[str, str]], now: Timestamp) -> Plot:
    """Plot the numbers of each day, computed backwards from the present counts."""
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
