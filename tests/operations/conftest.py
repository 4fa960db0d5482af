"""A running service with a number of each product type, and its clients."""

from typing import Any

import pytest

from conftest import Service
from estate import NUMBERS


@pytest.fixture
def estate(service: Service) -> Service:
    """A service in dev with a number of each product type."""
    service.seed(*({"E164PhoneNumber": e164, "ProductType": kind} for kind, e164 in NUMBERS.items()))
    return service


@pytest.fixture
def voice(estate: Service) -> Any:
    return estate.client("chime-sdk-voice")


@pytest.fixture
def chime(estate: Service) -> Any:
    return estate.client("chime")
