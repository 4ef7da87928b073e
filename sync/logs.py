"""Sets up logging once per process: JSON lines or a terminal's text, secrets masked, control characters escaped."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from core.secret import Secret

_SECRET_NAMES = re.compile(r"token|password|secret|authorization|cookie|verifier|api_key", re.IGNORECASE)
_SECRET_VALUES = re.compile(r"ya29\.[\w.-]+|1//[\w-]{10,}|(?i:bearer )[\w.~+/=-]+|eyJ[\w-]+\.[\w-]+\.[\w-]*")
# Also line ends, which would let a value pretend to be a line of its own, and marks that turn text around.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class _Masked(logging.Formatter):
    """Lines of libraries, masked and escaped as ours are; each stays one line."""

    def format(self, record: logging.LogRecord) -> str:
        return _masked(super().format(record))


def set_up_logging(level: str) -> None:
    """Write log lines to standard error: JSON when that is no terminal."""
    terminal = sys.stderr.isatty()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Masked("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger().setLevel(level.upper())  # basicConfig does nothing the second time
    # Their lower levels quote what goes over the wire.
    for name in ("imapclient", "imaplib", "httpx2", "httpcore2", "dramatiq", "pika", "google", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask values that are secret by name, by type or by look; escape control characters."""
    for key, value in event.items():
        event[key] = "***" if _SECRET_NAMES.search(key) else _clean(value)
    return event


def _clean(value: Any) -> Any:
    """Data for a log line; what is no plain data is written as text first, so that nothing slips past the mask."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, Mapping):
        return redact(None, "", {str(key): item for key, item in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    return _masked(str(value))


def _masked(text: str) -> str:
    masked = _SECRET_VALUES.sub("***", text)
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], masked)
