"""An order of phone numbers: it is settled when each of its numbers is."""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from .moment import Timestamp

Status = Literal["Processing", "Successful", "Partial", "Failed"]
ItemStatus = Literal["Processing", "Acquired", "Failed"]


class OrderedPhoneNumber(Struct, frozen=True):
    """One number of an order."""

    e164_phone_number: str
    status: ItemStatus = "Processing"


class PhoneNumberOrder(Struct, frozen=True, kw_only=True):
    """An account's order of phone numbers, and its progress."""

    phone_number_order_id: str
    product_type: str
    status: Status = "Processing"
    order_type: str = "New"
    ordered_phone_numbers: tuple[OrderedPhoneNumber, ...]
    created_timestamp: Timestamp
    updated_timestamp: Timestamp

    def settle(self, e164_phone_number: str, acquired: bool, now: Timestamp) -> "PhoneNumberOrder":
        """Record that one number was acquired, or failed; the last one settles the order itself."""
        items = tuple(
            OrderedPhoneNumber(e164_phone_number, "Acquired" if acquired else "Failed")
            if item.e164_phone_number == e164_phone_number
            else item
            for item in self.ordered_phone_numbers
        )
        return replace(self, ordered_phone_numbers=items, status=status_of(items), updated_timestamp=now)


def status_of(items: tuple[OrderedPhoneNumber, ...]) -> Status:
    """Return the status of an order with these numbers."""
    statuses = {item.status for item in items}
    if "Processing" in statuses:
        return "Processing"
    if statuses == {"Acquired"}:
        return "Successful"
    return "Partial" if "Acquired" in statuses else "Failed"
