"""The rows of phone numbers: their owners, their states, their associations and their history."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs
from msgspec.structs import astuple

from ..domain.errors import NotFound
from ..domain.events import event_of
from ..domain.moment import Timestamp
from ..domain.number_plan import normalize_id
from ..domain.phone_number import IN_DELETION_QUEUE, Association, AssociationName, PhoneNumber, answer_of
from . import deliveries
from .answers import Answer, Answers
from .tx import Row, Rows, Subscribers, Tx

COLUMNS = PhoneNumber.__struct_fields__[:-2]
"""The columns of a number's state. Its associations are rows of their own."""

_STATUS = COLUMNS.index("status")
_STATE = ", ".join(f"n.{column}" for column in (*COLUMNS, "change_id"))
_LAST_CHANGE = "n.change_id"
_OF_ACCOUNT = "FROM phone_numbers n WHERE n.account_id = ?"
_SELECT_LAST_CHANGE = f"SELECT {_LAST_CHANGE} {_OF_ACCOUNT} AND e164_phone_number = ?"
_HELD = (
    "FROM phone_number_associations a"
    " CROSS JOIN phone_numbers n WHERE n.account_id = a.account_id AND n.e164_phone_number = a.e164_phone_number"
    " AND a.account_id = ?"
)
_SELECT = f"SELECT {_STATE} {_OF_ACCOUNT}"
_SELECT_ONE = f"{_SELECT} AND e164_phone_number = ?"
_INSERTED = ("account_id", *COLUMNS, "change_id")
_INSERT = f"INSERT INTO phone_numbers ({', '.join(_INSERTED)}) VALUES ({', '.join('?' * len(_INSERTED))})"
_NOT_IN_QUEUE = f"status NOT IN {IN_DELETION_QUEUE!r}"
REASON = "reason"
_ANSWER = "answer"
Execute = Callable[..., Rows]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, tuple[Any, Any]]).decode


class Change(Struct, frozen=True):
    """One change in a number's history."""

    changed_at: Timestamp
    request_id: str
    arn: str
    """The caller's ARN."""
    change: dict[str, tuple[Any, Any]]
    """Pairs of (before, after), by column; also of ``associations``, which are rows of their own, and of the ``reason``
    that a carrier gave, which is stored nowhere else."""


ALL_CHANGES = 10_000_000
"""More changes than any number has."""


def get(tx: Tx, phone_number_id: str) -> PhoneNumber:
    """Return the account's number with this id. Raises NotFound; BadRequest if the id is no phone number."""
    e164 = normalize_id(phone_number_id)
    number = find(tx, e164)
    if number is None:
        raise _not_found(e164)
    return number


def _not_found(e164: str) -> NotFound:
    return NotFound(f"Could not find PhoneNumber with Id '{e164}'")


def find(tx: Tx, e164: str) -> PhoneNumber | None:
    """Return the account's number, or None."""
    key = (tx.account_id, e164)
    if key in tx.known:
        return tx.known[key]  # type: ignore[no-any-return]
    row = tx.execute(_SELECT_ONE, key).fetchone()
    if row is None:
        return None
    (number,) = _with_associations(tx.execute, tx.account_id, [row])
    tx.known[key] = number
    return number


def answer(tx: Tx, phone_number_id: str) -> Raw:
    """Return the API's JSON for the account's number with this id. Raises what `get` raises."""
    e164 = normalize_id(phone_number_id)
    key = (_ANSWER, tx.account_id, e164)
    if key in tx.known:
        found = tx.known[key]
    else:
        rows = tx.execute(_SELECT_LAST_CHANGE, (tx.account_id, e164)).fetchall()
        found = _answers(tx.kept, tx.account_id, rows, lambda: [get(tx, e164)])[0][1] if rows else None
    if found is None:
        raise _not_found(e164)
    return found  # type: ignore[no-any-return]


def answers(execute: Execute, kept: Answers, keys: Iterable[tuple[str, str]]) -> dict[Hashable, Raw | None]:
    """Return what `answer` returns for several accounts' numbers, None for missing ones, keyed as in `Tx.known`."""
    found: dict[Hashable, Raw | None] = {}
    for account_id, e164s in by_account(keys):

        def read(account_id: str = account_id, e164s: Sequence[str] = e164s) -> Iterable[PhoneNumber]:
            return filter(None, find_all(execute, [(account_id, e164) for e164 in e164s], lock=False).values())

        sql = f"SELECT {_LAST_CHANGE} {_OF_ACCOUNT} AND e164_phone_number IN ({', '.join('?' * len(e164s))})"
        rows = execute(sql, (account_id, *e164s)).fetchall()
        found |= dict.fromkeys((_ANSWER, account_id, e164) for e164 in e164s)
        found |= {(_ANSWER, account_id, e164): one for e164, one in _answers(kept, account_id, rows, read)}
    return found


