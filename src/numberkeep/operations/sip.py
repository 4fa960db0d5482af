"""SIP media applications and SIP rules: which calls an AWS Lambda function handles."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..domain.errors import BadRequest, Conflict
from ..domain.limits import check_quota
from ..domain.sip import (
    Endpoint,
    SipMediaApplication,
    SipRule,
    TargetApplication,
    TriggerType,
    check_endpoint,
    check_region,
    check_targets,
)
from ..domain.tags import Tag, add_tags
from ..domain.voice_connector import id_of_host_name
from ..storage import phone_numbers
from ..storage.resources import (
    SIP_MEDIA_APPLICATIONS,
    SIP_RULES,
    VOICE_CONNECTORS,
    link,
    sources_of,
    unconfigure,
)
from ..storage.tx import Tx
from . import pages
from .associations import assign, unassign
from .batches import Answer


def create_sip_media_application(
    tx: Tx, aws_region: str, name: str, endpoints: Sequence[Struct], tags: Sequence[Struct] | None = None
) -> Answer:
    """Create an application of one Lambda function, which is not itself looked up."""
    check_region(aws_region)
    check_quota(tx.quotas, "sip_media_applications", lambda: SIP_MEDIA_APPLICATIONS.count(tx) + 1)
    application_id = tx.new_id()
    application = SipMediaApplication(
        sip_media_application_id=application_id,
        aws_region=aws_region,
        name=name,
        endpoints=_endpoints(endpoints, aws_region),
        sip_media_application_arn=f"arn:aws:chime:{aws_region}:{tx.account_id}:sma/{application_id}",
        created_timestamp=tx.now,
        updated_timestamp=tx.now,
        tags=add_tags((), msgspec.convert(tags or (), tuple[Tag, ...], from_attributes=True)),
    )
    SIP_MEDIA_APPLICATIONS.insert(tx, application)
    return {"SipMediaApplication": application}


def get_sip_media_application(tx: Tx, sip_media_application_id: str) -> Answer:
    """Return one application."""
    return {"SipMediaApplication": SIP_MEDIA_APPLICATIONS.get(tx, sip_media_application_id)}


def list_sip_media_applications(tx: Tx, max_results: int | None = None, next_token: str | None = None) -> Answer:
    """List the account's applications, in the order of their ids."""
    page, next_token = pages.of_table(tx, "ListSipMediaApplications", SIP_MEDIA_APPLICATIONS, max_results, next_token)
    return {"SipMediaApplications": page, "NextToken": next_token}


def update_sip_media_application(
    tx: Tx, sip_media_application_id: str, name: str | None = None, endpoints: Sequence[Struct] | None = None
) -> Answer:
    """Change an application's name, its Lambda function, or both."""
    was = SIP_MEDIA_APPLICATIONS.get(tx, sip_media_application_id)
    application = replace(
        was,
        name=name or was.name,
        endpoints=_endpoints(endpoints, was.aws_region) if endpoints else was.endpoints,
        updated_timestamp=tx.now,
    )
    SIP_MEDIA_APPLICATIONS.replace(tx, application)
    return {"SipMediaApplication": application}


def delete_sip_media_application(tx: Tx, sip_media_application_id: str) -> None:
    """Delete an application that no SIP rule targets."""
    SIP_MEDIA_APPLICATIONS.get(tx, sip_media_application_id)
    for rule_id in sources_of(tx, sip_media_application_id, limit=1):
        raise Conflict(
            f"SipMediaApplication {sip_media_application_id} is a target of SipRule {rule_id}; "
            "change or delete the rule first."
        )
    SIP_MEDIA_APPLICATIONS.delete(tx, sip_media_application_id)
    unconfigure(tx, sip_media_application_id)


def create_sip_rule(
    tx: Tx,
    name: str,
    trigger_type: TriggerType,
    trigger_value: str,
    target_applications: Sequence[Struct],
    disabled: bool | None = None,
) -> Answer:
    """Create a rule for calls to a phone number, which it holds while it is enabled, or to a Voice Connector."""
    check_quota(tx.quotas, "sip_rules", lambda: SIP_RULES.count(tx) + 1)
    rule = SipRule(
        sip_rule_id=tx.new_id(),
        name=name,
        disabled=bool(disabled),
        trigger_type=trigger_type,
        trigger_value=_trigger_value(tx, trigger_type, trigger_value),
        target_applications=_targets(tx, target_applications),
        created_timestamp=tx.now,
        updated_timestamp=tx.now,
    )
    if not rule.disabled:
        _enable(tx, rule)
    SIP_RULES.insert(tx, rule)
    link(tx, rule.sip_rule_id, rule.needs)
    return {"SipRule": rule}


def get_sip_rule(tx: Tx, sip_rule_id: str) -> Answer:
    """Return one rule."""
    return {"SipRule": SIP_RULES.get(tx, sip_rule_id)}


