"""AWS's recorded answers, replayed: status, headers in their order, and body, byte for byte.

The evidence is the samples of the Amazon Chime API reference (`samples/*.http`), real requests and answers of 2019:
the length of each body is the Content-Length beside it, once what the reference's editors did is undone ("Voice
Connector" was `VoiceConnector`, the unquoted `myBusiness` and `UpdateSucceeded` were nulls, the second product type of
the batch was the first's again); a search alone is shown too short to tell. For each sample the state before it is
produced here, by requests at the moments at which AWS had them; then the sample's own request is sent, and the answers
are compared.

What cannot be the same is named: an order's id, the members that the models have gained since (`GAINED`), and the few
values in `Sample.ours`.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from .conftest import Past
from .wire import AUTHORIZATION, HOSTS, Answer, parse_head

NUMBER, OTHER, THIRD = "+12065550100", "+12065550101", "+12065550102"
REFUSED = ("+12065550199", "+12535550199")
"""Numbers that the simulated carrier does not provide."""
EVERY_FLAVOUR = tuple(HOSTS)
WITH_BUSINESS_CALLING = ("chime", "default")
"""The flavours that take BusinessCalling in a request; the newer model has forgotten it."""

UUID4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
SAMPLE_ORDER_ID = "abc12345-de67-89f0-123g-h45i678j9012"
"""What the reference puts in place of an order's id. It is no UUID: the model would refuse it."""

COUNTRY = ('},"CreatedTimestamp"', '},"Country":"US","CreatedTimestamp"')
OF_VOICE_NUMBER = ('"PhoneNumberId"', '"Name":null,"OrderId":null,"PhoneNumberArn":null,"PhoneNumberId"')
OF_VOICE_ORDER = ('"OrderedPhoneNumbers"', '"FocDate":null,"OrderType":"New","OrderedPhoneNumbers"')
GAINED = {
    "chime": [COUNTRY],
    "chime-sdk-voice": [COUNTRY, OF_VOICE_NUMBER, OF_VOICE_ORDER],
    "default": [COUNTRY, OF_VOICE_NUMBER, OF_VOICE_ORDER],
}
"""What a body has today where the one of 2019 had what stands first."""

Before = Callable[[Past], str | None]
"""Produces the state that a request meets. Returns the id of the order that it made, if it made one."""


def nothing(past: Past) -> None:
    pass


def seeded(at: str, *e164s: str, **members: str) -> Before:
    """VoiceConnector numbers that came into the inventory by other ways than an order."""

    def before(past: Past) -> None:
        past.at(at).seed(*({"E164PhoneNumber": e164, "ProductType": "VoiceConnector", **members} for e164 in e164s))

    return before


def ordered(at: str, settled_at: str, product_type: str, *e164s: str) -> Before:
    """Numbers that were ordered, and acquired."""

    def before(past: Past) -> str:
        order = past.at(at).boto3.create_phone_number_order(ProductType=product_type, E164PhoneNumbers=e164s)
        past.at(settled_at)
        return order["PhoneNumberOrder"]["PhoneNumberOrderId"]

    return before


def two_assigned_and_one_free(past: Past) -> None:
    """The inventory of 28 October: two numbers with a pending calling name, and one that has just changed its type."""
    for e164, associated_at in ((NUMBER, "2019-10-28T18:40:37.453Z"), (OTHER, "2019-10-28T18:40:37.511Z")):
        connector = {"Name": "VoiceConnectorId", "Value": "abcdef1ghij2klmno3pqr4"}
        past.seed(
            {
                "E164PhoneNumber": e164,
                "ProductType": "VoiceConnector",
                "CreatedTimestamp": "2019-08-12T22:10:20.521Z",
                "Associations": [{**connector, "AssociatedTimestamp": associated_at}],
            }
        )
    past.seed(
        {
            "E164PhoneNumber": THIRD,
            "ProductType": "BusinessCalling",
            "CreatedTimestamp": "2019-08-09T21:35:21.445Z",
        }
    )
    for at, e164, change in (
        ("2019-10-28T18:31:55.339Z", THIRD, {"ProductType": "VoiceConnector"}),
        ("2019-10-28T18:42:07.960Z", OTHER, {"CallingName": "phonenumber2"}),
        ("2019-10-28T18:42:07.964Z", NUMBER, {"CallingName": "phonenumber1"}),
    ):
        past.at(at).boto3.update_phone_number(PhoneNumberId=e164, **change)


def ordered_and_deleted(past: Past) -> str | None:
    """AWS wrote the number's record 24 ms after the order's; here both are of one moment, the number's."""
    acquire = ordered("2019-09-18T17:57:36.304Z", "2019-09-18T17:57:47.090Z", "VoiceConnector", NUMBER)
    order_id = acquire(past)
    past.at("2019-09-18T18:24:16Z").boto3.delete_phone_number(PhoneNumberId=NUMBER)
    return order_id


