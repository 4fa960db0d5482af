"""A phone number's way through all that it can be assigned to: one flow, for every client that speaks the API.

It is a program too, for a Python that has another boto3 on its path: its `chime` client goes the whole way, at the
endpoint and with the key that the environment names, and what it has called is printed as JSON.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import botocore

CALLED = frozenset(
    {
        "SearchAvailablePhoneNumbers",
        "CreatePhoneNumberOrder",
        "GetPhoneNumberOrder",
        "GetPhoneNumber",
        "ListPhoneNumbers",
        "UpdatePhoneNumber",
        "DeletePhoneNumber",
        "CreateSipMediaApplication",
        "GetSipMediaApplication",
        "ListSipMediaApplications",
        "DeleteSipMediaApplication",
        "CreateSipRule",
        "GetSipRule",
        "ListSipRules",
        "UpdateSipRule",
        "DeleteSipRule",
        "CreateVoiceConnector",
        "GetVoiceConnector",
        "ListVoiceConnectors",
        "DeleteVoiceConnector",
        "AssociatePhoneNumbersWithVoiceConnector",
        "DisassociatePhoneNumbersFromVoiceConnector",
    }
)
"""The operations that a client has called when it has gone the whole way; `estate.mjs` goes the same way."""

DIAL_IN, TRUNK = "SipMediaApplicationDialIn", "VoiceConnector"
REGION = "us-east-1"
LAMBDA_ARN = f"arn:aws:lambda:{REGION}:123456789012:function:front-desk"

Pause = Callable[[], None]


def walk(numbers: Any, estate: Any, pause: Pause) -> None:
    """Order a number, have a SIP media application answer it, then a Voice Connector, then the application again; and
    leave nothing behind.

    `numbers` is the client for phone numbers and `estate` the one for the rest; they may be the same. `pause` lets
    some time pass before something is looked at again.
    """
    number = buy(numbers, pause)

    application = estate.create_sip_media_application(
        AwsRegion=REGION, Name="Front desk", Endpoints=[{"LambdaArn": LAMBDA_ARN}]
    )["SipMediaApplication"]
    application_id = application["SipMediaApplicationId"]
    assert application["Endpoints"] == [{"LambdaArn": LAMBDA_ARN}]
    rule = estate.create_sip_rule(
        Name="To the front desk",
        TriggerType="ToPhoneNumber",
        TriggerValue=number,
        TargetApplications=[{"SipMediaApplicationId": application_id, "Priority": 1, "AwsRegion": REGION}],
    )["SipRule"]
    rule_id = rule["SipRuleId"]
    assert state(numbers, number) == ("Assigned", DIAL_IN, [("SipRuleId", rule_id)])
    with refused(numbers, "BadRequestException"):
        numbers.update_phone_number(PhoneNumberId=number, ProductType=TRUNK)

    disable(numbers, estate, number, rule, pause)
    numbers.update_phone_number(PhoneNumberId=number, ProductType=TRUNK)
    connector = estate.create_voice_connector(Name="Trunk", RequireEncryption=True, AwsRegion=REGION)["VoiceConnector"]
    connector_id = connector["VoiceConnectorId"]
    assert connector["OutboundHostName"].startswith(connector_id)
    associated = estate.associate_phone_numbers_with_voice_connector(
        VoiceConnectorId=connector_id, E164PhoneNumbers=[number]
    )
    assert associated["PhoneNumberErrors"] == []
    assert state(numbers, number) == ("Assigned", TRUNK, [("VoiceConnectorId", connector_id)])
    assert listed(numbers, FilterName="VoiceConnectorId", FilterValue=connector_id) == [number]
    with refused(numbers, "BadRequestException"):
        numbers.delete_phone_number(PhoneNumberId=number)

    disassociated = estate.disassociate_phone_numbers_from_voice_connector(
        VoiceConnectorId=connector_id, E164PhoneNumbers=[number]
    )
    assert disassociated["PhoneNumberErrors"] == []
    assert state(numbers, number) == ("Unassigned", TRUNK, [])
    numbers.update_phone_number(PhoneNumberId=number, ProductType=DIAL_IN)
    estate.update_sip_rule(SipRuleId=rule_id, Name=rule["Name"], Disabled=False)
    assert state(numbers, number) == ("Assigned", DIAL_IN, [("SipRuleId", rule_id)])
    enabled = estate.get_sip_rule(SipRuleId=rule_id)["SipRule"]
    assert (enabled["Disabled"], enabled["TargetApplications"]) == (False, rule["TargetApplications"])

    disable(numbers, estate, number, rule, pause)
    estate.delete_sip_rule(SipRuleId=rule_id)
    estate.delete_sip_media_application(SipMediaApplicationId=application_id)
    estate.delete_voice_connector(VoiceConnectorId=connector_id)
    numbers.delete_phone_number(PhoneNumberId=number)
    with refused(estate, "NotFoundException"):
        estate.get_sip_rule(SipRuleId=rule_id)
    with refused(estate, "NotFoundException"):
        estate.get_sip_media_application(SipMediaApplicationId=application_id)
    with refused(estate, "NotFoundException"):
        estate.get_voice_connector(VoiceConnectorId=connector_id)
    assert estate.list_sip_rules()["SipRules"] == []
    assert estate.list_sip_media_applications()["SipMediaApplications"] == []
    assert estate.list_voice_connectors()["VoiceConnectors"] == []
    assert listed(numbers) == []
    assert listed(numbers, Status="ReleaseInProgress") == [number]


def buy(numbers: Any, pause: Pause) -> str:
    (number,) = numbers.search_available_phone_numbers(AreaCode="206", MaxResults=1)["E164PhoneNumbers"]
    order = numbers.create_phone_number_order(ProductType=DIAL_IN, E164PhoneNumbers=[number])["PhoneNumberOrder"]
    for _ in patience(pause):
        order = numbers.get_phone_number_order(PhoneNumberOrderId=order["PhoneNumberOrderId"])["PhoneNumberOrder"]
        if order["Status"] != "Processing":
            break
    assert order["Status"] == "Successful"
    assert state(numbers, number) == ("Unassigned", DIAL_IN, [])
    return number


def disable(numbers: Any, estate: Any, number: str, rule: dict[str, Any], pause: Pause) -> None:
    """Disable the rule that `number` is assigned to, and wait until it is not."""
    disabled = estate.update_sip_rule(SipRuleId=rule["SipRuleId"], Name=rule["Name"], Disabled=True)["SipRule"]
    assert disabled["Disabled"] is True
    for _ in patience(pause):
        if state(numbers, number)[0] != "Assigned":
            break
    assert state(numbers, number) == ("Unassigned", DIAL_IN, [])


def state(numbers: Any, number: str) -> tuple[str, str, list[tuple[str, str]]]:
    """A number's status, its product type, and what it is assigned to."""
    shown = numbers.get_phone_number(PhoneNumberId=number)["PhoneNumber"]
    associations = [(association["Name"], association["Value"]) for association in shown["Associations"]]
    return shown["Status"], shown["ProductType"], associations


def listed(numbers: Any, **filters: str) -> list[str]:
    return [number["E164PhoneNumber"] for number in numbers.list_phone_numbers(**filters)["PhoneNumbers"]]


def patience(pause: Pause) -> Iterator[None]:
    for _ in range(60):
        yield
        pause()


@contextmanager
def refused(client: Any, exception: str) -> Iterator[None]:
    """The request raises the client's own `exception`."""
    try:
        yield
    except getattr(client.exceptions, exception):
        return
    raise AssertionError(f"no {exception} was raised")


def main() -> None:
    client = boto3.client("chime", region_name=REGION)
    called = set()
    client.meta.events.register("before-call", lambda model, **_: called.add(model.name))
    walk(client, client, lambda: time.sleep(0.5))
    print(json.dumps({"botocore": botocore.__version__, "called": sorted(called)}))


if __name__ == "__main__":
    main()
