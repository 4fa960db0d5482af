"""Amazon Chime's own accounts and users, as far as phone numbers need them: a user can hold a BusinessCalling number.

An AWS account has any number of Chime accounts. Their ids are called `chime_account_id` here, because `account_id`
means the AWS account everywhere.
"""

from typing import Literal

from msgspec import Struct

from .errors import BadRequest
from .moment import Timestamp

License = Literal["Basic", "Plus", "Pro", "ProTrial"]
UserType = Literal["PrivateUser", "SharedDevice"]
RegistrationStatus = Literal["Unregistered", "Registered", "Suspended"]
SUPPORTED_LICENSES: tuple[License, ...] = ("Basic", "Pro")


class Account(Struct, frozen=True, kw_only=True):
    """A Chime account: a team of users."""

    chime_account_id: str
    aws_account_id: str
    name: str
    default_license: License
    created_timestamp: Timestamp

    @property
    def account_id(self) -> str:
        return self.chime_account_id

    @property
    def account_type(self) -> str:
        """The type of all accounts that an AWS account creates itself."""
        return "Team"

    @property
    def account_status(self) -> str:
        return "Active"

    @property
    def supported_licenses(self) -> tuple[License, ...]:
        return SUPPORTED_LICENSES


class Telephony(Struct, frozen=True):
    """What a user may do with a phone number."""

    inbound_calling: bool = True
    outbound_calling: bool = True
    sms: bool = True


class UserSettings(Struct, frozen=True):
    """A user's settings."""

    telephony: Telephony = Telephony()


class AlexaForBusinessMetadata(Struct, frozen=True):
    """Stored and returned, without effect: Alexa for Business is discontinued."""

    is_alexa_for_business_enabled: bool = False
    alexa_for_business_room_arn: str | None = None


class User(Struct, frozen=True, kw_only=True):
    """A person, or a device shared by several people."""

    user_id: str
    chime_account_id: str
    primary_email: str | None
    primary_provisioned_number: str | None = None
    """The phone number that is associated with the user, in E.164."""
    display_name: str | None
    license_type: License
    user_type: UserType
    user_registration_status: RegistrationStatus = "Unregistered"
    user_invitation_status: str | None = None
    invited_on: Timestamp | None = None
    alexa_for_business_metadata: AlexaForBusinessMetadata = AlexaForBusinessMetadata()
    settings: UserSettings = UserSettings()

    @property
    def account_id(self) -> str:
        return self.chime_account_id


def check_license(license: str) -> None:
    """Raise BadRequest for a license that a team account cannot have."""
    if license not in SUPPORTED_LICENSES:
        raise BadRequest(f"The account's licenses are {' and '.join(SUPPORTED_LICENSES)}; {license} was given.")
