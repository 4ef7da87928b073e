"""The SASL messages of the mail protocols: builds payloads, reads challenges, refuses dangerous arguments.
Sending them is left to the IMAP and SMTP modules."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from core.errors import Misconfigured
from core.secret import Secret


@dataclass(frozen=True, slots=True)
class Challenge:
    """The error a server gives before it refuses a token (RFC 7628 3.2.2, and Google's XOAUTH2 page)."""

    status: str = ""
    schemes: str = ""
    scope: str = ""


def reject_control(text: str, what: str = "an argument") -> str:
    """`text` itself. Raises Misconfigured if it holds NUL, CR or LF, which would start another command.

    imapclient and imaplib send such characters as they are. The text is not part of the message: it may be a secret.
    """
    if any(character in text for character in "\0\r\n"):
        raise Misconfigured(
            f"{what} contains a line break or NUL character", advice="Enter it again, as one line of text."
        )
    return text


def xoauth2_payload(login: str, token: Secret) -> str:
    """The XOAUTH2 initial response, not yet base64 (Google "IMAP, POP, and SMTP": OAuth 2.0 mechanism)."""
    return f"user={_field(login)}\x01auth=Bearer {_field(token.reveal())}\x01\x01"


def parse_challenge(data: bytes | str) -> Challenge:
    """Read the JSON of a server challenge, plain or still in base64; empty fields for anything else."""
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    for candidate in (raw, _unbase64(raw)):
        try:
            value = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return Challenge(
                *(str(value.get(name, ""))[:200] for name in ("status", "schemes", "scope")),
            )
    return Challenge()


def _field(text: str) -> str:
    if "\x01" in text:  # the separator of both mechanisms
        raise Misconfigured("a login name or token contains a control character", advice="Link the account again.")
    return reject_control(text, "the login name or token")


def _unbase64(raw: bytes) -> bytes:
    try:
        return base64.b64decode(raw, validate=False)
    except binascii.Error:
        return b""
