"""Amazon Chime's own accounts and users, as far as phone numbers need them: a BusinessCalling number is a user's.

An AWS account has any number of these accounts. Their ids are called `chime_account_id` here, since `account_id` is
the AWS account's everywhere.
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
    """A team of users."""

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
        """Accounts that an AWS account creates itself are teams."""
        return "Team"

    @property
    def account_status(self) -> str:
        return "Active"

    @property
    def supported_licenses(self) -> tuple[License, ...]:
        return SUPPORTED_LICENSES


class Telephony(Struct, frozen=True):
    """What a user may do with a number."""

    inbound_calling: bool = True
    outbound_calling: bool = True
    sms: bool = True


class UserSettings(Struct, frozen=True):
    """A user's settings."""

    telephony: Telephony = Telephony()


class AlexaForBusinessMetadata(Struct, frozen=True):
    """Kept and given back; Alexa for Business is no more."""

    is_alexa_for_business_enabled: bool = False
    alexa_for_business_room_arn: str | None = None


class User(Struct, frozen=True, kw_only=True):
    """A person, or a device that several share."""

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
    """Raises BadRequest for a license that a team account does not have."""
    if license not in SUPPORTED_LICENSES:
        raise BadRequest(f"The account's licenses are {' and '.join(SUPPORTED_LICENSES)}; {license} was given.")
