"""Histories from a seed: the rules hold in all of them, and both engines tell the same one."""

from pathlib import Path

import pytest

from numberkeep.domain.phone_number import CALLING_NAME_MOVES, MOVES
from postgres import PostgresServer

from .simulation import Simulation

STEPS = 150


@pytest.mark.parametrize("seed", range(20))
def test_the_rules_hold(seed: int, tmp_path: Path) -> None:
    Simulation(seed, tmp_path / "store").run(STEPS)


@pytest.mark.parametrize("seed", range(100, 104))
def test_both_engines_tell_the_same_history(
    seed: int, tmp_path: Path, postgres_server: PostgresServer, postgres_template: str
) -> None:
    on_sqlite = Simulation(seed, tmp_path / "store")
    on_sqlite.run(STEPS)
    with postgres_server.database(postgres_template) as url:
        on_postgresql = Simulation(seed, url)
        on_postgresql.run(STEPS)
    assert on_postgresql.trace == on_sqlite.trace


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
    for event in ('["crash"]', "Conflict: ", "PhoneNumberAssociationsExist", "NotFound: ", '"Partial"', '"Failed"'):
        assert event in told, event
