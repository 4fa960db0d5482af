"""Amazon Chime's accounts and users, and the phone numbers of the users."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..domain.business_account import (
    Account,
    AlexaForBusinessMetadata,
    License,
    RegistrationStatus,
    User,
    UserSettings,
    UserType,
    check_license,
)
from ..domain.errors import BadRequest, Conflict, Error, NotFound, Unprocessable
from ..domain.number_plan import normalize_id
from ..domain.phone_number import Holder
from ..storage.resources import ACCOUNTS, USERS, delete_users, user_of_email
from ..storage.tx import Tx
from . import pages
from .associations import assign, unassign
from .batches import Answer

_OF_ACCOUNT = "chime_account_id = ?"


def create_account(tx: Tx, name: str) -> Answer:
    """Create a team account."""
    account = Account(
        chime_account_id=tx.new_id(),
        aws_account_id=tx.account_id,
        name=name,
        default_license="Pro",
        created_timestamp=tx.now,
    )
    ACCOUNTS.insert(tx, account)
    return {"Account": account}


def get_account(tx: Tx, account_id: str) -> Answer:
    """Return one account."""
    return {"Account": ACCOUNTS.get(tx, account_id)}


def list_accounts(
    tx: Tx,
    name: str | None = None,
    user_email: str | None = None,
    max_results: int | None = None,
    next_token: str | None = None,
) -> Answer:
    """List all accounts, those whose name begins with `name`, or the one with a user of that email address."""

    def found(after: str | None, limit: int) -> list[Account]:
        if user_email:
            user = user_of_email(tx, user_email.lower())
            account = user and ACCOUNTS.get(tx, user.chime_account_id)
            return [account] if account and account.name.startswith(name or "") else []
        if name:
            return ACCOUNTS.page(tx, after, limit, "substr(name, 1, ?) = ?", (len(name), name))
        return ACCOUNTS.page(tx, after, limit)

    page, next_token = pages.page(
        tx,
        ["ListAccounts", name, user_email],
        max_results,
        next_token,
        found,
        lambda account: account.chime_account_id,
    )
    return {"Accounts": page, "NextToken": next_token}


def update_account(tx: Tx, account_id: str, name: str | None = None, default_license: License | None = None) -> Answer:
    """Change an account's name, its license for new users, or both."""
    was = ACCOUNTS.get(tx, account_id)
    if default_license:
        check_license(default_license)
    account = replace(was, name=name or was.name, default_license=default_license or was.default_license)
    ACCOUNTS.replace(tx, account)
    return {"Account": account}


def delete_account(tx: Tx, account_id: str) -> None:
    """Delete an account and its users, who all must be suspended and have no phone number."""
    ACCOUNTS.get(tx, account_id)
    if USERS.count(tx, f"{_OF_ACCOUNT} AND user_registration_status <> 'Suspended'", (account_id,)):
        raise Unprocessable("All users of the account must be suspended before it is deleted.")
    if USERS.count(tx, f"{_OF_ACCOUNT} AND primary_provisioned_number IS NOT NULL", (account_id,)):
        raise Unprocessable("The phone numbers of the account's users must be disassociated before it is deleted.")
    delete_users(tx, account_id)
    ACCOUNTS.delete(tx, account_id)


def create_user(
    tx: Tx,
    account_id: str,
    username: str | None = None,
    email: str | None = None,
    user_type: UserType | None = None,
) -> Answer:
    """Create a user, by an email address or, for a shared device, by a name."""
    account = ACCOUNTS.get(tx, account_id)
    if not (email or username):
        raise BadRequest("CreateUser needs Email or Username.")
    user = _user(tx, account, email, user_type or "PrivateUser", username)
    USERS.insert(tx, user)
    return {"User": user}


def invite_users(tx: Tx, account_id: str, user_email_list: Sequence[str], user_type: UserType | None = None) -> Answer:
    """Create users by email address, or reactivate suspended ones. Invitations are recorded; no mail is sent."""
    account = ACCOUNTS.get(tx, account_id)
    if len({email.lower() for email in user_email_list}) < len(user_email_list):
        raise BadRequest("UserEmailList must not hold an email address twice.")
    invites = []
    back: list[User] = []
    new: list[User] = []
    for email in user_email_list:
        user = user_of_email(tx, email.lower())
        if user and user.chime_account_id == account_id and user.user_registration_status == "Suspended":
            back.append(replace(user, user_registration_status="Registered"))
        else:
            new.append(_user(tx, account, email, user_type or "PrivateUser"))
    for users, keep in ((back, USERS.replace), (new, USERS.insert)):
        for user in users:
            keep(tx, replace(user, user_invitation_status="Pending", invited_on=tx.now))
    for user in (*back, *new):
        invites.append(
            {
                "InviteId": tx.new_id(),
                "Status": "Pending",
                "EmailAddress": user.primary_email,
                "EmailStatus": "NotSent",
            }
        )
    return {"Invites": invites}


def get_user(tx: Tx, account_id: str, user_id: str) -> Answer:
    """Return one user, with their phone number."""
    return {"User": _get(tx, account_id, user_id)}


def list_users(
    tx: Tx,
    account_id: str,
    user_email: str | None = None,
    user_type: UserType | None = None,
    max_results: int | None = None,
    next_token: str | None = None,
) -> Answer:
    """List the users of an account, in the order of their ids."""
    ACCOUNTS.get(tx, account_id)
    where, values = [_OF_ACCOUNT], [account_id]
    if user_email:
        where.append("primary_email = ?")
        values.append(user_email.lower())
    if user_type:
        where.append("user_type = ?")
        values.append(user_type)
    scope = ["ListUsers", account_id, user_email, user_type]
    page, next_token = pages.of_table(tx, scope, USERS, max_results, next_token, " AND ".join(where), tuple(values))
    return {"Users": page, "NextToken": next_token}


