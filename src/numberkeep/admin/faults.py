"""Faults on request: what is to go wrong, for which requests or numbers, and how often."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from random import Random
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from ..aws.api import Strike
from ..aws.errors import Dropped, Refusal
from ..aws.message import Request
from ..aws.model import Flavour, Operation
from ..carriers import Answer, Carrier, Done, Pending, Refused
from ..carriers import Request as CarrierRequest
from ..domain.caller import check_account_id, worker_of
from ..domain.errors import BadRequest, NotFound
from ..domain.moment import later
from ..domain.number_plan import normalize_id
from ..domain.phone_number import ChangeKind
from ..settling import settle_now
from ..storage.driver import Driver

COMMON_ERRORS = {
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "IncompleteSignatureException": 403,
    "InternalFailure": 500,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "RequestTimeoutException": 408,
    "ServiceUnavailable": 503,
    "ThrottlingException": 400,
    "UnrecognizedClientException": 403,
}
"""The errors of AWS's framework, which every service can answer, with their HTTP status."""
DROPS = ("before", "after")
CHANGES: tuple[str, ...] = get_args(ChangeKind)
CARRIER_FAULTS = ("refuse", "time_out", "answer_twice", "never_answer")
ANY = "*"
LONGEST_DELAY_MS = 600_000
NEVER_ANSWERED_HOURS = 1
"""After how long a carrier with the fault never_answer is asked again."""


