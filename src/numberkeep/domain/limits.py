"""How many of a thing one request may hold."""

from collections.abc import Sequence

from .errors import BadRequest

BATCH_PHONE_NUMBERS = 50
"""Phone numbers in one batch: the service authorization reference of Amazon Chime."""
ORDER_PHONE_NUMBERS = 50
"""Phone numbers in one order. AWS documents no figure; this is the batch's."""


def check_list(what: str, items: Sequence[str], most: int) -> None:
    """Raises BadRequest unless there are 1 to `most` items and no two are the same."""
    if not 1 <= len(items) <= most:
        raise BadRequest(f"{what} must hold 1 to {most} phone numbers; it holds {len(items)}.")
    seen: set[str] = set()
    for item in items:
        if item in seen:
            raise BadRequest(f"{what} must not hold a phone number twice; it holds {item} again.")
        seen.add(item)
