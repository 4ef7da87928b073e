"""The Gmail double over TLS sockets: sign-in, folders, labels, FETCH, SEARCH, CONDSTORE, IDLE.
Transport faults, SMTP and the plain profile have files of their own."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from datetime import timedelta

import imapclient
import pytest

from sandbox.gmail import GmailDouble
from tests.integration.gmail_talk import (
    ANN,
    APP_PASSWORD,
    TOKEN,
    Clock,
    check_token,
    mail,
    signed_in,
    talk,
    xoauth2,
)
from tests.support.tls import Tls, write_tls

ALL_MAIL = '"[Gmail]/All Mail"'


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return write_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def context(tls: Tls) -> ssl.SSLContext:
    return tls.client_context()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gmail(tls: Tls, clock: Clock) -> Iterator[GmailDouble]:
    with GmailDouble(check_token=check_token, certfile=tls.certificate, keyfile=tls.key, clock=clock) as double:
        double.add_user(ANN, app_password=APP_PASSWORD, password="secret")
        yield double


def test_the_capability_list_changes_at_login(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    with talk(gmail, context) as session:
        before = session.ok("CAPABILITY")[0]
        session.ok(f"AUTHENTICATE XOAUTH2 {xoauth2()}")
        after = session.ok("CAPABILITY")[0]
    assert b"SASL-IR" in before
    assert b"CONDSTORE" not in before
    assert b"APPENDLIMIT=35651584" in after
    assert b"QRESYNC" not in after


def test_xoauth2_works_without_initial_response(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    with talk(gmail, context) as session:
        tag = session.start("AUTHENTICATE XOAUTH2")
        assert session.line() == b"+ "
        session.send(xoauth2() + "\r\n")
        assert session.finish(tag)[-1].startswith(b"OK")


@pytest.mark.parametrize(
    ("user", "token", "status"),
    [(ANN, "ya29.unknown", "401"), (ANN, "ya29.old", "400"), ("eve@gmail.com", TOKEN, "400")],
)
def test_a_bad_token_is_explained_in_json_before_the_refusal(
    gmail: GmailDouble, context: ssl.SSLContext, user: str, token: str, status: str
) -> None:
    with talk(gmail, context) as session:
        tag = session.start(f"AUTHENTICATE XOAUTH2 {xoauth2(user, token)}")
        challenge = json.loads(base64.b64decode(session.line().removeprefix(b"+ ")))
        session.send("\r\n")
        assert session.finish(tag)[-1] == b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"
    assert challenge["status"] == status
    assert challenge["scope"] == "https://mail.google.com/"


def test_repeating_the_token_instead_of_an_empty_line_is_bad(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    with talk(gmail, context) as session:
        tag = session.start(f"AUTHENTICATE XOAUTH2 {xoauth2(token='ya29.unknown')}")
        session.line()
        session.send(xoauth2() + "\r\n")
        assert session.finish(tag)[-1].startswith(b"BAD")


def test_passwords_follow_gmails_rules(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    plain = base64.b64encode(f"\0{ANN}\0{APP_PASSWORD}".encode()).decode()
    with talk(gmail, context) as session:
        spaced = session.status(f'LOGIN {ANN} "abcd efgh ijkl mnop"')
        normal = session.status(f"LOGIN {ANN} secret")
        right = session.status(f"AUTHENTICATE PLAIN {plain}")
    assert spaced == b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"
    assert b"[ALERT] Application-specific password required" in normal
    assert right.startswith(b"OK")


def test_credentials_are_not_in_the_command_log(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    with signed_in(gmail, context) as session:
        session.status(f"LOGIN {ANN} {APP_PASSWORD}")
        session.ok("NOOP")
    assert gmail.counters(ANN).commands == ["LOGIN ***", "NOOP"]


def test_the_session_ends_with_the_token(gmail: GmailDouble, context: ssl.SSLContext, clock: Clock) -> None:
    with talk(gmail, context) as session:
        session.ok(f"AUTHENTICATE XOAUTH2 {xoauth2()}")
        clock.advance(timedelta(hours=1))
        assert session.line().startswith(b"* BYE")
        assert session.line() == b""


def test_the_sixteenth_connection_is_refused(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    gmail.max_connections = 2
    with signed_in(gmail, context), signed_in(gmail, context), talk(gmail, context) as third:
        answer = third.status(f"LOGIN {ANN} {APP_PASSWORD}")
    assert answer == b"NO [ALERT] Too many simultaneous connections. (Failure)"


def test_special_folders_are_localized_and_may_be_hidden(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    gmail.add_user("ivan@gmail.com", app_password=APP_PASSWORD, language="ru", hidden=frozenset({"\\All"}))
    gmail.add_user("uwe@gmail.com", app_password=APP_PASSWORD, language="google-mail")
    with signed_in(gmail, context, "ivan@gmail.com") as session:
        ivan = session.ok('LIST "" "*"')
        opened = session.status('SELECT "[Gmail]/&BBIEQQRP- &BD8EPgRHBEIEMA-"')
    with signed_in(gmail, context, "uwe@gmail.com") as session:
        uwe = session.ok('LIST "" "*" RETURN (SPECIAL-USE STATUS (MESSAGES UIDNEXT))')
    assert not any(b"\\All" in line for line in ivan)
    assert b'* LIST (\\HasNoChildren \\Trash) "/" "[Gmail]/&BBoEPgRABDcEOAQ9BDA-"' in ivan
    assert opened.startswith(b"NO [NONEXISTENT]")
    assert b'* LIST (\\HasNoChildren \\Trash) "/" "[Google Mail]/Bin"' in uwe
    assert b'* STATUS "[Google Mail]/Bin" (MESSAGES 0 UIDNEXT 1)' in uwe
    assert not any(line.startswith(b'* STATUS "[Google Mail]" ') for line in uwe)


@pytest.mark.parametrize("line", ["NOOP ", 'LIST  "" "*"', "STATUS INBOX MESSAGES", "SELECT INBOX (QRESYNC (1 1))"])
def test_odd_syntax_is_not_parsed(gmail: GmailDouble, context: ssl.SSLContext, line: str) -> None:
    with signed_in(gmail, context) as session:
        assert session.status(line) == b"BAD Could not parse command"


def test_labels_come_with_gmails_quoting_and_without_the_open_folders_own(
    gmail: GmailDouble, context: ssl.SSLContext
) -> None:
    gmail.mail.deliver(ANN, mail(), labels=["\\Inbox", "2024", "[Mailbox]", "Two words", "Почта", "NIL"])
    with signed_in(gmail, context) as session:
        session.ok("EXAMINE INBOX")
        inbox = session.ok("UID FETCH 1 (X-GM-LABELS)")
        session.ok(f"EXAMINE {ALL_MAIL}")
        everything = session.ok("UID FETCH 1 (X-GM-LABELS)")
    assert inbox == [b'* 1 FETCH (X-GM-LABELS (2024 NIL "Two words" [Mailbox] &BB8EPgRHBEIEMA-) UID 1)']
    assert b'"\\\\Inbox"' in everything[0]


def test_imapclient_reads_a_message_in_all_its_pieces(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    msgid = gmail.mail.deliver(ANN, mail("Überraschung".encode().decode("latin-1")))
    with imapclient.IMAPClient("localhost", gmail.imap_port, ssl_context=context) as client:
        client.oauth2_login(ANN, TOKEN)
        client.select_folder("INBOX", readonly=True)
        raw = gmail.mail.message(ANN, msgid).raw
        items = ["X-GM-MSGID", "X-GM-THRID", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "MODSEQ", "BODY.PEEK[]"]
        found = client.fetch([1], [*items, "BODY.PEEK[]<5.10>", "BODY.PEEK[HEADER.FIELDS (FROM)]"])[1]
    assert found[b"X-GM-MSGID"] == found[b"X-GM-THRID"] == msgid > 2**53
    assert found[b"BODY[]"] == raw
    assert found[b"RFC822.SIZE"] == len(raw)
    assert found[b"BODY[]<5>"] == raw[5:15]
    assert found[b"BODY[HEADER.FIELDS (FROM)]"] == b"From: Bob <bob@example.org>\r\n\r\n"
    assert found[b"ENVELOPE"].from_[0].mailbox == b"bob"
    assert gmail.counters(ANN).fetched["INBOX", 1, "BODY[]<5.10>"] == 1


def test_replies_join_the_thread_of_what_they_answer(gmail: GmailDouble) -> None:
    first = gmail.mail.deliver(ANN, mail(number=1))
    reply = gmail.mail.deliver(ANN, mail(number=2, In_Reply_To="<1@example.org>"))
    other = gmail.mail.deliver(ANN, mail(number=3))
    assert gmail.mail.message(ANN, reply).thrid == first
    assert gmail.mail.message(ANN, other).thrid == other


def test_changedsince_reports_labels_flags_and_new_mail(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    first, second, _ = (gmail.mail.deliver(ANN, mail(number=n)) for n in range(3))
    with signed_in(gmail, context) as session:
        session.ok(f"EXAMINE {ALL_MAIL} (CONDSTORE)")
        known = gmail.box(ANN).modseq
        gmail.mail.add_label(ANN, first, "Work")
        gmail.mail.set_flags(ANN, second, ["\\Seen"])
        found = session.ok(f"UID FETCH 1:* (FLAGS X-GM-LABELS) (CHANGEDSINCE {known})")
    full = [line for line in found if b"UID" in line]
    assert [line.partition(b"UID ")[2][:1] for line in full] == [b"1", b"2"]
    assert b"Work" in full[0]
    assert b"\\Seen" in full[1]
    assert all(b"MODSEQ (" in line for line in full)


def test_late_visibility_raises_highestmodseq_before_the_change_is_seen(
    gmail: GmailDouble, context: ssl.SSLContext
) -> None:
    msgid = gmail.mail.deliver(ANN, mail())
    gmail.box(ANN).late_commands = 3
    with signed_in(gmail, context) as session:
        session.ok("EXAMINE INBOX")
        known = gmail.box(ANN).modseq
        gmail.mail.set_flags(ANN, msgid, ["\\Seen"])
        status = session.ok("STATUS INBOX (HIGHESTMODSEQ)")
        early = session.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known})")
        unseen = session.ok("UID FETCH 1 (FLAGS)")
        late = session.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known})")
    assert status == [b'* STATUS "INBOX" (HIGHESTMODSEQ %d)' % gmail.box(ANN).modseq]
    assert early == []
    assert unseen == [b"* 1 FETCH (UID 1 FLAGS ())"]
    assert any(b"\\Seen" in line for line in late)


def test_held_changes_are_counted_but_not_even_a_fresh_session_sees_them(
    gmail: GmailDouble, context: ssl.SSLContext
) -> None:
    msgid = gmail.mail.deliver(ANN, mail())
    gmail.hold_changes(ANN)
    known = gmail.box(ANN).modseq
    gmail.mail.set_flags(ANN, msgid, ["\\Seen"])
    gmail.mail.deliver(ANN, mail(number=2))
    with signed_in(gmail, context) as session:
        opened = session.ok("EXAMINE INBOX")
        assert b"* 1 EXISTS" in opened
        assert b"* OK [HIGHESTMODSEQ %d]" % gmail.box(ANN).modseq in opened
        assert session.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known})") == []
        gmail.release_changes(ANN)
        assert b"* 2 EXISTS" in session.ok("NOOP")
        assert len(session.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known})")) == 2


def test_a_renamed_label_leaves_modseqs_alone(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    gmail.mail.deliver(ANN, mail(), labels=["Old", "Old/Sub"])
    known = gmail.box(ANN).modseq
    gmail.mail.rename_label(ANN, "Old", "New")
    with signed_in(gmail, context) as session:
        session.ok(f"EXAMINE {ALL_MAIL}")
        assert session.ok(f"UID FETCH 1:* (X-GM-LABELS) (CHANGEDSINCE {known})") == []
        assert session.ok("UID FETCH 1 (X-GM-LABELS)") == [b"* 1 FETCH (X-GM-LABELS (New New/Sub) UID 1)"]


def test_search_knows_dates_flags_headers_and_gmails_keys(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    clock = gmail.store.clock
    old = clock.now() - timedelta(days=40)
    first = gmail.mail.deliver(ANN, mail("Offer", 1), labels=["a*b"], internaldate=old)
    gmail.mail.deliver(ANN, mail("Invoice", 2), flags=["\\Seen"])
    gmail.mail.deliver(ANN, mail("Invoice again", 3), labels=["\\Starred"])
    with signed_in(gmail, context) as session:
        session.ok(f"EXAMINE {ALL_MAIL}")

        def search(keys: str) -> bytes:
            return session.ok(f"UID SEARCH {keys}")[0].removeprefix(b"* SEARCH").strip()

        assert search("SINCE 1-Feb-2024") == b"2 3"
        assert search("BEFORE 1-Feb-2024") == b"1"
        assert search("UNSEEN SUBJECT invoice") == b"3"
        assert search("OR SEEN FLAGGED") == b"2 3"
        assert search("NOT UID 2:*") == b"1"
        assert search("HEADER Message-ID <2@example.org>") == b"2"
        assert search('X-GM-LABELS "a*b"') == b"1"
        assert search(f"X-GM-MSGID {first}") == b"1"
        assert search(f"X-GM-THRID {first}") == b"1"
        assert search('X-GM-RAW "subject:invoice -is:unread"') == b"2"
        assert search("TEXT again") == b"3"
        assert session.ok("UID SEARCH RETURN (ALL COUNT MIN MAX) ALL") == [
            b'* ESEARCH (TAG "t%d") UID COUNT 3 MIN 1 MAX 3 ALL 1:3' % session.number
        ]
        assert session.status("UID SEARCH X-GM-LABELS a*b") == b"BAD Could not parse command"


def test_idle_pushes_flags_only_new_mail_and_expunges(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    msgid = gmail.mail.deliver(ANN, mail())
    with signed_in(gmail, context) as session:
        session.ok("SELECT INBOX")
        tag = session.start("IDLE")
        assert session.line() == b"+ idling"
        gmail.mail.set_flags(ANN, msgid, ["\\Seen"])
        assert session.line() == b"* 1 FETCH (FLAGS (\\Seen))"
        gmail.mail.deliver(ANN, mail(number=2))
        assert session.line() == b"* 2 EXISTS"
        gmail.mail.move_to_trash(ANN, msgid)
        assert session.line() == b"* 1 EXPUNGE"
        session.send("DONE\r\n")
        assert session.finish(tag) == [b"OK IDLE terminated (Success)"]


def test_the_quota_answers_no_or_bye_until_the_next_day(
    gmail: GmailDouble, context: ssl.SSLContext, clock: Clock
) -> None:
    gmail.set_quota(ANN, max_commands=1)
    with signed_in(gmail, context) as session:
        session.ok("NOOP")
        refused = session.status("NOOP")
        clock.advance(timedelta(hours=24))
        session.ok("NOOP")
        gmail.set_quota(ANN, max_bytes=0, reply="BYE")
        assert session.do("NOOP") == [b"* BYE [OVERQUOTA] Account exceeded command or bandwidth limits."]
    assert refused == b"NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)"


def test_a_uidvalidity_bump_ends_sessions_and_keeps_message_ids(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    gone, kept = (gmail.mail.deliver(ANN, mail(number=n)) for n in range(2))
    with signed_in(gmail, context) as session:
        before = session.ok(f"EXAMINE {ALL_MAIL}")
        gmail.mail.expunge(ANN, gone)
        number = gmail.mail.bump_uidvalidity(ANN, "\\All")
        assert session.do("UID FETCH 1:* (FLAGS)")[0].startswith(b"* BYE")
    with signed_in(gmail, context) as session:
        after = session.ok(f"EXAMINE {ALL_MAIL}")
        assert session.ok("UID FETCH 1 (X-GM-MSGID)") == [b"* 1 FETCH (X-GM-MSGID %d UID 1)" % kept]
    line = b"* OK [UIDVALIDITY %d] UIDs valid." % number
    assert line in after
    assert line not in before


def test_modseqs_may_fall(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    for number in range(5):
        gmail.mail.deliver(ANN, mail(number=number))
    gmail.mail.lower_modseq(ANN, 3)
    with signed_in(gmail, context) as session:
        assert session.ok("STATUS INBOX (HIGHESTMODSEQ)") == [b'* STATUS "INBOX" (HIGHESTMODSEQ 3)']


def test_reset_drops_everything_but_the_ports(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    gmail.mail.deliver(ANN, mail())
    with signed_in(gmail, context) as session:
        gmail.reset()
        assert session.line() == b""
    assert gmail.mail.snapshot(ANN) == {}
    assert gmail.counters(ANN).commands == []
