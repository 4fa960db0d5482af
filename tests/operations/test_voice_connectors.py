"""Voice Connectors live, are bounded by quotas, and do not go while something needs them."""

import json
import re
import time
from typing import Any

import pytest

from conftest import Service, Start
from estate import NUMBERS, new_connector, new_group, refused
from numberkeep.domain.caller import root_of

ONE = NUMBERS["VoiceConnector"]


def test_the_life_of_a_voice_connector(voice: Any) -> None:
    made = voice.create_voice_connector(Name="Trunk", AwsRegion="us-west-2", RequireEncryption=True)["VoiceConnector"]
    connector = made["VoiceConnectorId"]
    assert re.fullmatch(r"[a-z0-9]{22}", connector)
    assert made["OutboundHostName"] == f"{connector}.voiceconnector.chime.aws"
    assert made["VoiceConnectorArn"] == f"arn:aws:chime:us-west-2:123456789012:vc/{connector}"
    assert (made["AwsRegion"], made["NetworkType"], made["RequireEncryption"]) == ("us-west-2", "IPV4_ONLY", True)
    assert voice.get_voice_connector(VoiceConnectorId=connector)["VoiceConnector"] == made
    updated = voice.update_voice_connector(VoiceConnectorId=connector, Name="Other", RequireEncryption=False)
    assert updated["VoiceConnector"] == {
        **made,
        "Name": "Other",
        "RequireEncryption": False,
        "UpdatedTimestamp": updated["VoiceConnector"]["UpdatedTimestamp"],
    }
    assert voice.list_voice_connectors()["VoiceConnectors"] == [updated["VoiceConnector"]]
    voice.delete_voice_connector(VoiceConnectorId=connector)
    assert voice.list_voice_connectors()["VoiceConnectors"] == []
    with refused(voice, "NotFoundException", f"Could not find VoiceConnector with Id '{connector}'"):
        voice.get_voice_connector(VoiceConnectorId=connector)


def test_lists_have_pages(voice: Any) -> None:
    made = sorted(new_connector(voice, f"Trunk {index}") for index in range(5))
    found, token = [], ""
    while True:
        page = voice.list_voice_connectors(MaxResults=2, NextToken=token)
        found += [one["VoiceConnectorId"] for one in page["VoiceConnectors"]]
        if not (token := page.get("NextToken")):
            break
    assert found == made


def test_accounts_do_not_see_each_others(estate: Service, voice: Any) -> None:
    connector = new_connector(voice)
    other = estate.client("chime-sdk-voice", account_id="210987654321")
    assert other.list_voice_connectors()["VoiceConnectors"] == []
    with refused(other, "NotFoundException"):
        other.delete_voice_connector(VoiceConnectorId=connector)


def test_one_with_phone_numbers_stays(voice: Any, chime: Any) -> None:
    connector = new_connector(voice)
    voice.associate_phone_numbers_with_voice_connector(VoiceConnectorId=connector, E164PhoneNumbers=[ONE])
    with refused(voice, "ConflictException", "has phone numbers"):
        voice.delete_voice_connector(VoiceConnectorId=connector)
    voice.disassociate_phone_numbers_from_voice_connector(VoiceConnectorId=connector, E164PhoneNumbers=[ONE])
    voice.delete_voice_connector(VoiceConnectorId=connector)


def test_one_in_a_group_stays(voice: Any) -> None:
    connector = new_connector(voice)
    group = new_group(voice, connector)
    with refused(voice, "ConflictException", f"is in VoiceConnectorGroup {group}"):
        voice.delete_voice_connector(VoiceConnectorId=connector)
    voice.update_voice_connector_group(VoiceConnectorGroupId=group, Name="Trunks", VoiceConnectorItems=[])
    voice.delete_voice_connector(VoiceConnectorId=connector)


def test_regions(voice: Any) -> None:
    regions = voice.list_available_voice_connector_regions()["VoiceConnectorRegions"]
    shape = voice.meta.service_model.shape_for("VoiceConnectorAwsRegion")
    assert sorted(regions) == sorted(shape.enum)


