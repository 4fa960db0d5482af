"""The simulated carrier's numbers, and the file of area codes that they are made from."""

import json
import subprocess
import sys
from importlib.resources import files
from itertools import islice
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from numberkeep.carriers import simulated_pool
from numberkeep.domain import number_plan

ROOT = Path(__file__).parents[2]
NANP = json.loads((files("numberkeep.carriers") / "nanp.json").read_text(encoding="utf-8"))

STOCK = [
    (country, type) for country, types in number_plan.supported_countries("SipMediaApplicationDialIn") for type in types
]
STATES = [
    "AK", "AL", "AR", "AZ", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "HI", "IA", "ID", "IL", "IN", "KS",
    "KY", "LA", "MA", "MD", "ME", "MI", "MN", "MO", "MS", "MT", "NC", "ND", "NE", "NH", "NJ", "NM", "NV",
    "NY", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VA", "VT", "WA", "WI", "WV", "WY",
]  # fmt: skip

SEARCHES = st.one_of(
    st.sampled_from(STOCK).map(lambda stock: {"country": stock[0], "phone_number_type": stock[1]}),
    st.sampled_from(STOCK).map(lambda stock: {"country": stock[0]}),
    st.sampled_from(STATES).map(lambda state: {"state": state}),
    st.sampled_from(sorted(NANP["US"])).map(lambda area_code: {"area_code": area_code}),
    st.sampled_from(["833", "844", "855", "866", "877", "888"]).map(lambda npa: {"toll_free_prefix": npa}),
)


def search(**filters):
    return list(simulated_pool.search(**filters))


def area_codes(**filters):
    """The area codes that a search in the US finds."""
    return {e164[2:5] for e164 in simulated_pool.search(**filters)}


@pytest.mark.parametrize(("country", "type"), STOCK)
def test_every_country_and_type_on_offer_has_numbers_of_it(country, type):
    numbers = search(country=country, phone_number_type=type)
    assert len(numbers) >= 6
    assert numbers == sorted(set(numbers))
    # The ends of each block and of each hundred in it: a plan does not tell the others apart.
    for e164 in (number for number in numbers if number[-2:] in ("00", "99") or len(numbers) < 10):
        assert number_plan.describe(e164) == (country, type)


@given(SEARCHES, st.data())
def test_a_number_found_is_what_was_searched(filters, data):
    numbers = search(**filters)
    e164 = data.draw(st.sampled_from(numbers))
    number = phonenumbers.parse(e164)
    plan = number_plan.describe(e164)
    assert phonenumbers.is_valid_number(number)
    assert plan.country == filters.get("country", "US")
    assert plan.type == filters.get("phone_number_type", plan.type)
    assert simulated_pool.sells(e164)
    npa = e164[2:5]
    if "area_code" in filters:
        assert (npa, plan.type) == (filters["area_code"], "Local")
    if "toll_free_prefix" in filters:
        assert (npa, plan.type) == (filters["toll_free_prefix"], "TollFree")
    if "state" in filters:
        assert (NANP["US"][npa]["state"], plan.type) == (filters["state"], "Local")


@given(SEARCHES, st.data())
def test_a_search_goes_on_where_it_was_left(filters, data):
    numbers = search(**filters)
    position = data.draw(st.integers(0, len(numbers) - 1))
    assert search(**filters, after=numbers[position]) == numbers[position + 1 :]


@given(SEARCHES, st.text(alphabet="+0123456789a", max_size=16))
@example({"country": "AU"}, "")
@example({"country": "AU"}, "+6180016")
@example({"country": "AU"}, "+611800160401")
@example({"country": "SE"}, "+464062804500")
def test_after_may_be_any_text(filters, after):
    first = next(simulated_pool.search(**filters, after=after), None)
    assert first == next((e164 for e164 in simulated_pool.search(**filters) if e164 > after), None)


