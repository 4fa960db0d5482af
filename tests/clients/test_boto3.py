"""boto3, unmodified, in both flavours: what a program sees of a number's whole life."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore import xform_name

from ..conftest import Service

FLAVOURS = ["chime", "chime-sdk-voice"]
ENDPOINTS = [(flavour, prefix) for flavour in FLAVOURS for prefix in ("", f"/{flavour}")]
"""Both flavours at the service itself, where their requests are the same to the byte, and each at its prefix."""

ACCOUNT, OTHER_ACCOUNT = "123456789012", "210987654321"
NUMBER, OTHER, ASSIGNED, TOLL_FREE = "+12065550100", "+12065550101", "+12065550102", "+18885550100"
REFUSED_NUMBER = "+12065550199"
"""One that the simulated carrier does not provide."""
DIAL_IN = "SipMediaApplicationDialIn"

Connect = Callable[..., Any]


@pytest.fixture
def connect(service: Service) -> Connect:
    """Makes clients of a flavour at a path of the service's."""
    return lambda flavour, prefix="", **options: service.client(flavour, endpoint_url=service.url + prefix, **options)


@pytest.fixture(params=FLAVOURS)
def client(request: pytest.FixtureRequest, connect: Connect) -> Any:
    """A client of each flavour, at its prefix."""
    return connect(request.param, f"/{request.param}")


@pytest.fixture
def inventory(service: Service) -> None:
    """Three numbers: a free one, an assigned one, a toll-free one."""
    service.seed(
        {"E164PhoneNumber": NUMBER, "ProductType": "VoiceConnector"},
        {
            "E164PhoneNumber": ASSIGNED,
            "ProductType": "VoiceConnector",
            "Associations": [{"Name": "VoiceConnectorId", "Value": "abcdef1ghij2klmno3pqr4"}],
        },
        {"E164PhoneNumber": TOLL_FREE, "ProductType": "VoiceConnector"},
    )


@contextmanager
def refused(client: Any, exception: str, code: str) -> Iterator[None]:
    """The request raises the client's own `exception`; chime's carries AWS's ErrorCode too, as its model has it."""
    with pytest.raises(getattr(client.exceptions, exception)) as caught:
        yield
    if client.meta.service_model.service_name == "chime":
        assert caught.value.response["Code"] == code


def number(client: Any, phone_number_id: str = NUMBER) -> dict[str, Any]:
    return client.get_phone_number(PhoneNumberId=phone_number_id)["PhoneNumber"]


def listed(client: Any, **filters: Any) -> list[str]:
    return [one["E164PhoneNumber"] for one in client.list_phone_numbers(**filters)["PhoneNumbers"]]


def calling_name(client: Any) -> tuple[str | None, str]:
    """The number's calling name, and that name's status."""
    shown = number(client)
    return shown.get("CallingName"), shown["CallingNameStatus"]


def order(service: Service, client: Any, *e164s: str) -> dict[str, str]:
    """Order numbers, and wait. The order's status, and that of each number."""
    made = client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=e164s)["PhoneNumberOrder"]
    service.advance("4s")
    order = client.get_phone_number_order(PhoneNumberOrderId=made["PhoneNumberOrderId"])["PhoneNumberOrder"]
    items = {item["E164PhoneNumber"]: item["Status"] for item in order["OrderedPhoneNumbers"]}
    return {"order": order["Status"], **items}


