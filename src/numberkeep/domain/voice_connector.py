"""Voice Connectors and their groups: the SIP trunks that calls to and from phone numbers use."""

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any, Literal

from msgspec import Struct
from phonenumbers import SUPPORTED_REGIONS

from .errors import BadRequest
from .limits import ORIGINATION_ROUTES
from .moment import Timestamp
from .tags import Tag

Region = Literal[
    "us-east-1",
    "us-west-2",
    "ca-central-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "ap-northeast-2",
    "ap-northeast-1",
    "ap-southeast-1",
    "ap-southeast-2",
]
REGIONS: tuple[str, ...] = Region.__args__  # type: ignore[attr-defined]
"""The regions that a Voice Connector or a SIP media application can be in."""
DEFAULT_REGION = "us-east-1"
ID_LENGTH = 22
GROUP_ID_LENGTH = 21

_HOST_SUFFIX = ".voiceconnector.chime.aws"
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]", re.I)


class VoiceConnector(Struct, frozen=True, kw_only=True):
    """A SIP trunk of the account."""

    voice_connector_id: str
    aws_region: str
    name: str
    require_encryption: bool = True
    integration_type: str | None = None
    network_type: str = "IPV4_ONLY"
    voice_connector_arn: str
    created_timestamp: Timestamp
    updated_timestamp: Timestamp
    tags: tuple[Tag, ...] = ()

    @property
    def outbound_host_name(self) -> str:
        return self.voice_connector_id + _HOST_SUFFIX


class VoiceConnectorItem(Struct, frozen=True):
    """A Voice Connector in a group; calls go to the lowest priority first."""

    voice_connector_id: str
    priority: int | None = None


class VoiceConnectorGroup(Struct, frozen=True, kw_only=True):
    """A group of Voice Connectors that are fallbacks for each other."""

    voice_connector_group_id: str
    name: str
    voice_connector_items: tuple[VoiceConnectorItem, ...] = ()
    call_distribution_type: str = "PriorityWeightedDistribution"
    voice_connector_group_arn: str
    created_timestamp: Timestamp
    updated_timestamp: Timestamp


def id_of_host_name(host_name: str) -> str | None:
    """Return the id of the Voice Connector with this OutboundHostName; None if it is no such name."""
    host_name = host_name.lower()
    return host_name.removesuffix(_HOST_SUFFIX) if host_name.endswith(_HOST_SUFFIX) else None


def check_origination(origination: Mapping[str, Any]) -> None:
    """Raise BadRequest if `origination` is empty, has too many Routes, or one whose Host cannot receive calls."""
    if not origination:
        raise BadRequest("Origination must have Routes or Disabled.")
    routes = origination.get("Routes", ())
    if len(routes) > ORIGINATION_ROUTES:
        raise BadRequest(f"Routes must hold {ORIGINATION_ROUTES} routes at most; it holds {len(routes)}.")
    for route in routes:
        host = route.get("Host")
        if not host:
            raise BadRequest("Each of the Routes must have a Host.")
        if not (_HOST_NAME.fullmatch(host) or _is_address(host)):
            raise BadRequest(f"Host must be a fully qualified host name or an IP address; {host!r} is neither.")


def check_termination(termination: Mapping[str, Any]) -> None:
    """Raise BadRequest unless `termination` has members, CallingRegions holds countries, and CidrAllowedList networks
    in CIDR notation."""
    if not termination:
        raise BadRequest("Termination must have one of its members at least.")
    for region in termination.get("CallingRegions", ()):
        if region not in SUPPORTED_REGIONS:
            raise BadRequest(f"CallingRegions must hold ISO 3166-1 alpha-2 country codes; {region!r} is none.")
    for cidr in termination.get("CidrAllowedList", ()):
        try:
            ip_network(cidr)
        except ValueError as error:
            raise BadRequest(f"CidrAllowedList must hold networks in CIDR notation: {error}.") from None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
