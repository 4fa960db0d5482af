"""Accounts, their users, and the users' phone numbers."""

from typing import Any

import pytest

from conftest import Service
from estate import NUMBERS, holders, new_user, refused

NUMBER = NUMBERS["BusinessCalling"]


def user(chime: Any, ids: dict[str, str]) -> dict[str, Any]:
    return chime.get_user(**ids)["User"]


def test_the_life_of_an_account(chime: Any) -> None:
    made = chime.create_account(Name="Team")["Account"]
    account = {"AccountId": made["AccountId"]}
    assert (made["AwsAccountId"], made["AccountType"], made["DefaultLicense"]) == ("123456789012", "Team", "Pro")
    assert made["SupportedLicenses"] == ["Basic", "Pro"]
    updated = chime.update_account(**account, Name="Other", DefaultLicense="Basic")["Account"]
    assert (updated["Name"], updated["DefaultLicense"]) == ("Other", "Basic")
    with refused(chime, "BadRequestException", "licenses are Basic and Pro"):
        chime.update_account(**account, DefaultLicense="Plus")
    assert chime.get_account(**account)["Account"] == updated
    user = chime.create_user(**account, Email="ann@example.com")["User"]
    with refused(chime, "UnprocessableEntityException", "must be suspended"):
        chime.delete_account(**account)
    assert chime.batch_suspend_user(**account, UserIdList=[user["UserId"]])["UserErrors"] == []
    chime.delete_account(**account)
    with refused(chime, "NotFoundException", "Could not find Account"):
        chime.get_account(**account)
    chime.create_user(AccountId=chime.create_account(Name="New")["Account"]["AccountId"], Email="ann@example.com")


def test_accounts_are_found_by_name_and_by_user(chime: Any) -> None:
    names = {name: chime.create_account(Name=name)["Account"]["AccountId"] for name in ("North", "Northwest", "South")}
    chime.create_user(AccountId=names["South"], Email="Ann@Example.com")

    def found(**filters: Any) -> set[str]:
        return {one["Name"] for one in chime.list_accounts(**filters)["Accounts"]}

    assert found() == set(names)
    assert found(Name="North") == {"North", "Northwest"}
    assert found(UserEmail="ann@example.com") == {"South"}
    assert found(UserEmail="bob@example.com") == set()
    first = chime.list_accounts(MaxResults=2)
    assert len(chime.list_accounts(MaxResults=2, NextToken=first["NextToken"])["Accounts"]) == 1


def test_the_life_of_a_user(chime: Any) -> None:
    ids = new_user(chime, "Ann@example.com")
    shown = user(chime, ids)
    assert (shown["PrimaryEmail"], shown["LicenseType"], shown["UserType"]) == ("ann@example.com", "Pro", "PrivateUser")
    chime.update_user(**ids, LicenseType="Basic", AlexaForBusinessMetadata={"IsAlexaForBusinessEnabled": True})
    assert user(chime, ids)["LicenseType"] == "Basic"
    assert user(chime, ids)["AlexaForBusinessMetadata"]["IsAlexaForBusinessEnabled"] is True
    errors = chime.batch_update_user(
        AccountId=ids["AccountId"],
        UpdateUserRequestItems=[
            {"UserId": ids["UserId"], "UserType": "SharedDevice"},
            {"UserId": "nobody", "UserType": "SharedDevice"},
        ],
    )["UserErrors"]
    assert [(one["UserId"], one["ErrorCode"]) for one in errors] == [("nobody", "NotFound")]
    assert user(chime, ids)["UserType"] == "SharedDevice"
    with refused(chime, "ConflictException", "exists already"):
        chime.create_user(AccountId=ids["AccountId"], Email="ANN@example.com")
    with refused(chime, "BadRequestException", "Email or Username"):
        chime.create_user(AccountId=ids["AccountId"])
    chime.create_user(AccountId=ids["AccountId"], Username="Lobby", UserType="SharedDevice")
    listed = chime.list_users(AccountId=ids["AccountId"], UserEmail="ann@example.com")["Users"]
    assert listed == [user(chime, ids)]
    assert len(chime.list_users(AccountId=ids["AccountId"], UserType="SharedDevice")["Users"]) == 2


def test_a_user_is_of_one_account(chime: Any) -> None:
    ids = new_user(chime)
    other = chime.create_account(Name="Other")["Account"]["AccountId"]
    with refused(chime, "NotFoundException", "Could not find User"):
        chime.get_user(AccountId=other, UserId=ids["UserId"])