@pytest.mark.parametrize(("flavour", "prefix"), ENDPOINTS)
def test_the_life_of_a_number(service: Service, connect: Connect, flavour: str, prefix: str) -> None:
    """From being for sale to being for sale again, by way of every operation that both flavours have of their own."""
    client = connect(flavour, prefix)
    models = {one: connect(one).meta.service_model for one in FLAVOURS}
    called = set()
    client.meta.events.register("before-call", lambda model, **_: called.add(xform_name(model.name)))

    found = client.search_available_phone_numbers(AreaCode="206", MaxResults=2)["E164PhoneNumbers"]
    assert found == [NUMBER, OTHER]
    order = client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[NUMBER])
    order_id = order["PhoneNumberOrder"]["PhoneNumberOrderId"]
    assert order["PhoneNumberOrder"]["Status"] == "Processing"
    assert number(client)["Status"] == "AcquireInProgress"
    service.advance("4s")
    order = client.get_phone_number_order(PhoneNumberOrderId=order_id)["PhoneNumberOrder"]
    assert order["Status"] == "Successful"
    assert client.list_phone_number_orders()["PhoneNumberOrders"] == [order]
    assert client.list_phone_numbers()["PhoneNumbers"] == [number(client)]
    assert number(client)["Status"] == "Unassigned"

    countries = client.list_supported_phone_number_countries(ProductType=DIAL_IN)["PhoneNumberCountries"]
    assert {"CountryCode": "US", "SupportedPhoneNumberTypes": ["Local", "TollFree"]} in countries
    updated = client.update_phone_number(PhoneNumberId=NUMBER, ProductType=DIAL_IN)["PhoneNumber"]
    assert updated["ProductType"] == DIAL_IN
    assert number(client) == updated

    client.update_phone_number(PhoneNumberId=NUMBER, CallingName="Front desk")
    items = [{"PhoneNumberId": NUMBER, "CallingName": "Back door"}]
    (error,) = client.batch_update_phone_number(UpdatePhoneNumberRequestItems=items)["PhoneNumberErrors"]
    assert error["ErrorCode"] == "Conflict"
    service.advance("72h")
    assert calling_name(client) == ("Front desk", "UpdateSucceeded")

    client.update_phone_number_settings(CallingName="Main line")
    assert client.get_phone_number_settings()["CallingName"] == "Main line"
    client.update_global_settings(VoiceConnector={"CdrBucket": "calls"})
    assert client.get_global_settings()["VoiceConnector"] == {"CdrBucket": "calls"}

    client.delete_phone_number(PhoneNumberId=NUMBER)
    assert listed(client) == []
    assert listed(client, Status="ReleaseInProgress") == [NUMBER]
    assert number(client)["DeletionTimestamp"] - number(client)["UpdatedTimestamp"] == timedelta(days=7)
    restored = client.restore_phone_number(PhoneNumberId=NUMBER)["PhoneNumber"]
    assert restored["Status"] == "Unassigned"
    assert "DeletionTimestamp" not in restored
    assert client.batch_delete_phone_number(PhoneNumberIds=[NUMBER])["PhoneNumberErrors"] == []
    service.advance("7d")
    with refused(client, "NotFoundException", "NotFound"):
        number(client)
    assert client.search_available_phone_numbers(AreaCode="206", MaxResults=2)["E164PhoneNumbers"] == found

    of_both = set.intersection(*(set(map(xform_name, models[one].operation_names)) for one in FLAVOURS))
    assert called == of_both


@pytest.mark.usefixtures("inventory")
def test_a_calling_name_takes_72_hours(service: Service, client: Any) -> None:
    """Meanwhile the old one is shown, and no other can be asked for; an empty one removes it."""
    client.update_phone_number(PhoneNumberId=NUMBER, CallingName="Front desk")
    assert calling_name(client) == (None, "UpdateInProgress")
    service.advance("71h59m59s")
    with refused(client, "ConflictException", "Conflict"):
        client.update_phone_number(PhoneNumberId=NUMBER, CallingName="Back door")
    service.advance("1s")
    assert calling_name(client) == ("Front desk", "UpdateSucceeded")

    client.update_phone_number(PhoneNumberId=NUMBER, CallingName="")
    assert calling_name(client) == ("Front desk", "UpdateInProgress")
    service.advance("72h")
    assert calling_name(client) == (None, "Unassigned")

    client.update_phone_number(PhoneNumberId=NUMBER, CallingName="REFUSED")
    service.advance("72h")
    assert calling_name(client) == (None, "UpdateFailed")


