"""Signing in and out, choosing an account in dev, and the light or dark theme."""

from hmac import compare_digest

from msgspec.structs import replace
from starlette.responses import RedirectResponse, Response

from ...domain.caller import check_account_id
from ...domain.errors import BadRequest, Throttled
from ...storage import inventory
from .visit import COOKIE, THEME_COOKIE, THEMES, Visit, patiently

MOST_ACCOUNTS = 100
"""How many accounts there are to choose from."""
_SIGN_IN = "sign in"
_THEME_SECONDS = 365 * 86400


async def show(visit: Visit) -> Response:
    """Show the sign-in form."""
    if visit.identity:
        return visit.go("/numbers")
    return _ask(visit)


async def sign_in(visit: Visit) -> Response:
    """Sign in with a user's access key."""
    console = visit.console
    access_key_id, secret = visit.text("access_key_id").strip(), visit.text("secret_access_key").strip()
    try:
        console.sign_ins.take(visit.address, _SIGN_IN)
    except Throttled:
        return _ask(visit, 429, "There were too many attempts from this address. Try again in half a minute.")
    key = None
    if access_key_id.startswith("AKIA"):  # a temporary key would need its session token too
        key = await patiently(console.keyring, access_key_id, None)
    known = key.secret_access_key if key else ""
    if not compare_digest(known.encode(), secret.encode()) or key is None or not secret:
        return _ask(visit, 403, "There is no active access key of that id with that secret.")
    console.sign_ins.give_back(visit.address, _SIGN_IN)
    console.keyring.used(key.caller)
    visit.session = console.sessions.begin(access_key_id, key.caller.account_id)
    return visit.go("/numbers")


def _ask(visit: Visit, status: int = 200, wrong: str = "") -> Response:
    return visit.page("sign_in.html", status, title="Sign in", wrong=wrong)


async def sign_out(visit: Visit) -> Response:
    """Sign out: delete the cookie."""
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE)
    return response


async def theme(visit: Visit) -> Response:
    """Set the theme of all pages: light, dark, or as the browser prefers."""
    chosen = visit.text("theme")
    response = RedirectResponse(_back(visit), 303)
    if chosen in THEMES:
        response.set_cookie(THEME_COOKIE, chosen, _THEME_SECONDS, httponly=True, samesite="strict", secure=visit.secure)
    return response


def _back(visit: Visit) -> str:
    """The page that a form was on: always a path of this console, whatever the form says."""
    path = visit.text("back")
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/numbers"


async def accounts(visit: Visit) -> Response:
    """Show which accounts have numbers. In dev only."""
    found = await visit.survey(inventory.accounts, MOST_ACCOUNTS)
    return visit.page("accounts.html", title="Accounts", accounts=found)


async def switch(visit: Visit) -> Response:
    """Switch to another account. In dev only."""
    if not visit.console.dev:
        raise BadRequest("An access key is of one account; sign in with one of another's.")
    account_id = check_account_id(visit.text("account").strip())
    visit.session = replace(visit.session, account_id=account_id)
    return visit.go("/numbers", f"This is account {account_id} now.")
