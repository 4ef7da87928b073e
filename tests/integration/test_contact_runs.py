"""Runs of the contacts channel on a real database against an address book in memory: one rule of the product each.
Random histories are in tests/property; the real protocol is in test_google_contacts_runs.py."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import event

from core.contact import Entry
from core.errors import Conflict
from core.types import Channel
from sync.lease import take_lease
from tests.support.app_factory import make_user
from tests.support.contact_world import GROUP, ContactWorld, contact_world, make_contacts_account, person


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ContactWorld]:
    with contact_world(tmp_path) as made:
        yield made


@pytest.fixture
def pair(world: ContactWorld) -> tuple[ContactWorld, str, str]:
    """A contact that is on both sides."""
    one = world.crm_add(person("Ada", "Lovelace", email="ada@example.com", phone="+44 20 7946 0001"))
    assert world.run().outcome == "ok"
    world.pass_time()
    return world, one, world.remote_of(one)


def test_the_first_run_makes_the_group_and_fills_it_with_the_tagged_contacts(world: ContactWorld) -> None:
    tagged = world.crm_add(person("Ada", email="ada@example.com"))
    world.crm_add(person("Bob"), tagged=False)
    report = world.run()
    assert (report.outcome, report.counts) == ("ok", {"created at the provider": 1})
    assert list(world.book.groups.values()) == [GROUP]
    assert list(world.members().values()) == [world.contact(tagged)]


def test_contacts_of_the_group_come_into_the_crm_with_the_tag(world: ContactWorld) -> None:
    world.run()
    inside = world.book.add(person("Cleo", "Patra", email="cleo@example.com"), world.group)
    world.book.add(person("Outside"))
    report = world.run()
    assert report.counts == {"created in the CRM": 1}
    assert list(world.tagged().values()) == [world.book.cards[inside].body]
    assert len(world.contacts()) == 1


def test_a_second_run_changes_nothing(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    before = (world.row(one).version, world.book.cards[remote].version)
    report = world.run()
    assert (report.outcome, report.counts) == ("ok", {})
    assert before == (world.row(one).version, world.book.cards[remote].version)


def test_edits_of_different_fields_are_merged(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.crm_edit(one, title="Countess")
    world.book.edit(remote, notes="Wrote the first program")
    world.run()
    assert world.contact(one) == world.book.cards[remote].body
    assert (world.contact(one).title, world.contact(one).notes) == ("Countess", "Wrote the first program")


@pytest.mark.parametrize("later", ["crm", "provider"])
def test_the_later_edit_of_a_field_wins_and_the_other_value_is_kept(
    pair: tuple[ContactWorld, str, str], later: str
) -> None:
    world, one, remote = pair
    if later == "crm":
        world.book.edit(remote, title="Old")
        world.pass_time(1)
        world.crm_edit(one, title="New")
    else:
        world.crm_edit(one, title="Old")
        world.pass_time(1)
        world.book.edit(remote, title="New")
    world.run()
    assert world.contact(one).title == world.book.cards[remote].body.title == "New"
    lost = [value for row in world.history(one) for value in row.lost]
    assert [(value["field"], value["value"], value["kept"]) for value in lost] == [("title", "Old", "New")]


def test_at_equal_times_the_crm_wins(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.crm_edit(one, title="CRM")
    world.book.edit(remote, title="Provider")
    world.run()
    assert world.book.cards[remote].body.title == "CRM"


def test_numbers_added_on_both_sides_are_both_kept(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    phones = world.contact(one).phones
    world.crm_edit(one, phones=(*phones, Entry("+49 30 1", "work")))
    world.book.edit(remote, phones=(*phones, Entry("+49 30 2", "home")))
    world.run()
    assert {entry.value for entry in world.contact(one).phones} == {"+44 20 7946 0001", "+49 30 1", "+49 30 2"}
    assert world.contact(one) == world.book.cards[remote].body


def test_removing_the_tag_takes_the_contact_out_of_the_group_but_keeps_it(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.crm_untag(one)
    assert world.run().counts == {"taken out of the group": 1}
    assert (remote in world.book.cards, world.members()) == (True, {})


def test_taking_a_contact_out_of_the_group_removes_the_tag_but_keeps_it(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.book.leave(remote, world.group)
    assert world.run().counts == {"untagged": 1}
    assert (one in world.contacts(), world.tagged()) == (True, {})


def test_deleting_at_the_provider_removes_the_tag_but_keeps_the_contact(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.book.delete(remote)
    assert world.run().counts == {"untagged": 1}
    assert one in world.contacts()


def test_deleting_in_the_crm_takes_the_contact_out_of_the_group(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.crm_delete(one)
    assert world.run().counts == {"taken out of the group": 1}
    assert remote in world.book.cards


def test_tagging_again_joins_the_same_two_records(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.crm_untag(one)
    world.run()
    world.book.edit(remote, notes="edited while parted")
    world.pass_time()
    world.run()
    world.crm_tag(one)
    world.settle()
    assert (world.links(), list(world.members())) == ({one: remote}, [remote])
    assert world.contact(one).notes == "edited while parted"


def test_grouping_again_joins_the_same_two_records(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.book.leave(remote, world.group)
    world.run()
    world.crm_edit(one, notes="edited while parted")
    world.pass_time()
    world.run()
    world.book.join(remote, world.group)
    world.settle()
    assert (world.links(), list(world.tagged())) == ({one: remote}, [one])
    assert world.book.cards[remote].body.notes == "edited while parted"


def test_an_existing_contact_with_the_same_address_is_joined_not_doubled(world: ContactWorld) -> None:
    theirs = world.book.add(person("Ada", "King", email="ADA@example.com"))
    mine = world.crm_add(person("Ada", "Lovelace", email="ada@example.com", title="Countess"))
    report = world.run()
    assert report.counts["joined with one that was there"] == 1
    assert world.links() == {mine: theirs}
    assert world.contact(mine) == world.book.cards[theirs].body
    assert len(world.book.cards) == 1


def test_a_contact_tagged_later_finds_its_twin_outside_the_group(world: ContactWorld) -> None:
    theirs = world.book.add(person("Ada", email="ada@example.com"))
    world.run()
    world.pass_time()
    mine = world.crm_add(person("Ada", email="ada@example.com"))
    world.run()
    assert (world.links(), len(world.book.cards)) == ({mine: theirs}, 1)


def test_an_ambiguous_match_creates_nothing_and_asks(world: ContactWorld) -> None:
    world.book.add(person("Ada", email="family@example.com"))
    world.book.add(person("Bert", email="family@example.com"))
    world.crm_add(person("Family", email="family@example.com"))
    report = world.run()
    assert report.counts == {"needs a decision": 1}
    assert (len(world.book.cards), world.links()) == (2, {})


def test_a_mass_removal_is_held_and_writes_nothing(world: ContactWorld) -> None:
    ids = [world.crm_add(person(f"P{number}", email=f"p{number}@example.com")) for number in range(15)]
    world.run()
    world.pass_time()
    world.crm_untag(*ids[:12])
    report = world.run()
    assert (report.outcome, len(world.members())) == ("held", 15)
    assert world.run().outcome == "held"
    world.approve()
    assert (world.run().counts, len(world.members())) == ({"taken out of the group": 12}, 3)


def test_a_deleted_group_holds_the_channel_and_untags_nobody(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, _ = pair
    world.book.delete_group(world.group)
    report = world.run()
    assert (report.outcome, list(world.tagged())) == ("held", [one])
    assert "does not exist" in report.error


def test_a_renamed_group_is_followed(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, _ = pair
    world.book.rename_group(world.group, "My CRM")
    world.run()
    assert (world.channel().settings["group"], list(world.tagged())) == ("My CRM", [one])


def test_an_expired_cursor_means_a_full_comparison(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.book.leave(remote, world.group)
    world.book.expire_cursors()
    report = world.run()
    assert report.counts == {"read everything anew": 1, "untagged": 1}
    assert one in world.contacts()


def test_a_touched_contact_is_no_change(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.book.touch(remote)
    version = world.row(one).version
    assert (world.run().counts, world.row(one).version) == ({}, version)


def test_a_contact_the_provider_refuses_is_set_aside_and_the_rest_goes_on(world: ContactWorld) -> None:
    world.book.refuse = lambda body: body.given_name == "Bad"
    world.crm_add(person("Bad"))
    world.crm_add(person("Good"))
    report = world.run()
    assert (report.outcome, len(world.members())) == ("partial", 1)
    assert world.run().counts == {}


def test_two_merged_contacts_leave_two_records_and_one_link(world: ContactWorld) -> None:
    first = world.crm_add(person("Ada", email="ada@example.com"))
    second = world.crm_add(person("Ada B", email="ada.b@example.com"))
    world.run()
    world.pass_time()
    links = world.links()
    world.book.merge(links[first], links[second])
    world.settle()
    assert world.links() == {second: links[second]}
    assert set(world.contacts()) == {first, second}


def test_one_address_book_is_written_by_one_run_at_a_time(world: ContactWorld) -> None:
    bob = make_user(world.app, "bob@crm.example")
    other = make_contacts_account(world.app, bob)  # the same person at the provider
    take_lease(world.app, other, Channel.CONTACTS, trigger="schedule")
    with pytest.raises(Conflict, match="another user's sync"):
        world.run()
    world.clock.advance(seconds=world.app.settings.lease_seconds + 1)
    assert world.run().outcome == "ok"


def test_a_run_that_waits_long_for_the_provider_keeps_its_lease(world: ContactWorld) -> None:
    world.app = replace(world.app, settings=replace(world.app.settings, lease_seconds=1))
    extended = threading.Event()
    first: list[datetime | None] = []

    def slow(what: str, when: str) -> None:
        if what == "list" and when == "before":
            first.append(world.channel().lease_until)
            world.clock.advance(milliseconds=900)
            assert extended.wait(20)

    def seen(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if first and statement.startswith("UPDATE channels"):
            extended.set()

    event.listen(world.app.db.engine, "after_cursor_execute", seen)
    world.book.hook = slow
    assert world.run().outcome == "ok"
