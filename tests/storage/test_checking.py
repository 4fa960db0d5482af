"""Every rule of a store: a sound one keeps them all, and what breaks one is found, on both engines."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any

import msgspec
import pytest

from conftest import ALICE, BOB, POOL
from numberkeep.carriers.simulated import SimulatedCarrier
from numberkeep.config import Location
from numberkeep.opening import open_store
from numberkeep.operations import OPERATIONS
from numberkeep.storage import checking
from numberkeep.storage.checking import Finding, check
from numberkeep.storage.copying import Side, side_of
from numberkeep.storage.driver import Driver
from numberkeep.storage.tx import Row
from numberkeep.worker import Worker
from numberkeep.world import World
from postgres import PostgresServer

N = [f"+1206555{line:04}" for line in range(100, 112)]
LAMBDA = "arn:aws:lambda:us-east-1:111111111111:function:one"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Any]]:
    """A store with something of everything; the ids of what is in it."""
    with ExitStack() as stack:
        location: Location = tmp_path_factory.mktemp("sound") / "store.sqlite3"
        if request.param == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            location = stack.enter_context(server.database(request.getfixturevalue("postgres_template")))
        seconds = [1_572_373_530.392]
        world = World(clock=lambda: seconds[0], seed=1)
        with ExitStack() as used:
            carrier = SimulatedCarrier(4)
            storage = open_store(location, world, POOL, used)
            ids = fill(storage, Worker(storage, lambda *_: carrier, world), seconds)
        yield stack.enter_context(closing(side_of(location))), ids


def fill(storage: Driver, worker: Worker, seconds: list[float]) -> dict[str, str]:
    def do(operation: str, **arguments: Any) -> Any:
        return asyncio.run(storage.transact(ALICE, OPERATIONS[operation], **arguments))

    def order(product_type: str, *e164s: str) -> Any:
        ordered = do("create_phone_number_order", product_type=product_type, e164_phone_numbers=list(e164s))
        return ordered["PhoneNumberOrder"]

    ordered = order("VoiceConnector", *N[:5], "+12065550199")
    order("SipMediaApplicationDialIn", N[5])
    order("BusinessCalling", N[6])
    seconds[0] += 10
    asyncio.run(worker.run_due())
    connector = do("create_voice_connector", name="one", require_encryption=True)["VoiceConnector"]
    connector_id = connector.voice_connector_id
    group = do(
        "create_voice_connector_group",
        name="all",
        voice_connector_items=[msgspec.defstruct("Item", ["voice_connector_id", "priority"])(connector_id, 1)],
    )["VoiceConnectorGroup"]
    do("associate_phone_numbers_with_voice_connector", voice_connector_id=connector_id, e164_phone_numbers=N[:1])
    do(
        "associate_phone_numbers_with_voice_connector_group",
        voice_connector_group_id=group.voice_connector_group_id,
        e164_phone_numbers=N[1:2],
    )
    endpoint = msgspec.defstruct("Endpoint", ["lambda_arn"])(LAMBDA)
    application = do("create_sip_media_application", aws_region="us-east-1", name="app", endpoints=[endpoint])
    application_id = application["SipMediaApplication"].sip_media_application_id
    do(
        "put_sip_media_application_logging_configuration",
        sip_media_application_id=application_id,
        sip_media_application_logging_configuration={"EnableSipMediaApplicationMessageLogs": True},
    )
    target = msgspec.defstruct("Target", ["sip_media_application_id", "priority", "aws_region"])
    triggers = {"dial": ("ToPhoneNumber", N[5]), "host": ("RequestUriHostname", connector.outbound_host_name)}
    rules = {
        name: do(
            "create_sip_rule",
            name=name,
            trigger_type=trigger_type,
            trigger_value=value,
            target_applications=[target(application_id, 1, None)],
        )["SipRule"].sip_rule_id
        for name, (trigger_type, value) in triggers.items()
    }
    account_id = do("create_account", name="team")["Account"].account_id
    user_id = do("create_user", account_id=account_id, email="a@example.com")["User"].user_id
    do("associate_phone_number_with_user", account_id=account_id, user_id=user_id, e164_phone_number=N[6])
    do("delete_phone_number", phone_number_id=N[3])
    do("delete_phone_number", phone_number_id=N[4])
    seconds[0] += 8 * 86400
    asyncio.run(worker.run_due())
    do("update_phone_number", phone_number_id=N[2], calling_name="Acme")
    do("delete_phone_number", phone_number_id=N[2])
    order("VoiceConnector", N[3])  # which the account has had before
    in_progress = order("VoiceConnector", N[7])
    return {
        "order": ordered.phone_number_order_id,
        "in_progress": in_progress.phone_number_order_id,
        "connector": connector_id,
        "group": group.voice_connector_group_id,
        "application": application_id,
        "account": account_id,
        "user": user_id,
        **rules,
    }


@pytest.fixture
def side(sound: tuple[Side, Any]) -> Iterator[Side]:
    """A connection whose changes are taken back."""
    sound[0].execute("BEGIN")
    yield sound[0]
    sound[0].execute("ROLLBACK")


@pytest.fixture
def ids(sound: tuple[Side, Any]) -> dict[str, str]:
    return sound[1]  # type: ignore[no-any-return]


def findings(side: Side) -> list[Finding]:
    return list(check(side.execute))


def test_a_sound_store_breaks_no_rule(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    assert findings(side) == []
    monkeypatch.setattr(checking, "PAGE_ROWS", 2)
    assert findings(side) == []


def test_an_engine_is_given_so_many_values_as_it_takes(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL takes 65,535 in a statement, which the numbers of a page of orders can be more than."""
    monkeypatch.setattr(checking, "PAGE_ROWS", 2)
    values = [("111111111111", e164) for e164 in N]
    counts: list[int] = []

    def execute(sql: str, parameters: Sequence[Any]) -> Sequence[Row]:
        counts.append(len(parameters))
        return side.execute(sql, parameters)

    key = ("account_id", "e164_phone_number")
    found = checking._named(execute, key, "phone_numbers", key, values)
    assert max(counts) == 4
    there = "SELECT account_id, e164_phone_number FROM phone_numbers WHERE account_id = '111111111111'"
    assert {tuple(row) for row in found} == {tuple(row) for row in side.execute(there)} & set(values)


