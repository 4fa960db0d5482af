"""What PostgreSQL makes of transactions that meet, and of a server that goes away."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import ALICE, BOB, POOL, Do
from numberkeep.carriers import Answer, Done, Request
from numberkeep.carriers.simulated import SimulatedCarrier
from numberkeep.domain.errors import Awaited, BadRequest, Conflict, NotFound, ServiceFailure, ServiceUnavailable
from numberkeep.operations import OPERATIONS
from numberkeep.storage import deliveries, phone_numbers, postgres, postgres_schema, store
from numberkeep.storage.driver import Driver, StoreError
from numberkeep.storage.postgres import Postgres
from numberkeep.storage.tx import Tx
from numberkeep.worker import Worker
from numberkeep.world import World
from pgbouncer import PgBouncer
from postgres import PostgresServer

E164 = "+12065550100"
OTHER = "+12065550101"


@pytest.fixture
def location(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    with postgres_server.database(postgres_template) as url:
        yield url


@pytest.fixture
def open_another(location: str, world: World) -> Iterator[Callable[[], Postgres]]:
    """Open the store again, as another process would."""
    opened: list[Postgres] = []

    def another() -> Postgres:
        opened.append(Postgres(location, world, POOL))
        return opened[-1]

    yield another
    for one in opened:
        one.close()


async def written(storage: Driver, function: Callable[[Tx], Any], e164: str | None = None) -> Any:
    """What comes of a write that the API asks for."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    storage.write(ALICE, "request", function, future.set_result, e164)
    return await future


