"""Carriers: the systems that really own the numbers, and how they are asked.

A carrier is asked outside of any transaction. It may be asked the same thing again: after a crash, because it failed,
or because it answered `Pending`. `Request.id` shows that it is the same change, which it must not make twice.
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
    """The carrier is working on it: ask again at `ask_at`, unless it calls back before."""

    ask_at: Timestamp


Answer = Done | Refused | Pending


class Request(Struct, frozen=True):
    """A change that a carrier is asked to make."""

    id: str
    """The idempotency key: the same however often the change is asked for."""
    account_id: str
    e164_phone_number: str
    kind: ChangeKind
    """The method of `Carrier` that takes this request."""
    requested_at: Timestamp
    now: Timestamp
    attempts: int = 0
    """How many times the carrier has failed to answer this."""
    calling_name: str = ""
    """For `Carrier.set_calling_name`: the name to show to people that the number calls; empty for none."""
    product_type: str = ""
    """For `Carrier.order`, like `order_id`: what the number is for."""
    order_id: str | None = None


def message_type(kind: ChangeKind) -> str:
    """The type of the message that asks a carrier for a change."""
    return f"number.{kind}"


class Carrier(Protocol):
    """One carrier. An exception from any of its methods is a failure to answer; the call is retried later."""

    @property
    def receiver(self) -> str | None:
        """The name under which calls to it are recorded as messages; None if it is not called by message."""

    def search(self, *, after: str | None, **filters: str | None) -> Iterator[str]:
        """The numbers for sale that meet all filters, in the order of E.164, that come after the text `after`."""

    async def order(self, request: Request) -> Answer:
        """Provide a number."""

    async def set_calling_name(self, request: Request) -> Answer:
        """Register the outbound calling name (CNAM) of a number in the LIDB."""

    async def release(self, request: Request) -> Answer:
        """Take a number back."""