def list_sip_rules(
    tx: Tx,
    sip_media_application_id: str | None = None,
    max_results: int | None = None,
    next_token: str | None = None,
) -> Answer:
    """List the account's rules, or those that target one application, in the order of their ids."""

    def found(after: str | None, limit: int) -> list[SipRule]:
        if not sip_media_application_id:
            return SIP_RULES.page(tx, after, limit)
        SIP_MEDIA_APPLICATIONS.get(tx, sip_media_application_id)
        return [SIP_RULES.get(tx, rule_id) for rule_id in sources_of(tx, sip_media_application_id, after, limit)]

    page, next_token = pages.page(
        tx,
        ["ListSipRules", sip_media_application_id],
        max_results,
        next_token,
        found,
        lambda rule: rule.sip_rule_id,
    )
    return {"SipRules": page, "NextToken": next_token}


def update_sip_rule(
    tx: Tx,
    sip_rule_id: str,
    name: str,
    disabled: bool | None = None,
    target_applications: Sequence[Struct] | None = None,
) -> Answer:
    """Change a rule's name and targets. Disabling it frees its phone number at once, enabling it takes it again."""
    was = SIP_RULES.get(tx, sip_rule_id)
    rule = replace(
        was,
        name=name,
        disabled=was.disabled if disabled is None else disabled,
        target_applications=_targets(tx, target_applications) if target_applications else was.target_applications,
        updated_timestamp=tx.now,
    )
    if was.disabled and not rule.disabled:
        _enable(tx, rule)
    elif rule.disabled and not was.disabled:
        _disable(tx, rule)
    SIP_RULES.replace(tx, rule)
    link(tx, rule.sip_rule_id, rule.needs)
    return {"SipRule": rule}


def delete_sip_rule(tx: Tx, sip_rule_id: str) -> None:
    """Delete a rule, and free its phone number at once."""
    rule = SIP_RULES.get(tx, sip_rule_id)
    if not rule.disabled:
        _disable(tx, rule)
    SIP_RULES.delete(tx, sip_rule_id)
    link(tx, sip_rule_id, ())


def delete_disabled_sip_rule(tx: Tx, sip_rule_id: str) -> None:
    """Like `delete_sip_rule`, but as in ``chime``: the rule must be disabled."""
    if not SIP_RULES.get(tx, sip_rule_id).disabled:
        raise BadRequest(f"SipRule {sip_rule_id} is enabled; disable it before deleting it.")
    delete_sip_rule(tx, sip_rule_id)


def _endpoints(given: Sequence[Struct], aws_region: str) -> tuple[Endpoint, ...]:
    endpoints = msgspec.convert(given, tuple[Endpoint, ...], from_attributes=True)
    for endpoint in endpoints:
        check_endpoint(endpoint, aws_region)
    return endpoints


def _targets(tx: Tx, given: Sequence[Struct]) -> tuple[TargetApplication, ...]:
    """Return the targets as they are stored, each with the region of its application."""
    check_quota(tx.quotas, "sip_media_applications_per_rule", lambda: len(given))
    targets = []
    for target in msgspec.convert(given, tuple[TargetApplication, ...], from_attributes=True):
        if target.sip_media_application_id is None:
            raise BadRequest("Each of the TargetApplications must have a SipMediaApplicationId.")
        application = SIP_MEDIA_APPLICATIONS.get(tx, target.sip_media_application_id)
        if target.aws_region not in (None, application.aws_region):
            raise BadRequest(
                f"SipMediaApplication {application.sip_media_application_id} is in {application.aws_region}, "
                f"not in {target.aws_region}."
            )
        targets.append(replace(target, aws_region=application.aws_region))
    check_targets(targets)
    return tuple(targets)


def _trigger_value(tx: Tx, trigger_type: TriggerType, value: str) -> str:
    """Return the trigger as it is stored: the account's E.164 number, or the host name of its Voice Connector."""
    if trigger_type == "ToPhoneNumber":
        return phone_numbers.get(tx, value).e164_phone_number
    voice_connector_id = id_of_host_name(value)
    if voice_connector_id is None or VOICE_CONNECTORS.find(tx, voice_connector_id) is None:
        raise BadRequest(f"TriggerValue must be the OutboundHostName of a VoiceConnector; {value!r} is none.")
    return value.lower()


def _enable(tx: Tx, rule: SipRule) -> None:
    if rule.trigger_type == "ToPhoneNumber":
        assign(tx, rule.trigger_value, {"SipRuleId": rule.sip_rule_id})
        return
    others = "trigger_value = ? AND disabled = 0 AND sip_rule_id <> ?"
    if SIP_RULES.count(tx, others, (rule.trigger_value, rule.sip_rule_id)):
        raise BadRequest(f"Another enabled SipRule has the trigger {rule.trigger_value} already.")


def _disable(tx: Tx, rule: SipRule) -> None:
    if rule.trigger_type == "ToPhoneNumber":
        unassign(tx, rule.trigger_value, {"SipRuleId": rule.sip_rule_id})
