"""What the sync relies on at every mailbox server: one suite for the port `MailSource`, on the sandbox in all its
profiles and on Dovecot. The mail channel built on it is test_mail_channel.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import pytest

from core.errors import ItemRejected, MailboxGone, NeedsRelink, Transient
from core.ports import MailSource
from core.types import FetchedMessage, MessageHead
from core.uidset import UidSet
from providers.protocols.imap import STATUS_FLIGHT
from sandbox.gmail import Fault, GmailDouble
from tests.conformance.mail_source import DOVECOTS, SANDBOXES, Kind, Servers
from tests.support.mail_factory import make_mail
from tests.support.mail_servers import GmailBox, MailServer, PlainBox, marker

# One that closes a quoted string, one that is a number, one with a wildcard, one that needs modified UTF-7.
NAMES = ("2024", 'a "quoted" name', "back\\slash", "Zoë & Söhne", "Entwürfe/Ä", "100%", "a*b", "NIL", "日本語")


@dataclass(frozen=True)
class At:
    """A server under test with a user of its own."""

    kind: Kind
    box: MailServer
    servers: Servers

    @property
    def folder(self) -> str:
        """Where the tests put messages."""
        return self.box.main

    def source(self) -> MailSource:
        return self.servers.source(self.kind, self.box)

    def add(self, *raws: bytes, flags: tuple[str, ...] = ()) -> list[int]:
        return [self.box.append(self.folder, raw, flags) for raw in raws]

    def add_many(self, count: int) -> list[int]:
        return self.add(*(make_mail(message_id=f"<{n}@t.example>", subject=f"Number {n}") for n in range(count)))


@pytest.fixture(params=[*SANDBOXES, *DOVECOTS], ids=str)
def at(request: pytest.FixtureRequest, mail_servers: Servers) -> At:
    return At(request.param, mail_servers.box(request.param), mail_servers)


@pytest.fixture
def source(at: At) -> Iterator[MailSource]:
    with closing(at.source()) as source:
        yield source


def heads_of(source: MailSource, uids: UidSet, *, identity: bool = False) -> dict[int, MessageHead]:
    return {head.uid: head for head in source.heads(uids, identity=identity)}


def fetched(source: MailSource, *windows: UidSet, first: int = 32_768) -> dict[int, FetchedMessage]:
    found: dict[int, FetchedMessage] = {}
    with closing(source.fetch(windows, first=first)) as stream:
        for window in stream:
            assert window.problem == ""
            found |= {message.head.uid: message for message in window.messages}
    return found


# -- signing in and what the server can do


def test_the_traits_are_those_of_the_server_after_sign_in(at: At, source: MailSource) -> None:
    assert source.traits.gmail is at.kind.gmail
    assert source.traits.condstore is at.kind.condstore
    assert source.traits.qresync is at.kind.qresync
    assert source.traits.esearch is at.kind.esearch


def test_a_wrong_password_needs_the_owner(at: At) -> None:
    if at.kind.token:
        at.servers.token(at.box.address)
        at.servers.google.expire_access_tokens(at.box.address)
        return
    with pytest.raises(NeedsRelink):
        at.servers.source(at.kind, replace(at.box, password="another one"))  # type: ignore[type-var]  # all are dataclasses


def test_bytes_are_counted(source: MailSource) -> None:
    before = source.bytes_read
    source.mailboxes()
    assert source.bytes_read > before


# -- folders


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_found_and_opened_whatever_its_name(at: At, source: MailSource, name: str) -> None:
    at.box.create(name)
    assert name in [mailbox.name for mailbox in source.mailboxes()]
    assert source.statuses([name])[name].exists == 0
    assert source.select(name).exists == 0
    at.box.append(name, make_mail())
    assert source.select(name).exists == 1


def test_special_folders_are_known_by_their_role(at: At, source: MailSource) -> None:
    roles = {mailbox.role: mailbox.name for mailbox in source.mailboxes() if mailbox.role}
    expected = {"inbox", "sent", "drafts", "trash", "junk"} | ({"all", "flagged"} if at.kind.gmail else set())
    assert expected <= roles.keys()
    assert roles["inbox"] == "INBOX"


def test_localized_special_folders_are_known_by_their_attribute(mail_servers: Servers) -> None:
    kind = SANDBOXES[0]
    box = mail_servers.box(kind)
    assert isinstance(box, GmailBox)
    box.double.add_user(box.address, app_password=box.password, language="de")
    with closing(mail_servers.source(kind, box)) as source:
        found = {mailbox.role: mailbox for mailbox in source.mailboxes()}
    assert found["all"].name == "[Gmail]/Alle Nachrichten"
    assert not next(m for m in found.values() if m.name == "[Gmail]").selectable


def test_a_folder_that_is_not_there_is_gone(source: MailSource) -> None:
    with pytest.raises(MailboxGone):
        source.select("never made")
    assert source.select("INBOX").uidvalidity > 0


def test_many_statuses_come_in_one_flight_and_a_missing_folder_is_left_out(at: At, source: MailSource) -> None:
    names = [f"folder {number}" for number in range(STATUS_FLIGHT + 3)]
    for name in names[:3]:
        at.box.create(name)
    at.box.append(names[1], make_mail())
    found = source.statuses(["INBOX", *names])
    assert set(found) == {"INBOX", *names[:3]}
    assert found[names[1]].exists == 1
    assert found[names[1]].uidnext == 2


def test_status_and_select_tell_the_same(at: At, source: MailSource) -> None:
    at.add_many(3)
    told, opened = source.statuses([at.folder])[at.folder], source.select(at.folder)
    assert told == opened
    assert opened.exists == 3
    assert opened.uidnext == 4
    assert (opened.highest_modseq > 0) is at.kind.condstore


def test_a_changed_uidvalidity_is_told(at: At, source: MailSource) -> None:
    at.add_many(1)
    before = source.select(at.folder)
    at.box.bump_uidvalidity(at.folder)
    with closing(at.source()) as second:
        after = second.select(at.folder)
        assert second.statuses([at.folder])[at.folder] == after
    assert after.uidvalidity != before.uidvalidity
    assert after.exists == 1


# -- search


def test_search_gives_every_uid_without_those_removed(at: At, source: MailSource) -> None:
    at.add_many(5)
    at.box.expunge(at.folder, 2)
    source.select(at.folder)
    assert source.search() == UidSet.parse("1,3:5")


def test_search_in_an_empty_folder_gives_nothing(at: At, source: MailSource) -> None:
    source.select(at.folder)
    assert source.search() == UidSet()
    assert source.search(above=7) == UidSet()


def test_search_above_a_uid_does_not_give_the_last_one_again(at: At, source: MailSource) -> None:
    at.add_many(4)
    source.select(at.folder)
    assert source.search(above=2) == UidSet.parse("3:4")
    assert source.search(above=4) == UidSet()
    assert source.search(above=400) == UidSet()


def test_search_since_a_day_goes_by_arrival(at: At, source: MailSource) -> None:
    for day in (1, 14, 15, 28):
        at.box.append(at.folder, make_mail(message_id=f"<{day}@t>"), (), datetime(2026, 1, day, 12, tzinfo=UTC))
    source.select(at.folder)
    assert source.search(since=date(2026, 1, 15)) == UidSet.parse("3:4")
    assert source.search(since=date(2026, 1, 2), above=2) == UidSet.parse("3:4")
    assert source.search(since=date(2026, 3, 1)) == UidSet()


# -- heads


def test_heads_tell_flags_without_recent(at: At, source: MailSource) -> None:
    at.add(make_mail(), flags=("\\Seen", "\\Flagged", "$Forwarded"))
    at.add(make_mail(message_id="<two@t>"))
    source.select(at.folder)
    found = heads_of(source, UidSet.span(1, 2))
    assert found[1].flags == {"\\Seen", "\\Flagged", "$Forwarded"}
    assert found[2].flags == frozenset()
    assert (found[1].modseq > 0) is at.kind.condstore
    assert (found[1].labels is not None) is at.kind.gmail


def test_heads_with_identity_tell_what_tells_copies_apart(at: At, source: MailSource) -> None:
    raw = make_mail(subject="Grüße aus Łódź", headers=(("X-Filler", "x" * 200),))
    when = datetime(2026, 1, 5, 23, 30, 7, tzinfo=UTC)
    at.box.append(at.folder, raw, (), when)
    source.select(at.folder)
    head = heads_of(source, UidSet.span(1, 9), identity=True)[1]
    assert head.size == len(raw)
    assert head.internal_date == when
    if at.kind.gmail:
        assert head.gm_msgid > 2**53
        assert head.gm_thrid == head.gm_msgid
    else:
        assert b"Message-ID: <one@example.org>" in head.header
        assert b"Subject: =?utf-8?" in head.header
        assert b"X-Filler" not in head.header


def test_heads_of_messages_that_are_gone_do_not_come(at: At, source: MailSource) -> None:
    at.add_many(3)
    at.box.expunge(at.folder, 2)
    source.select(at.folder)
    assert set(heads_of(source, UidSet.span(1, 50))) == {1, 3}


def test_more_uids_than_one_command_may_name(at: At, source: MailSource) -> None:
    at.add_many(3)
    source.select(at.folder)
    wanted = UidSet.of(range(1, 6000, 2))  # 1, 3, 5, ...: no ranges to make it short
    assert set(heads_of(source, wanted)) == {1, 3}


@pytest.mark.parametrize(
    "label", ["[Mailbox]", "Webserver[x]y", "2024", "NIL", "Zoë & Söhne", 'a "b" \\ c', "with space", "日本語", "()"]
)
def test_gmail_labels_survive_its_quoting(mail_servers: Servers, label: str) -> None:
    kind = SANDBOXES[0]
    box = mail_servers.box(kind)
    assert isinstance(box, GmailBox)
    uid = box.append(box.main, make_mail())
    box.set_labels(box.main, uid, [label, "\\Inbox", "\\Important"])
    with closing(mail_servers.source(kind, box)) as source:
        source.select(box.main)
        assert heads_of(source, UidSet.span(uid, uid))[uid].labels == frozenset({label, "\\Inbox", "\\Important"})


def test_flags_pushed_without_a_uid_are_not_taken_for_those_of_a_uid(mail_servers: Servers) -> None:
    for kind in (SANDBOXES[0], SANDBOXES[1]):
        at = At(kind, mail_servers.box(kind), mail_servers)
        at.add_many(3)
        at.box.expunge(at.folder, 1)  # so that sequence number 2 is UID 3
        with closing(at.source()) as source:
            source.select(at.folder)
            sandbox(at).faults.arm(at.box.address, Fault.uidless_fetch(sequence=2, flags="\\Deleted"))
            found = heads_of(source, UidSet.span(1, 3))
        assert {uid: head.flags for uid, head in found.items()} == {2: frozenset(), 3: frozenset()}


# -- fetch


def test_a_window_brings_heads_and_first_bytes(at: At, source: MailSource) -> None:
    short, long = make_mail(message_id="<s@t>"), make_mail(message_id="<l@t>", text="word " * 20_000)
    at.add(short, long, flags=("\\Seen",))
    source.select(at.folder)
    found = fetched(source, UidSet.span(1, 2), first=1_000)
    assert found[1].data == short
    assert found[2].data == long[:1_000]
    assert found[2].head.size == len(long)
    assert found[2].head.flags == {"\\Seen"}
    assert found[2].head.internal_date is not None


def test_fetching_does_not_mark_as_read(at: At, source: MailSource) -> None:
    at.add_many(2)
    source.select(at.folder)
    fetched(source, UidSet.span(1, 2))
    source.read(1, "", 0, 10)
    source.structures(UidSet.span(1, 2))
    assert all(one.flags == frozenset() for one in at.box.contents()[at.folder].values())


def test_windows_come_complete_and_each_message_once(at: At, source: MailSource) -> None:
    at.add_many(40)
    source.select(at.folder)
    windows = [UidSet.span(first, first + 6) for first in range(1, 41, 7)]
    with closing(source.fetch(windows, first=500)) as stream:
        answers = list(stream)
    assert sorted((answer.uids for answer in answers), key=str) == sorted(windows, key=str)
    came = [(answer.uids, message.head.uid) for answer in answers for message in answer.messages]
    assert [uid for _, uid in sorted(came, key=lambda pair: pair[1])] == list(range(1, 41))
    assert all(uid in uids for uids, uid in came)


def test_messages_that_are_gone_are_missing_from_their_window(at: At, source: MailSource) -> None:
    at.add_many(5)
    at.box.expunge(at.folder, 3)
    source.select(at.folder)
    assert set(fetched(source, UidSet.span(1, 2), UidSet.span(3, 4), UidSet.span(5, 9))) == {1, 2, 4, 5}


def test_a_fetch_that_is_given_up_leaves_the_connection_usable(at: At, source: MailSource) -> None:
    at.add_many(30)
    source.select(at.folder)
    stream = source.fetch([UidSet.span(first, first + 4) for first in range(1, 31, 5)], first=500)
    first = next(stream)
    stream.close()
    assert len(first.messages) == 5
    assert source.search() == UidSet.span(1, 30)
    assert set(fetched(source, UidSet.span(1, 5))) == {1, 2, 3, 4, 5}


def test_bytes_come_unchanged(at: At, source: MailSource) -> None:
    raw = (
        make_mail(headers=(("X-Eight", "plain"),))
        + bytes(range(1, 256)).replace(b"\r", b"").replace(b"\n", b"")
        + b"\r\n"
    )
    at.add(raw)
    source.select(at.folder)
    assert fetched(source, UidSet.span(1, 1))[1].data == raw


def test_a_window_that_the_server_breaks_off_says_why_and_the_next_goes_on(mail_servers: Servers) -> None:
    for kind in (SANDBOXES[0], SANDBOXES[1], SANDBOXES[4]):
        at = At(kind, mail_servers.box(kind), mail_servers)
        at.add_many(9)
        sandbox(at).faults.arm(at.box.address, Fault.system_error(uid=5), times=None)
        with closing(at.source()) as source:
            source.select(at.folder)
            windows = [UidSet.span(7, 9), UidSet.span(4, 6), UidSet.span(1, 3)]
            with closing(source.fetch(windows, first=500)) as stream:
                found = {answer.uids: answer for answer in stream}
        assert "System Error" in found[windows[1]].problem
        assert [len(found[window].messages) for window in (windows[0], windows[2])] == [3, 3]


# -- parts of messages


def test_a_range_of_a_message_is_read(at: At, source: MailSource) -> None:
    raw = make_mail(text="0123456789" * 500)
    at.add(raw)
    source.select(at.folder)
    assert source.read(1, "", 0, 100) == raw[:100]
    assert source.read(1, "", 700, 333) == raw[700:1033]
    assert source.read(1, "", len(raw) - 10, 100) == raw[-10:]
    assert source.read(1, "", len(raw) + 5, 100) == b""


def test_a_section_is_read_alone(at: At, source: MailSource) -> None:
    at.add(make_mail(attachments=[("a.txt", "application/octet-stream", b"some bytes")]))
    source.select(at.folder)
    assert source.read(1, "1", 0, 100).startswith(b"Hello there.")


def test_a_message_that_is_gone_cannot_be_read(at: At, source: MailSource) -> None:
    at.add_many(1)
    source.select(at.folder)
    with pytest.raises(ItemRejected):
        source.read(7, "", 0, 10)
    with pytest.raises(ItemRejected):
        source.read(1, "1] (FLAGS", 0, 10)
    assert source.search() == UidSet.span(1, 1)


def test_structures_list_attachments_and_where_the_text_ends(at: At, source: MailSource) -> None:
    text = "The text of it.\r\n" * 50
    at.add(
        make_mail(
            text=text, attachments=[("Grüße.pdf", "application/pdf", b"%PDF" * 500), ("b.png", "image/png", b"p")]
        ),
        make_mail(message_id="<plain@t>"),
    )
    source.select(at.folder)
    found = source.structures(UidSet.span(1, 9))
    assert set(found) == {1, 2}
    first, second = found[1].attachments
    assert (first.section, first.filename, first.content_type) == ("2", "Grüße.pdf", "application/pdf")
    assert (second.section, second.filename, second.content_type) == ("3", "b.png", "image/png")
    assert first.size > 2_000
    assert found[1].text_end >= len(text)
    assert found[2].attachments == ()


# -- changes


def changed(source: MailSource, since: int, known: UidSet) -> tuple[Mapping[int, MessageHead], UidSet | None]:
    changes = source.changes(since, known=known)
    return {head.uid: head for head in changes.heads}, changes.vanished


def test_changed_flags_are_told_and_nothing_else(at: At, source: MailSource) -> None:
    if not at.kind.condstore:
        pytest.skip("needs CONDSTORE")
    at.add_many(4)
    before = source.select(at.folder).highest_modseq
    at.box.set_flags(at.folder, 3, ["\\Seen"])
    after = source.select(at.folder).highest_modseq
    heads, _ = changed(source, before, UidSet.span(1, 4))
    assert after > before
    assert set(heads) == {3}
    assert heads[3].flags == {"\\Seen"}
    assert before < heads[3].modseq <= after
    assert changed(source, after, UidSet.span(1, 4))[0] == {}


def test_removals_are_told_where_the_server_can(at: At, source: MailSource) -> None:
    if not at.kind.condstore:
        pytest.skip("needs CONDSTORE")
    at.add_many(5)
    before = source.select(at.folder).highest_modseq
    at.box.expunge(at.folder, 2)
    at.box.expunge(at.folder, 5)
    source.select(at.folder)
    _, vanished = changed(source, before, UidSet.span(1, 5))
    assert vanished == (UidSet.parse("2,5") if at.kind.qresync else None)


def test_a_highest_modseq_that_fell_is_told_as_it_is(mail_servers: Servers) -> None:
    kind = SANDBOXES[1]
    box = mail_servers.box(kind)
    assert isinstance(box, PlainBox)
    for number in range(6):
        box.append("INBOX", make_mail(message_id=f"<{number}@t>"))
    with closing(mail_servers.source(kind, box)) as source:
        high = source.select("INBOX").highest_modseq
        box.double.folders.lower_modseq(box.address, high - 3)
        assert source.statuses(["INBOX"])["INBOX"].highest_modseq == high - 3
        assert source.select("INBOX").highest_modseq == high - 3
        assert changed(source, high, UidSet.span(1, 6))[0] == {}


def test_a_change_that_shows_late_is_found_from_the_old_modseq(mail_servers: Servers) -> None:
    kind = SANDBOXES[0]
    box = mail_servers.box(kind)
    assert isinstance(box, GmailBox)
    uid = box.append(box.main, make_mail())
    state = box.double.box(box.address)
    with closing(mail_servers.source(kind, box)) as source:
        before = source.select(box.main).highest_modseq
        state.held_at = state.modseq
        box.set_flags(box.main, uid, ["\\Seen"])
        assert source.statuses([box.main])[box.main].highest_modseq > before
        assert changed(source, before, UidSet.span(1, uid))[0] == {}
        state.held_at = None
        source.select(box.main)
        assert changed(source, before, UidSet.span(1, uid))[0][uid].flags == {"\\Seen"}


# -- the end of a connection


def test_a_lost_connection_is_transient(mail_servers: Servers) -> None:
    for kind in SANDBOXES[:2]:
        at = At(kind, mail_servers.box(kind), mail_servers)
        at.add_many(3)
        with closing(at.source()) as source:
            source.select(at.folder)
            sandbox(at).faults.arm(at.box.address, Fault.cut_after(120, on="FETCH"))
            with pytest.raises(Transient):
                fetched(source, UidSet.span(1, 3))
            with pytest.raises(Transient):
                source.search()


def test_closing_twice_is_harmless(at: At) -> None:
    source = at.source()
    source.close()
    source.close()


def test_messages_keep_their_identity_when_copied(at: At, source: MailSource) -> None:
    if at.kind.gmail:
        pytest.skip("Gmail has no copies")
    raw = make_mail()
    at.box.append(at.folder, raw, (), datetime(2026, 1, 1, 8, tzinfo=UTC))
    at.box.copy(at.folder, 1, at.box.other)
    source.select(at.folder)
    here = heads_of(source, UidSet.span(1, 1), identity=True)[1]
    source.select(at.box.other)
    there = heads_of(source, UidSet.span(1, 1), identity=True)[1]
    assert (here.header, here.size, here.internal_date) == (there.header, there.size, there.internal_date)
    assert marker(fetched(source, UidSet.span(1, 1))[1].data) == marker(raw)


def sandbox(at: At) -> GmailDouble:
    return at.servers.sandbox(at.kind)
