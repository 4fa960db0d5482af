"""Snapshots: states of the world that tests return to."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from ..domain.moment import Timestamp
from ..storage import store
from ..storage.tx import Row, Tx
from .faults import Armed


class Snapshot(Struct, frozen=True):
    """All data of all accounts, and the faults in force, at one moment."""

    name: str
    time: Timestamp
    rows: Mapping[str, Sequence[Row]]
    """The rows of each table."""
    faults: tuple[Armed, ...]

    def told(self) -> dict[str, Any]:
        """The snapshot as the admin port shows it."""
        return {"name": self.name, "time": self.time, "numbers": len(self.rows["phone_numbers"])}


def take(tx: Tx, name: str, faults: tuple[Armed, ...]) -> Snapshot:
    """Take a snapshot of the world as it is."""
    return Snapshot(name, tx.now, store.dump(tx), faults)
