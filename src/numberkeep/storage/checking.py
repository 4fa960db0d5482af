"""Checks of a store: rules over all of its rows, on both engines, that hold between any two transactions.

Most rules are one statement each, which returns the rows that break it. For those about data stored as JSON (orders,
links, histories), rows are read in pages, in the order of their keys, so that memory does not grow with the store.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, get_args

import msgspec

from ..domain import phone_number
from ..domain.phone_number import IN_DELETION_QUEUE, PRODUCT_TYPE_OF
from ..domain.phone_number_order import OrderedPhoneNumber
from ..domain.sip import SipRule
from ..domain.voice_connector import VoiceConnectorItem
from .phone_numbers import COLUMNS
from .resources import SIP_RULES
from .tx import Row

PAGE_ROWS = 1000
"""How many rows of a table are in memory at a time."""
MOST_FINDINGS = 1000
"""How many violations of one rule are reported."""

Execute = Callable[[str, Sequence[Any]], Sequence[Row]]
"""Runs a statement and returns its rows; all statements see one state of the store."""


class Finding(NamedTuple):
    """A violation of a rule."""

    account: str
    what: str
    """The number, or the id of the order or the resource."""
    rule: str
    found: str


def check(execute: Execute) -> Iterator[Finding]:
    """Yield all violations, up to `MOST_FINDINGS` of each rule; none if the store is sound."""
    for rule, sql in _RULES.items():
        yield from _broken(execute, rule, sql)
    for sweep in (_orders, _links, _histories):
        yield from islice(sweep(execute), MOST_FINDINGS)


_QUEUED = f"n.status IN {IN_DELETION_QUEUE[:2]!r}"
_WAITS = f"""CASE {{}}.kind
    WHEN 'order' THEN n.status = 'AcquireInProgress'
    WHEN 'release' THEN {_QUEUED}
    WHEN 'set_calling_name' THEN n.calling_name_status = 'UpdateInProgress'
    ELSE FALSE END"""
_THE_NUMBER = "phone_numbers n ON n.account_id = {0}.account_id AND n.e164_phone_number = {0}.e164_phone_number"
_ITS_STATE = "'its status is ' || n.status || ', that of its calling name ' || n.calling_name_status"
_ASSOCIATIONS = (
    "FROM phone_number_associations a WHERE a.account_id = n.account_id AND a.e164_phone_number = n.e164_phone_number"
)


def _there(table: str, column: str, value: str, of: str, more: str = "") -> str:
    """Return the SQL for whether the account of `of` has a row of `table` whose `column` is `value`."""
    return f"EXISTS (SELECT 1 FROM {table} t WHERE t.account_id = {of}.account_id AND t.{column} = {value}{more})"


_ITS_NUMBER = " AND t.primary_provisioned_number = a.e164_phone_number"
_ITS_TRIGGER = " AND t.disabled = 0 AND t.trigger_type = 'ToPhoneNumber' AND t.trigger_value = a.e164_phone_number"
_PRODUCT_TYPE = " ".join(f"WHEN {name!r} THEN {product_type!r}" for name, product_type in PRODUCT_TYPE_OF.items())
_IS_ASKED = _there("pending_changes", "e164_phone_number", "n.e164_phone_number", "n", " AND t.kind = k.kind")
_SAYS_SO = _there(
    "phone_number_associations", "e164_phone_number", "h.number", "h", " AND t.name = h.name AND t.value = h.id"
)

_RULES = {
    "a number belongs to one account": """
        SELECT n.account_id, n.e164_phone_number,
            'its status is ' || n.status || ', and it belongs to ' || coalesce(o.account_id, 'nobody')
        FROM phone_numbers n LEFT JOIN phone_number_owners o ON o.e164_phone_number = n.e164_phone_number
        WHERE n.status NOT IN ('AcquireInProgress', 'AcquireFailed')
            AND (o.account_id IS NULL OR o.account_id <> n.account_id)""",
    "what belongs to an account is in its inventory": f"""
        SELECT o.account_id, o.e164_phone_number,
            coalesce('it belongs to the account, and ' || {_ITS_STATE}, 'the account does not have it')
        FROM phone_number_owners o LEFT JOIN {_THE_NUMBER.format("o")}
        WHERE n.status IS NULL OR n.status = 'AcquireFailed'""",
    "statuses and product types are known": f"""
        SELECT n.account_id, n.e164_phone_number, {_ITS_STATE} || ', its product type ' || n.product_type
        FROM phone_numbers n
        WHERE n.status NOT IN {get_args(phone_number.Status)!r}
            OR n.calling_name_status NOT IN {get_args(phone_number.CallingNameStatus)!r}
            OR n.product_type NOT IN {get_args(phone_number.ProductType)!r}""",
    "what is pending is waited for": f"""
        SELECT p.account_id, p.e164_phone_number,
            p.kind || ' is pending, and ' || coalesce({_ITS_STATE}, 'the account does not have it')
        FROM pending_changes p LEFT JOIN {_THE_NUMBER.format("p")}
        WHERE n.status IS NULL OR NOT {_WAITS.format("p")}""",
    "what is waited for is pending": f"""
        SELECT n.account_id, n.e164_phone_number, k.kind || ' is not pending, and ' || {_ITS_STATE}
        FROM phone_numbers n
        CROSS JOIN (SELECT 'order' AS kind UNION ALL SELECT 'release' UNION ALL SELECT 'set_calling_name') k
        WHERE {_WAITS.format("k")} AND NOT {_IS_ASKED}""",
    "a number in the deletion queue, and no other, has a deletion timestamp": f"""
        SELECT n.account_id, n.e164_phone_number,
            'its status is ' || n.status || ', its deletion timestamp ' || coalesce(n.deletion_timestamp, 'none')
        FROM phone_numbers n WHERE (n.deletion_timestamp IS NOT NULL) <> ({_QUEUED})""",
    "a calling name that is in progress, and no other, was requested": f"""
        SELECT n.account_id, n.e164_phone_number, {_ITS_STATE} FROM phone_numbers n
        WHERE (n.requested_calling_name IS NOT NULL) <> (n.calling_name_status = 'UpdateInProgress')""",
    "a number is Assigned if something holds it, and only then": f"""
        SELECT n.account_id, n.e164_phone_number,
            'its status is ' || n.status || ', and ' || (SELECT count(*) {_ASSOCIATIONS}) || ' associations name it'
        FROM phone_numbers n WHERE (n.status = 'Assigned') <> EXISTS (SELECT 1 {_ASSOCIATIONS})""",
    "a number has one holder, of its product type": f"""
        SELECT a.account_id, a.e164_phone_number,
            count(*) || ' associations: ' || min(a.name) || ' to ' || max(a.name) || ', and '
            || coalesce('its product type is ' || min(n.product_type), 'the account does not have it')
        FROM phone_number_associations a LEFT JOIN {_THE_NUMBER.format("a")}
        GROUP BY a.account_id, a.e164_phone_number
        HAVING min(n.product_type) IS NULL
            OR min(CASE a.name {_PRODUCT_TYPE} ELSE '' END) <> min(n.product_type)
            OR NOT ((count(*) = 1 AND min(a.name) NOT IN ('AccountId', 'UserId'))
                OR (count(*) = 2 AND min(a.name) = 'AccountId' AND max(a.name) = 'UserId'))""",
    "what a number is assigned to is there, and has it": f"""
        SELECT a.account_id, a.e164_phone_number, a.name || ' ' || a.value || ' is not there, or has another number'
        FROM phone_number_associations a
        WHERE NOT CASE a.name
            WHEN 'VoiceConnectorId' THEN {_there("voice_connectors", "voice_connector_id", "a.value", "a")}
            WHEN 'VoiceConnectorGroupId'
                THEN {_there("voice_connector_groups", "voice_connector_group_id", "a.value", "a")}
            WHEN 'SipRuleId' THEN {_there("sip_rules", "sip_rule_id", "a.value", "a", _ITS_TRIGGER)}
            WHEN 'UserId' THEN {_there("business_users", "user_id", "a.value", "a", _ITS_NUMBER)}
            WHEN 'AccountId' THEN {_there("business_users", "chime_account_id", "a.value", "a", _ITS_NUMBER)}
            ELSE FALSE END""",
    "what has a number holds it": f"""
        SELECT h.account_id, h.number, h.name || ' ' || h.id || ' has it, and no association says so'
        FROM (
            SELECT account_id, trigger_value AS number, 'SipRuleId' AS name, sip_rule_id AS id FROM sip_rules
            WHERE disabled = 0 AND trigger_type = 'ToPhoneNumber'
            UNION ALL SELECT account_id, primary_provisioned_number, 'UserId', user_id FROM business_users
            WHERE primary_provisioned_number IS NOT NULL
        ) h WHERE NOT {_SAYS_SO}""",
    "a host name has one enabled SIP rule": """
        SELECT account_id, trigger_value, count(*) || ' rules' FROM sip_rules
        WHERE disabled = 0 AND trigger_type = 'RequestUriHostname'
        GROUP BY account_id, trigger_value HAVING count(*) > 1""",
    "what is linked is there": f"""
        SELECT l.account_id, l.source_id, 'it points to ' || l.target_id || ', and one of the two is not there'
        FROM resource_links l
        WHERE NOT ({_there("voice_connectors", "voice_connector_id", "l.target_id", "l")}
                OR {_there("sip_media_applications", "sip_media_application_id", "l.target_id", "l")})
            OR NOT ({_there("voice_connector_groups", "voice_connector_group_id", "l.source_id", "l")}
                OR {_there("sip_rules", "sip_rule_id", "l.source_id", "l")})""",
    "what is configured is there": f"""
        SELECT c.account_id, c.resource_id, c.kind || ' is configured, and the resource is not there'
        FROM resource_configurations c
        WHERE NOT ({_there("voice_connectors", "voice_connector_id", "c.resource_id", "c")}
            OR {_there("sip_media_applications", "sip_media_application_id", "c.resource_id", "c")})""",
    "a user's account is there": f"""
        SELECT u.account_id, u.user_id, 'account ' || u.chime_account_id || ' is not there' FROM business_users u
        WHERE NOT {_there("business_accounts", "chime_account_id", "u.chime_account_id", "u")}""",
}
"""The rules, each with the statement that returns account, what and found of each row that breaks it."""


def _broken(execute: Execute, rule: str, sql: str) -> Iterator[Finding]:
    for account, what, found in execute(f"{sql} ORDER BY 1, 2, 3 LIMIT ?", (MOST_FINDINGS,)):
        yield Finding(account, what, rule, found)


_decode_ordered = msgspec.json.Decoder(tuple[OrderedPhoneNumber, ...]).decode
_decode_items = msgspec.json.Decoder(tuple[VoiceConnectorItem, ...]).decode
_decode_change = msgspec.json.Decoder(dict[str, tuple[Any, Any]]).decode


def _orders(execute: Execute) -> Iterator[Finding]:
    rule = "an order is as far as its numbers"
    columns = "account_id, phone_number_order_id, status, ordered_phone_numbers"
    for rows in _pages(execute, f"SELECT {columns} FROM phone_number_orders", ("account_id", "phone_number_order_id")):
        for account, order_id, status, ordered in rows:
            if status != (expected := _status_of(_decode_ordered(ordered))):
                yield Finding(account, order_id, rule, f"its status is {status}, and its numbers make it {expected}")
        yield from _being_ordered(execute, rows)
    in_progress = (
        "SELECT n.account_id, n.e164_phone_number, n.order_id, o.ordered_phone_numbers FROM phone_numbers n"
        " LEFT JOIN phone_number_orders o ON o.account_id = n.account_id AND o.phone_number_order_id = n.order_id"
    )
    key = ("n.account_id", "n.e164_phone_number")
    for rows in _pages(execute, in_progress, key, "n.status = 'AcquireInProgress'"):
        for account, e164, order_id, ordered in rows:
            if OrderedPhoneNumber(e164) not in _decode_ordered(ordered or "[]"):
                yield Finding(account, e164, rule, f"it is AcquireInProgress, and not Processing in order {order_id}")


def _status_of(numbers: tuple[OrderedPhoneNumber, ...]) -> str:
    """Return an order's status by the API reference. Repeated here: a check that shares the code it checks is blind."""
    statuses = {number.status for number in numbers}
    if "Processing" in statuses:
        return "Processing"
    return {frozenset({"Acquired"}): "Successful", frozenset({"Failed"}): "Failed"}.get(frozenset(statuses), "Partial")


