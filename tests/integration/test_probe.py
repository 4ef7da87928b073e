"""The provider test walks name, connection, TLS, capabilities and sign-in of IMAP and of every SMTP endpoint with the
code of a sync, and names the step that fails and what to do; no credential leaves over a connection not protected."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from core.errors import Misconfigured, Transient, TwinboxError
from core.ports import Access
from core.provider import Endpoint, ProviderSpec
from core.secret import Secret
from core.types import Security
from providers.protocols import smtp as smtp_module
from providers.protocols.connect import Guard
from providers.protocols.probe import Step, probe
from providers.protocols.smtp import open_smtp
from sandbox.gmail import GmailDouble, PlainProfile
from sync.access import PasswordAccess
from tests.support.app_factory import LOOPBACK
from tests.support.dovecot import PASSWORD as DOVECOT_PASSWORD
from tests.support.dovecot import Dovecot
from tests.support.processes import require
from tests.support.tls import Tls, write_tls

ANN = "ann@gmail.com"
APP_PASSWORD = "abcdefghijklmnop"
NORMAL = "canary-normal-password"
TOKEN = "ya29.canary-good"
STALE = "ya29.canary-stale"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return write_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def guard(tls: Tls) -> Guard:
    return Guard(LOOPBACK, tls.ca)


def known(token: str) -> tuple[str, datetime] | None:
    return (ANN, datetime.now(UTC) + timedelta(hours=1)) if token == TOKEN else None


@pytest.fixture(scope="module")
def gmail(tls: Tls) -> Iterator[GmailDouble]:
    with GmailDouble(certfile=tls.certificate, keyfile=tls.key, check_token=known) as double:
        double.add_user(ANN, password=NORMAL, app_password=APP_PASSWORD)
        yield double


@pytest.fixture(scope="module")
def submission(tls: Tls) -> Iterator[Dovecot]:
    """A Dovecot with a mail server behind it, for its submission service signs in there."""
    require("dovecot", "dovecot-imapd dovecot-submissiond dovecot-lmtpd")
    with GmailDouble(tls=False) as relay, Dovecot(tls, relay_port=relay.submission_port) as server:
        yield server


@dataclass
class TokenSource:
    """Access with tokens in this order; remembers how often a new one was asked for."""

    tokens: list[str]
    login: str = ANN
    uses_token: bool = True
    renewed: int = field(default=0)

    def secret(self, *, refresh: bool = False) -> Secret:
        if refresh:
            self.renewed += 1
        return Secret(self.tokens[min(self.renewed, len(self.tokens) - 1)])


def password(text: str = APP_PASSWORD, login: str = ANN) -> PasswordAccess:
    return PasswordAccess(login, Secret(text))


def at(port: int, security: Security = Security.TLS, host: str = "localhost") -> Endpoint:
    return Endpoint(host, port, security)


def spec(imap: Endpoint, smtp: Endpoint, *more: Endpoint) -> ProviderSpec:
    return ProviderSpec("ours", "Ours", imap, smtp, tuple(more))


def of(gmail: GmailDouble) -> ProviderSpec:
    return spec(at(gmail.imap_port), at(gmail.smtps_port), at(gmail.submission_port, Security.STARTTLS))


def steps(guard: Guard, provider: ProviderSpec, access: Access | None = None) -> list[Step]:
    found = list(probe(guard, provider, access))
    assert "canary" not in repr(found)
    return found


def imap_steps(guard: Guard, endpoint: Endpoint, access: Access | None = None) -> list[Step]:
    unused = Endpoint("unused.invalid", 465, Security.TLS)
    return [step for step in steps(guard, spec(endpoint, unused), access) if step.protocol == "imap"]


def smtp_steps(guard: Guard, endpoint: Endpoint, access: Access | None = None) -> list[Step]:
    unused = Endpoint("unused.invalid", 993, Security.TLS)
    return [step for step in steps(guard, spec(unused, endpoint), access) if step.protocol == "smtp"]


def failing(walked: list[Step], name: str, detail: str, advice: str = "") -> None:
    """All steps but the last went well; the last one is this, and says what to do."""
    assert [step.ok for step in walked[:-1]] == [True] * (len(walked) - 1), walked
    assert not walked[-1].ok, walked
    assert walked[-1].name == name, walked
    assert detail in walked[-1].detail
    assert walked[-1].advice
    assert advice in walked[-1].advice


both = pytest.mark.parametrize("walk", [imap_steps, smtp_steps])
Walk = Callable[[Guard, Endpoint, Access | None], list[Step]]


# -- all is well


def test_every_step_of_gmail_is_walked_and_told(guard: Guard, gmail: GmailDouble) -> None:
    walked = steps(guard, of(gmail), password())
    assert all(step.ok for step in walked), walked
    names = ["DNS", "TCP", "TLS", "sign-in"]
    assert [(step.protocol, step.name) for step in walked] == [
        (protocol, name) for protocol in ("imap", "smtp", "smtp") for name in names
    ]
    told = "\n".join(step.detail for step in walked)
    for expected in ("TLSv1.3, certificate valid", "X-GM-EXT-1", "STARTTLS, certificate valid", "up to 35 MB"):
        assert expected in told


def test_without_an_account_nobody_signs_in(guard: Guard, gmail: GmailDouble) -> None:
    walked = steps(guard, of(gmail))
    assert all(step.ok for step in walked), walked
    assert [step.name for step in walked].count("capabilities") == 3
    assert "sign-in" not in {step.name for step in walked}


def test_a_token_signs_in_to_both_and_a_stale_one_is_renewed_once(guard: Guard, gmail: GmailDouble) -> None:
    access = TokenSource([TOKEN])
    assert all(step.ok for step in steps(guard, of(gmail), access))
    assert access.renewed == 0
    for walk in (imap_steps, smtp_steps):
        access = TokenSource([STALE, TOKEN])
        port = gmail.imap_port if walk is imap_steps else gmail.smtps_port
        assert walk(guard, at(port), access)[-1].ok
        assert access.renewed == 1


@pytest.mark.servers
def test_every_step_of_dovecot_is_walked_and_told(guard: Guard, submission: Dovecot) -> None:
    provider = spec(
        at(submission.imaps_port), at(submission.submissions_port), at(submission.submission_port, Security.STARTTLS)
    )
    walked = steps(guard, provider, password(DOVECOT_PASSWORD))
    assert all(step.ok for step in walked), walked
    assert len(walked) == 12
    assert "QRESYNC" in walked[3].detail
    (*_, last) = imap_steps(guard, at(submission.imap_port, Security.STARTTLS), password(DOVECOT_PASSWORD))
    assert last.ok, last


@pytest.mark.servers
def test_a_wrong_password_at_dovecot(guard: Guard, submission: Dovecot) -> None:
    wrong = password("canary wrong")
    failing(imap_steps(guard, at(submission.imaps_port), wrong), "sign-in", "refused", "Link the account again")
    failing(smtp_steps(guard, at(submission.submissions_port), wrong), "sign-in", "refused", "Link the account again")


def test_a_password_with_accents_is_carried_unharmed(guard: Guard, gmail: GmailDouble) -> None:
    gmail.add_user("zoe@gmail.com", app_password="pässwörd")
    walked = steps(guard, of(gmail), password("pässwörd", "zoe@gmail.com"))
    assert all(step.ok for step in walked), walked


# -- one step fails


@both
def test_a_name_that_does_not_exist(guard: Guard, walk: Walk) -> None:
    failing(walk(guard, at(993, host="no-such-host.example"), None), "DNS", "cannot be resolved", "Check the host name")


@both
def test_an_address_that_is_not_allowed(gmail: GmailDouble, walk: Walk) -> None:
    failing(walk(Guard(), at(gmail.imap_port), None), "DNS", "localhost", "TWINBOX_ALLOW_NETWORKS")


@both
def test_a_port_where_nobody_listens(guard: Guard, walk: Walk) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        walked = walk(guard, at(held.getsockname()[1], host="127.0.0.1"), None)
    failing(walked, "TCP", "refuses connections", "Check host and port")


def test_a_certificate_nobody_vouches_for(gmail: GmailDouble) -> None:
    for walk, port, security in (
        (imap_steps, gmail.imap_port, Security.TLS),
        (smtp_steps, gmail.smtps_port, Security.TLS),
        (smtp_steps, gmail.submission_port, Security.STARTTLS),
    ):
        walked = walk(Guard(LOOPBACK), at(port, security), password())
        failing(walked, "TLS", "the certificate of localhost is not accepted", "TWINBOX_CA_FILE")


@pytest.mark.servers
def test_a_certificate_nobody_vouches_for_after_starttls(submission: Dovecot) -> None:
    for walk, port in ((imap_steps, submission.imap_port), (smtp_steps, submission.submission_port)):
        walked = walk(Guard(LOOPBACK), at(port, Security.STARTTLS), password())
        failing(walked, "TLS", "the certificate of localhost is not accepted", "TWINBOX_CA_FILE")


@both
def test_a_certificate_for_another_name(tmp_path: Path, walk: Walk) -> None:
    authority = trustme.CA()
    tls = Tls(tmp_path / "ca.pem", tmp_path / "one.pem", tmp_path / "one.key")
    one = authority.issue_cert("mail.other.example")
    authority.cert_pem.write_to_path(tls.ca)
    one.cert_chain_pems[0].write_to_path(tls.certificate)
    one.private_key_pem.write_to_path(tls.key)
    with GmailDouble(certfile=tls.certificate, keyfile=tls.key) as double:
        port = double.imap_port if walk is imap_steps else double.smtps_port
        walked = walk(Guard(LOOPBACK, tls.ca), at(port), password())
    failing(walked, "TLS", "not accepted", "Use the host name that the certificate is issued for")


@both
def test_a_server_without_tls_on_a_tls_port(guard: Guard, walk: Walk) -> None:
    with GmailDouble(tls=False, profile=PlainProfile()) as plain:
        port = plain.imap_port if walk is imap_steps else plain.submission_port
        failing(walk(guard, at(port), None), "TLS", "does not speak TLS", "TLS on 993 and 465")


@both
def test_a_server_that_does_not_offer_starttls_gets_no_credentials(guard: Guard, walk: Walk) -> None:
    with GmailDouble(tls=False, profile=PlainProfile()) as plain:
        plain.add_user(ANN, password=APP_PASSWORD)
        port = plain.imap_port if walk is imap_steps else plain.submission_port
        walked = walk(guard, at(port, Security.STARTTLS), password())
    failing(walked, "TLS", "does not offer STARTTLS", "with security tls")


@both
def test_a_wrong_password(guard: Guard, gmail: GmailDouble, walk: Walk) -> None:
    port = gmail.imap_port if walk is imap_steps else gmail.smtps_port
    failing(walk(guard, at(port), password("canary wrong")), "sign-in", "refused", "ink the account again")
    failing(walk(guard, at(port), password(NORMAL)), "sign-in", "pplication-specific password", "app password")
    failing(walk(guard, at(port), password("pässwörd")), "sign-in", "refused", "ink the account again")


@both
def test_a_refused_token(guard: Guard, gmail: GmailDouble, walk: Walk) -> None:
    port = gmail.imap_port if walk is imap_steps else gmail.smtps_port
    access = TokenSource([STALE])
    failing(walk(guard, at(port), access), "sign-in", "refused", "ink the account again")
    assert access.renewed == 1


def test_one_endpoint_that_fails_leaves_the_others_to_be_tried(guard: Guard, gmail: GmailDouble) -> None:
    provider = spec(at(1, host="no-such-host.example"), at(gmail.smtps_port), at(gmail.smtps_port, host="no.example"))
    walked = steps(guard, provider, password())
    assert [(step.protocol, step.ok) for step in walked if step.name == "DNS"] == [
        ("imap", False),
        ("smtp", True),
        ("smtp", False),
    ]
    assert [step.name for step in walked if step.ok][-1] == "sign-in"


# -- SMTP servers that are not what they should be


@contextmanager
def listening(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that holds this talk with each client; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                try:
                    talk(client)
                except OSError:
                    continue

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield int(server.getsockname()[1])
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def endless(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"220-welcome, and welcome, and welcome\r\n" * 1_000)


def dripping(sock: socket.socket) -> None:
    gone = threading.Event()
    while True:
        sock.sendall(b"2")
        gone.wait(0.05)


def test_a_greeting_without_end_is_given_up(guard: Guard) -> None:
    began = time.monotonic()
    with listening(endless) as port, pytest.raises(Transient, match="ended the connection"):
        open_smtp(guard, at(port, Security.STARTTLS, "127.0.0.1"), password())
    assert time.monotonic() - began < 10


def test_a_greeting_that_drips_is_given_up(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_module, "SIGN_IN_SECONDS", 0.3)
    began = time.monotonic()
    with listening(dripping) as port, pytest.raises(TwinboxError):
        open_smtp(guard, at(port, Security.STARTTLS, "127.0.0.1"), password())
    assert time.monotonic() - began < 10


def saying(*replies: bytes) -> tuple[list[bytes], Callable[[socket.socket], None]]:
    """A server that greets and then answers each line with the next reply; and the lines it got."""
    got: list[bytes] = []

    def talk(sock: socket.socket) -> None:
        sock.sendall(b"220 here\r\n")
        with sock.makefile("rb") as lines:
            for reply in replies:
                got.append(lines.readline())
                sock.sendall(reply)
            lines.read()

    return got, talk


def test_a_server_without_sign_in_is_told_as_such(guard: Guard) -> None:
    _, talk = saying(b"250 here\r\n")
    with listening(talk) as port:
        walked = smtp_steps(guard, at(port, Security.PLAIN, "127.0.0.1"), password())
    failing(walked, "sign-in", "does not offer the sign-in", "465 or 587")


def test_an_answer_out_of_order_is_no_sign_in(guard: Guard) -> None:
    _, talk = saying(b"250-here\r\n250 AUTH XOAUTH2\r\n", *[b"503 5.5.1 bad sequence\r\n"] * 2)
    with listening(talk) as port, pytest.raises(Misconfigured, match="503"):
        open_smtp(guard, at(port, Security.PLAIN, "127.0.0.1"), TokenSource([TOKEN]))


@dataclass(frozen=True)
class Stranger(Guard):
    """A guard for which this machine is allowed but not trusted, as a server on the internet is."""

    def is_trusted(self, sock: socket.socket) -> bool:
        return False


def test_a_password_is_never_sent_in_the_clear_to_a_stranger(tls: Tls) -> None:
    got, talk = saying(b"250-here\r\n250 AUTH PLAIN\r\n")
    with listening(talk) as port, pytest.raises(Misconfigured, match="without TLS"):
        open_smtp(Stranger(LOOPBACK, tls.ca), at(port, Security.PLAIN, "127.0.0.1"), password())
    assert b"".join(got) == b""


def test_what_is_said_before_tls_does_not_count_after_it(guard: Guard, tls: Tls) -> None:
    told: list[bytes] = []

    def talk(sock: socket.socket) -> None:
        sock.sendall(b"220 here\r\n")
        sock.recv(1_000)
        sock.sendall(b"250-here\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
        sock.recv(1_000)
        # What comes after the answer in the clear was put there by somebody on the way.
        sock.sendall(b"220 go\r\n235 signed in\r\n")
        try:
            with tls.server_context().wrap_socket(sock, server_side=True) as secured:
                while data := secured.recv(1_000):
                    told.append(data)
                    secured.sendall(b"250 here\r\n")
        except (ssl.SSLError, OSError):
            return

    with listening(talk) as port, pytest.raises(TwinboxError):
        open_smtp(guard, at(port, Security.STARTTLS, "127.0.0.1"), password())
    assert not [line for line in told if b"AUTH" in line]
