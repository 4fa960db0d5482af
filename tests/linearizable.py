"""Whether what many clients saw of one thing can have happened one after the other.

The search is Wing and Gong's, as Lowe has it: take what can have happened first, see whether its result is the one that
was told, go on with the rest, and never look twice at the same rest in the same state.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

S = TypeVar("S", bound=Hashable)


class Call(NamedTuple):
    """What a client asked, from when to when, and what it was told."""

    asked: float
    answered: float
    """`NEVER` if it was not: then it happened at any time after it was asked, or did not."""
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
    """None if there is an order in which all was told truly, in which what was answered before another was asked comes
    first. Else a call that no order comes beyond.

    ``apply(state, call)`` gives the state after a call and what it is to be told; ``changes_nothing(call)`` tells of a
    call that was answered whether that answer is one that changes nothing, whatever the state.
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
    """What can be left, and the state, after one more call."""
    found = []
    deadline = NEVER
    for index in _bits(left):
        call = calls[index]
        if call.asked > deadline:
            break  # something was answered before this and all that follow were asked
        deadline = min(deadline, call.answered)
        after, result = apply(state, call)
        if call.answered == NEVER and after == state:
            continue  # it changes nothing now, and may later
        if call.answered != NEVER and result != call.result:
            continue
        if call.answered != NEVER and changes_nothing(call):  # it stands in nobody's way, so it may as well come now
            return [(left ^ (1 << index), state)]
        found.append((left ^ (1 << index), after))
    # Those that were answered soonest are tried first.
    return sorted(found, key=lambda one: -calls[(left ^ one[0]).bit_length() - 1].answered)


def _bits(mask: int) -> list[int]:
    return [index for index in range(mask.bit_length()) if mask >> index & 1]
