"""How the protocol modules tell what was answered, so that it can be counted. Who counts is left to those who build
the guard."""

from __future__ import annotations

from collections.abc import Callable

# The service - a host of HTTP, IMAP or SMTP - and the code of its answer. Quick, never raises, from any thread.
Heard = Callable[[str, str], None]

IMAP = "imap"  # not the host: that may be the domain of a person
SMTP = "smtp"
NO_ANSWER = "failed"


def unheard(_service: str, _code: str) -> None:
    """Nobody counts."""