OF = "WHERE account_id = '111111111111' AND e164_phone_number ="
TOLD = "the history of a number leads to what it is"
AS_FAR = "an order is as far as its numbers"
LINKED = "links are those that groups and rules name"

BREAKS: list[tuple[str, str, str]] = [
    # what is broken, by which rule it is found, and of what
    (f"DELETE FROM phone_number_owners WHERE e164_phone_number = '{N[0]}'", "a number belongs to one account", N[0]),
    (
        f"UPDATE phone_number_owners SET account_id = '{BOB.account_id}' WHERE e164_phone_number = '{N[0]}'",
        "a number belongs to one account",
        N[0],
    ),
    (
        f"INSERT INTO phone_number_owners (e164_phone_number, account_id) VALUES ('{N[9]}', '{BOB.account_id}')",
        "what belongs to an account is in its inventory",
        N[9],
    ),
    (
        f"INSERT INTO phone_number_owners VALUES ('+12065550199', '{ALICE.account_id}')",
        "what belongs to an account is in its inventory",
        "+12065550199",
    ),
    (f"UPDATE phone_numbers SET status = 'Lost' {OF} '{N[0]}'", "statuses and product types are known", N[0]),
    (
        "INSERT INTO pending_changes (account_id, e164_phone_number, kind, requested_at, due_at)"
        f" VALUES ('{ALICE.account_id}', '{N[0]}', 'release', '2019', '2019')",
        "what is pending is waited for",
        N[0],
    ),
    (f"DELETE FROM pending_changes {OF} '{N[7]}'", "what is waited for is pending", N[7]),
    (f"DELETE FROM pending_changes {OF} '{N[2]}' AND kind = 'set_calling_name'", "what is waited for is pending", N[2]),
    (f"DELETE FROM pending_changes {OF} '{N[2]}' AND kind = 'release'", "what is waited for is pending", N[2]),
    (
        f"UPDATE phone_numbers SET deletion_timestamp = '2019' {OF} '{N[0]}'",
        "a number in the deletion queue, and no other, has a deletion timestamp",
        N[0],
    ),
    (
        f"UPDATE phone_numbers SET requested_calling_name = NULL {OF} '{N[2]}'",
        "a calling name that is in progress, and no other, was requested",
        N[2],
    ),
    (
        f"DELETE FROM phone_number_associations {OF} '{N[0]}'",
        "a number is Assigned if something holds it, and only then",
        N[0],
    ),
    (
        f"UPDATE phone_numbers SET status = 'Unassigned' {OF} '{N[0]}'",
        "a number is Assigned if something holds it, and only then",
        N[0],
    ),
    (
        f"UPDATE phone_numbers SET product_type = 'BusinessCalling' {OF} '{N[0]}'",
        "a number has one holder, of its product type",
        N[0],
    ),
    (
        f"UPDATE phone_number_associations SET e164_phone_number = '{N[1]}' {OF} '{N[0]}'",
        "a number has one holder, of its product type",
        N[1],
    ),
    (
        f"UPDATE phone_number_associations SET e164_phone_number = '{N[9]}' {OF} '{N[0]}'",
        "a number has one holder, of its product type",
        N[9],
    ),
    (
        f"DELETE FROM phone_number_associations {OF} '{N[6]}' AND name = 'AccountId'",
        "a number has one holder, of its product type",
        N[6],
    ),
    ("DELETE FROM voice_connectors", "what a number is assigned to is there, and has it", N[0]),
    ("DELETE FROM voice_connector_groups", "what a number is assigned to is there, and has it", N[1]),
    (
        "UPDATE sip_rules SET disabled = 1 WHERE sip_rule_id = '{dial}'",
        "what a number is assigned to is there, and has it",
        N[5],
    ),
    (
        "UPDATE business_users SET primary_provisioned_number = NULL",
        "what a number is assigned to is there, and has it",
        N[6],
    ),
    (f"DELETE FROM phone_number_associations {OF} '{N[5]}'", "what has a number holds it", N[5]),
    (f"DELETE FROM phone_number_associations {OF} '{N[6]}'", "what has a number holds it", N[6]),
    (
        "INSERT INTO sip_rules SELECT account_id, 'other', name, disabled, trigger_type, trigger_value,"
        " target_applications, created_timestamp, updated_timestamp FROM sip_rules WHERE sip_rule_id = '{host}'",
        "a host name has one enabled SIP rule",
        "{connector}.voiceconnector.chime.aws",
    ),
    ("DELETE FROM sip_media_applications", "what is linked is there", "{dial}"),
    ("DELETE FROM voice_connector_groups", "what is linked is there", "{group}"),
    ("DELETE FROM sip_media_applications", "what is configured is there", "{application}"),
    ("DELETE FROM business_accounts", "a user's account is there", "{user}"),
    ("UPDATE phone_number_orders SET status = 'Failed' WHERE status = 'Partial'", AS_FAR, "{order}"),
    ("DELETE FROM phone_number_orders WHERE phone_number_order_id = '{in_progress}'", AS_FAR, N[7]),
    (
        "UPDATE phone_number_orders SET ordered_phone_numbers ="
        " replace(ordered_phone_numbers, 'Processing', 'Acquired'), status = 'Successful' WHERE status = 'Processing'",
        AS_FAR,
        N[7],
    ),
    (f"UPDATE phone_numbers SET order_id = 'other' {OF} '{N[7]}'", AS_FAR, N[7]),
    (f"UPDATE phone_numbers SET status = 'AcquireFailed' {OF} '{N[7]}'", AS_FAR, N[7]),
    ("UPDATE voice_connector_groups SET voice_connector_items = '[]'", LINKED, "{group}"),
    ("DELETE FROM resource_links WHERE source_id = '{host}'", LINKED, "{host}"),
    (f"UPDATE phone_numbers SET name = 'other' {OF} '{N[0]}'", TOLD, N[0]),
    (f"UPDATE phone_numbers SET calling_name = 'other' {OF} '{N[7]}'", TOLD, N[7]),
    (f"UPDATE phone_numbers SET change_id = 1 {OF} '{N[0]}'", TOLD, N[0]),
    (
        f"UPDATE phone_numbers SET change_id = (SELECT change_id FROM phone_numbers {OF} '{N[1]}') {OF} '{N[0]}'",
        TOLD,
        N[1],
    ),
    (
        f"UPDATE phone_number_associations SET associated_timestamp = '2019' {OF} '{N[0]}'",
        TOLD,
        N[0],
    ),
    (
        f"UPDATE phone_number_history SET previous_change_id = NULL {OF} '{N[0]}'",
        TOLD,
        N[0],
    ),
    (f"UPDATE phone_number_history SET previous_change_id = change_id {OF} '{N[4]}'", TOLD, N[4]),
    (f"DELETE FROM phone_number_history {OF} '{N[4]}' AND previous_change_id IS NULL", TOLD, N[4]),
    (f"DELETE FROM departed_phone_numbers {OF} '{N[4]}'", "every change is part of a number's history", N[4]),
    (
        f"INSERT INTO phone_number_history VALUES"
        f" ('{ALICE.account_id}', 7, NULL, '{N[0]}', '2019', 'r', 'a', '{{{{}}}}')",
        "every change is part of a number's history",
        N[0],
    ),
    (
        "INSERT INTO phone_number_history SELECT account_id, 7, previous_change_id, e164_phone_number, changed_at,"
        f" request_id, arn, change FROM phone_number_history {OF} '{N[0]}' AND previous_change_id IS NOT NULL"
        " AND change LIKE '%associations%'",
        "a change is followed by one other",
        N[0],
    ),
]


