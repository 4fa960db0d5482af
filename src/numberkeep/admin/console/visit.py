"""One request of a browser's: who it is of, what they may do, and how it is answered."""

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
"""The pages to go to from every other: address, name, and the action that must be allowed; if that is empty, it is for
dev."""
SIGN_INS_AT_ONCE = 5
SIGN_INS_A_SECOND = 1 / 30
"""How often an address may try to sign in, once it has failed so often."""


@cache
def _pages() -> "Environment":
    import jinja2  # it takes its time, and who has no console open need not wait

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
    """What the pages are made from."""

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
        """What answers a request for a page, of those alone whose policies allow `action`; of anybody who has signed
        in, if that is empty."""

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
        """Find out who it is of. Raises _Refused if it changes something, and is no form of the session's."""
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
    """One request."""

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
        """Whether the browser has yet to be given the session."""

    @property
    def caller(self) -> Caller:
        """Who has signed in."""
        assert self.identity
        return self.identity.caller

    @property
    def places(self) -> list[tuple[str, str]]:
        """The pages that there are for who has signed in: address and name."""
        return [
            (address, name) for address, name, action in PLACES if (self.allows(action) if action else self.console.dev)
        ]

    def text(self, name: str) -> str:
        """What a form has under `name`; the empty string if it has nothing."""
        return next(iter(self.form.get(name, ())), "")

    def query(self, name: str) -> str:
        """The same of the address."""
        return self.request.query_params.get(name, "")

    def allows(self, action: str, resource: str = "*") -> bool:
        """Whether the policies of who has signed in allow `action`, such as ``chime:GetPhoneNumber``."""
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
        """Why the policies do not allow an operation of the API's; empty if they do, or if that depends on what it is
        asked for."""
        action = f"chime:{operation}"
        return "" if self.console.calls.is_of_resource(operation) or self.allows(action) else self.denial(action)

    def denial(self, action: str) -> str:
        """Why something cannot be done that the policies do not allow."""
        return f"No policy of {self.caller.user_name or self.caller.arn} allows {action}."

    async def survey(self, function: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`Driver.survey`, as who has signed in."""
        return await self.console.storage.survey(self.caller, function, *args, **kwargs)

    async def call(self, operation: str, **members: Any) -> Answer:
        """Call an operation of the API's, as who has signed in."""
        assert self.identity
        return await self.console.calls.call(self.identity, self.address, self.secure, operation, **members)

    async def settle(self, e164: str, answer: Done | Refused, id: str, denied: str) -> Answer:
        """`Settlements.settle`, as who has signed in."""
        assert self.identity
        return await self.console.settlements.settle(self.identity, self.address, self.secure, e164, answer, id, denied)

    def page(self, template: str, status: int = 200, **details: Any) -> Response:
        """A page."""
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
        """The page that says what went wrong."""
        return self.page("refused.html", status, title="Not done", why=why)

    def go(self, path: str, said: str = "") -> Response:
        """On to another page, which tells what was done."""
        self.session = replace(self.session, said=said)
        self.is_changed = True
        return self.with_session(RedirectResponse(path, 303))

    def to_sign_in(self) -> Response:
        """To the sign-in; a part of a page cannot hold it."""
        if "hx-request" in self.request.headers:
            return Response(headers={"HX-Refresh": "true"})
        return RedirectResponse("/sign-in", 303)

    def with_session(self, response: Response) -> Response:
        """Have the browser keep the session as it is now."""
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
    """A request goes no further."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def open_page(console: Console, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """What answers a request of anybody, whether they have signed in or not."""

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
    """What `function` gives, when what it waits for has been read."""
    found: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def attempt() -> None:
        if found.done():
            return  # nobody waits any longer
        try:
            found.set_result(function(*args, **kwargs))
        except Awaited as awaited:
            awaited.resume_with(attempt)  # what was read is there while it is called, and not for long
        except Exception as error:
            found.set_exception(error)

    attempt()
    return await found


def _headers(request: Request) -> dict[str, str]:
    """Each header once, with the values of all its lines: proxies may add one to what they were sent."""
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
