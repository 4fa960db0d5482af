"""Queries of people who look at an inventory: search by anything known about a number, counts, pages.

They may read every row of the account: run them with `Driver.survey`.
"""

import re
from collections import Counter
from typing import Any

import msgspec
from msgspec import Struct

from ..domain.phone_number import IN_DELETION_QUEUE, PhoneNumber
from . import phone_numbers
from .resources import sources_of
from .tx import Tx

_HOLDERS = (
    ("voice_connectors", "voice_connector_id", "name"),
    ("voice_connector_groups", "voice_connector_group_id", "name"),
    ("sip_rules", "sip_rule_id", "name"),
    ("business_accounts", "chime_account_id", "name"),
    ("business_users", "user_id", "primary_email"),
)
"""What can hold numbers: its table, and the columns of its id and its name."""
MOST_HOLDERS = 100
_NUMBER = re.compile(r"\+?[0-9 ().-]*")
_NO_DIGIT = re.compile(r"[^0-9]")
_LIKE = "/*I*/LIKE ? ESCAPE '!'"
"""Ignores the case of the letters A to Z: LIKE on SQLite, ILIKE on PostgreSQL."""
_FILTERS = ("status", "product_type", "type", "country")


class Search(Struct, frozen=True):
    """Criteria for numbers; empty ones are ignored."""

    text: str = ""
    """Part of the number, of its name, of its calling name (in force or requested), or of its holder's name; or the
    beginning of its holder's id. After a ``+``, the beginning of the number."""
    status: str = ""
    product_type: str = ""
    type: str = ""
    country: str = ""


def page(tx: Tx, search: Search, limit: int, *, after: str = "", before: str = "") -> list[PhoneNumber]:
    """Return up to `limit` of the account's numbers that match, in E.164 order: the first after `after`, or the last
    before `before`."""
    where, values = ["e164_phone_number <> ''"], list[str]()
    if before or after:
        where, values = [f"e164_phone_number {'<' if before else '>'} ?"], [before or after]
    for column in _FILTERS:
        if wanted := getattr(search, column):
            where.append(f"{column} = ?")
            values.append(wanted)
    if text := search.text.strip():
        condition, more = _matching(tx, text)
        where.append(condition)
        values += more
    order = "e164_phone_number DESC" if before else "e164_phone_number"
    found = phone_numbers.select(tx, f"{' AND '.join(where)} ORDER BY {order} LIMIT ?", (*values, limit))
    return found[::-1] if before else found


def counts(tx: Tx) -> dict[str, int]:
    """Return how many numbers the account has, by status."""
    sql = "SELECT status, count(*) FROM phone_numbers WHERE account_id = ? GROUP BY status"
    return dict(tx.execute(sql, (tx.account_id,)).fetchall())


class Moves(Struct, frozen=True):
    """How the numbers of each status increased or decreased, from their history."""

    last: int
    """The id of the last change that was read."""
    read: int = 0
    """How many changes were read."""
    by_day: Counter[tuple[str, str]] = Counter()
    """By day and status, how many more numbers there were at the end of the day than at its beginning."""

    def and_then(self, more: "Moves") -> "Moves":
        """Return the sum of these and `more`, which follow."""
        by_day = Counter(self.by_day)
        by_day.update(more.by_day)
        return Moves(more.last, self.read + more.read, by_day)


class _Change(Struct):
    status: tuple[str | None, str | None] | None = None


_decode_change = msgspec.json.Decoder(_Change).decode


def moves(tx: Tx, after: int, until: int | None = None, limit: int | None = None) -> Moves:
    """Return the effect of the account's changes with ids above `after`, up to `until` if given, and of at most
    `limit` changes."""
    values: list[Any] = [tx.account_id, after]
    sql = "SELECT change_id, changed_at, change FROM phone_number_history WHERE account_id = ? AND change_id > ?"
    if until is not None:
        sql, values = sql + " AND change_id <= ?", [*values, until]
    sql += " ORDER BY change_id"
    if limit is not None:
        sql, values = sql + " LIMIT ?", [*values, limit]
    rows = tx.execute(sql, tuple(values)).fetchall()
    by_day: Counter[tuple[str, str]] = Counter()
    for _, changed_at, change in rows:
        for status, count in zip(_decode_change(change).status or (), (-1, 1), strict=False):
            if status:
                by_day[changed_at[:10], status] += count
    return Moves(rows[-1][0] if rows else after, len(rows), by_day)


