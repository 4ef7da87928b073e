"""The faults of the Gmail double strike where they were armed, as often as they were armed, and not later.
Bounded: nothing here waits for more than a few dozen kilobytes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sandbox.gmail import Fault, GmailDouble
from tests.integration.gmail_talk import ANN, APP_PASSWORD, Clock, mail, signed_in, talk


@pytest.fixture
def gmail() -> Iterator[GmailDouble]:
    with GmailDouble(clock=Clock(), tls=False, smtp=False) as double:
        double.add_user(ANN, app_password=APP_PASSWORD)
        for number in range(1, 4):
            double.mail.deliver(ANN, mail(number=number))
        yield double


def test_one_uid_spoils_every_batch_that_touches_it(gmail: GmailDouble) -> None:
    gmail.faults.arm(ANN, Fault.system_error(uid=2), times=None)
    with signed_in(gmail) as session:
        session.ok("EXAMINE INBOX")
        assert session.status("UID FETCH 1:3 (BODY.PEEK[])") == b"NO System Error (Failure)"
        assert session.status("UID FETCH 2 (BODY.PEEK[])") == b"NO System Error (Failure)"
        session.ok("UID FETCH 1,3 (BODY.PEEK[])")


@pytest.mark.parametrize("size", [0, 1, 20, 100, 333])
def test_the_connection_is_cut_at_any_byte(gmail: GmailDouble, size: int) -> None:
    with signed_in(gmail) as session:
        session.ok("EXAMINE INBOX")
        gmail.faults.arm(ANN, Fault.cut_after(bytes=size, on="UID FETCH"))
        session.start("UID FETCH 1:3 (BODY.PEEK[])")
        assert len(session.stream.read()) == size
    with signed_in(gmail) as session:
        session.ok("NOOP")


def test_the_cut_may_fall_into_the_login(gmail: GmailDouble) -> None:
    gmail.faults.arm(ANN, Fault.cut_after(bytes=5))
    with talk(gmail) as session:
        session.start(f"LOGIN {ANN} {APP_PASSWORD}")
        assert session.stream.read() == b"* CAP"


def test_bye_comes_inside_a_literal(gmail: GmailDouble) -> None:
    gmail.faults.arm(ANN, Fault.bye_in_literal())
    with signed_in(gmail) as session:
        session.ok("EXAMINE INBOX")
        session.start("UID FETCH 1 (BODY.PEEK[])")
        answer = session.stream.read()
    assert answer.startswith(b"* 1 FETCH (UID 1 BODY[] {")
    assert answer.endswith(b"* BYE System Error\r\n")


def test_an_unsolicited_fetch_comes_without_uid(gmail: GmailDouble) -> None:
    gmail.faults.arm(ANN, Fault.uidless_fetch(sequence=2, flags="\\Seen"))
    with signed_in(gmail) as session:
        session.ok("EXAMINE INBOX")
        assert session.ok("UID FETCH 1 (UID)") == [b"* 2 FETCH (FLAGS (\\Seen))", b"* 1 FETCH (UID 1)"]


def test_envelope_may_be_nil_and_structure_absurdly_deep(gmail: GmailDouble) -> None:
    gmail.faults.arm(ANN, Fault.nil_envelope(uid=2))
    gmail.faults.arm(ANN, Fault.deep_parentheses(depth=50, uid=3))
    with signed_in(gmail) as session:
        session.ok("EXAMINE INBOX")
        answer = session.ok("UID FETCH 1:3 (ENVELOPE BODYSTRUCTURE)")
    assert [b"ENVELOPE NIL" in line for line in answer] == [False, True, False]
    assert [b"(" * 50 + b")" * 50 in line for line in answer] == [False, False, True]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault.lookup_failed(), b"NO Lookup failed"),
        (Fault.imap_disabled(), b"NO [ALERT] Your account is not enabled for IMAP use"),
        (Fault.imap_disabled_for_domain(), b"NO [ALERT] IMAP access is disabled for your domain"),
        (Fault.web_alert("https://a.example/x"), b"NO [WEBALERT https://a.example/x] Web login required"),
        (Fault.too_many_connections(), b"NO [ALERT] Too many simultaneous connections. (Failure)"),
    ],
)
def test_login_faults_refuse_right_credentials_once(gmail: GmailDouble, fault: Fault, text: bytes) -> None:
    gmail.faults.arm(ANN, fault)
    with talk(gmail) as session:
        assert session.status(f"LOGIN {ANN} {APP_PASSWORD}").startswith(text)
        session.ok(f"LOGIN {ANN} {APP_PASSWORD}")


def test_command_faults_answer_no_bye_or_garbage(gmail: GmailDouble) -> None:
    gmail.faults.arm(ANN, Fault.no("[UNAVAILABLE] Temporary failure", on="STATUS").after(1))
    gmail.faults.arm(ANN, Fault.raw(b"* OK one moment\r\n", on="NOOP"))
    with signed_in(gmail) as session:
        session.ok("STATUS INBOX (MESSAGES)")
        assert session.status("STATUS INBOX (MESSAGES)") == b"NO [UNAVAILABLE] Temporary failure"
        assert session.ok("NOOP") == [b"* OK one moment"]
        gmail.faults.arm(ANN, Fault.overquota("BYE"))
        assert session.do("NOOP")[0].startswith(b"* BYE [OVERQUOTA]")


def test_split_packets_and_drip_deliver_everything(gmail: GmailDouble) -> None:
    gmail.faults.arm(ANN, Fault.drip(pause=0.0, size=3))
    with signed_in(gmail) as session:
        session.ok("EXAMINE INBOX")
        assert mail(number=2) in session.ok("UID FETCH 2 (BODY.PEEK[])")[0]


def test_a_delay_holds_the_answer_back(gmail: GmailDouble) -> None:
    with signed_in(gmail) as session:
        gmail.faults.arm(ANN, Fault.delay(0.05, on="NOOP"))
        start = time.monotonic()
        session.ok("NOOP")
        assert time.monotonic() - start >= 0.05


def test_announced_and_endless_floods_go_on_until_the_client_leaves(gmail: GmailDouble) -> None:
    for fault, head in ((Fault.huge_literal(), b"{4294967296}"), (Fault.endless_line(on="FETCH"), b"* OK xxx")):
        gmail.faults.arm(ANN, fault)
        with signed_in(gmail) as session:
            session.ok("EXAMINE INBOX")
            session.start("UID FETCH 1 (BODY.PEEK[])")
            flood = session.stream.read(1 << 18)
        assert head in flood[:100]
    assert gmail.faults.armed(ANN) == []
    assert [fault.kind for _, fault in gmail.faults.struck] == ["huge_literal", "endless"]
