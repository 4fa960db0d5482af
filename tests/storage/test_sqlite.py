"""Transactions share a commit and nothing else; what fails leaves nothing; what is answered is on disk."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import ALICE, POOL, Do
from numberkeep.domain.caller import Caller
from numberkeep.domain.errors import BadRequest, Error, ServiceFailure, ServiceUnavailable
from numberkeep.storage import identities, phone_numbers, sqlite, store
from numberkeep.storage.driver import GROUP_JOBS, StoreError
from numberkeep.storage.migrations import latest, migrations, of_sqlite
from numberkeep.storage.resources import VOICE_CONNECTORS
from numberkeep.storage.sqlite import Sqlite
from numberkeep.storage.tx import Tx
from numberkeep.world import World

ANYBODY = Caller("111111111111", "arn:aws:iam::111111111111:root", "")


@pytest.fixture(autouse=True, params=["quick", "slow"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test, with a disk that is waited for on the loop, and with one that a thread waits for."""
    monkeypatch.setattr(sqlite, "QUICK_COMMIT_SECONDS", {"quick": 60.0, "slow": -1.0}[request.param])


def put_then(tx: Tx, name: str, error: Exception | None = None) -> str:
    store.put(tx, name, "kept")
    if error:
        raise error
    return name


@pytest.fixture
def storage(path: str, world: World) -> Iterator[Sqlite]:
    """An empty store."""
    with closing(Sqlite(path, world, POOL)) as one:
        yield one


def facts(storage: Sqlite) -> set[str]:
    return storage.look(ANYBODY, lambda tx: {name for (name,) in tx.execute("SELECT name FROM store", ()).fetchall()})


def test_a_transaction_that_fails_leaves_nothing_and_its_neighbours_alone(storage: Sqlite) -> None:
    async def run() -> list[Any]:
        return await asyncio.gather(
            storage.transact(ANYBODY, put_then, "before"),
            storage.transact(ANYBODY, put_then, "refused", BadRequest("rule")),
            storage.transact(ANYBODY, put_then, "broken", RuntimeError("bug")),
            storage.transact(ANYBODY, lambda tx: tx.write("INSERT INTO nowhere VALUES (1)", ())),
            storage.transact(ANYBODY, lambda tx: tx.write("INSERT INTO store VALUES (NULL, NULL)", ())),
            storage.transact(ANYBODY, put_then, "after"),
            return_exceptions=True,
        )

    before, refused, broken, no_table, no_value, after = asyncio.run(run())
    assert (before, after) == ("before", "after")
    assert isinstance(refused, BadRequest)
    assert str(refused) == "rule"
    for error in (broken, no_table, no_value):
        assert isinstance(error, ServiceFailure)
        assert str(error) == "The service encountered an unexpected error."
    assert facts(storage) == {"token_secret", "before", "after"}


def test_the_cause_of_a_failure_is_logged(storage: Sqlite, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ServiceFailure):
        asyncio.run(storage.transact(ANYBODY, put_then, "x", RuntimeError("the cause")))
    assert "the cause" in caplog.text
    assert "failed" in caplog.messages[0]


@pytest.mark.parametrize("disk", ["slow"], indirect=True)  # the loop has to turn meanwhile
def test_what_waits_together_shares_a_commit(storage: Sqlite, path: str) -> None:
    """One transaction holds the writer up; the others gather meanwhile."""
    held, gathered = asyncio.Event(), asyncio.Event()

    async def run() -> int:
        loop = asyncio.get_running_loop()

        def hold(tx: Tx) -> None:
            loop.call_soon_threadsafe(held.set)
            asyncio.run_coroutine_threadsafe(gathered.wait(), loop).result(10)

        first = asyncio.create_task(storage.transact(ANYBODY, hold))
        await held.wait()
        others = [asyncio.create_task(storage.transact(ANYBODY, put_then, f"fact{n}")) for n in range(GROUP_JOBS + 10)]
        await asyncio.sleep(0)
        frames = Path(f"{path}-wal").stat().st_size
        gathered.set()
        await asyncio.gather(first, *others)
        return Path(f"{path}-wal").stat().st_size - frames

    grown = asyncio.run(run())
    # 266 commits of their own would write 266 pages at the least; two groups write a few pages each.
    assert 0 < grown < 60 * 4096
    assert len(facts(storage)) == GROUP_JOBS + 11


