"""What clients change on the Gmail double and on its plain profile: STORE, COPY, MOVE, EXPUNGE, APPEND, folders.
Spoken without TLS, as the property tests do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.gmail import GmailDouble, PlainProfile
from tests.integration.gmail_talk import ANN, APP_PASSWORD, Clock, Talk, mail, signed_in


@pytest.fixture
def gmail() -> Iterator[GmailDouble]:
    with GmailDouble(clock=Clock(), tls=False, smtp=False) as double:
        double.add_user(ANN, app_password=APP_PASSWORD)
        yield double


@pytest.fixture
def session(gmail: GmailDouble) -> Iterator[Talk]:
    with signed_in(gmail) as opened:
        yield opened


def labels(gmail: GmailDouble, msgid: int) -> set[str]:
    return gmail.mail.message(ANN, msgid).labels


def test_storing_labels_changes_the_views(gmail: GmailDouble, session: Talk) -> None:
    msgid = gmail.mail.deliver(ANN, mail())
    session.ok("SELECT INBOX")
    session.ok('UID STORE 1 +X-GM-LABELS ("\\\\Starred" Work &BB8EPgRHBEIEMA-)')
    assert labels(gmail, msgid) == {"\\Inbox", "\\Starred", "Work", "Почта"}
    assert gmail.mail.message(ANN, msgid).flags == {"\\Flagged"}
    assert session.ok("STATUS Work (MESSAGES)") == [b'* STATUS "Work" (MESSAGES 1)']
    assert session.ok("UID STORE 1 -X-GM-LABELS.SILENT (\\Inbox)") == [b"* 1 EXPUNGE"]


def test_a_trash_label_moves_the_message(gmail: GmailDouble, session: Talk) -> None:
    msgid = gmail.mail.deliver(ANN, mail(), labels=["\\Inbox", "Work"])
    session.ok('SELECT "[Gmail]/All Mail"')
    assert b"* 1 EXPUNGE" in session.ok("UID STORE 1 +X-GM-LABELS (\\Trash)")
    assert gmail.mail.message(ANN, msgid).state == "trash"
    assert gmail.mail.uid(ANN, msgid, "\\Trash") == 1
    assert gmail.mail.uid(ANN, msgid, "Work") is None


def test_deleting_in_a_label_only_archives_but_in_trash_is_final(gmail: GmailDouble, session: Talk) -> None:
    msgid = gmail.mail.deliver(ANN, mail(), labels=["\\Inbox", "Work"])
    session.ok("SELECT INBOX")
    assert b"* 1 EXPUNGE" in session.ok("UID STORE 1 +FLAGS (\\Deleted)")
    assert labels(gmail, msgid) == {"Work"}
    gmail.mail.move_to_trash(ANN, msgid)
    session.ok('SELECT "[Gmail]/Trash"')
    session.ok("UID STORE 1 +FLAGS (\\Deleted)")
    assert session.ok("EXPUNGE") == [b"* 1 EXPUNGE"]
    assert gmail.mail.snapshot(ANN) == {}


def test_moves_between_views_keep_the_message_and_tell_the_new_uid(gmail: GmailDouble, session: Talk) -> None:
    msgid = gmail.mail.deliver(ANN, mail())
    session.ok("CREATE Work")
    session.ok("SELECT INBOX")
    validity = gmail.box(ANN).folders["Work"].uidvalidity
    assert session.ok("UID MOVE 1 Work") == [b"* OK [COPYUID %d 1 1]" % validity, b"* 1 EXPUNGE"]
    assert labels(gmail, msgid) == {"Work"}
    session.ok("SELECT Work")
    session.ok("UID COPY 1 INBOX")
    assert labels(gmail, msgid) == {"Work", "\\Inbox"}
    assert gmail.mail.uid(ANN, msgid, "\\Inbox") == 2


def test_append_files_a_known_message_id_once(gmail: GmailDouble, session: Talk) -> None:
    msgid = gmail.mail.deliver(ANN, mail())
    raw = mail()
    tag = session.start(f'APPEND "[Gmail]/Sent Mail" (\\Seen) "01-Mar-2024 12:00:00 +0000" {{{len(raw)}}}')
    assert session.line() == b"+ go ahead"
    session.send(raw + b"\r\n")
    assert b"[APPENDUID " in session.finish(tag)[-1]
    session.send(b"x APPEND INBOX {%d+}\r\n%s\r\n" % (len(mail(number=9)), mail(number=9)))
    assert b"APPENDUID" in session.finish("x")[-1]
    assert len(gmail.mail.snapshot(ANN)) == 2
    assert labels(gmail, msgid) == {"\\Inbox", "\\Sent"}


def test_folder_commands_are_label_commands(gmail: GmailDouble, session: Talk) -> None:
    msgid = gmail.mail.deliver(ANN, mail(), labels=["Old"])
    session.ok("RENAME Old New")
    assert labels(gmail, msgid) == {"New"}
    session.ok("DELETE New")
    assert labels(gmail, msgid) == set()
    assert session.status('DELETE "[Gmail]/Trash"').startswith(b"NO [CANNOT]")
    assert session.status("SELECT New") == b"NO [NONEXISTENT] Unknown Mailbox: New (Failure)"


def test_a_conditional_store_fails_for_what_changed_meanwhile(gmail: GmailDouble, session: Talk) -> None:
    first, _ = (gmail.mail.deliver(ANN, mail(number=n)) for n in range(2))
    session.ok("SELECT INBOX")
    known = gmail.box(ANN).modseq
    gmail.mail.set_flags(ANN, first, ["\\Answered"])
    status = session.status(f"UID STORE 1:2 (UNCHANGEDSINCE {known}) +FLAGS.SILENT (\\Seen)")
    assert status == b"OK [MODIFIED 1] Conditional STORE failed"
    assert gmail.mail.message(ANN, first).flags == {"\\Answered"}


def test_reading_a_body_marks_it_seen_unless_peeked_or_examined(gmail: GmailDouble, session: Talk) -> None:
    msgid = gmail.mail.deliver(ANN, mail())
    session.ok("EXAMINE INBOX")
    session.ok("UID FETCH 1 (BODY[])")
    assert gmail.mail.message(ANN, msgid).flags == set()
    assert session.status("UID STORE 1 +FLAGS (\\Seen)").startswith(b"NO [READ-ONLY]")
    session.ok("SELECT INBOX")
    session.ok("UID FETCH 1 (BODY[TEXT])")
    assert gmail.mail.message(ANN, msgid).flags == {"\\Seen"}


@pytest.fixture
def plain() -> Iterator[GmailDouble]:
    with GmailDouble(clock=Clock(), tls=False, smtp=False, profile=PlainProfile(qresync=True)) as double:
        double.add_user(ANN, app_password=APP_PASSWORD)
        yield double


def test_plain_folders_are_containers_with_their_own_uids(plain: GmailDouble) -> None:
    first = plain.folders.append(ANN, "INBOX", mail(number=1), ["\\Seen"])
    second = plain.folders.append(ANN, "INBOX", mail(number=2))
    copied = plain.folders.copy(ANN, "INBOX", first, "Sent")
    moved = plain.folders.move(ANN, "INBOX", second, "Sent")
    plain.folders.set_flags(ANN, "Sent", copied, ["\\Flagged"])
    found = plain.folders.snapshot(ANN)
    assert found["INBOX"] == [(1, mail(number=1), frozenset({"\\Seen"}))]
    assert [(uid, flags) for uid, _, flags in found["Sent"]] == [
        (copied, frozenset({"\\Flagged"})),
        (moved, frozenset()),
    ]


def test_qresync_reports_vanished_and_changed_messages_at_select(plain: GmailDouble) -> None:
    uids = [plain.folders.append(ANN, "INBOX", mail(number=n)) for n in range(5)]
    validity, known = plain.folders.uidvalidity(ANN, "INBOX"), plain.box(ANN).modseq
    plain.folders.expunge(ANN, "INBOX", uids[1])
    plain.folders.expunge(ANN, "INBOX", uids[2])
    plain.folders.set_flags(ANN, "INBOX", uids[3], ["\\Seen"])
    with signed_in(plain) as session:
        session.ok("ENABLE QRESYNC")
        opened = session.ok(f"SELECT INBOX (QRESYNC ({validity} {known} 1:5))")
        asked = session.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known} VANISHED)")
        plain.folders.expunge(ANN, "INBOX", uids[0])
        live = session.ok("NOOP")
    changed = b"* 2 FETCH (UID 4 MODSEQ (%d) FLAGS (\\Seen))" % plain.box(ANN).folders["INBOX"].entries[4].modseq
    assert opened[-2:] == [b"* VANISHED (EARLIER) 2:3", changed]
    assert asked == [b"* VANISHED (EARLIER) 2:3", changed]
    assert live == [b"* VANISHED 1"]


def test_a_poor_server_refuses_what_it_does_not_announce() -> None:
    poor = PlainProfile(condstore=False, esearch=False, move=False, uidplus=False, special_use=False, list_status=False)
    with GmailDouble(tls=False, smtp=False, profile=poor) as double:
        double.add_user(ANN, app_password=APP_PASSWORD)
        double.folders.append(ANN, "INBOX", mail())
        with signed_in(double) as session:
            opened = session.ok("SELECT INBOX")
            for line in (
                "STATUS INBOX (HIGHESTMODSEQ)",
                "SELECT INBOX (CONDSTORE)",
                "UID FETCH 1 (MODSEQ)",
                "UID FETCH 1 (FLAGS) (CHANGEDSINCE 1)",
                "UID SEARCH RETURN (ALL) ALL",
                "UID MOVE 1 Sent",
                "UID EXPUNGE 1",
                "UID FETCH 1 (X-GM-MSGID)",
                'LIST "" "*" RETURN (SPECIAL-USE)',
            ):
                assert session.status(line) == b"BAD Could not parse command", line
            listed = session.ok('LIST "" "*"')
    assert not any(b"HIGHESTMODSEQ" in line for line in opened)
    assert not any(b"\\Trash" in line for line in listed)


def test_uidvalidity_may_be_set_to_any_number(plain: GmailDouble) -> None:
    plain.folders.append(ANN, "INBOX", mail(number=1))
    uid = plain.folders.append(ANN, "INBOX", mail(number=2))
    plain.folders.expunge(ANN, "INBOX", 1)
    plain.folders.set_uidvalidity(ANN, "INBOX", 7)
    assert uid == 2
    assert plain.folders.snapshot(ANN)["INBOX"] == [(1, mail(number=2), frozenset())]
    with signed_in(plain) as session:
        assert session.ok("STATUS INBOX (UIDVALIDITY UIDNEXT)") == [b'* STATUS "INBOX" (UIDVALIDITY 7 UIDNEXT 2)']


def test_folders_can_be_created_renamed_and_deleted_under_an_open_session(plain: GmailDouble) -> None:
    plain.folders.create_folder(ANN, "Work")
    plain.folders.create_folder(ANN, "Work/Sub")
    plain.folders.append(ANN, "Work/Sub", mail())
    plain.folders.rename_folder(ANN, "Work", "Job")
    with signed_in(plain) as session:
        session.ok("SELECT Job/Sub")
        plain.folders.delete_folder(ANN, "Job/Sub")
        assert session.do("UID FETCH 1 (FLAGS)")[0].startswith(b"* BYE")
    assert "Job/Sub" not in plain.folders.snapshot(ANN)


def test_sequence_numbers_stay_right_when_others_expunge_and_add(plain: GmailDouble) -> None:
    for number in range(4):
        plain.folders.append(ANN, "INBOX", mail(number=number))
    with signed_in(plain) as session:
        session.ok("SELECT INBOX")
        plain.folders.expunge(ANN, "INBOX", 1)
        plain.folders.expunge(ANN, "INBOX", 3)
        plain.folders.append(ANN, "INBOX", mail(number=9))
        # FETCH by sequence number may report new mail but no expunge (RFC 3501 7.4.1).
        assert session.ok("FETCH 2 (UID)") == [b"* 2 FETCH (UID 2)", b"* 5 EXISTS"]
        assert session.ok("NOOP") == [b"* 3 EXPUNGE", b"* 1 EXPUNGE"]
        assert session.ok("FETCH 1:* (UID)") == [b"* %d FETCH (UID %d)" % (n, u) for n, u in ((1, 2), (2, 4), (3, 5))]