def test_a_country_alone_has_its_types_in_one_order():
    numbers = search(country="GB")
    assert numbers == sorted(numbers)
    assert {number_plan.describe(e164).type for e164 in numbers[::500]} == {"Local", "TollFree"}


@pytest.mark.parametrize(
    ("state", "city", "expected"),
    [
        ("WA", "Seattle", {"206"}),
        ("OR", "Portland", {"503", "971"}),
        ("NY", "New York", {"212"}),
        ("NY", "Brooklyn", {"718", "347"}),
        ("CA", "Los Angeles", {"213", "310", "323"}),
        ("CA", "San Francisco", {"415"}),
        ("IL", "Chicago", {"312", "773", "872"}),
        ("TX", "Houston", {"713"}),
        ("MO", "St. Louis", {"314"}),
        ("DC", "Washington", {"202"}),
        ("VA", "Herndon", {"703"}),
    ],
)
def test_a_city_has_its_area_codes(state, city, expected):
    found = area_codes(state=state, city=city)
    assert expected <= found <= area_codes(state=state)
    assert found == area_codes(state=state.lower(), city=city.upper())


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_numbers(state):
    assert search(state=state)


def test_an_area_code_has_the_hundred_numbers_for_fiction():
    numbers = search(area_code="206")
    assert numbers == [f"+12065550{line}" for line in range(100, 200)]
    assert numbers == search(area_code="206", state="WA", city="seattle", country="US", toll_free_prefix="")


@pytest.mark.parametrize(
    "filters",
    [
        {"state": "WA", "city": "Portland"},
        {"state": "ZZ"},
        {"area_code": "206", "state": "OR"},
        {"area_code": "416"},  # Toronto.
        {"area_code": "888"},
        {"area_code": "206", "phone_number_type": "TollFree"},
        {"toll_free_prefix": "800"},
        {"toll_free_prefix": "888", "phone_number_type": "Local"},
        {"country": "IT", "phone_number_type": "Local"},
        {"country": "CA", "phone_number_type": "TollFree"},
        {"country": "CA", "area_code": "416"},
        {"country": "GB", "toll_free_prefix": "888"},
        {"country": "FR"},
    ],
)
def test_filters_that_nothing_meets_give_nothing(filters):
    assert search(**filters) == []


def test_all_toll_free_numbers_of_the_us():
    numbers = search(phone_number_type="TollFree")
    assert {e164[2:5] for e164 in numbers} == {"833", "844", "855", "866", "877", "888"}
    assert len(numbers) == 600


def test_numbers_are_made_as_they_are_asked_for():
    found = simulated_pool.search(country="AU", phone_number_type="Local")
    assert list(islice(found, 2)) == ["+61255500000", "+61255500001"]


@pytest.mark.parametrize(
    ("e164", "sold"),
    [
        ("+12065550100", True),
        ("+12067654321", True),  # Not found by any search.
        ("+18005550100", True),
        ("+390212345678", False),
        ("+33123456789", False),
        ("+12061550100", False),
        ("anything", False),
    ],
)
def test_sells(e164, sold):
    assert simulated_pool.sells(e164) is sold


def test_the_file_of_area_codes_is_what_the_script_makes():
    if NANP["phonenumbers_version"] != phonenumbers.__version__:
        pytest.skip(f"made from phonenumbers {NANP['phonenumbers_version']}; {phonenumbers.__version__} is installed")
    script = ROOT / "scripts/make-number-plan"
    made = subprocess.run([sys.executable, script, "--stdout"], check=True, capture_output=True).stdout
    assert made == (files("numberkeep.carriers") / "nanp.json").read_bytes()


def test_the_file_of_area_codes_covers_the_countries_of_the_nanp():
    assert sorted({place["state"] for place in NANP["US"].values()}) == STATES
    assert len(NANP["US"]) > 300
    assert {"416", "604", "514"} < set(NANP["CA"])
    assert NANP["PR"] == ["787", "939"]
    assert not set(NANP["US"]) & {*NANP["CA"], *NANP["PR"]}