def test_credentials_are_listed_by_name_and_never_shown(estate: Service, voice: Any) -> None:
    connector = {"VoiceConnectorId": new_connector(voice)}
    credentials = [{"Username": "bob", "Password": "pa55word-b"}, {"Username": "ann", "Password": "pa55word-a"}]
    voice.put_voice_connector_termination_credentials(**connector, Credentials=credentials)
    assert voice.list_voice_connector_termination_credentials(**connector)["Usernames"] == ["ann", "bob"]
    kept = estate.run(
        estate.app.store.ask(
            root_of("123456789012"), lambda tx: tx.execute("SELECT value FROM resource_configurations", ()).fetchall()
        )
    )
    assert "scrypt" in str(kept)
    assert "pa55word" not in str(kept)
    with refused(voice, "BadRequestException", "item 2 is none"):
        voice.delete_voice_connector_termination_credentials(**connector, Usernames=["bob", "eve"])
    voice.delete_voice_connector_termination_credentials(**connector, Usernames=["bob"])
    assert voice.list_voice_connector_termination_credentials(**connector)["Usernames"] == ["ann"]


@pytest.mark.parametrize(
    ("credentials", "rule"),
    [
        ([], "must hold 1 to 10 users"),
        ([{"Username": "ann"}], "a Username and a Password"),
        ([{"Username": "ann", "Password": "a"}] * 2, "twice"),
        ([{"Username": f"u{index}", "Password": "a"} for index in range(11)], "must hold 1 to 10 users"),
    ],
)
def test_credentials_that_break_a_rule(voice: Any, credentials: list[dict[str, str]], rule: str) -> None:
    connector = {"VoiceConnectorId": new_connector(voice)}
    with refused(voice, "BadRequestException", rule):
        voice.put_voice_connector_termination_credentials(**connector, Credentials=credentials)
    assert voice.list_voice_connector_termination_credentials(**connector)["Usernames"] == []


def test_no_call_has_told_of_its_health(voice: Any) -> None:
    assert (
        voice.get_voice_connector_termination_health(VoiceConnectorId=new_connector(voice))["TerminationHealth"] == {}
    )


def test_quotas(start: Start) -> None:
    """Three a region, as AWS has it; not in dev, which `test_lists_have_pages` shows."""
    service = start(dev=False, verify=False)
    voice = service.client("chime-sdk-voice")
    connectors = [new_connector(voice) for _ in range(3)]
    with refused(voice, "ResourceLimitExceededException", "3 Voice Connectors in a region; this would make it 4"):
        new_connector(voice)
    connectors.append(new_connector(voice, AwsRegion="us-west-2"))
    with refused(voice, "ResourceLimitExceededException", "3 Voice Connectors in a group"):
        new_group(voice, *connectors)


def test_a_number_that_failed_can_be_ordered_again_at_the_quota(start: Start) -> None:
    service = start(dev=False, verify=False, order_seconds=0, quotas={"phone_numbers": 1})
    voice = service.client("chime-sdk-voice")
    for _ in range(2):
        voice.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550199"])
        until = time.monotonic() + 20
        while voice.list_phone_numbers()["PhoneNumbers"][0]["Status"] != "AcquireFailed":
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("tied", "code"),
    [("number", "PhoneNumberAssociationsExist"), ("group", "VoiceConnectorGroupAssociationsExist")],
)
def test_the_code_tells_why_a_connector_stays(voice: Any, chime: Any, tied: str, code: str) -> None:
    """The model of chime-sdk-voice does not show the code; it is in the answer all the same."""
    connector = new_connector(voice)
    if tied == "number":
        voice.associate_phone_numbers_with_voice_connector(VoiceConnectorId=connector, E164PhoneNumbers=[ONE])
    else:
        new_group(voice, connector)
    bodies: list[Any] = []
    voice.meta.events.register("before-parse", lambda response_dict, **_: bodies.append(response_dict["body"]))
    with refused(voice, "ConflictException"):
        voice.delete_voice_connector(VoiceConnectorId=connector)
    assert json.loads(bodies[0])["Code"] == code


def test_a_quota_can_be_another(start: Start) -> None:
    service = start(dev=False, verify=False, quotas={"voice_connectors": 1, "phone_numbers": 1})
    voice = service.client("chime-sdk-voice")
    new_connector(voice)
    with refused(voice, "ResourceLimitExceededException", "may have 1 Voice Connectors"):
        new_connector(voice)
    with refused(voice, "ResourceLimitExceededException", "may have 1 phone numbers; this would make it 2"):
        voice.create_phone_number_order(
            ProductType="VoiceConnector", E164PhoneNumbers=[ONE, NUMBERS["BusinessCalling"]]
        )
