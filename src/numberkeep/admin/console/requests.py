"""The page Requests: the latest requests, their answers, and the rule that each refused one broke."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
from starlette.responses import Response

from ...domain.number_plan import normalize_id
from .visit import Visit

MOST_SHOWN = 100


async def show(visit: Visit) -> Response:
    """Show the last requests of the account; in dev, if asked for, of all accounts."""
    wanted = {name: visit.query(name).strip() for name in ("operation", "number", "only", "of")}
    everybody = visit.console.dev and wanted["of"] == "everybody"
    number = normalize_id(wanted["number"]) if wanted["number"] else None
    account_id = None if everybody else visit.caller.account_id
    found = visit.console.requests.find(account_id, wanted["operation"] or None, number)
    if wanted["only"] == "refused":
        found = (request for request in found if request["message"])
    return visit.page(
        "requests.html", title="Requests", wanted=wanted, requests=list(_shown(islice(found, MOST_SHOWN)))
    )


def _shown(found: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The requests, with what was sent and answered as text."""
    for request in found:
        details = {name: _text(request[name]) for name in ("parameters", "body", "answer", "faults") if request[name]}
        yield {**request, "details": details}


def _text(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
