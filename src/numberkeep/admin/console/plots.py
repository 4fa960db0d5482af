"""Plots for the pages: the place of every column and line in the picture, and the same figures as a table."""

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 10, 24
"""The margins around the figures, for the scales."""
MOST_STEPS = 5
"""Of the scale at the left."""
LABEL = 80
"""The width of a label below the picture."""
FEWEST_MOMENTS = 30
"""There is always room for this many moments."""

Figures = Mapping[str, tuple[int, Sequence[T]]]
"""By the name of each series: the number of its colour in the style sheet, and one figure for each moment."""


class Bar(Struct, frozen=True):
    """One figure, as a segment of a column."""

    colour: int
    x: float
    y: float
    width: float
    height: float
    says: str


class Line(Struct, frozen=True):
    """Consecutive figures of a series."""

    colour: int
    points: str
    """In the syntax of SVG."""


class Plot(Struct, frozen=True):
    """A picture of some figures, and the figures themselves."""

    title: str
    scale: Sequence[tuple[float, str]]
    """The marks at the left: height and text."""
    labels: Sequence[tuple[float, str]]
    """The marks below: place and moment."""
    series: Sequence[tuple[str, int]]
    """The name and colour of each series."""
    rows: Sequence[tuple[str, Sequence[str]]]
    """The figures as text: for each moment, one of each series."""
    bars: Sequence[Bar] = ()
    lines: Sequence[Line] = ()
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT


def columns(title: str, moments: Sequence[str], figures: Figures[int]) -> Plot:
    """Plot a column for each moment, in which the series are stacked."""
    heights = map(sum, zip(*(values for _, values in figures.values()), strict=True))
    step = _step_of(max(heights, default=0), whole=True)
    width = _width_of(moments)
    bars: list[Bar] = []
    for index, moment in enumerate(moments):
        below = 0
        for name, (colour, values) in figures.items():
            if value := values[index]:
                top, bottom = _y(below + value, step), _y(below, step)
                x = LEFT + index * width
                says = f"{moment}: {value:,} {name}"
                bars.append(Bar(colour, round(x, 1), top, round(width * 0.85, 1), round(bottom - top, 1), says))
                below += value
    rows = [(moment, [f"{values[index]:,}" for _, values in figures.values()]) for index, moment in enumerate(moments)]
    return Plot(title, _scale(step), _labels(moments, width), _series(figures), rows, bars=bars)


def lines(title: str, moments: Sequence[str], figures: Figures[float | None]) -> Plot:
    """Plot a line for each series, which is broken where there is no figure."""
    highest = max((value for _, values in figures.values() for value in values if value is not None), default=0)
    step = _step_of(highest, whole=False)
    width = _width_of(moments)
    found: list[Line] = []
    for colour, values in figures.values():
        points: list[str] = []
        for index, value in enumerate([*values, None]):
            if value is not None:
                points.append(f"{LEFT + (index + 0.425) * width:.1f},{_y(value, step)}")
            elif points:
                if len(points) == 1:  # a single point would be invisible
                    x, y = points[0].split(",")
                    points.append(f"{float(x) + 2:.1f},{y}")
                found.append(Line(colour, " ".join(points)))
                points = []
    rows = [
        (moment, ["—" if (value := values[index]) is None else f"{value:,.1f}" for _, values in figures.values()])
        for index, moment in enumerate(moments)
    ]
    return Plot(title, _scale(step), _labels(moments, width), _series(figures), rows, lines=found)


def _series(figures: Figures[T]) -> list[tuple[str, int]]:
    return [(name, colour) for name, (colour, _) in figures.items()]


def _width_of(moments: Sequence[str]) -> float:
    return (WIDTH - LEFT - RIGHT) / max(FEWEST_MOMENTS, len(moments))


def _step_of(highest: float, *, whole: bool) -> float:
    """The step of the scale: 1, 2 or 5 times a power of ten."""
    least = max(highest / MOST_STEPS, 1e-3)
    power = 10.0 ** floor(log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999999)
    return max(1, ceil(step)) if whole else step


def _y(value: float, step: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / (step * MOST_STEPS), 1)


def _scale(step: float) -> list[tuple[float, str]]:
    texts = [f"{count * step:,.3f}".rstrip("0").rstrip(".") for count in range(MOST_STEPS + 1)]
    return [(_y(count * step, step), text) for count, text in enumerate(texts)]


def _labels(moments: Sequence[str], width: float) -> list[tuple[float, str]]:
    places = [(round(LEFT + index * width, 1), moment) for index, moment in enumerate(moments)]
    return [(x, moment) for x, moment in places[:: ceil(LABEL / width)] if x + LABEL <= WIDTH]
