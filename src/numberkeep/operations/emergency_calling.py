"""Addresses for emergency calls."""

from ..domain import e911_address
from ..domain.errors import BadRequest
from ..storage.tx import Tx
from .batches import Answer


def validate_e911_address(
    tx: Tx,
    aws_account_id: str,
    street_number: str,
    street_info: str,
    city: str,
    state: str,
    country: str,
    postal_code: str,
) -> Answer:
    """Check an address and normalise it to the US Postal Service's format; no outside service is asked."""
    if aws_account_id != tx.account_id:
        raise BadRequest("AwsAccountId must be the account of the request.")
    result, address = e911_address.validate(street_number, street_info, city, state, country, postal_code)
    return {
        "ValidationResult": result,
        "AddressExternalId": tx.new_id() if address else None,
        "Address": address,
        "CandidateAddressList": [],
    }
