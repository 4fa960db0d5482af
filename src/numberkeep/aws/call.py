"""One call of an API: what was asked, by whom, and what is told to those who take note of it."""

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
    """A request, and what is known of it yet."""

    request: Request
    request_id: str
    source: str = CHIME_SOURCE
    """The service that was asked, as AWS CloudTrail calls it."""
    action: str | None = None
    """What is asked of another service than Chime, as its client wrote it."""
    reads: bool = False
    """Whether that changes nothing."""
    operation: Operation | None = None
    """What is asked of Chime."""
    parameters: Mapping[str, str] = {}
    """What may be seen of what is asked; of Chime's operations, what stands in path and query."""
    identity: Identity | None = None

    @property
    def name(self) -> str | None:
        """What is asked."""
        return self.operation.name if self.operation else self.action


Result = bytes | Mapping[str, Any] | Error | Refusal
"""What a call came to: Chime's answer as it is sent, or what may be seen of another service's; or why there is none."""
Observer = Callable[[ApiCall, Result], None]
"""Takes note of a call once it is answered."""
