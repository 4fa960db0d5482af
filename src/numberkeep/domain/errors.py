"""The errors that a request can cause, with messages for its sender.

Each class is named after its AWS ErrorCode, which batch responses carry for each failed item. The HTTP response
to an error is not defined here, but by the table in `numberkeep.aws.errors`.
"""

from collections.abc import Callable


class Error(Exception):
    """The request is refused; the message names the rule that it broke.

    `code` is AWS's ErrorCode where that is more specific than the class name.
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).__name__


class BadRequest(Error):
    """The input breaks a rule of the service."""


class PhoneNumberAssociationsExist(BadRequest):
    """The phone number is assigned, and the request needs a number that is not."""


class NotFound(Error):
    """The account has no such resource."""


class Conflict(Error):
    """The resource's present state does not allow this; a later one will."""


class Unprocessable(Error):
    """The request is valid, but its resource is not ready for it."""


class ResourceLimitExceeded(Error):
    """There would be more of these than the account, or a resource, may have."""


class Throttled(Error):
    """The account calls this operation too often."""


class ServiceUnavailable(Error):
    """A temporary failure: retry. Unless the message says otherwise, nothing was changed."""


class ServiceFailure(Error):
    """The service failed unexpectedly; the cause is in its log."""


class OperationNotImplemented(Error):
    """The operation exists in the API, but this server does not serve it."""


class Awaited(Exception):
    """Data needed for a decision is still being read: not an error, but a signal to retry later.

    ``resume_with(callback)`` arranges for `callback` to be called, on the event loop, when a retry may succeed. The
    data is available while `callback` runs, and not necessarily longer.
    """

    def __init__(self, resume_with: Callable[[Callable[[], None]], None]) -> None:
        super().__init__()
        self.resume_with = resume_with
