"""The program's log on standard error: lines for people, or JSON for programs."""

import logging
from typing import Any, Literal

import msgspec

from .domain.moment import moment

LogFormat = Literal["text", "json"]


class JsonLines(logging.Formatter):
    """Formats each record as a JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": moment(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _text(record.getMessage()),
        }
        for name in ("request_id", "request_ids"):
            if hasattr(record, name):
                told[name] = getattr(record, name)
        if record.exc_info:
            told["exception"] = _text(self.formatException(record.exc_info))
        return msgspec.json.encode(told).decode()


def _text(text: str) -> str:
    """`text` in a form that JSON can hold: input from a peer may contain lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


def configure(format: LogFormat) -> None:
    """Log to standard error in that format from now on."""
    handler = logging.StreamHandler()
    text = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(JsonLines() if format == "json" else logging.Formatter(text))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
