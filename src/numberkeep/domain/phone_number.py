"""A phone number: its states, the moves between them, and what may be changed when.

MOVES and CALLING_NAME_MOVES hold every move: a state and event that are not in them are refused. All rules are from
the Amazon Chime API reference (UpdatePhoneNumber, DeletePhoneNumber, RestorePhoneNumber) unless a comment says
otherwise.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from . import number_plan
from .errors import BadRequest, Conflict, PhoneNumberAssociationsExist
from .moment import Timestamp, later

Status = Literal[
    "AcquireInProgress",
    "AcquireFailed",
    "Unassigned",
    "Assigned",
    "ReleaseInProgress",
    "DeleteInProgress",
    "ReleaseFailed",
]
CallingNameStatus = Literal["Unassigned", "UpdateInProgress", "UpdateSucceeded", "UpdateFailed"]
ProductType = Literal["BusinessCalling", "VoiceConnector", "SipMediaApplicationDialIn"]

ChangeKind = Literal["order", "set_calling_name", "release"]
"""What a number's carrier is asked to do, and may do much later: provide the number, show another calling name, or
take the number back."""

RESTORABLE_DAYS = 7
"""How many days a deleted number stays in the deletion queue, from which it can be restored."""

GONE = None
"""The target of a move after which the account no longer has the number."""

MOVES: dict[tuple[Status, str], Status | None] = {
    ("AcquireInProgress", "acquire"): "Unassigned",
    ("AcquireInProgress", "fail_to_acquire"): "AcquireFailed",
    ("AcquireFailed", "delete"): GONE,
    ("Unassigned", "assign"): "Assigned",
    ("Unassigned", "delete"): "ReleaseInProgress",
    ("Assigned", "assign"): "Assigned",
    ("Assigned", "unassign"): "Unassigned",
    ("ReleaseInProgress", "restore"): "Unassigned",
    ("ReleaseInProgress", "begin_release"): "DeleteInProgress",
    ("DeleteInProgress", "release"): GONE,
    ("DeleteInProgress", "fail_to_release"): "ReleaseFailed",
    ("ReleaseFailed", "delete"): "ReleaseInProgress",
    ("ReleaseFailed", "restore"): "Unassigned",
}

CALLING_NAME_MOVES: dict[tuple[CallingNameStatus, str], CallingNameStatus] = {
    ("Unassigned", "request"): "UpdateInProgress",
    ("UpdateSucceeded", "request"): "UpdateInProgress",
    ("UpdateFailed", "request"): "UpdateInProgress",
    ("UpdateInProgress", "succeed"): "UpdateSucceeded",
    ("UpdateInProgress", "clear"): "Unassigned",
    ("UpdateInProgress", "fail"): "UpdateFailed",
}

IN_DELETION_QUEUE = ("ReleaseInProgress", "DeleteInProgress", "ReleaseFailed")
UPDATABLE = ("Unassigned", "Assigned")


AssociationName = Literal["AccountId", "UserId", "VoiceConnectorId", "VoiceConnectorGroupId", "SipRuleId"]

PRODUCT_TYPE_OF: dict[AssociationName, ProductType] = {
    "AccountId": "BusinessCalling",
    "UserId": "BusinessCalling",
    "VoiceConnectorId": "VoiceConnector",
    "VoiceConnectorGroupId": "VoiceConnector",
    "SipRuleId": "SipMediaApplicationDialIn",
}
"""The product type that a number must have to be assigned to something, by the association's name."""

Holder = Mapping[AssociationName, str]
"""What a number is assigned to, as ids by association name: one resource, or a user together with their account."""


class Association(Struct, frozen=True):
    """One thing that a number is assigned to: a Voice Connector, a group, a SIP rule, a user, or the user's account."""

    name: AssociationName
    value: str
    associated_timestamp: Timestamp


class Capabilities(Struct, frozen=True):
    """Which kinds of traffic a number carries."""

    inbound_call: bool = True
    inbound_mms: bool = True
    inbound_sms: bool = True
    outbound_call: bool = True
    outbound_mms: bool = True
    outbound_sms: bool = True


CALLS_AND_MESSAGES = Capabilities()
CALLS_ONLY = Capabilities(inbound_mms=False, inbound_sms=False, outbound_mms=False, outbound_sms=False)


