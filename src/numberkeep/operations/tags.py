"""Tags of Voice Connectors and SIP media applications."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..domain.errors import BadRequest, NotFound
from ..domain.tags import Tag, add_tags
from ..storage.resources import SIP_MEDIA_APPLICATIONS, VOICE_CONNECTORS
from ..storage.table import Table
from ..storage.tx import Tx
from .batches import Answer

_ARN = re.compile(r"arn:aws:chime:[a-z0-9-]+:([0-9]{12}):(vc|sma)/([A-Za-z0-9-]+)")
_TABLES: dict[str, tuple[Table[Any], str]] = {
    "vc": (VOICE_CONNECTORS, "voice_connector_arn"),
    "sma": (SIP_MEDIA_APPLICATIONS, "sip_media_application_arn"),
}


def tag_resource(tx: Tx, resource_arn: str, tags: Sequence[Struct]) -> None:
    """Add tags, which replace those with the same key."""
    table, resource = _find(tx, resource_arn)
    added = msgspec.convert(tags, tuple[Tag, ...], from_attributes=True)
    table.replace(tx, replace(resource, tags=add_tags(resource.tags, added)))


def untag_resource(tx: Tx, resource_arn: str, tag_keys: Sequence[str]) -> None:
    """Remove the tags with these keys; a missing one is no error."""
    table, resource = _find(tx, resource_arn)
    table.replace(tx, replace(resource, tags=tuple(tag for tag in resource.tags if tag.key not in tag_keys)))


def list_tags_for_resource(tx: Tx, resource_arn: str) -> Answer:
    """List the tags of a resource, in the order of their first addition."""
    return {"Tags": _find(tx, resource_arn)[1].tags}


def _find(tx: Tx, arn: str) -> tuple[Table[Any], Any]:
    """Return the resource's table, and the resource. Raises BadRequest if it cannot have tags, NotFound."""
    match = _ARN.fullmatch(arn)
    if match is None or match[1] != tx.account_id:
        raise BadRequest("Invalid resource")
    table, arn_of = _TABLES[match[2]]
    resource = table.get(tx, match[3])
    if getattr(resource, arn_of) != arn:
        raise NotFound(f"Could not find a resource with the ARN {arn}")
    return table, resource
