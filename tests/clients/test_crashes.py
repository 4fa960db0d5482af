"""What is lost when something breaks: nothing that was answered. Real servers are killed under real clients, disks are
full or cannot be written, a log is torn, and the machine's clock steps back."""

import asyncio
import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from struct import unpack
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import ALICE, POOL
from load import Buyer, State, Writer, ask, assert_sound, looked, requests_in, until, writing
from numberkeep.carriers.simulated import SimulatedCarrier
from numberkeep.config import Location
from numberkeep.opening import open_store
from numberkeep.operations import OPERATIONS
from numberkeep.settling import CLAIM_SECONDS
from numberkeep.worker import Worker
from numberkeep.world import World
from postgres import PostgresServer

from .. import test_cli
from .test_processes import order

NUMBERS = [f"+1206555{line:04}" for line in range(100, 104)]
LIVES = {"sqlite": 16, "postgresql": 8}
DATABASE_CRASHES = 3

STEPPING = """
import signal, sys, time
real, ahead = time.time, [float(sys.argv.pop(1))]
time.time = lambda: real() + ahead[0]
signal.signal(signal.SIGUSR1, lambda *_: ahead.__setitem__(0, ahead[0] - 300))
from numberkeep.cli import main
main()
"""
"""The program on a machine whose clock is so many seconds ahead, and steps back by five minutes at a SIGUSR1."""

Key = tuple[str, str]


def ahead(seconds: int) -> list[str]:
    """The program with such a clock."""
    return [sys.executable, "-c", STEPPING, str(seconds)]


@contextmanager
def serving(database: str, *options: str, **how: Any) -> Iterator[tuple["subprocess.Popen[str]", str, list[str]]]:
    """A server: its process, its URL, and what it says on standard error, which somebody has to read."""
    arguments = ("serve", "--database", database, "--trail", "none", "--rate", "0", "--order-seconds", "0", *options)
    said: list[str] = []
    with test_cli.running(*arguments, **how) as (process, url, _):
        assert process.stderr
        reader = threading.Thread(target=lambda stream: said.extend(stream), args=(process.stderr,))
        reader.start()
        try:
            yield process, url, said
        finally:
            process.kill()
            reader.join()


def client_of(url: str, key: Key) -> Any:
    return test_cli.client(url, *key, name="chime-sdk-voice")


def made_by(writers: Sequence[Writer]) -> set[str]:
    return {id for writer in writers for id in writer.made}


def test_a_server_that_is_killed_takes_nothing_along(location: Location, database: str) -> None:
    """In every life: what was answered in those before is there, nothing is half there, and what was not answered was
    made as a whole or not at all."""
    key = test_cli.create_key(database)
    dice = random.Random(1)
    numbers = (f"+1206556{line:04}" for line in itertools.count(1000))
    can_be: dict[str, list[State]] = {}
    made: set[str] = set()
    orders: list[str] = []
    unserved = 0
    lives = int(os.environ.get("NUMBERKEEP_LIVES", 0)) or LIVES["postgresql" if isinstance(location, str) else "sqlite"]
    for life in range(lives + 1):
        with serving(database) as (process, url, _):
            assert made <= requests_in(location)
            assert_sound(location)
            client = client_of(url, key)
            if life == 0:
                order(client, *NUMBERS)
            if life == lives:
                for number in NUMBERS:
                    looked(client, number, can_be[number])
                break
            buyer = Buyer(client_of(url, key), numbers)
            with writing(client, NUMBERS, can_be) as writers:
                time.sleep(dice.uniform(0.05, 0.4))
                process.kill()
            buyer.stop()
        can_be = {writer.number: writer.can_be for writer in writers}
        made |= made_by(writers)
        orders += buyer.made
        unserved += sum(writer.unserved for writer in writers)
    assert len(made) > 5 * lives
    assert unserved > lives, "servers were killed while they were asked"
    assert len(orders) > lives
    # What a dead worker had claimed is left alone for a minute; here the clock is ahead by more.
    with serving(database, program=ahead(CLAIM_SECONDS + 60)) as (_, url, _):
        client = client_of(url, key)
        until(lambda: not client.list_phone_numbers(Status="AcquireInProgress")["PhoneNumbers"])
        for id in orders:
            assert client.get_phone_number_order(PhoneNumberOrderId=id)["PhoneNumberOrder"]["Status"] == "Successful"
    assert_sound(location)
    print(f"{lives} lives, {len(made)} changes and {len(orders)} orders answered, {unserved} not")


