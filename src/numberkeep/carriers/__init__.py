"""Who really owns the numbers.

A carrier is asked outside of any transaction, and may be asked the same thing again (after a crash, or because it
answered `Pending`): a `PendingChange` is the same change however often it is put.
"""

from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct

from ..domain.moment import Timestamp


class Done(Struct, frozen=True):
    """The carrier has made the change."""


class Refused(Struct, frozen=True):
    """The carrier does not make the change."""

    reason: str


class Pending(Struct, frozen=True):
    """The carrier is at it; ask again at that moment."""

    ask_at: Timestamp


Answer = Done | Refused | Pending


class Request(Struct, frozen=True):
    """What a carrier is asked to do."""

    e164_phone_number: str
    requested_at: Timestamp
    now: Timestamp
    calling_name: str = ""
    """For `Carrier.set_calling_name`: the name to be shown to whom the number calls; empty for none."""


class Carrier(Protocol):
    """One carrier."""

    def search(self, *, after: str | None, **filters: str | None) -> Iterator[str]:
        """The numbers for sale that meet all filters, in the order of E.164, those after `after`."""

    async def order(self, request: Request) -> Answer:
        """Provide a number."""

    async def set_calling_name(self, request: Request) -> Answer:
        """Register the outbound calling name (CNAM) of a number in the LIDB."""

    async def release(self, request: Request) -> Answer:
        """Take a number back."""
