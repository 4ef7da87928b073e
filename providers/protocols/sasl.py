"""The SASL messages of the mail protocols: builds payloads, reads challenges, refuses dangerous arguments.
Sending them is left to the IMAP and SMTP modules."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass

from core.errors import Misconfigured
from core.secret import Secret

_APP_PASSWORD = re.compile(r"[A-Za-z]{4}(?:\s[A-Za-z]{4}){3}")


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


def oauthbearer_payload(login: str, token: Secret, host: str, port: int) -> str:
    """The OAUTHBEARER initial response, not yet base64 (RFC 7628 3.1; user name escaped as RFC 5801 4 says)."""
    name = _field(login).replace("=", "=3D").replace(",", "=2C")
    return f"n,a={name},\x01host={_field(host)}\x01port={port}\x01auth=Bearer {_field(token.reveal())}\x01\x01"


def plain_payload(login: str, password: Secret) -> str:
    """The PLAIN initial response, not yet base64 (RFC 4616 2)."""
    return f"\0{reject_control(login, 'the login name')}\0{reject_control(password.reveal(), 'the password')}"


def encoded(payload: str) -> str:
    """A payload as it goes on the wire: UTF-8, base64, one line."""
    return base64.b64encode(payload.encode()).decode("ascii")


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


def app_password(text: str) -> str:
    """The password as the server expects it.

    Google and Yahoo show an app password as four groups of four letters; with the blanks it is refused. Any other
    password keeps its inner blanks, but never a line end that came along with a paste or a pipe.
    """
    trimmed = text.strip("\r\n")
    bare = trimmed.strip()
    if _APP_PASSWORD.fullmatch(bare):
        return "".join(bare.split())
    return trimmed


def _field(text: str) -> str:
    if "\x01" in text:  # the separator of both mechanisms
        raise Misconfigured("a login name or token contains a control character", advice="Link the account again.")
    return reject_control(text, "the login name or token")


def _unbase64(raw: bytes) -> bytes:
    try:
        return base64.b64decode(raw, validate=False)
    except binascii.Error:
        return b""
