"""Signatures that are checked: made by botocore, against the keys in the store."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from numberkeep.keyring import new_key
from numberkeep.sealing import KeyFile
from numberkeep.session import open_session

from ..conftest import Service, Start

NUMBER = "+12065550100"
ENDPOINTS = [("chime", ""), ("chime", "/chime"), ("chime-sdk-voice", ""), ("chime-sdk-voice", "/chime-sdk-voice")]
MISMATCH = "The request signature we calculated does not match the signature you provided."


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "numbers.sqlite3"


@pytest.fixture
def service(start: Start, database: Path) -> Service:
    """A service that checks signatures, with one number of the account that its first key is of."""
    one = start(verify=True, database=database)
    one.seed({"E164PhoneNumber": NUMBER, "ProductType": "VoiceConnector"})
    return one


def signing(service: Service, name: str = "chime", prefix: str = "", **options: Any) -> Any:
    """A client that signs with the service's first key, unless `options` tell otherwise."""
    access_key_id, secret_access_key = service.app.credentials
    key = {"access_key_id": access_key_id, "secret_access_key": secret_access_key}
    return service.client(name, endpoint_url=service.url + prefix, **{**key, **options})


@pytest.mark.parametrize(("name", "prefix"), ENDPOINTS)
def test_the_right_key(service: Service, name: str, prefix: str) -> None:
    """With what signatures have trouble with: ids encoded twice, queries, bodies, and none."""
    client = signing(service, name, prefix)
    for phone_number_id in (NUMBER, "%2B12065550100"):
        updated = client.update_phone_number(PhoneNumberId=phone_number_id, ProductType="SipMediaApplicationDialIn")
        assert updated["PhoneNumber"]["E164PhoneNumber"] == NUMBER
    assert client.search_available_phone_numbers(State="WA", City="Seattle", MaxResults=1)["E164PhoneNumbers"]
    client.delete_phone_number(PhoneNumberId=NUMBER)
    assert client.restore_phone_number(PhoneNumberId=NUMBER)["PhoneNumber"]["Status"] == "Unassigned"


@pytest.mark.parametrize(("name", "prefix"), ENDPOINTS)
@pytest.mark.parametrize(
    ("options", "error_type", "message"),
    [
        ({"secret_access_key": "wrong"}, "InvalidSignatureException", MISMATCH),
        (
            {"access_key_id": "AKIAUNKNOWN"},
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        (
            {"region_name": "eu-north-1"},
            "InvalidSignatureException",
            "Credential should be scoped to a valid region, not 'eu-north-1'.",
        ),
    ],
    ids=["secret", "key", "region"],
)
def test_a_wrong(
    service: Service, name: str, prefix: str, options: dict[str, str], error_type: str, message: str
) -> None:
    """The types and the texts are AWS's own."""
    client = signing(service, name, prefix, **options)
    with pytest.raises(ClientError) as caught:
        client.get_phone_number(PhoneNumberId=NUMBER)
    error = caught.value.response
    assert (error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]) == (403, error_type)
    assert error["Error"]["Message"].startswith(message)


@pytest.mark.parametrize(("name", "prefix"), ENDPOINTS)
def test_a_presigned_url(service: Service, name: str, prefix: str) -> None:
    client = signing(service, name, prefix)
    url = client.generate_presigned_url("get_phone_number", Params={"PhoneNumberId": NUMBER}, ExpiresIn=60)
    answer = httpx.get(url)
    assert answer.status_code == 200
    assert answer.json()["PhoneNumber"]["E164PhoneNumber"] == NUMBER

    another = httpx.get(url.replace("5550100", "5550101"))
    assert another.headers["x-amzn-ErrorType"] == "InvalidSignatureException"
    assert another.json()["message"].startswith(MISMATCH)


def test_a_key_is_of_one_account(service: Service, database: Path) -> None:
    """A key that was made beside the running service, as `numberkeep` does at the shell, is good at once."""
    sealer = KeyFile(database.with_name("secret.key"))
    with open_session(database, "210987654321") as session:
        key, secret = session.transact(new_key, sealer, "bob")
    theirs = signing(service, access_key_id=key.access_key_id, secret_access_key=secret)
    assert theirs.list_phone_numbers()["PhoneNumbers"] == []
    with pytest.raises(theirs.exceptions.NotFoundException):
        theirs.update_phone_number(PhoneNumberId=NUMBER, ProductType="SipMediaApplicationDialIn")
    (mine,) = signing(service).list_phone_numbers()["PhoneNumbers"]
    assert mine["ProductType"] == "VoiceConnector"
