"""Real clients that change numbers all the time, and know from the answers which states a number can be in."""

import itertools
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

from numberkeep.config import Location
from numberkeep.maintenance import check

State = dict[str, str | None]
"""The state of a number that a client sees."""
MEMBERS = ("ProductType", "Name", "Status", "CallingNameStatus")
NOTHING_CHANGED = "nothing was changed"


def looked(client: Any, number: str, can_be: Sequence[State] = ()) -> State:
    """Read a number's state, and check that it is one of those it can be in, if these are known."""
    shown = client.get_phone_number(PhoneNumberId=number)["PhoneNumber"]
    state = {member: shown.get(member) for member in MEMBERS}
    assert not can_be or state in can_be, f"{number} is {state}; it can be one of {can_be}"
    return state


class Writer:
    """A client of ``chime-sdk-voice`` that changes one number that nobody else changes."""

    def __init__(self, client: Any, number: str, can_be: list[State]) -> None:
        """`can_be` are the states that the number can be in, which is checked first; empty if they are not known
        yet."""
        self.number = number
        self.can_be = can_be
        """The states that the last answer allows, and those of later requests whose outcome is not certain."""
        self.made: list[str] = []
        """The ids of the requests that were answered and changed something, in order."""
        self.unserved = 0
        """How many requests were answered 503, or not at all."""
        self.failures: list[BaseException] = []
        self._client = client
        self._dice = random.Random(number)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def look(self, client: Any) -> None:
        """Check, with whatever client, that the number is in a state that it can be in."""
        self.can_be = [looked(client, self.number, self.can_be)]

    def _run(self) -> None:
        try:
            for round in itertools.count():
                if self._stopping.is_set():
                    return
                try:
                    if round and len(self.can_be) == 1:
                        self._change(self.can_be[0], round)
                    else:
                        self.look(self._client)
                except (ClientError, HTTPClientError, EndpointConnectionError) as error:
                    if isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] != 503:
                        raise
                    self.unserved += 1
                    time.sleep(0.01)
        except BaseException as failure:
            self.failures.append(failure)

    def _change(self, state: State, round: int) -> None:
        of_number = {"PhoneNumberId": self.number}
        if state["Status"] == "ReleaseInProgress":
            operation, arguments, after = "restore_phone_number", {}, {**state, "Status": "Unassigned"}
        elif (die := self._dice.randrange(8)) == 0:
            operation, arguments, after = "delete_phone_number", {}, {**state, "Status": "ReleaseInProgress"}
        elif die == 1 and state["CallingNameStatus"] == "Unassigned":
            operation, arguments = "update_phone_number", {"CallingName": "Acme"}
            after = {**state, "CallingNameStatus": "UpdateInProgress"}
        else:
            others = {"VoiceConnector", "SipMediaApplicationDialIn"} - {state["ProductType"]}
            arguments = {"ProductType": min(others)} if die == 2 else {"Name": f"name {round} {self._dice.random()}"}
            operation, after = "update_phone_number", {**state, **arguments}
        try:
            answer = getattr(self._client, operation)(**of_number, **arguments)
        except ClientError as error:
            if NOTHING_CHANGED not in error.response["Error"]["Message"]:
                self.can_be.append(after)
            raise
        except HTTPClientError:
            self.can_be.append(after)
            raise
        self.made.append(answer["ResponseMetadata"]["RequestId"])
        self.can_be = [after]


class Buyer:
    """A client that keeps ordering numbers, three at a time, until the service is gone."""

    def __init__(self, client: Any, numbers: Iterator[str]) -> None:
        """`numbers` are those to order."""
        self.made: list[str] = []
        """The ids of the orders that were answered."""
        self._client = client
        self._numbers = numbers
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with suppress(HTTPClientError, EndpointConnectionError):
            while True:
                e164s = list(itertools.islice(self._numbers, 3))
                order = self._client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=e164s)
                self.made.append(order["PhoneNumberOrder"]["PhoneNumberOrderId"])
                time.sleep(0.02)

    def stop(self) -> None:
        """Wait for the client to end, which it does when the service is gone."""
        self._thread.join()


@contextmanager
def writing(
    client: Any, numbers: Sequence[str], can_be: dict[str, list[State]] | None = None
) -> Iterator[list[Writer]]:
    """Run a writer for each number, all with one client, which threads can share; they are stopped at the end."""
    can_be = can_be or {}
    writers = [Writer(client, number, can_be.get(number, [])) for number in numbers]
    try:
        yield writers
    finally:
        for writer in writers:
            writer.stop()
    for failure in (failure for writer in writers for failure in writer.failures):
        raise failure


def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def ask(location: Location, sql: str) -> list[Any]:
    """The rows of a statement, read from the database directly."""
    if isinstance(location, str):
        with psycopg.connect(location) as connection:
            return connection.execute(sql).fetchall()
    with closing(sqlite3.connect(location)) as file:
        return file.execute(sql).fetchall()


def requests_in(location: Location) -> set[str]:
    """The ids of all requests that changed a number, according to the histories."""
    return {one for (one,) in ask(location, "SELECT request_id FROM phone_number_history")}


def assert_sound(location: Location) -> None:
    """Check that no rule is broken."""
    assert [str(finding) for finding in check(location)] == []
