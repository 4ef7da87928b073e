"""Connects to an IMAP server through the guard and signs in; what is read afterwards is `imap` and `imap_wire`.
imapclient does the greeting, STARTTLS, SASL and ID; every argument passes our own check first."""

from __future__ import annotations

import imaplib
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from core.errors import Misconfigured, NeedsRelink, Transient, TwinboxError
from core.ports import Access
from core.provider import Endpoint
from core.secret import Secret
from core.types import Security
from providers.protocols.connect import Guard
from providers.protocols.counting import IMAP, Heard
from providers.protocols.imap_errors import as_imap_error
from providers.protocols.imap_wire import READ_TIMEOUT, Watchdog
from providers.protocols.sasl import parse_challenge, reject_control, xoauth2_payload

CONNECT_SECONDS = 15.0
# Greeting, TLS and sign-in together; a server that drips its answers must not hold a worker longer.
SIGN_IN_SECONDS = 60.0
BUFFER = 64 * 1024
# RFC 5530 3: the server is in trouble; the credentials may be as good as ever. An outage must unlink nobody.
_PASSING = re.compile(rb"\[(UNAVAILABLE|INUSE|SERVERBUG|CONTACTADMIN)\]|temporar|try again", re.IGNORECASE)
_REPR = re.compile(rb"b(['\"])(.*)\1", re.DOTALL)
CLIENT_ID = {"name": "Twinbox", "vendor": "Twinbox"}


class _Imap4(imaplib.IMAP4):
    """imaplib on a socket that is connected already, with a buffer fit for bulk reading."""

    def __init__(self, sock: socket.socket) -> None:
        self._connected = sock
        super().__init__(host="")

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:  # noqa: ARG002  # imaplib's signature
        self.host, self.port = host, port
        self.sock = self._connected
        self.file = self.sock.makefile("rb", BUFFER)  # type: ignore[assignment]  # the stub wants IO, not IOBase


class GuardedIMAPClient(IMAPClient):  # type: ignore[misc]  # imapclient has no type hints
    """A connection to an IMAP server, protected as the endpoint says.

    Raises Refused, Transient or Misconfigured (certificate, STARTTLS not offered).
    """

    def __init__(self, guard: Guard, endpoint: Endpoint, timeout: float = CONNECT_SECONDS) -> None:
        self._guard, self._endpoint = guard, endpoint
        sock = guard.open_socket(endpoint.host, endpoint.port, timeout)
        if endpoint.security is Security.TLS:
            sock = guard.wrap_tls(sock, endpoint.host)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(READ_TIMEOUT)
        self._ready = sock
        with self._speaking(sock):
            # imapclient sets the socket's timeout to what it is told, and to none if it is told nothing.
            super().__init__(
                endpoint.host, endpoint.port, ssl=endpoint.security is Security.TLS, use_uid=True, timeout=READ_TIMEOUT
            )
        # imaplib would repr() every literal for a log nobody reads, mail text included.
        self._imap.debug = 0
        if endpoint.security is Security.STARTTLS:
            try:
                self._upgrade()
            except TwinboxError:
                self.shutdown()
                raise
        elif endpoint.security is Security.PLAIN and not guard.is_trusted(sock):
            self.shutdown()
            raise Misconfigured(
                f"{endpoint.host} would be spoken to without TLS", advice="Use security tls or starttls."
            )

    def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802  # imapclient's name
        return _Imap4(self._ready)

    def _upgrade(self) -> None:
        with self._speaking(self._imap.sock):
            # Capabilities told before TLS may come from anybody on the way (RFC 9051 11.1).
            if not self.has_capability("STARTTLS"):
                raise Misconfigured(
                    f"{self._endpoint.host} does not offer STARTTLS",
                    advice="Use port 993 with security tls, or ask the provider for the right port.",
                )
            # imapclient's own method would not guard the TLS.
            status, _ = self._imap._simple_command("STARTTLS")  # noqa: SLF001
            if status != "OK":
                raise Misconfigured(
                    f"{self._endpoint.host} refuses STARTTLS", advice="Use port 993 with security tls if there is one."
                )
            sock = self._guard.wrap_tls(self._imap.sock, self._endpoint.host)
            self._imap.sock = sock
            self._imap.file = sock.makefile("rb", BUFFER)
            # imaplib keeps what it was told, a response code in the OK itself included; imapclient would believe it.
            self._imap.untagged_responses.clear()
            self._cached_capabilities, self._starttls_done = None, True

    @contextmanager
    def _speaking(self, sock: socket.socket) -> Iterator[None]:
        """Within a deadline; failures become ours, and the connection ends with them."""
        watchdog = Watchdog(sock)
        watchdog.start(SIGN_IN_SECONDS)
        try:
            yield
        except (IMAPClientError, imaplib.IMAP4.error, OSError, ValueError) as error:
            sock.close()
            raise _connection_error(error, self._endpoint.host) from error
        finally:
            watchdog.close()

    def speak_credentials(self, action: Callable[[], object]) -> None:
        """One sign-in exchange. Raises NeedsRelink when the server says no, Transient when it says nothing."""
        with self._speaking(self._imap.sock):
            try:
                action()
            except (IMAPClientError, imaplib.IMAP4.error) as error:
                # imapclient makes a LoginError of everything, a lost connection included.
                if isinstance(error, imaplib.IMAP4.abort) or isinstance(error.__context__, imaplib.IMAP4.abort):
                    raise
                # Gmail gives the reason for some refusals beside the tagged NO: "* NO [WEBALERT ...]".
                beside = self._imap.untagged_responses.get("NO", [])
                raise _refusal(b" ".join((_server_text(error), *beside))) from None

    def login_quoted(self, login: str, password: str) -> None:
        """LOGIN with both arguments as quoted strings. imaplib sends the user name as it is, blanks included."""
        status, data = self._imap._simple_command("LOGIN", _quoted(login), _quoted(password))  # noqa: SLF001
        if status != "OK":
            raise imaplib.IMAP4.error(data[-1])
        self._imap.state = "AUTH"

    def speaking(self) -> AbstractContextManager[None]:
        """For a few commands within a deadline. Raises what a connection can fail with."""
        return self._speaking(self._imap.sock)

    def introduce(self) -> None:
        """After sign-in: say who we are (RFC 2971) and read the capabilities anew, which signing in changes."""
        with self._speaking(self._imap.sock):
            self._cached_capabilities = None
            if self.has_capability("ID"):
                self.id_(CLIENT_ID)

    @property
    def heard(self) -> Heard:
        """Who counts the server's answers."""
        return self._guard.heard

    @property
    def server_file(self) -> BinaryIO:
        """What the server sends, buffered."""
        file: BinaryIO = self._imap.file
        return file

    def shutdown(self) -> None:
        """Close the connection without a word."""
        self._imap.sock.close()
        self._imap.file.close()