@pytest.mark.parametrize("disk", ["slow"], indirect=True)  # the loop has to turn meanwhile
def test_a_reader_sees_one_snapshot_and_never_what_is_not_committed(storage: Sqlite, path: str) -> None:
    def count(tx: Tx) -> int:
        return int(tx.execute("SELECT count(*) FROM store", ()).fetchone()[0])

    async def run() -> None:
        done, seen = asyncio.Event(), []
        loop = asyncio.get_running_loop()

        def write(tx: Tx) -> None:
            store.put(tx, "new", "x")
            loop.call_soon_threadsafe(lambda: (seen.append(storage.look(ANYBODY, count)), done.set()))
            asyncio.run_coroutine_threadsafe(done.wait(), loop).result(10)

        await storage.transact(ANYBODY, write)
        seen.append(storage.look(ANYBODY, count))
        assert seen == [1, 2]

        def read_twice(tx: Tx) -> tuple[int, int]:
            first = count(tx)
            with sqlite3.connect(path, isolation_level=None) as other:
                other.execute("INSERT INTO store VALUES ('other', 'x')")
            other.close()
            return first, count(tx)

        assert storage.look(ANYBODY, read_twice) == (2, 2)
        assert storage.look(ANYBODY, count) == 3

    asyncio.run(run())


def test_a_reader_that_fails_is_ready_for_the_next(storage: Sqlite) -> None:
    def refuse(tx: Tx) -> None:
        raise BadRequest("rule")

    for _ in range(2):
        with pytest.raises(BadRequest, match="rule"):
            storage.look(ANYBODY, refuse)
    assert facts(storage) == {"token_secret"}


def test_a_full_disk_is_an_answer_and_nothing_is_half_there(storage: Sqlite) -> None:
    """SQLite's own limit on pages stands for the disk's: the error (SQLITE_FULL) is the same."""
    storage._writer.execute("PRAGMA max_page_count = 60")

    def fill(tx: Tx) -> None:
        store.put(tx, "small", "x")
        store.put(tx, "big", "x" * 1_000_000)

    async def run() -> list[Any]:
        return await asyncio.gather(
            storage.transact(ANYBODY, put_then, "neighbour"), storage.transact(ANYBODY, fill), return_exceptions=True
        )

    for result in asyncio.run(run()):
        assert isinstance(result, ServiceUnavailable)
        assert "nothing was changed" in str(result)
    assert facts(storage) == {"token_secret"}
    assert asyncio.run(storage.transact(ANYBODY, put_then, "later")) == "later"
    assert facts(storage) == {"token_secret", "later"}


def test_a_read_only_file_is_an_answer(path: str, storage: Sqlite) -> None:
    storage._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(ServiceUnavailable):
        asyncio.run(storage.transact(ANYBODY, put_then, "x"))
    storage._writer.execute("PRAGMA query_only = OFF")
    assert asyncio.run(storage.transact(ANYBODY, put_then, "x")) == "x"


def test_everything_is_there_again(path: str, storage: Sqlite) -> None:
    asyncio.run(storage.transact(ANYBODY, put_then, "fact"))
    storage.close()
    again = Sqlite(path, World(), POOL)
    try:
        assert facts(again) == {"token_secret", "fact"}
    finally:
        again.close()