def _being_ordered(execute: Execute, orders: Sequence[Row]) -> Iterator[Finding]:
    """Yield the numbers that are Processing in one of these orders, but are not being acquired by it."""
    processing = {
        (account, item.e164_phone_number): order_id
        for account, order_id, status, ordered in orders
        if status == "Processing"
        for item in _decode_ordered(ordered)
        if item.status == "Processing"
    }
    columns = (*_NUMBER, "status", "order_id")
    found = _named(execute, columns, "phone_numbers", _NUMBER, processing)
    acquiring = {row[:2]: row[3] for row in map(tuple, found) if row[2] == "AcquireInProgress"}
    for key, order_id in processing.items():
        if acquiring.get(key) != order_id:
            yield Finding(
                *key, "an order is as far as its numbers", f"it is Processing in {order_id}, and nowhere else"
            )


def _links(execute: Execute) -> Iterator[Finding]:
    groups = "SELECT account_id, voice_connector_group_id, voice_connector_items FROM voice_connector_groups"
    for rows in _pages(execute, groups, ("account_id", "voice_connector_group_id")):
        yield from _linked(
            execute,
            {(account, id): {item.voice_connector_id for item in _decode_items(items)} for account, id, items in rows},
        )
    rules = f"SELECT account_id, {', '.join(SipRule.__struct_fields__)} FROM sip_rules"
    for rows in _pages(execute, rules, ("account_id", "sip_rule_id")):
        yield from _linked(execute, {(row[0], row[1]): set(SIP_RULES.of(row[1:]).needs) for row in rows})


