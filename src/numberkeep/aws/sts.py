"""AWS Security Token Service (STS): the caller's identity, and temporary credentials.

It shares the port with the API: its requests are a POST or GET of the root, which no operation of Chime uses. It speaks
AWS's Query protocol: a form comes in, XML goes out. The three operations that SDKs and the AWS CLI need for sessions
and role profiles are served.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Protocol
from urllib.parse import parse_qsl

from ..domain.errors import Awaited, Error, NotFound, Throttled
from ..domain.identity import (
    DEFAULT_ROLE_SESSION_SECONDS,
    DEFAULT_USER_SESSION_SECONDS,
    LONGEST_USER_SESSION_SECONDS,
    SHORTEST_SESSION_SECONDS,
    Role,
)
from ..metrics import Metrics
from .call import ApiCall, Observer
from .errors import Refusal
from .message import Request, Response
from .model import SAMPLES_PREFIX, SERVICES
from .policy import Context
from .sigv4 import Identity
from .throttle import Throttle

PATHS = frozenset(f"/{prefix}" for prefix in ("", *SERVICES, SAMPLES_PREFIX))
"""The root, also below a prefix that selects a flavour for everything else."""
VERSION = "2011-06-15"
LONGEST_FORM = 16 * 1024
SERVICE = "sts"
SOURCE = "sts.amazonaws.com"
"""The service's name in the trail."""
_NAMESPACE = f"https://sts.amazonaws.com/doc/{VERSION}/"
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")
_VISIBLE = ("RoleArn", "RoleSessionName", "DurationSeconds")
"""The parameters that the trail shows."""
_QUERY_CODES = {
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ExpiredTokenException": "ExpiredToken",
    "AccessDeniedException": "AccessDenied",
}
"""The Query protocol's codes for the framework's refusals."""


class Credentials(Protocol):
    """Temporary credentials."""

    @property
    def access_key_id(self) -> str: ...
    @property
    def secret_access_key(self) -> str: ...
    @property
    def session_token(self) -> str: ...
    @property
    def expires_at(self) -> float: ...


class Sessions(Protocol):
    """Finds roles, and makes temporary credentials."""

    def role_of(self, arn: str) -> Role: ...
    def begin_session(
        self, account_id: str, name: str, principal_id: str, role_session_name: str | None, seconds: int
    ) -> Credentials: ...


