"""One request of a browser: who sent it, what they may do, and how it is answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import parse_qsl

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ...aws.model import Operation
from ...aws.policy import Context
from ...aws.sigv4 import Identity
from ...aws.throttle import Throttle
from ...carriers import Done, Refused
from ...carriers.routing import Routing
from ...domain.caller import Caller
from ...domain.errors import Awaited, BadRequest, Error, NotFound, ServiceFailure, ServiceUnavailable, Throttled
from ...domain.voice_connector import DEFAULT_REGION
from ...keyring import Keyring
from ...proxies import Proxies
from ...sealing import Sealer
from ...storage.driver import Driver
from ...storage.tx import Tx
from ...world import World
from ..control import DEFAULT_ACCOUNT_ID, Controls
from ..minutes import Minutes
from ..request_log import LatestRequests, RequestLog
from .calls import Answer, ApiOf, Calls, Settlements
from .session import LONGEST_SECONDS, Session, Sessions
from .words import FILTERS

if TYPE_CHECKING:
    from jinja2 import Environment

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

COOKIE = "numberkeep"
THEME_COOKIE = "numberkeep-theme"
THEMES = ("auto", "light", "dark")
LONGEST_FORM = 64 * 1024
MOST_FIELDS = 1000
PLACES = (
    ("/numbers", "Numbers", "chime:ListPhoneNumbers"),
    ("/orders", "Orders", "chime:ListPhoneNumberOrders"),
    ("/deletion-queue", "Deletion queue", "chime:ListPhoneNumbers"),
    ("/pending", "Pending", "chime:ListPhoneNumbers"),
    ("/voice-connectors", "Voice Connectors", "chime:ListVoiceConnectors"),
    ("/sip-rules", "SIP rules", "chime:ListSipRules"),
    ("/trends", "Trends", "chime:ListPhoneNumbers"),
    ("/requests", "Requests", "cloudtrail:LookupEvents"),
    ("/access", "Access", "iam:ListUsers"),
    ("/dev", "Dev", ""),
)
"""The links to pages that every page has: address, name, and the action that must be allowed; if that is empty, the
page exists in dev only."""
SIGN_INS_AT_ONCE = 5
SIGN_INS_A_SECOND = 1 / 30
"""How often an address may try to sign in after SIGN_INS_AT_ONCE failures."""


@cache
def _pages() -> "Environment":
    import jinja2  # slow to import, and most services have no console open

    pages = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__ or ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(FILTERS)
    return pages


class Console:
    """All that the pages are made from."""

    def __init__(
        self,
        storage: Driver,
        keyring: Keyring,
        sealer: Sealer,
        world: World,
        controls: Controls,
        requests: RequestLog | LatestRequests,
        minutes: Minutes,
        api_of: ApiOf,
        operations: Mapping[str, Operation],
        proxies: Proxies,
        routing: Routing,
        settlements: Settlements,
        *,
        dev: bool,
    ) -> None:
        self.dev = dev
        self.storage = storage
        self.world = world
        self.controls = controls
        self.requests = requests
        self.minutes = minutes
        self.calls = Calls(api_of, operations)
        self.keyring = keyring
        self.sessions = Sessions(sealer, world.real_seconds)
        self.sign_ins = Throttle(SIGN_INS_A_SECOND, SIGN_INS_AT_ONCE, world.steady_seconds)
        self.proxies = proxies
        self.routing = routing
        self.settlements = settlements

    def page(self, handler: "Handler", action: str = "") -> Callable[[Request], Awaitable[Response]]:
        """Make a page's handler, for callers whose policies allow `action`; without one, for all who signed in."""

        async def answer(request: Request) -> Response:
            visit = await self.begin(request)
            if visit.identity is None:
                return visit.to_sign_in()
            try:
                if action and not visit.allows(action):
                    return visit.refused(403, visit.denial(action))
                return await handler(visit)
            except Error as error:
                return visit.refused(_STATUSES.get(type(error), 400), str(error))
            except Exception:
                log.exception("the console failed at %s", request.url.path)
                return visit.refused(500, "The console has failed at this; the cause is in the service's log.")

        return _answered(answer)

    async def begin(self, request: Request) -> "Visit":
        """Find out who sent a request. Raises _Refused for a POST that is not a form of the sender's session."""
        peer = request.client.host if request.client else ""
        address, secure = peer, request.url.scheme == "https"
        if self.proxies.trusts(peer):
            address, secure = self.proxies.sender(_headers(request), address, secure)
        session = self.sessions.read(request.cookies.get(COOKIE))
        is_new = session is None
        session = session or self.sessions.begin(account_id=DEFAULT_ACCOUNT_ID if self.dev else "")
        visit = Visit(self, request, session, await self._identity(session), address, secure)
        visit.is_changed = is_new
        if request.method == "POST":
            visit.form = await _form(request)
            if is_new or not session.is_from_here(visit.text("csrf")):
                raise _Refused(
                    visit.refused(403, "The form is not of this session, or the session is over. Open the page again.")
                )
        return visit

    async def _identity(self, session: Session) -> Identity | None:
        if self.dev:
            account_id = session.account_id
            caller = Caller(account_id, f"arn:aws:iam::{account_id}:root", "", principal_id=account_id)
            return Identity(caller, DEFAULT_REGION)
        key = await patiently(self.keyring, session.access_key_id, None) if session.access_key_id else None
        return Identity(key.caller, DEFAULT_REGION, key.policy) if key else None


