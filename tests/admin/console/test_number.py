"""A number's page: its facts, its history, and what can be done to it."""

import re

import pytest

from conftest import ALICE, Service
from console_visitor import Page, Visitor, key_of, rename
from numberkeep.domain.caller import root_of
from numberkeep.domain.identity import AttachedPolicy

E164 = "+12065550100"
HERE = f"/numbers/{E164}"
CONNECTOR = "abcdef1ghij2klmno3pqr4"
HELD = {"Name": "VoiceConnectorId", "Value": CONNECTOR}


def seed(service: Service, **details: object) -> None:
    service.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector", **details})


def is_possible(page: Page, words: str) -> bool:
    """Whether the button of those words can be pressed."""
    found = re.search(rf"<button([^>]*)>{words}</button>", page.source)
    assert found, f"there is no {words}"
    return "disabled" not in found[1]


def test_what_it_is(visitor: Visitor) -> None:
    seed(visitor.service, CallingName="Acme", Associations=[HELD])
    rename(visitor.service, E164, "Front <desk>", root_of("123456789012"))
    page = visitor.get(HERE)
    assert page.status == 200
    for text in ("+1 206-555-0100", "Assigned", "Front <desk>", "Acme", "Voice Connector", CONNECTOR, "US, local"):
        assert text in page.text, text


def test_one_that_is_not_there(visitor: Visitor) -> None:
    for path in (HERE, "/numbers/nonsense"):
        page = visitor.get(path)
        assert page.status in (400, 404)
        assert "Not done" in page.text


def test_every_change_of_one_detail(visitor: Visitor) -> None:
    seed(visitor.service)
    page = visitor.post(f"{HERE}/name", HERE, value="Sales")
    assert (page.path, page.status) == (HERE, 200)
    assert "The name is changed." in page.text
    assert "BusinessCalling now" in visitor.post(f"{HERE}/product-type", HERE, value="BusinessCalling").text
    assert "is asked for" in visitor.post(f"{HERE}/calling-name", HERE, value="Acme").text
    number = visitor.service.client("chime-sdk-voice").get_phone_number(PhoneNumberId=E164)["PhoneNumber"]
    assert (number["Name"], number["CallingNameStatus"]) == ("Sales", "UpdateInProgress")
    assert number["ProductType"] == "BusinessCalling"


def test_a_calling_name_and_the_time_that_is_left(visitor: Visitor) -> None:
    seed(visitor.service, CallingName="Old")
    page = visitor.post(f"{HERE}/calling-name", HERE, value="Acme")
    assert "Show the calling name “Acme”" in page.text
    visitor.service.advance("24h")
    page = visitor.get(HERE)
    assert re.search(r"next asked in (1 day 23 hours|2 days)", page.text), page.text
    assert not is_possible(page, "Ask for it")
    assert "it must be complete before another is requested" in page.text
    visitor.service.advance("49h")
    page = visitor.get(HERE)
    assert "Show the calling name" not in page.text
    assert is_possible(page, "Ask for it")
    assert "Calling name settled" in page.text


def test_what_is_refused_says_why(visitor: Visitor) -> None:
    seed(visitor.service)
    page = visitor.post(f"{HERE}/calling-name", HERE, value="X")
    assert page.status == 400
    assert "alling" in page.text
    assert "What it is" in page.text
    assert visitor.post(f"{HERE}/paint", HERE).status == 404
    assert visitor.post(f"{HERE}/assign", HERE, holder="SipRuleId x").status == 400
    assert visitor.post(f"{HERE}/unassign", HERE).status == 400


def test_deleted_and_restored(visitor: Visitor) -> None:
    seed(visitor.service)
    page = visitor.post(f"{HERE}/delete", HERE)
    assert "It is deleted." in page.text
    assert re.search(r"Leaves for good \S+ \S+ UTC , in (6 days 23 hours|7 days)", page.text), page.text
    assert is_possible(page, "Restore")
    assert not is_possible(page, "Change the name")
    assert "only Unassigned or Assigned numbers can be updated" in page.text
    page = visitor.post(f"{HERE}/restore", HERE)
    assert "It is restored." in page.text
    assert is_possible(page, "Delete")


def test_one_that_has_left_is_remembered(visitor: Visitor) -> None:
    seed(visitor.service)
    visitor.post(f"{HERE}/delete", HERE)
    visitor.service.advance("7d")
    visitor.service.advance("1h")
    page = visitor.get(HERE)
    assert page.status == 200
    assert "It has left the account." in page.text
    assert "Released" in page.text
    assert "What can be done" not in page.text
    assert visitor.post(f"{HERE}/delete", HERE).status == 400