async def asked(storage: Driver, function: Callable[[Tx], Any], e164: str | None = None) -> Any:
    """What comes of a read that the API asks for."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    storage.read(ALICE, "request", function, future.set_result, e164=e164)
    return await future


def rename(e164: str, name: str) -> Callable[[Tx], Any]:
    return lambda tx: OPERATIONS["update_phone_number"](tx, e164, name=name)


def name_of(storage: Driver, e164: str = E164) -> str | None:
    number = asyncio.run(storage.ask(ALICE, phone_numbers.get, e164))
    return number.name


def test_updates_that_gather_share_a_transaction(storage: Driver, put: Do, location: str) -> None:
    e164s = [f"+1206555{line:04}" for line in range(100, 140)]
    put(*e164s)

    async def run() -> None:
        await asyncio.gather(*[written(storage, rename(e164, "x"), e164) for e164 in e164s])

    asyncio.run(run())
    with psycopg.connect(location) as connection:
        assert connection.execute("SELECT count(DISTINCT xmin::text) FROM phone_numbers").fetchone() == (1,)
    assert {name_of(storage, e164) for e164 in e164s} == {"x"}


def test_one_that_fails_after_it_has_written_leaves_its_group_alone(storage: Driver, put: Do) -> None:
    put(E164, OTHER)

    def spoil(tx: Tx) -> None:
        rename(OTHER, "lost")(tx)
        raise Conflict("no")

    async def run() -> list[Any]:
        return await asyncio.gather(
            written(storage, rename(E164, "kept"), E164), written(storage, spoil, OTHER), written(storage, spoil)
        )

    kept, *lost = asyncio.run(run())
    assert msgspec.json.decode(kept)["PhoneNumber"]["Name"] == "kept"
    assert [type(error) for error in lost] == [Conflict, Conflict]
    assert (name_of(storage, E164), name_of(storage, OTHER)) == ("kept", None)


def test_several_changes_of_one_number_in_a_group_follow_each_other(storage: Driver, put: Do) -> None:
    put(E164)

    async def run() -> None:
        await asyncio.gather(*[written(storage, rename(E164, name), E164) for name in ("one", "two", "three")])

    asyncio.run(run())
    changes = asyncio.run(storage.ask(ALICE, phone_numbers.history, E164))
    assert [change.change["name"] for change in changes if "name" in change.change] == [
        ("two", "three"),
        ("one", "two"),
        (None, "one"),
    ]


def test_a_number_that_is_not_there(storage: Driver) -> None:
    async def run() -> Any:
        return await written(storage, rename(E164, "x"), E164)

    assert isinstance(asyncio.run(run()), NotFound)


def test_who_meets_another_process_waits_for_it(storage: Driver, put: Do, location: str) -> None:
    put(E164)

    async def run(other: psycopg.Connection[Any]) -> Any:
        waiting = asyncio.create_task(written(storage, rename(E164, "ours"), E164))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        other.commit()
        return await waiting

    with psycopg.connect(location) as other:
        other.execute("UPDATE phone_numbers SET name = 'theirs'")
        asyncio.run(run(other))
    changes = asyncio.run(storage.ask(ALICE, phone_numbers.history, E164))
    assert changes[0].change["name"] == ("theirs", "ours")


def test_a_message_waits_for_none_that_is_over_meanwhile(storage: Driver, location: str) -> None:
    def tell(tx: Tx, other: psycopg.Connection[Any] | None = None) -> None:
        store.get(tx, "x")  # what it sees from here on is of this moment
        if other and not other.execute("SELECT 1 FROM deliveries WHERE status = 'Delivered'").fetchone():
            other.execute("UPDATE deliveries SET status = 'Delivered'")
        deliveries.put(tx, E164, "crm", "phone_number.changed", "{}")

    asyncio.run(storage.transact(ALICE, tell))
    with psycopg.connect(location, autocommit=True) as other:
        asyncio.run(storage.transact(ALICE, tell, other))
    found = asyncio.run(storage.ask(ALICE, deliveries.of_account, None, None, 10))
    assert [one.status for one in found] == ["Pending", "Delivered"]


def test_a_function_that_met_another_transaction_is_run_again(storage: Driver, location: str) -> None:
    """Both read what the other writes: SERIALIZABLE lets one of them through, and the other sees what it wrote."""
    runs: list[str] = []

    def count(tx: Tx) -> None:
        (found,) = tx.execute("SELECT count(*) FROM store WHERE name LIKE 'x%'", ()).fetchone()
        runs.append(tx.request_id)
        if len(runs) == 1:
            with psycopg.connect(location) as other:
                other.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                (seen,) = other.execute("SELECT count(*) FROM store WHERE name LIKE 'x%'").fetchone() or (None,)
                other.execute("INSERT INTO store VALUES ('x' || %s, '')", (seen,))
        store.put(tx, f"x{found}", "ours")

    asyncio.run(storage.transact(ALICE, count))
    assert len(runs) == 2
    assert asyncio.run(storage.ask(ALICE, store.get, "x1")) == "ours"


def test_two_that_order_a_number_at_once(storage: Driver, open_another: Callable[[], Postgres]) -> None:
    """Each of 20 numbers is claimed by two processes: exactly one of the two has it."""
    another = open_another()
    e164s = [f"+1206555{line:04}" for line in range(200, 220)]
    owned: dict[str, list[bool]] = {e164: [] for e164 in e164s}

    def claim_all(one: Driver, caller: Any) -> None:
        async def run() -> None:
            results = await asyncio.gather(*[one.transact(caller, phone_numbers.claim, e164) for e164 in e164s])
            for e164, result in zip(e164s, results, strict=True):
                owned[e164].append(result)

        asyncio.run(run())

    threads = [threading.Thread(target=claim_all, args=pair) for pair in ((storage, ALICE), (another, BOB))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(sorted(results) == [False, True] for results in owned.values())


def test_workers_of_many_processes_do_nothing_twice(
    storage: Driver, open_another: Callable[[], Postgres], world: World, put: Do
) -> None:
    """Each process has a worker, and all of them begin at once with what is due."""
    e164s = [f"+1206555{line:04}" for line in range(200, 800)]
    put(*e164s)
    asked: list[str] = []

    class Carrier(SimulatedCarrier):
        async def set_calling_name(self, request: Request) -> Answer:
            asked.append(request.e164_phone_number)
            return Done()

    async def ask_for_names() -> None:
        update = OPERATIONS["update_phone_number"]
        await asyncio.gather(
            *[written(storage, partial(update, phone_number_id=e164, calling_name="Acme"), e164) for e164 in e164s]
        )

    asyncio.run(ask_for_names())
    ready = threading.Barrier(10)

    def work(store: Postgres) -> None:
        ready.wait()
        asyncio.run(Worker(store, lambda *_: Carrier(0), world).run_due())

    threads = [threading.Thread(target=work, args=(open_another(),)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(asked) == e164s
    for e164 in e164s[::50]:
        changes = asyncio.run(storage.ask(ALICE, phone_numbers.history, e164))
        assert [change.change["calling_name_status"][1] for change in changes] == [
            "UpdateSucceeded",
            "UpdateInProgress",
            "Unassigned",
        ]


def test_what_cannot_be_kept_is_refused(storage: Driver, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BadRequest, match="cannot keep"):
        asyncio.run(storage.transact(ALICE, store.put, "name", "nul \0"))
    with pytest.raises(ServiceFailure):
        asyncio.run(storage.transact(ALICE, lambda tx: tx.execute("SELECT nothing", ())))
    assert "UndefinedColumn" in caplog.text
    asyncio.run(storage.transact(ALICE, store.put, "name", "value"))


def test_who_waits_too_long_is_told_to_try_again(
    location: str, world: World, put: Do, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asks for other numbers at the same time is not held up, though all share a transaction at first."""
    put(E164, OTHER)
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 1)

    async def both() -> list[Any]:
        answered: list[Any] = []

        async def change(e164: str) -> None:
            result = await written(storage, rename(e164, "ours"), e164)
            answered.append((e164, type(result)))

        await asyncio.gather(change(E164), change(OTHER))
        return answered

    with closing(Postgres(location, world, POOL)) as storage, psycopg.connect(location) as other:
        other.execute("UPDATE phone_numbers SET name = 'theirs' WHERE e164_phone_number = %s", (E164,))
        assert asyncio.run(both()) == [(OTHER, bytes), (E164, ServiceUnavailable)]
        assert name_of(storage, OTHER) == "ours"
        other.rollback()
        asyncio.run(written(storage, rename(E164, "ours"), E164))
        assert name_of(storage) == "ours"
    assert "has waited too long" in caplog.text
    assert "is lost" not in caplog.text


