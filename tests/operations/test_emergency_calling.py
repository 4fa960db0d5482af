"""Addresses for emergency calls."""

from typing import Any

from estate import refused

ADDRESS = {
    "AwsAccountId": "123456789012",
    "StreetNumber": "410",
    "StreetInfo": "Terry Avenue North",
    "City": "Seattle",
    "State": "Washington",
    "Country": "US",
    "PostalCode": "98109-5210",
}


def test_an_address_is_corrected(voice: Any) -> None:
    answer = voice.validate_e911_address(**ADDRESS)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["ValidationResult"] == 1
    assert answer["Address"] == {
        "streetNumber": "410",
        "streetName": "TERRY",
        "streetSuffix": "AVE",
        "postDirectional": "N",
        "city": "SEATTLE",
        "state": "WA",
        "postalCode": "98109",
        "postalCodePlus4": "5210",
        "country": "US",
    }
    assert answer["AddressExternalId"]


def test_an_address_that_is_none(voice: Any) -> None:
    answer = voice.validate_e911_address(**{**ADDRESS, "State": "TX"})
    assert answer["ValidationResult"] == 2
    assert "Address" not in answer
    assert answer["CandidateAddressList"] == []


def test_whose_address(voice: Any) -> None:
    with refused(voice, "BadRequestException", "AwsAccountId"):
        voice.validate_e911_address(**{**ADDRESS, "AwsAccountId": "210987654321"})
    with refused(voice, "BadRequestException", "Country must be US"):
        voice.validate_e911_address(**{**ADDRESS, "Country": "GB"})
