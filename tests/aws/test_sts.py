"""Who am I, and credentials for a while: asked by botocore, answered by a running service that checks signatures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from conftest import Service, Start
from numberkeep.domain.caller import root_of
from numberkeep.domain.identity import AttachedPolicy
from numberkeep.keyring import new_key
from numberkeep.sealing import KeyFile
from numberkeep.storage import identities

ACCOUNT = "123456789012"
EVERYTHING = AttachedPolicy("AdministratorAccess")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ops"
MAY_ASSUME = '{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/ops"}}'


class Access:
    """A service, and what `numberkeep keys`, `users` and `roles` do to its store."""

    def __init__(self, service: Service, database: Path) -> None:
        self.service = service
        self._sealer = KeyFile(database.with_name("secret.key"))

    def do(self, function: Callable[..., Any], *arguments: Any, account_id: str = ACCOUNT) -> Any:
        return self.service.run(self.service.app.store.transact(root_of(account_id), function, *arguments))

    def key(self, user: str, *policies: AttachedPolicy, account_id: str = ACCOUNT) -> tuple[str, str]:
        key, secret = self.do(new_key, self._sealer, user, account_id=account_id)
        for policy in policies:
            self.do(identities.attach, identities.USERS, user, policy, account_id=account_id)
        return key.access_key_id, secret

    def client(self, name: str, key: tuple[str, str], token: str | None = None) -> Any:
        return boto3.client(
            name,
            endpoint_url=self.service.url,
            region_name="us-east-1",
            aws_access_key_id=key[0],
            aws_secret_access_key=key[1],
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def with_credentials(self, name: str, credentials: dict[str, str]) -> Any:
        key = credentials["AccessKeyId"], credentials["SecretAccessKey"]
        return self.client(name, key, credentials["SessionToken"])


@pytest.fixture
def access(start: Start, tmp_path: Path) -> Access:
    database = tmp_path / "numbers.sqlite3"
    return Access(start(verify=True, database=database), database)


def test_who_am_i(access: Access) -> None:
    key = access.key("alice", EVERYTHING)
    seen = access.client("sts", key).get_caller_identity()
    assert (seen["Account"], seen["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/alice")
    assert seen["UserId"].startswith("AIDA")


def test_a_session_is_its_users(access: Access) -> None:
    key = access.key("alice", EVERYTHING)
    credentials = access.client("sts", key).get_session_token(DurationSeconds=900)["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    assert access.with_credentials("chime", credentials).list_phone_numbers()["PhoneNumbers"] == []
    sts = access.with_credentials("sts", credentials)
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/alice"
    with pytest.raises(ClientError, match="session credentials"):
        sts.get_session_token()


def test_a_session_that_is_not_complete(access: Access) -> None:
    credentials = access.client("sts", access.key("alice", EVERYTHING)).get_session_token()["Credentials"]
    key = credentials["AccessKeyId"], credentials["SecretAccessKey"]
    for token, message in ((None, "is invalid."), ("x" + credentials["SessionToken"][1:], "is invalid")):
        with pytest.raises(ClientError) as refused:
            access.client("chime", key, token).list_phone_numbers()
        assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"
        assert refused.value.response["Error"]["Message"] == f"The security token included in the request {message}"


def test_a_role_is_assumed_by_whom_it_trusts_and_a_policy_allows(access: Access) -> None:
    admin = access.key("alice", EVERYTHING)
    bob = access.key("bob", AttachedPolicy("assume", MAY_ASSUME))
    access.do(identities.create_role, "ops", (ACCOUNT,), 3600)
    access.do(identities.attach, identities.ROLES, "ops", AttachedPolicy("AmazonChimeReadOnly"))
    with pytest.raises(ClientError, match="not authorized to perform: chime:ListPhoneNumbers"):
        access.client("chime", bob).list_phone_numbers()
    assumed = access.client("sts", bob).assume_role(RoleArn=ROLE, RoleSessionName="me")
    assert assumed["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/me"
    chime = access.with_credentials("chime", assumed["Credentials"])
    assert chime.list_phone_numbers()["PhoneNumbers"] == []
    with pytest.raises(ClientError, match="assumed-role/ops/me is not authorized to perform: chime:DeletePhoneNumber"):
        chime.delete_phone_number(PhoneNumberId="+12065550100")
    identity = access.with_credentials("sts", assumed["Credentials"]).get_caller_identity()
    assert identity["UserId"] == assumed["AssumedRoleUser"]["AssumedRoleId"]
    assert access.client("sts", admin).assume_role(RoleArn=ROLE, RoleSessionName="admin")


@pytest.mark.parametrize("role", [ROLE, f"arn:aws:iam::{ACCOUNT}:role/none", "nonsense"])
def test_who_may_not_assume_a_role_does_not_hear_whether_it_is_there(access: Access, role: str) -> None:
    access.key("alice", EVERYTHING)
    access.do(identities.create_role, "ops", (f"arn:aws:iam::{ACCOUNT}:user/alice",), 3600)
    bob = access.client("sts", access.key("bob", EVERYTHING))
    with pytest.raises(ClientError) as refused:
        bob.assume_role(RoleArn=role.ljust(20), RoleSessionName="me")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"RoleSessionName": "a b"}, "RoleSessionName"),
        ({"DurationSeconds": 3601}, "900 to 3600"),
        ({"Policy": "{}"}, "Policy is not supported"),
    ],
)
def test_a_role_that_is_asked_for_wrongly(access: Access, given: dict[str, Any], message: str) -> None:
    sts = access.client("sts", access.key("alice", EVERYTHING))
    access.do(identities.create_role, "ops", (ACCOUNT,), 3600)
    with pytest.raises(ClientError, match=message) as refused:
        sts.assume_role(**{"RoleArn": ROLE, "RoleSessionName": "me", **given})
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_wrong_signatures_have_the_query_protocols_names(access: Access) -> None:
    key = access.key("alice", EVERYTHING)
    for wrong, code in (((key[0], "wrong"), "SignatureDoesNotMatch"), (("AKIAX", "x"), "InvalidClientTokenId")):
        with pytest.raises(ClientError) as refused:
            access.client("sts", wrong).get_caller_identity()
        assert refused.value.response["Error"]["Code"] == code
    unsigned = httpx.post(access.service.url, data={"Action": "GetCallerIdentity", "Version": "2011-06-15"})
    assert (unsigned.status_code, "MissingAuthenticationToken" in unsigned.text) == (403, True)


def test_what_is_not_served_is_said(access: Access) -> None:
    sts = access.client("sts", access.key("alice", EVERYTHING))
    with pytest.raises(ClientError, match="Could not find operation GetAccessKeyInfo"):
        sts.get_access_key_info(AccessKeyId="AKIAIOSFODNN7EXAMPLE")


def test_a_session_ends_with_its_user(access: Access) -> None:
    access.key("alice", EVERYTHING)
    key = access.key("bob", EVERYTHING)
    credentials = access.client("sts", key).get_session_token()["Credentials"]
    access.do(identities.delete_user, "bob")
    with pytest.raises(ClientError, match="security token"):
        access.with_credentials("chime", credentials).list_phone_numbers()


def test_another_user_of_the_same_name_is_another_one(access: Access) -> None:
    """The sessions of one who is gone are not those of the next one."""
    credentials = access.client("sts", access.key("bob", EVERYTHING)).get_session_token()["Credentials"]
    access.do(identities.delete_user, "bob")
    access.key("bob", EVERYTHING)
    with pytest.raises(ClientError, match="security token"):
        access.with_credentials("chime", credentials).list_phone_numbers()


def test_another_role_of_the_same_name_is_another_one(access: Access) -> None:
    sts = access.client("sts", access.key("alice", EVERYTHING))
    access.do(identities.create_role, "ops", (ACCOUNT,), 3600)
    credentials = sts.assume_role(RoleArn=ROLE, RoleSessionName="me")["Credentials"]
    access.do(lambda tx: identities.ROLES.delete(tx, "ops"))
    access.do(identities.create_role, "ops", ("210987654321",), 3600)
    access.do(identities.attach, identities.ROLES, "ops", EVERYTHING)
    with pytest.raises(ClientError, match="security token"):
        access.with_credentials("chime", credentials).list_phone_numbers()


@pytest.mark.parametrize("prefix", ["/chime", "/chime-sdk-voice", "/console"])
def test_an_address_that_chooses_a_flavour_has_sts_too(access: Access, prefix: str) -> None:
    key = access.key("alice", EVERYTHING)
    access.service.url += prefix
    assert access.client("sts", key).get_caller_identity()["Account"] == ACCOUNT


def test_what_could_restrict_a_session_is_not_overlooked(access: Access) -> None:
    sts = access.client("sts", access.key("alice", EVERYTHING))
    access.do(identities.create_role, "ops", (ACCOUNT,), 3600)
    restrictions: list[dict[str, Any]] = [
        {"ExternalId": "ticket"},
        {"Tags": [{"Key": "k", "Value": "v"}]},
        {"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]},
        {"SerialNumber": "arn:aws:iam::1:mfa/a", "TokenCode": "123456"},
    ]
    for restriction in restrictions:
        with pytest.raises(ClientError, match="is not supported by this server"):
            sts.assume_role(RoleArn=ROLE, RoleSessionName="me", **restriction)
    with pytest.raises(ClientError, match="SerialNumber is not supported"):
        sts.get_session_token(SerialNumber="arn:aws:iam::1:mfa/a", TokenCode="123456")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_presigned_url(access: Access, method: str) -> None:
    sts = access.client("sts", access.key("alice", EVERYTHING))
    answer = httpx.request(method, sts.generate_presigned_url("get_caller_identity", HttpMethod=method))
    assert (answer.status_code, f"<Account>{ACCOUNT}</Account>" in answer.text) == (200, True)


def test_a_token_is_one_text(access: Access) -> None:
    credentials = access.client("sts", access.key("alice", EVERYTHING)).get_session_token()["Credentials"]
    with pytest.raises(ClientError, match="security token"):
        access.with_credentials(
            "chime", {**credentials, "SessionToken": credentials["SessionToken"] + "!"}
        ).list_phone_numbers()


def test_sts_is_limited_too(start: Start, tmp_path: Path) -> None:
    database = tmp_path / "numbers.sqlite3"
    access = Access(start(verify=True, database=database, rate=0.001, burst=0.5), database)
    sts = access.client("sts", access.key("alice", EVERYTHING))
    assert sts.get_caller_identity()["Account"] == ACCOUNT  # a burst is one at least
    with pytest.raises(ClientError, match="Rate exceeded") as refused:
        sts.get_caller_identity()
    assert refused.value.response["Error"]["Code"] == "Throttling"


def test_a_key_is_used_when_its_signature_is_right(access: Access) -> None:
    key = access.key("alice", EVERYTHING)
    with pytest.raises(ClientError):
        access.client("chime", (key[0], "wrong")).list_phone_numbers()
    assert access.do(identities.get_key, key[0]).last_used_at is None
    access.client("chime", key).list_phone_numbers()
    assert access.do(identities.get_key, key[0]).last_used_at is not None


def test_a_denied_role_has_one_arn(access: Access) -> None:
    """Another spelling of it is no way around a Deny."""
    deny = (
        '{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},'
        f'{{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"{ROLE}"}}]}}'
    )
    access.do(identities.create_role, "ops", (ACCOUNT,), 3600)
    sts = access.client("sts", access.key("bob", AttachedPolicy("most", deny)))
    for arn in (ROLE, ROLE.replace("iam::", "iam:x:"), ROLE.replace("arn:aws:", "arn:AWS:")):
        with pytest.raises(ClientError, match="not authorized"):
            sts.assume_role(RoleArn=arn, RoleSessionName="me")


def test_a_form_is_short(access: Access) -> None:
    sts = access.client("sts", access.key("alice", EVERYTHING))
    with pytest.raises(ClientError, match="at most 16384 bytes"):
        sts.assume_role(RoleArn=ROLE, RoleSessionName="me", ExternalId="x" * 20_000)
