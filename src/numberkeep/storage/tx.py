"""One transaction, as an operation sees it: the caller, the time and the rows."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from ..domain.caller import Caller
from ..domain.events import EventType
from ..domain.moment import Timestamp
from .answers import Answers

Row = Sequence[Any]


class Rows(Protocol):
    """The result of a statement."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Pool(Protocol):
    """The numbers that can be ordered."""

    def search(self, account_id: str, *, after: str | None, **filters: str | None) -> Iterator[str]:
        """Yield the numbers after `after` that an account can order and that meet all filters, ascending."""


class Dice(Protocol):
    """The source of new identifiers and secrets."""

    def new_id(self) -> str: ...
    def new_change_id(self) -> int: ...
    def new_code(self, length: int) -> str: ...
    def new_secret(self) -> str: ...


Subscribers = Callable[[str, str, EventType], Sequence[str]]
"""Returns the names of the subscribers to an event, given account, number and event type."""


class Tx(Struct):
    """The transaction that an operation runs in. All that it writes is kept, or none of it."""

    caller: Caller
    request_id: str
    now: Timestamp
    """The time, which is the same throughout the transaction."""
    execute: Callable[..., Rows]
    """Runs a SELECT: ``execute(sql, parameters)``."""
    write: Callable[..., object]
    """Runs a statement that changes rows."""
    known: dict[Hashable, Any]
    """A cache of rows that were read or written; code that writes a row must update it."""
    kept: Answers
    """A cache of the API's JSON for numbers."""
    pool: Pool
    quotas: Mapping[str, int]
    """How many of each resource the account may have: see `numberkeep.domain.limits`."""
    dice: Dice
    token_secret: bytes
    """The HMAC key of the store's page tokens."""
    subscribers: Subscribers | None
    """None if there are no subscribers."""
    account_id: str = ""
    """The caller's account."""

    def __post_init__(self) -> None:
        self.account_id = self.caller.account_id

    def new_id(self) -> str:
        """Return a random UUID in lower case."""
        return self.dice.new_id()
