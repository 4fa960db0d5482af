"""An account's settings for all of its numbers."""

from msgspec import Struct
from msgspec.structs import replace

from .errors import BadRequest
from .moment import Timestamp, later

CALLING_NAME_CHANGE_DAYS = 7
"""The default calling name can be changed once in this many days."""


class AccountSettings(Struct, frozen=True):
    """The default calling name, and the buckets for call detail records."""

    calling_name: str | None = None
    calling_name_updated_timestamp: Timestamp | None = None
    voice_connector_cdr_bucket: str | None = None
    business_calling_cdr_bucket: str | None = None

    def change_calling_name(self, calling_name: str, now: Timestamp) -> "AccountSettings":
        """Set the default calling name at once; the empty string removes it.

        Raises BadRequest if it was changed less than seven days ago.
        """
        new = calling_name or None
        if new == self.calling_name:
            return self
        if self.calling_name_updated_timestamp:
            free_at = later(self.calling_name_updated_timestamp, days=CALLING_NAME_CHANGE_DAYS)
            if now < free_at:
                raise BadRequest(
                    f"The default calling name can be updated once every {CALLING_NAME_CHANGE_DAYS} days; "
                    f"it was updated at {self.calling_name_updated_timestamp} and can be again at {free_at}."
                )
        return replace(self, calling_name=new, calling_name_updated_timestamp=now)