def _answers(
    kept: Answers, account_id: str, rows: Sequence[Row], read: Callable[[], Iterable[PhoneNumber]]
) -> list[Answer]:
    """Return the API's JSON for the numbers whose latest changes are in `rows`: mostly cached; if any is not, `read`
    returns all of the numbers, in full."""
    of_account = kept.of(account_id)
    found = [of_account.get(change_id) for (change_id,) in rows]
    if None in found:
        made = {
            number.change_id: (number.e164_phone_number, Raw(answer_of(number)))
            for number in read()
            if number.change_id is not None
        }
        kept.keep(account_id, made)
        found = [made[change_id] for (change_id,) in rows]
    return found  # type: ignore[return-value]


def page(
    tx: Tx,
    *,
    after: str,
    limit: int,
    status: str | None,
    product_type: str | None,
    filter_name: str | None,
    filter_value: str | None,
    queue_too: bool = False,
) -> list[PhoneNumber]:
    """Return up to `limit` numbers after `after`, in E.164 order; those in the deletion queue only if `status` asks
    for them, or with `queue_too`."""
    rows = _page(tx, _STATE, after, limit, queue_too, status, product_type, filter_name, filter_value)
    return _with_associations(tx.execute, tx.account_id, rows)


def page_of_answers(tx: Tx, *, after: str, limit: int, **filters: str | None) -> list[Answer]:
    """Return the numbers that `page` returns, with the API's JSON for each; `filters` are those of `page`."""

    def read() -> Iterable[PhoneNumber]:
        return _with_associations(tx.execute, tx.account_id, _page(tx, _STATE, after, limit, False, **filters))

    return _answers(tx.kept, tx.account_id, _page(tx, _LAST_CHANGE, after, limit, False, **filters), read)


def _page(
    tx: Tx,
    columns: str,
    after: str,
    limit: int,
    queue_too: bool,
    status: str | None,
    product_type: str | None,
    filter_name: str | None,
    filter_value: str | None,
) -> list[Row]:
    table, e164, where, values = _OF_ACCOUNT, "n.e164_phone_number", [], [tx.account_id]
    if filter_name:
        # Begin with the associations, whose index has the numbers in order: they are few, the account's may be many.
        table, e164 = _HELD, "a.e164_phone_number"
        where.append("a.name = ?")
        values.append(filter_name)
        if filter_value:
            where.append("a.value = ?")
            values.append(filter_value)
    where.append(f"{e164} > ?")
    values.append(after)
    if status:
        where.append("status = ?")
        values.append(status)
    elif not queue_too:
        where.append(_NOT_IN_QUEUE)
    if product_type:
        where.append("product_type = ?")
        values.append(product_type)
    sql = f"SELECT {columns} {table} AND {' AND '.join(where)} ORDER BY {e164} LIMIT ?"
    return tx.execute(sql, (*values, limit)).fetchall()


def select(tx: Tx, where: str, values: Sequence[object]) -> list[PhoneNumber]:
    """Return the account's numbers that meet a condition, which may be followed by ORDER BY and LIMIT."""
    rows = tx.execute(f"{_SELECT} AND {where}", (tx.account_id, *values)).fetchall()
    return _with_associations(tx.execute, tx.account_id, rows)


def count(tx: Tx) -> int:
    """Return how many numbers the account has outside the deletion queue."""
    sql = f"SELECT count(*) FROM phone_numbers WHERE account_id = ? AND {_NOT_IN_QUEUE}"
    return int(tx.execute(sql, (tx.account_id,)).fetchone()[0])


def find_all(execute: Execute, keys: Iterable[tuple[str, str]], *, lock: bool) -> dict[Hashable, PhoneNumber | None]:
    """Return several accounts' numbers, None for missing ones, keyed as in `Tx.known`: by account and E.164.

    `lock` keeps others from changing them until the transaction ends: any change of a number changes its row.
    """
    found: dict[Hashable, PhoneNumber | None] = {}
    for account_id, e164s in by_account(keys):
        marks = ", ".join("?" * len(e164s))
        sql = f"{_SELECT} AND e164_phone_number IN ({marks}) ORDER BY e164_phone_number{' /*FOR UPDATE*/' * lock}"
        rows = execute(sql, (account_id, *e164s)).fetchall()
        found |= dict.fromkeys((account_id, e164) for e164 in e164s)
        for number in _with_associations(execute, account_id, rows):
            found[account_id, number.e164_phone_number] = number
    return found


