"""The one table: how each error looks to an AWS client.

Two families, as in AWS itself. The service's own exceptions are modelled shapes and carry ``Code`` and
``Message``. What the framework in front of the service refuses (signatures, routes, sizes, syntax) is a
`Refusal` and carries ``message`` alone.
"""

from typing import NamedTuple

from ..domain import errors


class Refusal(Exception):  # noqa: N818 - AWS's own names end in Exception, ours say what they are
    """The request is refused before the service sees it.

    `shape` is the AWS error type, `status` the HTTP status, and the text the message.
    """

    def __init__(self, status: int, shape: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.shape = shape


class Shape(NamedTuple):
    """A modelled exception: its name, its short ``Code``, its HTTP status."""

    name: str
    code: str
    status: int


SHAPES: dict[type[Exception], Shape] = {
    errors.BadRequest: Shape("BadRequestException", "BadRequest", 400),
    errors.PhoneNumberAssociationsExist: Shape("BadRequestException", "PhoneNumberAssociationsExist", 400),
    errors.ResourceLimitExceeded: Shape("ResourceLimitExceededException", "ResourceLimitExceeded", 400),
    errors.NotFound: Shape("NotFoundException", "NotFound", 404),
    errors.Conflict: Shape("ConflictException", "Conflict", 409),
    errors.NotImplementedByServer: Shape("NotImplementedException", "NotImplemented", 501),
    errors.ServiceUnavailable: Shape("ServiceUnavailableException", "ServiceUnavailable", 503),
    Exception: Shape("ServiceFailureException", "ServiceFailure", 500),
}


def shape_of(error: Exception) -> Shape:
    """The shape of `error`: its own, or that of the nearest of its ancestors."""
    return next(SHAPES[kind] for kind in type(error).__mro__ if kind in SHAPES)
