"""Configurations of Voice Connectors and SIP media applications: stored, and returned as they were put.

The kinds differ only in their names, so their operations are generated from those. What was never put, or was
deleted, is NotFound, except for logging, which is then off. *Ours*: AWS documents neither.
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
    """One kind of configuration: it can be put, read and, if it has no `default`, deleted."""

    def __init__(
        self,
        resources: Table[Any],
        member: str,
        *,
        default: Answer | None = None,
        check: Callable[[Answer], None] | None = None,
    ) -> None:
        """`member` is its name in answers. `check` raises BadRequest for what the model allows, but a rule does not."""
        self._resources = resources
        self._member = member
        self._default = default
        self._check = check

    def put(self, tx: Tx, resource_id: str, value: object) -> Answer:
        """Store `value`, replacing what there was."""
        self._resources.get(tx, resource_id)
        if value is None:
            raise BadRequest(f"{self._member} must be given.")
        members = {name: one for name, one in to_builtins(value).items() if one is not None}
        if self._check:
            self._check(members)
        configure(tx, resource_id, self._member, members)
        return {self._member: {**(self._default or {}), **members}}

    def get(self, tx: Tx, resource_id: str) -> Answer:
        """Return what was put, or the default. Raises NotFound if there is neither."""
        self._resources.get(tx, resource_id)
        value = configuration(tx, resource_id, self._member)
        if value is None and self._default is None:
            raise NotFound(f"Could not find {self._member} of {resource_id}: it was not put, or was deleted.")
        return {self._member: {**(self._default or {}), **(value or {})}}

    def delete(self, tx: Tx, resource_id: str) -> None:
        """Delete what was put; it is no error if nothing was."""
        self._resources.get(tx, resource_id)
        unconfigure(tx, resource_id, self._member)

    def operations(self, noun: str, kind: str, parameter: str) -> dict[str, Callable[..., Any]]:
        """Return the operations by name; the names hold the resource's `noun` and the `kind`. `parameter` is the one
        that is put. All are in snake case."""
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
    """Set which external systems are at the other end; in the request, unlike the answer, they are not nested."""
    systems = {
        "SessionBorderControllerTypes": session_border_controller_types or [],
        "ContactCenterSystemTypes": contact_center_system_types or [],
    }
    return _EXTERNAL_SYSTEMS.put(tx, voice_connector_id, systems)


def get_voice_connector_external_systems_configuration(tx: Tx, voice_connector_id: str) -> Answer:
    """Return which external systems are at the other end."""
    return _EXTERNAL_SYSTEMS.get(tx, voice_connector_id)


def delete_voice_connector_external_systems_configuration(tx: Tx, voice_connector_id: str) -> None:
    """Delete what was set."""
    _EXTERNAL_SYSTEMS.delete(tx, voice_connector_id)
