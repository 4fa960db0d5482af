"""The page Dev: buttons for the controls of /_numberkeep/: the clock, faults, and snapshots."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.responses import Response

from ...domain.errors import BadRequest, Error, NotFound
from ..control import seconds_in
from ..faults import ANY, CARRIER_FAULTS, CHANGES, DROPS, Fault
from .visit import Visit

TURNS = ("1h", "24h", "72h", "7d")
"""How far the buttons move the clock."""


async def show(visit: Visit) -> Response:
    """Show the controls."""
    return _show(visit)


def _show(visit: Visit, wrong: str = "") -> Response:
    controls = visit.console.controls
    return visit.page(
        "dev.html",
        400 if wrong else 200,
        title="Dev",
        turns=TURNS,
        ahead_seconds=visit.console.world.offset_seconds,
        faults=[armed.told() for armed in controls.faults],
        operations=controls.faults.operations,
        errors=controls.faults.errors,
        drops=DROPS,
        changes=(ANY, *CHANGES),
        carrier_faults=CARRIER_FAULTS,
        snapshots=[snapshot.told() for snapshot in controls.snapshots.values()],
        wrong=wrong,
    )


async def act(visit: Visit) -> Response:
    """Use one of the controls."""
    action = _ACTIONS.get(visit.request.path_params["action"])
    if action is None:
        raise NotFound("There is no such control.")
    try:
        done = await action(visit)
    except Error as error:
        return _show(visit, str(error))
    return visit.go("/dev", done)


async def _turn(visit: Visit) -> str:
    advance = visit.text("advance").strip()
    return f"{advance} have passed. It is {await visit.console.controls.advance(seconds_in(advance))}."


async def _add_fault(visit: Visit) -> str:
    given: dict[str, Any] = {name: text for name in Fault.__struct_fields__ if (text := visit.text(name).strip())}
    try:
        fault = msgspec.convert(given, Fault, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(f"That is no fault: {error}.") from error
    return f"Fault {visit.console.controls.faults.add(fault).id} is in force."


async def _remove_fault(visit: Visit) -> str:
    id = visit.text("id")
    visit.console.controls.faults.remove(id)
    return f"Fault {id} is removed."


async def _take(visit: Visit) -> str:
    snapshot = await visit.console.controls.take_snapshot(visit.text("name").strip())
    return f"The snapshot {snapshot.name} is taken."


async def _restore(visit: Visit) -> str:
    name = visit.text("name")
    await visit.console.controls.restore_snapshot(name)
    return f"Everything is as it was when {name} was taken."


async def _forget(visit: Visit) -> str:
    name = visit.text("name")
    visit.console.controls.remove_snapshot(name)
    return f"The snapshot {name} is forgotten."


async def _reset(visit: Visit) -> str:
    await visit.console.controls.reset()
    return "Everything has begun anew, at the real time."


_ACTIONS: dict[str, Callable[[Visit], Awaitable[str]]] = {
    "clock": _turn,
    "add-fault": _add_fault,
    "remove-fault": _remove_fault,
    "take-snapshot": _take,
    "restore-snapshot": _restore,
    "forget-snapshot": _forget,
    "reset": _reset,
}