class PhoneNumber(Struct, frozen=True):
    """One number in one account's inventory, immutable: every move returns a new object."""

    e164_phone_number: str
    country: str
    type: str
    product_type: ProductType
    status: Status
    created_timestamp: Timestamp
    updated_timestamp: Timestamp
    calling_name: str | None = None
    """The outbound calling name (CNAM) in force; while an update is pending, still the old one."""
    calling_name_status: CallingNameStatus = "Unassigned"
    requested_calling_name: str | None = None
    """The calling name that a pending update will set; empty if it will remove the name."""
    name: str | None = None
    order_id: str | None = None
    deletion_timestamp: Timestamp | None = None
    """When the number leaves the deletion queue, and so the account, for good."""
    change_id: int | None = None
    """The id of the latest change in its history; None for a number not stored yet."""
    associations: tuple[Association, ...] = ()

    @property
    def phone_number_id(self) -> str:
        return number_plan.phone_number_id(self.e164_phone_number)

    @property
    def capabilities(self) -> Capabilities:
        """What the number carries: messages only if it is a US number."""
        return CALLS_AND_MESSAGES if self.country == "US" else CALLS_ONLY

    def update(self, changes: Mapping[str, str], now: Timestamp) -> "PhoneNumber":
        """Change the one detail in `changes`: `product_type`, `calling_name` or `name`.

        Raises BadRequest unless there is exactly one, and for a change that the number's state or plan forbids;
        Conflict for a calling name while another is pending.
        """
        if len(changes) != 1:
            raise BadRequest(
                "Exactly one of ProductType, CallingName and Name can be updated at a time; "
                f"the request gives {len(changes) or 'none'}."
            )
        if self.status not in UPDATABLE:
            raise BadRequest(
                f"{self._words} has the status {self.status}; only {_or(UPDATABLE)} numbers can be updated."
            )
        ((detail, value),) = changes.items()
        if detail == "product_type":
            return self._change_product_type(value, now)
        if detail == "calling_name":
            return self.request_calling_name(value, now)
        return replace(self, name=value or None, updated_timestamp=now)

    def _change_product_type(self, product_type: str, now: Timestamp) -> "PhoneNumber":
        if product_type == self.product_type:
            return self
        if self.status != "Unassigned":
            raise PhoneNumberAssociationsExist(
                f"{self._words} is assigned to {self._holders}; only an Unassigned number can change its product type."
            )
        number_plan.check_product_type(self.country, self.type, product_type)
        return replace(self, product_type=cast(ProductType, product_type), updated_timestamp=now)

    def request_calling_name(self, calling_name: str, now: Timestamp) -> "PhoneNumber":
        """Request another calling name, to be settled later; the empty string requests none.

        Raises Conflict while an earlier request is pending, BadRequest for a toll-free number.
        """
        if self.type == "TollFree":
            raise BadRequest(f"{self._words} is toll-free; calling names apply to local numbers only.")
        if self.calling_name_status == "UpdateInProgress":
            raise Conflict(
                f"{self._words} has a calling name update pending; it must be complete before another is requested."
            )
        return self._calling_name("request", now, requested_calling_name=calling_name)

    def settle_calling_name(self, accepted: bool, now: Timestamp) -> "PhoneNumber":
        """Complete the pending calling-name request: take the new name if `accepted`, else keep the old one."""
        if not accepted:
            return self._calling_name("fail", now, requested_calling_name=None)
        calling_name = self.requested_calling_name or None
        event = "succeed" if calling_name else "clear"
        return self._calling_name(event, now, requested_calling_name=None, calling_name=calling_name)

    def acquire(self, default_calling_name: str | None, now: Timestamp) -> "PhoneNumber":
        """Record that the carrier has provided the number. A US local number requests the default calling name."""
        number = self._move("acquire", now)
        if default_calling_name and self.country == "US" and self.type == "Local":
            return number.request_calling_name(default_calling_name, now)
        return number

    def fail_to_acquire(self, now: Timestamp) -> "PhoneNumber":
        """Record that the carrier has not provided the number."""
        return self._move("fail_to_acquire", now)

    def assign(self, holder: Holder, now: Timestamp, *, force: bool = False) -> "PhoneNumber":
        """Assign the number to `holder`; `force` takes it away from its current holder.

        Raises BadRequest if the number has another product type or its state forbids it, PhoneNumberAssociationsExist
        without `force` if something else holds it.
        """
        status = self._target("assign")
        for name in holder:
            if self.product_type != PRODUCT_TYPE_OF[name]:
                raise BadRequest(
                    f"{self._words} has the product type {self.product_type}; only {PRODUCT_TYPE_OF[name]} numbers "
                    f"can be assigned to a {name.removesuffix('Id')}."
                )
        if {association.name: association.value for association in self.associations} == holder:
            return self
        if self.associations and not force:
            raise PhoneNumberAssociationsExist(
                f"{self._words} is assigned to {self._holders} already; it must be disassociated first, or moved with "
                "ForceAssociate where the operation has that."
            )
        associations = tuple(Association(name, value, now) for name, value in sorted(holder.items()))
        return replace(self, status=status, associations=associations, updated_timestamp=now)

    def unassign(self, holder: Holder, now: Timestamp) -> "PhoneNumber":
        """Take the number away from `holder`; once nothing holds it, it is Unassigned.

        Raises BadRequest if `holder` does not hold it.
        """
        left = tuple(one for one in self.associations if holder.get(one.name) != one.value)
        if len(left) == len(self.associations):
            words = " of ".join(f"{name} {value}" for name, value in holder.items())
            raise BadRequest(f"{self._words} is not assigned to {words}.")
        status = self.status if left else self._target("unassign")
        return replace(self, status=status, associations=left, updated_timestamp=now)

    def delete(self, now: Timestamp) -> "PhoneNumber | None":
        """Move the number to the deletion queue; return None for one never acquired, which is gone at once.

        Raises PhoneNumberAssociationsExist for an assigned number, BadRequest for one in another state.
        """
        if self.status == "Assigned":
            raise PhoneNumberAssociationsExist(
                f"{self._words} is assigned to {self._holders}; disassociate it, or disable the SIP rule, before you "
                "delete it."
            )
        if self._target("delete") is GONE:
            return None
        return self._move("delete", now, deletion_timestamp=later(now, days=RESTORABLE_DAYS))

    def restore(self, now: Timestamp) -> "PhoneNumber":
        """Move the number out of the deletion queue. Raises BadRequest if it is not there, or its days are over."""
        if self.deletion_timestamp and now >= self.deletion_timestamp:
            raise BadRequest(f"{self._words} could be restored until {self.deletion_timestamp}.")
        return self._move("restore", now, deletion_timestamp=None)

    def begin_release(self, now: Timestamp) -> "PhoneNumber":
        """End the days in the deletion queue: the carrier is asked to take the number back."""
        return self._move("begin_release", now)

    def fail_to_release(self, now: Timestamp) -> "PhoneNumber":
        """Record that the carrier has not taken the number back."""
        return self._move("fail_to_release", now, deletion_timestamp=None)

    @property
    def _words(self) -> str:
        return f"Phone number {self.e164_phone_number}"

    @property
    def _holders(self) -> str:
        return ", ".join(f"{association.name} {association.value}" for association in self.associations)

    def _target(self, event: str) -> Status | None:
        try:
            return MOVES[self.status, event]
        except KeyError:
            allowed = [status for status, of_event in MOVES if of_event == event]
            raise BadRequest(
                f"{self._words} has the status {self.status}; "
                f"{event.replace('_', ' ')} needs a number that is {_or(allowed)}."
            ) from None

    def _move(self, event: str, now: Timestamp, **changes: Timestamp | None) -> "PhoneNumber":
        return replace(self, status=self._target(event), updated_timestamp=now, **changes)

    def _calling_name(self, event: str, now: Timestamp, **changes: str | None) -> "PhoneNumber":
        status = CALLING_NAME_MOVES[self.calling_name_status, event]
        return replace(self, calling_name_status=status, updated_timestamp=now, **changes)


