"""Limits on how many items one request may hold, and one account may have."""

from collections.abc import Callable, Mapping, Sequence

from .errors import BadRequest, ResourceLimitExceeded

BATCH_PHONE_NUMBERS = 50
"""Phone numbers in one batch, from Amazon Chime's service authorization reference."""
ORDER_PHONE_NUMBERS = 50
"""Phone numbers in one order. AWS documents no limit; this is the one for batches."""
RESOURCE_TAGS = 50
"""Tags of one resource, from TagList in the API reference."""
ORIGINATION_ROUTES = 20
"""Routes of a Voice Connector, from OriginationRouteList in the API reference."""
TERMINATION_CREDENTIALS = 10
"""Users that a Voice Connector accepts calls from. AWS documents no limit; hashing a password takes time."""

QUOTAS = {
    "voice_connectors": 3,
    "voice_connector_groups": 3,
    "voice_connectors_per_group": 3,
    "sip_media_applications": 30,
    "sip_media_applications_per_rule": 25,
    "sip_rules": 0,
    "phone_numbers": 0,
}
"""An account's default quotas under `serve`, from AWS's "Amazon Chime SDK endpoints and quotas"; 0 means no limit.
Voice Connectors are counted by region. Phone numbers have no limit: AWS's five would be no inventory."""

_WORDS = {
    "voice_connectors": "Voice Connectors in a region",
    "voice_connector_groups": "Voice Connector groups",
    "voice_connectors_per_group": "Voice Connectors in a group",
    "sip_media_applications": "SIP media applications",
    "sip_media_applications_per_rule": "SIP media applications of a SIP rule",
    "sip_rules": "SIP rules",
}


def check_list(what: str, items: Sequence[str], most: int, noun: str = "phone number") -> None:
    """Raise BadRequest unless there are 1 to `most` items and no two are the same."""
    if not 1 <= len(items) <= most:
        raise BadRequest(f"{what} must hold 1 to {most} {noun}s; it holds {len(items)}.")
    check_distinct(what, items, noun)


def check_distinct(what: str, items: Sequence[str], noun: str) -> None:
    """Raise BadRequest if two items are the same; the message gives the second one's position, not its value."""
    seen: set[str] = set()
    for place, item in enumerate(items, 1):
        if item in seen:
            raise BadRequest(f"{what} must not hold a {noun} twice; item {place} is there before.")
        seen.add(item)


def check_quota(quotas: Mapping[str, int], name: str, count: Callable[[], int]) -> None:
    """Raise ResourceLimitExceeded if `count()` is above the quota `name`, one of the keys of QUOTAS.

    `count` is not called if there is no limit.
    """
    most = quotas.get(name, 0)
    if most and (counted := count()) > most:
        words = _WORDS.get(name, name.replace("_", " "))
        raise ResourceLimitExceeded(f"The account may have {most} {words}; this would make it {counted}.")