def test_what_has_to_be_looked_up_is_waited_for(storage: Driver) -> None:
    """And no longer known than until those who waited have seen it: what is made meanwhile is there for the next."""

    async def look() -> tuple[int, str | None]:
        found: asyncio.Future[tuple[int, str | None]] = asyncio.get_running_loop().create_future()

        def attempt(waited: int) -> None:
            try:
                found.set_result((waited, storage.look(ALICE, store.get, "name")))
            except Awaited as awaited:
                awaited.resume_with(partial(attempt, waited + 1))

        attempt(0)
        return await found

    async def run() -> list[tuple[int, str | None]]:
        before = await look()
        await storage.transact(ALICE, store.put, "name", "value")
        return [before, await look()]

    assert asyncio.run(run()) == [(1, None), (1, "value")]


def test_a_server_that_goes_away_and_comes_back(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for it, nothing that was answered is lost, and nobody has to do anything."""
    with PostgresServer(durable=True) as server, server.database() as url:
        postgres_schema.migrate(url, "ab" * 32)
        with closing(Postgres(url, world, POOL)) as storage:
            asyncio.run(storage.transact(ALICE, store.put, "name", "before"))
            server.crash()
            for attempt in (storage.transact(ALICE, store.put, "name", "lost"), storage.ask(ALICE, store.get, "name")):
                with pytest.raises(ServiceUnavailable, match="nothing was changed"):
                    asyncio.run(attempt)
            with pytest.raises(StoreError, match="cannot be opened"):
                Postgres(url, world, POOL)
            server.resume()
            assert asyncio.run(storage.ask(ALICE, store.get, "name")) == "before"
            asyncio.run(storage.transact(ALICE, store.put, "name", "after"))
            assert asyncio.run(storage.ask(ALICE, store.get, "name")) == "after"
            assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
                "the store is lost",
                "the store is there again",
            ]


def test_a_connection_that_was_lost_while_idle_costs_nobody_anything(storage: Driver, location: str) -> None:
    asyncio.run(storage.transact(ALICE, store.put, "name", "before"))
    with psycopg.connect(location, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    asyncio.run(storage.transact(ALICE, store.put, "name", "after"))
    assert asyncio.run(storage.ask(ALICE, store.get, "name")) == "after"


def test_a_server_that_no_longer_writes_is_left(storage: Driver, location: str) -> None:
    """As after a failover: the connection lives, and leads to what has become a standby."""
    asyncio.run(storage.transact(ALICE, store.put, "name", "before"))
    database = location.rpartition("/")[2]
    with psycopg.connect(location, autocommit=True) as other:
        other.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")

        def become_a_standby(tx: Tx) -> None:
            tx.execute("SET TRANSACTION READ ONLY", ())
            store.put(tx, "name", "lost")

        with pytest.raises(ServiceUnavailable, match="nothing was changed"):
            asyncio.run(storage.transact(ALICE, become_a_standby))
        other.execute("SET default_transaction_read_only = off")
        other.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    assert asyncio.run(storage.ask(ALICE, store.get, "name")) == "before"


@pytest.mark.parametrize("reads", [True, False])
def test_a_commit_of_which_nothing_was_heard(storage: Driver, location: str, reads: bool) -> None:
    """The server dies on the COMMIT: whether that was made is not known, nobody claims to know, and nothing is done
    twice."""
    asyncio.run(storage.transact(ALICE, store.put, "before", "value"))  # so that the connection has served
    with psycopg.connect(location, autocommit=True) as other:
        other.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END$$"
        )
        other.execute(
            "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON store DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION die()"
        )
    runs = []

    def put(tx: Tx) -> None:
        runs.append(store.get(tx, "before") if reads else None)
        store.put(tx, "new", "value")

    with pytest.raises(ServiceUnavailable, match="may have been made or not"):
        asyncio.run(storage.transact(ALICE, put))
    assert len(runs) == 1


def test_a_commit_that_warns_is_not_acknowledged(storage: Driver, location: str) -> None:
    """As when it stops waiting for a synchronous standby, because somebody has cancelled it."""
    with psycopg.connect(location, autocommit=True) as other:
        other.execute(
            "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE WARNING 'canceling wait for synchronous replication'; RETURN NULL; END$$"
        )
        other.execute(
            "CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON store DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION warn()"
        )
    with pytest.raises(ServiceUnavailable, match="may have been made or not"):
        asyncio.run(storage.transact(ALICE, store.put, "new", "value"))
    assert asyncio.run(storage.ask(ALICE, store.get, "new")) == "value"


def test_answers_are_durable_whatever_the_servers_default(location: str, world: World) -> None:
    database = location.rpartition("/")[2]
    with psycopg.connect(location, autocommit=True) as other:
        other.execute(f"ALTER DATABASE {database} SET synchronous_commit = off")
    with closing(Postgres(location, world, POOL)) as storage:
        row = asyncio.run(storage.transact(ALICE, lambda tx: tx.execute("SHOW synchronous_commit", ()).fetchone()))
    assert row == ("on",)


def test_a_pooler_may_stand_before_it(location: str, world: World, pgbouncer: PgBouncer, put: Do) -> None:
    """PgBouncer gives every transaction another session: nothing of ours may rely on the one before."""
    e164s = [f"+1206555{line:04}" for line in range(100, 140)]
    put(*e164s)
    url = pgbouncer.url(location.rpartition("/")[2])
    stores = [Postgres(url, world, POOL) for _ in range(2)]

    async def use(storage: Postgres, name: str) -> None:
        for _ in range(10):
            await asyncio.gather(
                *[written(storage, rename(e164, name), e164) for e164 in e164s],
                *[storage.ask(ALICE, phone_numbers.get, e164) for e164 in e164s],
                *[storage.transact(ALICE, store.put, f"{name} {e164}", name) for e164 in e164s],
            )

    threads = [threading.Thread(target=asyncio.run, args=(use(one, f"n{i}"),)) for i, one in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    facts = "SELECT count(*) FROM store WHERE name LIKE 'n%'"
    row = asyncio.run(stores[0].transact(ALICE, lambda tx: tx.execute(facts, ()).fetchone()))
    timeout = asyncio.run(stores[0].transact(ALICE, lambda tx: tx.execute("SHOW statement_timeout", ()).fetchone()))
    for one in stores:
        one.close()
    assert (row, timeout) == ((2 * len(e164s),), (f"{postgres.STATEMENT_SECONDS}s",))


def test_reads_may_be_asked_elsewhere(location: str, world: World, postgres_server: PostgresServer, put: Do) -> None:
    put(E164)
    with postgres_server.database("template1") as standby:
        postgres_schema.migrate(standby, "ab" * 32)
        with closing(Postgres(location, world, POOL, standby_url=standby)) as storage:
            for e164 in (None, E164):
                found = asyncio.run(asked(storage, lambda tx: phone_numbers.get(tx, E164), e164))
                assert isinstance(found, NotFound)
            asyncio.run(written(storage, rename(E164, "x"), E164))
            assert name_of(storage) == "x", "what has to be right is asked of the leader"


def test_a_standby_that_is_away_is_done_without(
    location: str, world: World, put: Do, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Reads are asked of the leader until it is back."""
    put(E164)
    monkeypatch.setattr(postgres, "FIRST_AWAY_SECONDS", 0.3)

    def place(tx: Tx) -> int:
        return int(tx.execute("SHOW port", ()).fetchone()[0])

    with PostgresServer(durable=True) as server, server.database() as standby:
        postgres_schema.migrate(standby, "ab" * 32)
        leader_port = conninfo_to_dict(location)["port"]
        with closing(Postgres(location, world, POOL, standby_url=standby)) as storage:
            standby_port = asyncio.run(asked(storage, place))
            assert standby_port != leader_port
            server.crash()
            assert asyncio.run(asked(storage, place)) == int(leader_port or 0)
            server.resume()
            time.sleep(0.4)
            assert asyncio.run(asked(storage, place)) == standby_port
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the standby is lost",
        "the standby is there again",
    ]
