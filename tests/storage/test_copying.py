"""What is in one store is in the other afterwards, whatever stops the copy; and what is not is said."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path

import psycopg
import pytest

from conftest import Start
from numberkeep.config import Location
from numberkeep.maintenance import migrate, open_copy
from numberkeep.opening import StartError
from numberkeep.storage import copying
from numberkeep.storage.copying import Copy, SqliteSide, side_of
from numberkeep.storage.driver import StoreError
from numberkeep.storage.schema import Table, tables
from postgres import PostgresServer

ROWS = 50
TABLES = {name: table for name, table in tables().items() if name != "store"}
PIECES = ["a", "B", "é", "Z", "-", "_", "~", "\t", "\n", "\\", "\\N", '"', "'", "%", "?", ",", "\N{GRINNING FACE}", " "]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH_ROWS", 7)


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Location]]:
    """Make an empty store: ``make("sqlite")``."""
    with ExitStack() as stack:
        made: list[Location] = []

        def make_one(engine: str) -> Location:
            if engine == "sqlite":
                made.append(tmp_path / f"{len(made)}.sqlite3")
                migrate(made[-1])
            else:
                server: PostgresServer = request.getfixturevalue("postgres_server")
                made.append(stack.enter_context(server.database(request.getfixturevalue("postgres_template"))))
            return made[-1]

        yield make_one


def fill(location: Location) -> Location:
    """Put rows into every table, with all that text can be."""
    dice = random.Random(1)

    def value(table: Table, column: str) -> object:
        if column not in table.key and dice.random() < 0.1 and (table.name, column) in NULLABLE:
            return None
        if column in table.integers:
            return dice.choice([0, 1, -1, 2**63 - 1, -(2**63), dice.getrandbits(62)])
        return "".join(dice.choices(PIECES, k=dice.randrange(12)))

    with closing(side_of(location)) as side, side.transaction():
        for table in TABLES.values():
            rows = {}
            while len(rows) < ROWS:
                row = tuple(value(table, column) for column in table.columns)
                rows[tuple(row[table.columns.index(column)] for column in table.key)] = row
            side.insert(table, list(rows.values()))
        side.execute("INSERT INTO store (name, value) VALUES ('clock_offset_seconds', '12.5')")
    return location


NULLABLE = {
    ("phone_numbers", "calling_name"),
    ("phone_numbers", "name"),
    ("phone_number_history", "previous_change_id"),
}


def content(location: Location) -> dict[str, object]:
    with closing(side_of(location)) as side:
        found: dict[str, object] = {
            name: sorted(side.execute(f"SELECT {', '.join(table.columns)} FROM {name}"), key=repr)
            for name, table in TABLES.items()
        }
        return found | {"store": copying._facts(side)}


def run(copy: Copy) -> list[int]:
    return [*copy.copy(), *copy.compare()]


@pytest.mark.parametrize("source", ["sqlite", "postgresql"])
@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_all_is_there_afterwards(make: Callable[[str], Location], source: str, target: str) -> None:
    one, other = fill(make(source)), make(target)
    with open_copy(one, other) as copy:
        assert copy.rows == ROWS * len(TABLES)
        assert sum(copy.copy()) == copy.rows
        assert sum(copy.compare()) == 2 * copy.rows
        assert [(compared.table, compared.rows) for compared in copy.compared] == [(name, ROWS) for name in TABLES]
    assert content(one) == content(other)
    with pytest.raises(StoreError, match="copied to that one already"), open_copy(one, other):
        pass


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_target_is_made(
    tmp_path: Path, make: Callable[[str], Location], postgres_server: PostgresServer, target: str
) -> None:
    source = fill(make("sqlite"))
    with postgres_server.database() as url:
        other = url if target == "postgresql" else tmp_path / "new.sqlite3"
        with open_copy(source, other) as copy:
            run(copy)
        assert content(source) == content(other)


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_copy_goes_on_where_it_stopped(make: Callable[[str], Location], target: str) -> None:
    one, other = fill(make("sqlite")), make(target)
    runs = already = 0
    while True:
        with open_copy(one, other) as copy:
            assert copy.rows_copied == already, "nothing is copied twice"
            steps = copy.copy()
            taken = list(islice(steps, 13))
            steps.close()
            already += sum(taken)
            if not taken:
                break
            runs += 1
    assert runs > 5
    assert already == ROWS * len(TABLES)
    with open_copy(one, other) as copy:
        steps = copy.compare()
        next(steps)
        steps.close()
    with open_copy(one, other) as copy:
        run(copy)
    assert content(one) == content(other)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_half_a_copy_is_not_served_and_not_copied(make: Callable[[str], Location], start: Start, engine: str) -> None:
    one, half = fill(make("sqlite")), make(engine)
    with open_copy(one, half) as copy:
        next(copy.copy())
    with pytest.raises(StartError, match="run the same `numberkeep copy` again"):
        start(database=half)
    with pytest.raises(StoreError, match="run the same `numberkeep copy` again"), open_copy(half, make("sqlite")):
        pass


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_target_with_part_of_another_store_is_refused(make: Callable[[str], Location], engine: str) -> None:
    target = make(engine)
    with open_copy(fill(make("sqlite")), target) as copy:
        next(copy.copy())
    before = content(target)
    with pytest.raises(StoreError, match="part of another store"), open_copy(fill(make("sqlite")), target):
        pass
    assert content(target) == before


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE phone_numbers SET name = 'other' WHERE change_id = (SELECT min(change_id) FROM phone_numbers)",
        "DELETE FROM phone_numbers WHERE change_id = (SELECT min(change_id) FROM phone_numbers)",
        "UPDATE store SET value = '13' WHERE name = 'clock_offset_seconds'",
    ],
)
def test_what_differs_is_said(make: Callable[[str], Location], engine: str, change: str) -> None:
    one, other = fill(make("sqlite")), make(engine)
    with open_copy(one, other) as copy:
        for _ in copy.copy():
            pass
        with closing(side_of(other)) as side:
            side.execute(change)
        with pytest.raises(StoreError, match=rf"differ in {change.split()[1 + change.startswith('DELETE')]}\b"):
            list(copy.compare())
    with closing(side_of(other)) as side:
        assert side.execute("SELECT 1 FROM store WHERE name = 'copy_progress'"), "it is not served"


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_store_that_is_served_is_left_alone(make: Callable[[str], Location], start: Start, engine: str) -> None:
    served, idle = make(engine), make("sqlite")
    start(database=served)
    for one, other in ((served, idle), (idle, served)):
        with pytest.raises((StartError, StoreError), match="by another process"), open_copy(one, other):
            pass


def test_a_file_does_not_change_meanwhile(make: Callable[[str], Location]) -> None:
    one, other = fill(make("sqlite")), make("postgresql")
    assert isinstance(one, Path)
    with open_copy(one, other) as copy, closing(SqliteSide(one)) as side:
        next(copy.copy())
        side.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(Exception, match="locked"):
            side.execute("DELETE FROM users")


def test_two_copies_to_one_target_do_not_mix(make: Callable[[str], Location]) -> None:
    """From copies of a file, which nothing else tells apart."""
    one, target = fill(make("sqlite")), make("postgresql")
    assert isinstance(one, Path)
    twin = one.with_name("twin.sqlite3")
    twin.write_bytes(one.read_bytes())
    with open_copy(one, target) as copy, open_copy(twin, target) as second:
        next(copy.copy())
        with pytest.raises(StoreError, match="Another process copies"):
            next(second.copy())
        run(copy)
    assert content(one) == content(target)


def test_what_postgresql_cannot_keep_is_said(make: Callable[[str], Location]) -> None:
    one = make("sqlite")
    with closing(side_of(one)) as side:
        side.execute("INSERT INTO phone_number_owners (e164_phone_number, account_id) VALUES (?, 'z')", ("x\0y",))
    with open_copy(one, make("postgresql")) as copy, pytest.raises(StoreError, match=r"phone_number_owners.*NUL"):
        list(copy.copy())


def test_a_source_has_to_be_there_and_of_this_version(make: Callable[[str], Location], tmp_path: Path) -> None:
    target = make("sqlite")
    with pytest.raises(StartError, match="There is no store"), open_copy(tmp_path / "nothing", target):
        pass
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(StartError, match="to itself"), open_copy(target, target):
        pass
    (tmp_path / "empty").touch()
    with pytest.raises(StoreError, match=r"no store yet.*migrate up"), open_copy(tmp_path / "empty", target):
        pass


def test_a_server_that_goes_away_stops_the_copy_and_not_for_good(make: Callable[[str], Location]) -> None:
    one, other = fill(make("sqlite")), make("postgresql")
    assert isinstance(other, str)
    with open_copy(one, other) as copy:
        steps = copy.copy()
        next(steps)
        with psycopg.connect(other) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'numberkeep copy'"
            )
        with pytest.raises(StoreError, match="the same command goes on from there"):
            next(steps)
    with open_copy(one, other) as copy:
        run(copy)
    assert content(one) == content(other)