def test_invitations(chime: Any) -> None:
    account = chime.create_account(Name="Team")["Account"]["AccountId"]
    invites = chime.invite_users(AccountId=account, UserEmailList=["ann@example.com", "bob@example.com"])["Invites"]
    assert {(one["EmailAddress"], one["Status"], one["EmailStatus"]) for one in invites} == {
        ("ann@example.com", "Pending", "NotSent"),
        ("bob@example.com", "Pending", "NotSent"),
    }
    assert {one["UserInvitationStatus"] for one in chime.list_users(AccountId=account)["Users"]} == {"Pending"}
    with refused(chime, "BadRequestException", "twice"):
        chime.invite_users(AccountId=account, UserEmailList=["eve@example.com", "Eve@example.com"])
    # InviteUsers declares no ConflictException.
    with refused(chime, "BadRequestException", "exists already"):
        chime.invite_users(AccountId=account, UserEmailList=["eve@example.com", "ann@example.com"])
    assert len(chime.list_users(AccountId=account)["Users"]) == 2


def test_suspension(chime: Any) -> None:
    ids = new_user(chime)
    account = {"AccountId": ids["AccountId"]}
    assert chime.batch_unsuspend_user(**account, UserIdList=[ids["UserId"]])["UserErrors"] == []
    assert user(chime, ids)["UserRegistrationStatus"] == "Unregistered"  # who is not suspended is left alone
    chime.batch_suspend_user(**account, UserIdList=[ids["UserId"]])
    assert user(chime, ids)["UserRegistrationStatus"] == "Suspended"
    assert chime.batch_unsuspend_user(**account, UserIdList=[ids["UserId"]])["UserErrors"] == []
    assert user(chime, ids)["UserRegistrationStatus"] == "Registered"
    chime.batch_suspend_user(**account, UserIdList=[ids["UserId"]])
    (invite,) = chime.invite_users(**account, UserEmailList=["Ann@example.com"])["Invites"]
    assert invite["EmailAddress"] == "ann@example.com"
    assert user(chime, ids)["UserRegistrationStatus"] == "Registered"  # an invitation brings a suspended user back
    with refused(chime, "BadRequestException", "twice"):
        chime.batch_suspend_user(**account, UserIdList=[ids["UserId"]] * 2)


def test_settings(chime: Any) -> None:
    ids = new_user(chime)
    telephony = {"InboundCalling": True, "OutboundCalling": True, "SMS": True}
    assert chime.get_user_settings(**ids)["UserSettings"] == {"Telephony": telephony}
    chime.update_user_settings(**ids, UserSettings={"Telephony": {**telephony, "SMS": False}})
    assert chime.get_user_settings(**ids)["UserSettings"] == {"Telephony": {**telephony, "SMS": False}}


def test_a_number_is_a_users(chime: Any) -> None:
    ids, other = new_user(chime), new_user(chime, "bob@example.com")
    chime.associate_phone_number_with_user(**ids, E164PhoneNumber=NUMBER)
    assert holders(chime, NUMBER) == ("Assigned", {"UserId": ids["UserId"], "AccountId": ids["AccountId"]})
    assert user(chime, ids)["PrimaryProvisionedNumber"] == NUMBER
    chime.associate_phone_number_with_user(**ids, E164PhoneNumber=NUMBER)  # once more changes nothing
    with refused(chime, "BadRequestException", "is assigned to"):
        chime.associate_phone_number_with_user(**other, E164PhoneNumber=NUMBER)
    with refused(chime, "BadRequestException", "is assigned to"):
        chime.delete_phone_number(PhoneNumberId=NUMBER)
    with refused(chime, "BadRequestException", f"AccountId .*, UserId {ids['UserId']}"):
        chime.update_phone_number(PhoneNumberId=NUMBER, ProductType="VoiceConnector")
    chime.disassociate_phone_number_from_user(**ids)
    assert holders(chime, NUMBER) == ("Unassigned", {})
    assert "PrimaryProvisionedNumber" not in user(chime, ids)
    with refused(chime, "BadRequestException", "has no phone number"):
        chime.disassociate_phone_number_from_user(**ids)


@pytest.mark.parametrize(
    ("e164", "exception", "rule"),
    [
        (NUMBERS["VoiceConnector"], "BadRequestException", "only BusinessCalling numbers can be assigned to a User"),
        ("+12065550177", "NotFoundException", "Could not find PhoneNumber"),
    ],
)
def test_a_number_that_no_user_can_have(chime: Any, e164: str, exception: str, rule: str) -> None:
    ids = new_user(chime)
    with refused(chime, exception, rule):
        chime.associate_phone_number_with_user(**ids, E164PhoneNumber=e164)
    assert "PrimaryProvisionedNumber" not in user(chime, ids)


def test_a_user_has_one_number(estate: Service, chime: Any) -> None:
    estate.seed({"E164PhoneNumber": "+12065550103", "ProductType": "BusinessCalling"})
    ids = new_user(chime)
    chime.associate_phone_number_with_user(**ids, E164PhoneNumber=NUMBER)
    with refused(chime, "BadRequestException", f"has the phone number .{NUMBER[1:]}"):
        chime.associate_phone_number_with_user(**ids, E164PhoneNumber="+12065550103")
    chime.batch_suspend_user(AccountId=ids["AccountId"], UserIdList=[ids["UserId"]])
    with refused(chime, "UnprocessableEntityException", "must be disassociated"):
        chime.delete_account(AccountId=ids["AccountId"])
