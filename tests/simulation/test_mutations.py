"""`scripts/mutate` breaks what is there."""

import ast

import pytest

from .mutations import BREAKS, SOURCE, Break


@pytest.mark.parametrize("one", BREAKS, ids=lambda one: one.rule)
def test_a_break_applies(one: Break) -> None:
    """What it replaces stands there once, and what comes of it is a program."""
    text = (SOURCE / "numberkeep" / one.file).read_text()
    assert text.count(one.old) == 1
    ast.parse(text.replace(one.old, one.new))