class Sts:
    """Answers the requests to STS."""

    def __init__(
        self,
        identify: Callable[[Request], Identity],
        sessions: Sessions,
        throttle: Throttle | None = None,
        observers: Sequence[Observer] = (),
        metrics: Metrics | None = None,
    ) -> None:
        """`identify` returns who signed a request for the service ``sts``."""
        self._identify = identify
        self._sessions = sessions
        self._throttle = throttle
        self._observers = observers
        self._metrics = metrics or Metrics()

    def handle(
        self, request: Request, request_id: str, context: Callable[[Identity], Context], began: float
    ) -> Response:
        """Return the response to `request`, which came at `began` by `perf_counter`."""
        form: dict[str, str] = {}
        identity = None
        refused = None
        action = ""
        result: Tree = {}
        try:
            identity = self._identify(request)
            form = _form(request)
            action = form.get("Action", "")
            operation = _OPERATIONS.get(action)
            if operation is None or form.get("Version", VERSION) != VERSION:
                raise Refusal(400, "InvalidAction", f"Could not find operation {action} for version {VERSION}")
            function, members = operation
            for name in form:
                if name not in members and name not in ("Action", "Version"):
                    raise _invalid(f"{name.partition('.')[0]} is not supported by this server")
            if self._throttle:
                self._throttle.take(identity.caller.account_id, action)
            try:
                result = function(self, identity, form, context(identity))
            except Awaited:
                if self._throttle:
                    self._throttle.give_back(identity.caller.account_id, action)  # because the request will be retried
                raise
        except Refusal as refusal:
            refused = refusal
        except Throttled as throttled:
            refused = Refusal(400, "Throttling", str(throttled))
        except Error as error:
            refused = Refusal(503, "ServiceUnavailable", str(error))
        visible = {name: form[name] for name in _VISIBLE if name in form}
        call = ApiCall(request, request_id, SOURCE, action or None, True, None, visible, identity)
        for observe in self._observers:
            observe(call, refused or _without_secrets(result))
        name = f"sts:{action}" if action in _OPERATIONS else "sts"  # not any other action that a client may invent
        if refused:
            self._metrics.refused(name, refused.status, _code_of(refused), began)
            return _error(refused, request_id)
        self._metrics.answered(name, 200, began)
        body = (
            f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{_xml(result)}</{action}Result>'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
        )
        return _response(200, body, request_id)

    def _get_caller_identity(self, identity: Identity, form: Mapping[str, str], context: Context) -> "Tree":
        caller = identity.caller
        return {"Arn": caller.arn, "UserId": caller.principal_id, "Account": caller.account_id}

    def _get_session_token(self, identity: Identity, form: Mapping[str, str], context: Context) -> "Tree":
        caller = identity.caller
        if caller.user_name is None or caller.access_key_id.startswith("ASIA"):
            raise Refusal(403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
        seconds = _duration(form, DEFAULT_USER_SESSION_SECONDS, LONGEST_USER_SESSION_SECONDS)
        return {
            "Credentials": _credentials(
                self._sessions.begin_session(caller.account_id, caller.user_name, caller.principal_id, None, seconds)
            )
        }

    def _assume_role(self, identity: Identity, form: Mapping[str, str], context: Context) -> "Tree":
        arn, session_name = _required(form, "RoleArn"), _required(form, "RoleSessionName")
        if not _SESSION_NAME.fullmatch(session_name):
            raise _invalid("RoleSessionName must be 2 to 64 letters, digits or +=,.@_-")
        caller = identity.caller
        denied = Refusal(
            403, "AccessDenied", f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        )
        try:
            role = self._sessions.role_of(arn)
        except NotFound:
            raise denied from None  # as in AWS: who may not assume a role is not told whether it exists
        trusts = caller.arn in role.trusted or caller.account_id in role.trusted
        allowed = identity.policy is None or identity.policy.decide("sts:AssumeRole", role.arn, context) == "Allow"
        if not (trusts and allowed):
            raise denied
        seconds = _duration(form, DEFAULT_ROLE_SESSION_SECONDS, role.longest_session_seconds)
        account_id = arn.split(":")[4]
        return {
            "AssumedRoleUser": {
                "AssumedRoleId": f"{role.role_id}:{session_name}",
                "Arn": f"arn:aws:sts::{account_id}:assumed-role/{role.role_name}/{session_name}",
            },
            "Credentials": _credentials(
                self._sessions.begin_session(account_id, role.role_name, role.role_id, session_name, seconds)
            ),
        }


Tree = dict[str, "str | Tree"]

_OPERATIONS: dict[str, tuple[Callable[[Sts, Identity, Mapping[str, str], Context], Tree], frozenset[str]]] = {
    "GetCallerIdentity": (Sts._get_caller_identity, frozenset()),
    "GetSessionToken": (Sts._get_session_token, frozenset({"DurationSeconds"})),
    "AssumeRole": (Sts._assume_role, frozenset({"RoleArn", "RoleSessionName", "DurationSeconds"})),
}
"""The methods by operation, with the members they support. Any other is refused: it could restrict the session."""
ACTIONS = frozenset(_OPERATIONS)
"""The names of the operations."""


def _form(request: Request) -> dict[str, str]:
    """Return the members of a request: from its body or, if that is empty, its query without the signature."""
    if len(request.body) > LONGEST_FORM:
        raise Refusal(413, "RequestEntityTooLarge", f"A request to STS has at most {LONGEST_FORM} bytes.")
    try:
        text = request.body.decode("ascii") or "&".join(
            pair for pair in request.query.split("&") if not pair.startswith("X-Amz-")
        )
        return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=100))
    except ValueError:
        raise Refusal(400, "MalformedQueryString", "The request is not a form.") from None


def _required(form: Mapping[str, str], name: str) -> str:
    if not form.get(name):
        raise _invalid(f"{name} must be given")
    return form[name]


def _duration(form: Mapping[str, str], otherwise: int, longest: int) -> int:
    text = form.get("DurationSeconds") or str(min(otherwise, longest))
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise _invalid("DurationSeconds must be a number of seconds")
    if not SHORTEST_SESSION_SECONDS <= int(text) <= longest:
        raise _invalid(f"DurationSeconds must be {SHORTEST_SESSION_SECONDS} to {longest} seconds")
    return int(text)


def _credentials(credentials: Credentials) -> Tree:
    expires = datetime.fromtimestamp(credentials.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "SessionToken": credentials.session_token,
        "Expiration": expires,
    }


def _without_secrets(tree: Tree) -> Tree:
    """Return what the trail may show of a response: which credentials were issued, not their secrets."""
    return {
        name: value if isinstance(value, str) else _without_secrets(value)
        for name, value in tree.items()
        if name not in ("SecretAccessKey", "SessionToken")
    }


def _invalid(message: str) -> Refusal:
    return Refusal(400, "ValidationError", message)


def _xml(tree: Tree) -> str:
    return "".join(
        f"<{name}>{escape(value) if isinstance(value, str) else _xml(value)}</{name}>" for name, value in tree.items()
    )


def _code_of(refusal: Refusal) -> str:
    return _QUERY_CODES.get(refusal.shape, refusal.shape)


def _error(refusal: Refusal, request_id: str) -> Response:
    body = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{_code_of(refusal)}</Code>'
        f"<Message>{escape(_NOT_XML.sub('?', str(refusal)))}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return _response(refusal.status, body, request_id)


def _response(status: int, body: str, request_id: str) -> Response:
    head = f"x-amzn-RequestId: {request_id}\r\nContent-Type: text/xml\r\n"
    return Response(status, head.encode(), body.encode("utf-8", "xmlcharrefreplace"))
