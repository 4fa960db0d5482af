"""The pages for Voice Connectors, their groups, and SIP rules: which of them belong together."""

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import asdict
from starlette.responses import Response

from ...domain.sip import SipMediaApplication, SipRule
from ...domain.voice_connector import VoiceConnector, VoiceConnectorGroup, id_of_host_name
from ...storage import inventory
from ...storage.resources import SIP_MEDIA_APPLICATIONS, SIP_RULES, VOICE_CONNECTOR_GROUPS, VOICE_CONNECTORS
from ...storage.table import Table
from ...storage.tx import Tx
from .visit import Visit

PAGE_ITEMS = 100
T = TypeVar("T", bound=Struct)


class Tied(Struct, frozen=True):
    """Voice Connectors and groups, with how many numbers each holds."""

    connectors: list[VoiceConnector]
    groups: list[VoiceConnectorGroup]
    names: Mapping[str, str]
    """The names of the groups' Voice Connectors, by id."""
    groups_of: Mapping[str, list[str]]
    """By the id of a Voice Connector: the ids of the groups it is in."""
    rules_of: Mapping[str, list[str]]
    """By the id of a Voice Connector: the ids of the SIP rules that its host name triggers."""
    counts: Mapping[tuple[str, str], int]


async def show(visit: Visit) -> Response:
    """Show Voice Connectors and groups."""
    tied, after, group_after = await visit.survey(_tie, visit.query("after"), visit.query("group_after"))
    return visit.page(
        "voice_connectors.html", title="Voice Connectors", tied=tied, after=after, group_after=group_after
    )


def _tie(tx: Tx, after: str, group_after: str) -> tuple[Tied, str, str]:
    connectors, after = _page(tx, VOICE_CONNECTORS, after)
    groups, group_after = _page(tx, VOICE_CONNECTOR_GROUPS, group_after)
    ids = {item.voice_connector_id for group in groups for item in group.voice_connector_items}
    found = {id: connector for id in sorted(ids) if (connector := VOICE_CONNECTORS.find(tx, id))}
    pointing = {one.voice_connector_id: inventory.pointing_to(tx, one.voice_connector_id) for one in connectors}
    tied = Tied(
        connectors=connectors,
        groups=groups,
        names={id: connector.name for id, connector in found.items()},
        groups_of={id: [one for one in sources if VOICE_CONNECTOR_GROUPS.find(tx, one)]
                   for id, sources in pointing.items()},
        rules_of={id: [one for one in sources if SIP_RULES.find(tx, one)] for id, sources in pointing.items()},
        counts=inventory.counts_by_holder(tx),
    )  # fmt: skip
    return tied, after, group_after


def _page(tx: Tx, table: Table[T], after: str) -> tuple[list[T], str]:
    """A page of the rows of a table, and where the next page begins; that is empty for the last one."""
    found = table.page(tx, after, PAGE_ITEMS + 1)
    return found[:PAGE_ITEMS], table.id_of(found[PAGE_ITEMS - 1]) if len(found) > PAGE_ITEMS else ""


class Called(Struct, frozen=True):
    """SIP rules, and the applications that they call."""

    rules: list[SipRule]
    applications: list[SipMediaApplication]
    names: Mapping[str, str]
    """The names of the applications and Voice Connectors that the rules refer to, by id."""


async def sip(visit: Visit) -> Response:
    """Show SIP rules and the applications that they call."""
    return await _sip(visit)


async def _sip(visit: Visit, wrong: str = "") -> Response:
    called, after, application_after = await visit.survey(_call, visit.query("after"), visit.query("application_after"))
    return visit.page(
        "sip_rules.html",
        400 if wrong else 200,
        title="SIP rules",
        called=called,
        after=after,
        application_after=application_after,
        id_of_host_name=id_of_host_name,
        denied=visit.why_denied("UpdateSipRule"),
        wrong=wrong,
    )


def _call(tx: Tx, after: str, application_after: str) -> tuple[Called, str, str]:
    rules, after = _page(tx, SIP_RULES, after)
    applications, application_after = _page(tx, SIP_MEDIA_APPLICATIONS, application_after)
    names: dict[str, str] = {}
    for id in {id for rule in rules for id in rule.needs}:
        found: Any = SIP_MEDIA_APPLICATIONS.find(tx, id) or VOICE_CONNECTORS.find(tx, id)
        if found:
            names[id] = found.name
    return Called(rules, applications, names), after, application_after


async def change_rule(visit: Visit) -> Response:
    """Enable or disable a SIP rule."""
    id, disabled = visit.request.path_params["id"], visit.text("disabled") == "true"
    rule = await visit.survey(SIP_RULES.get, id)
    targets = [
        {
            "".join(word.title() for word in name.split("_")): value
            for name, value in asdict(one).items()
            if value is not None
        }
        for one in rule.target_applications
    ]
    answer = await visit.call(
        "UpdateSipRule", SipRuleId=id, Name=rule.name, Disabled=disabled, TargetApplications=targets
    )
    if answer.refusal:
        return await _sip(visit, answer.refusal)
    return visit.go("/sip-rules", f"The SIP rule {rule.name} is {'disabled' if disabled else 'enabled'}.")
