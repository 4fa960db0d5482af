"""A self-hosted phone-number service that speaks the Amazon Chime API."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .testing import Running


def running(**options: Any) -> "Running":
    """Run a service in this process, on free ports of the loopback interface: ``with numberkeep.running() as nk:``.

    It answers like `numberkeep dev`. For its methods and the options, see `numberkeep.testing`.
    """
    from .testing import running  # importing it imports the whole service

    return running(**options)
