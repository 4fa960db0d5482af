"""The Lambda function of cdk-amazon-chime-resources, unmodified: what AWS CDK makes phone numbers and the rest with.

AWS CloudFormation calls it with an event for each resource; it calls chime-sdk-voice, and keeps in the parameter store
of AWS Systems Manager the ids of what it has made. That store, and Amazon CloudWatch Logs, are moto's here.
"""

import json
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from ..conftest import Service, Start
from . import estate, packages

PACKAGE = "cdk-amazon-chime-resources@3.2.25"
BUNDLE, VALIDATOR = "package/assets/resources/pstn/index.js", "package/lib/pstn/sipRuleValidator.js"
CHECK_RULE = "require(process.argv[1]).sipRuleValidator(JSON.parse(process.argv[2]))"

REGION = estate.REGION
STACK_ID = f"arn:aws:cloudformation:{REGION}:123456789012:stack/estate/5e1f0f70-6a02-11ef-b1a7-0affd4c0f0d1"

Resource = tuple[str, str, dict[str, Any]]
"""A resource's type, its logical id, and its properties."""


@pytest.fixture
def package(pytestconfig: pytest.Config, tmp_path: Path) -> Path:
    """The two files of the package that are run: the function, and what CDK checks a SIP rule with."""
    assert pytestconfig.cache
    archive = packages.archive_from_npm(pytestconfig.cache.mkdir("clients"), PACKAGE)
    with tarfile.open(archive) as tar:
        for member in (BUNDLE, VALIDATOR):
            content = tar.extractfile(member)
            assert content
            path = tmp_path / member
            path.parent.mkdir(parents=True)
            path.write_bytes(content.read())
    return tmp_path


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[str]:
    """The address of the rest of AWS, in a process of its own: moto changes the botocore that it is with."""
    log = tmp_path / "moto.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while not (running := re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        # moto imports a service when it is first asked for, and two requests that come then may meet half of it.
        given: Any = {"endpoint_url": running[1], "region_name": REGION}
        given |= {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
        boto3.client("ssm", **given).describe_parameters()
        boto3.client("logs", **given).describe_log_groups()
        yield running[1]
    finally:
        process.terminate()
        process.wait()


class Stack:
    """What AWS CloudFormation does with a stack's resources: each event in a function of its own, several at a time."""

    def __init__(self, package: Path, service: Service, moto: str) -> None:
        self._bundle = package / BUNDLE
        self._environment = packages.environment(
            service.app.credentials,
            AWS_REGION=REGION,
            AWS_ENDPOINT_URL_CHIME_SDK_VOICE=service.url,
            AWS_ENDPOINT_URL_SSM=moto,
            AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=moto,
        )

    def send(self, request_type: str, *resources: Resource) -> list[dict[str, str]]:
        """Create, Update or Delete the resources, all at once; the attributes that each of them has then."""
        with ThreadPoolExecutor(len(resources)) as pool:
            return list(pool.map(lambda resource: self._call(request_type, *resource), resources))

    def _call(
        self, request_type: str, resource_type: str, logical_id: str, properties: dict[str, Any]
    ) -> dict[str, str]:
        event = {
            "RequestType": request_type,
            "StackId": STACK_ID,
            "RequestId": f"{request_type}-{logical_id}",
            "LogicalResourceId": logical_id,
            "ResourceType": "Custom::PSTNResources",
            "ResourceProperties": {
                "resourceType": resource_type,
                "uid": f"Estate{logical_id}5F1C0A2B",
                "properties": in_text(properties),
            },
        }
        command = [packages.program("node"), Path(__file__).with_name("cdk_lambda.mjs"), self._bundle]
        answer = json.loads(packages.output(command, input=json.dumps(event), env=self._environment))
        assert (answer["Status"], answer["LogicalResourceId"]) == ("SUCCESS", logical_id)
        return answer.get("Data", {})


def in_text(value: Any) -> Any:
    """`value` as AWS CloudFormation hands it to a custom resource: numbers and booleans are strings."""
    match value:
        case dict():
            return {name: in_text(item) for name, item in value.items()}
        case list():
            return [in_text(item) for item in value]
        case bool():
            return str(value).lower()
    return str(value)


NUMBER: Resource = (
    "PhoneNumber",
    "Number",
    {"phoneAreaCode": "206", "phoneCountry": "US", "phoneProductType": estate.DIAL_IN},
)
TRUNK_NUMBER: Resource = (
    "PhoneNumber",
    "TrunkNumber",
    {"phoneState": "IL", "phoneNumberType": "Local", "phoneCountry": "US", "phoneProductType": estate.TRUNK},
)
APPLICATION: Resource = ("SMA", "Application", {"name": "Desk", "region": REGION, "endpoint": estate.LAMBDA_ARN})
PLAIN_TRUNK: Resource = ("VoiceConnector", "PlainTrunk", {"name": "Plain", "region": REGION, "encryption": False})
TRUNK: Resource = (
    "VoiceConnector",
    "Trunk",
    {
        "name": "Trunk",
        "region": REGION,
        "encryption": True,
        "termination": {"terminationCidrs": ["198.51.100.10/32"], "callingRegions": ["US"]},
        "origination": [{"host": "198.51.100.10", "port": 5061, "protocol": "TCP", "priority": 1, "weight": 1}],
        "streaming": {"enabled": True, "dataRetention": 0, "notificationTargets": ["EventBridge"]},
        "logging": {"enableSIPLogs": True, "enableMediaMetricLogs": True},
    },
)
"""The Voice Connector of the package's own example, with logging; without a CpsLimit the function sends a null."""


def sip_rule(logical_id: str, trigger_type: str, trigger_value: str, application_id: str) -> Resource:
    target = {"region": REGION, "priority": 1, "sipMediaApplicationId": application_id}
    properties = {"triggerType": trigger_type, "triggerValue": trigger_value, "targetApplications": [target]}
    return "SMARule", logical_id, {"name": f"Estate{logical_id}", **properties}


def test_a_stack_comes_and_goes(start: Start, package: Path, moto: str) -> None:
    """In the order of its references, and back in the reverse order, with the function's own waits of ten seconds.

    It takes errors of DeletePhoneNumber and of the items of an association for nothing, so what has become of them is
    looked at too.
    """
    service = start(verify=True)
    stack = Stack(package, service, moto)
    access_key_id, secret_access_key = service.app.credentials
    chime = service.client("chime-sdk-voice", access_key_id=access_key_id, secret_access_key=secret_access_key)

    made = stack.send("Create", NUMBER, TRUNK_NUMBER, APPLICATION, PLAIN_TRUNK, TRUNK)
    number, trunk_number, application_id, plain_trunk_id, trunk_id = (
        value for attributes in made for value in attributes.values()
    )
    (application,) = chime.list_sip_media_applications()["SipMediaApplications"]
    assert (application["SipMediaApplicationId"], application["Name"]) == (application_id, "Desk")
    trunks = chime.list_voice_connectors()["VoiceConnectors"]
    assert {(trunk["VoiceConnectorId"], trunk["Name"], trunk["RequireEncryption"]) for trunk in trunks} == {
        (plain_trunk_id, "Plain", False),
        (trunk_id, "Trunk", True),
    }
    assert configuration(chime, trunk_id) == {
        "Origination": {
            "Routes": [{"Host": "198.51.100.10", "Port": 5061, "Protocol": "TCP", "Priority": 1, "Weight": 1}],
            "Disabled": False,
        },
        "Termination": {"CidrAllowedList": ["198.51.100.10/32"], "CallingRegions": ["US"]},
        "StreamingConfiguration": {"DataRetentionInHours": 0, "Disabled": False},
        "LoggingConfiguration": {"EnableSIPLogs": True, "EnableMediaMetricLogs": True},
    }

    host_name = f"{trunk_id}.voiceconnector.chime.aws"  # as CDK programs make it of the id, which is all they get
    rules = [
        sip_rule("NumberRule", "ToPhoneNumber", number, application_id),
        sip_rule("HostRule", "RequestUriHostname", host_name, application_id),
    ]
    for _, _, properties in rules:
        packages.output([packages.program("node"), "-e", CHECK_RULE, package / VALIDATOR, json.dumps(properties)])
    association: Resource = (
        "PhoneAssociation",
        "Association",
        {"voiceConnectorId": trunk_id, "e164PhoneNumber": trunk_number},
    )
    stack.send("Create", *rules, association)
    rule_ids = {rule["TriggerValue"]: rule["SipRuleId"] for rule in chime.list_sip_rules()["SipRules"]}
    assert rule_ids.keys() == {number, host_name}
    assert estate.state(chime, number) == ("Assigned", estate.DIAL_IN, [("SipRuleId", rule_ids[number])])
    assert estate.state(chime, trunk_number) == ("Assigned", estate.TRUNK, [("VoiceConnectorId", trunk_id)])

    stack.send("Delete", *rules, association)
    assert chime.list_sip_rules()["SipRules"] == []
    assert estate.state(chime, trunk_number) == ("Unassigned", estate.TRUNK, [])
    # The number's own deletion takes it from its Voice Connector too.
    stack.send("Update", association)
    assert estate.state(chime, trunk_number) == ("Assigned", estate.TRUNK, [("VoiceConnectorId", trunk_id)])
    stack.send("Delete", NUMBER, TRUNK_NUMBER, APPLICATION, PLAIN_TRUNK)
    stack.send("Delete", TRUNK)
    assert chime.list_sip_media_applications()["SipMediaApplications"] == []
    assert chime.list_voice_connectors()["VoiceConnectors"] == []
    assert estate.listed(chime) == []
    assert estate.listed(chime, Status="ReleaseInProgress") == [number, trunk_number]
    assert parameters(moto) == []


def configuration(chime: Any, voice_connector_id: str) -> dict[str, Any]:
    """How a Voice Connector is configured."""
    answers = (
        chime.get_voice_connector_origination(VoiceConnectorId=voice_connector_id),
        chime.get_voice_connector_termination(VoiceConnectorId=voice_connector_id),
        chime.get_voice_connector_streaming_configuration(VoiceConnectorId=voice_connector_id),
        chime.get_voice_connector_logging_configuration(VoiceConnectorId=voice_connector_id),
    )
    return {name: value for answer in answers for name, value in answer.items() if name != "ResponseMetadata"}


def parameters(moto: str) -> list[str]:
    """The names of the parameters that are kept."""
    key = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("ssm", endpoint_url=moto, region_name=REGION, **key)
    return [parameter["Name"] for parameter in client.describe_parameters()["Parameters"]]
