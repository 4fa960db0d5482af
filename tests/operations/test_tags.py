"""Tags of Voice Connectors and SIP media applications."""

from typing import Any

import pytest

from conftest import Service
from estate import LAMBDA, new_application, new_connector, refused

RED = {"Key": "colour", "Value": "red"}
BIG = {"Key": "size", "Value": "big"}


def arn_of(voice: Any, kind: str) -> str:
    if kind == "vc":
        return voice.get_voice_connector(VoiceConnectorId=new_connector(voice))["VoiceConnector"]["VoiceConnectorArn"]
    made = voice.get_sip_media_application(SipMediaApplicationId=new_application(voice))
    return made["SipMediaApplication"]["SipMediaApplicationArn"]


@pytest.mark.parametrize("kind", ["vc", "sma"])
def test_tags_are_added_replaced_and_removed(voice: Any, kind: str) -> None:
    arn = {"ResourceARN": arn_of(voice, kind)}
    assert voice.list_tags_for_resource(**arn)["Tags"] == []
    voice.tag_resource(**arn, Tags=[RED, BIG])
    voice.tag_resource(**arn, Tags=[{"Key": "colour", "Value": "blue"}])
    assert voice.list_tags_for_resource(**arn)["Tags"] == [{"Key": "colour", "Value": "blue"}, BIG]
    voice.untag_resource(**arn, TagKeys=["colour", "unknown"])
    assert voice.list_tags_for_resource(**arn)["Tags"] == [BIG]


def test_what_is_created_can_have_tags(voice: Any) -> None:
    made = voice.create_voice_connector(Name="Trunk", RequireEncryption=True, Tags=[RED])["VoiceConnector"]
    assert voice.list_tags_for_resource(ResourceARN=made["VoiceConnectorArn"])["Tags"] == [RED]
    made = voice.create_sip_media_application(
        AwsRegion="us-east-1", Name="Answer", Endpoints=[{"LambdaArn": LAMBDA}], Tags=[BIG]
    )["SipMediaApplication"]
    assert voice.list_tags_for_resource(ResourceARN=made["SipMediaApplicationArn"])["Tags"] == [BIG]


def test_too_many_tags(voice: Any) -> None:
    arn = {"ResourceARN": arn_of(voice, "vc")}
    voice.tag_resource(**arn, Tags=[{"Key": str(index), "Value": ""} for index in range(50)])
    with refused(voice, "ResourceLimitExceededException", "at most 50 tags; this would make it 51"):
        voice.tag_resource(**arn, Tags=[RED])
    with refused(voice, "BadRequestException", "must not hold a key twice"):
        voice.tag_resource(**arn, Tags=[RED, RED])


def test_resources_that_have_none(estate: Service, voice: Any) -> None:
    arn = arn_of(voice, "vc")
    with refused(voice, "BadRequestException", "Invalid resource"):
        voice.list_tags_for_resource(ResourceARN="arn:aws:s3:::bucket")
    with refused(voice, "NotFoundException", "Could not find a resource"):
        voice.list_tags_for_resource(ResourceARN=arn.replace("us-east-1", "eu-west-1"))
    with refused(voice, "BadRequestException", "must not begin with aws:"):
        voice.tag_resource(ResourceARN=arn, Tags=[{"Key": "aws:x", "Value": ""}])
    with refused(voice, "NotFoundException", "Could not find VoiceConnector"):
        voice.list_tags_for_resource(ResourceARN=arn[:-1])
    other = estate.client("chime-sdk-voice", account_id="210987654321")
    with refused(other, "BadRequestException", "Invalid resource"):
        other.list_tags_for_resource(ResourceARN=arn)
