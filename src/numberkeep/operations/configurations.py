"""What a Voice Connector or a SIP media application is configured with: kept, and given back as it was put.

The kinds differ in their names alone, so that their operations are made of those. What has never been put, or was
deleted, is NotFound, save for logging, which is off then. *Ours*: AWS documents neither.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import to_builtins

from ..domain.errors import BadRequest, NotFound
from ..domain.voice_connector import check_origination, check_termination
from ..storage.resources import SIP_MEDIA_APPLICATIONS, VOICE_CONNECTORS, configuration, configure, unconfigure
from ..storage.table import Table
from ..storage.tx import Tx
from .batches import Answer


class Configuration:
    """One kind: how it is put, got and, if it has no `default`, deleted."""

    def __init__(
        self,
        resources: Table[Any],
        member: str,
        *,
        default: Answer | None = None,
        check: Callable[[Answer], None] | None = None,
    ) -> None:
        """`member` is what answers carry it in. `check` raises BadRequest for what the model allows and a rule does
        not."""
        self._resources = resources
        self._member = member
        self._default = default
        self._check = check

    def put(self, tx: Tx, resource_id: str, value: object) -> Answer:
        """Keep `value` instead of what there was."""
        self._resources.get(tx, resource_id)
        if value is None:
            raise BadRequest(f"{self._member} must be given.")
        members = {name: one for name, one in to_builtins(value).items() if one is not None}
        if self._check:
            self._check(members)
        configure(tx, resource_id, self._member, members)
        return {self._member: {**(self._default or {}), **members}}

    def get(self, tx: Tx, resource_id: str) -> Answer:
        """What was put. Raises NotFound if nothing was."""
        self._resources.get(tx, resource_id)
        value = configuration(tx, resource_id, self._member)
        if value is None and self._default is None:
            raise NotFound(f"Could not find {self._member} of {resource_id}: it was not put, or was deleted.")
        return {self._member: {**(self._default or {}), **(value or {})}}

    def delete(self, tx: Tx, resource_id: str) -> None:
        """Forget what was put; nothing to forget is no error."""
        self._resources.get(tx, resource_id)
        unconfigure(tx, resource_id, self._member)

    def operations(self, noun: str, kind: str, parameter: str) -> dict[str, Callable[..., Any]]:
        """The operations by their names, which hold the resource's `noun` and the `kind`; `parameter` is the one that
        is put. All in snake case."""
        of_noun = f"{noun}_id"
        made: dict[str, Callable[..., Any]] = {
            f"put_{noun}_{kind}": lambda tx, **given: self.put(tx, given[of_noun], given[parameter]),
            f"get_{noun}_{kind}": lambda tx, **given: self.get(tx, given[of_noun]),
        }
        if self._default is None:
            made[f"delete_{noun}_{kind}"] = lambda tx, **given: self.delete(tx, given[of_noun])
        return made


def _of_voice_connector(kind: str, member: str, **options: Any) -> dict[str, Callable[..., Any]]:
    return Configuration(VOICE_CONNECTORS, member, **options).operations("voice_connector", kind, kind)


CONFIGURATION_OPERATIONS = {
    **_of_voice_connector("origination", "Origination", check=check_origination),
    **_of_voice_connector("termination", "Termination", check=check_termination),
    **_of_voice_connector("streaming_configuration", "StreamingConfiguration"),
    **_of_voice_connector("emergency_calling_configuration", "EmergencyCallingConfiguration"),
    **_of_voice_connector(
        "logging_configuration",
        "LoggingConfiguration",
        default={"EnableSIPLogs": False, "EnableMediaMetricLogs": False},
    ),
    **Configuration(
        SIP_MEDIA_APPLICATIONS,
        "SipMediaApplicationLoggingConfiguration",
        default={"EnableSipMediaApplicationMessageLogs": False},
    ).operations("sip_media_application", "logging_configuration", "sip_media_application_logging_configuration"),
}

_EXTERNAL_SYSTEMS = Configuration(VOICE_CONNECTORS, "ExternalSystemsConfiguration")


def put_voice_connector_external_systems_configuration(
    tx: Tx,
    voice_connector_id: str,
    session_border_controller_types: Sequence[str] | None = None,
    contact_center_system_types: Sequence[str] | None = None,
) -> Answer:
    """Which systems of others are at the other end; the request, unlike its answer, has them side by side."""
    systems = {
        "SessionBorderControllerTypes": session_border_controller_types or [],
        "ContactCenterSystemTypes": contact_center_system_types or [],
    }
    return _EXTERNAL_SYSTEMS.put(tx, voice_connector_id, systems)


def get_voice_connector_external_systems_configuration(tx: Tx, voice_connector_id: str) -> Answer:
    """Which systems of others are at the other end."""
    return _EXTERNAL_SYSTEMS.get(tx, voice_connector_id)


def delete_voice_connector_external_systems_configuration(tx: Tx, voice_connector_id: str) -> None:
    """Forget them."""
    _EXTERNAL_SYSTEMS.delete(tx, voice_connector_id)
