"""Sets up logging once per process: JSON lines or a terminal's text, secrets masked, control characters escaped."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from core.secret import Secret

_SECRET_NAMES = re.compile(r"token|password|secret|authorization|cookie|verifier|api_key", re.IGNORECASE)
_SECRET_VALUES = re.compile(r"ya29\.[\w.-]+|1//[\w-]{10,}|(?i:bearer )[\w.~+/=-]+|eyJ[\w-]+\.[\w-]+\.[\w-]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def set_up_logging(level: str) -> None:
    """Write log lines to standard error: JSON when that is no terminal."""
    terminal = sys.stderr.isatty()
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
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
        if _SECRET_NAMES.search(key) or isinstance(value, Secret):
            event[key] = "***"
        elif isinstance(value, str):
            masked = _SECRET_VALUES.sub("***", value)
            event[key] = _CONTROL.sub(lambda match: repr(match[0])[1:-1], masked)
    return event
