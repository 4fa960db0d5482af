"""Voice Connectors, groups and SIP rules: what is tied to what."""

from typing import Any

import pytest

from conftest import Service
from console_visitor import Visitor, key_of
from numberkeep.admin.console import voice_connectors
from numberkeep.domain.identity import AttachedPolicy

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"


@pytest.fixture
def estate(service: Service) -> dict[str, Any]:
    """One of each, all tied."""
    voice = service.client("chime-sdk-voice")
    connector = voice.create_voice_connector(Name="Head office", RequireEncryption=True)["VoiceConnector"]
    id = connector["VoiceConnectorId"]
    items = [{"VoiceConnectorId": id, "Priority": 1}]
    group = voice.create_voice_connector_group(Name="Spare", VoiceConnectorItems=items)["VoiceConnectorGroup"]
    application = voice.create_sip_media_application(
        AwsRegion="us-east-1", Name="Answering", Endpoints=[{"LambdaArn": LAMBDA}]
    )["SipMediaApplication"]
    target = {
        "SipMediaApplicationId": application["SipMediaApplicationId"], "Priority": 1, "AwsRegion": "us-east-1",
    }  # fmt: skip
    service.seed({"E164PhoneNumber": "+12065550100", "ProductType": "VoiceConnector",
                  "Associations": [{"Name": "VoiceConnectorId", "Value": id}]},
                 {"E164PhoneNumber": "+12065550101", "ProductType": "SipMediaApplicationDialIn"})  # fmt: skip
    rule = {"TargetApplications": [target]}
    by_host = voice.create_sip_rule(
        Name="By host", TriggerType="RequestUriHostname", TriggerValue=connector["OutboundHostName"], **rule
    )["SipRule"]
    by_number = voice.create_sip_rule(
        Name="By number", TriggerType="ToPhoneNumber", TriggerValue="+12065550101", **rule
    )["SipRule"]
    return {"connector": id, "group": group, "by_host": by_host, "by_number": by_number, "voice": voice,
            "application": application}  # fmt: skip


def test_nothing_is_there(visitor: Visitor) -> None:
    assert "There are no Voice Connectors." in visitor.get("/voice-connectors").text
    assert "There are no SIP rules." in visitor.get("/sip-rules").text


def test_what_a_voice_connector_is_tied_to(visitor: Visitor, estate: dict[str, Any]) -> None:
    page = visitor.get("/voice-connectors")
    group, rule = estate["group"]["VoiceConnectorGroupId"], estate["by_host"]["SipRuleId"]
    row = page.section(estate["connector"])
    for text in ("Head office", "us-east-1", "1 number", group, rule, "required"):
        assert text in row, text
    assert "Head office" in page.section(group)
    assert f'href="/numbers?text={estate["connector"]}"' in page.source


def test_what_a_sip_rule_calls(visitor: Visitor, estate: dict[str, Any]) -> None:
    page = visitor.get("/sip-rules")
    row = page.section(f"rule-{estate['by_number']['SipRuleId']}")
    for text in ("By number", "enabled", "+1 206-555-0101", "1: Answering"):
        assert text in row, text
    assert "Head office" in page.section(f"rule-{estate['by_host']['SipRuleId']}")
    assert LAMBDA in page.text


def test_a_rule_is_disabled_and_enabled(visitor: Visitor, estate: dict[str, Any]) -> None:
    id = estate["by_number"]["SipRuleId"]
    page = visitor.post(f"/sip-rules/{id}", "/sip-rules", disabled="true")
    assert "The SIP rule By number is disabled." in page.text
    rule = estate["voice"].get_sip_rule(SipRuleId=id)["SipRule"]
    assert rule["Disabled"] is True
    assert rule["TargetApplications"] == estate["by_number"]["TargetApplications"]
    chime = visitor.service.client()
    assert chime.get_phone_number(PhoneNumberId="+12065550101")["PhoneNumber"]["Status"] == "Unassigned"
    chime.delete_phone_number(PhoneNumberId="+12065550101")
    page = visitor.post(f"/sip-rules/{id}", "/sip-rules", disabled="false")
    assert page.status == 400
    assert "assign needs a number that is" in page.text
    assert visitor.post("/sip-rules/nothing", "/sip-rules", disabled="false").status == 404


def test_page_after_page(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_connectors, "PAGE_ITEMS", 2)
    voice = visitor.service.client("chime-sdk-voice")
    ids = sorted(
        voice.create_voice_connector(Name="One", RequireEncryption=True)["VoiceConnector"]["VoiceConnectorId"]
        for _ in range(3)
    )
    page = visitor.get("/voice-connectors")
    assert ids[1] in page.text
    assert ids[2] not in page.text
    page = visitor.get("/voice-connectors", after=ids[1])
    assert ids[2] in page.text
    assert ids[1] not in page.text


def test_who_may_only_read(served: Visitor) -> None:
    served.sign_in(*key_of(served.service, AttachedPolicy("AmazonChimeReadOnly"), "rita"))
    assert served.get("/voice-connectors").status == 200
    assert served.get("/sip-rules").status == 200