def by_account(keys: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """Yield each account with its numbers, sorted, so that all transactions lock in the same order, without deadlock.

    The last number is repeated to make their count a power of two: so there are few different statements, and each is
    prepared once.
    """
    of_account: dict[str, set[str]] = {}
    for account_id, e164 in keys:
        of_account.setdefault(account_id, set()).add(e164)
    for account_id in sorted(of_account):
        e164s = sorted(of_account[account_id])
        yield account_id, e164s + e164s[-1:] * ((1 << (len(e164s) - 1).bit_length()) - len(e164s))


def _with_associations(execute: Execute, account_id: str, rows: Sequence[Row]) -> list[PhoneNumber]:
    assigned = [row[0] for row in rows if row[_STATUS] == "Assigned"]
    if not assigned:
        return [PhoneNumber(*row) for row in rows]
    found = execute(
        "SELECT e164_phone_number, name, value, associated_timestamp FROM phone_number_associations"
        f" WHERE account_id = ? AND e164_phone_number IN ({', '.join('?' * len(assigned))})"
        " ORDER BY e164_phone_number, associated_timestamp, name",
        (account_id, *assigned),
    ).fetchall()
    associations = {
        e164: tuple(Association(*row[1:]) for row in group) for e164, group in groupby(found, itemgetter(0))
    }
    return [PhoneNumber(*(*row, associations.get(row[0], ()))) for row in rows]


def insert(tx: Tx, number: PhoneNumber) -> None:
    """Insert a number that the account does not have yet."""
    insert_all(tx, [number])


def insert_all(tx: Tx, numbers: Sequence[PhoneNumber]) -> None:
    """Insert numbers that the account does not have yet."""
    departed = _departed(tx, [number.e164_phone_number for number in numbers])
    for number in numbers:
        change: dict[str, tuple[object, object]] = {column: (None, value) for column, value in _known_of(number)}
        if number.associations:
            change["associations"] = (None, number.associations)
        change_id = _remember(tx, number, change, departed.get(number.e164_phone_number))
        tx.write(_INSERT, (tx.account_id, *astuple(number)[:-2], change_id))
        tx.known.pop((tx.account_id, number.e164_phone_number), None)
        _associate(tx, number)


def replace(tx: Tx, was: PhoneNumber, number: PhoneNumber, reason: str | None = None) -> None:
    """Store what has changed since `was`, as it was read, and record it in the history, with a `reason` if given."""
    changed = {
        column: (before, after)
        for column, before, after in zip(COLUMNS, astuple(was), astuple(number), strict=False)
        if before != after
    }
    key = (tx.account_id, number.e164_phone_number)
    if was.associations != number.associations:
        changed["associations"] = (was.associations, number.associations)
        tx.write("DELETE FROM phone_number_associations WHERE account_id = ? AND e164_phone_number = ?", key)
        _associate(tx, number)
    if not changed:
        return
    told = {**changed, REASON: (None, reason)} if reason else changed
    change_id = _remember(tx, number, told, was.change_id)
    changed.pop("associations", None)
    tx.write(_update_of(tuple(changed)), (*[after for _, after in changed.values()], change_id, *key))
    tx.known[key] = structs.replace(number, change_id=change_id)


def _associate(tx: Tx, number: PhoneNumber) -> None:
    for association in number.associations:
        tx.write(
            "INSERT INTO phone_number_associations (account_id, e164_phone_number, name, value, associated_timestamp)"
            " VALUES (?, ?, ?, ?, ?)",
            (tx.account_id, number.e164_phone_number, *astuple(association)),
        )


@cache
def _update_of(columns: tuple[str, ...]) -> str:
    assignments = " = ?, ".join((*columns, "change_id"))
    return f"UPDATE phone_numbers SET {assignments} = ? WHERE account_id = ? AND e164_phone_number = ?"


def delete(tx: Tx, number: PhoneNumber) -> None:
    """Remove the number from the account, so that another can have it; its history stays."""
    change = {column: (value, None) for column, value in _known_of(number)}
    change_id = _remember(tx, number, change, number.change_id)
    of_number = (tx.account_id, number.e164_phone_number)
    for table in ("phone_numbers", "phone_number_associations", "departed_phone_numbers"):
        tx.write(f"DELETE FROM {table} WHERE account_id = ? AND e164_phone_number = ?", of_number)
    tx.known.pop(of_number, None)
    tx.write(
        "INSERT INTO departed_phone_numbers (account_id, e164_phone_number, change_id) VALUES (?, ?, ?)",
        (*of_number, change_id),
    )
    disclaim(tx, number.e164_phone_number)


def history(tx: Tx, e164: str, limit: int = ALL_CHANGES) -> list[Change]:
    """Return what has happened to the account's number, present or past, the latest first."""
    number = find(tx, e164)
    change_id = number.change_id if number else _departed(tx, [e164]).get(e164)
    if change_id is None:
        return []
    rows = tx.execute(_HISTORY, (tx.account_id, change_id, tx.account_id, limit)).fetchall()
    return [Change(changed_at, request_id, arn, _decode(change)) for changed_at, request_id, arn, change in rows]


_HISTORY = """
    WITH RECURSIVE told AS (
        SELECT changed_at, request_id, arn, change, previous_change_id, 1 AS place FROM phone_number_history
        WHERE account_id = ? AND change_id = ?
        UNION ALL
        SELECT h.changed_at, h.request_id, h.arn, h.change, h.previous_change_id, t.place + 1
        FROM told t JOIN phone_number_history h ON h.account_id = ? AND h.change_id = t.previous_change_id
        WHERE t.place < ?
    )
    SELECT changed_at, request_id, arn, change FROM told ORDER BY place"""


def _departed(tx: Tx, e164s: Sequence[str]) -> dict[str, int]:
    """Return the latest change of each of these numbers that has left the account."""
    marks = ", ".join("?" * len(e164s))
    sql = (
        "SELECT e164_phone_number, change_id FROM departed_phone_numbers"
        f" WHERE account_id = ? AND e164_phone_number IN ({marks})"
    )
    return dict(tx.execute(sql, (tx.account_id, *e164s)).fetchall()) if e164s else {}


def claim(tx: Tx, e164: str) -> bool:
    """Make the account the number's owner unless another is; return whether it owns the number now."""
    row = None
    while row is None:  # the owner that was in the way may be gone before it is read
        tx.write(
            "INSERT INTO phone_number_owners (e164_phone_number, account_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (e164, tx.account_id),
        )
        row = tx.execute("SELECT account_id FROM phone_number_owners WHERE e164_phone_number = ?", (e164,)).fetchone()
    return bool(row[0] == tx.account_id)


def claim_free(tx: Tx, e164s: Sequence[str]) -> None:
    """Make the account the owner of numbers that nobody owns, as `owners` has just shown."""
    for e164 in e164s:
        tx.write("INSERT INTO phone_number_owners (e164_phone_number, account_id) VALUES (?, ?)", (e164, tx.account_id))


def disclaim(tx: Tx, e164: str) -> None:
    """Give up the number if the account owns it: then it has no owner."""
    tx.write(
        "DELETE FROM phone_number_owners WHERE e164_phone_number = ? AND account_id = ?",
        (e164, tx.account_id),
    )


def is_held_by(tx: Tx, name: AssociationName, value: str) -> bool:
    """Return whether a number of the account has the association `name` to `value`."""
    sql = "SELECT 1 FROM phone_number_associations WHERE account_id = ? AND name = ? AND value = ? LIMIT 1"
    return tx.execute(sql, (tx.account_id, name, value)).fetchone() is not None


def owners(tx: Tx, e164s: Sequence[str]) -> dict[str, str]:
    """Return the owning accounts of those of `e164s` that are owned."""
    marks = ", ".join("?" * len(e164s))
    sql = f"SELECT e164_phone_number, account_id FROM phone_number_owners WHERE e164_phone_number IN ({marks})"
    return dict(tx.execute(sql, tuple(e164s)).fetchall()) if e164s else {}


def _known_of(number: PhoneNumber) -> list[tuple[str, object]]:
    return [pair for pair in zip(COLUMNS, astuple(number), strict=False) if pair[1] is not None]


def _remember(tx: Tx, number: PhoneNumber, change: Mapping[str, tuple[object, object]], previous: int | None) -> int:
    """Add a change to the number's history, and return its id."""
    change_id = tx.dice.new_change_id()
    e164 = number.e164_phone_number
    text = _encode(change).decode()
    tx.write(
        "INSERT INTO phone_number_history (account_id, change_id, previous_change_id, e164_phone_number, changed_at,"
        " request_id, arn, change) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (tx.account_id, change_id, previous, e164, tx.now, tx.request_id, tx.caller.arn, text),
    )
    if tx.subscribers:
        _tell(tx, tx.subscribers, e164, change)
    return change_id


def _tell(tx: Tx, subscribers: Subscribers, e164: str, change: Mapping[str, tuple[object, object]]) -> None:
    event = event_of(change)
    for receiver in subscribers(tx.account_id, e164, event):
        told = {
            "account_id": tx.account_id,
            "e164_phone_number": e164,
            "changed_at": tx.now,
            "arn": tx.caller.arn,
            "request_id": tx.request_id,
            "change": change,
        }
        deliveries.put(tx, e164, receiver, event, _encode(told).decode())