def test_the_default_calling_name(service: Service, client: Any) -> None:
    """It can change once in seven days, and "the system assigns it to newly provisioned phone numbers" of the US."""
    client.update_phone_number_settings(CallingName="Main line")
    service.advance("6d23h59m59s")
    with refused(client, "BadRequestException", "BadRequest"):
        client.update_phone_number_settings(CallingName="Hotline")
    service.advance("1s")
    client.update_phone_number_settings(CallingName="Hotline")
    assert client.get_phone_number_settings()["CallingName"] == "Hotline"

    assert order(service, client, NUMBER, TOLL_FREE) == {
        "order": "Successful",
        NUMBER: "Acquired",
        TOLL_FREE: "Acquired",
    }
    assert calling_name(client) == (None, "UpdateInProgress")
    assert number(client, TOLL_FREE)["CallingNameStatus"] == "Unassigned"
    service.advance("72h")
    assert calling_name(client) == ("Hotline", "UpdateSucceeded")


REFUSALS = {
    "no detail": ("update", {"PhoneNumberId": NUMBER}, "BadRequestException", "BadRequest"),
    "two details": (
        "update",
        {"PhoneNumberId": NUMBER, "CallingName": "two", "ProductType": DIAL_IN},
        "BadRequestException",
        "BadRequest",
    ),
    "a toll-free number's calling name": (
        "update",
        {"PhoneNumberId": TOLL_FREE, "CallingName": "free"},
        "BadRequestException",
        "BadRequest",
    ),
    "an assigned number's product type": (
        "update",
        {"PhoneNumberId": ASSIGNED, "ProductType": DIAL_IN},
        "BadRequestException",
        "PhoneNumberAssociationsExist",
    ),
    "an assigned number's deletion": (
        "delete",
        {"PhoneNumberId": ASSIGNED},
        "BadRequestException",
        "PhoneNumberAssociationsExist",
    ),
    "a live number's restoration": ("restore", {"PhoneNumberId": NUMBER}, "BadRequestException", "BadRequest"),
    "an unknown number": ("get", {"PhoneNumberId": OTHER}, "NotFoundException", "NotFound"),
    "no number": ("get", {"PhoneNumberId": "reception"}, "BadRequestException", "BadRequest"),
}


@pytest.mark.usefixtures("inventory")
@pytest.mark.parametrize("what", REFUSALS)
def test_a_refusal_is_a_typed_exception(client: Any, what: str) -> None:
    verb, members, exception, code = REFUSALS[what]
    with refused(client, exception, code):
        getattr(client, f"{verb}_phone_number")(**members)


@pytest.mark.usefixtures("inventory")
def test_a_batch_does_what_it_can(service: Service, client: Any) -> None:
    """The items that fail are told under the ids that were sent, and leave the others alone."""
    items = [
        {"PhoneNumberId": "%2B12065550100", "ProductType": DIAL_IN},
        {"PhoneNumberId": ASSIGNED, "ProductType": DIAL_IN},
        {"PhoneNumberId": OTHER, "CallingName": "nobody"},
        {"PhoneNumberId": TOLL_FREE, "CallingName": "free"},
    ]
    errors = client.batch_update_phone_number(UpdatePhoneNumberRequestItems=items)["PhoneNumberErrors"]
    assert {error["PhoneNumberId"]: error["ErrorCode"] for error in errors} == {
        ASSIGNED: "PhoneNumberAssociationsExist",
        OTHER: "NotFound",
        TOLL_FREE: "BadRequest",
    }
    assert all(error["ErrorMessage"] for error in errors)
    assert number(client)["ProductType"] == DIAL_IN

    errors = client.batch_delete_phone_number(PhoneNumberIds=[NUMBER, "%2B12065550102"])["PhoneNumberErrors"]
    assert [error["PhoneNumberId"] for error in errors] == ["%2B12065550102"]
    assert listed(client) == [ASSIGNED, TOLL_FREE]


@pytest.mark.usefixtures("inventory")
@pytest.mark.parametrize("phone_number_id", ["+12065550100", "%2B12065550100", "12065550100"])
def test_an_id_has_three_forms(client: Any, phone_number_id: str) -> None:
    """In a path boto3 encodes them all once more; in a body it does not."""
    item = {"PhoneNumberId": phone_number_id, "ProductType": DIAL_IN}
    assert client.batch_update_phone_number(UpdatePhoneNumberRequestItems=[item])["PhoneNumberErrors"] == []
    updated = client.update_phone_number(PhoneNumberId=phone_number_id, ProductType="VoiceConnector")["PhoneNumber"]
    assert (updated["PhoneNumberId"], updated["E164PhoneNumber"]) == ("%2B12065550100", NUMBER)
    client.delete_phone_number(PhoneNumberId=phone_number_id)
    client.restore_phone_number(PhoneNumberId=phone_number_id)
    assert client.batch_delete_phone_number(PhoneNumberIds=[phone_number_id])["PhoneNumberErrors"] == []
    assert number(client, phone_number_id)["Status"] == "ReleaseInProgress"


