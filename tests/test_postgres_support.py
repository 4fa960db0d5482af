"""The PostgreSQL servers that tests run against are what those tests take them for."""

import itertools
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from psycopg.types.json import Jsonb

from patroni_cluster import TTL_SECONDS, PatroniCluster
from pgbouncer import PgBouncer
from postgres import PostgresServer


def test_a_server_has_what_a_store_needs(postgres_database: str) -> None:
    with psycopg.connect(postgres_database) as one, psycopg.connect(postgres_database) as other:
        assert one.info.server_version >= 140000
        one.execute("CREATE TABLE things (id int PRIMARY KEY, body jsonb)")
        one.cursor().executemany("INSERT INTO things VALUES (%s, %s)", [(n, Jsonb({"n": n})) for n in (1, 2)])
        one.commit()
        claim = "SELECT body -> 'n' FROM things ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
        assert (one.execute(claim).fetchone(), other.execute(claim).fetchone()) == ((1,), (2,))


def test_serializable_transactions_are(postgres_database: str) -> None:
    with psycopg.connect(postgres_database) as one, psycopg.connect(postgres_database) as other:
        one.execute("CREATE TABLE things (id int)")
        one.commit()
        for connection in (one, other):
            connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
            connection.execute("INSERT INTO things SELECT count(*) FROM things")
        one.commit()
        with pytest.raises(psycopg.errors.SerializationFailure):
            other.commit()


def test_databases_are_separate_copies(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as template:
        with psycopg.connect(template) as connection:
            connection.execute("CREATE TABLE things (id int)")
        name = urlsplit(template).path[1:]
        with postgres_server.database(name) as copy, psycopg.connect(copy) as connection:
            connection.execute("INSERT INTO things VALUES (1)")
        with psycopg.connect(template) as connection:
            assert connection.execute("SELECT count(*) FROM things").fetchone() == (0,)
    with postgres_server.database(), pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(copy)


def test_a_durable_server_waits_for_the_disk() -> None:
    with PostgresServer(durable=True) as server, psycopg.connect(server.url("postgres")) as connection:
        (directory,) = connection.execute("SHOW data_directory").fetchone() or ()
        assert not Path(directory).is_relative_to("/dev/shm")
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)


def test_nothing_is_left_of_tests_that_were_killed() -> None:
    script = """
import os, signal, psycopg
from postgres import PostgresServer
server = PostgresServer()
with psycopg.connect(server.url("postgres")) as connection:
    (directory,) = connection.execute("SHOW data_directory").fetchone()
print(directory, open(f"{directory}/postmaster.pid").readline(), end="", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
    directory, process_id = done.stdout.split()
    until = time.monotonic() + 20
    while psutil.pid_exists(int(process_id)) or Path(directory).parent.exists():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_pgbouncer_lends_connections_for_a_transaction(pgbouncer: PgBouncer, postgres_database: str) -> None:
    name = urlsplit(postgres_database).path[1:]
    with ExitStack() as stack:
        clients = [stack.enter_context(psycopg.connect(pgbouncer.url(name), autocommit=True)) for _ in range(5)]
        backends = [client.execute("SELECT pg_backend_pid()").fetchone() for client in clients]
        assert len(set(backends)) == 1
        with clients[0].transaction():
            assert clients[0].execute("SELECT pg_backend_pid()").fetchone() == backends[0]
            assert clients[1].execute("SELECT pg_backend_pid()").fetchone() != backends[0]


def test_a_cluster_loses_nothing_with_its_leader(postgres_cluster: PatroniCluster) -> None:
    with psycopg.connect(postgres_cluster.conninfo) as connection:
        connection.execute("CREATE TABLE things (id int PRIMARY KEY)")
    ids = itertools.count()
    acknowledged: dict[int, float] = {}
    stop = threading.Event()

    def insert() -> None:
        while not stop.is_set():
            try:
                with psycopg.connect(postgres_cluster.conninfo, autocommit=True) as connection:
                    while not stop.is_set():
                        one = next(ids)
                        connection.execute("INSERT INTO things VALUES (%s)", [one])
                        acknowledged[one] = time.monotonic()
            except psycopg.OperationalError:
                time.sleep(0.05)

    threads = [threading.Thread(target=insert) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(2)
        killed = postgres_cluster.kill_leader()
        leader = postgres_cluster.leader()
        moment = time.monotonic()
        time.sleep(3)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    moments = sorted(acknowledged.values())
    outage = max(later - earlier for earlier, later in itertools.pairwise(moments))
    print(f"{len(moments)} rows, none for {outage:.1f} s")

    assert leader != killed
    assert moments[-1] > moment
    assert outage < TTL_SECONDS + 15
    with psycopg.connect(postgres_cluster.conninfo) as connection:
        found = {one for (one,) in connection.execute("SELECT id FROM things")}
    assert set(acknowledged) <= found
    postgres_cluster.restart(killed)
    postgres_cluster.wait_until_whole()