_encode = msgspec.json.Encoder().encode


def _as_answered(capabilities: Capabilities) -> Raw:
    return Raw(
        _encode(
            {
                "InboundCall": capabilities.inbound_call,
                "InboundMMS": capabilities.inbound_mms,
                "InboundSMS": capabilities.inbound_sms,
                "OutboundCall": capabilities.outbound_call,
                "OutboundMMS": capabilities.outbound_mms,
                "OutboundSMS": capabilities.outbound_sms,
            }
        )
    )


_CAPABILITIES = {capabilities: _as_answered(capabilities) for capabilities in (CALLS_AND_MESSAGES, CALLS_ONLY)}


class _Shape(Struct, rename="pascal"):
    """AWS's shape PhoneNumber, its members in alphabetical order."""

    associations: Sequence[Mapping[str, str]]
    calling_name: str | None
    calling_name_status: str
    capabilities: Raw
    country: str
    created_timestamp: Timestamp
    deletion_timestamp: Timestamp | None
    e164_phone_number: str
    name: str | None
    order_id: str | None
    phone_number_arn: str | None
    phone_number_id: str
    product_type: str
    status: str
    type: str
    updated_timestamp: Timestamp


def answer_of(number: PhoneNumber) -> bytes:
    """Return the number as in responses: JSON of AWS's shape PhoneNumber, with the members of both service models."""
    return _encode(
        _Shape(  # by position, which is twice as fast as by name
            [
                {"AssociatedTimestamp": one.associated_timestamp, "Name": one.name, "Value": one.value}
                for one in number.associations
            ],
            number.calling_name,
            number.calling_name_status,
            _CAPABILITIES[number.capabilities],
            number.country,
            number.created_timestamp,
            number.deletion_timestamp,
            number.e164_phone_number,
            number.name,
            number.order_id,
            None,  # AWS documents neither the form of this ARN nor its use
            number.phone_number_id,
            number.product_type,
            number.status,
            number.type,
            number.updated_timestamp,
        )
    )


def _or(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
