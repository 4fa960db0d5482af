"""The rules of numbers: their form, their plan, and who may have them."""

import string

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from numberkeep.domain import number_plan
from numberkeep.domain.errors import BadRequest

E164 = st.from_regex(r"\+[1-9][0-9]{1,14}", fullmatch=True)

BLOCK = st.from_regex(r"\+1[2-9][0-9]{6}", fullmatch=True)

PRODUCT_TYPES = ("BusinessCalling", "VoiceConnector", "SipMediaApplicationDialIn")


@given(E164)
def test_every_form_of_an_id_names_the_same_number(e164):
    digits = e164[1:]
    assert number_plan.phone_number_id(e164) == f"%2B{digits}"
    for form in (e164, f"%2B{digits}", f"%2b{digits}", digits):
        assert number_plan.normalize_id(form) == e164


@given(st.text() | st.text(alphabet=string.digits + "+%2Bb "))
@example("+12065550100\n")
@example("%252B12065550100")
@example(" 12065550100")
@example("++12065550100")
@example("+02065550100")
@example("+1")
@example("+1234567890123456")
@example("+\u0661\u0662\u0660\u0666\u0665\u0665\u0665\u0660")
@example("")
def test_an_id_is_a_number_or_a_bad_request(text):
    try:
        e164 = number_plan.normalize_id(text)
    except BadRequest:
        pass
    else:
        assert e164.removeprefix("+") == text.removeprefix("+").removeprefix("%2B").removeprefix("%2b")
        assert e164.isascii()
        assert 2 <= len(e164.removeprefix("+")) <= 15


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "+",
        "+1",
        "206-555-0100",
        "+1 206 555 0100",
        "%252B12065550100",
        "+02065550100",
        "+" + "1" * 16,
        "+12065550\u0661\u0660\u0660",
    ],
)
def test_what_is_not_e164_is_no_id(garbage):
    with pytest.raises(BadRequest, match=r"E\.164 format"):
        number_plan.normalize_id(garbage)


@pytest.mark.parametrize(
    ("e164", "country", "type"),
    [
        ("+12065550100", "US", "Local"),
        ("+18335550100", "US", "TollFree"),
        ("+14165550100", "CA", "Local"),
        ("+17875550100", "PR", "Local"),
        ("+442079460000", "GB", "Local"),
        ("+448081570000", "GB", "TollFree"),
        ("+390212345678", "IT", "Local"),
        ("+33123456789", "FR", "Local"),
    ],
)
def test_describe(e164, country, type):
    plan = number_plan.describe(e164)
    assert plan == (country, type)
    assert (plan.country, plan.type) == (country, type)


@pytest.mark.parametrize(
    ("e164", "rule"),
    [
        ("12065550100", "must be in E.164 format"),
        ("+1206555010", "not a valid number"),
        ("+11115550100", "not a valid number"),
        ("+12061550100", "not a valid number"),
        ("+99912345678", "not a valid number"),
        ("+4402079460000", "not a valid number"),  # 0 is the UK's trunk prefix.
        ("+19005550100", "neither local nor toll-free"),  # Premium rate.
        ("+15005550100", "neither local nor toll-free"),  # Personal.
        ("+447400123456", "neither local nor toll-free"),  # Mobile.
        ("+447640123456", "neither local nor toll-free"),  # Pager.
        ("+80012345678", "belongs to no country"),  # Universal international freephone.
    ],
)
def test_describe_refuses(e164, rule):
    with pytest.raises(BadRequest, match=rule):
        number_plan.describe(e164)


@given(E164 | st.text(max_size=20))
def test_describe_gives_a_plan_or_a_bad_request(text):
    try:
        country, type = number_plan.describe(text)
    except BadRequest:
        return
    assert len(country) == 2
    assert country.isupper()
    assert type in ("Local", "TollFree")


def test_supported_countries():
    assert number_plan.supported_countries("BusinessCalling") == [("US", ("Local",))]
    assert number_plan.supported_countries("VoiceConnector") == [("US", ("Local", "TollFree"))]
    of_sip = number_plan.supported_countries("SipMediaApplicationDialIn")
    assert " ".join(country for country, _ in of_sip) == "AT AU CA CH DE DK FI GB IE IT KR NG NZ PR SE US"
    types = dict(of_sip)
    assert (types.pop("CA"), types.pop("IT"), types.pop("PR")) == (("Local",), ("TollFree",), ("Local",))
    assert set(types.values()) == {("Local", "TollFree")}
    assert number_plan.supported_countries("Unknown") == []


def test_every_product_has_a_part_of_what_is_for_sale():
    for_sale = dict(number_plan.supported_countries("SipMediaApplicationDialIn"))
    for product_type in PRODUCT_TYPES:
        for country, types in number_plan.supported_countries(product_type):
            assert set(types) <= set(for_sale[country])


LOCAL, TOLL_FREE, CANADA, UK, FRANCE = (
    "+12065550100",
    "+18335550100",
    "+14165550100",
    "+442079460000",
    "+33123456789",
)
ITALY_LOCAL, ITALY_TOLL_FREE = "+390212345678", "+39800123456"


