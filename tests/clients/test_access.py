"""Who may do what, as unmodified clients see it: boto3, the AWS CLI and the AWS SDK for JavaScript, at a real server.

The server is `numberkeep serve` in a process of its own; keys, users, roles and policies are made with `numberkeep`.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore import auth, xform_name
from botocore.compat import get_current_datetime
from botocore.config import Config
from botocore.exceptions import ClientError

from numberkeep.keyring import KEPT_SECONDS, Keyring
from numberkeep.sealing import Sealer
from numberkeep.world import World
from postgres import PostgresServer

from .. import test_cli
from ..conftest import SECRET_KEY
from . import packages
from .test_javascript import SDK

ACCOUNT, OTHER_ACCOUNT = "123456789012", "210987654321"
REGION = "us-east-1"
NUMBER = "+12065550100"
LONG_ENOUGH = KEPT_SECONDS + 0.2
"""After so many seconds a running server knows what was changed at the shell."""

CLIENTS = [
    ("boto3", "chime"),
    ("boto3", "chime-sdk-voice"),
    ("aws", "chime"),
    ("javascript", "chime"),
    ("javascript", "chime-sdk-voice"),
]

POLICIES = {
    "limited": [
        {
            "Effect": "Allow",
            "Action": "chime:GetPhoneNumber",
            "Resource": "*",
            "Condition": {
                "IpAddress": {"aws:SourceIp": "127.0.0.0/8"},
                "DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"},
            },
        },
        {
            "Effect": "Allow",
            "Action": "chime:UpdatePhoneNumber",
            "Resource": "*",
            "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
        },
        {
            "Effect": "Allow",
            "Action": "chime:DeletePhoneNumber",
            "Resource": "*",
            "Condition": {"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
        },
        {"Effect": "Allow", "Action": "chime:List*", "Resource": "*"},
        {"Effect": "Deny", "Action": "chime:ListPhoneNumbers", "Resource": "*"},
    ],
    "assume": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}],
}


Done = subprocess.CompletedProcess[str]


class Credentials(NamedTuple):
    """What a client signs with."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


class Answer(NamedTuple):
    """What a client makes of an answer."""

    code: str | None
    """The error's; None of a success."""
    message: str = ""
    status: int | None = None
    """None: this client does not tell."""
    modelled: bool | None = None
    """Whether the error has a class of its own in the client; None: this client does not tell."""


