"""The web console: pages for people, on the admin port.

Pages are rendered here and need no build step. htmx refreshes parts of them; without it they are plain links and forms.
Changes are requests to the API (see `calls`); data is read in surveys, so that no other request waits for a page.
"""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from . import access, deletion_queue, developer, number, numbers, orders, pending, requests, sign_in, voice_connectors
from .trends import Trends
from .visit import Console, Handler, Visit, open_page

__all__ = ["Console", "no_page", "routes"]

_STATIC = Path(__file__).with_name("static")


def routes(console: Console) -> list[BaseRoute]:
    """The routes of all pages."""

    def get(path: str, handler: Handler, action: str = "") -> Route:
        return Route(path, console.page(handler, action), methods=["GET"])

    def post(path: str, handler: Handler, action: str = "") -> Route:
        return Route(path, console.page(handler, action), methods=["POST"])

    found: list[BaseRoute] = [
        Route("/", _to_numbers, methods=["GET"]),
        Mount("/static", StaticFiles(directory=_STATIC)),
        Route("/sign-in", open_page(console, sign_in.show), methods=["GET"]),
        Route("/sign-in", open_page(console, sign_in.sign_in), methods=["POST"]),
        Route("/sign-out", open_page(console, sign_in.sign_out), methods=["POST"]),
        Route("/theme", open_page(console, sign_in.theme), methods=["POST"]),
        get("/numbers", numbers.show, "chime:ListPhoneNumbers"),
        post("/numbers/selected", numbers.selected, "chime:ListPhoneNumbers"),
        post("/numbers/change", numbers.change),
        get("/numbers/{e164}", number.show, "chime:GetPhoneNumber"),
        post("/numbers/{e164}/{action}", number.change, "chime:GetPhoneNumber"),
        get("/orders", orders.show, "chime:ListPhoneNumberOrders"),
        post("/orders", orders.create),
        get("/orders/new", orders.new, "chime:SearchAvailablePhoneNumbers"),
        get("/orders/{id}", orders.order, "chime:GetPhoneNumberOrder"),
        get("/deletion-queue", deletion_queue.show, "chime:ListPhoneNumbers"),
        post("/deletion-queue", deletion_queue.restore),
        get("/pending", pending.show, "chime:ListPhoneNumbers"),
        post("/pending", pending.settle, "chime:ListPhoneNumbers"),
        get("/voice-connectors", voice_connectors.show, "chime:ListVoiceConnectors"),
        get("/sip-rules", voice_connectors.sip, "chime:ListSipRules"),
        get("/access", access.show, "iam:ListUsers"),
        get("/trends", Trends(console.world, console.minutes).show, "chime:ListPhoneNumbers"),
        get("/requests", requests.show, "cloudtrail:LookupEvents"),
        post("/sip-rules/{id}", voice_connectors.change_rule, "chime:ListSipRules"),
    ]
    if console.dev:
        found += [
            get("/accounts", sign_in.accounts),
            post("/accounts", sign_in.switch),
            get("/dev", developer.show),
            post("/dev/{action}", developer.act),
        ]
    return found


async def no_page(console: Console, request: Request) -> Response:
    """The answer to a request for a page that does not exist. Without signing in, nobody learns which pages do."""

    async def tell(visit: Visit) -> Response:
        return visit.refused(404, f"There is no page {visit.request.url.path}.")

    return await console.page(tell)(request)


async def _to_numbers(request: Request) -> Response:
    return RedirectResponse("/numbers", 303)
