"""The AWS CLI, unmodified: the two samples of UpdatePhoneNumber, on the inventory that `numberkeep dev` begins with."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..conftest import Service, Start

SAMPLE = {
    "PhoneNumberId": "%2B12065550100",
    "E164PhoneNumber": "+12065550100",
    "Type": "Local",
    "ProductType": "BusinessCalling",
    "Status": "Unassigned",
    "Capabilities": {
        "InboundCall": True,
        "InboundMMS": True,
        "InboundSMS": True,
        "OutboundCall": True,
        "OutboundMMS": True,
        "OutboundSMS": True,
    },
    "Associations": [],
    "CallingName": "phonenumber1",
    "CallingNameStatus": "UpdateSucceeded",
    "CreatedTimestamp": "2019-08-12T22:10:20.521Z",
}
"""The number of the API reference's first sample answer. Absent values are nulls there, which the CLI leaves out."""


def aws(service: Service, command: str) -> dict[str, Any]:
    """What an ``aws chime`` command prints: the number, but for when it was updated."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    # Beside the interpreter as it was started, which in a virtual environment is a link to another place.
    script = Path(sys.executable).with_name("aws")
    arguments = [sys.executable, str(script), "chime", *command.split(), "--endpoint-url", service.url]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    number = json.loads(done.stdout)["PhoneNumber"]
    number.pop("UpdatedTimestamp")
    return number


def test_the_samples_of_update_phone_number(start: Start) -> None:
    """The second shows the old name at first: the new one is there when its 72 hours are over."""
    service = start(empty=False)
    now = {**SAMPLE, "Country": "US"}
    update = "update-phone-number --phone-number-id +12065550100"

    assert aws(service, f"{update} --product-type BusinessCalling") == now

    pending = {**now, "CallingNameStatus": "UpdateInProgress"}
    assert aws(service, f"{update} --calling-name phonenumber2") == pending

    service.advance("72h")
    assert aws(service, "get-phone-number --phone-number-id %2B12065550100") == {**now, "CallingName": "phonenumber2"}
