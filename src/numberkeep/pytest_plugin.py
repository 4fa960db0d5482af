"""The pytest fixture `numberkeep`: each test has its own inventory, and AWS clients find it by themselves."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Numberkeep


@pytest.fixture(scope="session")
def _numberkeep() -> Iterator["Numberkeep"]:
    from .testing import running  # most test runs do not need it

    with running() as one:
        yield one


@pytest.fixture
def numberkeep(_numberkeep: "Numberkeep", monkeypatch: pytest.MonkeyPatch) -> "Numberkeep":
    """A service that speaks the Amazon Chime API, with an empty inventory.

    All AWS clients that are made while the test runs talk to it. Those made before, which would ask AWS itself for
    Chime or STS, raise `numberkeep.testing.Refused`. For what else it can do, see `numberkeep.testing.Numberkeep`.
    """
    _numberkeep.reset()
    for kept in ("requests", "snapshots"):
        _numberkeep.control("DELETE", kept)
    # With monkeypatch, which the test may use too, changes are undone in reverse order.
    for name, value in _numberkeep.changed_environment().items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    for owner, name, new in _numberkeep.changed_attributes():
        monkeypatch.setattr(owner, name, new)
    return _numberkeep
