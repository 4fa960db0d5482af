"""Numbers that are put into an inventory without an order: from a seed, an import or another account."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from ..domain.errors import BadRequest
from ..domain.moment import Timestamp, later, moment, seconds_of
from ..domain.number_plan import check_product_type, describe, normalize_id
from ..domain.phone_number import (
    PRODUCT_TYPE_OF,
    RESTORABLE_DAYS,
    Association,
    AssociationName,
    CallingNameStatus,
    PhoneNumber,
    ProductType,
    Status,
)
from ..domain.phone_number_order import ItemStatus, OrderedPhoneNumber, PhoneNumberOrder, status_of
from ..domain.phone_number_order import Status as OrderStatus
from ..domain.voice_connector import DEFAULT_REGION, VoiceConnectorItem
from ..storage import pending_changes, phone_number_orders, phone_numbers
from ..storage.resources import VOICE_CONNECTOR_GROUPS, VOICE_CONNECTORS, link
from ..storage.tx import Tx
from .voice_connector_groups import new_voice_connector_group
from .voice_connectors import new_voice_connector

_NAME = r"\A([a-zA-Z0-9,._-]+(\s+[a-zA-Z0-9,._-]+)*)?\Z"
"""The pattern in the model of chime-sdk-voice."""
_IDS = {
    "VoiceConnectorId": (
        r"[a-z0-9]{21,22}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "21 or 22 lower-case letters and digits, or a UUID",
    ),
    "VoiceConnectorGroupId": (r"[a-zA-Z0-9-]{1,128}", "1 to 128 letters, digits and hyphens"),
}
"""The pattern for the ids of holders, and its description; for groups the model has none."""


_IN_WORDS = {
    "CallingName": "2 to 15 letters (a to z), digits and spaces",
    "Name": "at most 256 letters (a to z), digits and signs of ,._- with spaces between",
}
_VALUES = {"ProductType": ProductType, "Status": Status, "CallingNameStatus": CallingNameStatus}


def explained(error: str) -> str:
    """Return what msgspec says of a `GivenNumber`, with the rule of the member or the values that it can have."""
    place = re.search(r"`\$(?:\[[0-9.]*\])?\.(\w+)`", error)
    member = place[1] if place else ""
    if member in _IN_WORDS:
        return f"{member} must be {_IN_WORDS[member]}."
    known = f"; there are {', '.join(get_args(_VALUES[member]))}." if member in _VALUES else ""
    return f"{error}{known}"


class GivenAssociation(Struct, rename="pascal", forbid_unknown_fields=True, omit_defaults=True):
    """What a number is assigned to, as in answers."""

    name: AssociationName
    value: str
    associated_timestamp: Timestamp | None = None


class GivenNumber(Struct, rename="pascal", forbid_unknown_fields=True, omit_defaults=True):
    """PhoneNumber as in answers; what follows from the number itself need not be given."""

    e164_phone_number: str = msgspec.field(name="E164PhoneNumber")
    product_type: ProductType
    status: Status | None = None
    calling_name: Annotated[str, Meta(pattern=r"\A[a-zA-Z0-9 ]{2,15}\Z")] | None = None
    calling_name_status: CallingNameStatus | None = None
    name: Annotated[str, Meta(max_length=256, pattern=_NAME)] | None = None
    order_id: str | None = None
    created_timestamp: Timestamp | None = None
    updated_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    associations: list[GivenAssociation] = []
    # These are in answers, but follow from the number itself.
    phone_number_id: str | None = None
    phone_number_arn: str | None = None
    country: str | None = None
    type: str | None = None
    capabilities: dict[str, Any] | None = None


_PLAIN = ("product_type", "status", "calling_name", "calling_name_status", "name", "order_id")
_TIMESTAMPS = ("created_timestamp", "updated_timestamp", "deletion_timestamp")

Outcome = Literal["added", "same"] | BadRequest
"""A number's outcome: added; the same as the account has already; or an error with the rule that it breaks."""


