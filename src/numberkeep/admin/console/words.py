"""How pages write times, durations and names."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import phonenumbers
from markupsafe import Markup
from phonenumbers import NumberParseException, PhoneNumberFormat

from ...domain.moment import Timestamp, seconds_of


def when(timestamp: Timestamp | None) -> Markup:
    """A time in UTC, to the second."""
    if not timestamp:
        return Markup("—")
    text = f"{timestamp[:10]} {timestamp[11:19]}"
    return Markup('<time datetime="{}">{}<span class="zone"> UTC</span></time>').format(timestamp, text)


def between(begin: Timestamp, end: Timestamp) -> str:
    """The time between two moments, in its two largest units."""
    seconds = max(0, int(seconds_of(end) - seconds_of(begin)))
    parts: list[str] = []
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, length)
        if count or (unit == "second" and not parts):
            parts.append(f"{count} {unit}{'s' * (count != 1)}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)


def spoken(e164: str) -> str:
    """A number in international format: +1 206-555-0100."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(e164), PhoneNumberFormat.INTERNATIONAL)
    except NumberParseException:
        return e164


def apart(name: str) -> str:
    """``ReleaseInProgress`` -> ``Release in progress``; ``SipRuleId`` -> ``SIP rule``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Id")).replace("_", " ")
    first, *others = words.split()
    text = " ".join([first[0].upper() + first[1:], *(word.lower() for word in others)])
    return text.replace("Sip ", "SIP ").replace("Voice connector", "Voice Connector")


def by_priority(items: Iterable[Any]) -> list[Any]:
    """Items in the order in which they are called; those without a priority come first."""
    return sorted(items, key=lambda item: item.priority or 0)


def counted(count: int) -> str:
    """A count with thousands separators: 1,234."""
    return f"{count:,}"


FILTERS: dict[str, Callable[..., Any]] = {
    "when": when,
    "between": between,
    "spoken": spoken,
    "apart": apart,
    "by_priority": by_priority,
    "counted": counted,
}