@pytest.mark.usefixtures("inventory")
def test_an_account_sees_its_own_only(connect: Connect) -> None:
    mine, theirs = connect("chime"), connect("chime", account_id=OTHER_ACCOUNT)
    mine.update_phone_number_settings(CallingName="Main line")
    made = mine.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[OTHER])["PhoneNumberOrder"]
    assert listed(theirs) == []
    assert theirs.list_phone_number_orders()["PhoneNumberOrders"] == []
    assert "CallingName" not in theirs.get_phone_number_settings()
    with refused(theirs, "NotFoundException", "NotFound"):
        number(theirs)
    with refused(theirs, "NotFoundException", "NotFound"):
        theirs.delete_phone_number(PhoneNumberId=NUMBER)
    with refused(theirs, "NotFoundException", "NotFound"):
        theirs.get_phone_number_order(PhoneNumberOrderId=made["PhoneNumberOrderId"])
    # What one account has is not for sale to another, not even while it is still being ordered.
    for_sale = theirs.search_available_phone_numbers(AreaCode="206")["E164PhoneNumbers"]
    assert not {NUMBER, OTHER, ASSIGNED} & set(for_sale)


def test_a_number_goes_to_the_first_that_orders_it(service: Service, client: Any, connect: Connect) -> None:
    second = connect(client.meta.service_model.service_name, account_id=OTHER_ACCOUNT)
    client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[NUMBER])
    assert order(service, second, NUMBER, OTHER) == {"order": "Partial", NUMBER: "Failed", OTHER: "Acquired"}
    assert number(client)["Status"] == "Unassigned"
    assert number(second)["Status"] == "AcquireFailed"
    second.delete_phone_number(PhoneNumberId=NUMBER)
    assert listed(second) == [OTHER]
    assert listed(client) == [NUMBER]


def test_a_number_that_was_not_acquired_can_be_ordered_again(service: Service, client: Any) -> None:
    for _ in range(2):
        assert order(service, client, REFUSED_NUMBER) == {"order": "Failed", REFUSED_NUMBER: "Failed"}
        assert number(client, REFUSED_NUMBER)["Status"] == "AcquireFailed"


PAGED = {
    "list_phone_numbers": ("PhoneNumbers", {"MaxResults": 2}),
    "list_phone_number_orders": ("PhoneNumberOrders", {"MaxResults": 2}),
    "search_available_phone_numbers": ("E164PhoneNumbers", {"MaxResults": 40, "AreaCode": "206"}),
}
"""What comes in pages (botocore has paginators for none of it): the member that holds them, and what is asked for."""


@pytest.mark.parametrize("operation", PAGED)
def test_pages(client: Any, operation: str) -> None:
    """Together they are the whole list. An empty NextToken, which some clients send, is none."""
    for line in range(5):
        client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[f"+1312555010{line}"])
    key, members = PAGED[operation]
    list_page = getattr(client, operation)
    whole = list_page(**{**members, "MaxResults": 99})
    assert "NextToken" not in whole

    pages = [list_page(**members, NextToken="")]
    while token := pages[-1].get("NextToken"):
        pages.append(list_page(**members, NextToken=token))

    sizes = [len(page[key]) for page in pages]
    assert len(pages) == 3
    assert sizes[:-1] == [members["MaxResults"]] * 2
    assert [item for page in pages for item in page[key]] == whole[key]


