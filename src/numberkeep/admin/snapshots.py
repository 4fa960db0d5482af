"""Snapshots: a world that tests come back to."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from ..domain.moment import Timestamp
from ..storage import store
from ..storage.tx import Row, Tx
from .faults import Armed


class Snapshot(Struct, frozen=True):
    """All that accounts have, and the faults in force, at one moment."""

    name: str
    time: Timestamp
    rows: Mapping[str, Sequence[Row]]
    """By table."""
    faults: tuple[Armed, ...]

    def told(self) -> dict[str, Any]:
        """As the admin port tells it."""
        return {"name": self.name, "time": self.time, "numbers": len(self.rows["phone_numbers"])}


def take(tx: Tx, name: str, faults: tuple[Armed, ...]) -> Snapshot:
    """The world as it is."""
    return Snapshot(name, tx.now, store.dump(tx), faults)
