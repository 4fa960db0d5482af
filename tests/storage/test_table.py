"""What is put into a table comes back as it was."""

import asyncio

import pytest
from msgspec.structs import replace

from conftest import ALICE, BOB
from numberkeep.domain.errors import NotFound
from numberkeep.domain.tags import Tag
from numberkeep.domain.voice_connector import VoiceConnector
from numberkeep.storage.driver import Driver
from numberkeep.storage.resources import VOICE_CONNECTORS

ONE = VoiceConnector(
    voice_connector_id="b" * 22,
    aws_region="us-east-1",
    name="Trunk",
    require_encryption=False,
    integration_type=None,
    voice_connector_arn="arn:aws:chime:us-east-1:111111111111:vc/b",
    created_timestamp="2019-08-12T22:10:20.521Z",
    updated_timestamp="2019-08-12T22:10:20.521Z",
    tags=(Tag("colour", "red"),),
)
ID = ONE.voice_connector_id


def test_a_thing_comes_back_as_it_was_and_to_its_account_alone(storage: Driver) -> None:
    asyncio.run(storage.transact(ALICE, VOICE_CONNECTORS.insert, ONE))
    assert asyncio.run(storage.ask(ALICE, VOICE_CONNECTORS.get, ID)) == ONE
    assert asyncio.run(storage.ask(BOB, VOICE_CONNECTORS.find, ID)) is None
    with pytest.raises(NotFound, match="Could not find VoiceConnector with Id 'bbb"):
        asyncio.run(storage.ask(BOB, VOICE_CONNECTORS.get, ID))
    assert asyncio.run(storage.ask(ALICE, VOICE_CONNECTORS.page, None, 5)) == [ONE]
    assert asyncio.run(storage.ask(ALICE, VOICE_CONNECTORS.page, ID, 5)) == []
    assert asyncio.run(storage.ask(ALICE, VOICE_CONNECTORS.page, None, 5, "name = ?", ("Other",))) == []
    assert asyncio.run(storage.ask(ALICE, VOICE_CONNECTORS.count)) == 1
    assert asyncio.run(storage.ask(BOB, VOICE_CONNECTORS.count)) == 0
    other = replace(ONE, name="Other", tags=())
    asyncio.run(storage.transact(BOB, VOICE_CONNECTORS.replace, other))
    assert asyncio.run(storage.ask(ALICE, VOICE_CONNECTORS.get, ID)) == ONE
    asyncio.run(storage.transact(ALICE, VOICE_CONNECTORS.replace, other))
    assert asyncio.run(storage.ask(ALICE, VOICE_CONNECTORS.get, ID)) == other
    asyncio.run(storage.transact(BOB, VOICE_CONNECTORS.delete, ID))
    assert asyncio.run(storage.ask(ALICE, VOICE_CONNECTORS.count)) == 1
    asyncio.run(storage.transact(ALICE, VOICE_CONNECTORS.delete, ID))
    assert asyncio.run(storage.ask(ALICE, VOICE_CONNECTORS.find, ID)) is None