def given_of(number: PhoneNumber) -> GivenNumber:
    """Return an inventory's number in the form in which it can be put into another."""
    return GivenNumber(
        e164_phone_number=number.e164_phone_number,
        **{name: getattr(number, name) for name in (*_PLAIN, *_TIMESTAMPS)},
        associations=[GivenAssociation(a.name, a.value, a.associated_timestamp) for a in number.associations],
    )


def put(tx: Tx, numbers: Sequence[GivenNumber], *, dry_run: bool = False) -> list[Outcome]:
    """Put numbers into the account's inventory, and return each one's outcome: one that breaks a rule does not affect
    the others. A dry run writes nothing."""
    e164s = [_e164(number) for number in numbers]
    well_formed = sorted({e164 for e164 in e164s if isinstance(e164, str)})
    tx.known |= phone_numbers.find_all(tx.execute, [(tx.account_id, e164) for e164 in well_formed], lock=False)
    owners = phone_numbers.owners(tx, well_formed)
    new: dict[str, PhoneNumber] = {}

    def decide(e164: str, given: GivenNumber) -> Outcome:
        if was := new.get(e164) or phone_numbers.find(tx, e164):
            if other := _differences(given, was):
                raise BadRequest(f"{e164} is in an inventory already: the account's, with another {', '.join(other)}.")
            return "same"
        number = _checked(tx, e164, given)
        if owners.get(e164, tx.account_id) != tx.account_id:
            raise BadRequest(f"{e164} is in an inventory already: another account's.")
        new[e164] = number
        return "added"

    outcomes: list[Outcome] = []
    for e164, given in zip(e164s, numbers, strict=True):
        try:
            outcomes.append(decide(e164, given) if isinstance(e164, str) else e164)
        except BadRequest as error:
            outcomes.append(error)
    if not dry_run:
        _insert(tx, list(new.values()), owners)
    return outcomes


def _e164(given: GivenNumber) -> str | BadRequest:
    try:
        return normalize_id(given.e164_phone_number)
    except BadRequest as error:
        return error


def _differences(given: GivenNumber, was: PhoneNumber) -> list[str]:
    """Return the members that are given with another value than the number has."""
    different = [name for name in _PLAIN if (value := getattr(given, name)) and value != getattr(was, name)]
    different += [
        name for name in _TIMESTAMPS if (value := getattr(given, name)) and _moment(value) != getattr(was, name)
    ]
    if given.associations:
        has = {(one.name, one.value): one.associated_timestamp for one in was.associations}
        asked = {(one.name, one.value): _moment(one.associated_timestamp) for one in given.associations}
        if has.keys() != asked.keys() or any(at and at != has[key] for key, at in asked.items()):
            different.append("associations")
    names = {field.name: field.encode_name for field in msgspec.structs.fields(GivenNumber)} if different else {}
    return [names[name] for name in different]


def _checked(tx: Tx, e164: str, given: GivenNumber) -> PhoneNumber:
    """Return the number that is given. Raises BadRequest if it breaks a rule."""
    plan = describe(e164)
    status = given.status or ("Assigned" if given.associations else "Unassigned")
    if (status == "Assigned") != bool(given.associations):
        raise BadRequest(f"{e164}: a number has associations if it is Assigned, and only then.")
    if status in ("AcquireInProgress", "DeleteInProgress") or given.calling_name_status == "UpdateInProgress":
        raise BadRequest(f"{e164}: what is in progress cannot be put in; begin it with a request.")
    check_product_type(plan.country, plan.type, given.product_type)
    if given.calling_name and plan.type == "TollFree":
        raise BadRequest(f"{e164} is toll-free; calling names apply to local numbers only.")
    if len(given.associations) > 1:
        raise BadRequest(f"{e164}: a number can be assigned to one thing at a time.")
    for association in given.associations:
        _check_association(e164, given.product_type, association)
    deletion_timestamp = _moment(given.deletion_timestamp)
    if status == "ReleaseInProgress":
        deletion_timestamp = deletion_timestamp or later(tx.now, days=RESTORABLE_DAYS)
    elif deletion_timestamp:
        raise BadRequest(f"{e164}: only a number that is ReleaseInProgress has a DeletionTimestamp.")
    return PhoneNumber(
        e164_phone_number=e164,
        country=plan.country,
        type=plan.type,
        product_type=given.product_type,
        status=status,
        created_timestamp=_moment(given.created_timestamp) or tx.now,
        updated_timestamp=_moment(given.updated_timestamp or given.created_timestamp) or tx.now,
        calling_name=given.calling_name or None,
        calling_name_status=given.calling_name_status or ("UpdateSucceeded" if given.calling_name else "Unassigned"),
        name=given.name or None,
        order_id=given.order_id,
        deletion_timestamp=deletion_timestamp,
        associations=tuple(
            Association(a.name, a.value, _moment(a.associated_timestamp) or tx.now) for a in given.associations
        ),
    )