def _linked(execute: Execute, expected: dict[tuple[str, str], set[str]]) -> Iterator[Finding]:
    """Yield the sources whose links are not the expected ones."""
    linked: dict[tuple[str, str], set[str]] = {key: set() for key in expected}
    key = ("account_id", "source_id")
    for account, source_id, target_id in _named(execute, (*key, "target_id"), "resource_links", key, expected):
        linked[account, source_id].add(target_id)
    for key, targets in expected.items():
        if linked[key] != targets:
            found = f"it names {_words(targets)}, and points to {_words(linked[key])}"
            yield Finding(*key, "links are those that groups and rules name", found)


def _words(ids: Iterable[str]) -> str:
    return ", ".join(sorted(ids)) or "nothing"


_NUMBER = ("account_id", "e164_phone_number")
_IS_TOLD = "the history of a number leads to what it is"


class _Story:
    """A number whose history is read backwards: its state before the changes read so far."""

    def __init__(self, account: str, e164: str, state: dict[str, Any]) -> None:
        self._account = account
        self._e164 = e164
        self._state = state
        self._is_broken = False

    def rewind(self, e164: str, previous: int | None, change: dict[str, tuple[Any, Any]]) -> Iterator[Finding]:
        """Undo a change."""
        if e164 != self._e164:
            yield from self.breaks(f"it goes on with a change of {e164}")
        for what, (before, after) in change.items():
            if what == "reason":  # why something failed, which is not part of the number's state
                continue
            if (now := self._state.get(what)) != after and (now or after):
                yield from self.breaks(f"{what} became {after!r}, and then was {now!r}")
            self._state[what] = before
        if previous is None and (untold := [what for what, value in self._state.items() if value not in (None, [])]):
            yield from self.breaks(f"nothing tells how {', '.join(sorted(untold))} came to be")

    def breaks(self, found: str) -> Iterator[Finding]:
        """Yield a violation, but only one per number."""
        if not self._is_broken:
            self._is_broken = True
            yield Finding(self._account, self._e164, _IS_TOLD, found)


