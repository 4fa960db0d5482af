"""Every operation of both service models, asked whatever can be asked: each answer is one that the model allows.

What is asked is made from the input shapes, and then broken: members are missing, of another type, out of range, huge.
It is signed, and sent by hand, so that no client's own validation hides anything. ``NUMBERKEEP_CONTRACT_EXAMPLES=2000``
has so many requests made of every operation, other ones each time.
"""

import http.client
import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.loaders import Loader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Service
from estate import LAMBDA, new_application, new_connector, new_group, new_rule, new_user
from numberkeep.aws.model import snake
from numberkeep.config import Settings
from numberkeep.operations import OPERATIONS
from postgres import PostgresServer

EXAMPLES = int(os.environ.get("NUMBERKEEP_CONTRACT_EXAMPLES", "0"))
FEW = {"sqlite": 20, "postgresql": 6}
"""How many requests are made of an operation if nobody says otherwise."""

MODELS = {name: Loader().load_service_model(name, "service-2") for name in ("chime", "chime-sdk-voice")}
COMMON = {
    "SerializationException": 400,
    "UnknownOperationException": 404,
    "RequestEntityTooLargeException": 413,
    "RequestHeaderFieldsTooLargeException": 431,
}
"""What the service in front of every operation may answer; signatures are right here, and nobody is throttled."""

