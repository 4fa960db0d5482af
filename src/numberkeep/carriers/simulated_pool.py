"""The numbers that the simulated carrier has for sale.

They are the numbers that a country's regulator reserves for fiction, which nobody owns, if libphonenumber considers
them valid; elsewhere the hundred numbers around libphonenumber's example. None of them is ever dialled.

A number is stored as the integer of its E.164 digits, so that a block of consecutive numbers is a `range`.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files

import msgspec

from ..domain import number_plan
from ..domain.errors import BadRequest

_STOCK: dict[tuple[str, str], tuple[range, ...]] = {
    ("AT", "Local"): (range(431234567800, 431234567900),),
    ("AT", "TollFree"): (range(43800123400, 43800123500),),
    # ACMA, "Phone numbers for use in TV shows, films and creative works": 5550 xxxx, 7010 xxxx in each area.
    ("AU", "Local"): (
        range(61255500000, 61255510000),
        range(61270100000, 61270110000),
        range(61355500000, 61355510000),
        range(61370100000, 61370110000),
        range(61755500000, 61755510000),
        range(61770100000, 61770110000),
        range(61855500000, 61855510000),
        range(61870100000, 61870110000),
    ),
    ("AU", "TollFree"): (range(611800160401, 611800160402), range(611800975707, 611800975712)),
    ("CH", "Local"): (range(41212345600, 41212345700),),
    ("CH", "TollFree"): (range(41800123400, 41800123500),),
    # Bundesnetzagentur, Mitteilung 148/2021, "Drama Numbers": Köln, Berlin, Hamburg, Frankfurt, München.
    ("DE", "Local"): (
        range(492214710000, 492214711000),
        range(493023125000, 493023126000),
        range(494066969000, 494066970000),
        range(496990009000, 496990010000),
        range(498999998000, 498999999000),
    ),
    ("DE", "TollFree"): (range(498001234500, 498001234600),),
    ("DK", "Local"): (range(4532123400, 4532123500),),
    ("DK", "TollFree"): (range(4580123400, 4580123500),),
    ("FI", "Local"): (range(358131234500, 358131234600),),
    ("FI", "TollFree"): (range(358800123400, 358800123500),),
    # Ofcom, "Telephone numbers for use in TV and radio drama programmes"; libphonenumber does not consider
    # Nottingham's (0115 496 0xxx) and the fictitious area's (01632 960xxx) valid.
    ("GB", "Local"): (
        range(441134960000, 441134961000),  # Leeds
        range(441144960000, 441144961000),  # Sheffield
        range(441164960000, 441164961000),  # Leicester
        range(441174960000, 441174961000),  # Bristol
        range(441184960000, 441184961000),  # Reading
        range(441214960000, 441214961000),  # Birmingham
        range(441314960000, 441314961000),  # Edinburgh
        range(441414960000, 441414961000),  # Glasgow
        range(441514960000, 441514961000),  # Liverpool
        range(441614960000, 441614961000),  # Manchester
        range(441914980000, 441914981000),  # Tyneside
        range(442079460000, 442079461000),  # London
        range(442896496000, 442896497000),  # Northern Ireland
        range(442920180000, 442920181000),  # Cardiff
    ),
    ("GB", "TollFree"): (range(448081570000, 448081571000),),
    # ComReg's numbers for drama (020 91x xxxx) are not valid for libphonenumber.
    ("IE", "Local"): (range(3532212300, 3532212400),),
    ("IE", "TollFree"): (range(3531800123400, 3531800123500),),
    ("IT", "TollFree"): (range(39800123400, 39800123500),),
    ("KR", "Local"): (range(8222123400, 8222123500),),
    ("KR", "TollFree"): (range(82801234500, 82801234600),),
    ("NG", "Local"): (range(2342033123400, 2342033123500),),
    ("NG", "TollFree"): (range(23480017591700, 23480017591800),),
    ("NZ", "Local"): (range(6432345600, 6432345700),),
    ("NZ", "TollFree"): (range(64800123400, 64800123500),),
    # PTS, "Telefonnummer till böcker och filmer": Göteborg, Malmö, Stockholm, Kiruna.
    ("SE", "Local"): (
        range(46313900600, 46313900700),
        range(46406280400, 46406280500),
        range(46846500400, 46846500500),
        range(46980319200, 46980319300),
    ),
    ("SE", "TollFree"): (range(4620123400, 4620123500),),
}
"""The blocks of the countries outside the NANP."""

_TOLL_FREE_NPAS = ("833", "844", "855", "866", "877", "888")
"""The toll-free area codes of the NANP that still have numbers; Amazon Chime has none of 800 to sell."""


class _AreaCode(msgspec.Struct, frozen=True):
    """The place of a geographic area code of the US."""

    state: str
    cities: tuple[str, ...]
    """Empty for an overlay whose numbers libphonenumber can only place in the state."""


class _AreaCodes(msgspec.Struct, frozen=True, rename="upper"):
    """The geographic area codes by country, from nanp.json, which scripts/make-number-plan writes."""

    us: dict[str, _AreaCode]
    ca: tuple[str, ...]
    pr: tuple[str, ...]


def search(
    *,
    country: str = "US",
    phone_number_type: str | None = None,
    area_code: str | None = None,
    city: str | None = None,
    state: str | None = None,
    toll_free_prefix: str | None = None,
    after: str | None = None,
) -> Iterator[str]:
    """The numbers for sale that meet every filter: E.164, in the order of that text, those that come after `after`.

    The filters are those of SearchAvailablePhoneNumbers; an empty one is ignored. One that matches nothing, such as an
    unknown city, gives no numbers. Numbers are generated one by one.
    """
    blocks: list[range] = []
    if phone_number_type != "TollFree" and not toll_free_prefix:
        blocks += _local(country, area_code, city, state)
    if phone_number_type != "Local" and not (area_code or city or state):
        blocks += _toll_free(country, toll_free_prefix)
    # Sorted by their text, blocks hold their numbers in order too, as no number begins with another block's.
    blocks.sort(key=lambda block: _e164(block[0]))
    after = after or ""
    for block in blocks[bisect_right(blocks, after, key=lambda block: _e164(block[-1])) :]:
        # An installed libphonenumber that is older than this stock knows fewer numbers: those found must be orderable.
        if sells(_e164(block[0])):
            for number in block[bisect_right(block, after, key=_e164) :]:
                yield _e164(number)


def sells(e164: str) -> bool:
    """Whether the number can be ordered: any that is valid for some product, since tests order what they like."""
    try:
        number_plan.check_order(e164, "SipMediaApplicationDialIn")
    except BadRequest:
        return False
    return True


def _local(country: str, area_code: str | None, city: str | None, state: str | None) -> Iterable[range]:
    match country:
        case "US":
            return map(_for_fiction, _us_area_codes(area_code, city, state))
        case _ if area_code or city or state:
            return ()
        case "CA":
            return map(_for_fiction, _area_codes().ca)
        case "PR":
            return map(_for_fiction, _area_codes().pr)
        case _:
            return _STOCK.get((country, "Local"), ())


def _toll_free(country: str, prefix: str | None) -> Iterable[range]:
    if country != "US":
        return () if prefix else _STOCK.get((country, "TollFree"), ())
    return [_for_fiction(npa) for npa in _TOLL_FREE_NPAS if prefix in (npa, None, "")]


def _us_area_codes(area_code: str | None, city: str | None, state: str | None) -> Iterator[str]:
    for npa, place in _area_codes().us.items():
        if (
            (not area_code or npa == area_code)
            and (not state or place.state == state.upper())
            and (not city or city.casefold() in map(str.casefold, place.cities))
        ):
            yield npa


def _for_fiction(npa: str) -> range:
    """The numbers 555-0100 to 555-0199 of an area code.

    The NANP reserves them for fiction in geographic area codes; in toll-free ones they are used for it by custom only.
    """
    first = int(f"1{npa}5550100")
    return range(first, first + 100)


@cache
def _area_codes() -> _AreaCodes:
    return msgspec.json.decode((files(__package__) / "nanp.json").read_bytes(), type=_AreaCodes)


def _e164(number: int) -> str:
    return f"+{number}"