@pytest.mark.usefixtures("inventory")
def test_a_page_token_is_good_for_its_own_list(client: Any, connect: Connect) -> None:
    token = client.list_phone_numbers(MaxResults=1)["NextToken"]
    theirs = connect(client.meta.service_model.service_name, account_id=OTHER_ACCOUNT)
    for list_page, members in (
        (client.list_phone_numbers, {"NextToken": ("B" if token[0] == "A" else "A") + token[1:]}),
        (client.list_phone_numbers, {"NextToken": "2"}),
        (client.list_phone_numbers, {"NextToken": token, "ProductType": "VoiceConnector"}),
        (client.list_phone_number_orders, {"NextToken": token}),
        (client.search_available_phone_numbers, {"NextToken": token, "AreaCode": "206"}),
        (theirs.list_phone_numbers, {"NextToken": token}),
    ):
        with pytest.raises(list_page.__self__.exceptions.BadRequestException):
            list_page(**members)
    assert listed(client, NextToken=token) == [ASSIGNED, TOLL_FREE]


@pytest.mark.usefixtures("inventory")
@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"Status": "Unassigned"}, [NUMBER, TOLL_FREE]),
        ({"Status": "ReleaseInProgress"}, []),
        ({"ProductType": "VoiceConnector"}, [NUMBER, ASSIGNED, TOLL_FREE]),
        ({"ProductType": DIAL_IN}, []),
        ({"FilterName": "VoiceConnectorId"}, [ASSIGNED]),
        ({"FilterName": "VoiceConnectorId", "FilterValue": "abcdef1ghij2klmno3pqr4"}, [ASSIGNED]),
        ({"FilterName": "VoiceConnectorId", "FilterValue": "another"}, []),
        ({"FilterName": "SipRuleId"}, []),
    ],
    ids=str,
)
def test_the_filters_of_a_list(client: Any, filters: dict[str, str], found: list[str]) -> None:
    assert listed(client, **filters) == found


@pytest.mark.parametrize("prefix", ["", "/chime-sdk-voice"])
def test_a_name(service: Service, connect: Connect, prefix: str) -> None:
    """Of chime-sdk-voice only. Its answers tell the order too, and what chime has never heard of it is not told."""
    client = connect("chime-sdk-voice", prefix)
    client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[NUMBER], Name="Front desk")
    service.advance("4s")
    assert number(client)["Name"] == "Front desk"
    (order,) = client.list_phone_number_orders()["PhoneNumberOrders"]
    assert (number(client)["OrderId"], order["OrderType"]) == (order["PhoneNumberOrderId"], "New")
    assert client.update_phone_number(PhoneNumberId=NUMBER, Name="Back door")["PhoneNumber"]["Name"] == "Back door"
    assert "Name" not in client.update_phone_number(PhoneNumberId=NUMBER, Name="")["PhoneNumber"]
    assert not {"Name", "OrderId"} & number(connect("chime", "/chime")).keys()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_endpoint_can_come_from_the_environment(
    service: Service, monkeypatch: pytest.MonkeyPatch, flavour: str
) -> None:
    """``AWS_ENDPOINT_URL_CHIME`` and ``AWS_ENDPOINT_URL_CHIME_SDK_VOICE``: no line of a program has to change."""
    service.seed({"E164PhoneNumber": NUMBER, "ProductType": "VoiceConnector", "Name": "Front desk"})
    variable = "AWS_ENDPOINT_URL_" + flavour.upper().replace("-", "_")
    for name, value in {
        variable: f"{service.url}/{flavour}",
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.Session().client(flavour)
    assert number(client).get("Name") == {"chime": None, "chime-sdk-voice": "Front desk"}[flavour]


def test_an_old_sdk_hears_what_is_not_served(connect: Connect) -> None:
    """SDKs of before 2025 have today's chime-sdk-voice operations under chime and send them to chime's host.

    The newer SDK's request is the same, so only the host is changed. It is no unknown operation.
    """
    client = connect("chime-sdk-voice")

    def to_chime(request: Any, **_: Any) -> None:
        request.headers["Host"] = "chime.us-east-1.amazonaws.com"

    client.meta.events.register("before-send", to_chime)
    with pytest.raises(client.exceptions.ClientError, match="ListVoiceProfileDomains is not implemented") as caught:
        client.list_voice_profile_domains()
    assert caught.value.response["Error"]["Code"] == "OperationNotImplementedException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
