"""The commands for access: access keys, users, roles, and their policies."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from ..aws.model import RESOURCE_KINDS, SERVICES, flavours, load
from ..aws.policy import MANAGED, Context, PolicyError, check_actions, parse
from ..config import Location
from ..domain.errors import BadRequest
from ..domain.identity import (
    DEFAULT_ROLE_SESSION_SECONDS,
    KEYS_OF_A_USER,
    LONGEST_ROLE_SESSION_SECONDS,
    SHORTEST_SESSION_SECONDS,
    AccessKey,
    AttachedPolicy,
    Role,
    User,
)
from ..keyring import new_key, policy_of
from ..opening import check_store, reseal, sealer_of
from ..operations import INSTEAD, OPERATIONS
from ..sealing import Sealer, SealError, add_key, make_key_file
from ..storage import identities
from ..storage.identities import ROLES, USERS
from ..storage.table import Table
from ..storage.tx import Tx
from ..world import World
from .options import (
    account_option,
    database_option,
    facts_output_option,
    of_account,
    output_option,
    refusing,
    secret_key_option,
    show,
)
from .transactions import run

MOST_SHOWN = 100_000


def read_policy(policy: str) -> AttachedPolicy:
    """Return the managed policy of that name, or read a policy from the file of that name."""
    if policy in MANAGED:
        return AttachedPolicy(policy)
    path = Path(policy)
    try:
        document = parse(path.read_bytes())
        check_actions(document, chime_actions())
    except OSError as error:
        raise click.ClickException(
            f"{policy} is no file that can be read, and no managed policy: {', '.join(MANAGED)}."
        ) from error
    except PolicyError as error:
        raise click.ClickException(f"The policy {policy} is refused. {error}") from error
    return AttachedPolicy(path.stem, msgspec.json.encode(document).decode())


def chime_actions() -> set[str]:
    """The names of all actions of both flavours of the API."""
    return {f"chime:{name}" for service in SERVICES for name in load(service)["operations"]}


def named_in_vain(policy: AttachedPolicy) -> Iterator[str]:
    """Resources that a policy names but no request is ever about, such as a phone number."""
    statements = msgspec.json.decode(policy.document)["Statement"] if policy.document else []
    for statement in statements if isinstance(statements, list) else [statements]:
        named = statement.get("Resource", ())
        for arn in [named] if isinstance(named, str) else named:
            parts = arn.split(":", 5)
            kind = parts[-1].partition("/")[0]
            if parts[2:3] == ["chime"] and not set(kind) & {"*", "?"} and kind not in RESOURCE_KINDS.values():
                yield arn


def has_resource(action: str) -> bool:
    """Whether requests for an action are about a resource that a policy can name."""
    if action.lower() == "sts:assumerole":
        return True  # the role's
    operations = flavours(OPERATIONS, INSTEAD)["default"].operations.values()
    return any(one.resource is not None for one in operations if one.action.lower() == action.lower())


# Keys


@click.group()
def keys() -> None:
    """Manage access keys, which sign requests."""


@keys.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def init(file: Path) -> None:
    """Create FILE with a new secret key. It seals the secrets of a store."""
    try:
        make_key_file(file)
    except SealError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file} is made. Keep it apart from the store: together they are the secrets.", err=True)


@keys.command()
@database_option
@secret_key_option
@account_option
@click.option("--name", required=True, help="The user's name; the user is created if absent.")
@click.option("--policy", help="A policy to attach to the user: a file, or the name of a managed policy.")
@facts_output_option
def create(
    database: Location, secret_key_file: Path | None, account: str, name: str, policy: str | None, output: str
) -> None:
    """Create an access key. Its secret is shown now, and never again."""
    sealer = refusing(lambda: sealer_of(secret_key_file))
    attached = read_policy(policy) if policy else None
    _show_new(*run(database, account, new_key, sealer, name, attached), output)


@keys.command("list")
@of_account
@click.option("--name", help="Only keys of this user.")
@output_option
def list_keys(database: Location, account: str, name: str | None, output: str) -> None:
    """List the access keys of an account, without their secrets."""
    found = run(database, account, identities.keys, name)
    columns = ("access_key_id", "user_name", "status", "created_at", "last_used_at")
    show(({column: getattr(key, column) for column in columns} for key in found), columns, output)


@keys.command()
@of_account
@click.argument("access_key_id")
def disable(database: Location, account: str, access_key_id: str) -> None:
    """Disable an access key until it is enabled again. Running servers notice within a second."""
    run(database, account, identities.set_key_status, access_key_id, "Inactive")


@keys.command()
@of_account
@click.argument("access_key_id")
def enable(database: Location, account: str, access_key_id: str) -> None:
    """Enable a disabled access key."""
    run(database, account, identities.set_key_status, access_key_id, "Active")


@keys.command()
@of_account
@click.argument("access_key_id")
def delete(database: Location, account: str, access_key_id: str) -> None:
    """Delete an access key for good."""
    run(database, account, identities.delete_key, access_key_id)


@keys.command()
@database_option
@secret_key_option
@account_option
@click.argument("access_key_id")
@facts_output_option
def rotate(database: Location, secret_key_file: Path | None, account: str, access_key_id: str, output: str) -> None:
    """Create another key for an access key's user. The old key works until it is deleted.

    If the user has a second key already and it is disabled, the new key replaces it.
    """
    sealer = refusing(lambda: sealer_of(secret_key_file))
    _show_new(*run(database, account, _rotate, sealer, access_key_id), output)
    click.echo(
        f"Once nobody uses {access_key_id} any more: numberkeep keys delete --account {account} {access_key_id}",
        err=True,
    )


@keys.command()
@database_option
@secret_key_option
def rekey(database: Location, secret_key_file: Path | None) -> None:
    """Rotate the secret key, and seal all secrets with the new one.

    It is put into the secret key file. Running servers go on: they read the file again. The old key stays in the file,
    below the new one, for session tokens; remove it after 36 hours, when the last of them has expired, and restart the
    servers then. Backups made before need the old key: keep a copy of it with them.
    """
    if secret_key_file is None:
        raise click.UsageError("rekey needs --secret-key-file: it puts the new key there.")
    file = secret_key_file
    refusing(lambda: check_store(database))
    try:
        add_key(file)
    except SealError as error:
        raise click.ClickException(str(error)) from error
    count = refusing(lambda: reseal(database, sealer_of(file)))
    click.echo(
        f"{count} secrets are sealed with the new key. Remove the old one from {file} in 36 hours; backups made before"
        " need it: keep a copy with them.",
        err=True,
    )


def _rotate(tx: Tx, sealer: Sealer, access_key_id: str) -> tuple[AccessKey, str]:
    user_name = identities.get_key(tx, access_key_id).user_name
    others = [one for one in identities.keys(tx, user_name) if one.access_key_id != access_key_id]
    if len(others) == KEYS_OF_A_USER - 1:
        if others[0].status == "Active":
            raise BadRequest(
                f"User {user_name} has another active key, {others[0].access_key_id}; disable or delete it first."
            )
        identities.delete_key(tx, others[0].access_key_id)
    return new_key(tx, sealer, user_name)


def _show_new(key: AccessKey, secret: str, output: str) -> None:
    arn = f"arn:aws:iam::{key.account_id}:user/{key.user_name}"
    if output == "json":
        answer = {
            "AccessKeyId": key.access_key_id,
            "SecretAccessKey": secret,
            "UserName": key.user_name,
            "Arn": arn,
        }
        click.echo(msgspec.json.encode(answer).decode())
    else:
        click.echo(f"AWS_ACCESS_KEY_ID={key.access_key_id}\nAWS_SECRET_ACCESS_KEY={secret}")
        click.echo(f"The key of {arn}; its secret is not shown again.", err=True)


# Users and roles


@click.group()
def users() -> None:
    """Manage the users of an account."""


@users.command("create")
@of_account
@click.option("--name", required=True, help="The user's name.")
def create_user(database: Location, account: str, name: str) -> None:
    """Create a user. The first user of an account may do everything, later ones nothing until a policy allows it."""
    click.echo(run(database, account, identities.create_user, name).arn)


@users.command("list")
@of_account
@output_option
def list_users(database: Location, account: str, output: str) -> None:
    """List the users of an account and their policies."""
    _show_principals(database, account, USERS, "user_name", output)


@users.command("delete")
@of_account
@click.option("--name", required=True, help="The user's name.")
def delete_user(database: Location, account: str, name: str) -> None:
    """Delete a user and their access keys."""
    run(database, account, identities.delete_user, name)


@click.group()
def roles() -> None:
    """Manage roles, which trusted users can assume for a while."""


@roles.command("create")
@of_account
@click.option("--name", required=True, help="The role's name.")
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    help="Who may assume the role: a user's ARN or an account; repeat for several; without it, the account itself.",
)
@click.option(
    "--session-seconds",
    default=DEFAULT_ROLE_SESSION_SECONDS,
    type=click.IntRange(SHORTEST_SESSION_SECONDS, LONGEST_ROLE_SESSION_SECONDS),
    help="The longest duration of a session.",
)
def create_role(database: Location, account: str, name: str, trusted: Sequence[str], session_seconds: int) -> None:
    """Create a role, which may do nothing until a policy allows it. To assume it, a user needs a policy for
    sts:AssumeRole."""
    click.echo(run(database, account, identities.create_role, name, trusted or (account,), session_seconds).arn)


@roles.command("list")
@of_account
@output_option
def list_roles(database: Location, account: str, output: str) -> None:
    """List the roles of an account, whom they trust, and their policies."""
    _show_principals(database, account, ROLES, "role_name", output, "trusted")


@roles.command("delete")
@of_account
@click.option("--name", required=True, help="The role's name.")
def delete_role(database: Location, account: str, name: str) -> None:
    """Delete a role. Its sessions end within a second."""

    def delete(tx: Tx) -> None:
        ROLES.get(tx, name)
        ROLES.delete(tx, name)

    run(database, account, delete)


def _show_principals(database: Location, account: str, table: Table[Any], name: str, output: str, *more: str) -> None:
    found = run(database, account, table.page, None, MOST_SHOWN)
    columns = (name, "arn", "created_at", *more, "policies")
    rows = (
        {**msgspec.structs.asdict(one), "policies": [policy.policy_name for policy in one.policies]} for one in found
    )
    show(rows, columns, output)


# Policies


def principal_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --user and --role, one of which says whose policy it is."""
    function = click.option("--role", help="The role.")(function)
    return click.option("--user", help="The user.")(function)


