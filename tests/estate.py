"""What tests of a telephony estate share: clients, and quick ways to make what numbers can be tied to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:answer"
NUMBERS = {
    "VoiceConnector": "+12065550100",
    "SipMediaApplicationDialIn": "+12065550101",
    "BusinessCalling": "+12065550102",
}
"""A number of each product type."""


@contextmanager
def refused(client: Any, exception: str, words: str = "") -> Iterator[None]:
    """The request raises the client's own `exception`, with these words in its message."""
    with pytest.raises(getattr(client.exceptions, exception), match=words or None):
        yield


def number(client: Any, e164: str) -> dict[str, Any]:
    return client.get_phone_number(PhoneNumberId=e164)["PhoneNumber"]


def holders(client: Any, e164: str) -> tuple[str, dict[str, str]]:
    """A number's status, and what holds it."""
    shown = number(client, e164)
    return shown["Status"], {one["Name"]: one["Value"] for one in shown["Associations"]}


def new_connector(voice: Any, name: str = "Trunk", **options: Any) -> str:
    return voice.create_voice_connector(Name=name, RequireEncryption=False, **options)["VoiceConnector"][
        "VoiceConnectorId"
    ]


def new_group(voice: Any, *connectors: str) -> str:
    items = [{"VoiceConnectorId": one, "Priority": at} for at, one in enumerate(connectors, 1)]
    made = voice.create_voice_connector_group(Name="Trunks", VoiceConnectorItems=items)
    return made["VoiceConnectorGroup"]["VoiceConnectorGroupId"]


def new_application(voice: Any, region: str = "us-east-1") -> str:
    endpoints = [{"LambdaArn": LAMBDA.replace("us-east-1", region)}]
    made = voice.create_sip_media_application(AwsRegion=region, Name="Answer", Endpoints=endpoints)
    return made["SipMediaApplication"]["SipMediaApplicationId"]


def new_rule(voice: Any, application: str, value: str, kind: str = "ToPhoneNumber", **options: Any) -> str:
    made = voice.create_sip_rule(
        Name="Rule",
        TriggerType=kind,
        TriggerValue=value,
        TargetApplications=[{"SipMediaApplicationId": application, "Priority": 1}],
        **options,
    )
    return made["SipRule"]["SipRuleId"]


def new_user(chime: Any, email: str = "ann@example.com") -> dict[str, str]:
    """An account and its user, as the parameters that most operations of users have."""
    account = chime.create_account(Name="Team")["Account"]["AccountId"]
    user = chime.create_user(AccountId=account, Email=email)["User"]["UserId"]
    return {"AccountId": account, "UserId": user}
