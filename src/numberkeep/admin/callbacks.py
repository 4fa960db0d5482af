"""/_numberkeep/carriers/NAME/answers: where a carrier calls back with the outcome of a change."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .. import settling
from ..carriers.routing import Carriers
from ..domain.caller import Caller
from ..domain.errors import BadRequest, NotFound
from ..domain.number_plan import normalize_id
from ..storage.driver import Driver

LONGEST_ANSWER = 64 * 1024


class Callbacks:
    """Handles the callbacks of carriers."""

    def __init__(self, storage: Driver, carriers: Carriers) -> None:
        self._storage = storage
        self._carriers = carriers

    async def answered(self, request: Request) -> Response:
        """Settle the change that a callback is about; it must be signed with the carrier's secret."""
        name = request.path_params["name"]
        carrier = self._carriers.webhook(name)
        body = await _body(request)
        if carrier is None or not carrier.verify(body, request.headers):
            message = "There is no such carrier, or the message is not signed with its secret, or not now."
            return JSONResponse({"message": message}, 401)
        settled = carrier.settled(body)
        e164 = normalize_id(settled.e164_phone_number)
        if self._carriers.routing.name_of(settled.account_id, e164) != name:
            return JSONResponse({"message": f"{e164} of {settled.account_id} is another carrier's."}, 404)
        caller = Caller(settled.account_id, f"arn:aws:chime::{settled.account_id}:carrier/{name}", "")
        try:
            await self._storage.transact(caller, settling.settle_now, e164, settled.answer, id=settled.id)
        except NotFound as error:
            return JSONResponse({"message": f"{error}; it may be settled already."}, 404)
        return Response(status_code=204)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_ANSWER:
            raise BadRequest(f"The body has more than {LONGEST_ANSWER} bytes.")
    return bytes(body)


def routes(callbacks: Callbacks) -> list[Route]:
    """The route of the callbacks."""
    return [Route("/_numberkeep/carriers/{name}/answers", callbacks.answered, methods=["POST"])]
