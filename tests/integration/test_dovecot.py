"""Proves what the other tests rely on in the private Dovecot: logins, tokens, capabilities, loading, LMTP, relay.
What the service does with it is tested elsewhere."""

from __future__ import annotations

import imaplib
import json
import smtplib
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.dovecot import CAPABILITIES, Dovecot
from tests.support.mail_loading import StoredMail
from tests.support.ports import free_port
from tests.support.processes import ServerFailed, require
from tests.support.tls import write_tls

pytestmark = pytest.mark.servers

RAW = b"From: ann@example.com\r\nTo: bob@example.org\r\nSubject: Hello\r\nMessage-ID: <1@example.com>\r\n\r\nHi\r\n"


class StartDovecot(Protocol):
    """Starts one more Dovecot with the options of `Dovecot`; it is stopped when the test ends."""

    def __call__(self, **options: Any) -> Dovecot: ...


@pytest.fixture
def start_dovecot(tmp_path: Path) -> Iterator[StartDovecot]:
    require("dovecot", "dovecot-imapd dovecot-submissiond dovecot-lmtpd")
    tls = write_tls(tmp_path)
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Dovecot(tls, **options))


@pytest.fixture
def mail_user() -> str:
    return f"u{uuid.uuid4().hex[:12]}@example.org"


def test_dovecot_takes_any_user_over_imaps_with_a_verified_certificate(dovecot: Dovecot, mail_user: str) -> None:
    client = imaplib.IMAP4_SSL("localhost", dovecot.imaps_port, ssl_context=dovecot.tls.client_context(), timeout=30)
    with client:
        assert client.login(mail_user, "pw")[0] == "OK"


def test_dovecot_offers_starttls_on_the_plain_port(dovecot: Dovecot, mail_user: str) -> None:
    with imaplib.IMAP4("localhost", dovecot.imap_port, timeout=30) as client:
        client.starttls(dovecot.tls.client_context())
        assert client.login(mail_user, "pw")[0] == "OK"


def test_dovecot_refuses_a_wrong_password_again_and_again_without_growing_delays(
    dovecot: Dovecot, mail_user: str
) -> None:
    for _ in range(3):
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            dovecot.connect(mail_user, "wrong")


def test_dovecot_lists_the_special_mailboxes(dovecot: Dovecot, mail_user: str) -> None:
    with dovecot.connect(mail_user) as client:
        listed = b"\n".join(line for line in client.list()[1] if isinstance(line, bytes))
    for name in (b"Sent", b"Trash", b"Junk", b"Drafts", b"Archive"):
        assert b"\\%b) " % name in listed


def test_dovecot_offers_what_we_believe_it_offers(dovecot: Dovecot, mail_user: str) -> None:
    assert capabilities(dovecot, mail_user) == set(CAPABILITIES.split())


def test_dovecot_hides_the_capabilities_it_is_told_to_hide(start_dovecot: StartDovecot) -> None:
    hidden = ("CONDSTORE", "QRESYNC", "ESEARCH", "MOVE")
    server = start_dovecot(without=hidden)
    expected = set(CAPABILITIES.split()) - set(hidden)
    assert capabilities(server, "ann@example.org") == expected


def capabilities(server: Dovecot, user: str) -> set[str]:
    with server.connect(user) as client:
        return set(client.capability()[1][0].decode().split())