@pytest.mark.parametrize(("sql", "rule", "what"), BREAKS)
def test_what_breaks_a_rule_is_found(side: Side, ids: dict[str, str], sql: str, rule: str, what: str) -> None:
    side.execute(sql.format(**ids))
    assert (rule, what.format(**ids)) in [(found.rule, found.what) for found in findings(side)]


def test_every_rule_was_broken() -> None:
    assert {rule for _, rule, _ in BREAKS} == {*checking._RULES, *checking._CHAIN_RULES, TOLD, AS_FAR, LINKED}


def test_the_reason_of_a_failure_is_no_part_of_a_number(side: Side) -> None:
    side.execute(
        'UPDATE phone_number_history SET change = replace(change, \'"AcquireFailed"]\', \'"AcquireFailed"],'
        '"reason":[null,"nobody sells it"]\') WHERE change LIKE \'%"AcquireFailed"]%\''
    )
    assert side.execute("SELECT count(*) FROM phone_number_history WHERE change LIKE '%nobody sells it%'") == [(1,)]
    assert findings(side) == []


def test_findings_have_an_end(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "MOST_FINDINGS", 2)
    side.execute("DELETE FROM phone_number_owners")
    side.execute("UPDATE phone_numbers SET name = 'other'")
    assert len(findings(side)) == 4
