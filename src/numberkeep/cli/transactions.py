"""What most commands do: one transaction on an account's part of a store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..config import Location
from ..session import open_session
from .options import refusing

T = TypeVar("T")


def run(database: Location, account_id: str, function: Callable[..., T], *args: Any, carriers: Path | None = None) -> T:
    """Run ``function(tx, ...)`` on the store, which is made if it is absent; what it refuses is said in one line.

    Subscribers are told of what it does, as `open_session` has it.
    """

    def once() -> T:
        with open_session(database, account_id, carriers, make=True) as session:
            return session.transact(function, *args)

    return refusing(once)


def ask(database: Location, account_id: str, function: Callable[..., T], *args: Any) -> T:
    """`run` for what writes nothing, and makes no store."""

    def once() -> T:
        with open_session(database, account_id) as session:
            return session.ask(function, *args)

    return refusing(once)