class Visit:
    """One request of a browser, and its answer in the making."""

    def __init__(
        self,
        console: Console,
        request: Request,
        session: Session,
        identity: Identity | None,
        address: str,
        secure: bool,
    ) -> None:
        self.console = console
        self.request = request
        self.session = session
        self.identity = identity
        self.address = address
        self.secure = secure
        self.form: Mapping[str, Sequence[str]] = {}
        self.is_changed = False
        """Whether the session has changed, so that the browser has to be sent it."""

    @property
    def caller(self) -> Caller:
        """The caller who has signed in."""
        assert self.identity
        return self.identity.caller

    @property
    def places(self) -> list[tuple[str, str]]:
        """The pages that the caller may see: address and name."""
        return [
            (address, name) for address, name, action in PLACES if (self.allows(action) if action else self.console.dev)
        ]

    def text(self, name: str) -> str:
        """The value of a form's field `name`; empty if there is none."""
        return next(iter(self.form.get(name, ())), "")

    def query(self, name: str) -> str:
        """The value of the query parameter `name`; empty if there is none."""
        return self.request.query_params.get(name, "")

    def allows(self, action: str, resource: str = "*") -> bool:
        """Whether the caller's policies allow `action`, such as ``chime:GetPhoneNumber``."""
        if self.identity is None or self.identity.policy is None:
            return self.identity is not None
        context = Context(
            self.address,
            self.console.world.real_seconds(),
            self.secure,
            DEFAULT_REGION,
            self.identity.caller.user_name,
        )
        return self.identity.policy.decide(action, resource, context) == "Allow"

    def why_denied(self, operation: str) -> str:
        """Why the caller's policies deny an API operation; empty if they allow it, or it depends on the resource."""
        action = f"chime:{operation}"
        return "" if self.console.calls.is_of_resource(operation) or self.allows(action) else self.denial(action)

    def denial(self, action: str) -> str:
        """The message that the caller's policies do not allow an action."""
        return f"No policy of {self.caller.user_name or self.caller.arn} allows {action}."

    async def survey(self, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`Driver.survey` with the caller who has signed in."""
        return await self.console.storage.survey(self.caller, function, *args, **kwargs)

    async def call(self, operation: str, **members: Any) -> Answer:
        """Call an operation of the API as the caller who has signed in."""
        assert self.identity
        return await self.console.calls.call(self.identity, self.address, self.secure, operation, **members)

    async def settle(self, e164: str, answer: Done | Refused, id: str, denied: str) -> Answer:
        """`Settlements.settle` as the caller who has signed in."""
        assert self.identity
        return await self.console.settlements.settle(self.identity, self.address, self.secure, e164, answer, id, denied)

    def page(self, template: str, status: int = 200, **details: Any) -> Response:
        """Render a page."""
        theme = self.request.cookies.get(THEME_COOKIE, "")
        said, self.session = self.session.said, replace(self.session, said="")
        self.is_changed = self.is_changed or bool(said)
        text = (
            _pages()
            .get_template(template)
            .render(
                visit=self,
                dev=self.console.dev,
                csrf=self.session.csrf,
                now=self.console.world.now(),
                path=self.request.url.path,
                theme=theme if theme in THEMES else "auto",
                themes=THEMES,
                said=said,
                **details,
            )
        )
        return self.with_session(HTMLResponse(text, status))

    def refused(self, status: int, why: str) -> Response:
        """Render the page that says why something was not done."""
        return self.page("refused.html", status, title="Not done", why=why)

    def go(self, path: str, said: str = "") -> Response:
        """Redirect to another page, which shows the message `said`."""
        self.session = replace(self.session, said=said)
        self.is_changed = True
        return self.with_session(RedirectResponse(path, 303))

    def to_sign_in(self) -> Response:
        """Redirect to the sign-in form; if htmx asked for a part of a page, have it load the whole page again."""
        if "hx-request" in self.request.headers:
            return Response(headers={"HX-Refresh": "true"})
        return RedirectResponse("/sign-in", 303)

    def with_session(self, response: Response) -> Response:
        """Add the cookie to a response if the session has changed."""
        if self.is_changed:
            response.set_cookie(
                COOKIE,
                self.console.sessions.seal(self.session),
                max_age=LONGEST_SECONDS,
                httponly=True,
                samesite="strict",
                secure=self.secure,
            )
        return response


Handler = Callable[[Visit], Awaitable[Response]]

_STATUSES: dict[type[Error], int] = {NotFound: 404, Throttled: 429, ServiceFailure: 500, ServiceUnavailable: 503}


class _Refused(Exception):
    """Ends a request early, with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def open_page(console: Console, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Make the handler of a page that is open to all, signed in or not."""

    async def answer(request: Request) -> Response:
        return await handler(await console.begin(request))

    return _answered(answer)


def _answered(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except _Refused as refused:
            return refused.response

    return answered


async def patiently(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function`, again when needed, until what it has to wait for has been read. Returns its result."""
    found: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def attempt() -> None:
        if found.done():
            return  # nobody waits any longer
        try:
            found.set_result(function(*args, **kwargs))
        except Awaited as awaited:
            awaited.resume_with(attempt)  # what was read is only there during this call
        except Exception as error:
            found.set_exception(error)

    attempt()
    return await found


def _headers(request: Request) -> dict[str, str]:
    """Each header once, with the values of all its lines joined: a proxy may add a line instead of extending one."""
    joined: dict[str, str] = {}
    for name, value in request.headers.items():
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


async def _form(request: Request) -> dict[str, list[str]]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            raise BadRequest(f"A form has at most {LONGEST_FORM} bytes.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest("The body is no form.") from None
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form
