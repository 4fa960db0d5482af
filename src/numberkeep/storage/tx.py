"""One transaction: who asks, at what moment, against which rows."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol

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


class Tx:
    """What an operation sees of the world. Everything that it writes is kept, or none of it is."""

    __slots__ = (
        "account_id",
        "answers",
        "caller",
        "dice",
        "execute",
        "known",
        "now",
        "pool",
        "quotas",
        "request_id",
        "subscribers",
        "token_secret",
        "write",
    )

    def __init__(
        self,
        caller: Caller,
        request_id: str,
        now: Timestamp,
        execute: Callable[..., Rows],
        write: Callable[..., object],
        known: dict[Hashable, Any],
        answers: Answers,
        pool: Pool,
        quotas: Mapping[str, int],
        dice: Dice,
        token_secret: bytes,
        subscribers: Subscribers | None,
    ) -> None:
        self.caller = caller
        self.account_id = caller.account_id
        self.request_id = request_id
        self.now = now
        """The one moment at which all of this transaction happens."""
        self.execute = execute
        """Runs a SELECT: ``execute(sql, parameters)``."""
        self.write = write
        """Runs a statement that changes rows."""
        self.known = known
        """What rows hold, of those that were read or written: whoever writes a row keeps this in step."""
        self.answers = answers
        """What the API tells of numbers, as far as it was made before."""
        self.pool = pool
        self.quotas = quotas
        """How many of a thing the account may have: `numberkeep.domain.limits`."""
        self.dice = dice
        self.token_secret = token_secret
        """What the store's page tokens are sealed with."""
        self.subscribers = subscribers
        """None if nobody is told of anything."""

    def new_id(self) -> str:
        """A random UUID in lower case."""
        return self.dice.new_id()
