"""What most commands do: one transaction on an account's part of a store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .. import maintenance
from ..config import Location
from .options import refusing

T = TypeVar("T")


def run(database: Location, account_id: str, function: Callable[..., T], *args: Any, carriers: Path | None = None) -> T:
    """Run ``function(tx, ...)`` on the store; what it refuses is said in one line."""
    return refusing(lambda: maintenance.run(database, account_id, function, *args, carriers=carriers))


def ask(database: Location, account_id: str, function: Callable[..., T], *args: Any) -> T:
    """`run` for what writes nothing, and makes no store."""

    def once() -> T:
        with maintenance.open_session(database, account_id) as session:
            return session.ask(function, *args)

    return refusing(once)
