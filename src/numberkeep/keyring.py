"""Looks up access keys and what their owners may do, and makes temporary credentials."""

import asyncio
import base64
import logging
import secrets
import string
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from .aws.policy import MANAGED, Policy
from .aws.sigv4 import Key
from .domain.caller import Caller
from .domain.errors import BadRequest, NotFound
from .domain.identity import AccessKey, AttachedPolicy, Role
from .domain.moment import seconds_of
from .sealing import Sealer, SealError, is_sealed
from .storage import identities
from .storage.driver import Driver
from .storage.identities import ROLES, USERS, find_key_and_user, touch_key
from .storage.tx import Tx
from .world import World

log = logging.getLogger(__name__)

KEPT_SECONDS = 1.0
"""How long a key may still be accepted after it was disabled or deleted, or a policy after it was detached."""
KEPT_KEYS = 10_000
LONGEST_TOKEN = 4096
TOUCHED_SECONDS = 900
"""The precision of the time at which a key was last used: it is stored about this often."""
_KEY_CHARACTERS = string.ascii_uppercase + "234567"
_SESSION = "session token"


class Session(Struct, frozen=True):
    """The contents of a session token, which is sealed: all there is to know about temporary credentials."""

    access_key_id: str
    secret_access_key: str
    account_id: str
    name: str
    """The name of the user or role."""
    principal_id: str
    """The unique id of the user or role: tells it from a later one of the same name."""
    role_session_name: str | None
    """None for a user's session."""
    expires_at: float
    """Epoch seconds."""


class Credentials(NamedTuple):
    """Temporary credentials, as STS returns them."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: float


class Keyring:
    """Finds the key for the id that a request claims, and makes temporary credentials. Keys are cached briefly."""

    def __init__(self, storage: Driver, sealer: Sealer, world: World) -> None:
        self._storage = storage
        self._sealer = sealer
        self._world = world
        self._kept: dict[tuple[str, str | None], tuple[float, Key]] = {}
        self._unnoted: dict[str, None] = {}
        """The ids of keys whose next use is to be stored."""
        self._touching: set[asyncio.Task[None]] = set()

    def __call__(self, access_key_id: str, session_token: str | None) -> Key | None:
        """Return the key with that id, or None. A temporary key is found by its session token."""
        now = self._world.steady_seconds()
        temporary = access_key_id.startswith("ASIA")
        name = (access_key_id, session_token if temporary else None)
        kept_until, key = self._kept.get(name, (now, None))
        if now < kept_until:
            return key
        self._kept.pop(name, None)
        key = self._session_key(access_key_id, session_token) if temporary else self._long_term_key(access_key_id)
        if key is not None and key.caller.account_id:
            if len(self._kept) >= KEPT_KEYS:
                self._kept.clear()
            self._kept[name] = (now + KEPT_SECONDS, key)
        return key

    def role_of(self, arn: str) -> Role:
        """Return the role with that ARN, of whichever account. Raises NotFound."""
        parts = arn.split(":")
        if len(parts) == 6:
            role = self._storage.look(_anybody(parts[4]), ROLES.find, parts[5].removeprefix("role/"))
            if role and role.arn == arn:
                return role
        raise NotFound(f"{arn} is no role's ARN")

    def begin_session(
        self, account_id: str, name: str, principal_id: str, role_session_name: str | None, seconds: int
    ) -> Credentials:
        """Make temporary credentials for a user or, if `role_session_name` is given, for a role."""
        session = Session(
            access_key_id=new_key_id("ASIA"),
            secret_access_key=new_secret(),
            account_id=account_id,
            name=name,
            principal_id=principal_id,
            role_session_name=role_session_name,
            expires_at=int(self._world.real_seconds()) + seconds,
        )
        token = self._sealer.seal(msgspec.json.encode(session).decode(), _SESSION)
        token = base64.urlsafe_b64encode(token.encode()).decode()
        return Credentials(session.access_key_id, session.secret_access_key, token, session.expires_at)

    def _long_term_key(self, access_key_id: str) -> Key | None:
        found = self._storage.look(_anybody(""), find_key_and_user, access_key_id)
        if found is None or found[0].status != "Active":
            return None
        key, user = found
        last = seconds_of(key.last_used_at) if key.last_used_at else 0.0
        if seconds_of(self._world.now()) - last >= TOUCHED_SECONDS and len(self._unnoted) < KEPT_KEYS:
            self._unnoted[access_key_id] = None
        caller = Caller(key.account_id, user.arn, access_key_id, key.user_name, user.user_id)
        try:
            secret = self._sealer.unseal(key.secret_access_key, access_key_id)
        except SealError:
            log.exception("the access key %s cannot be used", access_key_id)
            return None
        return Key(caller, secret, policy=policy_of(user.policies))

    def _session_key(self, access_key_id: str, session_token: str | None) -> Key | None:
        session = self._read(session_token or "") if len(session_token or "") <= LONGEST_TOKEN else None
        if session is None or session.access_key_id != access_key_id:
            # The token is not this key's. Return a key of nobody, with a token that no request can carry: it is
            # refused.
            return Key(Caller("", "", access_key_id), "", "\0") if session_token else None
        owner, policies = self._caller_of(session)
        if owner is None:
            return None
        return Key(owner, session.secret_access_key, session_token, session.expires_at, policy_of(policies))

    def _caller_of(self, session: Session) -> tuple[Caller | None, Sequence[AttachedPolicy]]:
        """The caller that a session stands for, and their policies; None if the user or role no longer exists."""
        account_id, name, of_role = session.account_id, session.name, session.role_session_name
        if of_role is None:
            user = self._storage.look(_anybody(account_id), USERS.find, name)
            if user is None or user.user_id != session.principal_id:
                return None, ()
            return Caller(account_id, user.arn, session.access_key_id, name, user.user_id), user.policies
        role = self._storage.look(_anybody(account_id), ROLES.find, name)
        if role is None or role.role_id != session.principal_id:
            return None, ()
        arn = f"arn:aws:sts::{account_id}:assumed-role/{name}/{of_role}"
        return Caller(account_id, arn, session.access_key_id, None, f"{role.role_id}:{of_role}"), role.policies

    def _read(self, session_token: str) -> Session | None:
        try:
            sealed = base64.b64decode(session_token, altchars=b"-_", validate=True).decode()
            return msgspec.json.decode(self._sealer.unseal(sealed, _SESSION), type=Session)
        except (SealError, ValueError):
            return None

    def used(self, caller: Caller) -> None:
        """Store, every now and then, that the caller's key was used."""
        if self._unnoted and caller.access_key_id in self._unnoted:
            del self._unnoted[caller.access_key_id]
            touch = self._storage.transact(_anybody(caller.account_id), touch_key, caller.access_key_id)
            task = asyncio.ensure_future(touch)
            self._touching.add(task)
            task.add_done_callback(self._touched)

    def _touched(self, task: asyncio.Task[None]) -> None:
        self._touching.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("that a key was used was not noted: %s", error)


