"""The wire is what the service models say: checked against botocore's own serializer and parser."""

import json
import re
from typing import Any
from urllib.parse import urlencode

import botocore.session
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from numberkeep.aws.errors import Refusal
from numberkeep.aws.message import Request
from numberkeep.aws.model import Flavour, flavours, load, snake, union
from numberkeep.domain.errors import BadRequest, OperationNotImplemented
from numberkeep.domain.phone_number import Association, PhoneNumber, answer_of
from numberkeep.operations import OPERATIONS

NUMBER = PhoneNumber(
    "+12065550100",
    "US",
    "Local",
    "VoiceConnector",
    "Assigned",
    "2019-08-12T22:10:20.521Z",
    "2019-10-28T18:42:07.964Z",
    name="Desk",
    associations=(Association("VoiceConnectorId", "abc", "2019-10-28T18:40:37.453Z"),),
)


def echo(tx: Any, **arguments: Any) -> Any:
    """Every operation, in these tests: what it was given is what `tx` was."""
    tx.update(arguments)
    return tx.pop("answer", {})


FLAVOURS = flavours(dict.fromkeys(OPERATIONS, echo))
SESSION = botocore.session.get_session()
MODELS = {name: SESSION.get_service_model(name) for name in ("chime", "chime-sdk-voice")}


def request(method: str, target: str, body: bytes = b"") -> Request:
    path, _, query = target.partition("?")
    return Request(method, path, query, {"host": "localhost"}, body)


def bind(flavour: Flavour, sent: Request) -> dict[str, Any]:
    """The arguments that `sent` gives its operation."""
    operation, parameters = flavour.route(sent)
    arguments: dict[str, Any] = {}
    operation.bind(parameters, sent)(arguments)
    return {name: value for name, value in arguments.items() if value is not None}


def serialized(service: str, operation: str, arguments: dict[str, Any]) -> Request:
    """What boto3 sends."""
    model = MODELS[service]
    made = create_serializer("rest-json").serialize_to_request(arguments, model.operation_model(operation))
    query = made["query_string"]
    if not isinstance(query, str):
        query = urlencode(query)
    path, _, literal = made["url_path"].partition("?")
    return Request(made["method"], path, "&".join(filter(None, (literal, query))), {}, made["body"] or b"")


@pytest.mark.parametrize("service", MODELS)
def test_every_operation_of_every_model_is_routed(service: str) -> None:
    """Also those that the flavour's own model lacks, which clients of older SDKs send to it."""
    for source, model in MODELS.items():
        for name in model.operation_names:
            http = model.operation_model(name).http
            sent = request(http["method"], re.sub(r"\{[^}]+\}", "x", http["requestUri"]))
            operation, _ = FLAVOURS[service].route(sent)
            assert operation.name == name, (source, http)
            assert FLAVOURS["default"].route(sent)[0].name == name
            if snake(name) not in OPERATIONS:
                with pytest.raises(OperationNotImplemented, match=name):
                    operation.bind({}, sent)


@pytest.mark.parametrize(
    ("prefix", "name"), [("", "own"), ("/console", "own"), ("/chime", "chime"), ("/chime-sdk-voice", "chime-sdk-voice")]
)
@pytest.mark.parametrize("host_flavour", FLAVOURS)
def test_a_prefix_chooses_the_flavour(prefix: str, name: str, host_flavour: str) -> None:
    wanted = FLAVOURS[host_flavour if name == "own" else name]
    operation, parameters = FLAVOURS[host_flavour].route(request("GET", f"{prefix}/phone-numbers/%2B12065550100"))
    assert operation is wanted.operations["GetPhoneNumber"]
    assert parameters == {"PhoneNumberId": "+12065550100"}


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "*"),
        ("PUT", "/phone-numbers"),
        ("GET", "/phone-numbers/"),
        ("GET", "/phone-numbers/x/y"),
        ("GET", "/search"),
        ("GET", "/search?type=rooms"),
        ("POST", "/phone-numbers?operation=batch-destroy"),
        ("POST", "/phone-numbers/x?operation=resotre"),
        ("POST", "/phone-numbers/x?operation"),
        ("GET", "/chime"),
        ("GET", "/chime/chime/phone-numbers"),
        ("BREW", "/phone-numbers"),
    ],
)
def test_what_is_no_operation_is_unknown(method: str, target: str) -> None:
    with pytest.raises(Refusal) as refused:
        FLAVOURS["default"].route(request(method, target))
    assert (refused.value.status, refused.value.shape) == (404, "UnknownOperationException")