def test_an_appended_message_keeps_its_bytes_flags_and_date(dovecot: Dovecot, mail_user: str) -> None:
    arrived = datetime(2021, 5, 17, 8, 30, tzinfo=UTC)
    uid = dovecot.append(mail_user, "Büro/Ablage", RAW, flags=("\\Seen", "$Forwarded"), internaldate=arrived)
    with dovecot.connect(mail_user) as client:
        client.select('"B&APw-ro/Ablage"', readonly=True)
        (header, body), *_ = client.uid("FETCH", str(uid), "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
    assert body == RAW
    assert set(imaplib.ParseFlags(header)) == {b"\\Seen", b"\\Recent", b"$Forwarded"}
    assert b'"17-May-2021 08:30:00 +0000"' in header


def test_thousands_of_messages_are_loaded_in_order(dovecot: Dovecot, mail_user: str) -> None:
    mails = (StoredMail(b"Subject: %d\r\n\r\n" % number, ("\\Seen",)) for number in range(4_500))
    assert dovecot.load(mail_user, "INBOX", mails) == list(range(1, 4_501))
    assert "messages=4500" in dovecot.doveadm("mailbox", "status", "-u", mail_user, "all", "INBOX")


def test_doveadm_changes_uidvalidity(dovecot: Dovecot, mail_user: str) -> None:
    dovecot.append(mail_user, "INBOX", RAW)
    dovecot.doveadm("mailbox", "update", "-u", mail_user, "--uid-validity", "77", "INBOX")
    with dovecot.connect(mail_user) as client:
        client.select("INBOX")
        assert client.response("UIDVALIDITY")[1] == [b"77"]


def test_doveadm_reports_its_failures(dovecot: Dovecot) -> None:
    with pytest.raises(ServerFailed, match="ended with status"):
        dovecot.doveadm("mailbox", "no-such-verb")


def test_lmtp_delivers_to_the_inbox(dovecot: Dovecot, mail_user: str) -> None:
    with smtplib.LMTP("127.0.0.1", dovecot.lmtp_port) as client:
        client.sendmail("ann@example.com", [mail_user], RAW)
    with dovecot.connect(mail_user) as imap:
        assert imap.select("INBOX") == ("OK", [b"1"])


def test_submission_hands_mail_to_the_relay(start_dovecot: StartDovecot) -> None:
    with smtp_sink() as (port, received):
        server = start_dovecot(relay_port=port)
        with smtplib.SMTP("localhost", server.submission_port, timeout=30) as client:
            client.starttls(context=server.tls.client_context())
            client.login("ann@example.org", "pw")
            client.sendmail("ann@example.org", ["bob@example.com"], RAW)
    assert received[0].endswith(b"\r\nHi\r\n")


def test_dovecot_accepts_the_opaque_tokens_that_introspection_calls_active(start_dovecot: StartDovecot) -> None:
    with introspection({"good-token": "ann@example.org"}) as url:
        server = start_dovecot(introspection_url=url)
        for mechanism in ("XOAUTH2", "OAUTHBEARER"):
            assert token_login(server, mechanism, "ann@example.org", "good-token") == "OK"
        assert token_login(server, "XOAUTH2", "ann@example.org", "revoked-token").startswith("NO")
        assert token_login(server, "XOAUTH2", "eve@example.org", "good-token").startswith("NO")
        with server.connect("ann@example.org") as client:  # passwords work beside tokens
            assert client.noop()[0] == "OK"


def token_login(server: Dovecot, mechanism: str, user: str, token: str) -> str:
    """ "OK" or the words of the refusal, which follow a JSON challenge as on Gmail."""
    starts = {"XOAUTH2": f"user={user}", "OAUTHBEARER": f"n,a={user},"}
    first = f"{starts[mechanism]}\x01auth=Bearer {token}\x01\x01".encode()
    challenges: list[bytes] = []

    def answer(challenge: bytes) -> bytes:
        challenges.append(challenge)
        return first if len(challenges) == 1 else b""

    with imaplib.IMAP4("127.0.0.1", server.imap_port, timeout=30) as client:
        try:
            return client.authenticate(mechanism, answer)[0]
        except imaplib.IMAP4.error as error:
            assert json.loads(challenges[1])["status"] == "401"
            return "NO " + str(error)


@contextmanager
def introspection(active: dict[str, str]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            email = active.get(form["token"][0])
            answer = json.dumps({"active": True, "email": email} if email else {"active": False}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/introspect"
        finally:
            server.shutdown()
            thread.join()


class Sink:
    """An aiosmtpd handler that keeps what it is given."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.received.append(envelope.original_content or b"")
        return "250 OK"


@contextmanager
def smtp_sink() -> Iterator[tuple[int, list[bytes]]]:
    sink, port = Sink(), free_port()
    controller = Controller(sink, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port, sink.received
    finally:
        controller.stop()


def test_a_killed_dovecot_comes_back_with_its_mail(start_dovecot: StartDovecot) -> None:
    server = start_dovecot()
    server.append("ann@example.org", "INBOX", RAW)
    server.process.kill()
    with pytest.raises(OSError):
        server.connect("ann@example.org")
    server.start()
    with server.connect("ann@example.org") as client:
        assert client.select("INBOX") == ("OK", [b"1"])
