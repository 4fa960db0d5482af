"""What Voice Connectors and SIP media applications are configured with is given back as it was put."""

from typing import Any

import pytest
from botocore import xform_name

from estate import new_application, new_connector, refused

CONFIGURATIONS = {
    "Origination": {
        "Routes": [{"Host": "sip.example.com", "Port": 5060, "Protocol": "UDP", "Priority": 1, "Weight": 2}]
    },
    "Termination": {
        "CpsLimit": 1,
        "DefaultPhoneNumber": "+12065550100",
        "CallingRegions": ["US"],
        "CidrAllowedList": ["10.24.34.0/27"],
        "Disabled": False,
    },
    "StreamingConfiguration": {
        "DataRetentionInHours": 24,
        "Disabled": False,
        "StreamingNotificationTargets": [{"NotificationTarget": "EventBridge"}],
    },
    "EmergencyCallingConfiguration": {
        "DNIS": [{"EmergencyPhoneNumber": "+12065550111", "TestPhoneNumber": "+12065550112", "CallingCountry": "US"}]
    },
    "ExternalSystemsConfiguration": {
        "SessionBorderControllerTypes": ["RIBBON_SBC"],
        "ContactCenterSystemTypes": ["AVAYA_AURA_CALL_CENTER_ELITE"],
    },
}


def operation(client: Any, verb: str, kind: str) -> Any:
    return getattr(client, xform_name(f"{verb}VoiceConnector{kind}"))


def answer_of(response: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in response.items() if name != "ResponseMetadata"}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_what_is_put_is_there_until_it_is_deleted(voice: Any, kind: str) -> None:
    connector = {"VoiceConnectorId": new_connector(voice)}
    value = CONFIGURATIONS[kind]
    with refused(voice, "NotFoundException", f"Could not find {kind} of {connector['VoiceConnectorId']}"):
        operation(voice, "Get", kind)(**connector)
    given = value if kind == "ExternalSystemsConfiguration" else {kind: value}
    assert answer_of(operation(voice, "Put", kind)(**connector, **given)) == {kind: value}
    assert answer_of(operation(voice, "Get", kind)(**connector)) == {kind: value}
    operation(voice, "Delete", kind)(**connector)
    operation(voice, "Delete", kind)(**connector)
    with refused(voice, "NotFoundException"):
        operation(voice, "Get", kind)(**connector)


def test_it_goes_with_its_voice_connector(voice: Any) -> None:
    connector = {"VoiceConnectorId": new_connector(voice)}
    voice.put_voice_connector_origination(**connector, Origination=CONFIGURATIONS["Origination"])
    voice.delete_voice_connector(**connector)
    with refused(voice, "NotFoundException", "Could not find VoiceConnector with"):
        voice.get_voice_connector_origination(**connector)


def test_logging_is_off_until_it_is_put(voice: Any) -> None:
    connector = {"VoiceConnectorId": new_connector(voice)}
    logging = voice.get_voice_connector_logging_configuration(**connector)["LoggingConfiguration"]
    assert logging == {"EnableSIPLogs": False, "EnableMediaMetricLogs": False}
    voice.put_voice_connector_logging_configuration(**connector, LoggingConfiguration={"EnableSIPLogs": True})
    assert voice.get_voice_connector_logging_configuration(**connector)["LoggingConfiguration"] == {
        "EnableSIPLogs": True,
        "EnableMediaMetricLogs": False,
    }


def test_logging_of_an_application(voice: Any) -> None:
    application = {"SipMediaApplicationId": new_application(voice)}
    member = "SipMediaApplicationLoggingConfiguration"
    off, on = ({"EnableSipMediaApplicationMessageLogs": value} for value in (False, True))
    assert voice.get_sip_media_application_logging_configuration(**application)[member] == off
    assert voice.put_sip_media_application_logging_configuration(**application, **{member: on})[member] == on
    assert voice.get_sip_media_application_logging_configuration(**application)[member] == on
    with refused(voice, "BadRequestException", "must be given"):
        voice.put_sip_media_application_logging_configuration(**application)


@pytest.mark.parametrize(
    ("kind", "value", "rule"),
    [
        ("Origination", {"Routes": [{"Host": "no host"}]}, "fully qualified host name"),
        ("Origination", {"Routes": [{"Port": 5060}]}, "must have a Host"),
        ("Origination", {}, "must have Routes or Disabled"),
        ("Termination", {}, "must have one of its members"),
        ("Termination", {"CallingRegions": ["XX"]}, "ISO 3166-1"),
        ("Origination", {"Routes": [{"Host": "a.example.com"}] * 21}, "20 routes"),
        ("Termination", {"CallingRegions": ["USA"]}, "ISO 3166-1"),
        ("Termination", {"CidrAllowedList": ["10.0.0.1/8"]}, "CIDR"),
    ],
)
def test_a_configuration_that_breaks_a_rule_is_not_kept(voice: Any, kind: str, value: Any, rule: str) -> None:
    connector = {"VoiceConnectorId": new_connector(voice)}
    with refused(voice, "BadRequestException", rule):
        operation(voice, "Put", kind)(**connector, **{kind: value})
    with refused(voice, "NotFoundException"):
        operation(voice, "Get", kind)(**connector)


def test_what_is_put_empty_is_there(voice: Any) -> None:
    connector = {"VoiceConnectorId": new_connector(voice)}
    voice.put_voice_connector_emergency_calling_configuration(**connector, EmergencyCallingConfiguration={})
    shown = voice.get_voice_connector_emergency_calling_configuration(**connector)
    assert shown["EmergencyCallingConfiguration"] == {}


@pytest.mark.parametrize("host", ["sip.example.com", "203.0.113.7", "2001:db8::1"])
def test_hosts(voice: Any, host: str) -> None:
    connector = {"VoiceConnectorId": new_connector(voice)}
    voice.put_voice_connector_origination(**connector, Origination={"Routes": [{"Host": host}]})