@pytest.mark.parametrize(
    ("e164", "product_types"),
    [
        (LOCAL, PRODUCT_TYPES),
        (TOLL_FREE, PRODUCT_TYPES[1:]),
        (CANADA, PRODUCT_TYPES[2:]),
        (UK, PRODUCT_TYPES[2:]),
        (ITALY_TOLL_FREE, PRODUCT_TYPES[2:]),
        (ITALY_LOCAL, ()),
        (FRANCE, ()),
    ],
)
def test_the_products_that_may_have_a_number(e164, product_types):
    for product_type in PRODUCT_TYPES:
        if product_type in product_types:
            assert number_plan.check_order(e164, product_type) == number_plan.describe(e164)
        else:
            with pytest.raises(BadRequest):
                number_plan.check_order(e164, product_type)


@pytest.mark.parametrize(
    ("e164", "product_type", "rule"),
    [
        (
            TOLL_FREE,
            "BusinessCalling",
            "^TollFree phone numbers cannot have the product type BusinessCalling",
        ),
        (UK, "VoiceConnector", "outside the US must have the product type SipMediaApplicationDialIn"),
        (CANADA, "BusinessCalling", "outside the US must have the product type SipMediaApplicationDialIn"),
        (FRANCE, "SipMediaApplicationDialIn", "of FR are not supported"),
        (FRANCE, "VoiceConnector", "of FR are not supported"),
        (ITALY_LOCAL, "SipMediaApplicationDialIn", "^IT has no Local phone numbers for sale, only TollFree"),
        (LOCAL, "Unknown", "Local phone numbers cannot have the product type Unknown"),
        ("+12061550100", "VoiceConnector", "not a valid number"),
    ],
)
def test_an_order_names_the_rule_that_it_breaks(e164, product_type, rule):
    with pytest.raises(BadRequest, match=rule):
        number_plan.check_order(e164, product_type)


@pytest.mark.parametrize(
    "filters",
    [
        {"area_code": "206"},
        {"state": "WA"},
        {"state": "WA", "city": "Seattle"},
        {"state": "WA", "city": "Seattle", "area_code": "206", "phone_number_type": "Local"},
        {"toll_free_prefix": "800"},
        {"toll_free_prefix": "833", "phone_number_type": "TollFree"},
        {"toll_free_prefix": "888", "area_code": "", "city": "", "state": "", "phone_number_type": ""},
        {"country": "GB", "phone_number_type": "Local"},
        {"country": "GB", "phone_number_type": "TollFree", "state": ""},
        {"country": "CA", "phone_number_type": "Local"},
    ],
)
def test_search_takes(filters):
    number_plan.check_search(**filters)


@pytest.mark.parametrize(
    ("filters", "rule"),
    [
        ({}, "Required search parameters are empty"),
        ({"area_code": "", "state": ""}, "at least one of AreaCode, City, State and TollFreePrefix"),
        ({"phone_number_type": "Local"}, "Required search parameters are empty"),
        ({"city": "Seattle"}, "City must be given together with State"),
        ({"city": "Seattle", "area_code": "206"}, "City must be given together with State"),
        ({"area_code": "106"}, "AreaCode must be three digits"),
        ({"area_code": "20"}, "AreaCode must be three digits"),
        ({"area_code": "2065"}, "AreaCode must be three digits"),
        ({"toll_free_prefix": "822"}, "TollFreePrefix must be one of"),
        ({"toll_free_prefix": "888", "phone_number_type": "Local"}, "cannot be combined with .* Local"),
        ({"toll_free_prefix": "888", "area_code": "206"}, "are for local numbers"),
        ({"toll_free_prefix": "888", "state": "WA"}, "are for local numbers"),
        ({"toll_free_prefix": "888", "state": "WA", "city": "Seattle"}, "are for local numbers"),
        ({"phone_number_type": "TollFree", "state": "WA"}, "are for local numbers"),
        ({"country": "GB"}, "outside the US needs PhoneNumberType"),
        ({"country": "GB", "phone_number_type": "Local", "area_code": "207"}, "apply to the US only"),
        ({"country": "GB", "phone_number_type": "Local", "city": "London"}, "apply to the US only"),
        ({"country": "CA", "phone_number_type": "Local", "state": "ON"}, "apply to the US only"),
        ({"country": "GB", "toll_free_prefix": "800"}, "apply to the US only"),
        ({"country": "FR", "phone_number_type": "Local"}, "of FR are not supported"),
        ({"country": "FR"}, "of FR are not supported"),
        ({"country": "CA", "phone_number_type": "TollFree"}, "CA has no TollFree phone numbers"),
        ({"country": "IT", "phone_number_type": "Local"}, "IT has no Local phone numbers"),
    ],
)
def test_search_names_the_rule_that_it_breaks(filters, rule):
    with pytest.raises(BadRequest, match=rule):
        number_plan.check_search(**filters)


@given(BLOCK, st.text(string.digits, min_size=3, max_size=3))
@example("+1246521", "600")  # Barbados, Jamaica and the Dominican Republic have the finest plans
@example("+1876606", "000")
@example("+1829290", "999")
def test_the_numbers_of_a_thousands_block_are_of_one_plan(block, last):
    """`describe` looks at the block alone; this asks of the number itself."""

    def of_itself(e164):
        number = phonenumbers.parse(e164)
        return phonenumbers.region_code_for_number(number), phonenumbers.number_type(number)

    assert of_itself(block + last) == of_itself(block + "000")
