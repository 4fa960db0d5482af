"""The page Access: who may sign requests, with which keys, and what they may do. It shows no secrets."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from ...aws.policy import MANAGED
from ...domain.identity import AccessKey, AttachedPolicy, Role, User
from ...storage.identities import ROLES, USERS, keys
from ...storage.tx import Tx
from .visit import Visit

PAGE_USERS = 100


class Known(Struct, frozen=True):
    """A page of an account's users, with their keys, and its roles."""

    users: list[User]
    keys: Mapping[str, Sequence[AccessKey]]
    """By the user's name."""
    roles: list[Role]
    has_after: bool


async def show(visit: Visit) -> Response:
    """Show users, keys, roles and policies."""
    known = await visit.survey(_know, visit.query("after"))
    return visit.page("access.html", title="Access", known=known, document=_document)


def _know(tx: Tx, after: str) -> Known:
    users = USERS.page(tx, after, PAGE_USERS + 1)
    shown = users[:PAGE_USERS]
    return Known(
        users=shown,
        keys={user.user_name: keys(tx, user.user_name) for user in shown},
        roles=ROLES.page(tx, None, PAGE_USERS),
        has_after=len(users) > PAGE_USERS,
    )


def _document(policy: AttachedPolicy) -> str:
    """The text of a policy's document."""
    document: Any = MANAGED[policy.policy_name] if policy.document is None else msgspec.json.decode(policy.document)
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