NUMBERS = [f"+1206555{line:04}" for line in range(100, 112)]
E164S = [*NUMBERS, "12065550100", "+12065550199", "+18005550100", "+442079460100", "+15555550100", "+1"]
WORDS: dict[str, list[str]] = {
    "PhoneNumberId": [*E164S, "%2B12065550100", "+12065550150"],
    "PhoneNumberIds": NUMBERS,
    "E164PhoneNumber": E164S,
    "E164PhoneNumbers": E164S,
    "EmergencyPhoneNumber": E164S,
    "TestPhoneNumber": E164S,
    "DefaultPhoneNumber": E164S,
    "PhoneNumberOrderId": ["{order}", "a1b2c3d4-0000-4000-8000-000000000000"],
    "VoiceConnectorId": ["{connector}", "{connector}", "abcdef1ghij2klmno3pqr4"],
    "VoiceConnectorGroupId": ["{group}", "{group}", "nothing"],
    "SipMediaApplicationId": ["{application}", "{application}", "nothing"],
    "SipRuleId": ["{rule}", "{rule}", "nothing"],
    "AccountId": ["{account}", "{account}", "{account}", "nothing"],
    "UserId": ["{user}", "{user}", "nothing"],
    "UserIdList": ["{user}", "nothing"],
    "ResourceARN": ["{arn}", "{arn}", "arn:aws:chime:us-east-1:123456789012:vc/nothing", "arn:x"],
    "ConfigurationArn": ["arn:aws:kinesis:one"],
    "TriggerValue": [*NUMBERS, "{host}", "example.com"],
    "LambdaArn": [LAMBDA, LAMBDA.replace("us-east-1", "us-west-2")],
    "AwsRegion": ["us-east-1", "us-west-2", "mars-1"],
    "NextToken": ["{token}", "nonsense"],
    "FilterValue": ["{connector}", "{group}", "{user}"],
    "Email": ["{email}", "b@example.com", "c@example.com"],
    "UserEmail": ["{email}"],
    "UserEmailList": ["{email}", "b@example.com", "c@example.com"],
    "Status": ["Unassigned", "ReleaseInProgress", "AcquireFailed"],
    "AreaCode": ["206", "000"],
    "City": ["Seattle", "SEATTLE", "Nowhere"],
    "State": ["WA", "Washington", "ZZ"],
    "Country": ["US", "GB", "ZZ"],
    "CallingCountry": ["US", "DE"],
    "PostalCode": ["98101", "98101-1234", "x"],
    "StreetNumber": ["410", "0"],
    "StreetInfo": ["Terry Avenue North", "Terry Ave N apt 5"],
    "Host": ["sip.example.com", "192.0.2.1", "no host"],
    "CidrAllowedList": ["192.0.2.0/24", "192.0.2.1/24", "x"],
    "CallingRegions": ["US", "ZZ"],
    "CdrBucket": ["a-bucket"],
    "TollFreePrefix": ["800", "888"],
    "AwsAccountId": ["123456789012", "210987654321"],
    "AssociatePhoneNumberWithUser.E164PhoneNumber": [NUMBERS[2], NUMBERS[0]],
    "CreatePhoneNumberOrder.E164PhoneNumbers": [f"+1206555{line:04}" for line in range(150, 170)],
    "CreateSipMediaApplication.AwsRegion": ["us-east-1"],
    "CreateSipMediaApplication.LambdaArn": [LAMBDA],
    "CreateSipRule.AwsRegion": ["us-east-1"],
    "CreateSipRule.SipMediaApplicationId": ["{application}"],
    "CreateSipRule.TriggerValue": [NUMBERS[4], "{host}"],
    "DeleteAccount.AccountId": ["{empty}", "{account}"],
    "DeleteSipMediaApplication.SipMediaApplicationId": ["{spare_application}", "{application}"],
    "DeleteVoiceConnector.VoiceConnectorId": ["{spare}", "{connector}"],
    "DeleteVoiceConnectorGroup.VoiceConnectorGroupId": ["{spare_group}", "{group}"],
    "DeleteVoiceConnectorTerminationCredentials.Usernames": ["ann", "bob"],
    "DisassociatePhoneNumberFromUser.UserId": ["{holder}", "{user}"],
    "PutVoiceConnectorTerminationCredentials.VoiceConnectorId": ["{connector}"],
    "PutVoiceConnectorTerminationCredentials.Password": ["secret"],
    "PutVoiceConnectorTerminationCredentials.Username": ["ann", "bob", "cid"],
    "RestorePhoneNumber.PhoneNumberId": [NUMBERS[9], NUMBERS[0]],
    "UpdatePhoneNumber.PhoneNumberId": [NUMBERS[3], NUMBERS[0]],
}
"""Values that mean something, by member, or by operation and member; what stands in braces is of the estate."""
ANY = [
    "a",
    "Acme",
    "Front desk 2",
    "x" * 15,
    "x" * 256,
    "",
    " ",
    "é",
    "日本",
    "😀" * 3,
    "a\nb",
    "' OR 1=1 --",
    "..",
    "a/b?c#d",
]
WEIRD: list[Any] = [
    None, True, "true", 0, -1, 1.5, 2**31, 2**63, 10**400, "", " ", "{big}", "\0", "a\0b", "\ud800", "日" * 300,
    [], {}, [None], [[]], {"a": 1}, [1] * 200, ["x"] * 60, "+12065550100", "1e5", "-0", "../..", "%", "%zz", "+",
    "&a=b",
]  # fmt: skip
MANGLED = [b"", b"null", b"[]", b'"x"', b"{", b'{"a":', b"\xff\xfe", b"[" * 5000, b"{}garbage", b"0" * 5000]


class Contract(NamedTuple):
    """An operation of a service, as its model says."""

    service: str
    name: str

    @property
    def model(self) -> Any:
        return MODELS[self.service]["operations"][self.name]

    @property
    def input(self) -> Any:
        return self.shape(self.model["input"]["shape"]) if "input" in self.model else {"members": {}}

    def shape(self, name: str) -> Any:
        return MODELS[self.service]["shapes"][name]


CONTRACTS = [
    Contract(service, name)
    for service, model in MODELS.items()
    for name in model["operations"]
    if snake(name) in OPERATIONS
]


# What is asked


