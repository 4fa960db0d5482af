"""The one table: how each error looks to an AWS client.

Two families, as in AWS itself. The service's own exceptions are modelled shapes and carry ``Code`` and
``Message``. What the framework in front of the service refuses (signatures, routes, sizes, syntax) is a
`Refusal` and carries ``message`` alone.
"""

from collections.abc import Container
from typing import NamedTuple

from ..domain import errors


class Refusal(Exception):
    """The request is refused before the service sees it.

    `shape` is the AWS error type, `status` the HTTP status, and the text the message. `code` is the ErrorCode if it is
    refused as the service itself would do it.
    """

    def __init__(self, status: int, shape: str, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.shape = shape
        self.code = code


def denied(flavour: str, message: str) -> Refusal:
    """What is answered to a caller whose policies do not allow an operation. Under ``chime`` that is the service's own
    exception, which all its operations declare; in front of the newer services stands AWS's common one."""
    if flavour == "chime":
        return Refusal(403, "ForbiddenException", message, "Forbidden")
    return Refusal(403, "AccessDeniedException", message)


class Dropped(Refusal):
    """The request gets no answer: its connection is closed."""

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
    """The shape of `error`'s class, or of the nearest of its ancestors that has one."""
    return next(SHAPES[kind] for kind in type(error).__mro__ if kind in SHAPES)


def declared(error: errors.Error, names: Container[str]) -> errors.Error:
    """`error`, as an operation answers it that declares exceptions of these `names`.

    A client's fault that is not among them is a BadRequest, which every operation declares; the code tells which. That
    the client asks too often is told as it is, or it would not wait.
    """
    shape = shape_of(error)
    if shape.status >= 500 or shape.status == 429 or shape.name in names:
        return error
    return errors.BadRequest(str(error), error.code)
