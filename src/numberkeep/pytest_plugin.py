"""The fixture `numberkeep`: every test has an inventory of its own, and AWS clients find it by themselves."""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Numberkeep

ASIDE = ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
"""What would lead a client elsewhere, or give it credentials that are not for a test."""
NOTHING_ELSE = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""What keeps a client from a configuration of its user's that would lead it elsewhere."""


@pytest.fixture(scope="session")
def _numberkeep() -> Iterator["Numberkeep"]:
    from .testing import running  # which most test runs do without

    with running() as one:
        yield one


@pytest.fixture
def numberkeep(_numberkeep: "Numberkeep", monkeypatch: pytest.MonkeyPatch) -> "Numberkeep":
    """A service that speaks the Amazon Chime API, with an empty inventory.

    AWS clients that are made while the test runs, by whomever, talk to it. What else it can do:
    `numberkeep.testing.Numberkeep`.
    """
    _numberkeep.reset()
    _numberkeep.control("DELETE", "requests")
    for name in ASIDE:
        monkeypatch.delenv(name, raising=False)
    for name, value in {**NOTHING_ELSE, **_numberkeep.environment}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1", prepend=",")
    if boto3 := sys.modules.get("boto3"):
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers credentials
    return _numberkeep