class Fault(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What goes wrong with requests for an `operation`, or when a carrier is asked for a `change`."""

    operation: str | None = None
    change: str | None = None
    account: str | None = None
    number: str | None = None
    error: str | None = None
    message: str | None = None
    code: str | None = None
    drop: str | None = None
    delay_ms: Annotated[int, Meta(ge=1, le=LONGEST_DELAY_MS)] | None = None
    carrier: str | None = None
    count: Annotated[int, Meta(ge=1)] | None = None
    """How many times the fault fires; None is without limit."""
    probability: Annotated[float, Meta(gt=0, le=1)] | None = None
    """How likely the fault is to fire when it could; None is always."""


class Armed(Struct, frozen=True):
    """A fault in force, and how often it has fired."""

    id: str
    fault: Fault
    fired: int = 0

    def told(self) -> dict[str, Any]:
        """The fault as the admin port shows it."""
        return {"id": self.id, **msgspec.to_builtins(self.fault), "fired": self.fired}


class Faults:
    """The faults in force, in the order in which they were added."""

    def __init__(
        self,
        flavours: Iterable[Flavour],
        dice: Random,
        struck: Callable[[Request, Armed], None],
        struck_carrier: Callable[[CarrierRequest, Armed], None],
    ) -> None:
        """`flavours` give the existing operations and exceptions; `dice` decides whether a fault with a probability
        fires. `struck` is called for every fault that fires at a request, `struck_carrier` for every one at a call to a
        carrier."""
        self._dice = dice
        self._struck = struck
        self._struck_carrier = struck_carrier
        self._armed: dict[str, Armed] = {}
        self._last_id = 0
        self._declared: dict[str, set[str]] = {}
        self._statuses: dict[str, int] = {}
        for flavour in flavours:
            for operation in filter(lambda one: one.served, flavour.operations.values()):
                self._declared.setdefault(operation.name, set()).update(operation.errors)
                for name in operation.errors:
                    self._statuses[name] = operation.shapes[name]["error"]["httpStatusCode"]

    def add(self, fault: Fault) -> Armed:
        """Put `fault` in force. Raises BadRequest, which names the rule that it breaks."""
        if (fault.operation is None) == (fault.change is None):
            raise BadRequest("A fault has an operation, or a change for a carrier's, and not both.")
        if fault.account is not None:
            check_account_id(fault.account)
        if fault.number is not None:
            fault = replace(fault, number=normalize_id(fault.number))
        if fault.operation is None:
            self._check_carrier_fault(fault)
        else:
            self._check_request_fault(fault)
        self._last_id += 1
        armed = self._armed[str(self._last_id)] = Armed(str(self._last_id), fault)
        return armed

    def _check_request_fault(self, fault: Fault) -> None:
        check_one_of("operation", fault.operation, self.operations)
        if fault.carrier is not None:
            raise BadRequest("carrier goes with change; with operation go error, drop and delay_ms.")
        if fault.error is not None and fault.drop is not None:
            raise BadRequest("A fault has one effect, error or drop; delay_ms can go with either, or alone.")
        if fault.error is None and fault.drop is None and fault.delay_ms is None:
            raise BadRequest("A fault at an operation has an error, a drop or a delay_ms.")
        if fault.error is not None:
            check_one_of("error", fault.error, sorted(self._errors_of(fault.operation or ANY)))
        if fault.drop is not None:
            check_one_of("drop", fault.drop, DROPS)
        if fault.error is None and (fault.message or fault.code):
            raise BadRequest("message and code go with error: they are what it says.")

    def _check_carrier_fault(self, fault: Fault) -> None:
        check_one_of("change", fault.change, (ANY, *CHANGES))
        if any((fault.error, fault.message, fault.code, fault.drop, fault.delay_ms)):
            raise BadRequest("error, message, code, drop and delay_ms go with operation; with change goes carrier.")
        check_one_of("carrier", fault.carrier, CARRIER_FAULTS)

    @property
    def operations(self) -> list[str]:
        """The operations that a fault can be for."""
        return [ANY, *sorted(self._declared)]

    @property
    def errors(self) -> list[str]:
        """The errors that a fault can have, for any operation."""
        return sorted(self._errors_of(ANY))

    def _errors_of(self, operation: str) -> set[str]:
        """The errors that requests for an operation can be answered with."""
        declared = self._declared.values() if operation == ANY else [self._declared.get(operation, set())]
        return set().union(COMMON_ERRORS, *declared)

    def __iter__(self) -> Iterator[Armed]:
        return iter(self._armed.values())

    def remove(self, id: str) -> None:
        """Remove a fault. Raises NotFound, which lists the existing ones."""
        if self._armed.pop(id, None) is None:
            raise NotFound(f"There is no fault {id}; there are {', '.join(self._armed) or 'none'}.")

    def put(self, armed: Iterable[Armed]) -> None:
        """Replace all faults in force by these."""
        self._armed = {one.id: one for one in armed}

    def strike(
        self, request: Request, operation: Operation, account_id: str, parameters: Mapping[str, str]
    ) -> Strike | None:
        """Fire the faults that match a request: delays add up, and the first error or drop is the last to fire."""
        delay_ms, fired = 0, None
        for armed in tuple(self._armed.values()):
            fault = armed.fault
            if (
                fault.operation in (ANY, operation.name)
                and fault.account in (None, account_id)
                and (fault.error is None or fault.error in self._errors_of(operation.name))
                and (fault.number is None or fault.number in numbers_of(parameters, request.body))
                and self._fires(armed)
            ):
                fired = fault
                self._struck(request, self._armed[armed.id])
                delay_ms += fault.delay_ms or 0
                if fault.error or fault.drop:
                    break
        if fired is None:
            return None
        instead: Refusal | None = None
        if fired.error:
            instead = self._refusal(fired, operation.name)
        elif fired.drop == "before":
            instead = Dropped()
        return Strike(instead, Dropped() if fired.drop == "after" else None, delay_ms / 1000)

    def _refusal(self, fault: Fault, operation: str) -> Refusal:
        error = fault.error or ""
        message = fault.message or f"{error} was asked for at /_numberkeep/faults."
        if error not in self._declared.get(operation, ()):
            return Refusal(COMMON_ERRORS[error], error, message, fault.code)
        code = fault.code or error.removesuffix("Exception").removesuffix("Client").removesuffix("Entity")
        return Refusal(self._statuses[error], error, message, code)

    def at_carrier(self, request: CarrierRequest) -> str | None:
        """Fire the first fault that matches a call to a carrier. Returns how the carrier fails; None if it does not."""
        for armed in tuple(self._armed.values()):
            fault = armed.fault
            if (
                fault.change in (ANY, request.kind)
                and fault.account in (None, request.account_id)
                and fault.number in (None, request.e164_phone_number)
                and self._fires(armed)
            ):
                self._struck_carrier(request, self._armed[armed.id])
                return fault.carrier
        return None

    def _fires(self, armed: Armed) -> bool:
        fault = armed.fault
        if armed.fired == fault.count:
            return False
        if fault.probability is not None and self._dice.random() >= fault.probability:
            return False
        self._armed[armed.id] = replace(armed, fired=armed.fired + 1)
        return True


class FaultyCarrier:
    """A carrier that fails as the faults in force ask, and otherwise passes calls on to the real one."""

    def __init__(self, carrier: Carrier, faults: Faults, storage: Driver) -> None:
        self._carrier = carrier
        self._faults = faults
        self._storage = storage
        self.search = carrier.search
        self.receiver = carrier.receiver

    async def order(self, request: CarrierRequest) -> Answer:
        return await self._ask(request)

    async def set_calling_name(self, request: CarrierRequest) -> Answer:
        return await self._ask(request)

    async def release(self, request: CarrierRequest) -> Answer:
        return await self._ask(request)

    async def _ask(self, request: CarrierRequest) -> Answer:
        fault = self._faults.at_carrier(request)
        if fault == "refuse":
            return Refused("the refusal was asked for at /_numberkeep/faults")
        if fault == "time_out":
            raise TimeoutError("the time-out was asked for at /_numberkeep/faults")
        if fault == "never_answer":
            return Pending(later(request.now, hours=NEVER_ANSWERED_HOURS))
        answer: Answer = await getattr(self._carrier, request.kind)(request)
        if fault == "answer_twice" and not isinstance(answer, Pending):
            await self._tell(request, answer)
        return answer

    async def _tell(self, request: CarrierRequest, answer: Done | Refused) -> None:
        """Settle the change with the answer, as if the carrier had called back before it answered."""
        caller = worker_of(request.account_id)
        e164 = request.e164_phone_number
        await self._storage.transact_locking(caller, e164, settle_now, e164, answer, request.kind, request.id)


class _Item(Struct):
    phone_number_id: str | None = msgspec.field(name="PhoneNumberId", default=None)


class _Named(Struct):
    """The members of a body that name phone numbers."""

    one: str | None = msgspec.field(name="E164PhoneNumber", default=None)
    several: list[str] | None = msgspec.field(name="E164PhoneNumbers", default=None)
    ids: list[str] | None = msgspec.field(name="PhoneNumberIds", default=None)
    items: list[_Item] | None = msgspec.field(name="UpdatePhoneNumberRequestItems", default=None)


_decode_named = msgspec.json.Decoder(_Named).decode


def numbers_of(parameters: Mapping[str, str], body: bytes) -> set[str]:
    """The phone numbers, in E.164, that a request names in its path or its body."""
    names = [parameters.get("PhoneNumberId")]
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the operation will refuse such a body
        named = _decode_named(body or b"{}")
        names += [named.one, *(named.several or ()), *(named.ids or ())]
        names += [item.phone_number_id for item in named.items or ()]
    numbers = set()
    for name in names:
        with suppress(BadRequest):
            numbers.add(normalize_id(name or ""))
    return numbers


def check_one_of(member: str, value: str | None, allowed: Collection[str]) -> None:
    if value is None:
        raise BadRequest(f"{member} is missing; it must be one of {', '.join(allowed)}.")
    if value not in allowed:
        near = get_close_matches(value, allowed, 1)
        meant = f"did you mean {near[0]}? It" if near else "it"
        raise BadRequest(f"{member} cannot be {value!r}: {meant} must be one of {', '.join(allowed)}.")
