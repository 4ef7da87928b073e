"""What the owner chose: labels on Gmail, and what becomes of the stored copy of mail that left the mailbox."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from core.mail_settings import MailSettings
from models.content import FragmentRow, MessageRow, PackRow, ParticipantRow
from sync.mail_bytes import read_prefix
from tests.conformance.channel_world import GMAIL, PLAIN, QRESYNC, World, make_world
from tests.conformance.mail_source import Kind, Servers
from tests.support.mail_servers import GmailBox
from tests.support.mail_sync import Template


def labelled(world: World) -> GmailBox:
    assert isinstance(world.box, GmailBox)
    return world.box


def test_on_gmail_only_mail_with_the_chosen_labels_is_fetched(gmail: World) -> None:
    box = labelled(gmail)
    first, second, _ = gmail.add(3)
    box.set_labels(box.main, first, ["Work/A"])
    box.set_labels(box.main, second, ["Private"])
    gmail.linked.settings(MailSettings(folders=("Work/*",)))
    report = gmail.linked.run_clean()
    assert set(gmail.linked.messages()) == {"1@t"}
    assert report.counts["other labels"] == 2
    assert gmail.bodies() == 1


def test_a_label_given_later_brings_the_message_in(gmail: World) -> None:
    box = labelled(gmail)
    (uid, _) = gmail.add(2)
    gmail.linked.settings(MailSettings(folders=("Work",)))
    gmail.linked.run_clean()
    assert gmail.linked.messages() == {}
    box.set_labels(box.main, uid, ["Work"])
    gmail.linked.run_clean()
    gmail.linked.run_clean()
    assert set(gmail.linked.messages()) == {"1@t"}


def test_other_labels_chosen_later_look_again_at_what_was_left_out(gmail: World) -> None:
    box = labelled(gmail)
    one, two = gmail.add(2)
    box.set_labels(box.main, one, ["Work"])
    box.set_labels(box.main, two, ["Home"])
    gmail.linked.settings(MailSettings(folders=("Work",)))
    gmail.linked.run_clean()
    gmail.linked.settings(MailSettings())
    gmail.linked.run_clean()
    gmail.linked.same_as_server()
    assert gmail.bodies() == 2


@pytest.mark.parametrize("kind", [GMAIL, PLAIN, QRESYNC], ids=str)
def test_mail_that_left_is_erased_when_set_so_and_its_neighbours_stay(
    kind: Kind, mail_servers: Servers, mail_template: Template
) -> None:
    for world in make_world(kind, mail_servers, mail_template, mail_gone="erase"):
        world.add(3, text="Hold the line. " * 4_000)
        world.linked.run_clean()
        gone = world.linked.message("2@t")
        world.box.expunge(world.box.main, 2)
        world.linked.run_clean()
        assert "2@t" in world.linked.messages(), "it may be on its way to another folder"
        world.linked.clock.advance(minutes=5)
        report = world.linked.run_clean()
        assert report.counts["erased"] == 1
        assert set(world.linked.messages()) == {"1@t", "3@t"}
        with world.linked.app.db.reading() as session:
            for row in session.scalars(select(MessageRow)):
                assert len(read_prefix(session, row.id)) == row.have
            for table in (FragmentRow, ParticipantRow):
                assert session.scalars(select(table).where(table.message_id == gone.id)).all() == []
            # Its neighbours still use the pack; its own bytes in there are zeros now.
            pack = session.get_one(PackRow, gone.raw_pack).data
            assert set(pack[gone.raw_offset : gone.raw_offset + gone.raw_length]) == {0}
        assert world.linked.run_clean().counts == {}