class Site:
    """A running `numberkeep serve`, and the shell beside it."""

    def __init__(self, directory: Path, database: str | None = None) -> None:
        """The store is `database`, or a file in `directory`."""
        self.directory = directory
        self.environment = {
            "NUMBERKEEP_SECRET_KEY": SECRET_KEY,
            "NUMBERKEEP_SECRET_KEY_FILE": "",
            "NUMBERKEEP_DATABASE": database or f"sqlite:///{directory / 'numbers.sqlite3'}",
        }
        self.url = ""
        self.who: dict[str, Credentials] = {}
        """Those who sign requests, by what they are called here."""

    @contextmanager
    def serving(self, *options: str) -> Iterator[None]:
        with test_cli.running("serve", "--trail", "none", *options, env={**os.environ, **self.environment}) as started:
            self.url = started[1]
            yield

    def numberkeep(self, *command: str, account: str = ACCOUNT) -> str:
        """Run a command for an account; what it prints."""
        done = test_cli.run(*command, "--account", account, **self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create_key(self, name: str, policy: str | None = None) -> Credentials:
        """A new key of the user's, who is made with a policy: one of POLICIES, or a managed one."""
        options = ("--policy", self.policy(policy)) if policy else ()
        made = json.loads(self.numberkeep("keys", "create", "--name", name, "--output", "json", *options))
        self.who[name] = Credentials(made["AccessKeyId"], made["SecretAccessKey"])
        return self.who[name]

    def policy(self, name: str) -> str:
        """What --policy takes for it."""
        if name not in POLICIES:
            return name
        path = self.directory / f"{name}.json"
        path.write_text(json.dumps({"Version": "2012-10-17", "Statement": POLICIES[name]}))
        return str(path)

    def boto3(
        self,
        who: str | Credentials,
        service: str = "chime",
        region: str = REGION,
        endpoint_url: str = "",
        **options: Any,
    ) -> Any:
        """A boto3 client; it does not retry unless it is told to."""
        credentials = self.who[who] if isinstance(who, str) else who
        return boto3.client(
            service,
            endpoint_url=endpoint_url or self.url,
            region_name=region,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
            config=Config(**{"retries": {"total_max_attempts": 1}, **options}),
        )


class Case(NamedTuple):
    """A request, and what is to come of it."""

    who: str
    operation: str
    input: Mapping[str, Any]
    code: str | None = None
    message: str = ""
    """A regular expression of all of it."""
    region: str = REGION
    clock: int = 0
    """How many seconds the client's is ahead."""


UPDATE = {"PhoneNumberId": NUMBER, "ProductType": "SipMediaApplicationDialIn"}
THE_NUMBER = {"PhoneNumberId": NUMBER}
INVALID = r"The security token included in the request is invalid\."
INVALID_TOKEN = "The security token included in the request is invalid"
MISMATCH = (
    r"The request signature we calculated does not match the signature you provided\. Check your AWS Secret Access Key "
    r"and signing method\. Consult the service documentation for details\."
)
STRING_TO_SIGN = (
    r"\n\nThe Canonical String for this request should have been\n'GET\n/phone-numbers/.*'"
    r"\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n.*'\s*"
)
MOMENT = r"\d{8}T\d{6}Z"


def user_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


def denial(arn: str, action: str, why: str = "") -> str:
    """AWS's words for what no policy of the caller's allows, or for `why` it is denied."""
    why = why or f"because no identity-based policy allows the chime:{action} action"
    return rf"User: {arn} is not authorized to perform: chime:{action} on resource: \* {why}"


def read(who: str, code: str | None = None, message: str = "", **more: Any) -> Case:
    """GetPhoneNumber, and what is to come of it."""
    return Case(who, "GetPhoneNumber", THE_NUMBER, code, message, **more)


def denied(who: str, operation: str, members: Mapping[str, Any], why: str = "") -> Case:
    """A request that is denied."""
    return Case(who, operation, members, "AccessDeniedException", denial(user_arn(who), operation, why))


CASES = {
    "right key": read("admin"),
    "right session": read("session"),
    "allowed by a managed policy": read("reader"),
    "allowed by a condition": read("limited"),
    "wrong secret": read("wrong", "InvalidSignatureException", MISMATCH + STRING_TO_SIGN),
    "wrong secret of a session": read("wrong session", "InvalidSignatureException", MISMATCH),
    "unknown key": read("unknown", "UnrecognizedClientException", INVALID),
    "disabled key": read("disabled", "UnrecognizedClientException", INVALID),
    "expired session": read(
        "expired", "ExpiredTokenException", "The security token included in the request is expired"
    ),
    "corrupt token": read("corrupt", "UnrecognizedClientException", INVALID_TOKEN),
    "no token": read("tokenless", "UnrecognizedClientException", INVALID),
    "token of another session": read("mixed up", "UnrecognizedClientException", INVALID_TOKEN),
    "token beside a user's key": read("left over", "UnrecognizedClientException", INVALID_TOKEN),
    "clock ahead": read(
        "admin",
        "InvalidSignatureException",
        rf"Signature not yet current: {MOMENT} is still later than {MOMENT} \({MOMENT} \+ 5 min\.\)",
        clock=1200,
    ),
    "clock behind": read(
        "admin",
        "InvalidSignatureException",
        rf"Signature expired: {MOMENT} is now earlier than {MOMENT} \({MOMENT} - 5 min\.\)",
        clock=-1200,
    ),
    "wrong region": read(
        "admin",
        "InvalidSignatureException",
        r"Credential should be scoped to a valid region, not 'eu-north-1'\.",
        region="eu-north-1",
    ),
    "denied action": denied("reader", "UpdatePhoneNumber", UPDATE),
    "denied by network": denied("limited", "UpdatePhoneNumber", UPDATE),
    "denied by time": denied("limited", "DeletePhoneNumber", THE_NUMBER),
    "explicit deny": denied("limited", "ListPhoneNumbers", {}, "with an explicit deny in an identity-based policy"),
}

NOT_WITH_THE_CLI = {
    "right session",  # test_credentials_of_get_session_token has it
    "allowed by a managed policy",
    "allowed by a condition",
    "wrong secret of a session",
    "no token",
    "token of another session",
    "token beside a user's key",
    "clock ahead",  # there is no way to move its clock
    "clock behind",
}
"""A call of the AWS CLI takes a second: it is spared what the others show as well."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site_database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The store of `site`; None if it is a file beside it."""
    if request.param == "sqlite":
        yield None
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database(request.getfixturevalue("postgres_template")) as url:
        yield url


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, site_database: str | None) -> Iterator[Site]:
    """A server with one number, and all who sign in CASES."""
    one = Site(tmp_path_factory.mktemp("site"), site_database)
    admin = one.create_key("admin")  # the first user of an account may do everything
    with one.serving("--order-seconds", "0"):
        disabled = one.create_key("disabled", "AmazonChimeReadOnly")
        assert one.boto3("disabled").list_phone_numbers()["PhoneNumbers"] == []
        one.numberkeep("keys", "disable", disabled.access_key_id)
        one.create_key("reader", "AmazonChimeReadOnly")
        one.create_key("limited", "limited")
        session, another = (get_session(one, "admin") for _ in range(2))
        token = session.session_token or ""
        one.who |= {
            "session": session,
            "wrong": admin._replace(secret_access_key="wrong"),
            "wrong session": session._replace(secret_access_key="wrong"),
            "unknown": Credentials("AKIAIOSFODNN7EXAMPLE", admin.secret_access_key),
            "expired": expired_session(one, "admin"),
            "corrupt": session._replace(session_token=token[:80] + ("B" if token[80] == "A" else "A") + token[81:]),
            "tokenless": session._replace(session_token=None),
            "mixed up": session._replace(session_token=another.session_token),
            "left over": admin._replace(session_token=token),
        }
        order(one.boto3("admin"))
        time.sleep(LONG_ENOUGH)
        yield one


