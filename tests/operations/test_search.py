"""What can be ordered."""

import pytest

from conftest import BOB, Do
from numberkeep.domain.errors import BadRequest


def test_owned_numbers_are_not_offered(do: Do, put: Do) -> None:
    offered = do("search_available_phone_numbers", area_code="206")["E164PhoneNumbers"]
    assert offered == [f"+1206555{n:04}" for n in range(100, 195)]  # those after that are magic
    put(*offered[:50], caller=BOB)
    assert do("search_available_phone_numbers", area_code="206")["E164PhoneNumbers"] == offered[50:]
    put(*offered[50:])
    assert do("search_available_phone_numbers", area_code="206") == {"E164PhoneNumbers": [], "NextToken": None}


def test_pages_hold_every_number_once(do: Do, put: Do) -> None:
    everything = do("search_available_phone_numbers", state="WA", max_results=500)["E164PhoneNumbers"]
    assert len(everything) > 300
    put(*everything[3:200:2], caller=BOB)
    expected = [e164 for e164 in everything if e164 not in set(everything[3:200:2])]
    seen, token = [], None
    while len(seen) < len(expected):
        answer = do("search_available_phone_numbers", state="WA", max_results=37, next_token=token)
        seen += answer["E164PhoneNumbers"]
        token = answer["NextToken"]
    assert seen[: len(expected)] == expected


def test_an_empty_pool_is_an_empty_list(do: Do) -> None:
    assert do("search_available_phone_numbers", toll_free_prefix="800")["E164PhoneNumbers"] == []
    assert do("search_available_phone_numbers", state="WA", city="Nowhere")["E164PhoneNumbers"] == []


def test_a_search_without_its_filters_is_refused(do: Do) -> None:
    with pytest.raises(BadRequest, match="Required search parameters are empty"):
        do("search_available_phone_numbers")
    with pytest.raises(BadRequest, match="needs PhoneNumberType"):
        do("search_available_phone_numbers", country="GB")


def test_a_token_is_for_one_search(do: Do) -> None:
    token = do("search_available_phone_numbers", state="WA", max_results=1)["NextToken"]
    with pytest.raises(BadRequest, match="NextToken"):
        do("search_available_phone_numbers", state="OR", max_results=1, next_token=token)


def test_countries(do: Do) -> None:
    answer = do("list_supported_phone_number_countries", product_type="VoiceConnector")
    assert answer == {
        "PhoneNumberCountries": [{"CountryCode": "US", "SupportedPhoneNumberTypes": ("Local", "TollFree")}]
    }
