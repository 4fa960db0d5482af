"""Where figures stand in a picture."""

from itertools import pairwise

import pytest

from numberkeep.admin.console import plots
from numberkeep.admin.console.plots import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH


def test_columns_stand_on_each_other_and_on_the_ground() -> None:
    plot = plots.columns("Numbers", ["Monday", "Tuesday"], {"good": (3, [3, 0]), "bad": (6, [2, 5])})
    ground, full = HEIGHT - BOTTOM, HEIGHT - TOP - BOTTOM
    good, bad, other = plot.bars
    assert good.y + good.height == ground
    assert bad.y + bad.height == pytest.approx(good.y)
    assert (other.y, other.height) == (bad.y, pytest.approx(full))
    assert good.height == pytest.approx(full * 3 / 5, abs=0.1)
    assert (good.colour, bad.colour, other.colour) == (3, 6, 6)
    assert (good.x, other.x) == (LEFT, pytest.approx(LEFT + (WIDTH - LEFT - RIGHT) / 30, abs=0.1))
    assert other.says == "Tuesday: 5 bad"
    assert plot.rows == [("Monday", ["3", "2"]), ("Tuesday", ["0", "5"])]
    assert [text for _, text in plot.scale] == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("highest", "top"), [(0, "5"), (4, "5"), (6, "10"), (99, "100"), (101, "250"), (1_000_000, "1,000,000")]
)
def test_the_scale_is_round_and_reaches_above_the_highest(highest: int, top: str) -> None:
    scale = plots.columns("Numbers", ["Monday"], {"good": (0, [highest])}).scale
    assert scale[-1] == (TOP, top)
    assert scale[0] == (HEIGHT - BOTTOM, "0")


def test_lines_are_broken_where_there_is_no_figure() -> None:
    plot = plots.lines(
        "Milliseconds", list("abcde"), {"half": (1, [1.0, 2.0, None, None, 0.5]), "all": (2, [None] * 5)}
    )
    first, alone = plot.lines
    assert len(first.points.split()) == 2
    assert len(alone.points.split()) == 2, "one point is drawn as a dash"
    assert (first.colour, alone.colour) == (1, 1)
    assert plot.rows[2:4] == [("c", ["—", "—"]), ("d", ["—", "—"])]
    assert plot.scale[-1][1] == "2.5"


def test_labels_have_room() -> None:
    plot = plots.columns("Numbers", [str(index) for index in range(180)], {"good": (0, [1] * 180)})
    xs = [x for x, _ in plot.labels]
    assert all(later - earlier >= 80 for earlier, later in pairwise(xs))
    assert plot.labels[0] == (LEFT, "0")
    assert xs[-1] + 80 <= WIDTH


def test_nothing_to_draw() -> None:
    assert plots.columns("Numbers", [], {}).bars == []
    assert plots.columns("Numbers", ["Monday"], {}).rows == [("Monday", [])]
