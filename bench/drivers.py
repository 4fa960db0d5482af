"""Compare psycopg and asyncpg, in turns, on what a group of updates asks of a driver. README.md explains the table.

.venv/bin/python bench/drivers.py postgresql://USER@HOST/EMPTY_DATABASE
"""

import argparse
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import asyncpg
import psycopg
import uvloop

from numberkeep.storage.phone_numbers import by_account
from numberkeep.storage.postgres_schema import migrate
from numberkeep.storage.postgres_statements import Writes, translate

ACCOUNT = "123456789012"
NUMBERS = [f"+1206555{line:04}" for line in range(10_000)]
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
HISTORY = (
    "INSERT INTO phone_number_history (account_id, change_id, previous_change_id, e164_phone_number, changed_at,"
    " request_id, arn, change) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
UPDATE = (
    "UPDATE phone_numbers SET product_type = ?, updated_timestamp = ?, change_id = ?"
    " WHERE account_id = ? AND e164_phone_number = ?"
)


class Group:
    """The statements of one group of updates: those that read first, then those that write."""

    change_id = 0

    def __init__(self, size: int) -> None:
        ((account, e164s),) = by_account((ACCOUNT, e164) for e164 in random.sample(NUMBERS, size))
        marks = ", ".join("?" * len(e164s))
        sql = f"SELECT * FROM phone_numbers WHERE account_id = ? AND e164_phone_number IN ({marks}) /*FOR UPDATE*/"
        self.read = translate(sql), (account, *e164s)
        writes = Writes()
        now = "2019-10-29T18:25:30.392Z"
        for e164 in dict.fromkeys(e164s):
            Group.change_id += 1
            id = Group.change_id
            change = '{"product_type":["VoiceConnector","BusinessCalling"]}'
            writes.add(HISTORY, (account, id, None, e164, now, "a" * 36, "arn:aws:iam::123456789012:user/a", change))
            writes.add(UPDATE, (random.choice(("VoiceConnector", "BusinessCalling")), now, id, account, e164))
        self.writes = [(sql, tuple(parameters)) for sql, parameters in writes.take()]


def by_psycopg(url: str, size: int, seconds: float) -> tuple[int, float]:
    """The number of groups done with psycopg, in a thread like in the store, and the processor time they took."""

    def work() -> int:
        done = 0
        with psycopg.connect(url, autocommit=True, prepare_threshold=2) as connection:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                group = Group(size)
                with connection.pipeline():
                    connection.execute(BEGIN)
                    connection.execute(*group.read).fetchall()
                    for sql, parameters in group.writes:
                        connection.execute(sql, parameters)
                    connection.execute("COMMIT")
                done += 1
        return done

    began = time.process_time()
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result(), time.process_time() - began


def by_asyncpg(url: str, size: int, seconds: float) -> tuple[int, float]:
    """The same with asyncpg, on an event loop."""

    def numbered(sql: str) -> str:
        parts = sql.split("%s")
        return "".join(part + (f"${index}" if index < len(parts) else "") for index, part in enumerate(parts, 1))

    async def work() -> int:
        done = 0
        connection = await asyncpg.connect(url)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            group = Group(size)
            async with connection.transaction(isolation="read_committed"):
                await connection.fetch(numbered(group.read[0]), *group.read[1])
                for sql, parameters in group.writes:
                    await connection.execute(numbered(sql), *parameters)
            done += 1
        await connection.close()
        return done

    began = time.process_time()
    return uvloop.run(work()), time.process_time() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of an empty database")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    arguments = parser.parse_args()
    migrate(arguments.url, "ab" * 32)
    with psycopg.connect(arguments.url) as connection, connection.cursor() as cursor:
        columns = "account_id, e164_phone_number, country, type, product_type, status, created_timestamp"
        columns += ", updated_timestamp, calling_name_status, change_id"
        with cursor.copy(f"COPY phone_numbers ({columns}) FROM STDIN") as rows:
            for e164 in NUMBERS:
                rows.write_row((ACCOUNT, e164, "US", "Local", "VoiceConnector", "Unassigned", "", "", "Unassigned", 0))
    print(f"{'updates in a group':>18}  {'driver':8}  updates/s  CPU us")
    drivers: dict[str, Callable[[str, int, float], tuple[int, float]]] = {"psycopg": by_psycopg, "asyncpg": by_asyncpg}
    for size in (1, 8, 32, 128):
        figures: dict[str, Any] = {name: [] for name in drivers}
        for _ in range(arguments.rounds):
            for name, run in drivers.items():
                groups, cpu = run(arguments.url, size, arguments.seconds)
                figures[name].append((groups * size / arguments.seconds, cpu / groups / size * 1e6))
        for name, rounds in figures.items():
            rate, cpu = (median(column) for column in zip(*rounds, strict=True))
            print(f"{size:18}  {name:8}  {rate:9.0f}  {cpu:6.1f}")
    with psycopg.connect(arguments.url) as connection:
        connection.execute("TRUNCATE phone_numbers, phone_number_history")


if __name__ == "__main__":
    main()
