"""The AWS SDK for JavaScript, unmodified: a number's way through SIP media applications, rules and Voice Connectors."""

import json
from pathlib import Path

import pytest

from ..conftest import Start
from . import estate, packages

SDK = ("@aws-sdk/client-chime@3.1138.0", "@aws-sdk/client-chime-sdk-voice@3.1142.0")


@pytest.fixture
def sdk(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache
    return packages.from_npm(pytestconfig.cache.mkdir("clients"), *SDK)


@pytest.mark.parametrize("flavour", ["chime", "chime-sdk-voice"])
def test_the_way_through_the_estate(start: Start, sdk: Path, flavour: str) -> None:
    """The numbers in either flavour, each at its own endpoint, in real time, with signatures that are checked."""
    service = start(verify=True)
    variables = {
        "AWS_REGION": estate.REGION,
        "AWS_ENDPOINT_URL_CHIME": f"{service.url}/chime",
        "AWS_ENDPOINT_URL_CHIME_SDK_VOICE": f"{service.url}/chime-sdk-voice",
    }
    script = Path(__file__).with_name("estate.mjs")
    printed = packages.output(
        [packages.program("node"), script, flavour],
        cwd=sdk,
        env=packages.environment(service.app.credentials, **variables),
    )
    assert json.loads(printed) == sorted(estate.CALLED)
