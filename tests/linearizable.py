"""Checks whether what many clients saw of one thing can have happened in some order, one call after the other.

The algorithm is Wing and Gong's, as improved by Lowe: take a call that can have been first, see whether its result is
the one that was given, continue with the rest, and never try the same rest in the same state twice.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

S = TypeVar("S", bound=Hashable)


class Call(NamedTuple):
    """What a client asked for, when it asked, when it was answered, and the answer."""

    asked: float
    answered: float
    """`NEVER` if there was no answer: then the call took effect at any later time, or not at all."""
    what: str
    argument: Any = None
    result: Any = None


NEVER = math.inf


def first_impossible(
    calls: Sequence[Call],
    state: S,
    apply: Callable[[S, Call], tuple[S, Any]],
    changes_nothing: Callable[[Call], bool],
) -> Call | None:
    """Find an order of the calls in which all answers are right, and each call comes after those that had been answered
    before it was made. Returns None if there is one, otherwise a call that no order gets beyond.

    ``apply(state, call)`` gives the state after a call and its right answer; ``changes_nothing(call)`` tells of an
    answered call whether its answer means that it changed nothing, whatever the state.
    """
    calls = sorted(calls, key=lambda call: call.asked)
    everything = (1 << len(calls)) - 1
    must = sum(1 << index for index, call in enumerate(calls) if call.answered != NEVER)
    seen: set[tuple[int, S]] = set()
    most, stuck = -1, None
    waiting = [(everything, state)]
    while waiting:
        left, state = waiting.pop()
        if not left & must:
            return None
        if (left, state) in seen:
            continue
        seen.add((left, state))
        done = (everything ^ left).bit_count()
        nexts = _nexts(calls, left, state, apply, changes_nothing)
        if done > most:
            most, stuck = done, min((calls[i] for i in _bits(left & must)), key=lambda call: call.answered)
        waiting += nexts
    return stuck


def _nexts(
    calls: Sequence[Call],
    left: int,
    state: S,
    apply: Callable[[S, Call], tuple[S, Any]],
    changes_nothing: Callable[[Call], bool],
) -> list[tuple[int, S]]:
    """The remaining calls, and the state, after one more call."""
    found = []
    deadline = NEVER
    for index in _bits(left):
        call = calls[index]
        if call.asked > deadline:
            break  # something was answered before this call and all that follow were made
        deadline = min(deadline, call.answered)
        after, result = apply(state, call)
        if call.answered == NEVER and after == state:
            continue  # it changes nothing now, but may later
        if call.answered != NEVER and result != call.result:
            continue
        if call.answered != NEVER and changes_nothing(call):  # it cannot be in the way of another, so it may come now
            return [(left ^ (1 << index), state)]
        found.append((left ^ (1 << index), after))
    # Calls that were answered first are tried first.
    return sorted(found, key=lambda one: -calls[(left ^ one[0]).bit_length() - 1].answered)


def _bits(mask: int) -> list[int]:
    return [index for index in range(mask.bit_length()) if mask >> index & 1]
