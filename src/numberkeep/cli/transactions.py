"""Runs one transaction on an account's part of a store, as most commands do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..config import Location
from ..session import open_session
from .options import refusing

T = TypeVar("T")


def run(database: Location, account_id: str, function: Callable[..., T], *args: Any, carriers: Path | None = None) -> T:
    """Run ``function(tx, ...)`` on the store, which is created if absent; a refusal becomes an error message of one
    line.

    Subscribers are notified of the changes, as by `open_session`.
    """

    def once() -> T:
        with open_session(database, account_id, carriers, make=True) as session:
            return session.transact(function, *args)

    return refusing(once)


def ask(database: Location, account_id: str, function: Callable[..., T], *args: Any) -> T:
    """Like `run`, for a function that writes nothing; creates no store."""

    def once() -> T:
        with open_session(database, account_id) as session:
            return session.ask(function, *args)

    return refusing(once)