def policy_of(policies: Sequence[AttachedPolicy]) -> Policy:
    """The policies combined into one."""
    return _policy_of(tuple((one.policy_name, one.document) for one in policies))


@lru_cache(maxsize=1024)
def _policy_of(policies: tuple[tuple[str, str | None], ...]) -> Policy:
    documents: list[dict[str, Any]] = [
        MANAGED[name] if document is None else msgspec.json.decode(document) for name, document in policies
    ]
    return Policy(documents)


def new_key_id(prefix: str) -> str:
    """Make an access key id; the prefix is ``AKIA`` for a user's key, ``ASIA`` for a temporary one."""
    return prefix + "".join(secrets.choice(_KEY_CHARACTERS) for _ in range(16))


def new_secret() -> str:
    """Make a secret from the operating system's randomness."""
    return secrets.token_urlsafe(30)


def new_key(tx: Tx, sealer: Sealer, user_name: str, policy: AttachedPolicy | None = None) -> tuple[AccessKey, str]:
    """Make an access key for a user of the account, who is created if there is none of that name. Returns it and its
    secret.

    Raises BadRequest if the store's secrets are sealed with a key that `sealer` does not have.
    """
    other = identities.any_key(tx)
    try:
        if other and is_sealed(other.secret_access_key):
            sealer.unseal(other.secret_access_key, other.access_key_id)
    except SealError as error:
        raise BadRequest(str(error)) from error
    access_key_id, secret = new_key_id("AKIA"), new_secret()
    key = AccessKey(
        access_key_id=access_key_id,
        account_id=tx.account_id,
        user_name=user_name,
        secret_access_key=sealer.seal(secret, access_key_id),
        created_at=tx.now,
    )
    is_new = identities.USERS.find(tx, user_name) is None
    identities.insert_key(tx, key)
    if policy and is_new:  # replaces the policy that the first user of an account gets
        user = identities.USERS.get(tx, user_name)
        identities.USERS.replace(tx, replace(user, policies=(policy,)))
    elif policy:
        identities.attach(tx, identities.USERS, user_name, policy)
    return key, secret


def _anybody(account_id: str) -> Caller:
    return Caller(account_id, "", "")
