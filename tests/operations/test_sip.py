"""SIP media applications, and the rules that hold phone numbers."""

from typing import Any

import pytest

from conftest import Service
from estate import (
    LAMBDA,
    NUMBERS,
    holders,
    new_application,
    new_connector,
    new_rule,
    number,
    refused,
)

DIAL_IN = NUMBERS["SipMediaApplicationDialIn"]
FREE = ("Unassigned", {})


def test_the_life_of_an_application(voice: Any) -> None:
    endpoints = [{"LambdaArn": LAMBDA.replace("us-east-1", "us-west-2")}]
    made = voice.create_sip_media_application(AwsRegion="us-west-2", Name="Answer", Endpoints=endpoints)
    made = made["SipMediaApplication"]
    application = {"SipMediaApplicationId": made["SipMediaApplicationId"]}
    assert made["SipMediaApplicationArn"].startswith("arn:aws:chime:us-west-2:123456789012:sma/")
    assert made["Endpoints"] == endpoints
    updated = voice.update_sip_media_application(**application, Name="Other")["SipMediaApplication"]
    assert (updated["Name"], updated["Endpoints"]) == ("Other", made["Endpoints"])
    other = [{"LambdaArn": endpoints[0]["LambdaArn"].replace("answer", "other")}]
    updated = voice.update_sip_media_application(**application, Endpoints=other)["SipMediaApplication"]
    assert (updated["Name"], updated["Endpoints"]) == ("Other", other)
    assert voice.list_sip_media_applications()["SipMediaApplications"] == [updated]
    assert voice.get_sip_media_application(**application)["SipMediaApplication"] == updated
    voice.delete_sip_media_application(**application)
    with refused(voice, "NotFoundException", "Could not find SipMediaApplication"):
        voice.get_sip_media_application(**application)


def test_an_application_is_in_a_region_that_has_them(voice: Any) -> None:
    with refused(voice, "BadRequestException", "AwsRegion must be one of us-east-1"):
        voice.create_sip_media_application(AwsRegion="mars-1", Name="Answer", Endpoints=[{"LambdaArn": LAMBDA}])


def test_an_application_has_its_function_in_its_region(voice: Any) -> None:
    for endpoint, rule in (({"LambdaArn": LAMBDA}, "must be in the region"), ({}, "must have a LambdaArn")):
        with refused(voice, "BadRequestException", rule):
            voice.create_sip_media_application(AwsRegion="us-west-2", Name="Answer", Endpoints=[endpoint])


def test_a_rule_holds_its_number_while_it_is_enabled(voice: Any) -> None:
    application = new_application(voice)
    rule = new_rule(voice, application, DIAL_IN)
    assert holders(voice, DIAL_IN) == ("Assigned", {"SipRuleId": rule})
    updated = voice.update_sip_rule(SipRuleId=rule, Name="Off", Disabled=True)
    assert updated["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert holders(voice, DIAL_IN) == FREE
    voice.update_sip_rule(SipRuleId=rule, Name="Still off")
    assert voice.get_sip_rule(SipRuleId=rule)["SipRule"]["Disabled"] is True
    voice.update_sip_rule(SipRuleId=rule, Name="On", Disabled=False)
    assert holders(voice, DIAL_IN) == ("Assigned", {"SipRuleId": rule})
    voice.delete_sip_rule(SipRuleId=rule)
    assert holders(voice, DIAL_IN) == FREE
    assert voice.list_sip_rules()["SipRules"] == []


def test_a_rule_that_is_born_disabled_holds_nothing(voice: Any) -> None:
    new_rule(voice, new_application(voice), DIAL_IN, Disabled=True)
    assert holders(voice, DIAL_IN) == FREE


def test_chime_deletes_disabled_rules_only(estate: Service, voice: Any) -> None:
    """An older chime client sends today's chime-sdk-voice request to chime's address."""
    rule = new_rule(voice, new_application(voice), DIAL_IN)
    chime = estate.client("chime-sdk-voice", endpoint_url=f"{estate.url}/chime")
    with refused(chime, "BadRequestException", "disable it before"):
        chime.delete_sip_rule(SipRuleId=rule)
    chime.update_sip_rule(SipRuleId=rule, Name="Off", Disabled=True)
    chime.delete_sip_rule(SipRuleId=rule)
    with refused(chime, "NotFoundException"):
        chime.delete_sip_rule(SipRuleId=rule)


def test_a_number_has_one_rule(voice: Any) -> None:
    application = new_application(voice)
    first = new_rule(voice, application, DIAL_IN)
    with refused(voice, "BadRequestException", f"is assigned to SipRuleId {first} already"):
        new_rule(voice, application, DIAL_IN)
    second = new_rule(voice, application, DIAL_IN, Disabled=True)
    with refused(voice, "BadRequestException", "is assigned to SipRuleId"):
        voice.update_sip_rule(SipRuleId=second, Name="On", Disabled=False)
    assert voice.get_sip_rule(SipRuleId=second)["SipRule"]["Name"] == "Rule"


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (NUMBERS["VoiceConnector"], "only SipMediaApplicationDialIn numbers can be assigned to a SipRule"),
        ("+12065550199", "Could not find PhoneNumber"),
        ("nonsense", "E.164"),
    ],
)
def test_what_a_rule_cannot_be_for_is_a_bad_request(voice: Any, value: str, rule: str) -> None:
    """AWS's clients retry on that one, and CreateSipRule declares no NotFoundException."""
    with refused(voice, "BadRequestException", rule):
        new_rule(voice, new_application(voice), value)
    assert voice.list_sip_rules()["SipRules"] == []


