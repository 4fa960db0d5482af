"""Reads the numbers of an AWS account through boto3."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import boto3  # type: ignore[import-untyped]
import click
import msgspec
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from ..domain.phone_number import IN_DELETION_QUEUE
from ..operations.inventory import GivenConnector, GivenGroup, GivenNumber, GivenOrder

logging.getLogger("botocore").setLevel(logging.WARNING)  # nobody wants to know where it found credentials

T = TypeVar("T")
MOST_ATTEMPTS = 10
PAGE_SIZE = 99
"""How many items are requested at a time: the most that the API returns."""

_MEMBERS = {field.encode_name for field in msgspec.structs.fields(GivenNumber)}


class AwsAccount:
    """An AWS account behind an endpoint. Raises click.ClickException with AWS's own message if a call fails."""

    def __init__(self, profile: str | None, region: str | None, endpoint_url: str | None) -> None:
        config = Config(retries={"mode": "adaptive", "total_max_attempts": MOST_ATTEMPTS})

        def clients() -> list[Any]:
            session = boto3.Session(profile_name=profile, region_name=region)
            return [
                session.client(name, endpoint_url=endpoint_url, config=config) for name in ("chime-sdk-voice", "chime")
            ]

        self._voice, self._chime = _asked(clients)

    def numbers(self) -> dict[str, GivenNumber]:
        """All numbers by E.164, also in the deletion queue; those of the API `chime` too, where it still answers."""
        found = {}
        for listed in self._numbers_of(self._voice):
            found[listed.e164_phone_number] = listed
        try:
            for listed in self._numbers_of(self._chime):
                found.setdefault(listed.e164_phone_number, listed)
        except click.ClickException as error:
            click.echo(f"The API `chime` is left out: {error.message}", err=True)
        return found

    def _numbers_of(self, client: Any) -> Iterator[GivenNumber]:
        for status in (None, *IN_DELETION_QUEUE):
            for one in _listed(client.list_phone_numbers, "PhoneNumbers", **({"Status": status} if status else {})):
                yield msgspec.convert({name: value for name, value in one.items() if name in _MEMBERS}, GivenNumber)

    def connectors(self) -> list[GivenConnector]:
        """The Voice Connectors."""
        listed = _listed(self._voice.list_voice_connectors, "VoiceConnectors")
        return msgspec.convert(list(listed), list[GivenConnector])

    def groups(self) -> list[GivenGroup]:
        """The Voice Connector groups."""
        listed = _listed(self._voice.list_voice_connector_groups, "VoiceConnectorGroups")
        return msgspec.convert(list(listed), list[GivenGroup])

    def orders(self) -> list[GivenOrder]:
        """The phone number orders."""
        listed = _listed(self._voice.list_phone_number_orders, "PhoneNumberOrders")
        return msgspec.convert(list(listed), list[GivenOrder])


def _listed(list_: Callable[..., Any], member: str, **filters: str) -> Iterator[dict[str, Any]]:
    token: dict[str, str] = {}
    while True:
        answer = _asked(partial(list_, MaxResults=PAGE_SIZE, **filters, **token))
        for one in answer[member]:
            yield {name: _plain(value) for name, value in one.items()}
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {name: _plain(one) for name, one in value.items()} if isinstance(value, dict) else value


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(f"AWS cannot be asked: {error}") from error