class _Stories(dict[tuple[str, int], _Story]):
    """Stories by account and the id of the change that is read next."""

    def expect(self, account: str, change_id: int, story: _Story) -> Iterator[Finding]:
        if (account, change_id) in self:
            yield from story.breaks(f"change {change_id} is another number's too")
        else:
            self[account, change_id] = story


def _histories(execute: Execute) -> Iterator[Finding]:
    ((records,),) = execute("SELECT count(*) FROM phone_number_history", ())
    read = 0
    for begun in _begun(execute):
        stories = _Stories()
        for account, change_id, story in begun:
            yield from stories.expect(account, change_id, story)
        while stories and read <= records:  # a cyclic history has no end
            before, stories = stories, _Stories()
            for account, change_id, previous, e164, change in _changes(execute, before):
                story = before.pop((account, change_id))
                read += 1
                yield from story.rewind(e164, previous, _decode_change(change))
                if previous is not None:
                    yield from stories.expect(account, previous, story)
            for (_, change_id), story in before.items():
                yield from story.breaks(f"change {change_id} is not there")
    if read != records:
        for rule, sql in _CHAIN_RULES.items():
            yield from _broken(execute, rule, sql)


def _begun(execute: Execute) -> Iterator[Iterator[tuple[str, int, _Story]]]:
    """Yield all present and past numbers, page by page: account, latest change, and the story that it ends."""
    held = ("associated_timestamp", "name", "value")
    for rows in _pages(execute, f"SELECT account_id, {', '.join((*COLUMNS, 'change_id'))} FROM phone_numbers", _NUMBER):
        states = {(row[0], row[1]): dict(zip(COLUMNS, row[1:], strict=False)) for row in rows}
        assigned = [key for key, state in states.items() if state["status"] == "Assigned"]
        found = _named(execute, (*_NUMBER, *held), "phone_number_associations", _NUMBER, assigned)
        for account, e164, *association in sorted(map(tuple, found)):
            states[account, e164].setdefault("associations", []).append(dict(zip(held, association, strict=True)))
        yield ((row[0], row[-1], _Story(row[0], row[1], states[row[0], row[1]])) for row in rows)
    departed = "SELECT d.account_id, d.e164_phone_number, d.change_id FROM departed_phone_numbers d"
    gone = f"NOT {_there('phone_numbers', 'e164_phone_number', 'd.e164_phone_number', 'd')}"
    for rows in _pages(execute, departed, ("d.account_id", "d.e164_phone_number"), gone):
        yield ((account, change_id, _Story(account, e164, {})) for account, e164, change_id in rows)