def deletion_queue(tx: Tx, after: tuple[str, str], limit: int) -> list[PhoneNumber]:
    """Return up to `limit` numbers in the deletion queue: those not taken back by a carrier, then the first to leave.

    They follow `after`: a number's deletion timestamp (empty if it has none), and the number.
    """
    where = f"status IN {IN_DELETION_QUEUE!r} AND (coalesce(deletion_timestamp, ''), e164_phone_number) > (?, ?)"
    order = "coalesce(deletion_timestamp, ''), e164_phone_number"
    return phone_numbers.select(tx, f"{where} ORDER BY {order} LIMIT ?", (*after, limit))


def counts_by_holder(tx: Tx) -> dict[tuple[str, str], int]:
    """Return how many numbers each Voice Connector and group holds, by the association's name and value."""
    sql = (
        "SELECT name, value, count(*) FROM phone_number_associations"
        " WHERE account_id = ? AND name IN ('VoiceConnectorId', 'VoiceConnectorGroupId') GROUP BY name, value"
    )
    return {(name, value): count for name, value, count in tx.execute(sql, (tx.account_id,)).fetchall()}


def pointing_to(tx: Tx, id: str) -> list[str]:
    """Return the ids of groups and SIP rules with a link to this id, as many as a page can show."""
    return sources_of(tx, id, limit=MOST_HOLDERS)


def accounts(tx: Tx, limit: int) -> list[str]:
    """Return up to `limit` accounts that have numbers."""
    found: list[str] = []
    while len(found) < limit:  # from one account to the next by the index, however many numbers each has
        sql = "SELECT min(account_id) FROM phone_numbers WHERE account_id > ?"
        (account_id,) = tx.execute(sql, (found[-1] if found else "",)).fetchone()
        if account_id is None:
            break
        found.append(account_id)
    return found


def _matching(tx: Tx, text: str) -> tuple[str, list[str]]:
    digits = _NO_DIGIT.sub("", text)
    if text.startswith("+") and _NUMBER.fullmatch(text):  # a range of the key: no other rows are read
        return "e164_phone_number >= ? AND e164_phone_number < ?", ["+" + digits, "+" + digits + ":"]
    like = f"%{_escaped(text)}%"
    ways = [f"{column} {_LIKE}" for column in ("name", "calling_name", "requested_calling_name")]
    values = [like] * 3
    if _NUMBER.fullmatch(text) and digits:
        ways.append("e164_phone_number LIKE ?")
        values.append(f"%{digits}%")
    held = (
        "SELECT e164_phone_number FROM phone_number_associations"
        " WHERE account_id = ? AND name IN ('AccountId', 'UserId', 'VoiceConnectorId', 'VoiceConnectorGroupId',"
        " 'SipRuleId') AND value"
    )
    ways.append(f"e164_phone_number IN ({held} >= ? AND value < ?)")
    values += [tx.account_id, text, text + "\U0010ffff"]
    if ids := _called(tx, like):
        ways.append(f"e164_phone_number IN ({held} IN ({', '.join('?' * len(ids))}))")
        values += [tx.account_id, *ids]
    return f"({' OR '.join(ways)})", values


def _called(tx: Tx, like: str) -> list[str]:
    """Return the ids of the possible holders with such a name."""
    found: list[str] = []
    for table, id, name in _HOLDERS:
        sql = f"SELECT {id} FROM {table} WHERE account_id = ? AND {name} {_LIKE} LIMIT ?"
        found += [row[0] for row in tx.execute(sql, (tx.account_id, like, MOST_HOLDERS)).fetchall()]
    return found


def _escaped(text: str) -> str:
    return re.sub(r"([!%_])", r"!\1", text)
