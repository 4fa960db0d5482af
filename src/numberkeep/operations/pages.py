"""Page tokens: the position of the next page, sealed by an HMAC for one list of one account."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from ..domain.errors import BadRequest
from ..storage.table import Table
from ..storage.tx import Tx

DEFAULT_MAX_RESULTS = 99
"""Items on a page if the request gives no size. AWS documents no default; a captured answer has so many."""

_SEAL_BYTES = 16

Item = TypeVar("Item")
T = TypeVar("T", bound=Struct)


def page(
    tx: Tx,
    scope: object,
    max_results: int | None,
    next_token: str | None,
    fetch: Callable[[Any, int], list[Item]],
    position_of: Callable[[Item], object],
) -> tuple[list[Item], str | None]:
    """Return a page of the list that `scope` (its name and filters) describes, and the token for the next or None.

    ``fetch(position, limit)`` returns up to `limit` items that follow a position, which is None at the beginning.
    """
    limit = max_results or DEFAULT_MAX_RESULTS
    found = fetch(position(tx, scope, next_token), limit + 1)
    items = found[:limit]
    return items, token(tx, scope, position_of(items[-1])) if len(found) > limit else None


def of_table(
    tx: Tx,
    scope: object,
    table: Table[T],
    max_results: int | None,
    next_token: str | None,
    where: str = "",
    values: tuple[object, ...] = (),
) -> tuple[list[T], str | None]:
    """Return a page of a table's objects that meet a condition, in the order of their ids; see `page`."""

    def fetch(after: str | None, limit: int) -> list[T]:
        return table.page(tx, after, limit, where, values)

    return page(tx, scope, max_results, next_token, fetch, table.id_of)


def token(tx: Tx, scope: object, position: object) -> str:
    """Return the token for what follows `position` in the list that `scope` describes."""
    plain = msgspec.json.encode(position)
    return base64.urlsafe_b64encode(_seal(tx, scope, plain) + plain).decode()


def position(tx: Tx, scope: object, next_token: str | None) -> Any:
    """Return the position in `next_token`; None if there is no token or an empty one.

    Raises BadRequest for a token that was not issued for this account and this list.
    """
    if not next_token:
        return None
    try:
        sealed = base64.urlsafe_b64decode(next_token)
    except ValueError:
        sealed = b""
    seal, plain = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
    is_as_given_out = base64.urlsafe_b64encode(sealed).decode() == next_token
    if not (is_as_given_out and hmac.compare_digest(seal, _seal(tx, scope, plain))):
        raise BadRequest("NextToken is not one that this list has given out, or the list's filters have changed.")
    return msgspec.json.decode(plain)


def _seal(tx: Tx, scope: object, plain: bytes) -> bytes:
    message = msgspec.json.encode([tx.account_id, scope]) + plain
    return hmac.digest(tx.token_secret, message, hashlib.sha256)[:_SEAL_BYTES]
