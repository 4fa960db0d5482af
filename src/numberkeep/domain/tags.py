"""Tags: keys and values that its owner attaches to a resource."""

from collections.abc import Sequence

from msgspec import Struct

from .errors import BadRequest, ResourceLimitExceeded
from .limits import RESOURCE_TAGS


class Tag(Struct, frozen=True):
    """One tag; a resource has at most one per key."""

    key: str
    value: str


def add_tags(tags: Sequence[Tag], added: Sequence[Tag]) -> tuple[Tag, ...]:
    """Return `tags` with the `added` ones, which replace those of the same key.

    Raises BadRequest if an added key is repeated or AWS's own, ResourceLimitExceeded if there would be too many tags.
    """
    values = {tag.key: tag.value for tag in tags}
    new = {tag.key: tag.value for tag in added}
    if any(key.lower().startswith("aws:") for key in new):
        raise BadRequest("Keys of tags must not begin with aws:, which is AWS's own.")
    if len(new) < len(added):
        raise BadRequest("Tags must not hold a key twice.")
    values.update(new)
    if len(values) > RESOURCE_TAGS:
        raise ResourceLimitExceeded(f"A resource has at most {RESOURCE_TAGS} tags; this would make it {len(values)}.")
    return tuple(Tag(key, value) for key, value in values.items())
