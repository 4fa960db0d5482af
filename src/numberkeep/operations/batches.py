"""Many phone numbers in one request, each of which succeeds or fails by itself."""

from collections.abc import Callable, Sequence
from typing import Any

from ..domain.errors import BadRequest, Error
from ..domain.limits import BATCH_PHONE_NUMBERS, check_list
from ..domain.number_plan import normalize_id

Answer = dict[str, Any]


def each(what: str, ids: Sequence[str], act: Callable[[int], object]) -> Answer:
    """Call `act` with the index of each phone number in the list, the request's member `what`; return the failures.

    A failure does not affect the others, and must have written nothing. Raises BadRequest for a list that is empty,
    too long, or holds a number twice.
    """
    check_list(what, [_canonical(phone_number_id) for phone_number_id in ids], BATCH_PHONE_NUMBERS)
    failures = []
    for index, phone_number_id in enumerate(ids):
        try:
            act(index)
        except Error as error:
            failures.append({"PhoneNumberId": phone_number_id, "ErrorCode": error.code, "ErrorMessage": str(error)})
    return {"PhoneNumberErrors": failures}


def _canonical(phone_number_id: str) -> str:
    """Return the number, so that two spellings of one count as the same; what is no number fails as an item."""
    try:
        return normalize_id(phone_number_id)
    except BadRequest:
        return phone_number_id
