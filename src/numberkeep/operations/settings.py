"""An account's settings for all of its numbers."""

from msgspec import Struct
from msgspec.structs import replace

from ..domain.errors import BadRequest
from ..storage import account_settings
from ..storage.tx import Tx
from .batches import Answer


def get_phone_number_settings(tx: Tx) -> Answer:
    """Return the default calling name, and when it was set."""
    settings = account_settings.get(tx)
    return {
        "CallingName": settings.calling_name,
        "CallingNameUpdatedTimestamp": settings.calling_name_updated_timestamp,
    }


def update_phone_number_settings(tx: Tx, calling_name: str) -> None:
    """Set the default calling name, once in seven days; newly ordered US local numbers receive it."""
    account_settings.put(tx, account_settings.get(tx).change_calling_name(calling_name, tx.now))


def get_global_settings(tx: Tx) -> Answer:
    """Return the buckets for call detail records."""
    settings = account_settings.get(tx)
    return {
        "BusinessCalling": {"CdrBucket": settings.business_calling_cdr_bucket},
        "VoiceConnector": {"CdrBucket": settings.voice_connector_cdr_bucket},
    }


def update_global_settings(
    tx: Tx, business_calling: Struct | None = None, voice_connector: Struct | None = None
) -> None:
    """Set the buckets for call detail records; one given without a name is removed."""
    given = {
        "business_calling_cdr_bucket": business_calling,
        "voice_connector_cdr_bucket": voice_connector,
    }
    buckets = {column: getattr(value, "cdr_bucket", None) for column, value in given.items() if value is not None}
    if not buckets:
        raise BadRequest("UpdateGlobalSettings needs BusinessCalling or VoiceConnector.")
    account_settings.put(tx, replace(account_settings.get(tx), **buckets))
