"""Which actions on a number are possible now, and why the others are not, in the words of the rules themselves."""

from collections.abc import Callable
from typing import get_args

from ...domain.errors import Error
from ...domain.moment import Timestamp
from ...domain.phone_number import Holder, PhoneNumber, ProductType

PRODUCT_TYPES: tuple[ProductType, ...] = get_args(ProductType)
_SOME_NAME = "Some name"


def why_not(move: Callable[[], object]) -> str:
    """The rule that forbids a move; empty if none does. The move is only tried, and changes nothing."""
    try:
        move()
    except Error as error:
        return str(error)
    return ""


def why_not_product_type(number: PhoneNumber, product_type: str, now: Timestamp) -> str:
    """Why the number cannot have this product type."""
    return why_not(lambda: number.update({"product_type": product_type}, now))


def why_not_any_other_product_type(number: PhoneNumber, now: Timestamp) -> str:
    """Why the number cannot have any other product type."""
    others = (other for other in PRODUCT_TYPES if other != number.product_type)
    return min((why_not_product_type(number, other, now) for other in others), key=len)


def why_not_calling_name(number: PhoneNumber, now: Timestamp) -> str:
    """Why no other calling name can be requested for the number."""
    return why_not(lambda: number.update({"calling_name": _SOME_NAME}, now))


def why_not_name(number: PhoneNumber, now: Timestamp) -> str:
    """Why the number cannot be given another name."""
    return why_not(lambda: number.update({"name": _SOME_NAME}, now))


def why_not_delete(number: PhoneNumber, now: Timestamp) -> str:
    """Why the number cannot be put into the deletion queue."""
    return why_not(lambda: number.delete(now))


def why_not_restore(number: PhoneNumber, now: Timestamp) -> str:
    """Why the number cannot be restored from the deletion queue."""
    return why_not(lambda: number.restore(now))


def why_not_assign(number: PhoneNumber, holder: Holder, now: Timestamp) -> str:
    """Why the number cannot be assigned to this holder."""
    return why_not(lambda: number.assign(holder, now))
