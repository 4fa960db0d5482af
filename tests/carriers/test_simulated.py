"""The simulated carrier does what its scenario and the magic numbers say."""

import asyncio

import pytest

from numberkeep.carriers import Answer, Done, Pending, Refused, Request
from numberkeep.carriers.simulated import SimulatedCarrier
from numberkeep.domain.moment import later, moment
from numberkeep.domain.phone_number import ChangeKind

BEGAN = moment(1_572_373_530)
REFUSED = Refused("the simulated carrier does not do that")


def ask(
    carrier: SimulatedCarrier,
    kind: ChangeKind,
    seconds: float = 0,
    e164: str = "+12065550100",
    name: str = "Acme",
    id: str = "1",
) -> Answer:
    """What it answers so long after a change was asked for."""
    now = later(BEGAN, seconds=seconds)
    request = Request(id, "111111111111", e164, kind, BEGAN, now, calling_name=name)
    return asyncio.run(getattr(carrier, kind)(request))  # type: ignore[no-any-return]


@pytest.mark.parametrize(("kind", "seconds"), [("order", 4), ("set_calling_name", 72 * 3600), ("release", 0)])
def test_everything_takes_its_time(kind: ChangeKind, seconds: float) -> None:
    one = SimulatedCarrier()
    if seconds:
        assert ask(one, kind) == ask(one, kind, seconds - 1) == Pending(later(BEGAN, seconds=seconds))
    assert ask(one, kind, seconds) == Done()


def test_a_scenario_has_times_of_its_own() -> None:
    one = SimulatedCarrier(60, calling_name_hours=1, release_seconds=30)
    assert [ask(one, kind) for kind in ("order", "set_calling_name", "release")] == [
        Pending(later(BEGAN, seconds=seconds)) for seconds in (60, 3600, 30)
    ]


@pytest.mark.parametrize(
    ("kind", "ending", "name"),
    [
        ("order", "0199", "Acme"),
        ("set_calling_name", "0197", "Acme"),
        ("set_calling_name", "0100", "refused"),
        ("release", "0196", ""),
    ],
)
def test_some_things_it_refuses(kind: ChangeKind, ending: str, name: str) -> None:
    one = SimulatedCarrier(4)
    e164 = f"+1206555{ending}"
    assert ask(one, kind, 100 * 3600, e164, name) == REFUSED
    others = {"order", "set_calling_name", "release"} - {kind}
    assert [ask(one, other, 100 * 3600, e164) for other in others] == [Done(), Done()]  # type: ignore[arg-type]


def test_some_numbers_it_is_at_for_ever() -> None:
    one = SimulatedCarrier(4)
    assert ask(one, "order", 10**7, "+12065550198") == Pending(later(BEGAN, seconds=10**7 + 86400))
    with pytest.raises(TimeoutError, match="never heard of"):
        ask(one, "order", 10**7, "+12065550195")


def test_shares_hit_the_same_changes_each_time() -> None:
    def refused(one: SimulatedCarrier) -> list[bool]:
        return [ask(one, "order", id=str(id)) == REFUSED for id in range(1000)]

    one = refused(SimulatedCarrier(0, refused=0.25))
    assert one == refused(SimulatedCarrier(0, refused=0.25))
    assert 200 < sum(one) < 300


def test_a_question_that_fails_may_be_answered_the_next_time() -> None:
    one = SimulatedCarrier(0, failing=0.5)

    def fails(attempts: int) -> bool:
        try:
            asyncio.run(one.order(Request("1", "111111111111", "+12065550100", "order", BEGAN, BEGAN, attempts)))
        except ConnectionError:
            return True
        return False

    assert 30 < sum(map(fails, range(100))) < 70
