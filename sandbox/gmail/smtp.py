"""Gmail's SMTP side on aiosmtpd: sign-in, limits, From rewriting, the Sent copy, local delivery.

Decides replies; who may sign in is judged by login.py, where mail goes by the stores' folder models.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from aiosmtpd.smtp import Session as SmtpSession

from sandbox.gmail import mime
from sandbox.gmail.faults import SMTP_FAULTS
from sandbox.gmail.folders import PlainMail
from sandbox.gmail.labels import GmailMail
from sandbox.gmail.login import Admitted, CheckToken, Refused, by_password, by_token
from sandbox.gmail.profile import APPEND_LIMIT
from sandbox.gmail.store import Store

_BAD = (
    "535-5.7.8 Username and Password not accepted. For more information, go to\r\n"
    "535 5.7.8  https://support.google.com/mail/?p=BadCredentials - gsmtp"
)
_APP = (
    "534-5.7.9 Application-specific password required. For more information, go to\r\n"
    "534 5.7.9  https://support.google.com/mail/?p=InvalidSecondFactor - gsmtp"
)
_LIMIT = (
    "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\r\n"
    "550 5.4.5 sending limits go to https://support.google.com/a/answer/166852 - gsmtp"
)
_AUTH_NEEDED = "530-5.7.0 Authentication Required. For more information, go to\r\n530 5.7.0  support - gsmtp"
_TOO_BIG = "552-5.2.3 Your message exceeded Google's message size limits.\r\n552 5.2.3 - gsmtp"


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """What the SMTP side works with."""

    store: Store
    gmail: GmailMail
    plain: PlainMail
    check_token: CheckToken
    tls: ssl.SSLContext | None


class _Session(SmtpSession):
    # A plain attribute: aiosmtpd itself sets the property and then logs a deprecation warning about it.
    login_data: Any = None


class _Server(SMTP):
    # Tokens are longer than SMTP's 512 bytes, and real mail has lines longer than 998.
    command_size_limit = 16384
    line_length_limit = 1 << 20

    def _create_session(self) -> SmtpSession:
        return _Session(self.loop)


def smtp_factory(settings: SmtpSettings, *, implicit: bool) -> Callable[[], SMTP]:
    """A protocol factory for the implicit-TLS port, or for the submission port (STARTTLS if TLS is on)."""
    starttls = settings.tls is not None and not implicit

    def build() -> SMTP:
        return _Server(
            _Handler(settings),
            data_size_limit=APPEND_LIMIT,
            hostname="smtp.gmail.com",
            ident="ESMTP gsmtp",
            tls_context=settings.tls if starttls else None,
            require_starttls=starttls,
            auth_require_tls=starttls,
        )

    return build


class _Handler:
    """aiosmtpd's hooks for one connection."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802
        """AUTH XOAUTH2 (and the 334 JSON that must be answered with an empty line)."""
        payload = await self._first(server, args)
        if payload is None:
            return AuthResult(success=False, handled=True)
        verdict = by_token(payload, self._settings.store, self._settings.check_token)
        if isinstance(verdict, Refused):
            challenge = verdict.challenge()
            answer = await server.challenge_auth(challenge)
            if not isinstance(answer, bytes):
                return AuthResult(success=False, handled=True)
            if answer:
                return AuthResult(success=False, handled=False, message="501 5.5.2 Cannot Decode response")
        return _result(verdict)

    async def auth_PLAIN(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802
        """AUTH PLAIN with an app password."""
        payload = await self._first(server, args)
        pieces = (payload or b"").split(b"\0")
        if len(pieces) != 3:
            return AuthResult(success=False, handled=payload is None, message="501 5.5.2 Cannot Decode response")
        return self._password(pieces[1], pieces[2])

    async def auth_LOGIN(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802
        """AUTH LOGIN with an app password."""
        user = base64.b64decode(args[1]) if len(args) > 1 else await server.challenge_auth(b"Username:")
        if not isinstance(user, bytes):
            return AuthResult(success=False, handled=True)
        password = await server.challenge_auth(b"Password:")
        if not isinstance(password, bytes):
            return AuthResult(success=False, handled=True)
        return self._password(user, password)

    async def _first(self, server: SMTP, args: list[str]) -> bytes | None:
        if len(args) > 1:
            try:
                return base64.b64decode(args[1], validate=True)
            except ValueError:
                return b""
        answer = await server.challenge_auth(b"")
        return answer if isinstance(answer, bytes) else None

    def _password(self, user: bytes, password: bytes) -> AuthResult:
        verdict = by_password(
            user.decode("utf-8", "replace"), password.decode("utf-8", "replace"), self._settings.store
        )
        return _result(verdict)

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, session: SmtpSession, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """MAIL FROM: only after sign-in."""
        if not session.authenticated:
            return _AUTH_NEEDED
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK gsmtp"

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: SmtpSession, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """RCPT TO: an address needs a domain."""
        if "@" not in address:
            return "553-5.1.3 The recipient address is not a valid RFC 5321 address.\r\n553 5.1.3 - gsmtp"
        if len(envelope.rcpt_tos) >= 100:
            return "452-4.5.3 Your message has too many recipients.\r\n452 4.5.3 - gsmtp"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK gsmtp"

    async def handle_DATA(self, _server: SMTP, session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802
        """Accept the message: Sent copy for the sender, delivery to users of this double."""
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        return self._submit(str(session.auth_data), envelope.rcpt_tos, raw)

    def _submit(self, user: str, recipients: list[str], raw: bytes) -> str:
        store = self._settings.store
        if len(raw) > APPEND_LIMIT:
            return _TOO_BIG
        fault = store.faults.take(user, SMTP_FAULTS)
        if fault is not None:
            return fault.text
        with store.lock:
            box = store.box(user)
            if box.sent_limit is not None and box.sent >= box.sent_limit:
                return _LIMIT
            box.sent += 1
            raw = outgoing(raw, box.user, box.aliases) if store.profile.gmail else raw
            others = {address.lower() for address in recipients} - {user.lower()}
            to_self = len(others) < len({address.lower() for address in recipients})
            if store.profile.gmail:
                # Mail to oneself is one message with both labels, unread.
                labels, flags = (("\\Sent", "\\Inbox"), ()) if to_self else (("\\Sent",), ("\\Seen",))
                self._settings.gmail.deliver(user, raw, labels=labels, flags=flags)
            elif to_self:
                others.add(user.lower())
            for recipient in sorted(others):
                if store.known(recipient) is not None:
                    self._deliver(recipient, raw)
        return "250 2.0.0 OK  gsmtp"

    def _deliver(self, recipient: str, raw: bytes) -> None:
        if self._settings.store.profile.gmail:
            self._settings.gmail.deliver(recipient, raw)
        else:
            self._settings.plain.append(recipient, "INBOX", raw)


def outgoing(raw: bytes, user: str, aliases: frozenset[str]) -> bytes:
    """The message as Gmail sends it: an unverified From becomes the account, a missing Message-ID is added."""
    shown, address = parseaddr((mime.header_value(raw, b"from") or b"").decode("utf-8", "surrogateescape"))
    if address.lower() not in {user.lower(), *(alias.lower() for alias in aliases)}:
        raw = _rewrite_from(raw, shown, user)
    if mime.header_value(raw, b"message-id") is None:
        digest = hashlib.sha256(raw).hexdigest()[:32]
        raw = f"Message-ID: <{digest}@mail.gmail.com>\r\n".encode() + raw
    return raw


def _rewrite_from(raw: bytes, shown: str, user: str) -> bytes:
    header, body = mime.split_header(raw)
    name = f'"{shown}" ' if shown else ""
    fresh = f"From: {name}<{user}>\r\n".encode("utf-8", "surrogateescape")
    out = b""
    for known, text in mime.fields(header):
        if known == b"from":
            out += fresh + b"X-Google-Original-From:" + text.partition(b":")[2]
            fresh = b""
        else:
            out += text
    return fresh + out + b"\r\n" + body


def _result(verdict: Admitted | Refused) -> AuthResult:
    if isinstance(verdict, Admitted):
        return AuthResult(success=True, message="235 2.7.0 Accepted", auth_data=verdict.user)
    return AuthResult(success=False, handled=False, message=_APP if verdict.app_password_needed else _BAD)