def test_a_database_that_crashes_takes_nothing_along() -> None:
    """The server stays, answers 503 meanwhile, and goes on by itself."""
    with PostgresServer(durable=True) as server, server.database() as database:
        migrated = test_cli.run("migrate", "up", "--database", database)
        assert migrated.returncode == 0, migrated.stderr
        key = test_cli.create_key(database)
        with serving(database) as (process, url, _):
            client = client_of(url, key)
            order(client, *NUMBERS)
            with writing(client, NUMBERS) as writers:
                for _ in range(DATABASE_CRASHES):
                    counts = [len(writer.made) for writer in writers]
                    until(lambda: all(len(one.made) > n for one, n in zip(writers, counts, strict=True)))  # noqa: B023
                    server.crash()
                    time.sleep(0.1)
                    made = made_by(writers)
                    server.resume()
                    assert made <= requests_in(database)
                    assert_sound(database)
                counts = [len(writer.made) for writer in writers]
                until(lambda: all(len(one.made) > n for one, n in zip(writers, counts, strict=True)))
            assert process.poll() is None
            for writer in writers:
                writer.look(client)
            assert sum(writer.unserved for writer in writers) > DATABASE_CRASHES
        assert made_by(writers) <= requests_in(database)
        assert_sound(database)


def frames(wal: bytes) -> Iterator[tuple[int, bool]]:
    """Where each frame of the log that counts begins, and whether a transaction ends with it."""
    (page_bytes,) = unpack(">I", wal[8:12])
    for start in range(32, len(wal) - 24 - page_bytes + 1, 24 + page_bytes):
        _, pages_after, salt = unpack(">II8s", wal[start : start + 16])
        if salt != wal[16:24]:  # left of before the log was begun anew
            return
        yield start, pages_after > 0


