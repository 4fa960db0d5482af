"""The one table of errors agrees with the service models."""

import pytest

from numberkeep.aws.errors import SHAPES, Shape, shape_of
from numberkeep.aws.model import load
from numberkeep.domain import errors

MODELS = [load("chime"), load("chime-sdk-voice")]
CLASSES = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.Error)]
OURS = {"OperationNotImplementedException"}
"""AWS has no word for it: every operation of its models is implemented there."""


@pytest.mark.parametrize("shape", SHAPES.values())
def test_every_shape_is_modelled_with_its_status(shape: Shape) -> None:
    if shape.name not in OURS:
        for model in MODELS:
            assert model["shapes"][shape.name]["error"]["httpStatusCode"] == shape.status


@pytest.mark.parametrize("kind", [one for one in CLASSES if one is not errors.Error])
def test_every_error_has_a_shape_and_a_modelled_code(kind: type[errors.Error]) -> None:
    error = kind("rule")
    if shape_of(error).name not in OURS:
        assert error.code in MODELS[0]["shapes"]["ErrorCode"]["enum"]


def test_an_error_without_a_shape_has_its_ancestors() -> None:
    assert shape_of(errors.PhoneNumberAssociationsExist("x")) == Shape("BadRequestException", 400)
