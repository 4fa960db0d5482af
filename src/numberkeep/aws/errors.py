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

    `shape` is the AWS error type, `status` the HTTP status, and the text the message.
    """

    def __init__(self, status: int, shape: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.shape = shape


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
    errors.ServiceFailure: Shape("ServiceFailureException", 500),
    errors.OperationNotImplemented: Shape("OperationNotImplementedException", 501),
    errors.ServiceUnavailable: Shape("ServiceUnavailableException", 503),
}


def shape_of(error: errors.Error, declared: Container[str] | None = None) -> Shape:
    """The shape of `error`'s class, or of the nearest of its ancestors that has one.

    What an operation may raise its model says; a client's fault that is not among the `declared` is a
    BadRequestException, which every operation declares.
    """
    shape = next(SHAPES[kind] for kind in type(error).__mro__ if kind in SHAPES)
    if declared is not None and shape.status < 500 and shape.name not in declared:
        return SHAPES[errors.BadRequest]
    return shape
