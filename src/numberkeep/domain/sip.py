"""SIP media applications, which handle calls in an AWS Lambda function, and the rules that call them."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from .errors import BadRequest
from .moment import Timestamp
from .tags import Tag
from .voice_connector import REGIONS, id_of_host_name

TriggerType = Literal["ToPhoneNumber", "RequestUriHostname"]


class Endpoint(Struct, frozen=True):
    """Where an application runs."""

    lambda_arn: str | None = None


class SipMediaApplication(Struct, frozen=True, kw_only=True):
    """An application that handles calls."""

    sip_media_application_id: str
    aws_region: str
    name: str
    endpoints: tuple[Endpoint, ...]
    sip_media_application_arn: str
    created_timestamp: Timestamp
    updated_timestamp: Timestamp
    tags: tuple[Tag, ...] = ()


class TargetApplication(Struct, frozen=True):
    """An application that a rule calls; the lowest priority comes first."""

    sip_media_application_id: str | None = None
    priority: int | None = None
    aws_region: str | None = None


class SipRule(Struct, frozen=True, kw_only=True):
    """Which calls go to which applications: those to a phone number, or those to a Voice Connector's host name."""

    sip_rule_id: str
    name: str
    disabled: bool
    trigger_type: TriggerType
    trigger_value: str
    target_applications: tuple[TargetApplication, ...]
    created_timestamp: Timestamp
    updated_timestamp: Timestamp

    @property
    def needs(self) -> list[str]:
        """The ids of its applications and, if its trigger is a host name, of that Voice Connector."""
        needed = [target.sip_media_application_id for target in self.target_applications]
        if self.trigger_type == "RequestUriHostname":
            needed.append(id_of_host_name(self.trigger_value))
        return [one for one in needed if one]


def check_region(aws_region: str) -> None:
    """Raise BadRequest for a region that has no SIP media applications."""
    if aws_region not in REGIONS:
        raise BadRequest(f"AwsRegion must be one of {', '.join(REGIONS)}; {aws_region!r} was given.")


def check_endpoint(endpoint: Endpoint, aws_region: str) -> None:
    """Raise BadRequest unless the Lambda function is in the application's region, as AWS requires."""
    if not endpoint.lambda_arn:
        raise BadRequest("Endpoints must have a LambdaArn.")
    if endpoint.lambda_arn.split(":")[3] != aws_region:
        raise BadRequest(f"The Lambda function must be in the region of the SIP media application, {aws_region}.")


def check_targets(targets: Sequence[TargetApplication]) -> None:
    """Raise BadRequest if two targets are in one region: AWS allows one of the TargetApplications per region."""
    regions = [target.aws_region for target in targets]
    if len(set(regions)) < len(regions):
        raise BadRequest("TargetApplications must hold one SIP media application of a region at most.")
