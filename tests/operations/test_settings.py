"""What an account sets for all of its numbers."""

import msgspec
import pytest

from conftest import BOB, Do
from numberkeep.domain.errors import BadRequest

Bucket = msgspec.defstruct("Bucket", ["cdr_bucket"])


def test_the_default_calling_name_is_set_at_once(do: Do, seconds: list[float]) -> None:
    assert do("get_phone_number_settings") == {"CallingName": None, "CallingNameUpdatedTimestamp": None}
    do("update_phone_number_settings", calling_name="myName")
    expected = {"CallingName": "myName", "CallingNameUpdatedTimestamp": "2019-10-29T18:25:30.392Z"}
    assert do("get_phone_number_settings") == expected
    assert do("get_phone_number_settings", BOB)["CallingName"] is None
    with pytest.raises(BadRequest, match="once every 7 days"):
        do("update_phone_number_settings", calling_name="other")
    assert do("get_phone_number_settings") == expected
    seconds[0] += 7 * 86400
    do("update_phone_number_settings", calling_name="other")
    assert do("get_phone_number_settings")["CallingName"] == "other"


def test_buckets_are_set_one_by_one(do: Do) -> None:
    do("update_phone_number_settings", calling_name="myName")
    do("update_global_settings", voice_connector=Bucket("calls"))
    do("update_global_settings", business_calling=Bucket("business"))
    assert do("get_global_settings") == {
        "BusinessCalling": {"CdrBucket": "business"},
        "VoiceConnector": {"CdrBucket": "calls"},
    }
    do("update_global_settings", voice_connector=Bucket(None))
    assert do("get_global_settings")["VoiceConnector"] == {"CdrBucket": None}
    assert do("get_phone_number_settings")["CallingName"] == "myName"
    with pytest.raises(BadRequest, match="needs BusinessCalling or VoiceConnector"):
        do("update_global_settings")