def test_a_disabled_rule_is_for_a_number_of_the_accounts_too(voice: Any) -> None:
    with refused(voice, "BadRequestException", "Could not find PhoneNumber"):
        new_rule(voice, new_application(voice), "+12065550199", Disabled=True)


def test_a_rule_for_a_voice_connector(voice: Any) -> None:
    application, connector = new_application(voice), new_connector(voice)
    host = voice.get_voice_connector(VoiceConnectorId=connector)["VoiceConnector"]["OutboundHostName"]
    for other in ("example.com", f"{'a' * 22}.voiceconnector.chime.aws"):
        with refused(voice, "BadRequestException", "must be the OutboundHostName"):
            new_rule(voice, application, other, "RequestUriHostname")
    rule = new_rule(voice, application, host.upper(), "RequestUriHostname")
    with refused(voice, "ConflictException", f"is the trigger of SipRule {rule}"):
        voice.delete_voice_connector(VoiceConnectorId=connector)
    assert voice.get_sip_rule(SipRuleId=rule)["SipRule"]["TriggerValue"] == host
    with refused(voice, "BadRequestException", "Another enabled SipRule"):
        new_rule(voice, application, host, "RequestUriHostname")
    voice.update_sip_rule(SipRuleId=rule, Name="Off", Disabled=True)
    new_rule(voice, application, host, "RequestUriHostname")
    with refused(voice, "BadRequestException", "Another enabled SipRule"):
        voice.update_sip_rule(SipRuleId=rule, Name="On", Disabled=False)


def test_an_application_that_a_rule_targets_stays(voice: Any) -> None:
    first, second = new_application(voice), new_application(voice)
    rule = new_rule(voice, first, DIAL_IN)
    with refused(voice, "ConflictException", f"is a target of SipRule {rule}"):
        voice.delete_sip_media_application(SipMediaApplicationId=first)
    voice.update_sip_rule(SipRuleId=rule, Name="Rule", TargetApplications=[{"SipMediaApplicationId": second}])
    voice.delete_sip_media_application(SipMediaApplicationId=first)
    voice.delete_sip_rule(SipRuleId=rule)
    voice.delete_sip_media_application(SipMediaApplicationId=second)


def test_targets(voice: Any) -> None:
    east, other_east, west = new_application(voice), new_application(voice), new_application(voice, "us-west-2")
    rule = new_rule(voice, east, DIAL_IN)
    shown = voice.get_sip_rule(SipRuleId=rule)["SipRule"]["TargetApplications"]
    assert shown == [{"SipMediaApplicationId": east, "Priority": 1, "AwsRegion": "us-east-1"}]

    def target(*applications: str, **options: str) -> None:
        targets = [{"SipMediaApplicationId": one, **options} for one in applications]
        voice.update_sip_rule(SipRuleId=rule, Name="Rule", TargetApplications=targets)

    with refused(voice, "BadRequestException", "one SIP media application of a region"):
        target(east, other_east)
    with refused(voice, "BadRequestException", "is in us-west-2, not in us-east-1"):
        target(west, AwsRegion="us-east-1")
    with refused(voice, "NotFoundException"):
        target("nowhere")
    target(west, east)
    with refused(voice, "BadRequestException", "must have a SipMediaApplicationId"):
        voice.update_sip_rule(SipRuleId=rule, Name="Rule", TargetApplications=[{"Priority": 1}])


def test_rules_of_an_application(voice: Any) -> None:
    first, second = new_application(voice), new_application(voice)
    rule = new_rule(voice, first, DIAL_IN)
    assert [one["SipRuleId"] for one in voice.list_sip_rules(SipMediaApplicationId=first)["SipRules"]] == [rule]
    assert voice.list_sip_rules(SipMediaApplicationId=second)["SipRules"] == []
    with refused(voice, "NotFoundException"):
        voice.list_sip_rules(SipMediaApplicationId="nowhere")


def test_a_held_number_names_its_holder_when_its_type_cannot_change(voice: Any) -> None:
    rule = new_rule(voice, new_application(voice), DIAL_IN)
    with refused(voice, "BadRequestException", f"is assigned to SipRuleId {rule}"):
        voice.update_phone_number(PhoneNumberId=DIAL_IN, ProductType="VoiceConnector")
    voice.update_sip_rule(SipRuleId=rule, Name="Off", Disabled=True)
    voice.update_phone_number(PhoneNumberId=DIAL_IN, ProductType="VoiceConnector")
    assert number(voice, DIAL_IN)["ProductType"] == "VoiceConnector"
    with refused(voice, "BadRequestException", "only SipMediaApplicationDialIn numbers"):
        voice.update_sip_rule(SipRuleId=rule, Name="On", Disabled=False)


def test_a_disabled_rule_outlives_its_number(estate: Service, voice: Any) -> None:
    rule = new_rule(voice, new_application(voice), DIAL_IN, Disabled=True)
    voice.delete_phone_number(PhoneNumberId=DIAL_IN)
    estate.advance("7d")
    with refused(voice, "NotFoundException", "Could not find PhoneNumber"):
        voice.update_sip_rule(SipRuleId=rule, Name="On", Disabled=False)
    voice.delete_sip_rule(SipRuleId=rule)
