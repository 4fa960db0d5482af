"""Several processes on one PostgreSQL, under real clients: what holds for one process holds for all of them."""

import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from postgres import PostgresServer

from .. import test_cli

ACCOUNT = test_cli.ACCOUNT
NUMBERS = [f"+1206555{line:04}" for line in range(100, 108)]
CLIENTS = 16


@pytest.fixture
def database(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    with postgres_server.database(postgres_template) as url:
        yield url


@pytest.fixture
def key(database: str) -> tuple[str, str]:
    return test_cli.create_key(database)


def serving(database: str, *options: str) -> Any:
    return test_cli.running("serve", "--database", database, "--trail", "none", "--rate", "0", *options)


def order(client: Any, *numbers: str) -> None:
    """Order numbers and wait until they are there."""
    made = client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=numbers)
    made = made["PhoneNumberOrder"]
    while made["Status"] == "Processing":
        time.sleep(0.1)
        made = client.get_phone_number_order(PhoneNumberOrderId=made["PhoneNumberOrderId"])["PhoneNumberOrder"]
    assert made["Status"] == "Successful"


def at_once(count: int, act: Callable[[int], None]) -> None:
    """Call `act` in so many threads that start together; raise what one of them raises."""
    failures: list[BaseException] = []
    ready = threading.Barrier(count)

    def run(index: int) -> None:
        try:
            ready.wait()
            act(index)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_two_processes_and_sixteen_clients_on_the_same_numbers(database: str, key: tuple[str, str]) -> None:
    """Of all who ask for a calling name at once one is served and the others conflict; no update is lost."""
    with ExitStack() as stack:
        urls = [stack.enter_context(serving(database, "--order-seconds", "0"))[1] for _ in range(2)]
        clients = [test_cli.client(urls[index % 2], *key) for index in range(CLIENTS)]
        order(clients[0], *NUMBERS)
        outcomes: list[Counter[str]] = [Counter() for _ in NUMBERS]
        renamed: list[tuple[str, str]] = []

        def contend(index: int) -> None:
            for round, number in enumerate(NUMBERS * 2):
                try:
                    clients[index].update_phone_number(PhoneNumberId=number, CallingName=f"name {index}")
                    outcomes[round % len(NUMBERS)]["served"] += 1
                except ClientError as error:
                    outcomes[round % len(NUMBERS)][error.response["Error"]["Code"]] += 1
                # Turned to and fro by all: every answer tells of a change that was made to what was there.
                product_type = ("BusinessCalling", "VoiceConnector")[(index + round) % 2]
                clients[index].update_phone_number(PhoneNumberId=number, ProductType=product_type)
                renamed.append((number, product_type))

        at_once(CLIENTS, contend)
        assert outcomes == [Counter(served=1, ConflictException=2 * CLIENTS - 1)] * len(NUMBERS)
        shown = [clients[0].get_phone_number(PhoneNumberId=number)["PhoneNumber"] for number in NUMBERS]
        assert {number["CallingNameStatus"] for number in shown} == {"UpdateInProgress"}
    assert len(renamed) == CLIENTS * 2 * len(NUMBERS)
    with psycopg.connect(database) as connection:
        pending = connection.execute("SELECT e164_phone_number FROM pending_changes ORDER BY 1").fetchall()
        assert [e164 for (e164,) in pending] == NUMBERS
    for number in NUMBERS:
        history = test_cli.run(
            "numbers", "history", number, "--account", ACCOUNT, "--database", database, "--output", "json"
        )
        changes = [change["change"] for change in reversed(json.loads(history.stdout))]
        before = None
        for was, is_now in (change["product_type"] for change in changes if "product_type" in change):
            assert was == before, "each change begins where the one before it ended"
            before = is_now


def test_two_processes_sell_a_number_once(database: str, key: tuple[str, str]) -> None:
    other_account = "210987654321"
    other_key = test_cli.create_key(database, other_account)
    with ExitStack() as stack:
        urls = [stack.enter_context(serving(database, "--order-seconds", "0"))[1] for _ in range(2)]
        clients = [
            test_cli.client(urls[0], *key),
            test_cli.client(urls[1], *other_key),
        ]
        statuses: list[dict[str, str]] = [{}, {}]

        def buy(index: int) -> None:
            client = clients[index]
            made = client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=NUMBERS)
            made = made["PhoneNumberOrder"]
            while made["Status"] == "Processing":
                time.sleep(0.05)
                made = client.get_phone_number_order(PhoneNumberOrderId=made["PhoneNumberOrderId"])["PhoneNumberOrder"]
            statuses[index] = {one["E164PhoneNumber"]: one["Status"] for one in made["OrderedPhoneNumbers"]}

        at_once(2, buy)
    for number in NUMBERS:
        assert sorted(status[number] for status in statuses) == ["Acquired", "Failed"]
    with psycopg.connect(database) as connection:
        owners = dict(connection.execute("SELECT e164_phone_number, account_id FROM phone_number_owners").fetchall())
    for number in NUMBERS:
        assert statuses[(ACCOUNT, other_account).index(owners[number])][number] == "Acquired"


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def replace_all(supervisor: Any) -> None:
    old = children(supervisor.pid)
    supervisor.send_signal(signal.SIGHUP)
    until(lambda: len(children(supervisor.pid) - old) == 2 == len(children(supervisor.pid)))


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