def _check_association(e164: str, product_type: ProductType, association: GivenAssociation) -> None:
    if association.name not in _IDS:
        raise BadRequest(
            f"{e164}: what holds a number by a {association.name} cannot be made up; assign the number with a request."
        )
    if product_type != PRODUCT_TYPE_OF[association.name]:
        raise BadRequest(f"{e164}: only VoiceConnector numbers can have the association {association.name}.")
    pattern, words = _IDS[association.name]
    if not re.fullmatch(pattern, association.value):
        raise BadRequest(f"{association.value!r} is no {association.name}: {words}.")


def _insert(tx: Tx, numbers: Sequence[PhoneNumber], owners: dict[str, str]) -> None:
    for name, value in sorted({(one.name, one.value) for number in numbers for one in number.associations}):
        _provide(tx, name, value)
    # A number that could not be acquired has no owner.
    claimed = [one.e164_phone_number for one in numbers if one.status != "AcquireFailed"]
    phone_numbers.claim_free(tx, [e164 for e164 in claimed if e164 not in owners])
    phone_numbers.insert_all(tx, numbers)
    for number in numbers:
        if number.deletion_timestamp:
            pending_changes.put(tx, number.e164_phone_number, "release", due_at=number.deletion_timestamp)


def _provide(tx: Tx, name: AssociationName, value: str) -> None:
    """Create a number's holder unless it exists: otherwise nothing could take the number away from it again."""
    if name == "VoiceConnectorId":
        if VOICE_CONNECTORS.find(tx, value) is None:
            VOICE_CONNECTORS.insert(tx, new_voice_connector(tx, value, "Seeded"))
    elif VOICE_CONNECTOR_GROUPS.find(tx, value) is None:
        VOICE_CONNECTOR_GROUPS.insert(tx, new_voice_connector_group(tx, value, "Seeded"))


def _moment(timestamp: Timestamp | None) -> Timestamp | None:
    """Return the timestamp in the service's format. Raises BadRequest if it is none."""
    if timestamp is None:
        return None
    try:
        return moment(seconds_of(timestamp))
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"{timestamp!r} is no ISO 8601 date and time with a time zone.") from error


class GivenConnector(Struct, rename="pascal"):
    """VoiceConnector as in answers."""

    voice_connector_id: str
    name: str
    aws_region: str = DEFAULT_REGION
    require_encryption: bool = True
    integration_type: str | None = None
    network_type: str = "IPV4_ONLY"
    created_timestamp: Timestamp | None = None
    updated_timestamp: Timestamp | None = None


class GivenItem(Struct, rename="pascal"):
    """A Voice Connector in a group."""

    voice_connector_id: str
    priority: int | None = None


class GivenGroup(Struct, rename="pascal"):
    """VoiceConnectorGroup as in answers."""

    voice_connector_group_id: str
    name: str
    voice_connector_items: list[GivenItem] = []
    created_timestamp: Timestamp | None = None
    updated_timestamp: Timestamp | None = None


