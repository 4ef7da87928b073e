"""How the Gmail double cuts messages: like Dovecot where mail is well-formed, and never failing where it is not.
Without Dovecot installed only the second half runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import imapclient
import pytest

from sandbox.gmail import GmailDouble, PlainProfile
from tests.integration.gmail_talk import ANN, APP_PASSWORD, Clock, signed_in
from tests.support.dovecot import PASSWORD, Dovecot
from tests.support.mail_corpus import small_corpus
from tests.support.tls import write_tls

_HEAD = b'From: Ann <ann@x.org>\r\nTo: =?utf-8?q?B=C3=B6b?= <bob@y.org>, "C, D" <cd@z.org>\r\nMIME-Version: 1.0\r\n'
_GROUP = b"Cc: team: one@x.org, Two <two@x.org>;, three@x.org (Three)\r\nDate: Fri, 1 Mar 2024 10:00:00 +0000\r\n"
_LEAF = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\xc3\xa9\r\nline\r\n"
_FILE = (
    b'Content-Type: application/pdf; name="a b.pdf"\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <c@x>\r\n'
    b'Content-Description: A file\r\nContent-Disposition: attachment; filename="a b.pdf"\r\n\r\nSGVsbG8=\r\n'
)


def multipart(kind: bytes, boundary: bytes, *parts: bytes) -> bytes:
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts)
    head = b'Content-Type: multipart/%s; boundary="%s"\r\n\r\npreamble\r\n' % (kind, boundary)
    return head + body + b"--%s--\r\nepilogue\r\n" % boundary


_INNER = _HEAD + multipart(b"alternative", b"inner", _LEAF, _LEAF.replace(b"plain", b"html"))
MESSAGES = {
    "text": _HEAD + b"Subject: plain\r\nMessage-ID: <1@x>\r\nIn-Reply-To: <0@x>\r\n" + _LEAF,
    "no body": _HEAD + b"Subject: nothing\r\n\r\n",
    "folded": _HEAD + b"Subject: a\r\n folded\r\n subject\r\nX-Long: b\r\n c\r\n\r\nbody\r\n",
    "group": _HEAD + _GROUP + b"Reply-To: re@x.org\r\nSender: s@x.org\r\n\r\nbody\r\n",
    "mixed": _HEAD + multipart(b"mixed", b"outer", _LEAF, _FILE),
    "nested": _HEAD + multipart(b"mixed", b"outer", _INNER.removeprefix(_HEAD), _FILE),
    "forwarded": _HEAD + multipart(b"mixed", b"outer", _LEAF, b"Content-Type: message/rfc822\r\n\r\n" + _INNER),
    "digest": _HEAD + multipart(b"digest", b"outer", b"\r\nSubject: one\r\n\r\nfirst", b"\r\nSubject: two\r\n\r\nnext"),
}
_SECTIONS = ("HEADER", "TEXT", "1", "1.MIME", "2", "2.MIME", "1.2", "2.HEADER", "2.TEXT", "2.2", "2.2.MIME")
ITEMS = (
    "RFC822.SIZE",
    "ENVELOPE",
    "BODYSTRUCTURE",
    "BODY",
    "BODY.PEEK[]<7.30>",
    "BODY.PEEK[HEADER.FIELDS (From SUBJECT)]",
    "BODY.PEEK[HEADER.FIELDS.NOT (FROM TO)]",
    *(f"BODY.PEEK[{section}]" for section in _SECTIONS),
)


@pytest.fixture
def plain() -> Iterator[GmailDouble]:
    with GmailDouble(clock=Clock(), tls=False, smtp=False, profile=PlainProfile()) as double:
        double.add_user(ANN, app_password=APP_PASSWORD)
        yield double


def bare(value: object) -> object:
    """A FETCH value with what servers may choose: case of words, NIL for empty, number of trailing extensions."""
    if isinstance(value, bytes):
        return value.lower() or None
    if isinstance(value, (tuple, list)):
        inner = [bare(one) for one in value]
        while inner and inner[-1] is None:
            inner.pop()
        return inner
    return value


def fetch_all(port: int, password: str, messages: list[bytes]) -> list[dict[bytes, object]]:
    found: list[dict[bytes, object]] = []
    with imapclient.IMAPClient("127.0.0.1", port, ssl=False) as client:
        client.login(ANN, password)
        for raw in messages:
            client.append("INBOX", raw)
        client.select_folder("INBOX", readonly=True)
        for uid in range(1, len(messages) + 1):
            answer = client.fetch([uid], list(ITEMS))[uid]
            found.append({item: bare(value) for item, value in answer.items() if item != b"SEQ"})
    return found


@pytest.mark.skipif(shutil.which("dovecot") is None, reason="needs Dovecot")
def test_well_formed_messages_are_cut_and_described_as_dovecot_does(plain: GmailDouble, tmp_path: Path) -> None:
    messages = list(MESSAGES.values())
    ours = fetch_all(plain.imap_port, APP_PASSWORD, messages)
    with Dovecot(write_tls(tmp_path)) as dovecot:
        theirs = fetch_all(dovecot.imap_port, PASSWORD, messages)
    for name, own, other in zip(MESSAGES, ours, theirs, strict=True):
        assert own == other, name


def test_no_malformed_message_breaks_the_session(plain: GmailDouble) -> None:
    corpus = [raw for raw in small_corpus().values() if len(raw) < 100_000]
    for raw in corpus:
        plain.folders.append(ANN, "INBOX", raw)
    items = " ".join(ITEMS)
    with signed_in(plain) as session:
        session.ok("EXAMINE INBOX")
        assert len(session.ok(f"UID FETCH 1:* ({items})")) == len(corpus)
        session.ok('UID SEARCH OR SUBJECT hello OR SENTSINCE 1-Jan-2020 TEXT "x"')
