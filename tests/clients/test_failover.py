"""The leader of a PostgreSQL cluster is lost under load: what real clients see, and what is there afterwards."""

import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import psycopg
from botocore.exceptions import ClientError, HTTPClientError

from patroni_cluster import TTL_SECONDS, PatroniCluster

from .. import test_cli
from .test_processes import order, serving

NUMBERS = [f"+1206555{line:04}" for line in range(100, 108)]
NOTHING_CHANGED = "nothing was changed"


class Writer:
    """A client that renames one number without pause, and remembers what it was told."""

    def __init__(self, client: Any, number: str) -> None:
        self.number = number
        self.made: dict[str, float] = {}
        """When what was answered 200, by request id."""
        self.refused: set[str] = set()
        """The requests that were answered 503, and that nothing was changed."""
        self.unserved = 0
        """How many were answered 503 at all, or not answered."""
        self.names = {""}
        """What the number can be called: as it was last answered, or as was asked and never answered for sure."""
        self.failures: list[BaseException] = []
        self._client = client
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for round in itertools.count():
                if self._stopping.is_set():
                    return
                try:
                    self._rename(f"name {round}")
                    shown = self._client.get_phone_number(PhoneNumberId=self.number)["PhoneNumber"]
                    assert shown["Name"] in self.names
                except (ClientError, HTTPClientError) as error:
                    if isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] != 503:
                        raise
                    self.unserved += 1
                    time.sleep(0.05)
        except BaseException as failure:
            self.failures.append(failure)

    def _rename(self, name: str) -> None:
        try:
            answer = self._client.update_phone_number(PhoneNumberId=self.number, Name=name)
        except ClientError as error:
            if NOTHING_CHANGED in error.response["Error"]["Message"]:
                self.refused.add(error.response["ResponseMetadata"]["RequestId"])
            else:
                self.names.add(name)
            raise
        except HTTPClientError:
            self.names.add(name)
            raise
        self.made[answer["ResponseMetadata"]["RequestId"]] = time.monotonic()
        self.names = {name}


def test_a_leader_that_is_lost_takes_nothing_along(postgres_cluster: PatroniCluster) -> None:
    database = postgres_cluster.conninfo
    migrated = test_cli.run("migrate", "up", "--database", database)
    assert migrated.returncode == 0, migrated.stderr
    key = test_cli.create_key(database)
    with ExitStack() as stack:
        reading = stack.enter_context(ThreadPoolExecutor())
        servers = [stack.enter_context(serving(database, "--order-seconds", "0")) for _ in range(2)]
        for process, _, _ in servers:
            reading.submit(process.stderr.read)  # or a server waits for somebody who reads what it says
        clients = [test_cli.client(url, *key, name="chime-sdk-voice") for _, url, _ in servers]
        order(clients[0], *NUMBERS)
        writers = [Writer(client, number) for client, number in zip(itertools.cycle(clients), NUMBERS, strict=False)]
        try:
            time.sleep(2)
            killed = postgres_cluster.kill_leader()
            moment = time.monotonic()
            until = moment + TTL_SECONDS + 30
            while not all(writer.made and max(writer.made.values()) > moment + 1 for writer in writers):
                assert time.monotonic() < until
                assert not any(writer.failures for writer in writers)
                time.sleep(0.1)
            time.sleep(1)
        finally:
            for writer in writers:
                writer.stop()
        assert [failure for writer in writers for failure in writer.failures] == []
        assert [process.poll() for process, _, _ in servers] == [None, None]
    moments = sorted(moment for writer in writers for moment in writer.made.values())
    outage = max(later - earlier for earlier, later in itertools.pairwise(moments))
    unserved = sum(writer.unserved for writer in writers)
    print(f"{len(moments)} updates, {unserved} requests that were not served, none served for {outage:.1f} s")

    assert postgres_cluster.leader() != killed
    with psycopg.connect(database) as connection:
        history = {one for (one,) in connection.execute("SELECT request_id FROM phone_number_history")}
        names = dict(connection.execute("SELECT e164_phone_number, name FROM phone_numbers").fetchall())
    for writer in writers:
        assert writer.made.keys() <= history
        assert not writer.refused & history
        assert names[writer.number] in writer.names
    told = ("numbers", "history", NUMBERS[0], "--account", test_cli.ACCOUNT, "--database", database)
    latest, *_ = json.loads(test_cli.run(*told, "--output", "json").stdout)
    assert latest["change"]["name"][1] == names[NUMBERS[0]]