def principal(user: str | None, role: str | None) -> tuple[Table[Any], str]:
    """The table of the user or the role, and its name. Raises click.UsageError unless exactly one is given."""
    if (user is None) == (role is None):
        raise click.UsageError("Give --user or --role.")
    return (USERS, user) if user is not None else (ROLES, str(role))


@click.group()
def policies() -> None:
    """Manage what users and roles may do, as IAM policy documents."""


@policies.command()
@of_account
@principal_options
@click.option("--policy", required=True, help="A file, or the name of a managed policy.")
def attach(database: Location, account: str, user: str | None, role: str | None, policy: str) -> None:
    """Attach a policy to a user or a role. It replaces one of the same name."""
    table, name = principal(user, role)
    attached = read_policy(policy)
    run(database, account, identities.attach, table, name, attached)
    for resource in named_in_vain(attached):
        click.echo(
            f"Warning: no request is about {resource}, so no statement applies to one by it: of Chime's resources"
            " policies can name Voice Connectors (vc/...) and SIP media applications (sma/...) alone.",
            err=True,
        )


@policies.command()
@of_account
@principal_options
@click.option("--policy", required=True, help="The policy's name, as `list` shows it.")
def detach(database: Location, account: str, user: str | None, role: str | None, policy: str) -> None:
    """Detach a policy from a user or a role."""
    table, name = principal(user, role)
    run(database, account, identities.detach, table, name, policy)