def valid(contract: Contract, name: str, member: str = "") -> st.SearchStrategy[Any]:
    """What the shape of that name allows, for a member."""
    shape = contract.shape(name)
    match shape["type"]:
        case "structure":
            made = {key: valid(contract, one["shape"], key) for key, one in shape["members"].items()}
            required = {
                key: made.pop(key) for key in list(made) if name == "Credential" or key in shape.get("required", ())
            }
            return st.fixed_dictionaries(required, optional=made)
        case "list":
            items = valid(contract, shape["member"]["shape"], member)
            return st.lists(items, min_size=max(shape.get("min", 0), 0), max_size=min(shape.get("max", 3), 3))
        case "map":
            return st.dictionaries(valid(contract, shape["key"]["shape"]), valid(contract, shape["value"]["shape"]))
        case "boolean":
            return st.booleans()
        case "integer" | "long":
            return st.integers(shape.get("min", 0), shape.get("max", 1000))
        case "string" if "enum" in shape:
            return st.sampled_from(shape["enum"])
        case "string":
            words = WORDS.get(f"{contract.name}.{member}") or WORDS.get(member, ANY)
            return st.sampled_from([word for word in words if word[:1] == "{" or allowed(shape, word)])
    raise AssertionError(shape)


def allowed(shape: Any, word: str) -> bool:
    size = shape.get("min", 0) <= len(word) <= shape.get("max", 100_000)
    return size and bool(re.fullmatch(shape.get("pattern", ".*"), word, re.S if "pattern" not in shape else 0))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in `value` with each of its keys or indexes."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


weird = st.sampled_from(WEIRD).map(deepcopy)


@st.composite
def asked(draw: st.DrawFn, contract: Contract, broken: bool = True) -> tuple[dict[str, Any], bytes | None]:
    """Members, valid or `broken` in some places; and the body, if it is no JSON that they make."""
    shape = contract.model.get("input", {}).get("shape")
    members = draw(valid(contract, shape)) if shape else {}
    if not broken:
        return members, None
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        if not (found := list(places(members))):
            break
        container, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["replace", "replace", "remove", "add", "repeat"])):
            case "replace":
                container[key] = draw(weird | st.text(max_size=20) | st.integers())
            case "remove":
                container.pop(key)
            case "add" if isinstance(container, dict):
                container[draw(st.sampled_from(["Unknown", "Code", "__class__", ""]))] = draw(weird)
            case "repeat" if isinstance(container, list):
                container += [container[key]] * draw(st.integers(1, 60))
    return members, draw(st.sampled_from([None] * 20 + MANGLED))


def resolved(value: Any, ids: dict[str, str]) -> Any:
    """`value` with the ids of the estate."""
    if isinstance(value, dict):
        return {key: resolved(one, ids) for key, one in value.items()}
    if isinstance(value, list):
        return [resolved(one, ids) for one in value]
    return ids.get(value[1:-1], value) if isinstance(value, str) and value[:1] == "{" else value


class Sender:
    """Signs and sends requests by hand."""

    def __init__(self, service: Service) -> None:
        self._url = service.url
        self._credentials = Credentials(*service.app.credentials)
        self._connection: http.client.HTTPConnection | None = None

    def send(self, contract: Contract, members: dict[str, Any], mangled: bytes | None) -> "Answer":
        members = dict(members)
        uri, _, query = contract.model["http"]["requestUri"].partition("?")
        pairs = []
        for member, reference in contract.input["members"].items():
            if "location" in reference and member in members:
                value = members.pop(member)
                text = (value if isinstance(value, str) else json.dumps(value)).encode(errors="replace")
                if reference["location"] == "uri":
                    uri = uri.replace(f"{{{reference['locationName']}}}", quote(text, safe=""))
                elif value is not None:
                    pairs.append((reference["locationName"], text))
        uri = re.sub(r"\{\w+\}", "", uri)
        query = "&".join(part for part in (query, urlencode(pairs, quote_via=quote)) if part)
        method = contract.model["http"]["method"]
        body = json.dumps(members).encode() if mangled is None else mangled
        request = AWSRequest(
            method,
            f"{self._url}/{contract.service}{uri}{'?' * bool(query)}{query}",
            {"Content-Type": "application/json"},
            b"" if method == "GET" else body,
        )
        SigV4Auth(self._credentials, "chime", "us-east-1").add_auth(request)
        return self._exchange(request)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, request: Any) -> "Answer":
        prepared = request.prepare()
        connection = self._connection or http.client.HTTPConnection(self._url.removeprefix("http://"), timeout=20)
        connection.request(
            prepared.method, prepared.url.removeprefix(self._url), prepared.body, dict(prepared.headers.items())
        )
        answer = connection.getresponse()
        body = answer.read()
        self._connection = connection
        if answer.will_close:
            self.close()
        return Answer(answer.status, dict(answer.getheaders()), body)