def get_session(site: Site, who: str, **arguments: Any) -> Credentials:
    """Credentials that GetSessionToken gives."""
    made = site.boto3(who, "sts").get_session_token(**arguments)["Credentials"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def expired_session(site: Site, name: str) -> Credentials:
    """What the server would have given to the user two hours ago, for an hour."""
    two_hours_ago = World(clock=lambda: time.time() - 7200)
    nothing: Any = None  # a session is made without a look at the store
    keyring = Keyring(nothing, Sealer([bytes.fromhex(SECRET_KEY)]), two_hours_ago)
    user_id = site.boto3(name, "sts").get_caller_identity()["UserId"]
    return Credentials(*keyring.begin_session(ACCOUNT, name, user_id, None, 3600)[:3])


def order(client: Any) -> None:
    """Order the number, and wait for it."""
    client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[NUMBER])
    until = time.monotonic() + 30
    while client.get_phone_number(PhoneNumberId=NUMBER)["PhoneNumber"]["Status"] != "Unassigned":
        assert time.monotonic() < until, "the number was not provided"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def sdk(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache
    return packages.from_npm(pytestconfig.cache.mkdir("clients"), *SDK)


# The clients


def answer_of(call: Callable[[], Any]) -> Answer:
    """What boto3 makes of the answer to `call`."""
    try:
        call()
    except ClientError as error:
        response = error.response
        code, status = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
        return Answer(code, response["Error"]["Message"], status, type(error).__name__ == code)
    return Answer(None, "", 200, False)


def with_boto3(site: Site, case: Case, flavour: str) -> Answer:
    client = site.boto3(case.who, flavour, case.region)
    with pytest.MonkeyPatch.context() as patch:
        ahead = timedelta(seconds=case.clock)
        patch.setattr(auth, "get_current_datetime", lambda *args, **more: get_current_datetime(*args, **more) + ahead)
        return answer_of(lambda: getattr(client, xform_name(case.operation))(**case.input))


def aws(site: Site, who: str | Credentials | None, *command: str, **variables: str) -> Done:
    """Run the AWS CLI with somebody's credentials, or none; it does not retry, and keeps nothing between runs."""
    credentials = site.who[who] if isinstance(who, str) else who
    settings = {
        "AWS_ENDPOINT_URL": site.url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_MAX_ATTEMPTS": "1",
        "HOME": str(site.directory),
    }
    if credentials and credentials.session_token:
        settings["AWS_SESSION_TOKEN"] = credentials.session_token
    return subprocess.run(
        [sys.executable, Path(sys.executable).with_name("aws"), *command],
        env=packages.environment(credentials[:2] if credentials else ("", ""), **{**settings, **variables}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def answer_of_cli(done: Done, operation: str) -> Answer:
    """What the AWS CLI has said about an operation."""
    if done.returncode == 0:
        return Answer(None)
    said = re.fullmatch(
        r"\s*(?:aws: \[ERROR\]: )?An error occurred \((\w+)\) when calling the (\w+) operation"
        r"(?: \(reached max retries: 0\))?: (.*?)\s*",
        done.stderr,
        re.DOTALL,
    )
    assert said, done.stderr
    assert said[2] == operation
    return Answer(said[1], said[3])


def with_cli(site: Site, case: Case, flavour: str) -> Answer:
    command = [flavour, xform_name(case.operation, "-"), "--cli-input-json", json.dumps(case.input)]
    return answer_of_cli(aws(site, case.who, *command, AWS_DEFAULT_REGION=case.region), case.operation)


def javascript(sdk: Path, *requests: Mapping[str, Any], **variables: str) -> list[dict[str, Any]]:
    """What comes of `requests`, all in one process: see access.mjs."""
    printed = packages.output(
        [packages.program("node"), Path(__file__).with_name("access.mjs")],
        cwd=sdk,
        env={**packages.environment(("", "")), **variables},
        input=json.dumps(requests),
    )
    answers: list[dict[str, Any]] = json.loads(printed)
    return answers


def request_of(site: Site, case: Case, flavour: str = "chime", **config: Any) -> dict[str, Any]:
    """The case as access.mjs takes it; the client does not retry unless `config` tells it to."""
    who = site.who[case.who]
    credentials = {"accessKeyId": who.access_key_id, "secretAccessKey": who.secret_access_key}
    if who.session_token:
        credentials["sessionToken"] = who.session_token
    return {
        "flavour": flavour,
        "operation": case.operation,
        "input": case.input,
        "clock": case.clock,
        "config": {
            "endpoint": site.url,
            "region": case.region,
            "credentials": credentials,
            "maxAttempts": 1,
            **config,
        },
    }


def answer_of_javascript(answer: Mapping[str, Any]) -> Answer:
    return Answer(*(answer[name] for name in Answer._fields))


@pytest.fixture(scope="module")
def with_javascript(site: Site, sdk: Path) -> Callable[[Site, Case, str], Answer]:
    """Like `with_boto3` and `with_cli`; all of CASES are sent at once, since a start of node takes its time."""

    @cache
    def answers(flavour: str) -> list[dict[str, Any]]:
        return javascript(sdk, *(request_of(site, case, flavour) for case in CASES.values()))

    def one(_: Site, case: Case, flavour: str) -> Answer:
        return answer_of_javascript(answers(flavour)[list(CASES.values()).index(case)])

    return one


# Keys and policies


@pytest.mark.parametrize(
    ("client", "flavour", "name"),
    [
        pytest.param(client, flavour, name, id=f"{client}-{flavour}-{name.replace(' ', '_')}")
        for client, flavour in CLIENTS
        for name in CASES
        if client != "aws" or name not in NOT_WITH_THE_CLI
    ],
)
def test_what_comes_of_a_request(
    request: pytest.FixtureRequest, site: Site, client: str, flavour: str, name: str
) -> None:
    """The error's code, class and text are AWS's own, to each client."""
    case = CASES[name]
    send = {"boto3": with_boto3, "aws": with_cli}.get(client) or request.getfixturevalue("with_javascript")
    answer = send(site, case, flavour)
    assert answer.code == case.code, answer.message
    assert re.fullmatch(case.message, answer.message, re.DOTALL), answer.message
    if client != "aws":
        outcome = (403, case.code == "AccessDeniedException") if case.code else (200, False)
        assert (answer.status, answer.modelled) == outcome


@pytest.mark.parametrize("flavour", ["chime", "chime-sdk-voice"])
@pytest.mark.parametrize("name", ["denied action", "denied by network", "explicit deny"])
def test_a_denial_can_be_caught_by_its_class(site: Site, flavour: str, name: str) -> None:
    case = CASES[name]
    client = site.boto3(case.who, flavour)
    with pytest.raises(client.exceptions.AccessDeniedException):
        getattr(client, xform_name(case.operation))(**case.input)


def test_a_denial_under_chime_is_the_services_own_exception(site: Site) -> None:
    """All operations of `chime` declare it; few declare AccessDeniedException."""
    limited = site.boto3("limited", endpoint_url=f"{site.url}/chime")
    with pytest.raises(limited.exceptions.ForbiddenException) as caught:
        limited.update_phone_number(**UPDATE)
    response = caught.value.response
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Code"]) == (403, "Forbidden")
    assert re.fullmatch(denial(user_arn("limited"), "UpdatePhoneNumber"), response["Error"]["Message"])
    voice = site.boto3("limited", "chime-sdk-voice", endpoint_url=f"{site.url}/chime-sdk-voice")
    with pytest.raises(voice.exceptions.AccessDeniedException):
        voice.update_phone_number(**UPDATE)


def test_what_is_denied_changes_nothing(site: Site) -> None:
    before = site.boto3("admin").get_phone_number(**THE_NUMBER)["PhoneNumber"]
    for who in ("reader", "limited"):
        for operation, members in (("UpdatePhoneNumber", UPDATE), ("DeletePhoneNumber", THE_NUMBER)):
            assert with_boto3(site, Case(who, operation, members), "chime").code == "AccessDeniedException"
    assert site.boto3("admin").get_phone_number(**THE_NUMBER)["PhoneNumber"] == before


def test_a_disabled_key_can_be_enabled(site: Site) -> None:
    """A running server knows within a second."""
    key = site.create_key("revoked", "AmazonChimeReadOnly")
    client = site.boto3(key)
    for command, before, after in (
        ("disable", None, "UnrecognizedClientException"),
        ("enable", "UnrecognizedClientException", None),
    ):
        assert answer_of(client.list_phone_numbers).code == before
        site.numberkeep("keys", command, key.access_key_id)
        time.sleep(LONG_ENOUGH)
        assert answer_of(client.list_phone_numbers).code == after


def test_the_javascript_sdk_sets_its_clock_by_the_server(site: Site, sdk: Path) -> None:
    """It takes the time from the refusal's Date, and succeeds with its second attempt."""
    cases = [CASES["clock ahead"], CASES["clock behind"]]
    answers = javascript(sdk, *(request_of(site, case, maxAttempts=3) for case in cases))
    assert [(answer["code"], answer["attempts"]) for answer in answers] == [(None, 2), (None, 2)]


# How often


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that lets an account call an operation twice, and then once in fifty seconds."""
    one = Site(tmp_path_factory.mktemp("slow"))
    one.create_key("admin")
    with one.serving("--rate", "0.02", "--burst", "2"):
        yield one


THROTTLED = Answer("ThrottledClientException", "Rate exceeded", 429, True)


@pytest.mark.parametrize(
    ("flavour", "operation"), [("chime", "list_phone_numbers"), ("chime-sdk-voice", "list_sip_rules")]
)
def test_boto3_is_throttled(slow: Site, flavour: str, operation: str) -> None:
    client = slow.boto3("admin", flavour)
    for _ in range(2):
        getattr(client, operation)()
    with pytest.raises(client.exceptions.ThrottledClientException) as caught:
        getattr(client, operation)()
    assert answer_of(getattr(client, operation)) == THROTTLED
    if flavour == "chime":
        assert caught.value.response["Code"] == "Throttled"


def test_the_cli_is_throttled(slow: Site) -> None:
    for _ in range(2):
        slow.boto3("admin").list_phone_number_orders()
    answer = answer_of_cli(aws(slow, "admin", "chime", "list-phone-number-orders"), "ListPhoneNumberOrders")
    assert answer == Answer("ThrottledClientException", "Rate exceeded")


@pytest.mark.parametrize(
    ("flavour", "operation"), [("chime", "GetPhoneNumberSettings"), ("chime-sdk-voice", "ListVoiceConnectors")]
)
def test_the_javascript_sdk_is_throttled(slow: Site, sdk: Path, flavour: str, operation: str) -> None:
    request = request_of(slow, Case("admin", operation, {}), flavour)
    (answer,) = javascript(sdk, {**request, "times": 3})
    assert answer_of_javascript(answer) == THROTTLED
    assert answer["attempts"] == 3, "the first two were answered"


@pytest.fixture(scope="module")
def brisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that lets an account call an operation once in a second."""
    one = Site(tmp_path_factory.mktemp("brisk"))
    one.create_key("admin")
    with one.serving("--rate", "1", "--burst", "1"):
        yield one


def test_boto3_tries_again_when_it_is_throttled(brisk: Site) -> None:
    """A program that is a little too fast never notices, in boto3's default mode of retrying."""
    client = brisk.boto3("admin", retries={"mode": "legacy", "total_max_attempts": 10})
    answers = [client.list_phone_numbers() for _ in range(2)]
    assert sum(answer["ResponseMetadata"]["RetryAttempts"] for answer in answers) > 0


def test_the_javascript_sdk_tries_again_when_it_is_throttled(brisk: Site, sdk: Path) -> None:
    request = request_of(brisk, Case("admin", "GetPhoneNumberSettings", {}), maxAttempts=10)
    (answer,) = javascript(sdk, {**request, "times": 2})
    assert answer["code"] is None
    assert answer["attempts"] > 2


# Sessions


def test_credentials_of_get_session_token(site: Site) -> None:
    """The AWS CLI is told who it is, gets itself a session, and is the same user with it."""
    me = json.loads(aws(site, "admin", "sts", "get-caller-identity").stdout)
    assert me == {"UserId": me["UserId"], "Account": ACCOUNT, "Arn": user_arn("admin")}
    assert re.fullmatch("AIDA[A-Z0-9]{17}", me["UserId"])

    given = json.loads(aws(site, "admin", "sts", "get-session-token", "--duration-seconds", "900").stdout)
    made = given["Credentials"]
    lasts = datetime.fromisoformat(made["Expiration"]) - datetime.now(UTC)
    assert timedelta(seconds=800) < lasts <= timedelta(seconds=900)
    session = Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    assert session.access_key_id.startswith("ASIA")
    number = aws(site, session, "chime", "get-phone-number", "--phone-number-id", NUMBER)
    assert json.loads(number.stdout)["PhoneNumber"]["E164PhoneNumber"] == NUMBER
    identity = site.boto3(session, "sts").get_caller_identity()
    assert {name: identity[name] for name in me} == me


def test_a_session_may_do_what_its_user_may(site: Site) -> None:
    client = site.boto3(get_session(site, "reader"))
    assert client.get_phone_number(**THE_NUMBER)
    answer = answer_of(lambda: client.update_phone_number(**UPDATE))
    assert re.fullmatch(CASES["denied action"].message, answer.message)


def test_a_session_cannot_make_sessions(site: Site) -> None:
    assert answer_of(lambda: get_session(site, "session")) == Answer(
        "AccessDenied", "Cannot call GetSessionToken with session credentials", 403, False
    )


@pytest.mark.parametrize(
    ("who", "code", "message"),
    [
        ("wrong", "SignatureDoesNotMatch", MISMATCH + ".*"),
        ("unknown", "InvalidClientTokenId", INVALID),
        ("disabled", "InvalidClientTokenId", INVALID),
        ("corrupt", "InvalidClientTokenId", INVALID_TOKEN),
        ("expired", "ExpiredToken", "The security token included in the request is expired"),
    ],
)
def test_who_sts_does_not_know(site: Site, who: str, code: str, message: str) -> None:
    """STS has names of its own for what the other services refuse."""
    answer = answer_of(site.boto3(who, "sts").get_caller_identity)
    assert (answer.code, answer.status) == (code, 403)
    assert re.fullmatch(message, answer.message, re.DOTALL)


def test_sts_takes_any_region(site: Site) -> None:
    assert site.boto3("admin", "sts", "eu-north-1").get_caller_identity()["Account"] == ACCOUNT


# Roles


def role_arn(role: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{role}"


def not_assumed(role: str, user: str = "caller") -> Answer:
    """AWS does not tell whether a role that may not be assumed is there."""
    message = f"User: {user_arn(user)} is not authorized to perform: sts:AssumeRole on resource: {role_arn(role)}"
    return Answer("AccessDenied", message, 403, False)


def assume(site: Site, who: str, role: str) -> Credentials:
    """Credentials that AssumeRole gives."""
    made = site.boto3(who, "sts").assume_role(RoleArn=role_arn(role), RoleSessionName="desk")["Credentials"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


ASSUMED = f"arn:aws:sts::{ACCOUNT}:assumed-role/reading/desk"
DENIED_TO_THE_ROLE = denial(ASSUMED, "UpdatePhoneNumber")


@pytest.fixture(scope="module")
def config(site: Site) -> Path:
    """An AWS config file with a profile for each role: one that may read, one that trusts others only, and none.

    They are assumed by a user who may do nothing else.
    """
    key = site.create_key("caller", "assume")
    site.numberkeep("roles", "create", "--name", "reading", "--trust", user_arn("caller"))
    site.numberkeep("policies", "attach", "--role", "reading", "--policy", "AmazonChimeReadOnly")
    site.numberkeep("roles", "create", "--name", "closed", "--trust", OTHER_ACCOUNT)
    lines = [
        "[profile caller]",
        f"aws_access_key_id = {key.access_key_id}",
        f"aws_secret_access_key = {key.secret_access_key}",
    ]
    for role in ("reading", "closed", "absent"):
        lines += [
            f"[profile {role}]",
            f"role_arn = {role_arn(role)}",
            "source_profile = caller",
            "role_session_name = desk",
            f"region = {REGION}",
        ]
    path = site.directory / "config"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def profile(config: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], boto3.Session]:
    """boto3 with a profile; it finds the server by the environment alone."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_ENDPOINT_URL", site.url)
    return lambda name: boto3.Session(profile_name=name)


def test_a_role_profile_of_boto3(profile: Callable[[str], boto3.Session]) -> None:
    """The role may do what its policy allows, and nothing else."""
    session = profile("reading")
    chime = session.client("chime")
    assert chime.get_phone_number(**THE_NUMBER)["PhoneNumber"]["E164PhoneNumber"] == NUMBER
    assert session.client("sts").get_caller_identity()["Arn"] == ASSUMED
    with pytest.raises(chime.exceptions.AccessDeniedException) as caught:
        chime.update_phone_number(**UPDATE)
    assert re.fullmatch(DENIED_TO_THE_ROLE, caught.value.response["Error"]["Message"])


@pytest.mark.parametrize("role", ["closed", "absent"])
def test_boto3_cannot_assume_a_role_that_does_not_trust_it(profile: Callable[[str], boto3.Session], role: str) -> None:
    assert answer_of(lambda: profile(role).client("chime").list_phone_numbers()) == not_assumed(role)


def test_a_role_profile_of_the_cli(site: Site, config: Path) -> None:
    """It assumes the role itself, as its profile tells."""

    def as_role(role: str, *command: str) -> Done:
        return aws(site, None, "--profile", role, *command, AWS_CONFIG_FILE=str(config))

    number = as_role("reading", "chime", "get-phone-number", "--phone-number-id", NUMBER)
    assert json.loads(number.stdout)["PhoneNumber"]["E164PhoneNumber"] == NUMBER
    update = ("chime", "update-phone-number", "--phone-number-id", NUMBER, "--product-type", UPDATE["ProductType"])
    refused = answer_of_cli(as_role("reading", *update), "UpdatePhoneNumber")
    assert refused.code == "AccessDeniedException"
    assert re.fullmatch(DENIED_TO_THE_ROLE, refused.message)
    assert json.loads(as_role("reading", "sts", "get-caller-identity").stdout)["Arn"] == ASSUMED
    assert answer_of_cli(as_role("closed", *update), "AssumeRole")[:2] == not_assumed("closed")[:2]


@pytest.mark.parametrize("flavour", ["chime", "chime-sdk-voice"])
def test_a_role_profile_of_the_javascript_sdk(site: Site, config: Path, sdk: Path, flavour: str) -> None:
    """It brings an STS client of its own for profiles."""

    def as_role(role: str) -> list[Answer]:
        requests = [
            {"flavour": flavour, "operation": operation, "input": members}
            for operation, members in (("GetPhoneNumber", THE_NUMBER), ("UpdatePhoneNumber", UPDATE))
        ]
        variables = {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": role, "AWS_ENDPOINT_URL": site.url}
        return [answer_of_javascript(answer) for answer in javascript(sdk, *requests, **variables)]

    allowed, refused = as_role("reading")
    assert allowed.code is None, allowed
    assert (refused.code, refused.status, refused.modelled) == ("AccessDeniedException", 403, True)
    assert re.fullmatch(DENIED_TO_THE_ROLE, refused.message)
    assert as_role("closed") == [not_assumed("closed")] * 2


def test_who_cannot_assume_a_role(site: Site, config: Path) -> None:
    """It takes both: to be trusted by the role, and a policy that allows it."""
    site.numberkeep("roles", "create", "--name", "shared")  # with all of the account
    assert answer_of(lambda: assume(site, "caller", "shared")).code is None
    assert answer_of(lambda: assume(site, "reader", "shared")) == not_assumed("shared", "reader")
    assert answer_of(lambda: assume(site, "admin", "reading")) == not_assumed("reading", "admin")


@pytest.fixture(scope="module")
def gone(site: Site) -> None:
    """A user and a role that are deleted while sessions of theirs are in use."""
    site.create_key("leaver", "AmazonChimeReadOnly")
    site.numberkeep("roles", "create", "--name", "leaving")
    site.who["session of a leaver"] = get_session(site, "leaver")
    site.who["session of a role"] = assume(site, "admin", "leaving")
    for who in GONE:
        assert site.boto3(who, "sts").get_caller_identity()["Account"] == ACCOUNT
    site.numberkeep("users", "delete", "--name", "leaver")
    site.numberkeep("roles", "delete", "--name", "leaving")
    time.sleep(LONG_ENOUGH)


GONE = ["leaver", "session of a leaver", "session of a role"]


@pytest.mark.parametrize("who", GONE)
@pytest.mark.parametrize("service", ["chime", "chime-sdk-voice", "sts"])
def test_who_is_deleted_can_do_nothing_with_boto3(site: Site, gone: None, service: str, who: str) -> None:
    client = site.boto3(who, service)
    answer = answer_of(client.get_caller_identity if service == "sts" else client.list_phone_numbers)
    assert answer.code == ("InvalidClientTokenId" if service == "sts" else "UnrecognizedClientException")
    assert re.fullmatch(INVALID, answer.message)


def test_a_session_of_a_deleted_user_ends_for_the_cli(site: Site, gone: None) -> None:
    answer = answer_of_cli(aws(site, "session of a leaver", "chime", "list-phone-numbers"), "ListPhoneNumbers")
    assert answer.code == "UnrecognizedClientException"
    assert re.fullmatch(INVALID, answer.message)


def test_sessions_of_the_deleted_end_for_the_javascript_sdk(site: Site, gone: None, sdk: Path) -> None:
    requests = [request_of(site, Case(who, "ListPhoneNumbers", {})) for who in GONE]
    answers = javascript(sdk, *requests)
    assert [answer["code"] for answer in answers] == ["UnrecognizedClientException"] * len(GONE)