@policies.command("list")
@of_account
@principal_options
@output_option
def list_policies(database: Location, account: str, user: str | None, role: str | None, output: str) -> None:
    """List the policies of a user or a role."""
    show(
        (
            {"policy": one.policy_name, "kind": "own" if one.document else "managed"}
            for one in _principal(database, account, user, role).policies
        ),
        ("policy", "kind"),
        output,
    )


@policies.command("show")
@of_account
@principal_options
@click.option("--policy", required=True, help="The policy's name.")
def show_policy(database: Location, account: str, user: str | None, role: str | None, policy: str) -> None:
    """Print the document of a policy of a user or a role."""
    for one in _principal(database, account, user, role).policies:
        if one.policy_name == policy:
            document = msgspec.json.encode(MANAGED[policy]) if one.document is None else one.document.encode()
            click.echo(msgspec.json.format(document, indent=2).decode())
            return
    raise click.ClickException(f"There is no policy {policy} there.")


@policies.command()
@of_account
@principal_options
@click.option("--action", required=True, help="The action, such as chime:UpdatePhoneNumber.")
@click.option("--resource", default="*", help="The resource's ARN, or * for an action without one.")
@click.option("--source-ip", default="", help="The value of aws:SourceIp.")
@click.option(
    "--time", "current_time", type=float, help="The value of aws:CurrentTime, in epoch seconds; by default, now."
)
@click.option("--secure", is_flag=True, help="Set aws:SecureTransport to true.")
@click.option("--region", default="us-east-1", help="The value of aws:RequestedRegion.")
def simulate(
    database: Location,
    account: str,
    user: str | None,
    role: str | None,
    action: str,
    resource: str,
    source_ip: str,
    current_time: float | None,
    secure: bool,
    region: str,
) -> None:
    """Tell whether a user or a role may do something: Allow, ExplicitDeny or ImplicitDeny, as the server decides."""
    if ":" not in action:
        raise click.UsageError(f"--action: {action} lacks its service, as in chime:{action}.")
    try:
        check_actions({"Statement": {"Action": action}}, chime_actions())
    except PolicyError as error:
        raise click.UsageError(f"--action: {action} is no action of Amazon Chime's.") from error
    one = _principal(database, account, user, role)
    if resource != "*" and not has_resource(action):
        click.echo(
            f"A request for {action} is about no resource that a policy can name; it is decided for *.", err=True
        )
        resource = "*"
    now = World().real_seconds() if current_time is None else current_time
    context = Context(source_ip, now, secure, region, user)
    click.echo(policy_of(one.policies).decide(action, resource, context))


def _principal(database: Location, account: str, user: str | None, role: str | None) -> User | Role:
    table, name = principal(user, role)
    found: User | Role = run(database, account, table.get, name)
    return found
