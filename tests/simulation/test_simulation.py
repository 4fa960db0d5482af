"""Histories from a seed: the rules hold in all of them, and both engines tell the same one."""

import subprocess
import sys
from pathlib import Path

import pytest

from numberkeep.domain.events import EVENT_TYPES
from numberkeep.domain.phone_number import CALLING_NAME_MOVES, MOVES
from postgres import PostgresServer

from .__main__ import histories
from .simulation import Simulation

STEPS = 150


def test_the_rules_hold_in_a_thousand_histories() -> None:
    crashes = 0
    for _, _, crashed, _ in histories(0, 1000, 40):
        crashes += crashed
    assert crashes > 1000


@pytest.mark.parametrize("seed", range(10_000, 10_004))
def test_both_engines_tell_the_same_history(
    seed: int, tmp_path: Path, postgres_server: PostgresServer, postgres_template: str
) -> None:
    on_sqlite = Simulation(seed, tmp_path / "store")
    on_sqlite.run(STEPS)
    with postgres_server.database(postgres_template) as url:
        on_postgresql = Simulation(seed, url)
        on_postgresql.run(STEPS)
    assert on_postgresql.trace == on_sqlite.trace


def test_a_seed_has_one_digest(tmp_path: Path) -> None:
    """In every process; the last line is it."""
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "simulation", "--seed", "7", "--steps", "50"]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    simulation = Simulation(7, tmp_path / "store")
    assert told[-1] == simulation.run(50)
    assert told[:-1] == simulation.trace


def test_one_that_breaks_a_rule_tells_how_to_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(self: Simulation, *_: object) -> None:
        raise AssertionError("a number was lost")

    monkeypatch.setattr(Simulation, "_live", forget)
    with pytest.raises(AssertionError, match=r"(?s)a number was lost.*scripts/simulate --seed 3 --steps 20"):
        list(histories(3, 2, 20))


def test_a_history_is_worth_its_name(tmp_path: Path) -> None:
    """It comes to all that can happen: a simulation of refusals alone would hold to any rule."""
    seen: set[str] = set()
    told = ""
    for seed in range(200, 210):
        simulation = Simulation(seed, tmp_path / f"store{seed}")
        simulation.run(STEPS)
        seen |= simulation.seen
        told += "\n".join(simulation.trace)
    assert seen >= {status for status, _ in MOVES}
    assert seen >= {f"calling name {status}" for status, _ in CALLING_NAME_MOVES}
    assert seen >= set(EVENT_TYPES) - {"phone_number.added"}, "which comes of what is put in without an order"
    for event in ('["crash"]', "Conflict: ", "PhoneNumberAssociationsExist", "NotFound: ", '"Partial"', '"Failed"'):
        assert event in told, event
    assert '"settled"]' in told
    assert "called back" in told
