"""Phone numbers: read, list, update, delete, restore, one at a time or up to fifty.

The API's JSON for a number exists already, so these operations return JSON.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import asdict

from ..domain.errors import BadRequest
from ..domain.limits import check_quota
from ..domain.phone_number import answer_of
from ..storage import pending_changes, phone_numbers
from ..storage.tx import Tx
from . import pages
from .batches import Answer, each


def get_phone_number(tx: Tx, phone_number_id: str) -> bytes:
    """Return one number's details."""
    return _encode({"PhoneNumber": phone_numbers.answer(tx, phone_number_id)})


def list_phone_numbers(
    tx: Tx,
    status: str | None = None,
    product_type: str | None = None,
    filter_name: str | None = None,
    filter_value: str | None = None,
    max_results: int | None = None,
    next_token: str | None = None,
) -> bytes:
    """List the account's numbers in E.164 order; those in the deletion queue only if `status` asks for them."""
    if filter_value and not filter_name:
        raise BadRequest("FilterValue needs FilterName, which says whose value it is.")
    filters: dict[str, Any] = {
        "status": status,
        "product_type": product_type,
        "filter_name": filter_name,
        "filter_value": filter_value,
    }
    page, next_token = pages.page(
        tx,
        ["ListPhoneNumbers", *filters.values()],
        max_results,
        next_token,
        lambda after, limit: phone_numbers.page_of_answers(tx, after=after or "", limit=limit, **filters),
        lambda item: item[0],
    )
    return _encode({"NextToken": next_token, "PhoneNumbers": [answer for _, answer in page]})


def update_phone_number(
    tx: Tx,
    phone_number_id: str,
    product_type: str | None = None,
    calling_name: str | None = None,
    name: str | None = None,
) -> bytes:
    """Change one detail. A calling name takes up to 72 hours; the worker settles it."""
    details = {"product_type": product_type, "calling_name": calling_name, "name": name}
    was = phone_numbers.get(tx, phone_number_id)
    number = was.update({detail: value for detail, value in details.items() if value is not None}, tx.now)
    phone_numbers.replace(tx, was, number)
    if calling_name is not None:
        pending_changes.put(tx, number.e164_phone_number, "set_calling_name", due_at=tx.now)
    return _encode({"PhoneNumber": Raw(answer_of(number))})


def batch_update_phone_number(tx: Tx, update_phone_number_request_items: Sequence[Struct]) -> Answer:
    """Run `update_phone_number` for each item; a failed item does not affect the others."""
    items = [asdict(item) for item in update_phone_number_request_items]
    ids = [item["phone_number_id"] for item in items]
    return each("UpdatePhoneNumberRequestItems", ids, lambda index: update_phone_number(tx, **items[index]))


def delete_phone_number(tx: Tx, phone_number_id: str) -> None:
    """Move a number to the deletion queue, from which it can be restored for seven days."""
    was = phone_numbers.get(tx, phone_number_id)
    number = was.delete(tx.now)
    if number is None:
        phone_numbers.delete(tx, was)
    else:
        phone_numbers.replace(tx, was, number)
        pending_changes.put(tx, number.e164_phone_number, "release", due_at=str(number.deletion_timestamp))


def batch_delete_phone_number(tx: Tx, phone_number_ids: Sequence[str]) -> Answer:
    """Run `delete_phone_number` for each id; a failed one does not affect the others."""
    return each("PhoneNumberIds", phone_number_ids, lambda index: delete_phone_number(tx, phone_number_ids[index]))


def restore_phone_number(tx: Tx, phone_number_id: str) -> bytes:
    """Move a number from the deletion queue back to Unassigned."""
    was = phone_numbers.get(tx, phone_number_id)
    number = was.restore(tx.now)
    check_phone_number_quota(tx, 1)
    phone_numbers.replace(tx, was, number)
    pending_changes.delete(tx, number.e164_phone_number, "release")
    return _encode({"PhoneNumber": Raw(answer_of(number))})


def check_phone_number_quota(tx: Tx, more: int) -> None:
    """Raise ResourceLimitExceeded if the account may not have `more` additional numbers outside the deletion queue."""
    check_quota(tx.quotas, "phone_numbers", lambda: phone_numbers.count(tx) + more)


_encode = msgspec.json.Encoder().encode
