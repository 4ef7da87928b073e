"""What random histories and broken runs of contacts once brought to light, each as small as it gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from core.errors import Transient
from models.contacts import TagRow
from sync.contact_channel import ContactsChange, change_contacts
from sync.deciding import list_decisions
from sync.ids import new_id
from tests.support.contact_world import ContactWorld, contact_world, person


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ContactWorld]:
    with contact_world(tmp_path) as made:
        yield made


def paired(world: ContactWorld, given: str, **more: str) -> tuple[str, str]:
    one = world.crm_add(person(given, email=f"{given}@example.com", **more))
    world.run()
    world.pass_time()
    return one, world.remote_of(one)


def lost(world: ContactWorld, one: str) -> set[tuple[str, object]]:
    return {(value["field"], value["value"]) for row in world.history(one) for value in row.lost}


def test_a_refused_contact_that_lost_its_tag_is_not_complained_about_any_more(world: ContactWorld) -> None:
    world.book.refuse = lambda body: body.given_name == "Bad"
    one = world.crm_add(person("Bad"))
    assert world.run().outcome == "partial"
    world.crm_untag(one)
    assert world.run().outcome == "ok"


def test_a_merge_that_is_listed_after_the_survivor_was_read_by_name_leaves_two_records_and_one_link(
    world: ContactWorld,
) -> None:
    (_, gone), (kept, survivor) = paired(world, "Ada"), paired(world, "Bob")
    world.book.lag, world.book.get_lag = timedelta(minutes=3), timedelta(0)
    world.book.merge(gone, survivor)
    world.crm_edit(kept, title="Builder")
    world.run()  # the write meets another version; the contact is read by name, and the merge is not listed yet
    world.book.lag = timedelta(0)
    world.settle()
    assert world.links() == {kept: survivor}
    assert len(world.contacts()) == 2


def test_a_value_that_gave_way_is_kept_although_the_answer_to_the_write_was_lost(world: ContactWorld) -> None:
    one, other = paired(world, "Ada")
    world.book.edit(other, title="At the provider")
    world.pass_time()
    world.crm_edit(one, title="In the CRM")
    lose_the_answer(world, "update")
    world.settle()
    assert world.book.cards[other].body.title == "In the CRM"
    assert lost(world, one) == {("title", "At the provider")}
    assert [row.action for row in world.history(one)].count("update") == 1


def test_a_value_that_gave_way_is_kept_although_it_broke_off_between_text_and_group(world: ContactWorld) -> None:
    world.book.add(person("Bert", email="ada@example.com"))
    world.pass_time()
    one = world.crm_add(person("Ada", email="ada@example.com"))
    lose_the_answer(world, "update")
    world.settle()
    assert lost(world, one) == {("given_name", "Bert")}
    assert len(world.links()) == 1


def test_a_value_that_gave_way_is_kept_although_the_answer_was_lost_and_the_contact_was_edited_since(
    world: ContactWorld,
) -> None:
    one, other = paired(world, "Ada")
    world.book.edit(other, title="At the provider")
    world.pass_time()
    world.crm_edit(one, title="In the CRM")
    lose_the_answer(world, "update")
    world.pass_time(1)
    world.book.edit(other, title="Again at the provider")
    world.settle()
    assert world.contact(one).title == "Again at the provider"
    assert ("title", "At the provider") in lost(world, one)


def test_a_value_that_gave_way_is_kept_although_the_answer_was_lost_and_the_next_run_reads_of_old(
    world: ContactWorld,
) -> None:
    one, other = paired(world, "Ada")
    world.book.edit(other, title="At the provider")
    world.pass_time()
    world.crm_edit(one, title="In the CRM")
    lose_the_answer(world, "update")
    world.book.lag = timedelta(minutes=10)
    world.book.expire_cursors()
    world.run()
    world.book.lag = timedelta(0)
    world.settle()
    assert ("title", "At the provider") in lost(world, one)


def test_what_was_made_without_hearing_so_is_in_the_history(world: ContactWorld) -> None:
    one = world.crm_add(person("Ada"))
    lose_the_answer(world, "create")
    world.settle()
    [row] = world.history(one)
    assert (row.action, row.remote_id) == ("create", world.remote_of(one))


def test_taking_back_what_a_half_done_run_had_brought_is_an_edit(world: ContactWorld) -> None:
    one, other = paired(world, "Ada")
    world.book.edit(other, title="First")
    world.pass_time()
    world.book.lag = timedelta(minutes=3)
    world.book.edit(other, title="Second")
    world.clock.advance(seconds=1)
    world.crm_edit(one, notes="n")
    world.run()  # brings "First"; its own write meets "Second", which is not shown yet
    assert world.contact(one).title == "First"
    world.clock.advance(seconds=1)
    world.crm_edit(one, title="")
    world.book.lag = timedelta(0)
    world.settle()
    assert world.contact(one).title == world.book.cards[other].body.title == ""
    assert ("title", "Second") in lost(world, one)


def lose_the_answer(world: ContactWorld, call: str) -> None:
    """A run whose call took effect, but the answer did not arrive."""

    def hook(name: str, when: str) -> None:
        if (name, when) == (call, "after"):
            raise Transient("the connection was lost")

    world.book.hook = hook
    assert world.run().outcome == "failed"
    world.book.hook = lambda _name, _when: None


def test_taken_out_of_the_group_stays_out_although_an_older_listing_comes_later(world: ContactWorld) -> None:
    one, other = paired(world, "Ada")
    world.crm_edit(one, title="edited")
    world.book.moves_touch = True
    world.book.leave(other, world.group)
    assert world.run().counts == {"untagged": 1}
    world.book.lag, world.book.get_lag = timedelta(minutes=3), timedelta(0)
    world.book.expire_cursors()
    world.run()  # everything is listed, as it was three minutes ago
    world.book.lag = timedelta(0)
    world.settle()
    assert (world.tagged(), world.members()) == ({}, {})


def test_what_has_to_wait_is_read_again_until_the_provider_knows_it(world: ContactWorld) -> None:
    one = world.crm_add(person("Ada"))
    world.run()
    [other] = world.book.cards
    with world.app.db.transaction() as session:
        make_tag(session, world)
    change_contacts(world.app, world.who.workspace_id, world.account, ContactsChange(tag="Other"))
    assert world.run().counts == {"looked at again later": 1}
    world.book.get_lag = timedelta(minutes=30)
    world.run()  # it is read by name, and the answer is older than the contact
    world.book.get_lag = None
    world.settle()
    assert (world.links(), list(world.tagged())) == ({one: other}, [one])


def make_tag(session: Session, world: ContactWorld) -> None:
    tag = TagRow(id=new_id(), workspace_id=world.who.workspace_id, name="Other", created_at=world.clock.now)
    tag.kind, tag.owner_id = "personal", world.who.user_id
    session.add(tag)


def test_a_contact_that_is_so_new_that_reads_do_not_know_it_is_not_made_again(world: ContactWorld) -> None:
    paired(world, "Ada")
    new = world.book.add(person("Bob"), world.group)
    world.run()
    world.book.get_lag = timedelta(minutes=9)
    world.book.lag = timedelta(minutes=9)
    change_contacts(world.app, world.who.workspace_id, world.account, ContactsChange(group="Others"))
    world.run()
    world.run()
    world.book.lag, world.book.get_lag = timedelta(0), None
    world.settle()
    assert [one for one, card in world.book.cards.items() if card.body.given_name == "Bob"] == [new]
    assert new in world.members()


def test_a_deletion_that_only_a_full_listing_shows_is_seen_although_we_had_just_written(world: ContactWorld) -> None:
    one, other = paired(world, "Ada")
    world.crm_edit(one, title="Countess")
    world.run()
    world.book.delete(other)
    world.book.expire_cursors()
    assert world.run().counts == {"read everything anew": 1, "looked at again later": 1}
    world.settle()
    assert (world.tagged(), world.links(), list(world.contacts())) == ({}, {}, [one])


def test_a_reading_that_is_older_than_a_full_listing_does_not_hide_a_deletion(world: ContactWorld) -> None:
    one, other = paired(world, "Ada")
    world.book.get_lag = timedelta(minutes=9)
    world.book.delete(other)
    world.book.expire_cursors()
    assert world.run().counts == {"read everything anew": 1, "looked at again later": 1}
    world.clock.advance(minutes=1)
    assert world.run().counts == {}
    world.settle()
    assert (world.tagged(), world.links(), list(world.contacts())) == ({}, {}, [one])


def test_an_intent_that_came_to_nothing_does_not_make_its_contact_look_gone(world: ContactWorld) -> None:
    one, other = paired(world, "Ada")
    world.crm_untag(one)

    def hook(name: str, when: str) -> None:
        if (name, when) == ("members", "before"):
            raise Transient("no connection")

    world.book.hook = hook
    assert world.run().outcome == "failed"
    world.book.hook = lambda _name, _when: None
    world.crm_tag(one)
    world.book.expire_cursors()
    world.run()
    assert (world.links(), list(world.tagged())) == ({one: other}, [one])


def test_candidates_that_reads_do_not_know_yet_stay_candidates(world: ContactWorld) -> None:
    world.run()
    body = person("Ada", email="ada@example.com")
    both = {world.book.add(body, world.group), world.book.add(replace(body, title="Countess"), world.group)}
    one = world.crm_add(body)
    world.run()
    world.book.get_lag = timedelta(minutes=9)
    assert world.run().counts == {"looked at again later": 1}
    world.book.get_lag = None
    assert world.run().counts == {"needs a decision": 3}
    with world.app.db.reading() as session:
        [asked] = [row for row in list_decisions(session, world.who.workspace_id) if row["record"] == one]
    assert {candidate["id"] for candidate in asked["candidates"]} == both == set(world.book.cards)


def test_a_namesake_that_reads_do_not_know_yet_is_waited_for(world: ContactWorld) -> None:
    world.run()
    there = world.book.add(person("Ada", email="ada@example.com"))
    world.run()
    one = world.crm_add(person("Ada", email="ada@example.com"))
    world.book.get_lag = timedelta(minutes=9)
    assert world.run().counts == {"looked at again later": 1}
    world.book.get_lag = None
    world.run()
    assert (world.links(), list(world.book.cards)) == ({one: there}, [there])


def test_candidates_that_a_full_listing_lacks_are_asked_for_by_name(world: ContactWorld) -> None:
    world.run()
    body = person("Ada", email="ada@example.com")
    first, second = world.book.add(body), world.book.add(body)
    one = world.crm_add(body)
    world.run()
    world.book.delete(first)
    world.crm_untag(one)
    world.book.expire_cursors()
    world.run()
    assert list_open(world) == []
    world.crm_tag(one)
    world.run()
    assert world.links() == {one: second}


def list_open(world: ContactWorld) -> list[str]:
    with world.app.db.reading() as session:
        return [row["record"] for row in list_decisions(session, world.who.workspace_id)]


def test_a_candidate_that_was_deleted_is_none_once_the_listing_says_so(world: ContactWorld) -> None:
    world.run()
    body = person("Ada", email="ada@example.com")
    first, second = world.book.add(body), world.book.add(body)
    one = world.crm_add(body)
    world.run()
    world.book.delete(first)
    world.run()
    world.settle()
    assert world.links() == {one: second}


def test_a_pair_that_another_contact_is_merged_into_between_two_readings_stays_one(world: ContactWorld) -> None:
    names = ("Ada", "Bob", "Cy", "Dora")
    ada, bob, cy, dora = (paired(world, name) for name in names)
    world.crm_edit(ada[0], notes="seen")
    world.run()
    world.book.merge(ada[1], bob[1])
    change_contacts(world.app, world.who.workspace_id, world.account, ContactsChange(group="Others"))
    world.run()
    reads = []

    def hook(name: str, when: str) -> None:
        if (name, when) == ("get", "after"):
            reads.append(name)
            if len(reads) == 1:
                world.book.merge(bob[1], cy[1])

    world.book.hook = hook
    world.run()
    world.book.hook = lambda _name, _when: None
    world.settle()
    assert len(reads) > 1
    links = world.links()
    assert (links[cy[0]], links[dora[0]]) == (cy[1], dora[1])
    assert len(world.contacts()) == len(names)


def test_one_that_we_made_unheard_stays_the_counterpart_though_another_was_merged_into_it(world: ContactWorld) -> None:
    one, other = paired(world, "Ada")
    new = world.crm_add(person("Bob"))

    def hook(name: str, when: str) -> None:
        if (name, when) == ("create", "after"):
            raise Transient("the answer was lost")

    world.book.hook = hook
    assert world.run().outcome == "failed"
    world.book.hook = lambda _name, _when: None
    [made] = world.book.cards.keys() - {other}
    world.book.merge(other, made)
    world.settle()
    assert (world.links(), list(world.book.cards), list(world.tagged())) == ({new: made}, [made], [new])
    assert one in world.contacts()


# ---- the CRM record changes between the decision and the write ----------------------------------------------


def meddled(world: ContactWorld, pairs: Mapping[str, str], **edit: str) -> str:
    """Run, and while the first of these two pairs is written, edit the other contact in the CRM. Its id."""
    world.book.batch = 1
    met: list[str] = []

    def hook(name: str, when: str) -> None:
        if (name, when) == ("update", "before") and not met:
            met.extend(one for one in pairs if world.contact(one).suffix == "later")
            world.crm_edit(met[0], **edit)

    world.book.hook = hook
    assert world.run().counts["changed meanwhile"] == 1
    world.book.hook = lambda _name, _when: None
    return met[0]


@pytest.fixture
def pairs(world: ContactWorld) -> dict[str, str]:
    """Two pairs of which both sides of the second changed, and it is written after the first."""
    made = dict(sorted([paired(world, "Ada"), paired(world, "Bob")]))
    for one, suffix in zip(made, ("sooner", "later"), strict=True):
        world.crm_edit(one, notes="seen", suffix=suffix)
    return made


def test_a_text_that_is_no_longer_the_contacts_is_not_written(world: ContactWorld, pairs: dict[str, str]) -> None:
    one = meddled(world, pairs, notes="unseen")
    assert world.book.cards[pairs[one]].body.notes == ""
    world.run()
    assert world.book.cards[pairs[one]].body.notes == "unseen"


def test_a_change_at_the_provider_is_not_lost_when_the_crm_contact_was_touched_meanwhile(
    world: ContactWorld, pairs: dict[str, str]
) -> None:
    for other in pairs.values():
        world.book.edit(other, title="Countess")
    one = meddled(world, pairs, notes="", suffix="")
    world.run()
    assert world.contact(one).title == "Countess"


def test_a_change_on_both_sides_is_told_of_both(world: ContactWorld) -> None:
    one, other = paired(world, "Ada")
    world.crm_edit(one, title="Countess")
    world.book.edit(other, notes="met in London")
    assert world.run().counts == {"updated in the CRM": 1, "updated at the provider": 1}
    assert {row.side for row in world.history(one)[-2:]} == {"local", "remote"}
