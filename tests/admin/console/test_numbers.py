"""Numbers are found, and changed by the dozen."""

import re

from conftest import ALICE, BOB, Service
from console_visitor import Visitor, key_of, rename
from numberkeep.domain.caller import root_of
from numberkeep.domain.identity import AttachedPolicy
from numberkeep.storage import phone_numbers

CONNECTOR = "abcdef1ghij2klmno3pqr4"


def seed(service: Service, *e164s: str, **details: object) -> None:
    service.seed(*({"E164PhoneNumber": e164, "ProductType": "VoiceConnector", **details} for e164 in e164s))


def numbers_on(source: str) -> list[str]:
    return re.findall(r'type="checkbox" name="number" value="([^"]+)"', source)


def test_an_empty_inventory(visitor: Visitor) -> None:
    page = visitor.get("/")
    assert page.path == "/numbers"
    assert "No number is like that." in page.text
    assert "0 in all" in page.text


def test_what_a_number_is(visitor: Visitor) -> None:
    seed(visitor.service, "+12065550100", CallingName="Acme")
    rename(visitor.service, "+12065550100", "Front <desk>", root_of("123456789012"))
    seed(visitor.service, "+12065550101", Associations=[{"Name": "VoiceConnectorId", "Value": CONNECTOR}])
    page = visitor.get("/numbers")
    assert numbers_on(page.source) == ["+12065550100", "+12065550101"]
    for text in ("+1 206-555-0100", "Front <desk>", "Acme", f"Voice Connector {CONNECTOR}", "1 Assigned", "2 in all"):
        assert text in page.text, text
    assert "Front <desk>" not in page.source


def test_a_search(visitor: Visitor) -> None:
    seed(visitor.service, "+12065550100", Name="Front desk")
    seed(visitor.service, "+12065550101", "+12065550102")
    assert numbers_on(visitor.get("/numbers", text="front").source) == ["+12065550100"]
    page = visitor.get("/numbers", text="0102", status="Unassigned", country="US")
    assert numbers_on(page.source) == ["+12065550102"]
    assert 'value="0102"' in page.source
    assert '<option value="Unassigned" selected>' in page.source
    assert "text=0102" in page.source, "the counts keep what is looked for"


def test_pages(visitor: Visitor) -> None:
    e164s = [f"+1206555{index:04}" for index in range(120)]
    seed(visitor.service, *e164s)
    first = visitor.get("/numbers")
    assert numbers_on(first.source) == e164s[:50]
    assert "Earlier" not in first.text
    following = re.search(r'rel="next" href="([^"]+)"', first.source)
    assert following
    second = visitor.get(following[1])
    assert numbers_on(second.source) == e164s[50:100]
    following = re.search(r'rel="next" href="([^"]+)"', second.source)
    assert following
    third = visitor.get(following[1])
    assert numbers_on(third.source) == e164s[100:]
    assert "Later" not in third.text
    previous = re.search(r'rel="prev" href="([^"]+)"', third.source)
    assert previous
    assert numbers_on(visitor.get(previous[1]).source) == e164s[50:100]


def test_what_can_be_done_to_the_selected(visitor: Visitor) -> None:
    seed(visitor.service, "+12065550100")
    seed(visitor.service, "+12065550101", Associations=[{"Name": "VoiceConnectorId", "Value": CONNECTOR}])
    seed(visitor.service, "+18885550102")
    page = visitor.post("/numbers/selected", number=["+12065550100", "+12065550101", "+18885550102"])
    assert page.status == 200
    assert "It is possible for 2 of 3 now." in page.text
    assert "disassociate it, or disable the SIP rule, before you delete it" in page.text
    assert "toll-free; calling names apply to local numbers only" in page.text
    assert "disabled" not in page.source.replace("disable ", "")
    page = visitor.post("/numbers/selected", number="+12065550101")
    assert "It is possible for none of them now." in page.text
    assert re.search(r"<button[^>]* disabled[^>]*>Delete</button>", page.source)
    assert not re.search(r"<button[^>]* disabled[^>]*>Change names</button>", page.source)


def test_how_many_can_be_selected(visitor: Visitor) -> None:
    page = visitor.post("/numbers/selected")
    assert page.status == 400
    assert "Select 1 to 50 numbers; 0 are selected." in page.text
    assert visitor.post("/numbers/selected", number=[f"+1206555{index:04}" for index in range(51)]).status == 400
    assert visitor.post("/numbers/selected", number="x").status == 400


