"""One transaction: who asks, at what moment, against which rows."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from ..domain.caller import Caller
from ..domain.events import EventType
from ..domain.moment import Timestamp
from .answers import Answers

Row = Sequence[Any]


class Rows(Protocol):
    """What a statement gives back."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Pool(Protocol):
    """The numbers that can be ordered."""

    def search(self, account_id: str, *, after: str | None, **filters: str | None) -> Iterator[str]:
        """The numbers that an account can order and that meet all filters, ascending, those after `after`."""


class Dice(Protocol):
    """Where new identifiers come from."""

    def new_id(self) -> str: ...
    def new_change_id(self) -> int: ...
    def new_code(self, length: int) -> str: ...
    def new_secret(self) -> str: ...


Subscribers = Callable[[str, str, EventType], Sequence[str]]
"""Who is to be told of an event: by the account, the number, and what it is called."""


class Tx(Struct):
    """What an operation sees of the world. Everything that it writes is kept, or none of it is."""

    caller: Caller
    request_id: str
    now: Timestamp
    """The one moment at which all of this transaction happens."""
    execute: Callable[..., Rows]
    """Runs a SELECT: ``execute(sql, parameters)``."""
    write: Callable[..., object]
    """Runs a statement that changes rows."""
    known: dict[Hashable, Any]
    """What rows hold, of those that were read or written: whoever writes a row keeps this in step."""
    kept: Answers
    """What the API tells of numbers, as far as it was made before."""
    pool: Pool
    quotas: Mapping[str, int]
    """How many of a thing the account may have: `numberkeep.domain.limits`."""
    dice: Dice
    token_secret: bytes
    """What the store's page tokens are sealed with."""
    subscribers: Subscribers | None
    """None if nobody is told of anything."""
    account_id: str = ""
    """The caller's."""

    def __post_init__(self) -> None:
        self.account_id = self.caller.account_id

    def new_id(self) -> str:
        """A random UUID in lower case."""
        return self.dice.new_id()