def test_a_torn_log_loses_what_follows_the_damage_and_nothing_before(tmp_path: Path) -> None:
    """SQLite's log is a chain of checksums: what stands before the first damaged frame holds, as whole transactions,
    and nothing of what follows. An answer is safe from that once the log was copied into the file (a checkpoint)."""
    path = tmp_path / "store.sqlite3"
    database = f"sqlite:///{path}"
    key = test_cli.create_key(database)
    with serving(database) as (process, url, _):
        client = client_of(url, key)
        order(client, NUMBERS[0])
        made = []
        for round in range(40):
            answer = client.update_phone_number(PhoneNumberId=NUMBERS[0], Name=f"name {round}")
            made.append(answer["ResponseMetadata"]["RequestId"])
        process.kill()
        process.wait()
    file, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    there = list(frames(log))
    assert sum(is_last for _, is_last in there) >= len(made)
    dice = random.Random(1)

    def kept(name: str, torn: bytes) -> list[str]:
        copy = tmp_path / name
        copy.write_bytes(file)
        Path(f"{copy}-wal").write_bytes(torn)
        if ask(copy, "SELECT 1 FROM sqlite_schema LIMIT 1"):
            assert_sound(copy)
        requests = requests_in(copy)
        return [id for id in made if id in requests]

    assert kept("whole", log) == made
    seen = set()
    for index in [len(there) - 1, *dice.sample(range(len(there) // 4, len(there) - 1), 8)]:
        start, _ = there[index]
        place = start + dice.choice([0, 8, 16, 24 + dice.randrange(4096)])
        damaged = log[:place] + bytes([log[place] ^ 0x55]) + log[place + 1 :]
        whole = [start for start, is_last in there[:index] if is_last]
        ends = whole[-1] + 24 + 4096 if whole else 32
        left = kept(f"damaged {index}", damaged)
        assert left == made[: len(left)], "the first so many"
        assert left == kept(f"cut {index}", log[:ends]), "all whole transactions before the damage, and no more"
        assert len(left) < len(made)
        seen.add(len(left))
    assert len(made) - 1 in seen, "the last frame is of the last change alone"
    assert len(seen) > 3

    with serving(f"sqlite:///{tmp_path / f'damaged {len(there) - 1}'}") as (_, url, _):
        client = client_of(url, key)
        assert client.get_phone_number(PhoneNumberId=NUMBERS[0])["PhoneNumber"]["Name"] == "name 38"
        client.update_phone_number(PhoneNumberId=NUMBERS[0], Name="name 39")
    assert_sound(tmp_path / f"damaged {len(there) - 1}")


def refuse_writing(url: str, key: Key) -> None:
    """Every change of the first number, which nobody else changes, is answered 503 and not made; reads go on."""
    client = client_of(url, key)
    for round in range(3):
        with pytest.raises(ClientError) as refused:
            client.update_phone_number(PhoneNumberId=NUMBERS[0], Name=f"refused {round}")
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503, refused.value
        assert refused.value.response["Error"]["Code"] == "ServiceUnavailableException"
    assert "Name" not in client.get_phone_number(PhoneNumberId=NUMBERS[0])["PhoneNumber"]


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """A limit on the size of files (EFBIG): 503 until it is lifted, and then the server goes on by itself."""
    path = tmp_path / "store.sqlite3"
    database = f"sqlite:///{path}"
    key = test_cli.create_key(database)
    with serving(database) as (process, url, _):
        client = client_of(url, key)
        order(client, *NUMBERS)
        with writing(client, NUMBERS[1:]) as writers:
            until(lambda: all(writer.made for writer in writers))
            limit = Path(f"{path}-wal").stat().st_size + 64 * 1024
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            until(lambda: all(writer.unserved > 2 for writer in writers))
            refuse_writing(url, key)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            counts = [len(writer.made) for writer in writers]
            until(lambda: all(len(one.made) > n for one, n in zip(writers, counts, strict=True)))
        for writer in writers:
            writer.look(client)
        assert made_by(writers) <= requests_in(path)
        process.kill()
    assert made_by(writers) <= requests_in(path)
    assert not ask(path, "SELECT 1 FROM phone_numbers WHERE name LIKE 'refused%'")
    assert_sound(path)


def of_its_own(*mount: str | Path) -> list[str]:
    """What a command begins with that is to see a file system mounted that nobody else sees; skips without one."""
    begin = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'eval "$1"; shift; exec "$@"', "sh"]
    command = [*begin, " ".join(f"'{part}'" if part != ";" else ";" for part in map(str, mount))]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("NO SMALL OR READ-ONLY DISK WAS TRIED: this system lets nobody mount one (unshare --user --mount)")
    return command


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """A real one (ENOSPC): 503 until there is room, then the server goes on by itself."""
    disk = tmp_path / "disk"
    disk.mkdir()
    database = f"sqlite:///{disk / 'store.sqlite3'}"
    program = [*of_its_own("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk), *test_cli.PROGRAM]
    with ExitStack() as stack:
        # The key is made in the same file system, which goes with its last process.
        file = tmp_path / "store.sqlite3"
        key = test_cli.create_key(f"sqlite:///{file}")
        program[-len(test_cli.PROGRAM) : -len(test_cli.PROGRAM)] = [
            "sh", "-c", f"cp '{file}' '{disk}' && exec \"$@\"", "sh",
        ]  # fmt: skip
        process, url, _ = stack.enter_context(serving(database, program=program))
        inside = Path(f"/proc/{process.pid}/root{disk}")
        client = client_of(url, key)
        order(client, *NUMBERS)
        with writing(client, NUMBERS[1:]) as writers:
            until(lambda: all(writer.made for writer in writers))
            with (inside / "filler").open("wb", buffering=0) as filler, suppress(OSError):
                while filler.write(bytes(4096)):
                    pass
            assert shutil.disk_usage(inside).free < 4096
            until(lambda: all(writer.unserved > 2 for writer in writers))
            refuse_writing(url, key)
            (inside / "filler").unlink()
            counts = [len(writer.made) for writer in writers]
            until(lambda: all(len(one.made) > n for one, n in zip(writers, counts, strict=True)))
        for writer in writers:
            writer.look(client)
        for name in ("store.sqlite3", "store.sqlite3-wal"):
            shutil.copy(inside / name, tmp_path / name)
    assert made_by(writers) <= requests_in(tmp_path / "store.sqlite3")
    assert_sound(tmp_path / "store.sqlite3")


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    """On a read-only file system (EROFS) a server does not start, and says why in a line; a log that was left there by
    a kill is not lost. Once it can be written, all is there."""
    disk = tmp_path / "disk"
    disk.mkdir()
    path = disk / "store.sqlite3"
    database = f"sqlite:///{path}"
    key = test_cli.create_key(database)
    with serving(database) as (process, url, _):
        client = client_of(url, key)
        order(client, *NUMBERS)
        name = "as it was answered"
        made = client.update_phone_number(PhoneNumberId=NUMBERS[0], Name=name)["ResponseMetadata"]["RequestId"]
        process.kill()
    before = {one.name: one.read_bytes() for one in disk.iterdir()}
    assert before["store.sqlite3-wal"]
    begin = of_its_own("mount", "--bind", disk, disk, ";", "mount", "-o", "remount,ro,bind", disk)
    for command in (["serve", "--port", "0", "--admin-port", "0"], ["keys", "list", "--account", test_cli.ACCOUNT]):
        done = subprocess.run(
            [*begin, *test_cli.PROGRAM, *command, "--database", database], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert f"The store {path} cannot be opened" in done.stderr
        assert "Traceback" not in done.stderr
    assert {one.name: one.read_bytes() for one in disk.iterdir()} == before
    with serving(database) as (_, url, _):
        assert client_of(url, key).get_phone_number(PhoneNumberId=NUMBERS[0])["PhoneNumber"]["Name"] == name
    assert made in requests_in(path)
    assert_sound(path)


def test_a_clock_that_steps_back_under_a_server(location: Location, database: str) -> None:
    """The service's time stands still until the clock has come up with it; what is asked meanwhile is done. Only when
    the clock is so far off that signatures are of another time, they are refused, and say so."""
    key = test_cli.create_key(database)
    with serving(database, program=ahead(200)) as (process, url, _):
        client = client_of(url, key)
        order(client, *NUMBERS)
        with writing(client, NUMBERS) as writers:
            until(lambda: all(writer.made for writer in writers))
            before = client.get_phone_number(PhoneNumberId=NUMBERS[0])["PhoneNumber"]["UpdatedTimestamp"]
            process.send_signal(signal.SIGUSR1)
            counts = [len(writer.made) for writer in writers]
            until(lambda: all(len(one.made) > n + 5 for one, n in zip(writers, counts, strict=True)))
        order(client, "+12065550104")
        after = client.get_phone_number(PhoneNumberId=NUMBERS[0])["PhoneNumber"]["UpdatedTimestamp"]
        assert after >= before, "it does not run backwards"
        process.send_signal(signal.SIGUSR1)  # six and a half minutes behind
        with pytest.raises(ClientError) as refused:
            until(lambda: client.list_phone_numbers() is None)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert "Signature not yet current" in refused.value.response["Error"]["Message"]
        process.kill()
    assert made_by(writers) <= requests_in(location)
    assert_sound(location)
    with serving(database, program=ahead(-200)) as (_, url, _):
        client = client_of(url, key)
        with writing(client, NUMBERS, {writer.number: writer.can_be for writer in writers}) as later:
            until(lambda: all(len(writer.made) > 5 for writer in later))
    assert made_by(writers) | made_by(later) <= requests_in(location)
    assert_sound(location)


def test_what_is_due_waits_for_a_clock_that_was_set_back(location: Location) -> None:
    """A restart with a clock a day behind: nothing is done before its time, nothing is forgotten, and it goes on when
    the clock has come up."""
    seconds = [1_572_373_530.0]

    def live(*acts: tuple[str, dict[str, Any]]) -> dict[str, str]:
        """A life of the service: it does what is due, then what is asked; the statuses of its numbers."""
        world, carrier = World(clock=lambda: seconds[0]), SimulatedCarrier(4)
        with ExitStack() as stack:
            store = open_store(location, world, POOL, stack)
            asyncio.run(Worker(store, lambda *_: carrier, world).run_due())
            for operation, arguments in acts:
                asyncio.run(store.transact(ALICE, OPERATIONS[operation], **arguments))
            asyncio.run(Worker(store, lambda *_: carrier, world).run_due())
        assert_sound(location)
        return dict(ask(location, "SELECT e164_phone_number, status FROM phone_numbers"))

    first, second, third = NUMBERS[:3]
    ordered = {"product_type": "VoiceConnector", "e164_phone_numbers": [first, second]}
    live(("create_phone_number_order", ordered))
    seconds[0] += 10
    assert set(live(("delete_phone_number", {"phone_number_id": second})).values()) == {
        "Unassigned",
        "ReleaseInProgress",
    }
    live(("create_phone_number_order", {**ordered, "e164_phone_numbers": [third]}))
    seconds[0] -= 86_400
    renamed = {"phone_number_id": first, "name": "while it was yesterday"}
    assert live(("update_phone_number", renamed))[third] == "AcquireInProgress", "it is not due yet"
    seconds[0] += 86_410
    assert live() == {first: "Unassigned", second: "ReleaseInProgress", third: "Unassigned"}
    seconds[0] += 8 * 86_400
    assert live() == {first: "Unassigned", third: "Unassigned"}
    assert ask(location, "SELECT count(*) FROM pending_changes") == [(0,)]