def two_orders(past: Past) -> str | None:
    ordered("2019-08-09T21:35:21.427Z", "2019-08-09T21:35:31.926Z", "VoiceConnector", THIRD, *REFUSED)(past)
    return ordered("2019-08-12T22:10:20.504Z", "2019-08-12T22:10:31.186Z", "VoiceConnector", NUMBER, OTHER)(past)


def default_calling_name(past: Past) -> None:
    past.at("2019-10-28T18:56:42.911Z").boto3.update_phone_number_settings(CallingName="myName")


class Sample(NamedTuple):
    """A file in `samples`, and what it takes to have its answer."""

    name: str
    at: str
    """When its request arrives: the moment that the answer tells, else that of its Date."""
    before: Before = nothing
    flavours: tuple[str, ...] = EVERY_FLAVOUR
    ours: tuple[tuple[str, str], ...] = ()
    """What the recorded body has, and what ours has in its place."""


SAMPLES = [
    Sample("GetPhoneNumber", "2019-10-28T18:43:10Z", two_assigned_and_one_free),
    Sample("ListPhoneNumbers", "2019-10-28T18:44:55Z", two_assigned_and_one_free),
    Sample(
        "UpdatePhoneNumber-ProductType",
        "2019-10-29T18:25:30.392Z",
        seeded("2019-10-29T00:00:00Z", NUMBER, CallingName="phonenumber1", CreatedTimestamp="2019-08-12T22:10:20.521Z"),
        WITH_BUSINESS_CALLING,
    ),
    # The reference shows the requested name in the answer, "UpdateSucceeded" and BusinessCalling, which no lengths
    # agree with: the name asked for had nine characters (the file has any nine), and the one answered six, as
    # "myName" has, the account's default of the day before. So the old name is shown, and the status is the reference's
    # or, with VoiceConnector, "UpdateInProgress": both make 478 bytes. The file has the latter, which is how
    # GetPhoneNumber shows a pending name. AWS answered with the record as it was; here the request has updated it.
    Sample(
        "UpdatePhoneNumber-CallingName",
        "2019-10-29T18:28:17Z",
        seeded("2019-10-29T02:40:47.748Z", NUMBER, CallingName="myName", CreatedTimestamp="2019-08-09T21:35:21.445Z"),
        ours=(("2019-10-29T02:40:47.748Z", "2019-10-29T18:28:17.000Z"),),
    ),
    # Recorded before there were calling names; a month later a number without one is Unassigned (ListPhoneNumbers).
    Sample(
        "RestorePhoneNumber",
        "2019-09-18T18:25:10.866Z",
        ordered_and_deleted,
        ours=(('"CallingNameStatus":null', '"CallingNameStatus":"Unassigned"'),),
    ),
    Sample("DeletePhoneNumber", "2019-09-18T18:24:16Z", seeded("2019-09-18T17:57:36Z", NUMBER)),
    # AWS took seven seconds to answer and had updated the order meanwhile; here it is answered at once.
    Sample(
        "CreatePhoneNumberOrder",
        "2019-09-18T17:57:36.280Z",
        flavours=WITH_BUSINESS_CALLING,
        ours=(("2019-09-18T17:57:43.110Z", "2019-09-18T17:57:36.280Z"),),
    ),
    Sample(
        "GetPhoneNumberOrder",
        "2019-09-18T17:59:49Z",
        ordered("2019-09-18T17:57:36.280Z", "2019-09-18T17:57:47.090Z", "BusinessCalling", NUMBER, OTHER),
    ),
    # The reference has dropped a second order, of 388 bytes: that is a partial one of three VoiceConnector numbers, of
    # which two failed. The file has one; its moments are those of an order in the AWS CLI's examples, and one of its
    # numbers that of ListPhoneNumbers with the same date. The two that failed are ours.
    Sample("ListPhoneNumberOrders", "2019-09-18T17:53:26Z", two_orders),
    Sample("GetPhoneNumberSettings", "2019-10-28T18:57:43Z", default_calling_name),
    Sample("UpdatePhoneNumberSettings", "2019-10-28T18:56:42.911Z"),
    Sample(
        "BatchUpdatePhoneNumber-ProductType",
        "2019-09-18T19:52:01Z",
        seeded("2019-09-18T17:57:36Z", NUMBER, OTHER),
        WITH_BUSINESS_CALLING,
    ),
    Sample(
        "BatchUpdatePhoneNumber-CallingName",
        "2019-10-28T18:34:05Z",
        seeded("2019-08-12T22:10:20.521Z", NUMBER, OTHER),
    ),
    Sample("BatchDeletePhoneNumber", "2019-09-18T19:53:49Z", seeded("2019-09-18T17:57:36Z", NUMBER, OTHER)),
]