def test_commits_wait_for_the_disk(storage: Sqlite) -> None:
    assert storage._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert storage._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_is_answered_outlives_a_kill(tmp_path: Path) -> None:
    """A process that writes and says so is killed with -9; all that it has said is in the file."""
    path = str(tmp_path / "store.sqlite3")
    program = textwrap.dedent(f"""
        import asyncio, sys
        from numberkeep.carriers.routing import carriers_of, simulated_only
        from numberkeep.domain.caller import Caller
        from numberkeep.storage import store
        from numberkeep.storage.sqlite import Sqlite
        from numberkeep.world import World

        async def main():
            storage = Sqlite({path!r}, World(), carriers_of(simulated_only(4)))
            async def write(n):
                for m in range(10**6):
                    await storage.transact(Caller("1", "", ""), store.put, f"{{n}}-{{m}}", "x")
                    print(f"{{n}}-{{m}}", flush=True)
            await asyncio.gather(*map(write, range(8)))
        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = {process.stdout.readline().strip() for _ in range(300)}
        process.kill()
        said |= {line.strip() for line in process.stdout if line.endswith("\n")}
    storage = Sqlite(path, World(), POOL)
    try:
        assert len(said) >= 300
        assert said <= facts(storage)
    finally:
        storage.close()


@pytest.mark.parametrize("content", [b"this is no database, and long enough to be seen to be none" * 100])
def test_a_file_that_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="cannot be opened"):
        Sqlite(str(path), World(), POOL)
    assert path.read_bytes() == content


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        Sqlite(str(tmp_path / "nowhere" / "file"), World(), POOL)


def test_a_store_of_a_newer_version_is_refused(path: str, storage: Sqlite) -> None:
    storage._writer.execute(f"PRAGMA user_version = {latest() + 1}")
    with pytest.raises(StoreError, match=f"version {latest() + 1}.*use a newer one"):
        Sqlite(path, World(), POOL)


def test_the_store_is_for_its_owner_only(path: str, storage: Sqlite) -> None:
    """It holds secrets."""
    for name in (path, f"{path}-wal", f"{path}-shm"):
        assert os.stat(name).st_mode & 0o077 == 0, name


def test_a_result_is_handed_over_on_the_loop(storage: Sqlite) -> None:
    async def run() -> None:
        results: list[str | Error] = []
        ready = asyncio.Event()
        storage.write(ANYBODY, "id", lambda tx: tx.request_id, lambda result: (results.append(result), ready.set()))
        assert results == []
        await ready.wait()
        assert results == ["id"]

    asyncio.run(run())


def test_a_transaction_that_writes_and_fails_costs_its_group_nothing(storage: Sqlite) -> None:
    """Groups run without savepoints; one that is spoiled runs again with them, each of its transactions once."""
    ran: list[str] = []

    def write(tx: Tx, name: str) -> str:
        ran.append(name)
        return put_then(tx, name, BadRequest("rule") if name == "b" else None)

    async def run() -> list[Any]:
        return await asyncio.gather(*(storage.transact(ANYBODY, write, n) for n in "abc"), return_exceptions=True)

    first, second, third = asyncio.run(run())
    assert (first, third) == ("a", "c")
    assert isinstance(second, BadRequest)
    assert ran == ["a", "b", "a", "b", "c"]
    assert facts(storage) == {"token_secret", "a", "c"}


def test_an_answer_that_cannot_be_given_holds_up_nothing(storage: Sqlite, caplog: pytest.LogCaptureFixture) -> None:
    def burst(result: Any) -> None:
        raise RuntimeError("gone")

    async def run() -> list[Any]:
        storage.write(ANYBODY, "id", lambda tx: None, burst)
        return await asyncio.gather(*(storage.transact(ANYBODY, put_then, name) for name in ("a", "b")))

    assert asyncio.run(run()) == ["a", "b"]
    assert asyncio.run(run()) == ["a", "b"]
    assert "nobody could be told" in caplog.text


def test_the_writer_survives_whatever_stops_a_group(storage: Sqlite, world: World) -> None:
    now, world.now = world.now, lambda: 1 / 0  # type: ignore[assignment, method-assign]
    with pytest.raises(ServiceUnavailable):
        asyncio.run(storage.transact(ANYBODY, put_then, "a"))
    world.now = now  # type: ignore[method-assign]
    assert asyncio.run(storage.transact(ANYBODY, put_then, "b")) == "b"
    assert facts(storage) == {"token_secret", "b"}


def read(storage: Sqlite, name: str) -> str:
    """What a fact says to who asks now."""
    results: list[Any] = []
    storage.read(ANYBODY, "id", lambda tx: store.get(tx, name) or "nothing", results.append)
    return str(results[0])


def test_a_turn_of_the_loop_has_one_snapshot(storage: Sqlite, path: str) -> None:
    async def run() -> None:
        assert read(storage, "x") == "nothing"
        with sqlite3.connect(path, isolation_level=None) as other:  # another process
            other.execute("INSERT INTO store VALUES ('x', 'theirs')")
        other.close()
        assert read(storage, "x") == "nothing"
        await asyncio.sleep(0)
        assert read(storage, "x") == "theirs"

    asyncio.run(run())


def test_who_has_an_answer_reads_what_it_tells(storage: Sqlite) -> None:
    """Even in the turn of the loop in which the answer comes, with a snapshot from before the commit."""

    async def run() -> None:
        for n in range(200):
            seen: list[str] = []
            ready = asyncio.Event()

            def done(result: Any, seen: list[str] = seen, ready: asyncio.Event = ready) -> None:
                seen.append(read(storage, "x"))
                ready.set()

            assert read(storage, "x") == (str(n - 1) if n else "nothing")
            storage.write(ANYBODY, "id", lambda tx, n=n: store.put(tx, "x", str(n)), done)
            while not ready.is_set():
                read(storage, "x")
                await asyncio.sleep(0)
            assert seen == [str(n)]

    asyncio.run(run())


def rename(tx: Tx, name: str, error: Error | None = None) -> str | None:
    was = phone_numbers.get(tx, "+12065550100")
    phone_numbers.replace(tx, was, was.update({"name": name}, tx.now))
    if error:
        raise error
    return was.name


def test_the_writer_knows_what_it_has_written_and_forgets_what_was_undone(storage: Sqlite, put: Do) -> None:
    put("+12065550100")

    async def run() -> list[Any]:
        return await asyncio.gather(
            storage.transact(ALICE, rename, "first"),
            storage.transact(ALICE, rename, "undone", BadRequest("rule")),
            storage.transact(ALICE, rename, "second"),
            return_exceptions=True,
        )

    before_first, undone, before_second = asyncio.run(run())
    assert isinstance(undone, BadRequest)
    assert (before_first, before_second) == (None, "first")
    assert asyncio.run(storage.transact(ALICE, rename, "third")) == "second"


def test_the_writer_forgets_what_another_process_has_changed(storage: Sqlite, put: Do, path: str) -> None:
    put("+12065550100")
    asyncio.run(storage.transact(ALICE, rename, "ours"))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE phone_numbers SET name = 'theirs'")
    assert asyncio.run(storage.transact(ALICE, rename, "ours again")) == "theirs"


def test_the_writer_forgets_a_group_that_was_not_committed(storage: Sqlite, put: Do) -> None:
    put("+12065550100")
    asyncio.run(storage.transact(ALICE, rename, "kept"))
    with pytest.raises(ServiceUnavailable):
        asyncio.run(storage.transact(ALICE, rename_and_fill_the_disk, "lost"))
    assert asyncio.run(storage.transact(ALICE, rename, "next")) == "kept"


def rename_and_fill_the_disk(tx: Tx, name: str) -> None:
    rename(tx, name)
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


def test_a_store_of_version_1_is_brought_up_to_date(path: str, world: World) -> None:
    """Its keys go on to count, with all that they could do; what its numbers are assigned to can let go of them."""
    with closing(sqlite3.connect(path)) as old, old:
        for statement in migrations()[0].statements:
            old.execute(of_sqlite(statement))
        old.execute("INSERT INTO store VALUES ('token_secret', ?)", ("0" * 64,))
        old.execute("INSERT INTO access_keys VALUES ('AKIAOLD', '111111111111', 'alice', 'plain', ?)", (MOMENT,))
        for e164, name, value in (("+12065550100", "VoiceConnectorId", "a" * 22), ("+12065550101", "UserId", "x")):
            of_number = ("111111111111", e164)
            old.execute(
                "INSERT INTO phone_numbers VALUES (?, ?, 'US', 'Local', 'VoiceConnector', 'Assigned', ?, ?, NULL,"
                " 'Unassigned', NULL, NULL, NULL, NULL, 1)",
                (*of_number, MOMENT, MOMENT),
            )
            old.execute(
                "INSERT INTO phone_number_associations VALUES (?, ?, ?, ?, ?)", (*of_number, name, value, MOMENT)
            )
        old.execute("PRAGMA user_version = 1")
    with closing(Sqlite(path, world, POOL)) as storage:
        key = storage.look(ANYBODY, identities.find_key, "AKIAOLD")
        assert key
        assert (key.status, key.last_used_at, key.secret_access_key) == ("Active", None, "plain")
        user = storage.look(ANYBODY, identities.USERS.get, "alice")
        assert [policy.policy_name for policy in user.policies] == ["AdministratorAccess"]
        assert user.arn == "arn:aws:iam::111111111111:user/alice"
        assert storage.look(ANYBODY, VOICE_CONNECTORS.get, "a" * 22).aws_region == "us-east-1"
        held = storage.look(ANYBODY, phone_numbers.get, "+12065550100")
        free = storage.look(ANYBODY, phone_numbers.get, "+12065550101")
        assert (held.status, len(held.associations)) == ("Assigned", 1)
        assert (free.status, free.associations) == ("Unassigned", ())
    with closing(Sqlite(path, world, POOL)) as storage:
        assert storage.look(ANYBODY, identities.USERS.count) == 1


def test_a_store_of_version_2_is_brought_up_to_date(path: str, world: World) -> None:
    with closing(sqlite3.connect(path)) as old, old:
        for migration in migrations()[:2]:
            for statement in migration.statements:
                old.execute(of_sqlite(statement))
        old.execute("INSERT INTO store VALUES ('token_secret', ?)", ("0" * 64,))
        for key, user in (("AKIAOLD", "alice"), ("AKIANEXT", "alice"), ("AKIAOTHER", "bob")):
            old.execute("INSERT INTO access_keys VALUES (?, '111111111111', ?, 'plain', ?)", (key, user, MOMENT))
        old.execute(
            "INSERT INTO voice_connectors VALUES ('111111111111', ?, 'us-west-2', 'Trunk', 1, NULL, 'IPV4_ONLY', 'arn',"
            " ?, ?, '[]')",
            ("a" * 22, MOMENT, MOMENT),
        )
        old.execute("PRAGMA user_version = 2")
    with closing(Sqlite(path, world, POOL)) as storage:
        users = storage.look(ANYBODY, identities.USERS.page, None, 10)
        assert [user.user_name for user in users] == ["alice", "bob"]
        assert len({user.user_id for user in users}) == 2
        keys = storage.look(ANYBODY, identities.keys, None)
        assert {(key.access_key_id, key.status) for key in keys} == {
            ("AKIAOLD", "Active"),
            ("AKIANEXT", "Active"),
            ("AKIAOTHER", "Active"),
        }
        assert storage.look(ANYBODY, VOICE_CONNECTORS.get, "a" * 22).name == "Trunk"
        assert storage._token_secret == bytes(32)
    assert sqlite.version_of(Path(path)) == latest()


MOMENT = "2019-08-12T22:10:20.521Z"


def test_a_list_by_holder_begins_with_the_holder(storage: Sqlite) -> None:
    """Among very many numbers those that something holds are found without looking at the others."""
    plans: list[str] = []

    def page(tx: Tx) -> None:
        def explain(sql: str, values: Any) -> Any:
            plans.extend(row[3] for row in tx.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall())
            return tx.execute(sql, values)

        looking = SimpleNamespace(account_id=tx.account_id, execute=explain)
        filters = {"status": None, "product_type": None, "filter_name": "SipRuleId", "filter_value": "x"}
        phone_numbers.page(looking, after="", limit=5, **filters)  # type: ignore[arg-type]

    storage.look(ANYBODY, page)
    assert any("phone_number_associations_by_name" in plan for plan in plans)
    assert not any("SCAN" in plan or "TEMP" in plan for plan in plans)


def test_another_process_that_writes_holds_up_no_socket(storage: Sqlite, path: str) -> None:
    """A command at the shell: the transaction waits for it, the event loop does not."""

    async def run(other: sqlite3.Connection) -> list[str]:
        happened = []
        waiting = asyncio.create_task(storage.transact(ANYBODY, put_then, "after"))
        for _ in range(20):
            await asyncio.sleep(0.01)
        happened.append("done" if waiting.done() else "turned")
        other.execute("COMMIT")
        happened.append(await waiting)
        return happened

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert asyncio.run(run(other)) == ["turned", "after"]
    assert "after" in facts(storage)


def test_what_was_overwritten_can_be_scrubbed(storage: Sqlite, path: str) -> None:
    secret = "a secret that an earlier version kept plain"
    asyncio.run(storage.transact(ANYBODY, store.put, "name", secret))
    asyncio.run(storage.transact(ANYBODY, store.put, "name", "short"))
    storage.scrub()
    for file in (path, f"{path}-wal"):
        assert secret.encode() not in Path(file).read_bytes()
    assert storage.look(ANYBODY, store.get, "name") == "short"


def test_a_group_that_outlives_its_event_loop_is_not_disturbed(
    storage: Sqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread is still at it when the next loop writes."""
    go_on = threading.Event()

    def hold(tx: Tx) -> None:
        store.put(tx, "held", "x")
        go_on.wait(10)

    async def begin() -> None:
        asyncio.ensure_future(storage.transact(ANYBODY, hold))  # noqa: RUF006 - it ends with the loop
        await asyncio.sleep(0.1)

    async def write() -> str:
        writing = asyncio.create_task(storage.transact(ANYBODY, put_then, "next"))
        await asyncio.sleep(0.1)
        go_on.set()
        return await writing

    monkeypatch.setattr(sqlite, "QUICK_COMMIT_SECONDS", -1.0)
    asyncio.run(begin())
    monkeypatch.setattr(sqlite, "QUICK_COMMIT_SECONDS", 60.0)
    assert asyncio.run(write()) == "next"
    assert {"held", "next"} <= facts(storage)
