"""Phone numbers: read, list, update, delete, restore, one at a time or fifty."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from ..domain.errors import BadRequest, Error
from ..domain.limits import BATCH_PHONE_NUMBERS, check_list
from ..domain.number_plan import normalize_id
from ..storage import pending_changes, phone_numbers
from ..storage.tx import Tx
from . import pages

Answer = dict[str, Any]


def get_phone_number(tx: Tx, phone_number_id: str) -> Answer:
    """One number's details."""
    return {"PhoneNumber": phone_numbers.get(tx, phone_number_id)}


def list_phone_numbers(
    tx: Tx,
    status: str | None = None,
    product_type: str | None = None,
    filter_name: str | None = None,
    filter_value: str | None = None,
    max_results: int | None = None,
    next_token: str | None = None,
) -> Answer:
    """The account's numbers in the order of E.164; those in the deletion queue only if `status` asks for them."""
    if filter_value and not filter_name:
        raise BadRequest("FilterValue needs FilterName, which says whose value it is.")
    limit = max_results or pages.DEFAULT_MAX_RESULTS
    scope = ["ListPhoneNumbers", status, product_type, filter_name, filter_value]
    found = phone_numbers.page(
        tx,
        after=str(pages.position(tx, scope, next_token) or ""),
        limit=limit + 1,
        status=status,
        product_type=product_type,
        filter_name=filter_name,
        filter_value=filter_value,
    )
    page, next_token = pages.cut(tx, scope, found, limit, lambda number: number.e164_phone_number)
    return {"PhoneNumbers": page, "NextToken": next_token}


def update_phone_number(
    tx: Tx,
    phone_number_id: str,
    product_type: str | None = None,
    calling_name: str | None = None,
    name: str | None = None,
) -> Answer:
    """Change one detail. A calling name takes up to 72 hours; the worker settles it."""
    details = {"product_type": product_type, "calling_name": calling_name, "name": name}
    was = phone_numbers.get(tx, phone_number_id)
    number = was.update({detail: value for detail, value in details.items() if value is not None}, tx.now)
    phone_numbers.replace(tx, was, number)
    if calling_name is not None:
        pending_changes.put(tx, number.e164_phone_number, "set_calling_name", due_at=tx.now)
    return {"PhoneNumber": number}


def batch_update_phone_number(tx: Tx, update_phone_number_request_items: Sequence[Struct]) -> Answer:
    """`update_phone_number` for each item; an item that fails leaves the others alone."""
    items = [asdict(item) for item in update_phone_number_request_items]
    ids = [item["phone_number_id"] for item in items]
    return _each("UpdatePhoneNumberRequestItems", ids, lambda index: update_phone_number(tx, **items[index]))


def delete_phone_number(tx: Tx, phone_number_id: str) -> None:
    """Into the deletion queue, from which the number can be restored for seven days."""
    was = phone_numbers.get(tx, phone_number_id)
    number = was.delete(tx.now)
    if number is None:
        phone_numbers.delete(tx, was)
    else:
        phone_numbers.replace(tx, was, number)
        pending_changes.put(tx, number.e164_phone_number, "release", due_at=str(number.deletion_timestamp))


def batch_delete_phone_number(tx: Tx, phone_number_ids: Sequence[str]) -> Answer:
    """`delete_phone_number` for each id; one that fails leaves the others alone."""
    return _each("PhoneNumberIds", phone_number_ids, lambda index: delete_phone_number(tx, phone_number_ids[index]))


def restore_phone_number(tx: Tx, phone_number_id: str) -> Answer:
    """Out of the deletion queue, back among the Unassigned."""
    was = phone_numbers.get(tx, phone_number_id)
    number = was.restore(tx.now)
    phone_numbers.replace(tx, was, number)
    pending_changes.delete(tx, number.e164_phone_number, "release")
    return {"PhoneNumber": number}


def _each(what: str, ids: Sequence[str], act: Callable[[int], object]) -> Answer:
    check_list(what, [_canonical(phone_number_id) for phone_number_id in ids], BATCH_PHONE_NUMBERS)
    failures = []
    for index, phone_number_id in enumerate(ids):
        try:
            act(index)
        except Error as error:
            failures.append({"PhoneNumberId": phone_number_id, "ErrorCode": error.code, "ErrorMessage": str(error)})
    return {"PhoneNumberErrors": failures}


def _canonical(phone_number_id: str) -> str:
    """The number, so that two spellings of one are seen to be the same; what is no number fails as an item."""
    try:
        return normalize_id(phone_number_id)
    except BadRequest:
        return phone_number_id
