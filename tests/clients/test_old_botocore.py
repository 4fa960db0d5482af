"""The last boto3 whose `chime` has Voice Connectors, SIP media applications and SIP rules, unmodified."""

import json
import sys
from pathlib import Path

import pytest

from ..conftest import Start
from . import estate, packages

VERSION = "1.37.1"
"""From 1.37.2 on, they are operations of `chime-sdk-voice` only."""


@pytest.fixture
def old_boto3(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache
    return packages.from_pip(pytestconfig.cache.mkdir("clients"), f"boto3=={VERSION}", f"botocore=={VERSION}")


@pytest.mark.parametrize("prefix", ["", "/chime"])
def test_the_way_through_the_estate(start: Start, old_boto3: Path, prefix: str) -> None:
    """All of it with the one client, at the one endpoint, in real time, with signatures that are checked."""
    service = start(verify=True)
    variables = {"AWS_ENDPOINT_URL_CHIME": service.url + prefix, "PYTHONPATH": str(old_boto3)}
    printed = packages.output(
        [sys.executable, "-P", estate.__file__],  # -P: not even this directory comes before PYTHONPATH
        env=packages.environment(service.app.credentials, **variables),
    )
    assert json.loads(printed) == {"botocore": VERSION, "called": sorted(estate.CALLED)}
