"""Today's boto3, unmodified: a number's way through SIP media applications, SIP rules and Voice Connectors."""

import pytest

from ..conftest import Service
from . import estate


@pytest.mark.parametrize("prefixed", [False, True], ids=["plain", "prefixed"])
@pytest.mark.parametrize("flavour", ["chime", "chime-sdk-voice"])
def test_the_way_through_the_estate(service: Service, flavour: str, prefixed: bool) -> None:
    """The numbers in either flavour, the rest in the only one of today's that has it."""
    numbers, others = (
        service.client(name, endpoint_url=f"{service.url}/{name}" if prefixed else service.url)
        for name in (flavour, "chime-sdk-voice")
    )
    called = set()
    for client in (numbers, others):
        client.meta.events.register("before-call", lambda model, **_: called.add(model.name))
    estate.walk(numbers, others, lambda: service.advance("1s"))
    assert called == estate.CALLED