def _changes(execute: Execute, stories: _Stories) -> Sequence[Row]:
    key = ("account_id", "change_id")
    columns = (*key, "previous_change_id", "e164_phone_number", "change")
    return _named(execute, columns, "phone_number_history", key, stories)


_CHAIN_RULES = {
    "every change is part of a number's history": """
        SELECT h.account_id, h.e164_phone_number, 'change ' || h.change_id || ' of request ' || h.request_id
        FROM phone_number_history h
        LEFT JOIN (
            SELECT account_id, previous_change_id AS change_id FROM phone_number_history
            UNION SELECT account_id, change_id FROM phone_numbers
            UNION SELECT account_id, change_id FROM departed_phone_numbers
        ) n ON n.account_id = h.account_id AND n.change_id = h.change_id
        WHERE n.change_id IS NULL""",
    "a change is followed by one other": """
        SELECT account_id, min(e164_phone_number), count(*) || ' changes follow change ' || previous_change_id
        FROM phone_number_history WHERE previous_change_id IS NOT NULL
        GROUP BY account_id, previous_change_id HAVING count(*) > 1""",
}
"""Run only if the numbers' histories lack a change or have one twice: no index helps these statements."""


def _pages(execute: Execute, select: str, key: Sequence[str], where: str = "TRUE") -> Iterator[Sequence[Row]]:
    """Yield a statement's rows, `PAGE_ROWS` at a time, ordered by `key`, the two columns that it selects first."""
    sql = f"{select} WHERE ({', '.join(key)}) > (?, ?) AND {where} ORDER BY {', '.join(key)} LIMIT ?"
    after: Sequence[Any] = ("", "")
    while rows := execute(sql, (*after, PAGE_ROWS)):
        yield rows
        after = rows[-1][:2]


def _named(
    execute: Execute, columns: Sequence[str], table: str, key: Sequence[str], values: Iterable[tuple[Any, Any]]
) -> Sequence[Row]:
    """Return these columns of the rows of a table whose two `key` columns have one of these `values`."""
    found: list[Row] = []
    left = iter(values)
    while wanted := list(islice(left, PAGE_ROWS)):
        # The last one is repeated to make their count a power of two: so there are few different statements.
        wanted += wanted[-1:] * ((1 << (len(wanted) - 1).bit_length()) - len(wanted))
        marks = ", ".join(["(?, ?)"] * len(wanted))
        sql = (  # SQLite begins with the left side of CROSS JOIN
            f"SELECT {', '.join(f't.{column}' for column in columns)}"
            f" FROM (SELECT DISTINCT column1, column2 FROM (VALUES {marks}) v) w CROSS JOIN {table} t"
            f" WHERE t.{key[0]} = w.column1 AND t.{key[1]} = w.column2"
        )
        found += execute(sql, [one for pair in wanted for one in pair])
    return found
