"""A self-hosted phone-number service that speaks the Amazon Chime API."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .testing import Running


def running(**options: Any) -> "Running":
    """A service in this process, on free ports of loopback: ``with numberkeep.running() as nk:``.

    It answers as `numberkeep dev` does; what can be done with it, and the options: `numberkeep.testing`.
    """
    from .testing import running  # all of the service is behind it

    return running(**options)