def test_assigned_and_taken_away(visitor: Visitor) -> None:
    service = visitor.service
    seed(service)
    assert "There is no Voice Connector yet." in visitor.get(HERE).text
    voice = service.client("chime-sdk-voice")
    connector = voice.create_voice_connector(Name="Office", RequireEncryption=True)["VoiceConnector"]
    group = voice.create_voice_connector_group(Name="Both")["VoiceConnectorGroup"]
    for name, id in (
        ("VoiceConnectorId", connector["VoiceConnectorId"]),
        ("VoiceConnectorGroupId", group["VoiceConnectorGroupId"]),
    ):
        page = visitor.get(HERE)
        assert f'value="{name} {id}"' in page.source
        page = visitor.post(f"{HERE}/assign", HERE, holder=f"{name} {id}")
        assert f"It is assigned to {name} {id}." in page.text
        assert not is_possible(page, "Delete")
        assert "disassociate it, or disable the SIP rule, before you delete it" in page.text
        page = visitor.post(f"{HERE}/unassign", HERE)
        assert "It is free now." in page.text
        assert is_possible(page, "Delete")
    page = visitor.post(f"{HERE}/assign", HERE, holder="VoiceConnectorId abcdefabcdefabcdefabcd")
    assert page.status == 400
    assert "Could not find VoiceConnector" in page.text


def test_a_user_loses_it(visitor: Visitor) -> None:
    service = visitor.service
    seed(service, ProductType="BusinessCalling")
    chime = service.client()
    account_id = chime.create_account(Name="Team")["Account"]["AccountId"]
    user = chime.create_user(AccountId=account_id, Email="ann@example.com")["User"]
    chime.associate_phone_number_with_user(AccountId=account_id, UserId=user["UserId"], E164PhoneNumber=E164)
    assert user["UserId"] in visitor.get(HERE).text
    assert "It is free now." in visitor.post(f"{HERE}/unassign", HERE).text


def test_a_sip_rule_keeps_it(visitor: Visitor) -> None:
    service = visitor.service
    seed(service, ProductType="SipMediaApplicationDialIn")
    voice = service.client("chime-sdk-voice")
    application = voice.create_sip_media_application(
        AwsRegion="us-east-1",
        Name="App",
        Endpoints=[{"LambdaArn": "arn:aws:lambda:us-east-1:123456789012:function:f"}],
    )["SipMediaApplication"]
    rule = voice.create_sip_rule(
        Name="Rule",
        TriggerType="ToPhoneNumber",
        TriggerValue=E164,
        TargetApplications=[
            {
                "SipMediaApplicationId": application["SipMediaApplicationId"],
                "Priority": 1,
                "AwsRegion": "us-east-1",
            }
        ],
    )["SipRule"]
    page = visitor.get(HERE)
    assert not is_possible(page, "Take it away")
    assert f"SipRuleId {rule['SipRuleId']} holds it: disable the SIP rule to have it free." in page.text
    assert visitor.post(f"{HERE}/unassign", HERE).status == 400


def test_product_types_that_it_cannot_have(visitor: Visitor) -> None:
    visitor.service.seed({"E164PhoneNumber": "+442079460100", "ProductType": "SipMediaApplicationDialIn"})
    page = visitor.get("/numbers/+442079460100")
    assert not is_possible(page, "Change the product type")
    assert "Phone numbers outside the US must have the product type SipMediaApplicationDialIn" in page.text


def test_history_tells_who_when_and_by_which_request(visitor: Visitor) -> None:
    seed(visitor.service)
    rename(visitor.service, E164, "<b>Zero</b>", root_of("123456789012"))
    answer = visitor.service.client("chime-sdk-voice", "123456789012").update_phone_number(
        PhoneNumberId=E164, Name="One"
    )
    visitor.post(f"{HERE}/calling-name", HERE, value="REFUSED")
    visitor.service.advance("73h")
    page = visitor.get(HERE)
    assert answer["ResponseMetadata"]["RequestId"] in page.text
    assert "arn:aws:iam::123456789012:root" in page.text
    assert "<del><b>Zero</b></del>" not in page.source
    assert "<b>Zero</b> → One" in page.text
    assert "The carrier\N{RIGHT SINGLE QUOTATION MARK}s reason: the simulated carrier does not do that" in page.text
    times = re.findall(r'<strong>([^<]+)</strong> <time datetime="([^"]+)"', page.source)
    assert [event for event, _ in times] == ["Calling name settled", "Changed", "Changed", "Changed", "Added"]
    assert [time for _, time in times] == sorted((time for _, time in times), reverse=True)


@pytest.mark.parametrize("policy", ["AmazonChimeReadOnly"])
def test_who_may_only_read_is_told_so(served: Visitor, policy: str) -> None:
    service = served.service
    id, secret = key_of(service)
    client = service.client(access_key_id=id, secret_access_key=secret)
    client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[E164])
    served.sign_in(*key_of(service, AttachedPolicy(policy), "rita", ALICE))
    page = served.get(HERE)
    assert not is_possible(page, "Change the name")
    assert "No policy of rita allows chime:UpdatePhoneNumber." in page.text
    page = served.post(f"{HERE}/name", HERE, value="x")
    assert "not authorized to perform: chime:UpdatePhoneNumber" in page.text
