"""What holds a number: assigned, moved by force, freed; and what every operation does to a number in every state."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Service
from estate import NUMBERS, holders, new_application, new_connector, new_group, new_rule, new_user, refused
from numberkeep.domain.phone_number import MOVES

ONE = NUMBERS["VoiceConnector"]


def associate(voice: Any, connector: str, *e164s: str, **options: Any) -> list[dict[str, str]]:
    answer = voice.associate_phone_numbers_with_voice_connector(
        VoiceConnectorId=connector, E164PhoneNumbers=e164s, **options
    )
    return [{"Code": one["ErrorCode"], "Number": one["PhoneNumberId"]} for one in answer["PhoneNumberErrors"]]


def test_a_number_is_assigned_and_freed(estate: Service, voice: Any) -> None:
    connector = new_connector(voice)
    before = voice.get_phone_number(PhoneNumberId=ONE)["PhoneNumber"]
    estate.advance("1h")
    assert associate(voice, connector, ONE) == []
    shown = voice.get_phone_number(PhoneNumberId=ONE)["PhoneNumber"]
    (association,) = shown["Associations"]
    assert (association["Name"], association["Value"]) == ("VoiceConnectorId", connector)
    assert association["AssociatedTimestamp"] == shown["UpdatedTimestamp"] > before["UpdatedTimestamp"]
    assert shown["Status"] == "Assigned"
    assert associate(voice, connector, ONE) == []  # once more changes nothing
    assert voice.get_phone_number(PhoneNumberId=ONE)["PhoneNumber"] == shown
    voice.disassociate_phone_numbers_from_voice_connector(VoiceConnectorId=connector, E164PhoneNumbers=[ONE])
    assert holders(voice, ONE) == ("Unassigned", {})


def test_each_number_succeeds_or_fails_by_itself(voice: Any) -> None:
    connector = new_connector(voice)
    errors = associate(voice, connector, ONE, NUMBERS["BusinessCalling"], "+12065550177")
    assert errors == [
        {"Code": "BadRequest", "Number": NUMBERS["BusinessCalling"]},
        {"Code": "NotFound", "Number": "+12065550177"},
    ]
    assert holders(voice, ONE)[0] == "Assigned"


def test_force_moves_a_number(voice: Any) -> None:
    first, second = new_connector(voice), new_connector(voice)
    group = {"VoiceConnectorGroupId": new_group(voice)}
    associate(voice, first, ONE)
    assert associate(voice, second, ONE) == [{"Code": "PhoneNumberAssociationsExist", "Number": ONE}]
    assert associate(voice, second, ONE, ForceAssociate=False) == [
        {"Code": "PhoneNumberAssociationsExist", "Number": ONE}
    ]
    assert associate(voice, second, ONE, ForceAssociate=True) == []
    assert holders(voice, ONE) == ("Assigned", {"VoiceConnectorId": second})
    (error,) = voice.associate_phone_numbers_with_voice_connector_group(**group, E164PhoneNumbers=[ONE])[
        "PhoneNumberErrors"
    ]
    assert error["ErrorCode"] == "PhoneNumberAssociationsExist"
    assert f"is assigned to VoiceConnectorId {second} already" in error["ErrorMessage"]
    voice.associate_phone_numbers_with_voice_connector_group(**group, E164PhoneNumbers=[ONE], ForceAssociate=True)
    assert holders(voice, ONE) == ("Assigned", group)
    (error,) = voice.disassociate_phone_numbers_from_voice_connector(VoiceConnectorId=second, E164PhoneNumbers=[ONE])[
        "PhoneNumberErrors"
    ]
    assert error["ErrorMessage"] == f"Phone number {ONE} is not assigned to VoiceConnectorId {second}."


def test_what_a_number_is_to_be_assigned_to_must_be_there(voice: Any) -> None:
    with refused(voice, "NotFoundException", "VoiceConnector with"):
        associate(voice, "a" * 22, ONE)
    with refused(voice, "NotFoundException", "VoiceConnectorGroup with"):
        voice.associate_phone_numbers_with_voice_connector_group(VoiceConnectorGroupId="x", E164PhoneNumbers=[ONE])


@pytest.mark.parametrize("e164s", [[], [ONE, ONE], [f"+1206555{line:04}" for line in range(51)]])
def test_a_list_that_breaks_a_rule(voice: Any, e164s: list[str]) -> None:
    with refused(voice, "BadRequestException"):
        associate(voice, new_connector(voice), *e164s)
    assert holders(voice, ONE) == ("Unassigned", {})


def test_lists_are_filtered_by_every_kind_of_holder(estate: Service, voice: Any, chime: Any) -> None:
    estate.seed({"E164PhoneNumber": "+12065550103", "ProductType": "VoiceConnector"})
    connector, group, user = new_connector(voice), new_group(voice), new_user(chime)
    associate(voice, connector, ONE)
    voice.associate_phone_numbers_with_voice_connector_group(
        VoiceConnectorGroupId=group, E164PhoneNumbers=["+12065550103"]
    )
    rule = new_rule(voice, new_application(voice), NUMBERS["SipMediaApplicationDialIn"])
    chime.associate_phone_number_with_user(**user, E164PhoneNumber=NUMBERS["BusinessCalling"])
    for name, value, e164 in (
        ("VoiceConnectorId", connector, ONE),
        ("VoiceConnectorGroupId", group, "+12065550103"),
        ("SipRuleId", rule, NUMBERS["SipMediaApplicationDialIn"]),
        ("UserId", user["UserId"], NUMBERS["BusinessCalling"]),
        ("AccountId", user["AccountId"], NUMBERS["BusinessCalling"]),
    ):
        for filters in ({"FilterName": name}, {"FilterName": name, "FilterValue": value}):
            found = voice.list_phone_numbers(**filters)["PhoneNumbers"]
            assert [one["E164PhoneNumber"] for one in found] == [e164]
        assert voice.list_phone_numbers(FilterName=name, FilterValue="other")["PhoneNumbers"] == []


# Every state, and every operation that moves a number

NUMBER = "+12065550150"


def acquiring(service: Service, voice: Any) -> None:
    kind = {"ProductType": "VoiceConnector", "E164PhoneNumbers": [NUMBER]}
    voice.create_phone_number_order(**kind)


def seeded(service: Service, **details: Any) -> None:
    service.seed({"E164PhoneNumber": NUMBER, "ProductType": "VoiceConnector", **details})


STATES: dict[str, Callable[[Service, Any], None]] = {
    "AcquireInProgress": acquiring,
    "AcquireFailed": lambda service, _: seeded(service, Status="AcquireFailed"),
    "Unassigned": lambda service, _: seeded(service),
    "Assigned": lambda service, voice: (seeded(service), associate(voice, new_connector(voice, "Holder"), NUMBER))[0],
    "ReleaseInProgress": lambda service, _: seeded(service, Status="ReleaseInProgress"),
    "ReleaseFailed": lambda service, _: seeded(service, Status="ReleaseFailed"),
}


def holder(voice: Any) -> str:
    return next(
        one["VoiceConnectorId"] for one in voice.list_voice_connectors()["VoiceConnectors"] if one["Name"] == "Holder"
    )


def only(answer: dict[str, Any]) -> str:
    """The code of a batch of one, as if it were raised."""
    return answer["PhoneNumberErrors"][0]["ErrorCode"] if answer["PhoneNumberErrors"] else ""


def to_rule(chime: Any, voice: Any) -> None:
    new_rule(voice, new_application(voice), NUMBER)


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "order": lambda chime, voice: chime.create_phone_number_order(
        ProductType="VoiceConnector", E164PhoneNumbers=[NUMBER]
    ),
    "update product type": lambda chime, voice: chime.update_phone_number(
        PhoneNumberId=NUMBER, ProductType="BusinessCalling"
    ),
    "update calling name": lambda chime, voice: chime.update_phone_number(PhoneNumberId=NUMBER, CallingName="Acme"),
    "associate": lambda chime, voice: only(
        voice.associate_phone_numbers_with_voice_connector(
            VoiceConnectorId=new_connector(voice), E164PhoneNumbers=[NUMBER]
        )
    ),
    "associate by force": lambda chime, voice: only(
        voice.associate_phone_numbers_with_voice_connector(
            VoiceConnectorId=new_connector(voice), E164PhoneNumbers=[NUMBER], ForceAssociate=True
        )
    ),
    "associate with a group": lambda chime, voice: only(
        voice.associate_phone_numbers_with_voice_connector_group(
            VoiceConnectorGroupId=new_group(voice), E164PhoneNumbers=[NUMBER]
        )
    ),
    "associate with a user": lambda chime, voice: chime.associate_phone_number_with_user(
        **new_user(chime), E164PhoneNumber=NUMBER
    ),
    "associate with a rule": to_rule,
    "disassociate": lambda chime, voice: only(
        voice.disassociate_phone_numbers_from_voice_connector(VoiceConnectorId=holder(voice), E164PhoneNumbers=[NUMBER])
    ),
    "delete": lambda chime, voice: chime.delete_phone_number(PhoneNumberId=NUMBER),
    "restore": lambda chime, voice: chime.restore_phone_number(PhoneNumberId=NUMBER),
}

HELD = "PhoneNumberAssociationsExist"
NO = "BadRequest"
OUTCOMES = {
    # by operation: what it comes to in AcquireInProgress, AcquireFailed, Unassigned, Assigned, ReleaseInProgress,
    # ReleaseFailed: the state that follows, or the code of the refusal; - is a number that is gone.
    "order": (NO, "AcquireInProgress", NO, NO, NO, NO),
    "update product type": (NO, NO, "Unassigned", HELD, NO, NO),
    "update calling name": (NO, NO, "Unassigned", "Assigned", NO, NO),
    "associate": (NO, NO, "Assigned", HELD, NO, NO),
    "associate by force": (NO, NO, "Assigned", "Assigned", NO, NO),
    "associate with a group": (NO, NO, "Assigned", HELD, NO, NO),
    "associate with a user": (NO, NO, NO, NO, NO, NO),  # it is no BusinessCalling number
    "associate with a rule": (NO, NO, NO, NO, NO, NO),  # nor a SipMediaApplicationDialIn one
    "disassociate": (NO, NO, NO, "Unassigned", NO, NO),
    "delete": (NO, "-", "ReleaseInProgress", HELD, NO, "ReleaseInProgress"),
    "restore": (NO, NO, NO, NO, "Unassigned", "Unassigned"),
}


def test_no_state_is_forgotten() -> None:
    """DeleteInProgress lasts for the carrier's answer only; the domain's tests have it."""
    assert set(STATES) | {"DeleteInProgress"} == {status for status, _ in MOVES}


@pytest.mark.parametrize("operation", OUTCOMES)
@pytest.mark.parametrize("state", STATES)
def test_every_operation_in_every_state(service: Service, state: str, operation: str) -> None:
    chime, voice = service.client("chime"), service.client("chime-sdk-voice")
    STATES[state](service, voice)
    if operation == "disassociate" and state != "Assigned":
        new_connector(voice, "Holder")
    before = chime.get_phone_number(PhoneNumberId=NUMBER)["PhoneNumber"]
    assert before["Status"] == state
    try:
        code = OPERATIONS[operation](chime, voice)
        code = code if isinstance(code, str) else ""
    except ClientError as error:
        code = error.response.get("Code") or error.response["Error"]["Code"].removesuffix("Exception")
    expected = OUTCOMES[operation][list(STATES).index(state)]
    if code:
        assert code == expected
        assert chime.get_phone_number(PhoneNumberId=NUMBER)["PhoneNumber"] == before
    elif expected == "-":
        with pytest.raises(chime.exceptions.NotFoundException):
            chime.get_phone_number(PhoneNumberId=NUMBER)
    else:
        assert chime.get_phone_number(PhoneNumberId=NUMBER)["PhoneNumber"]["Status"] == expected
