"""How each error looks to an AWS client.

There are two families, as in AWS itself. The service's own exceptions are modelled shapes with ``Code`` and
``Message``. What the framework in front of the service refuses (signatures, routes, sizes, syntax) is a
`Refusal`, with ``message`` alone.
"""

from collections.abc import Container
from typing import NamedTuple

from ..domain import errors


class Refusal(Exception):
    """The request is refused before the service sees it.

    `shape` is the AWS error type, `status` the HTTP status, and the text the message. `code` is the ErrorCode if the
    refusal has the form of the service's own errors.
    """

    def __init__(self, status: int, shape: str, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.shape = shape
        self.code = code


def denied(flavour: str, message: str) -> Refusal:
    """Return the refusal for a caller whose policies do not allow an operation. In ``chime`` it is the service's own
    exception, which all its operations declare; in newer services it is AWS's common one."""
    if flavour == "chime":
        return Refusal(403, "ForbiddenException", message, "Forbidden")
    return Refusal(403, "AccessDeniedException", message)


class Dropped(Refusal):
    """The request gets no response: its connection is closed."""

    def __init__(self) -> None:
        super().__init__(0, "", "The connection was closed unanswered.")


class Shape(NamedTuple):
    """A modelled exception: its name and its HTTP status."""

    name: str
    status: int


SHAPES: dict[type[errors.Error], Shape] = {
    errors.BadRequest: Shape("BadRequestException", 400),
    errors.NotFound: Shape("NotFoundException", 404),
    errors.Conflict: Shape("ConflictException", 409),
    errors.Unprocessable: Shape("UnprocessableEntityException", 422),
    errors.ResourceLimitExceeded: Shape("ResourceLimitExceededException", 400),
    errors.Throttled: Shape("ThrottledClientException", 429),
    errors.ServiceFailure: Shape("ServiceFailureException", 500),
    errors.OperationNotImplemented: Shape("OperationNotImplementedException", 501),
    errors.ServiceUnavailable: Shape("ServiceUnavailableException", 503),
}


def shape_of(error: errors.Error) -> Shape:
    """Return the shape of `error`'s class, or of its nearest ancestor that has one."""
    return next(SHAPES[kind] for kind in type(error).__mro__ if kind in SHAPES)


def declared(error: errors.Error, names: Container[str]) -> errors.Error:
    """Return `error` as it is answered by an operation that declares the exceptions `names`.

    A client error that is not declared becomes a BadRequest, which every operation declares, with the same code.
    Throttling is answered as it is, or the client would not wait.
    """
    shape = shape_of(error)
    if shape.status >= 500 or shape.status == 429 or shape.name in names:
        return error
    return errors.BadRequest(str(error), error.code)
