"""Opens a signed-in SMTP submission connection through the guard: implicit TLS or STARTTLS, password or token.
Composing and sending a message is left to the outbox."""

from __future__ import annotations

import base64
import smtplib
import socket
import ssl
from typing import BinaryIO

from core.errors import Misconfigured, NeedsRelink, Throttled, Transient, TwinboxError
from core.ports import Access
from core.provider import Endpoint
from core.types import Security
from providers.protocols.connect import CONNECT_TIMEOUT, Guard, tls_error
from providers.protocols.counting import SMTP
from providers.protocols.imap_wire import Watchdog
from providers.protocols.sasl import reject_control, xoauth2_payload

SIGN_IN_SECONDS = 60.0
DAY = 86_400.0
REPLY_BYTES = 64 * 1024


class _Replies:
    """What the server says, so much for each reply and no more: smtplib reads continuation lines without end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.left = REPLY_BYTES

    def readline(self, limit: int = -1) -> bytes:
        """One line. Raises OSError when the reply is longer than any reply should be."""
        line = self._file.readline(limit)
        self.left -= len(line)
        if self.left < 0:
            raise OSError("the reply has no end")
        return line

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class GuardedSMTP(smtplib.SMTP):
    """smtplib on a connection of the guard, TLS verified from the first byte or after STARTTLS (RFC 8314 3)."""

    def __init__(self, guard: Guard, endpoint: Endpoint, timeout: float = CONNECT_TIMEOUT) -> None:
        self._guard, self._endpoint = guard, endpoint
        self.watchdog: Watchdog | None = None
        try:
            super().__init__(endpoint.host, endpoint.port, local_hostname="localhost", timeout=timeout)
        except (smtplib.SMTPException, OSError, ValueError, TwinboxError):
            self.relax()
            self.close()
            raise

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = self._guard.open_socket(host, port, timeout)
        if self._endpoint.security is Security.TLS:
            sock = self._guard.wrap_tls(sock, host)
        # From the greeting on: a server that drips it must not hold a worker.
        self.watchdog = Watchdog(sock)
        self.watchdog.start(SIGN_IN_SECONDS)
        return sock

    def relax(self) -> None:
        """The sign-in is over, well or not: its deadline with it."""
        if self.watchdog is not None:
            self.watchdog.close()
            self.watchdog = None

    def getreply(self) -> tuple[int, bytes]:
        """One reply, of bounded length."""
        if self.file is None and self.sock is not None:
            self.file = _Replies(self.sock.makefile("rb"))
        if isinstance(self.file, _Replies):
            self.file.left = REPLY_BYTES
        code, text = super().getreply()
        self._guard.heard(SMTP, str(code))
        return code, text

    def secure(self) -> None:
        """STARTTLS where it was chosen; it is then not optional. Raises Misconfigured when it is not offered, or when
        a server that is not in the allowed networks would be spoken to without TLS."""
        if self._endpoint.security is Security.PLAIN and self.sock and not self._guard.is_trusted(self.sock):
            raise Misconfigured(
                f"{self._endpoint.host} would be spoken to without TLS", advice="Use security tls or starttls."
            )
        self.ehlo_or_helo_if_needed()
        if self._endpoint.security is not Security.STARTTLS:
            return
        if not self.has_extn("starttls"):
            raise Misconfigured(
                f"{self._endpoint.host} does not offer STARTTLS on port {self._endpoint.port}",
                advice="Use port 465 with security tls, or ask the provider for the right port.",
            )
        self.starttls(context=self._guard.tls_context)
        self.ehlo()


def open_smtp(guard: Guard, endpoint: Endpoint, access: Access | None) -> GuardedSMTP:
    """Connect, protect and, with `access`, sign in. Raises Refused, Misconfigured, NeedsRelink or Transient."""
    try:
        smtp = GuardedSMTP(guard, endpoint)
    except (smtplib.SMTPException, OSError) as error:
        raise _smtp_error(error, endpoint) from error
    try:
        smtp.secure()
        if access is not None:
            _sign_in(smtp, access)
        return smtp
    except (smtplib.SMTPException, OSError, ValueError) as error:
        smtp.close()
        raise _smtp_error(error, endpoint) from error
    except TwinboxError:
        smtp.close()
        raise
    finally:
        smtp.relax()


def _sign_in(smtp: GuardedSMTP, access: Access) -> None:
    login = reject_control(access.login, "the login name")
    if not access.uses_token:
        _with_password(smtp, login, reject_control(access.secret().reveal(), "the password"))
        return
    try:
        _with_token(smtp, login, access, refresh=False)
    except smtplib.SMTPAuthenticationError as error:
        if error.smtp_code != 535:  # busy, or a matter for the browser: no other token would change that
            raise
        _with_token(smtp, login, access, refresh=True)


def _with_password(smtp: GuardedSMTP, login: str, password: str) -> None:
    if login.isascii() and password.isascii():
        smtp.login(login, password)
        return
    # smtplib encodes ASCII only; PLAIN carries UTF-8 (RFC 4616 2).
    payload = base64.b64encode(f"\0{login}\0{password}".encode()).decode()
    code, text = smtp.docmd("AUTH", f"PLAIN {payload}")
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, text)


def _with_token(smtp: GuardedSMTP, login: str, access: Access, *, refresh: bool) -> None:
    payload = xoauth2_payload(login, access.secret(refresh=refresh))
    # A 334 after the token carries the reason; it is answered with an empty line, then comes the 535.
    answer = lambda challenge=None: payload if challenge is None else ""  # noqa: E731  # smtplib's protocol
    code, text = smtp.auth("XOAUTH2", answer, initial_response_ok=True)
    if code != 235:  # smtplib lets 503 pass, which a server without sign-in answers
        raise smtplib.SMTPAuthenticationError(code, text)


def _smtp_error(error: Exception, endpoint: Endpoint) -> TwinboxError:
    if isinstance(error, ssl.SSLError):
        return tls_error(error, endpoint.host)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Misconfigured(
            f"{endpoint.host} does not offer the sign-in on port {endpoint.port}",
            advice="Use the submission port 465 or 587, and the sign-in the provider asks for.",
        )
    if isinstance(error, smtplib.SMTPResponseException):
        return smtp_reply_error(error.smtp_code, error.smtp_error)
    return Transient(f"{endpoint.host} ended the connection on port {endpoint.port}", advice="Try again.")


def smtp_reply_error(code: int, text: bytes | str) -> TwinboxError:
    """What a reply means: the class of the code first (RFC 5321 4.2.1), then what Google is known to say."""
    raw = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    shown = "".join(char if char.isprintable() else " " for char in raw)[:200].strip()
    if "5.4.5" in shown:
        return Throttled(f"the daily sending limit is reached: {shown}", retry_after=DAY)
    if "5.7.9" in shown and code == 534:
        return NeedsRelink(
            f"the mail server refused the password: {shown}",
            advice="Make an app password in the account's security settings and link again with it.",
        )
    if code in (534, 535, 530):
        return NeedsRelink(f"the mail server refused the sign-in: {shown}", advice="Link the account again.")
    if 400 <= code < 500:
        return Throttled(f"the mail server asks to try later: {shown}", retry_after=300.0)
    return Misconfigured(f"the mail server answered {code}: {shown}", advice="Check host, port and security.")