# What is answered


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ENUMS: dict[str, set[str]] = {}
for _model in MODELS.values():
    for _name, _shape in _model["shapes"].items():
        ENUMS.setdefault(_name, set()).update(_shape.get("enum", ()))
KINDS = {"string": str, "boolean": bool, "integer": int, "long": int, "timestamp": str, "list": list, "map": dict}


def check_value(contract: Contract, name: str, value: Any, place: str) -> None:
    """An answer has the members, types and timestamps of its model; of enums, what either model knows: a number that
    one flavour made is shown by the other."""
    shape = contract.shape(name)
    kind = shape["type"]
    assert isinstance(value, KINDS.get(kind, dict)), f"{place} is {value!r}, and not {kind}"
    assert kind == "boolean" or not isinstance(value, bool), f"{place} is {value!r}, and not {kind}"
    if kind == "structure":
        assert not (more := set(value) - set(shape["members"])), f"{place} has {more}"
        for member, reference in shape["members"].items():
            if value.get(member) is None:
                assert member not in shape.get("required", ()), f"{place}.{member} is required"
            else:
                check_value(contract, reference["shape"], value[member], f"{place}.{member}")
    elif kind == "list":
        for index, item in enumerate(value):
            check_value(contract, shape["member"]["shape"], item, f"{place}[{index}]")
    elif kind == "string" and "enum" in shape:
        assert value in ENUMS[name], f"{place} is {value!r}, and not one of {ENUMS[name]}"
    elif kind == "timestamp":
        assert TIMESTAMP.fullmatch(value), f"{place} is {value!r}"


def check_answer(contract: Contract, answer: Answer) -> None:
    """It is the operation's, or an exception that is declared or common."""
    assert answer.headers["x-amzn-RequestId"]
    error = answer.headers.get("x-amzn-ErrorType")
    if error is None:
        assert answer.status == contract.model["http"].get("responseCode", 200)
        output = contract.model.get("output", {}).get("shape")
        if output is None or answer.status == 204:
            assert answer.body in (b"", b"{}")
        else:
            check_value(contract, output, json.loads(answer.body), contract.name)
        return
    assert answer.headers["Content-Type"] == "application/json"
    told = json.loads(answer.body)
    if error in COMMON:
        assert answer.status == COMMON[error]
        assert set(told) == {"message"}
        return
    assert error in {one["shape"] for one in contract.model["errors"]}, f"{error} is not declared: {told}"
    shape = contract.shape(error)
    assert answer.status == shape["error"]["httpStatusCode"]
    assert answer.status < 500, told
    assert told.keys() == {"Code", "Message"}
    assert told["Code"] in ENUMS["ErrorCode"]
    assert told["Message"]
    assert len(answer.body) < 200_000


# An estate that is there when an operation is asked


CONFIGURED: dict[str, dict[str, Any]] = {
    "origination": {"Origination": {"Disabled": False}},
    "termination": {"Termination": {"CpsLimit": 1}},
    "streaming_configuration": {"StreamingConfiguration": {"DataRetentionInHours": 1, "Disabled": False}},
    "emergency_calling_configuration": {"EmergencyCallingConfiguration": {"DNIS": []}},
    "logging_configuration": {"LoggingConfiguration": {"EnableSIPLogs": True}},
    "external_systems_configuration": {"SessionBorderControllerTypes": []},
    "termination_credentials": {"Credentials": [{"Username": "ann", "Password": "secret"}]},
}
"""What a Voice Connector is configured with."""


