"""Who really owns the numbers.

A carrier is asked outside of any transaction. It may be asked the same thing again, after a crash, because it failed,
or because it answered `Pending`: `Request.id` tells that it is the same change, which it must not make twice.
"""

from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct

from ..domain.moment import Timestamp
from ..domain.phone_number import ChangeKind


class Done(Struct, frozen=True):
    """The carrier has made the change."""


class Refused(Struct, frozen=True):
    """The carrier does not make the change."""

    reason: str


class Pending(Struct, frozen=True):
    """The carrier is at it; ask again at that moment, unless it tells of itself before."""

    ask_at: Timestamp


Answer = Done | Refused | Pending


class Request(Struct, frozen=True):
    """What a carrier is asked to do."""

    id: str
    """The idempotency key: that of the change, however often it is asked for."""
    account_id: str
    e164_phone_number: str
    kind: ChangeKind
    """Which method of `Carrier` it is for."""
    requested_at: Timestamp
    now: Timestamp
    attempts: int = 0
    """How often the carrier has failed to answer this."""
    calling_name: str = ""
    """For `Carrier.set_calling_name`: the name to be shown to whom the number calls; empty for none."""
    product_type: str = ""
    """For `Carrier.order`, as is `order_id`: what the number is for."""
    order_id: str | None = None


def message_type(kind: ChangeKind) -> str:
    """What a message is called that asks a carrier for a change."""
    return f"number.{kind}"


class Carrier(Protocol):
    """One carrier. Whatever a question raises is a failure to answer: it is put again later."""

    @property
    def receiver(self) -> str | None:
        """The name under which what it is asked is noted as messages; None if it is asked in another way."""

    def search(self, *, after: str | None, **filters: str | None) -> Iterator[str]:
        """The numbers for sale that meet all filters, in the order of E.164, those after the text `after`."""

    async def order(self, request: Request) -> Answer:
        """Provide a number."""

    async def set_calling_name(self, request: Request) -> Answer:
        """Register the outbound calling name (CNAM) of a number in the LIDB."""

    async def release(self, request: Request) -> Answer:
        """Take a number back."""