def test_head_is_routed_as_get() -> None:
    assert FLAVOURS["default"].route(request("HEAD", "/phone-numbers/x"))[0].name == "GetPhoneNumber"


CALLING_NAME = st.from_regex(r"[a-zA-Z0-9 ]{2,15}", fullmatch=True) | st.just("")
NAME = st.from_regex(r"[a-zA-Z0-9,._-]{1,20}( [a-zA-Z0-9,._-]{1,20})?", fullmatch=True)
E164 = st.from_regex(r"\+[1-9][0-9]{5,14}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
PRODUCT_TYPE = st.sampled_from(["VoiceConnector", "SipMediaApplicationDialIn"])
VALID = {
    "GetPhoneNumber": {"PhoneNumberId": E164},
    "UpdatePhoneNumber": {"PhoneNumberId": E164, "ProductType?": PRODUCT_TYPE, "CallingName?": CALLING_NAME},
    "BatchUpdatePhoneNumber": {
        "UpdatePhoneNumberRequestItems": st.lists(
            st.fixed_dictionaries({"PhoneNumberId": E164}, optional={"CallingName": CALLING_NAME}), max_size=5
        )
    },
    "BatchDeletePhoneNumber": {"PhoneNumberIds": st.lists(E164, min_size=1, max_size=5)},
    "ListPhoneNumbers": {
        "ProductType?": PRODUCT_TYPE,
        "FilterName?": st.sampled_from(["VoiceConnectorId", "SipRuleId"]),
        "FilterValue?": TEXT,
        "MaxResults?": st.integers(1, 99),
        "NextToken?": TEXT,
    },
    "SearchAvailablePhoneNumbers": {"City?": TEXT, "State?": TEXT, "MaxResults?": st.integers(1, 500)},
    "CreatePhoneNumberOrder": {"ProductType": PRODUCT_TYPE, "E164PhoneNumbers": st.lists(E164, max_size=5)},
    "UpdatePhoneNumberSettings": {"CallingName": CALLING_NAME},
    "UpdateGlobalSettings": {"VoiceConnector": st.fixed_dictionaries({}, optional={"CdrBucket": st.just("bucket")})},
}


def inputs(members: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {name: value for name, value in members.items() if not name.endswith("?")},
        optional={name[:-1]: value for name, value in members.items() if name.endswith("?")},
    )


def plain(value: Any, given: Any) -> Any:
    """The decoded `value` as the client gave it: only the members that it gave, under their wire names."""
    if isinstance(given, dict):
        return {name: plain(getattr(value, snake(name)), one) for name, one in given.items()}
    if isinstance(given, list):
        return [plain(item, one) for item, one in zip(value, given, strict=True)]
    return value


@pytest.mark.parametrize("service", MODELS)
@given(data=st.data())
def test_what_boto3_sends_arrives(service: str, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(sorted(VALID)))
    given_arguments = data.draw(inputs(VALID[operation]))
    for flavour in (service, "default"):
        arrived = bind(FLAVOURS[flavour], serialized(service, operation, given_arguments))
        assert {name: plain(arrived[snake(name)], value) for name, value in given_arguments.items()} == given_arguments
        assert set(arrived) == set(map(snake, given_arguments))


@pytest.mark.parametrize("service", MODELS)
def test_what_is_answered_is_understood(service: str) -> None:
    """botocore's parser finds every member of the answer, and the body is written as AWS writes it."""
    sent = request("GET", "/phone-numbers/x")
    operation, parameters = FLAVOURS[service].route(sent)
    body = operation.bind(parameters, sent)({"answer": {"PhoneNumber": NUMBER}})
    text = body.decode()
    parsed = json.loads(text)["PhoneNumber"]
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert list(parsed) == sorted(MODELS[service].shape_for("PhoneNumber").members)
    assert parsed["DeletionTimestamp"] is None
    assert parsed["Associations"] == [
        {"AssociatedTimestamp": "2019-10-28T18:40:37.453Z", "Name": "VoiceConnectorId", "Value": "abc"}
    ]
    assert ("Name" in parsed) is (service == "chime-sdk-voice")
    shape = MODELS[service].operation_model("GetPhoneNumber").output_shape
    understood = create_parser("rest-json").parse({"status_code": 200, "headers": {}, "body": body}, shape)
    assert understood["PhoneNumber"]["PhoneNumberId"] == "%2B12065550100"
    assert understood["PhoneNumber"]["CreatedTimestamp"].isoformat() == "2019-08-12T22:10:20.521000+00:00"


@pytest.mark.parametrize(
    "number",
    [
        NUMBER,
        replace(
            NUMBER,
            calling_name="Acme",
            calling_name_status="UpdateInProgress",
            requested_calling_name="Other",
            order_id="c1d9a3f0",
            deletion_timestamp="2019-11-04T18:42:07.964Z",
            change_id=1,
        ),
        replace(NUMBER, e164_phone_number="+16135550100", country="CA", associations=(), name=None),
        replace(NUMBER, product_type="BusinessCalling", associations=NUMBER.associations * 2),
    ],
)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_the_store_tells_of_a_number_is_what_the_model_makes_of_it(flavour: str, number: PhoneNumber) -> None:
    sent = request("GET", "/phone-numbers/x")
    operation, parameters = FLAVOURS[flavour].route(sent)
    call = operation.bind(parameters, sent)
    told = call({"answer": b'{"PhoneNumber":%b}' % answer_of(number)})
    assert told == call({"answer": {"PhoneNumber": number}})


@pytest.mark.parametrize("member", ["status", "product_type"])
def test_an_answer_of_another_shape_is_a_failure(member: str) -> None:
    sent = request("GET", "/phone-number-orders/885b5970-6640-46e9-8b59-3d77be15a4f5")
    operation, parameters = FLAVOURS["default"].route(sent)
    broken = {"PhoneNumberOrder": type("Broken", (), {member: "Wrong"})()}
    with pytest.raises(ValueError, match="Wrong"):
        operation.bind(parameters, sent)({"answer": broken})


def test_a_value_that_only_the_other_model_knows_can_be_answered() -> None:
    """A BusinessCalling number is in the inventory that chime-sdk-voice lists too."""
    sent = request("GET", "/phone-numbers")
    operation, parameters = FLAVOURS["chime-sdk-voice"].route(sent)
    number = {"PhoneNumberId": "x", "ProductType": "BusinessCalling"}
    body = operation.bind(parameters, sent)({"answer": {"PhoneNumbers": [number]}})
    assert json.loads(body)["PhoneNumbers"][0]["ProductType"] == "BusinessCalling"


def test_flavours_differ_where_their_models_do() -> None:
    business = request("POST", "/phone-numbers/x", b'{"ProductType":"BusinessCalling"}')
    named = request("POST", "/phone-numbers/x", b'{"Name":"Desk"}')
    assert bind(FLAVOURS["chime"], business)["product_type"] == "BusinessCalling"
    assert bind(FLAVOURS["default"], business)["product_type"] == "BusinessCalling"
    assert bind(FLAVOURS["default"], named)["name"] == "Desk"
    assert bind(FLAVOURS["chime-sdk-voice"], named)["name"] == "Desk"
    assert "name" not in bind(FLAVOURS["chime"], named)
    with pytest.raises(BadRequest, match="enum value set"):
        bind(FLAVOURS["chime-sdk-voice"], business)
    any_status = request("GET", "/phone-numbers?status=Parked")
    assert bind(FLAVOURS["chime-sdk-voice"], any_status)["status"] == "Parked"
    assert bind(FLAVOURS["default"], any_status)["status"] == "Parked"
    with pytest.raises(BadRequest, match="enum value set"):
        bind(FLAVOURS["chime"], any_status)


def test_pages_of_the_default_flavour_are_as_long_as_either_model_allows() -> None:
    assert bind(FLAVOURS["default"], request("GET", "/phone-numbers?max-results=100"))["max_results"] == 100
    with pytest.raises(BadRequest, match="less than or equal to 99"):
        bind(FLAVOURS["chime"], request("GET", "/phone-numbers?max-results=100"))


@pytest.mark.parametrize(
    "query",
    ["status=null", "product-type=NULL", "max-results=null", "max-results=1e1", "max-results=10.0", "max-results="],
)
def test_a_query_is_text_and_no_json(query: str) -> None:
    with pytest.raises((BadRequest, Refusal)):
        bind(FLAVOURS["chime"], request("GET", f"/phone-numbers?{query}"))


def test_the_default_flavour_requires_what_both_require() -> None:
    assert bind(FLAVOURS["default"], request("PUT", "/settings", b"{}")) == {}
    with pytest.raises(BadRequest, match="VoiceConnector"):
        bind(FLAVOURS["chime-sdk-voice"], request("PUT", "/settings", b"{}"))


def test_a_null_is_an_absent_value_and_an_unknown_member_is_ignored() -> None:
    sent = request("POST", "/phone-numbers/x", b'{"CallingName":null,"ProductType":"VoiceConnector","Colour":"red"}')
    assert bind(FLAVOURS["default"], sent) == {"phone_number_id": "x", "product_type": "VoiceConnector"}


def test_a_function_without_an_operation_is_noticed_at_start() -> None:
    with pytest.raises(LookupError, match="paint_phone_number"):
        flavours({"paint_phone_number": echo})


def test_a_missing_model_is_said() -> None:
    with pytest.raises(LookupError, match="no model of chime-sdk-smoke"):
        load("chime-sdk-smoke")


def test_the_union_accepts_what_either_accepts() -> None:
    models = load("chime"), load("chime-sdk-voice")
    both = union(*models)
    for model in models:
        assert model["operations"].keys() <= both["operations"].keys()
        for name, shape in model["shapes"].items():
            assert shape.get("members", {}).keys() <= both["shapes"][name].get("members", {}).keys()
            assert set(shape.get("enum", ())) <= set(both["shapes"][name].get("enum", shape.get("enum", ())))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("E164PhoneNumber", "e164_phone_number"),
        ("PhoneNumberId", "phone_number_id"),
        ("DNISEmergencyCallingConfigurations", "dnis_emergency_calling_configurations"),
        ("InboundMMS", "inbound_mms"),
    ],
)
def test_snake_case_is_botocores(name: str, expected: str) -> None:
    assert snake(name) == expected == botocore.xform_name(name)


