"""Who serves which number is what the file says, or the file is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from numberkeep.carriers.manual import ManualCarrier
from numberkeep.carriers.routing import RoutingError, carriers_of, read_routing, simulated_only
from numberkeep.carriers.simulated import SimulatedCarrier

FILE = """
default = "lab"

[carriers.lab]
kind = "simulated"
order_seconds = 0.5

[carriers.desk]
kind = "manual"

[[routes]]
account = "111111111111"
numbers = "+1206"
carrier = "desk"

[[routes]]
numbers = "+1206555"
carrier = "lab"

[[routes]]
account = "222222222222"
carrier = "desk"
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def one(text: str) -> Path:
        path = tmp_path / "carriers.toml"
        path.write_text(text)
        return path

    return one


def test_the_first_route_that_fits_decides(write: Write) -> None:
    carriers = carriers_of(read_routing(write(FILE)))
    served = {
        (account, e164): carriers.routing.name_of(account, e164)
        for account in ("111111111111", "222222222222", "333333333333")
        for e164 in ("+12065550100", "+12535550100")
    }
    assert served == {
        ("111111111111", "+12065550100"): "desk",
        ("111111111111", "+12535550100"): "lab",
        ("222222222222", "+12065550100"): "lab",
        ("222222222222", "+12535550100"): "desk",
        ("333333333333", "+12065550100"): "lab",
        ("333333333333", "+12535550100"): "lab",
    }
    assert isinstance(carriers.of("111111111111", "+12065550100"), ManualCarrier)
    assert isinstance(carriers.of("333333333333", "+12065550100"), SimulatedCarrier)


def test_what_a_carrier_sells_is_offered_to_those_whom_it_serves(write: Write) -> None:
    """What another would be asked for is not: it may not have it."""
    carriers = carriers_of(read_routing(write(FILE + '\n[carriers.other]\nkind = "simulated"\n')))

    def offered(account_id: str, area_code: str) -> list[str]:
        return list(carriers.search(account_id, after=None, country="US", area_code=area_code))

    alone = list(carriers_of(simulated_only(4)).search("1", after=None, country="US", area_code="206"))
    assert alone[0] == "+12065550100"
    assert offered("333333333333", "206") == alone, "though two sell them: one would be asked"
    assert offered("222222222222", "206") == alone
    assert offered("111111111111", "206") == [], "these are settled at the desk, which has nothing for sale"
    assert offered("111111111111", "253")
    assert offered("222222222222", "253") == []


@pytest.mark.parametrize("after", [None, "+12065550150", "+12535550199", "+99"])
def test_offers_are_those_that_fit_one_by_one(write: Write, after: str | None) -> None:
    """However routes cover each other, and wherever a page begins."""
    text = 'default = "b"\n' + "".join(f'[carriers.{name}]\nkind = "simulated"\n' for name in "ab")
    for numbers, carrier in (("+120655501", "desk"), ("+1206", "a"), ("+1", "desk"), ("+4", "a")):
        text += f'[[routes]]\nnumbers = "{numbers}"\ncarrier = "{carrier}"\n'
    carriers = carriers_of(read_routing(write(text + '[carriers.desk]\nkind = "manual"\n')))
    everything = SimulatedCarrier(4)
    for country in ("US", "GB", "AU"):
        every = everything.search(after=after, country=country)
        expected = [e164 for e164 in every if carriers.routing.name_of("1" * 12, e164) in "ab"]
        assert list(carriers.search("1" * 12, after=after, country=country)) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "missing required field `default`"),
        ("default = ", "Invalid value"),
        ('default = "x"\n[carriers.lab]\nkind = "simulated"', "default: there is no carrier 'x'; there are lab"),
        (FILE.replace('carrier = "desk"', 'carrier = "dusk"', 1), "routes[0]: there is no carrier 'dusk'"),
        (FILE.replace('kind = "manual"', 'kind = "pigeon"'), "carriers.desk: Invalid value 'pigeon'"),
        (FILE.replace('kind = "manual"', 'kind = "pigeon"'), "$.kind`; there are simulated, manual, webhook"),
        (FILE + "[carriers.x]", "carriers.x: Object missing required field `kind`; there are simulated, manual,"),
        (
            FILE + '[subscribers.crm]\nurl = "https://crm"\nsecret_file = "x"\nevents = ["sold"]',
            "subscribers.crm: Invalid enum value 'sold' - at `$.events[0]`; there are phone_number.ordered, ",
        ),
        (FILE.replace("order_seconds", "order_minutes"), "carriers.lab: Object contains unknown field `order_minutes`"),
        (FILE.replace("order_seconds = 0.5", "order_seconds = -1"), ">= 0"),
        ('default = "x"\ncarriers = 3', "carriers"),
        (FILE + '[subscribers.crm]\nurl = "https://crm"', "subscribers.crm: Object missing required field"),
        (FILE.replace('"+1206"', '"1206"'), "routes[0].numbers"),
        (FILE.replace('account = "111111111111"', 'account = "1"'), "routes[0].account"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(write: Write, text: str, why: str) -> None:
    path = write(text)
    with pytest.raises(RoutingError) as refused:
        read_routing(path)
    assert str(path) in str(refused.value)
    assert why in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RoutingError, match="No such file"):
        read_routing(tmp_path / "nowhere.toml")
