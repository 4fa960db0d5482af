"""Moments are text whose order is the order of time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numberkeep.domain.moment import later, moment, seconds_of

SECONDS = st.floats(0, 4_000_000_000, allow_nan=False)


@given(SECONDS)
def test_a_moment_is_written_as_aws_does(seconds: float) -> None:
    text = moment(seconds)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert abs(seconds_of(text) - seconds) <= 0.001


@given(SECONDS, SECONDS)
def test_the_order_of_text_is_the_order_of_time(one: float, other: float) -> None:
    if one <= other:
        assert moment(one) <= moment(other)


@given(SECONDS, st.integers(0, 10_000_000))
def test_later(seconds: float, wait: int) -> None:
    assert seconds_of(later(moment(seconds), seconds=wait)) == pytest.approx(seconds_of(moment(seconds)) + wait)


def test_units() -> None:
    assert later("2019-10-29T18:25:30.392Z", days=7) == "2019-11-05T18:25:30.392Z"
    assert later("2019-10-29T18:25:30.392Z", hours=72) == "2019-11-01T18:25:30.392Z"


def test_a_moment_has_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        seconds_of("2019-10-29T18:25:30.392")
