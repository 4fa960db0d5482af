"""One API call as observers are told of it: the request, the caller and the result."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from ..domain.errors import Error
from .errors import Refusal
from .message import Request
from .model import Operation
from .sigv4 import Identity

CHIME_SOURCE = "chime.amazonaws.com"


class ApiCall(Struct):
    """A request, and what is known about it so far."""

    request: Request
    request_id: str
    source: str = CHIME_SOURCE
    """The service that was called, by its name in AWS CloudTrail."""
    action: str | None = None
    """The operation of a service other than Chime, as the client wrote it."""
    reads: bool = False
    """Whether `action` changes nothing."""
    operation: Operation | None = None
    """The operation of Chime."""
    parameters: Mapping[str, str] = {}
    """The parameters that may be shown; for Chime's operations, all those in path and query."""
    identity: Identity | None = None

    @property
    def name(self) -> str | None:
        """The name of the operation, if known."""
        return self.operation.name if self.operation else self.action


Result = bytes | Mapping[str, Any] | Error | Refusal
"""A call's result: Chime's response body as sent, what may be shown of another service's response, or an error."""
Observer = Callable[[ApiCall, Result], None]
"""Called with a call and its result once it is answered."""
