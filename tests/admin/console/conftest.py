"""Somebody at the console."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from conftest import Service, Start
from console_visitor import Visitor
from numberkeep.config import Location


@pytest.fixture
def visitor(service: Service) -> Iterator[Visitor]:
    """Somebody at the console of a service in dev, with an empty store, on either engine."""
    one = Visitor(service)
    with one.client:
        yield one


@pytest.fixture
def served(start: Start, location: Location) -> Iterator[Visitor]:
    """Somebody at the console of a service as `serve` runs it, on either engine, who has not signed in."""
    one = Visitor(start(dev=False, verify=True, database=location))
    with ExitStack() as stack:
        stack.enter_context(one.client)
        yield one
