"""Opens a signed-in SMTP submission connection through the guard: implicit TLS or STARTTLS, password or token.
Composing and sending a message is left to the outbox."""

from __future__ import annotations

import smtplib
import socket
import ssl

from core.errors import Misconfigured, NeedsRelink, Throttled, Transient, TwinboxError
from core.ports import Access
from core.provider import Endpoint
from core.types import Security
from providers.protocols.connect import CONNECT_TIMEOUT, Guard
from providers.protocols.imap_wire import Watchdog
from providers.protocols.sasl import reject_control, xoauth2_payload

SIGN_IN_SECONDS = 60.0
DAY = 86_400.0


class GuardedSMTP(smtplib.SMTP):
    """smtplib on a connection of the guard, TLS verified from the first byte or after STARTTLS (RFC 8314 3)."""

    def __init__(self, guard: Guard, endpoint: Endpoint, timeout: float = CONNECT_TIMEOUT) -> None:
        self._guard, self._endpoint = guard, endpoint
        super().__init__(endpoint.host, endpoint.port, local_hostname="localhost", timeout=timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = self._guard.open_socket(host, port, timeout)
        return self._guard.wrap_tls(sock, host) if self._endpoint.security is Security.TLS else sock

    def secure(self) -> None:
        """STARTTLS where it was chosen; it is then not optional. Raises Misconfigured when it is not offered."""
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
    watchdog = Watchdog(smtp.sock) if smtp.sock else None
    if watchdog:
        watchdog.start(SIGN_IN_SECONDS)
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
        if watchdog:
            watchdog.close()


def _sign_in(smtp: GuardedSMTP, access: Access) -> None:
    login = reject_control(access.login, "the login name")
    if not access.uses_token:
        smtp.login(login, reject_control(access.secret().reveal(), "the password"))
        return
    try:
        _with_token(smtp, login, access, refresh=False)
    except smtplib.SMTPAuthenticationError:
        _with_token(smtp, login, access, refresh=True)


def _with_token(smtp: GuardedSMTP, login: str, access: Access, *, refresh: bool) -> None:
    payload = xoauth2_payload(login, access.secret(refresh=refresh))
    # A 334 after the token carries the reason; it is answered with an empty line, then comes the 535.
    smtp.auth("XOAUTH2", lambda challenge=None: payload if challenge is None else "", initial_response_ok=True)


def _smtp_error(error: Exception, endpoint: Endpoint) -> TwinboxError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Misconfigured(
            f"the certificate of {endpoint.host} is not accepted: {error.verify_message}",
            advice="If you trust this server, put its authority in the file TWINBOX_CA_FILE names.",
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
