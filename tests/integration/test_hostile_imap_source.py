"""A mail source survives any server: each answer goes where it belongs, rubbish ends in an error of ours or in none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from socket import socket as Socket  # noqa: N812 - StubClient has a method of that name
from typing import Any, BinaryIO

import pytest

import providers.protocols.imap_wire as imap_wire
from core.errors import MailboxGone, Throttled, Transient, TwinboxError
from core.uidset import UidSet
from providers.protocols.counting import unheard
from tests.integration.test_hostile_imap import MEMORY, bounded
from tests.support.scripted_imap import Script, say, say_for_ever, scripted

imap: Any = pytest.importorskip("providers.protocols.imap")


class StubClient:
    """A signed-in connection as `ImapSource` needs it."""

    heard = staticmethod(unheard)

    def __init__(self, sock: Socket, file: BinaryIO, capabilities: Sequence[bytes]) -> None:
        self.server_file, self._sock, self._capabilities = file, sock, capabilities

    def capabilities(self) -> Sequence[bytes]:
        return self._capabilities

    def socket(self) -> Socket:
        return self._sock

    def shutdown(self) -> None:
        self._sock.close()


@contextmanager
def source(script: Script, *capabilities: bytes) -> Iterator[Any]:
    with scripted(script) as (sock, file):
        found = imap.ImapSource(StubClient(sock, file, (b"IMAP4REV1", *capabilities)))
        try:
            yield found
        finally:
            found.close()


def in_turn(*answers: bytes) -> Script:
    """Send one answer to each packet of commands, then close."""

    def script(sock: Socket) -> None:
        for answer in answers:
            sock.recv(65_536)
            sock.sendall(answer)

    return script


def message(uid: int, body: bytes, number: int = 1) -> bytes:
    return b"* %d FETCH (UID %d FLAGS () BODY[]<0> {%d}\r\n%s)\r\n" % (number, uid, len(body), body)


WINDOWS = [UidSet.span(1, 2), UidSet.span(3, 4), UidSet.span(5, 6)]


def test_answers_of_two_commands_in_flight_are_sorted_by_uid() -> None:
    said = message(3, b"c") + message(1, b"a") + message(2, b"b") + message(4, b"d")
    with source(in_turn(said + b"T2 OK\r\nT1 OK\r\n", message(6, b"f") + b"T3 OK\r\n")) as found:
        read = list(found.fetch(WINDOWS, first=100))
    assert [(str(w.uids), [(m.head.uid, m.data) for m in w.messages]) for w in read] == [
        ("3:4", [(3, b"c"), (4, b"d")]),
        ("1:2", [(1, b"a"), (2, b"b")]),
        ("5:6", [(6, b"f")]),
    ]


def test_flags_pushed_without_a_uid_are_given_to_nobody() -> None:
    pushed = b"* 2 FETCH (FLAGS (\\Deleted))\r\n* 2 FETCH (FLAGS (\\Deleted) BODY[]<0> {3}\r\nbad)\r\n"
    said = b"* 1 FETCH (UID 2 FLAGS (\\Seen))\r\n" + pushed + b"T1 OK\r\n"
    with source(say(said)) as found:
        assert [(h.uid, h.flags) for h in found.heads(UidSet.span(1, 9), identity=False)] == [(2, {"\\Seen"})]
    with source(say(pushed + b"T1 OK\r\n")) as found:
        assert found.changes(1, known=UidSet.span(1, 9)).heads == ()
    with source(say(pushed + message(1, b"a") + b"T1 OK\r\n")) as found:
        (window,) = found.fetch(WINDOWS[:1], first=100)
    assert [m.head.uid for m in window.messages] == [1]


def test_messages_nobody_asked_for_and_messages_without_body_are_left_out() -> None:
    empty = b"* 1 FETCH (UID 2 BODY[]<0> NIL)\r\n* 1 FETCH (UID 2 FLAGS ())\r\n* 1 FETCH (UID 2 BODY[]<0> {0}\r\n)\r\n"
    with source(say(message(77, b"x") + empty + message(1, b"a") + b"T1 OK\r\n")) as found:
        (window,) = found.fetch(WINDOWS[:1], first=100)
    assert [m.head.uid for m in window.messages] == [1]


def test_a_window_the_server_breaks_off_says_why_and_the_next_goes_on() -> None:
    said = message(1, b"a") + b"T1 NO System Error (Failure)\r\n" + message(3, b"c") + b"T2 OK\r\n"
    with source(say(said)) as found:
        read = list(found.fetch(WINDOWS[:2], first=100))
    assert [(len(w.messages), bool(w.problem)) for w in read] == [(1, True), (1, False)]


def test_a_fetch_refused_for_the_account_is_no_problem_of_a_window() -> None:
    said = b"T1 NO [OVERQUOTA] Account exceeded command or bandwidth limits.\r\n"
    with source(say(said)) as found, pytest.raises(Throttled):
        list(found.fetch(WINDOWS, first=100))


def test_a_malformed_answer_costs_that_message_only() -> None:
    broken = b"* 1 FETCH (UID 1 FLAGS (((\r\n* 1 FETCH UID 1\r\n* x FETCH (UID)\r\n"
    with source(say(broken + message(2, b"b") + b"T1 OK\r\n")) as found:
        (window,) = found.fetch(WINDOWS[:1], first=100)
    assert [m.head.uid for m in window.messages] == [2]


def test_fetching_may_be_given_up_in_the_middle() -> None:
    first, second = message(1, b"a") + b"T1 OK\r\n", message(3, b"c") + b"T2 OK\r\n* 9 EXISTS\r\nT3 OK\r\n"
    with source(in_turn(first + second, b"", b"* SEARCH 7\r\nT4 OK\r\n")) as found:
        reading = found.fetch(WINDOWS, first=100)
        next(reading)
        reading.close()


def cut_message(uid: int, size: int = 500) -> bytes:
    return b"* 1 FETCH (UID %d RFC822.SIZE %d FLAGS () BODY[]<0> {4}\r\nX: y)\r\n" % (uid, size)


def structure(uid: int) -> bytes:
    return b'* 1 FETCH (UID %d BODYSTRUCTURE ("APPLICATION" "PDF" NIL NIL NIL "BASE64" 490))\r\n' % uid


def test_the_structures_of_messages_that_came_cut_follow_their_window() -> None:
    bodies = cut_message(1) + message(2, b"whole") + b"T1 OK\r\n" + cut_message(4) + b"T2 OK\r\n"
    # Unasked ones: of a message that came whole, of one in no window, and none at all.
    outlines = structure(2) + structure(77) + b"* 1 FETCH (UID 1 FLAGS ())\r\n" + structure(4) + structure(1)
    with source(in_turn(bodies, outlines + b"T4 OK\r\nT3 OK\r\n")) as found:
        read = list(found.fetch(WINDOWS[:2], first=4, outline=True))
    assert [(str(w.uids), len(w.messages), set(w.structures)) for w in read] == [("3:4", 1, {4}), ("1:2", 2, {1})]
    assert [one.size for one in read[1].structures[1].attachments] == [490]


def test_a_structure_that_is_refused_or_makes_no_sense_costs_nothing_else() -> None:
    for outlines in (b"T2 NO nothing to say\r\n", b"* 1 FETCH (UID 1 BODYSTRUCTURE (()))\r\nT2 OK\r\n"):
        with source(in_turn(cut_message(1) + b"T1 OK\r\n", outlines)) as found:
            (window,) = found.fetch(WINDOWS[:1], first=4, outline=True)
        assert (len(window.messages), window.problem, window.structures) == (1, "", {})


def test_a_window_that_waits_for_structures_is_given_before_a_lost_connection_is_told() -> None:
    with source(in_turn(cut_message(1) + b"T1 OK\r\n", structure(1))) as found:
        reading = found.fetch(WINDOWS[:1], first=4, outline=True)
        assert len(next(reading).messages) == 1
        with pytest.raises(Transient):
            next(reading)


def test_fetching_may_be_given_up_while_structures_are_on_their_way() -> None:
    bodies = cut_message(1) + b"T1 OK\r\n" + message(3, b"c") + b"T2 OK\r\n"
    with source(in_turn(bodies, structure(1) + b"T3 OK\r\n", b"* SEARCH 7\r\nT4 OK\r\n")) as found:
        reading = found.fetch(WINDOWS[:2], first=4, outline=True)
        assert str(next(reading).uids) == "3:4"
        reading.close()
        assert found.search() == UidSet.span(7, 7)


CONVERSATION = (
    b"* ENABLED QRESYNC\r\nT1 OK\r\n",
    b'* LIST (\\HasNoChildren) "/" {5}\r\nINBOX\r\nT2 OK\r\n',
    b'* STATUS "INBOX" (MESSAGES 2 UIDNEXT 9 UIDVALIDITY 3 HIGHESTMODSEQ 8)\r\nT3 OK\r\n',
    b"* 2 EXISTS\r\n* OK [UIDVALIDITY 3] x\r\n* OK [UIDNEXT 9] x\r\n* OK [HIGHESTMODSEQ 8] x\r\nT4 OK\r\n",
    b'* ESEARCH (TAG "T5") UID ALL 1:2\r\nT5 OK\r\n',
    message(1, b"one") + message(2, b"two") + b"T6 OK\r\n",
    b"* VANISHED (EARLIER) 2\r\n* 1 FETCH (UID 1 FLAGS () MODSEQ (9))\r\nT7 OK\r\n",
    b'* 1 FETCH (UID 1 BODYSTRUCTURE ("text" "plain" NIL NIL NIL "7bit" 3 1))\r\nT8 OK\r\n',
    b"* 1 FETCH (UID 1 BODY[1]<0> {3}\r\none)\r\nT9 OK\r\n",
)


def talk(script: Script) -> None:
    with source(script, b"CONDSTORE", b"QRESYNC", b"ESEARCH") as found:
        assert [m.name for m in found.mailboxes()] == ["INBOX"]
        assert found.statuses(["INBOX"])["INBOX"].exists == 2
        assert found.select("INBOX").uidnext == 9
        assert found.search() == UidSet.span(1, 2)
        assert [len(w.messages) for w in found.fetch(WINDOWS[:1], first=100)] == [2]
        assert found.changes(7, known=UidSet.span(1, 8)).vanished == UidSet.of([2])
        assert found.structures(UidSet.of([1]))[1].text_end
        assert found.read(1, "1", 0, 3) == b"one"


def test_a_whole_conversation_is_understood() -> None:
    talk(say(b"".join(CONVERSATION)))


@pytest.mark.parametrize("part", range(len(CONVERSATION)))
def test_a_conversation_cut_at_any_byte_ends_in_a_passing_fault(part: int) -> None:
    before = b"".join(CONVERSATION[:part])
    threads = threading.active_count()
    for cut in range(len(CONVERSATION[part])):
        with pytest.raises(Transient):
            talk(say(before + CONVERSATION[part][:cut]))
    assert threading.active_count() == threads


CALLS: list[tuple[str, Callable[[Any], Any]]] = [
    ("mailboxes", lambda s: s.mailboxes()),
    ("statuses", lambda s: s.statuses(["a"])),
    ("select", lambda s: s.select("a")),
    ("search", lambda s: s.search()),
    ("heads", lambda s: list(s.heads(UidSet.span(1, 9), identity=True))),
    ("fetch", lambda s: list(s.fetch(WINDOWS[:1], first=10))),
    ("changes", lambda s: s.changes(1, known=UidSet.span(1, 9))),
    ("structures", lambda s: s.structures(UidSet.span(1, 9))),
    ("read", lambda s: s.read(1, "", 0, 10)),
]
RUBBISH = [
    b"* SEARCH -1 x\r\n",
    b"* ESEARCH ALL\r\n* ESEARCH UID ALL *\r\n",
    b"* VANISHED\r\n* VANISHED (EARLIER) x\r\n",
    b'* LIST (\r\n* LIST (\\A) "/" "\r\n* LIST () NIL {3}\r\n\0\r\n\r\n',
    b"* STATUS\r\n* STATUS a (UIDNEXT 99999999999999999999)\r\n* STATUS a (((\r\n",
    b"* 99999999999999999999 EXISTS\r\n* OK [UIDNEXT 99999999999999999999]\r\n",
    b"* OK [UIDVALIDITY 99999999999999999999]\r\n",
    b"* 1 FETCH (UID 99999999999999999999 RFC822.SIZE 99999999999999999999 MODSEQ (99999999999999999999))\r\n",
    b"* 1 FETCH (UID 1 BODY[]<0> (1 2) MODSEQ () FLAGS NIL INTERNALDATE (x) BODYSTRUCTURE (((((NIL))))))\r\n",
    b'* 1 FETCH (UID 1 BODYSTRUCTURE ("a" "b" ("name" "=?utf-8?b?a?=" "name*" "idna\'\'x") NIL NIL NIL NIL))\r\n',
    b"* 1 FETCH (\xff\x00)\r\n* \xff\r\n*  \r\n* 1 FETCH ()\r\n",
    b"* 1 FETCH (" + b'"\\"' * 100_000 + b")\r\n",
]


@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[name for name, _ in CALLS])
@pytest.mark.parametrize("ending", [b"OK", b"NO", b"BAD System Error", b"NO [NONEXISTENT] x"])
def test_rubbish_ends_in_an_error_of_ours_or_in_none(call: Callable[[Any], Any], ending: bytes) -> None:
    for rubbish in RUBBISH:
        for capabilities in ((), (b"X-GM-EXT-1", b"CONDSTORE", b"ESEARCH")):
            said = b"".join(rubbish + b"T%d " % n + ending + b"\r\n" for n in range(1, 5))
            with source(say(said), *capabilities) as found:
                try:
                    call(found)
                except TwinboxError:
                    continue


def test_numbers_beyond_their_type_are_taken_for_missing() -> None:
    huge = b"99999999999999999999"
    said = b"* STATUS a (UIDNEXT %b MESSAGES %b UIDVALIDITY %b HIGHESTMODSEQ %b)\r\nT1 OK\r\n" % ((huge,) * 4)
    with source(say(said), b"CONDSTORE") as found:
        status = found.statuses(["a"])["a"]
    assert (status.uidnext, status.exists, status.uidvalidity, status.highest_modseq) == (0, 0, 0, 0)


def test_a_folder_that_will_not_open_is_gone_for_this_run_only() -> None:
    with source(say(b"T1 NO strange reason\r\n")) as found, pytest.raises(MailboxGone):
        found.select("a")


@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[name for name, _ in CALLS])
def test_no_answer_makes_the_memory_grow_without_bound(
    call: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_wire, "MAX_RESPONSE_LINES", 30_000)
    monkeypatch.setattr(imap_wire, "MAX_RESPONSE_BYTES", 16_000_000)
    endless = say_for_ever(b"", b"* 1 FETCH (UID 1 FLAGS ())\r\n")
    with bounded(memory=MEMORY), source(endless) as found, pytest.raises(Transient, match="far more"):
        call(found)