class Estate:
    """A service, and something of everything in it; made anew after an operation that may have changed it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.sender = Sender(service)
        self.ids: dict[str, str] = {}
        key_id, secret = service.app.credentials
        options = {"access_key_id": key_id, "secret_access_key": secret}
        self._chime = service.client("chime", **options)
        self._voice = service.client("chime-sdk-voice", **options)

    def make(self) -> None:
        if self.ids:
            return
        self.service.admin.post("/reset").raise_for_status()
        kinds = ("VoiceConnector", "SipMediaApplicationDialIn", "BusinessCalling")
        self.service.seed(
            *({"E164PhoneNumber": e164, "ProductType": kinds[at % 3]} for at, e164 in enumerate(NUMBERS[:9])),
            {"E164PhoneNumber": NUMBERS[9], "ProductType": "VoiceConnector", "Status": "ReleaseInProgress"},
        )
        voice, chime = self._voice, self._chime
        connector, application = new_connector(voice), new_application(voice)
        user = new_user(chime)
        holder = chime.create_user(AccountId=user["AccountId"], Email="holder@example.com")["User"]["UserId"]
        chime.associate_phone_number_with_user(AccountId=user["AccountId"], UserId=holder, E164PhoneNumber=NUMBERS[5])
        for put, arguments in CONFIGURED.items():
            getattr(voice, f"put_voice_connector_{put}")(VoiceConnectorId=connector, **arguments)
        ordered = voice.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=NUMBERS[10:])
        connected = voice.get_voice_connector(VoiceConnectorId=connector)["VoiceConnector"]
        voice.associate_phone_numbers_with_voice_connector(VoiceConnectorId=connector, E164PhoneNumbers=NUMBERS[:1])
        self.ids = {
            "order": ordered["PhoneNumberOrder"]["PhoneNumberOrderId"],
            "connector": connector,
            "group": new_group(voice, connector),
            "application": application,
            "rule": new_rule(voice, application, NUMBERS[1]),
            "account": user["AccountId"],
            "user": user["UserId"],
            "email": "ann@example.com",
            "arn": connected["VoiceConnectorArn"],
            "host": connected["OutboundHostName"],
            "empty": chime.create_account(Name="Empty")["Account"]["AccountId"],
            "holder": holder,
            "spare": new_connector(voice),
            "spare_application": new_application(voice),
            "spare_group": new_group(voice),
            "big": "x" * 70_000,
            "token": voice.list_phone_numbers(MaxResults=1)["NextToken"],
        }


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def estate(request: pytest.FixtureRequest, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    with ExitStack() as stack:
        database: Any = tmp_path_factory.mktemp("contract") / "store.sqlite3"
        if engine == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            database = stack.enter_context(server.database(request.getfixturevalue("postgres_template")))
        one = Service(Settings(port=0, admin_port=0, database=database, dev=True, empty=True, verify=True))
        one.start()
        stack.callback(one.stop)
        made = Estate(one)
        stack.callback(made.sender.close)
        yield made


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda one: f"{one.service}-{one.name}")
def test_every_answer_is_one_that_the_model_allows(estate: Estate, engine: str, contract: Contract) -> None:
    estate.make()
    ids = dict(estate.ids)
    if contract.model["http"]["method"] != "GET" and contract.name != "SearchAvailablePhoneNumbers":
        estate.ids = {}

    statuses: set[int] = set()

    def ask(what: tuple[dict[str, Any], bytes | None]) -> None:
        members, mangled = what
        answer = estate.sender.send(contract, resolved(members, ids), mangled)
        check_answer(contract, answer)
        statuses.add(answer.status)

    how = settings(
        max_examples=EXAMPLES or FEW[engine],
        derandomize=not EXAMPLES,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    how(given(asked(contract))(ask))()
    if engine == "sqlite" and min(statuses) >= 300:  # what is valid is tried until it is served
        how(given(asked(contract, broken=False))(ask))()
        assert min(statuses) < 300, "all that was seen are refusals"