def read(name: str) -> tuple[str, str]:
    """A sample's request, and its answer."""
    text = Path(__file__).with_name("samples").joinpath(f"{name}.http").read_text()
    request, answer = re.split(r"\n+(?=HTTP/1\.1 )", text)
    return request, answer


def split(message: str) -> tuple[str, str]:
    """The head and the body of a request or an answer."""
    head, _, body = message.partition("\n\n")
    return head, body.strip("\n")


def parse(answer: str) -> Answer:
    head, body = split(answer)
    return Answer(*parse_head(head), body.encode())


def replay(past: Past, request: str, host: str) -> Answer:
    """Send a request as it was sent, only to `host`, and with a signature in place of AUTHPARAMS."""
    head, body = split(request)
    head = re.sub(r"(?m)^Host: .*", f"Host: {host}", head).replace("AUTHPARAMS", AUTHORIZATION)
    return past.send(f"{head}\n\n".replace("\n", "\r\n").encode() + body.encode())


def assert_head_like(answer: Answer, recorded: Answer) -> None:
    """The same status and the same headers in the same order, with a new id, our own length, and today's date."""
    headers = dict(answer.headers)
    assert re.fullmatch(UUID4, headers["x-amzn-RequestId"])
    date = parsedate_to_datetime(headers["Date"])
    assert headers["Date"] == format_datetime(date, usegmt=True)
    assert abs(datetime.now(UTC) - date) < timedelta(seconds=10)
    new = {"x-amzn-RequestId": headers["x-amzn-RequestId"], "Date": headers["Date"]}
    if "Content-Length" in headers:
        new["Content-Length"] = str(len(answer.body))
    assert answer.status == recorded.status
    assert answer.headers == [(name, new.get(name, value)) for name, value in recorded.headers]


@pytest.mark.parametrize("name", sorted(path.stem for path in Path(__file__).with_name("samples").iterdir()))
def test_a_sample_is_what_was_sent(name: str) -> None:
    """What makes a sample evidence: each of its bodies is as long as its Content-Length tells."""
    request, answer = map(split, read(name))
    whole = [request] if name == "SearchAvailablePhoneNumbers" else [request, answer]
    for head, body in whole:
        _, headers = parse_head(head)
        assert int(dict(headers).get("Content-Length", 0)) == len(body)


@pytest.mark.parametrize(
    ("sample", "flavour"),
    [pytest.param(sample, flavour, id=f"{sample.name}-{flavour}") for sample in SAMPLES for flavour in sample.flavours],
)
def test_an_answer_is_the_recorded_one(past: Past, sample: Sample, flavour: str) -> None:
    order_id = sample.before(past)
    past.at(sample.at)
    request, answer = read(sample.name)
    recorded = parse(answer)

    answered = replay(past, request.replace(SAMPLE_ORDER_ID, order_id or ""), HOSTS[flavour])

    assert_head_like(answered, recorded)
    body = recorded.body.decode()
    for old, _ in sample.ours:
        assert old in body
    for old, new in (*sample.ours, *GAINED[flavour]):
        body = body.replace(old, new)
    if order_id:
        body = body.replace('"OrderId":null', f'"OrderId":"{order_id}"')
    of_sample = rf'\1"{SAMPLE_ORDER_ID}"'.encode()
    assert re.sub(rf'("PhoneNumberOrderId":)"{UUID4}"'.encode(), of_sample, answered.body) == body.encode()


@pytest.mark.parametrize("flavour", EVERY_FLAVOUR)
def test_a_search_begins_like_the_recorded_one(past: Past, flavour: str) -> None:
    """The reference shows three numbers of the 99 at most that 1522 bytes hold, and blanks that no other answer has."""
    request, answer = read("SearchAvailablePhoneNumbers")
    recorded = parse(answer)

    answered = replay(past, request, HOSTS[flavour])

    assert_head_like(answered, recorded)
    beginning, end = recorded.body.split(b"]")
    assert answered.body.startswith(beginning + b",")
    assert answered.body.endswith(b"]" + end)


@pytest.mark.parametrize("flavour", EVERY_FLAVOUR)
@pytest.mark.parametrize(
    ("prefix", "like"), [("/chime", "chime"), ("/chime-sdk-voice", "chime-sdk-voice"), ("/console", None)]
)
def test_a_prefix_of_the_path_chooses_the_flavour(past: Past, flavour: str, prefix: str, like: str | None) -> None:
    """Other samples of AWS's have the endpoint `service.chime.aws.amazon.com/console`; that changes nothing."""
    two_assigned_and_one_free(past)
    request, _ = read("ListPhoneNumbers")
    prefixed = request.replace("/phone-numbers", f"{prefix}/phone-numbers", 1)
    assert replay(past, prefixed, HOSTS[flavour]).body == replay(past, request, HOSTS[like or flavour]).body
