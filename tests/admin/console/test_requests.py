"""Requests: the rule that each refusal broke, and no secrets."""

import contextlib

import botocore.exceptions

from conftest import BOB
from console_visitor import Visitor, key_of
from numberkeep.domain.identity import AttachedPolicy

E164 = "+12065550100"


def refused(client: object, **parameters: object) -> None:
    with contextlib.suppress(botocore.exceptions.ClientError):
        client.update_phone_number(PhoneNumberId=E164, **parameters)  # type: ignore[attr-defined]


def test_none_yet(visitor: Visitor) -> None:
    visitor.service.admin.delete("/requests")
    assert "There is no such request." in visitor.get("/requests").text


def test_the_rule_that_was_broken(visitor: Visitor) -> None:
    chime = visitor.service.client()
    visitor.service.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Secret")
    refused(chime, CallingName="Other")
    page = visitor.get("/requests", number=E164)
    assert "409" in page.text
    assert "has a calling name update pending" in page.text
    assert "Secret" in page.text
    only = visitor.get("/requests", only="refused", operation="UpdatePhoneNumber").text
    assert "409" in only
    assert "UpdatePhoneNumber 200" not in only
    assert "UpdatePhoneNumber 200" in visitor.get("/requests").text


def test_whose_they_are(visitor: Visitor) -> None:
    visitor.service.admin.delete("/requests")
    visitor.service.client(account_id="222222222222").list_phone_numbers()
    assert "There is no such request." in visitor.get("/requests").text
    assert "222222222222" in visitor.get("/requests", of="everybody").text
    assert visitor.get("/requests", number="x").status == 400


def test_what_the_console_does_is_among_them(visitor: Visitor) -> None:
    visitor.service.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    visitor.post(f"/numbers/{E164}/name", f"/numbers/{E164}", value="Sales")
    assert "by the console of 123456789012" in visitor.get("/requests", operation="UpdatePhoneNumber").text


def test_served_they_are_the_accounts_own(served: Visitor) -> None:
    service = served.service
    id, secret = key_of(service)
    client = service.client(access_key_id=id, secret_access_key=secret)
    refused(client, CallingName="Acme")
    client.list_phone_numbers()
    other = key_of(service, name="bob", account=BOB)
    voice = service.client("chime-sdk-voice", access_key_id=other[0], secret_access_key=other[1])
    voice.list_voice_connectors()
    refused(service.client(access_key_id=id, secret_access_key="wrong"), CallingName="Acme")
    served.sign_in(id, secret)
    page = served.get("/requests", of="everybody")
    assert "Could not find PhoneNumber" in page.text
    assert "404" in page.text
    assert "ListPhoneNumbers" in page.text
    assert "ListVoiceConnectors" not in page.text
    assert id in page.text
    assert secret not in page.text
    assert "HIDDEN_DUE_TO_SECURITY_REASONS" in page.text
    assert "Acme" not in page.text
    assert "The last 300 requests of this process" in page.text


def test_served_they_take_a_policy(served: Visitor) -> None:
    served.sign_in(*key_of(served.service, AttachedPolicy("AmazonChimeFullAccess"), "rita"))
    page = served.get("/requests")
    assert page.status == 403
    assert "cloudtrail:LookupEvents" in page.text
    assert 'href="/requests"' not in page.source