class Load:
    """Clients that ask without pause, on a new connection each time or on one, until they are told to stop."""

    def __init__(self, url: str, key: tuple[str, str], number: str) -> None:
        self.answered = 0
        self.failures: list[Exception] = []
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(url, key, number, lasting)) for lasting in (False, True, True)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, url: str, key: tuple[str, str], number: str, lasting: bool) -> None:
        client = test_cli.client(url, *key)
        while not self._stopping.is_set():
            if not lasting:
                client = test_cli.client(url, *key)
            try:
                client.get_phone_number(PhoneNumberId=number)
                self.answered += 1
            except Exception as failure:
                self.failures.append(failure)
            if not lasting:
                client.close()
        client.close()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()


def test_workers_are_replaced_and_nobody_notices(database: str, key: tuple[str, str]) -> None:
    with serving(database, "--order-seconds", "0", "--workers", "2") as (supervisor, url, _):
        order(test_cli.client(url, *key), NUMBERS[0])
        first = children(supervisor.pid)
        assert len(first) == 2
        load = Load(url, key, NUMBERS[0])
        try:
            for _ in range(2):
                replace_all(supervisor)
        finally:
            load.stop()
        assert load.answered > 20
        assert load.failures == []
        supervisor.terminate()
        assert supervisor.wait(20) == 0


def test_a_worker_that_dies_is_replaced(database: str, key: tuple[str, str]) -> None:
    with serving(database, "--order-seconds", "0", "--workers", "2") as (supervisor, url, _):
        order(test_cli.client(url, *key), NUMBERS[0])
        victim = min(children(supervisor.pid))
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(children(supervisor.pid) - {victim}) == 2)
        for _ in range(20):  # whichever worker's socket it comes to
            assert test_cli.client(url, *key).get_phone_number(PhoneNumberId=NUMBERS[0])


def test_workers_share_their_port_with_no_other_service(database: str, key: tuple[str, str]) -> None:
    with serving(database, "--workers", "2") as (_, url, _):
        port = url.rpartition(":")[2]
        command = ("serve", "--database", database, "--workers", "2", "--port", port, "--admin-port", "0")
        other = test_cli.run(*command)
        assert other.returncode == 1
        assert f"Cannot listen on 127.0.0.1:{port}: Address already in use" in other.stderr


def test_workers_do_not_outlive_their_supervisor(database: str, key: tuple[str, str]) -> None:
    with serving(database, "--workers", "2") as (supervisor, _, _):
        workers = children(supervisor.pid)
        supervisor.kill()
        until(lambda: not any(map(runs, workers)))


def test_workers_that_cannot_start_are_said_once() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    done = test_cli.run("serve", "--database", nowhere, "--workers", "2", "--port", "0", "--admin-port", "0")
    assert done.returncode == 1
    assert done.stderr.count("The store postgresql://nobody@127.0.0.1:1/nothing cannot be opened") == 1
    assert re.fullmatch(
        r"Error: worker 1 \(pid \d+\) has ended with status 1 before it served\.", done.stderr.splitlines()[-1]
    )
    assert "Traceback" not in done.stderr


def test_nobody_reads_the_password_off_a_worker(database: str) -> None:
    """A command line can be read by all on the machine, the environment by the same user alone."""
    secret = database.replace("postgres@", "postgres:swordfish@")
    options = ("serve", "--trail", "none", "--database", secret, "--workers", "2")
    with test_cli.running(*options) as (supervisor, _, _):
        for pid in children(supervisor.pid):
            assert Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"-m\0numberkeep\0worker\0")
            assert "swordfish" in Path(f"/proc/{pid}/environ").read_text()
            assert Path(f"/proc/{pid}/environ").stat().st_mode & 0o077 == 0


def test_a_worker_is_nobody_without_a_supervisor() -> None:
    done = test_cli.run("worker")
    assert done.returncode == 2
    assert "started by `numberkeep serve --workers`" in done.stderr


def test_a_file_has_one_process(tmp_path: Path) -> None:
    done = test_cli.run("serve", "--database", f"sqlite:///{tmp_path / 'store'}", "--workers", "2", "--port", "0")
    assert done.returncode == 2
    assert "a SQLite file has one writer, and so one process" in done.stderr


def test_workers_keep_one_trail(database: str, key: tuple[str, str], tmp_path: Path) -> None:
    """Each record is in it once, though two workers replace two others meanwhile and files are turned over."""
    trail, printed = tmp_path / "trail.jsonl", tmp_path / "printed"
    targets = ("--trail", str(trail), "--trail", "stdout", "--trail-file-bytes", "10000", "--trail-files", "1000")
    options = ("serve", "--database", database, "--workers", "2", *targets)
    with printed.open("w") as stdout, test_cli.running(*options, stdout=stdout) as (supervisor, url, _):
        replacing = threading.Thread(target=replace_all, args=(supervisor,))
        replacing.start()
        asked = 0
        while replacing.is_alive() or asked < 60:
            test_cli.client(url, *key).list_phone_numbers()
            asked += 1
        supervisor.terminate()
        assert supervisor.wait(20) == 0
    files = list(tmp_path.glob("trail.jsonl*"))
    lines = [line for path in files for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(printed.read_text().splitlines())
    assert len(lines) == len(set(lines)) == asked
    assert trail in files
    assert len(files) > 2
    assert all(json.loads(line)["eventName"] == "ListPhoneNumbers" for line in lines)


def test_a_database_that_was_not_migrated_is_refused(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url:
        done = test_cli.run("serve", "--database", url, "--port", "0", "--admin-port", "0")
        assert done.returncode == 1
        assert "run `numberkeep migrate up` first" in done.stderr
        done = test_cli.run("migrate", "up", "--database", url)
        assert done.returncode == 0, done.stderr
        status = json.loads(test_cli.run("migrate", "status", "--database", url, "--output", "json").stdout)
        assert status["version"] == status["latest"]
        assert status["pending"] == []
