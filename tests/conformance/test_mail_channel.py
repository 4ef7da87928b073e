"""The whole mail channel against every kind of server: what a person finds in the store after each run.
What happens in trouble is test_mail_trouble.py; random histories tests/property/test_mail_history.py."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import cast

import pytest
from sqlalchemy import select

from core.mail_settings import MailSettings
from models.content import LocationRow, MessageRow, PackRow, UnfinishedRow
from sync.mail_bytes import read_text
from sync.mail_fetch import attached_file, whole_message
from sync.mail_run import MailRun
from tests.conformance.channel_world import (
    DAY,
    GMAIL,
    World,
    make_world,
    small_windows,
)
from tests.conformance.mail_source import DOVECOTS, Kind, Servers
from tests.support.app_factory import START
from tests.support.mail_factory import make_mail
from tests.support.mail_servers import GmailBox
from tests.support.mail_sync import Template

# -- the first run


def test_the_first_run_stores_what_the_server_shows(world: World) -> None:
    world.add(7)
    world.box.set_flags(world.box.main, 3, ["\\Seen", "\\Flagged"])
    world.add(2, 50, world.box.other)
    report = world.linked.run_clean()
    world.linked.same_as_server()
    assert report.counts["new"] == 9
    row = world.linked.message("1@t")
    assert (row.subject, row.sender) == ("Number 1", "Ann Example <ann@example.org>")
    with world.linked.app.db.reading() as session:
        assert read_text(session, row.id).strip() == "Hello there."
    assert world.linked.channel().last_success_at == world.linked.clock.now


def test_the_newest_messages_come_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small_windows(monkeypatch)
    world.add(11)
    world.add(4, 50, world.box.other)
    seen: list[list[str]] = []

    def watch(run: MailRun) -> None:
        with run.app.db.reading() as session:
            names = list(session.scalars(select(MessageRow.message_id)))
        seen.append([name for name in names if not any(name in before for before in seen)])

    assert world.linked.run(watch).outcome == "ok"
    steps = [[int(name.partition("@")[0]) for name in step] for step in seen if step]
    # The newest of both folders come before the past of either.
    assert sorted([sorted(step) for step in steps[:2]]) == [[10, 11], [52, 53]]
    for folder in (range(1, 12), range(50, 54)):
        order = [number for step in steps for number in sorted(step, reverse=True) if number in folder]
        assert order == sorted(folder, reverse=True)


def test_a_second_run_changes_nothing(world: World) -> None:
    world.add(5)
    world.add(2, 50, world.box.other)
    world.linked.run_clean()
    before = world.linked.tables()
    used = world.bytes_used()
    assert world.linked.run_clean().counts == {}
    assert world.linked.tables() == before
    assert world.bytes_used() - used < 6_000


def test_a_quiet_run_opens_no_folder_where_modseqs_tell_enough(sandboxed: World) -> None:
    if not sandboxed.kind.condstore:
        pytest.skip("without CONDSTORE flags must be read")
    sandboxed.add(5)
    sandboxed.linked.run_clean()
    sandboxed.linked.run_clean()
    sandboxed.double.forget_counters(sandboxed.box.address)
    sandboxed.linked.run_clean()
    words = {line.split()[0] for line in sandboxed.double.counters(sandboxed.box.address).commands}
    assert words <= {"LOGIN", "AUTHENTICATE", "ID", "CAPABILITY", "ENABLE", "LIST", "STATUS"}


def test_an_empty_account_is_fine(world: World) -> None:
    assert world.linked.run_clean().counts == {}
    world.linked.same_as_server()


# -- what happens to messages


def test_new_mail_comes_and_old_mail_is_not_fetched_again(world: World) -> None:
    world.add(6)
    world.linked.run_clean()
    packs = world.linked.rows(PackRow)
    world.add(2, 20)
    assert world.linked.run_clean().counts["new"] == 2
    world.linked.same_as_server()
    assert world.linked.rows(PackRow) == packs + 1
    if not world.kind.dovecot:
        assert world.bodies() == 8


def test_flags_follow(world: World) -> None:
    world.add(5)
    world.linked.run_clean()
    world.box.set_flags(world.box.main, 2, ["\\Seen"])
    world.box.set_flags(world.box.main, 4, ["\\Flagged", "$Forwarded"])
    assert world.linked.run_clean().counts["flags changed"] == 2
    world.linked.same_as_server()
    world.box.set_flags(world.box.main, 4, [])
    world.linked.run_clean()
    world.linked.same_as_server()


def test_gmail_labels_follow(gmail: World) -> None:
    box = cast("GmailBox", gmail.box)
    (uid,) = gmail.add(1)
    box.set_labels(box.main, uid, ["\\Inbox", "2024", "[Mailbox]", "Zoë"])
    gmail.linked.run_clean()
    gmail.linked.same_as_server()
    box.set_labels(box.main, uid, ["NIL"])
    gmail.linked.run_clean()
    gmail.linked.same_as_server()
    box.rename("NIL", "a better name")
    gmail.linked.run_clean()
    gmail.linked.same_as_server()


def test_a_moved_message_stays_the_same_and_is_not_fetched_again(world: World) -> None:
    world.add(4)
    world.linked.run_clean()
    before = world.linked.message("2@t")
    packs = world.linked.rows(PackRow)
    world.box.move(world.box.main, 2, world.box.other)
    world.linked.run_clean()
    world.linked.same_as_server()
    after = world.linked.message("2@t")
    assert (after.id, after.raw_pack, after.unplaced_at) == (before.id, before.raw_pack, None)
    assert world.linked.rows(PackRow) == packs
    if not world.kind.dovecot:
        assert world.bodies() == 4


def test_a_copied_message_is_stored_once_and_shown_twice(folders: World) -> None:
    folders.add(3)
    folders.linked.run_clean()
    packs = folders.linked.rows(PackRow)
    folders.box.copy("INBOX", 2, folders.box.other)
    folders.linked.run_clean()
    folders.linked.same_as_server()
    assert folders.linked.rows(MessageRow) == 3
    assert folders.linked.rows(PackRow) == packs


def test_copies_there_from_the_start_are_one_message(folders: World) -> None:
    folders.add(3)
    folders.box.copy("INBOX", 2, folders.box.other)
    folders.box.copy("INBOX", 2, "INBOX")
    folders.linked.run_clean()
    folders.linked.same_as_server()
    assert folders.linked.rows(MessageRow) == 3


def test_a_deleted_message_is_kept_as_gone(world: World) -> None:
    world.add(4)
    world.linked.run_clean()
    world.box.expunge(world.box.main, 2)
    world.box.expunge(world.box.main, 4)
    assert world.linked.run_clean().counts["left the folder"] == 2
    world.linked.same_as_server()
    assert world.linked.message("2@t").unplaced_at == START
    assert world.linked.message("1@t").unplaced_at is None
    assert world.linked.rows(MessageRow) == 4


def test_one_removed_and_one_new_between_two_runs(world: World) -> None:
    """The number of messages stays the same; only UIDNEXT tells."""
    world.add(4)
    world.linked.run_clean()
    world.box.expunge(world.box.main, 3)
    world.add(1, 9)
    world.linked.run_clean()
    world.linked.same_as_server()


def test_a_message_that_comes_back_is_the_same(folders: World) -> None:
    raw = make_mail(message_id="<back@t>")
    folders.box.append("INBOX", raw, (), DAY)
    folders.linked.run_clean()
    before = folders.linked.message("back@t").id
    folders.box.expunge("INBOX", 1)
    folders.linked.run_clean()
    folders.box.append(folders.box.other, raw, (), DAY)
    folders.linked.run_clean()
    folders.linked.same_as_server()
    assert folders.linked.message("back@t").id == before


def test_a_changed_uidvalidity_maps_anew_and_fetches_nothing_twice(world: World) -> None:
    world.add(6)
    world.box.expunge(world.box.main, 2)
    world.linked.run_clean()
    ids = {name: row.id for name, row in world.linked.messages().items()}
    packs = world.linked.rows(PackRow)
    world.box.bump_uidvalidity(world.box.main)
    world.box.expunge(world.box.main, max(world.box.contents()[world.box.main]))
    report = world.linked.run_clean()
    world.linked.same_as_server()
    assert report.counts["folders read anew"] == 1
    assert {name: row.id for name, row in world.linked.messages().items()} == ids
    assert world.linked.rows(PackRow) == packs
    if not world.kind.dovecot:
        assert world.bodies() == 5


def test_uidvalidity_may_change_often_and_the_folder_recovers(sandboxed: World) -> None:
    """A server that changes it in every run is not followed for ever, but must be believed again one day."""
    sandboxed.add(3)
    for _ in range(8):
        sandboxed.linked.run()
        sandboxed.box.bump_uidvalidity(sandboxed.box.main)
    assert sandboxed.linked.run().outcome == "partial"
    sandboxed.linked.clock.advance(hours=25)
    sandboxed.linked.run_clean()
    sandboxed.linked.same_as_server()
    assert sandboxed.bodies() == 3


# -- folders


def test_folders_come_go_and_are_renamed(folders: World) -> None:
    folders.add(2)
    folders.linked.run_clean()
    folders.box.create("2024")
    folders.box.create('Zoë "und" Söhne\\')
    folders.add(2, 10, "2024")
    folders.add(1, 20, 'Zoë "und" Söhne\\')
    assert folders.linked.run_clean().counts["new"] == 3
    folders.linked.same_as_server()
    packs = folders.linked.rows(PackRow)
    folders.box.rename("2024", "Archive of 2024")
    folders.linked.run_clean()
    folders.linked.same_as_server()
    assert folders.linked.rows(PackRow) == packs, "a renamed folder was fetched again"
    folders.box.delete('Zoë "und" Söhne\\')
    assert folders.linked.run_clean().counts["folders gone"] == 1
    folders.linked.same_as_server()
    assert folders.linked.message("20@t").unplaced_at is not None


def test_a_folder_made_anew_under_an_old_name_is_another_one(folders: World) -> None:
    folders.box.create("Work")
    folders.add(3, 1, "Work")
    folders.linked.run_clean()
    folders.box.delete("Work")
    folders.box.create("Work")
    folders.add(1, 7, "Work")
    folders.linked.run_clean()
    folders.linked.same_as_server()
    assert folders.linked.message("1@t").unplaced_at is not None


def test_only_chosen_folders_are_followed(folders: World) -> None:
    folders.box.create("Work")
    folders.box.create("Private")
    folders.add(1, 1, "Work")
    folders.add(1, 2, "Private")
    folders.linked.settings(MailSettings(exclude=("Private", "\\trash")))
    folders.linked.run_clean()
    assert set(folders.linked.messages()) == {"1@t"}
    folders.linked.settings(MailSettings(folders=("INBOX", "Private")))
    folders.linked.run_clean()
    assert set(folders.linked.messages()) == {"1@t", "2@t"}


def test_mail_before_the_chosen_day_is_left_out_until_the_day_moves_back(world: World) -> None:
    for day in (1, 10, 20):
        when = datetime(2026, 1, day, 12, tzinfo=UTC)
        world.box.append(world.box.main, make_mail(message_id=f"<{day}@t>"), (), when)
    world.linked.settings(MailSettings(since=date(2026, 1, 15)))
    world.linked.run_clean()
    assert set(world.linked.messages()) == {"20@t"}
    before = world.linked.tables()
    world.linked.run_clean()
    assert world.linked.tables() == before
    world.linked.settings(MailSettings(since=date(2026, 1, 5)))
    world.linked.run_clean()
    assert set(world.linked.messages()) == {"10@t", "20@t"}
    world.linked.settings(MailSettings())
    world.linked.run_clean()
    world.linked.same_as_server()
    if not world.kind.dovecot:
        assert world.bodies() == 3


# -- long messages


@pytest.mark.parametrize("size", [40_000, 300_000])
def test_a_long_text_is_completed(world: World, size: int) -> None:
    line = "A line of the long text, and some more of it.\n"
    text = line * (size // len(line)) + "The very end.\n"
    world.add(1, text=text, attachments=[("big.bin", "application/octet-stream", bytes(400_000))])
    world.linked.run_clean()
    row = world.linked.message("1@t")
    with world.linked.app.db.reading() as session:
        assert read_text(session, row.id).splitlines() == text.splitlines()
    assert [(one["filename"], one["section"]) for one in row.attachments] == [("big.bin", "2")]
    assert row.have < row.size
    assert world.linked.rows(UnfinishedRow) == 0


def test_attachments_are_listed_at_once_and_fetched_when_asked_for(world: World) -> None:
    content = bytes(range(256)) * 400
    raw = make_mail(attachments=[("Grüße.bin", "application/octet-stream", content), ("b.txt", "text/plain", b"b")])
    world.box.append(world.box.main, raw)
    world.linked.run_clean()
    row = world.linked.message("one@example.org")
    assert [one["filename"] for one in row.attachments] == ["Grüße.bin", "b.txt"]
    assert row.have < row.size == len(raw)
    file = attached_file(world.linked.app, row.id, "2")
    assert (file.filename, file.data) == ("Grüße.bin", content)
    assert whole_message(world.linked.app, row.id) == raw
    world.box.expunge(world.box.main, 1)
    assert whole_message(world.linked.app, row.id) == raw, "what was fetched once is kept"


@pytest.mark.parametrize("kind", [GMAIL, DOVECOTS[0]], ids=str)
def test_everything_is_fetched_in_the_background_when_set_so(
    kind: Kind, mail_servers: Servers, mail_template: Template
) -> None:
    raw = make_mail(attachments=[("a.bin", "application/octet-stream", bytes(9_000_000))])
    for world in make_world(kind, mail_servers, mail_template, mail_attachments="background"):
        world.box.append(world.box.main, raw)
        world.linked.run_clean()
        row = world.linked.message("one@example.org")
        assert row.have == row.size
        world.box.expunge(world.box.main, 1)
        assert whole_message(world.linked.app, row.id) == raw


def test_a_message_without_header_or_body_is_stored(world: World) -> None:
    world.box.append(world.box.main, b"\r\n", (), DAY)
    world.box.append(world.box.main, b"Subject: only a header\r\n\r\n", (), DAY)
    world.linked.run_clean()
    assert world.linked.rows(LocationRow) == 2
    before = world.linked.tables()
    world.linked.run_clean()
    assert world.linked.tables() == before
