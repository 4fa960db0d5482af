"""What can be wrong with a request, in words for the one who sent it.

A class is named by its AWS ErrorCode, which batch answers carry for each item. Which HTTP answer an error
becomes is not known here: `numberkeep.aws.errors` holds that table.
"""

from collections.abc import Callable


class Error(Exception):
    """The request is refused; the text names the rule that it broke.

    `code` is AWS's ErrorCode if it is a more telling one than the class's name.
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).__name__


class BadRequest(Error):
    """The input breaks a rule of the service."""


class PhoneNumberAssociationsExist(BadRequest):
    """The phone number is assigned, and what was asked for needs a number that is not."""


class NotFound(Error):
    """The account has no such resource."""


class Conflict(Error):
    """The resource is in a state that does not allow this now, and will later."""


class Unprocessable(Error):
    """The request is understood, and what it is about is not ready for it."""


class ResourceLimitExceeded(Error):
    """The account has as many of these as it may have."""


class Throttled(Error):
    """The account calls this operation too often."""


class ServiceUnavailable(Error):
    """The service cannot do this at the moment; nothing was changed; try again."""


class ServiceFailure(Error):
    """The service has failed at this; the cause is in its log."""


class OperationNotImplemented(Error):
    """The operation exists in the API, and this server does not serve it."""


class Awaited(Exception):
    """What is needed to decide is still being read: no error, but a reason to begin again later.

    ``resume_with(callback)`` has `callback` called when that may succeed, on the event loop. What was read is there
    while it is called, and need not be any longer.
    """

    def __init__(self, resume_with: Callable[[Callable[[], None]], None]) -> None:
        super().__init__()
        self.resume_with = resume_with