class GivenOrderedNumber(Struct, rename="pascal"):
    """A number in an order."""

    e164_phone_number: str = msgspec.field(name="E164PhoneNumber")
    status: ItemStatus


class GivenOrder(Struct, rename="pascal"):
    """PhoneNumberOrder as in answers."""

    phone_number_order_id: str
    product_type: ProductType
    status: OrderStatus
    created_timestamp: Timestamp
    updated_timestamp: Timestamp
    ordered_phone_numbers: list[GivenOrderedNumber]
    order_type: str = "New"


def put_holders(tx: Tx, connectors: Sequence[GivenConnector], groups: Sequence[GivenGroup]) -> int:
    """Add the Voice Connectors and groups that the account does not have yet; return how many."""
    added = 0
    for one in connectors:
        if VOICE_CONNECTORS.find(tx, one.voice_connector_id) is None:
            plain = new_voice_connector(tx, one.voice_connector_id, one.name, one.aws_region)
            connector = replace(
                plain,
                require_encryption=one.require_encryption,
                integration_type=one.integration_type,
                network_type=one.network_type,
                created_timestamp=_moment(one.created_timestamp) or tx.now,
                updated_timestamp=_moment(one.updated_timestamp) or tx.now,
            )
            VOICE_CONNECTORS.insert(tx, connector)
            added += 1
    for given in groups:
        if VOICE_CONNECTOR_GROUPS.find(tx, given.voice_connector_group_id) is None:
            for item in given.voice_connector_items:
                _provide(tx, "VoiceConnectorId", item.voice_connector_id)
            group = replace(
                new_voice_connector_group(tx, given.voice_connector_group_id, given.name),
                voice_connector_items=tuple(
                    VoiceConnectorItem(item.voice_connector_id, item.priority) for item in given.voice_connector_items
                ),
                created_timestamp=_moment(given.created_timestamp) or tx.now,
                updated_timestamp=_moment(given.updated_timestamp) or tx.now,
            )
            VOICE_CONNECTOR_GROUPS.insert(tx, group)
            link(tx, group.voice_connector_group_id, [item.voice_connector_id for item in group.voice_connector_items])
            added += 1
    return added


def put_orders(tx: Tx, orders: Sequence[GivenOrder]) -> int:
    """Add the settled orders that the account does not have yet; return how many."""
    added = 0
    for given in orders:
        items = tuple(OrderedPhoneNumber(one.e164_phone_number, one.status) for one in given.ordered_phone_numbers)
        is_settled = given.status != "Processing" and given.status == status_of(items)
        if is_settled and phone_number_orders.ORDERS.find(tx, given.phone_number_order_id) is None:
            phone_number_orders.insert(
                tx,
                PhoneNumberOrder(
                    phone_number_order_id=given.phone_number_order_id,
                    product_type=given.product_type,
                    status=given.status,
                    order_type=given.order_type,
                    ordered_phone_numbers=items,
                    created_timestamp=moment(seconds_of(given.created_timestamp)),
                    updated_timestamp=moment(seconds_of(given.updated_timestamp)),
                ),
            )
            added += 1
    return added


def compare(here: GivenNumber, there: GivenNumber) -> dict[str, tuple[object, object]]:
    """Return the members in which a number differs between two inventories. Timestamps are not compared."""
    names = msgspec.structs.fields(GivenNumber)
    pairs = {field.encode_name: (getattr(here, field.name), getattr(there, field.name)) for field in names}
    held = [sorted(f"{one.name} {one.value}" for one in number.associations) for number in (here, there)]
    compared = {name: pairs[name] for name in _COMPARED} | {"Associations": (held[0], held[1])}
    return {name: pair for name, pair in compared.items() if (pair[0] or None) != (pair[1] or None)}


_COMPARED = ("ProductType", "Status", "CallingName", "CallingNameStatus", "Name", "OrderId")