def update_user(
    tx: Tx,
    account_id: str,
    user_id: str,
    license_type: License | None = None,
    user_type: UserType | None = None,
    alexa_for_business_metadata: Struct | None = None,
) -> Answer:
    """Change the given details of a user."""
    was = _get(tx, account_id, user_id)
    if license_type:
        check_license(license_type)
    metadata = was.alexa_for_business_metadata
    if alexa_for_business_metadata is not None:
        given = {name: value for name, value in msgspec.structs.asdict(alexa_for_business_metadata).items() if value}
        metadata = AlexaForBusinessMetadata(**given)
    user = replace(
        was,
        license_type=license_type or was.license_type,
        user_type=user_type or was.user_type,
        alexa_for_business_metadata=metadata,
    )
    USERS.replace(tx, user)
    return {"User": user}


def batch_update_user(tx: Tx, account_id: str, update_user_request_items: Sequence[Struct]) -> Answer:
    """Run `update_user` for each item; a failed item does not affect the others."""
    items = [msgspec.structs.asdict(item) for item in update_user_request_items]
    return _each(
        tx,
        account_id,
        [item.pop("user_id") for item in items],
        lambda index, user_id: update_user(tx, account_id, user_id, **items[index]),
    )


def batch_suspend_user(tx: Tx, account_id: str, user_id_list: Sequence[str]) -> Answer:
    """Suspend users; only an account of suspended users can be deleted."""
    return _each(tx, account_id, user_id_list, lambda _, user_id: _register(tx, account_id, user_id, "Suspended"))


def batch_unsuspend_user(tx: Tx, account_id: str, user_id_list: Sequence[str]) -> Answer:
    """Reactivate suspended users."""
    return _each(tx, account_id, user_id_list, lambda _, user_id: _register(tx, account_id, user_id, "Registered"))


def get_user_settings(tx: Tx, account_id: str, user_id: str) -> Answer:
    """Return what a user may do with a phone number."""
    return {"UserSettings": _get(tx, account_id, user_id).settings}


def update_user_settings(tx: Tx, account_id: str, user_id: str, user_settings: Struct) -> None:
    """Set what a user may do with a phone number."""
    user = _get(tx, account_id, user_id)
    settings = msgspec.convert(user_settings, UserSettings, from_attributes=True)
    USERS.replace(tx, replace(user, settings=settings))


def associate_phone_number_with_user(tx: Tx, account_id: str, user_id: str, e164_phone_number: str) -> Answer:
    """Assign a BusinessCalling number to a user who has none."""
    user = _get(tx, account_id, user_id)
    e164 = normalize_id(e164_phone_number)
    if user.primary_provisioned_number not in (None, e164):
        raise BadRequest(
            f"User {user_id} has the phone number {user.primary_provisioned_number}; disassociate it first."
        )
    assign(tx, e164, _holder(user))
    USERS.replace(tx, replace(user, primary_provisioned_number=e164))
    return {}


def disassociate_phone_number_from_user(tx: Tx, account_id: str, user_id: str) -> Answer:
    """Take the user's phone number away."""
    user = _get(tx, account_id, user_id)
    if user.primary_provisioned_number is None:
        raise BadRequest(f"User {user_id} has no phone number.")
    unassign(tx, user.primary_provisioned_number, _holder(user))
    USERS.replace(tx, replace(user, primary_provisioned_number=None))
    return {}


def _get(tx: Tx, account_id: str, user_id: str) -> User:
    ACCOUNTS.get(tx, account_id)
    user = USERS.get(tx, user_id)
    if user.chime_account_id != account_id:
        raise NotFound(f"Could not find User with Id '{user_id}'")
    return user


def _user(tx: Tx, account: Account, email: str | None, user_type: UserType, username: str | None = None) -> User:
    """Return a new user. Raises Conflict if a user in any of the AWS account's teams has the email address."""
    email = email.lower() if email else None
    if email and user_of_email(tx, email):
        raise Conflict("A user with this email address exists already.")
    return User(
        user_id=tx.new_id(),
        chime_account_id=account.chime_account_id,
        primary_email=email,
        display_name=username,
        license_type=account.default_license,
        user_type=user_type,
    )


def _holder(user: User) -> Holder:
    return {"UserId": user.user_id, "AccountId": user.chime_account_id}


def _register(tx: Tx, account_id: str, user_id: str, status: RegistrationStatus) -> None:
    user = _get(tx, account_id, user_id)
    if status == "Registered" and user.user_registration_status != "Suspended":
        return  # ignored, by the API reference
    USERS.replace(tx, replace(user, user_registration_status=status))


def _each(tx: Tx, account_id: str, user_ids: Sequence[str], act: Callable[[int, str], Any]) -> Answer:
    ACCOUNTS.get(tx, account_id)
    if len(set(user_ids)) < len(user_ids):
        raise BadRequest("A batch must not hold a user twice.")
    failures = []
    for index, user_id in enumerate(user_ids):
        try:
            act(index, user_id)
        except Error as error:
            failures.append({"UserId": user_id, "ErrorCode": error.code, "ErrorMessage": str(error)})
    return {"UserErrors": failures}
