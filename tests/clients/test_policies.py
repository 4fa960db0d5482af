"""What a policy says of one resource holds for that resource, however a request is made."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from numberkeep.domain.caller import root_of
from numberkeep.domain.identity import AttachedPolicy
from numberkeep.keyring import new_key
from numberkeep.sealing import KeyFile
from numberkeep.storage import identities

from ..conftest import Service, Start

ACCOUNT = "123456789012"


@pytest.fixture
def service(start: Start, tmp_path: Path) -> Service:
    return start(verify=True, database=tmp_path / "numbers.sqlite3")


def client_of(
    service: Service, tmp_path: Path, user: str, *statements: dict[str, Any], region: str = "us-east-1"
) -> Any:
    """A client of a user who may do everything but what `statements` deny."""
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = AttachedPolicy("most", json.dumps({"Statement": [allow, *statements]}))
    sealer = KeyFile(tmp_path / "secret.key")
    caller = root_of(ACCOUNT)
    key, secret = service.run(service.app.store.transact(caller, new_key, sealer, user, policy))
    return service.client(
        "chime-sdk-voice", access_key_id=key.access_key_id, secret_access_key=secret, region_name=region
    )


def test_a_connector_is_denied_by_its_own_arn(service: Service, tmp_path: Path) -> None:
    """Neither signing for another region nor naming it by its ARN is a way around."""
    admin = client_of(service, tmp_path, "admin")
    made = admin.create_voice_connector(Name="Trunk", RequireEncryption=True, AwsRegion="us-west-2")["VoiceConnector"]
    deny = {"Effect": "Deny", "Action": "chime:*", "Resource": made["VoiceConnectorArn"]}
    for region in ("us-west-2", "us-east-1", "eu-west-1"):
        bob = client_of(service, tmp_path, f"bob-{region}", deny, region=region)
        for refused in (
            lambda bob=bob: bob.get_voice_connector(VoiceConnectorId=made["VoiceConnectorId"]),
            lambda bob=bob: bob.delete_voice_connector(VoiceConnectorId=made["VoiceConnectorId"]),
            lambda bob=bob: bob.list_tags_for_resource(ResourceARN=made["VoiceConnectorArn"]),
            lambda bob=bob: bob.tag_resource(ResourceARN=made["VoiceConnectorArn"], Tags=[{"Key": "k", "Value": "v"}]),
        ):
            with pytest.raises(bob.exceptions.ClientError, match="with an explicit deny in an identity-based policy"):
                refused()
        assert len(bob.list_voice_connectors()["VoiceConnectors"]) == 1
    assert admin.list_tags_for_resource(ResourceARN=made["VoiceConnectorArn"])["Tags"] == []


def test_what_a_policy_is_asked_about_is_what_is_told(service: Service, tmp_path: Path) -> None:
    """Whatever else a request names: an ARN in the query before the one that counts, or in a body that does not."""
    admin = client_of(service, tmp_path, "admin")
    hidden, shown = [
        admin.create_voice_connector(Name=name, RequireEncryption=True)["VoiceConnector"]["VoiceConnectorArn"]
        for name in ("hidden", "shown")
    ]
    bob = client_of(service, tmp_path, "bob", {"Effect": "Deny", "Action": "chime:*", "Resource": hidden})

    def listed(query: str, body: bytes = b"") -> int:
        asked = AWSRequest("GET", f"{bob.meta.endpoint_url}/tags?{query}", data=body)
        SigV4Auth(bob._request_signer._credentials, "chime", "us-east-1").add_auth(asked)
        signed = asked.prepare()
        return httpx.request("GET", signed.url, headers=dict(signed.headers), content=body).status_code

    arns = {"shown": quote(shown, safe=""), "hidden": quote(hidden, safe="")}
    assert listed(f"arn={arns['shown']}") == 200
    assert listed(f"arn={arns['hidden']}") == 403
    assert listed(f"arn={arns['shown']}&arn={arns['hidden']}") == 403
    assert listed(f"arn={arns['hidden']}", json.dumps({"ResourceARN": shown}).encode()) == 403


def test_a_policy_that_is_given_with_the_first_key_is_all_there_is(service: Service, tmp_path: Path) -> None:
    sealer = KeyFile(tmp_path / "secret.key")
    caller = root_of("210987654321")
    service.run(service.app.store.transact(caller, new_key, sealer, "first", AttachedPolicy("AmazonChimeReadOnly")))
    user = service.run(service.app.store.transact(caller, identities.USERS.get, "first"))
    assert [policy.policy_name for policy in user.policies] == ["AmazonChimeReadOnly"]


def test_tags_are_limited_in_the_limits_own_words(start: Start, tmp_path: Path) -> None:
    """Their model has no ThrottledClientException; what is answered is one all the same, or clients would not wait."""
    service = start(rate=0.001, burst=1)
    voice = service.client("chime-sdk-voice")
    arn = f"arn:aws:chime:us-east-1:{ACCOUNT}:vc/{'a' * 22}"
    for code in ("NotFoundException", "ThrottledClientException"):
        with pytest.raises(voice.exceptions.ClientError) as refused:
            voice.list_tags_for_resource(ResourceARN=arn)
        assert refused.value.response["Error"]["Code"] == code


def test_a_web_page_cannot_write_in_dev(start: Start) -> None:
    service = start()
    url = service.client("chime").generate_presigned_url(
        "delete_phone_number", Params={"PhoneNumberId": "+12065550100"}
    )
    answer = httpx.delete(url, headers={"Origin": "http://example.com"})
    assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (403, "AccessDeniedException")


def test_a_name_in_a_query_is_what_it_is_signed_as(start: Start) -> None:
    """``%6Fperation=restore`` is signed like ``operation=restore``, and does the same."""
    service = start()
    service.seed({"E164PhoneNumber": "+12065550100", "ProductType": "VoiceConnector"})
    chime = service.client("chime")
    chime.delete_phone_number(PhoneNumberId="+12065550100")
    url = chime.generate_presigned_url("restore_phone_number", Params={"PhoneNumberId": "+12065550100"})
    answer = httpx.post(httpx.URL(url.replace("operation=", "%6Fperation=")))
    assert answer.json()["PhoneNumber"]["Status"] == "Unassigned"
