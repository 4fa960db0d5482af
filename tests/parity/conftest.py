"""A service that lives in the past, so that its answers carry the moments that AWS's recorded ones do."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from numberkeep.config import Settings
from numberkeep.world import World

from ..conftest import Service
from .wire import Answer, exchange

ORDER_SECONDS = 10
"""Less than any recorded order took, so that an order is settled at the moment that `Past.at` names."""


class Past:
    """A service whose clock stands still where it was set."""

    def __init__(self) -> None:
        self._seconds = 0.0
        settings = Settings(port=0, admin_port=0, dev=True, empty=True, verify=False, order_seconds=ORDER_SECONDS)
        self._service = Service(settings, World(clock=lambda: self._seconds))
        self._service.start()
        self.seed = self._service.seed
        self.stop = self._service.stop
        self.boto3 = self._service.client("chime")
        """For what has to happen before a sample."""

    def begin(self) -> None:
        """Forget everything, so that the clock can be set to any moment again."""
        self._seconds = 0.0
        self._service.admin.post("/reset").raise_for_status()

    def at(self, timestamp: str) -> "Past":
        """Set the clock, and have all done that has become due."""
        self._seconds = datetime.fromisoformat(timestamp).timestamp()
        self._service.advance("0s")
        return self

    def send(self, request: bytes) -> Answer:
        """The answer to the bytes of a request."""
        return exchange(self._service.app.port, request)


@pytest.fixture(scope="module")
def running_past() -> Iterator[Past]:
    one = Past()
    yield one
    one.stop()


@pytest.fixture
def past(running_past: Past) -> Past:
    """The service, with nothing in it."""
    running_past.begin()
    return running_past