def test_each_change_tells_what_came_of_each(visitor: Visitor) -> None:
    service = visitor.service
    seed(service, "+12065550100", "+12065550101")
    seed(service, "+12065550102", Associations=[{"Name": "VoiceConnectorId", "Value": CONNECTOR}])
    e164s = ["+12065550100", "+12065550101", "+12065550102"]
    page = visitor.post("/numbers/change", number=e164s, change="name", value="Sales")
    assert "Done for 3 of 3." in page.text
    assert page.text.count("It is called “Sales”.") == 3
    page = visitor.post("/numbers/change", number=e164s, change="product_type", value="BusinessCalling")
    assert "Done for 2 of 3." in page.text
    assert f"is assigned to VoiceConnectorId {CONNECTOR}" in page.text
    page = visitor.post("/numbers/change", number=e164s[:1], change="calling_name", value="Acme")
    assert "The calling name “Acme” is asked for." in page.text
    page = visitor.post("/numbers/change", number=e164s[:2], change="calling_name", value="Other")
    assert "Done for 1 of 2." in page.text
    assert "has a calling name update pending" in page.text
    page = visitor.post("/numbers/change", number=e164s, change="delete")
    assert "Done for 2 of 3." in page.text
    chime = service.client("chime-sdk-voice")
    number = chime.get_phone_number(PhoneNumberId=e164s[0])["PhoneNumber"]
    assert (number["Name"], number["ProductType"]) == ("Sales", "BusinessCalling")
    assert number["Status"] == "ReleaseInProgress"


def test_a_value_that_the_api_refuses_is_refused(visitor: Visitor) -> None:
    """The rules of the service's model hold, as for any client."""
    seed(visitor.service, "+12065550100")
    page = visitor.post("/numbers/change", number="+12065550100", change="calling_name", value="Ümlaut & Co")
    assert "Done for 0 of 1." in page.text
    assert "alling" in page.text
    assert visitor.post("/numbers/change", number="+12065550100", change="paint", value="red").status == 400
    page = visitor.post("/numbers/change", number="+12065550100", change="product_type", value="Fax")
    assert "Done for 0 of 1." in page.text


def test_a_change_without_the_token_changes_nothing(visitor: Visitor) -> None:
    seed(visitor.service, "+12065550100")
    visitor.get("/numbers")
    answer = visitor.client.post("/numbers/change", data={"number": "+12065550100", "change": "delete"})
    assert answer.status_code == 403
    assert visitor.service.client().list_phone_numbers()["PhoneNumbers"]


def test_a_change_is_the_users_own(served: Visitor) -> None:
    service = served.service
    id, secret = key_of(service)
    client = service.client(access_key_id=id, secret_access_key=secret)
    client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550100"])
    served.sign_in(id, secret)
    assert "Done for 0 of 1." in served.post("/numbers/change", number="+12065550100", change="name", value="x").text
    history = service.run(service.app.store.ask(ALICE, phone_numbers.history, "+12065550100"))
    assert {change.arn for change in history} == {"arn:aws:iam::111111111111:user/alice"}


def test_who_may_only_read_changes_nothing(served: Visitor) -> None:
    service = served.service
    owner = key_of(service)
    client = service.client(access_key_id=owner[0], secret_access_key=owner[1])
    client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550100"])
    served.sign_in(*key_of(service, AttachedPolicy("AmazonChimeReadOnly"), "rita"))
    assert "206-555-0100" in served.get("/numbers").text
    page = served.post("/numbers/selected", number="+12065550100")
    assert "No policy of rita allows chime:BatchUpdatePhoneNumber." in page.text
    assert not re.search(r'<button class="(main|danger)">', page.source), "every action is disabled"
    page = served.post("/numbers/change", number="+12065550100", change="name", value="x")
    assert "Done for 0 of 1." in page.text
    assert "is not authorized to perform: chime:BatchUpdatePhoneNumber" in page.text


def test_who_may_not_list_sees_nothing(served: Visitor) -> None:
    policy = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"chime:GetPhoneNumber","Resource":"*"}}'
    served.sign_in(*key_of(served.service, AttachedPolicy("GetOnly", policy), "gus"))
    page = served.get("/numbers")
    assert page.status == 403
    assert "No policy of gus allows chime:ListPhoneNumbers." in page.text


def test_a_key_is_of_one_account(served: Visitor) -> None:
    service = served.service
    owner = key_of(service)
    client = service.client(access_key_id=owner[0], secret_access_key=owner[1])
    client.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550100"])
    served.sign_in(*key_of(service, name="bob", account=BOB))
    assert "No number is like that." in served.get("/numbers").text
    page = served.post("/numbers/change", number="+12065550100", change="delete")
    assert "Could not find PhoneNumber" in page.text
