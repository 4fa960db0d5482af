"""Groups of Voice Connectors."""

import re
from typing import Any

import pytest

from estate import NUMBERS, new_connector, new_group, refused

ONE = NUMBERS["VoiceConnector"]


def test_the_life_of_a_group(voice: Any) -> None:
    first, second = new_connector(voice), new_connector(voice)
    group = new_group(voice, first)
    assert re.fullmatch(r"[a-z0-9]{21}", group)
    made = voice.get_voice_connector_group(VoiceConnectorGroupId=group)["VoiceConnectorGroup"]
    assert made["VoiceConnectorItems"] == [{"VoiceConnectorId": first, "Priority": 1}]
    assert made["VoiceConnectorGroupArn"] == f"arn:aws:chime:us-east-1:123456789012:vcg/{group}"
    items = [{"VoiceConnectorId": second, "Priority": 7}, {"VoiceConnectorId": first, "Priority": 8}]
    updated = voice.update_voice_connector_group(
        VoiceConnectorGroupId=group,
        Name="Others",
        VoiceConnectorItems=items,
        CallDistributionType="LoadBalancedDistribution",
    )
    assert updated["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert updated["VoiceConnectorGroup"]["VoiceConnectorItems"] == items
    assert voice.list_voice_connector_groups()["VoiceConnectorGroups"] == [updated["VoiceConnectorGroup"]]
    assert updated["VoiceConnectorGroup"]["CallDistributionType"] == "LoadBalancedDistribution"

    with refused(voice, "ConflictException", "has Voice Connectors"):
        voice.delete_voice_connector_group(VoiceConnectorGroupId=group)
    voice.update_voice_connector_group(VoiceConnectorGroupId=group, Name="Others", VoiceConnectorItems=[])
    voice.delete_voice_connector_group(VoiceConnectorGroupId=group)
    with refused(voice, "NotFoundException", f"VoiceConnectorGroup with Id '{group}'"):
        voice.get_voice_connector_group(VoiceConnectorGroupId=group)


def test_one_with_phone_numbers_stays(voice: Any) -> None:
    group = {"VoiceConnectorGroupId": new_group(voice)}
    voice.associate_phone_numbers_with_voice_connector_group(**group, E164PhoneNumbers=[ONE])
    with refused(voice, "ConflictException", "has phone numbers"):
        voice.delete_voice_connector_group(**group)
    voice.disassociate_phone_numbers_from_voice_connector_group(**group, E164PhoneNumbers=[ONE])
    voice.delete_voice_connector_group(**group)


@pytest.mark.parametrize("twice", [False, True])
def test_items_that_break_a_rule(voice: Any, twice: bool) -> None:
    connector = new_connector(voice)
    items = [connector, connector] if twice else [connector, "a" * 22]
    with refused(voice, "BadRequestException" if twice else "NotFoundException"):
        new_group(voice, *items)
    assert voice.list_voice_connector_groups()["VoiceConnectorGroups"] == []