def _connection_error(error: Exception, host: str) -> TwinboxError:
    known = as_imap_error(_server_text(error))
    return Transient(f"{host} ended the connection: {known}") if type(known) is Transient else known


def sign_in(client: GuardedIMAPClient, access: Access) -> None:
    """Sign in; a token that is refused is renewed once. Raises NeedsRelink, Misconfigured, Throttled, Transient."""
    code = "sign-in refused"
    try:
        _sign_in(client, access)
        code = "signed in"
    finally:
        client.heard(IMAP, code)
    client.introduce()


def _sign_in(client: GuardedIMAPClient, access: Access) -> None:
    login = reject_control(access.login, "the login name")
    if not access.uses_token:
        _with_password(client, login, reject_control(access.secret().reveal(), "the password"))
    else:
        token = access.secret()  # a grant that is dead already is not worth a second question
        try:
            _with_token(client, login, token)
        except NeedsRelink:
            # RFC 7628 3.2.3: the same connection may try again with another token.
            _with_token(client, login, access.secret(refresh=True))


def _with_password(client: GuardedIMAPClient, login: str, password: str) -> None:
    if login.isascii() and password.isascii():
        client.speak_credentials(lambda: client.login_quoted(login, password))
        return
    # LOGIN carries ASCII only (RFC 3501 9, astring), PLAIN carries UTF-8 (RFC 4616 2).
    with client.speaking():
        offered = client.has_capability("AUTH=PLAIN")
    if not offered:
        raise NeedsRelink(
            "the mail server takes only plain letters in user name and password",
            advice="Choose a password without accents or other special letters, then link again.",
        )
    client.speak_credentials(lambda: client.plain_login(login, password))


def _with_token(client: GuardedIMAPClient, login: str, token: Secret) -> None:
    answers = iter([xoauth2_payload(login, token).encode()])
    told: list[bytes] = []

    def answer(challenge: bytes) -> bytes:
        # The second challenge is the server's reason as JSON; it wants an empty line before it says NO.
        following = next(answers, None)
        if following is None:
            told.append(challenge)
            return b""
        return following

    try:
        client.speak_credentials(lambda: client.sasl_login("XOAUTH2", answer))
    except NeedsRelink as error:
        status = parse_challenge(told[0]).status if told else ""
        raise NeedsRelink(f"{error} (status {status})" if status else str(error), advice=error.advice) from None


def _refusal(text: bytes) -> TwinboxError:
    """What the answer to a sign-in means. Without a hint at trouble on the server it is about the credentials."""
    known = as_imap_error(text)
    if type(known) is Transient and not _PASSING.search(text):
        return NeedsRelink(f"the mail server refused the sign-in: {known}", advice="Link the account again.")
    return known


def _server_text(error: Exception) -> bytes:
    """What the server said. imaplib raises its bytes, or a text with their repr in it."""
    said = error.args[0] if error.args else b""
    if isinstance(said, bytes):
        return said
    text = str(said).encode("utf-8", "replace")
    match = _REPR.search(text)
    return match[2] if match else text


def _quoted(text: str) -> str:
    """A quoted string (RFC 9051 9); the caller has refused line breaks and NUL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
