"""Minute by minute, by what the metrics have counted."""

from time import perf_counter

import pytest

from numberkeep.admin.minutes import KEPT_MINUTES, Minute, Minutes
from numberkeep.metrics import REQUEST_SECONDS, Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def minutes(metrics: Metrics, seconds: list[float]) -> Minutes:
    return Minutes(metrics.counted, lambda: seconds[0])


def answer(metrics: Metrics, count: int, took: float = 0.0) -> None:
    for _ in range(count):
        metrics.answered("GetPhoneNumber", 200, perf_counter() - took)


def test_what_came_in_which_minute(metrics: Metrics, minutes: Minutes, seconds: list[float]) -> None:
    answer(metrics, 3)
    metrics.refused("UpdatePhoneNumber", 409, "ConflictException", perf_counter())
    seconds[0] += 60
    minutes.note()
    answer(metrics, 2)
    metrics.refused("UpdatePhoneNumber", 503, "ServiceUnavailableException", perf_counter())
    metrics.refused("none", 400, "BadRequestException")
    first, running = minutes.latest()
    assert (first.begins_at, running.begins_at) == ("2019-10-29T18:25:30.392Z", "2019-10-29T18:26:30.392Z")
    assert (first.served, first.refused, first.failed, sum(first.durations)) == (3, 1, 0, 4)
    assert (running.served, running.refused, running.failed, sum(running.durations)) == (2, 1, 1, 3)


def test_hours_are_kept_and_no_more(metrics: Metrics, minutes: Minutes) -> None:
    for _ in range(KEPT_MINUTES + 5):
        answer(metrics, 1)
        minutes.note()
    assert [minute.served for minute in minutes.latest()] == [1] * (KEPT_MINUTES - 1) + [0]


def test_how_long_a_share_of_them_took() -> None:
    def minute(*durations: int) -> Minute:
        return Minute("", 0, 0, 0, [*durations, *[0] * (len(REQUEST_SECONDS) + 1 - len(durations))])

    assert minute().seconds_of(0.5) is None
    assert minute(10).seconds_of(0.5) == pytest.approx(0.00025)
    assert minute(0, 10).seconds_of(0.5) == pytest.approx(0.00075)
    assert minute(5, 5).seconds_of(0.5) == pytest.approx(0.0005)
    assert minute(98, 0, 2).seconds_of(0.99) == pytest.approx(0.00175)
    assert minute(*[0] * len(REQUEST_SECONDS), 1).seconds_of(0.99) == REQUEST_SECONDS[-1]


def test_what_really_took_long_is_told_so(metrics: Metrics, minutes: Minutes) -> None:
    answer(metrics, 5, took=0.3)
    (running,) = minutes.latest()
    seconds = running.seconds_of(0.5)
    assert seconds is not None
    assert 0.25 < seconds <= 0.5