def test_every_snake_case_name_is_botocores() -> None:
    for model in MODELS.values():
        for name in model.operation_names:
            assert snake(name) == botocore.xform_name(name)


def test_a_boolean_can_be_a_string() -> None:
    """CloudFormation makes every property one. What else is wrong with the request is said of the rest."""
    sent = request("POST", "/voice-connectors", b'{"Name":"x","RequireEncryption":"false","Tags":[]}')
    with pytest.raises(BadRequest, match="at 'Tags'"):
        bind(FLAVOURS["default"], sent)
    sent = replace(sent, body=b'{"Name":"x","RequireEncryption":"false"}')
    assert bind(FLAVOURS["default"], sent) == {"name": "x", "require_encryption": False}
    sent = replace(sent, body=b'{"Name":"x","RequireEncryption":"no"}')
    with pytest.raises(Refusal, match="RequireEncryption must be true or false"):
        bind(FLAVOURS["default"], sent)


def test_a_long_list_is_not_shown() -> None:
    """What is in it may be sensitive, email addresses say."""
    body = json.dumps({"UserEmailList": [f"{n}@example.com" for n in range(51)]}).encode()
    with pytest.raises(BadRequest, match="at 'UserEmailList'") as caught:
        bind(FLAVOURS["chime"], request("POST", "/accounts/1/users?operation=add", body))
    assert "example.com" not in str(caught.value)


def test_an_integer_has_32_bits() -> None:
    def put(limit: int) -> dict[str, Any]:
        body = b'{"Termination":{"CpsLimit":%d}}' % limit
        return bind(FLAVOURS["default"], request("PUT", f"/voice-connectors/{'a' * 22}/termination", body))

    assert put(2**31 - 1)["termination"].cps_limit == 2**31 - 1
    with pytest.raises(BadRequest, match="less than or equal to 2147483647"):
        put(2**31)
