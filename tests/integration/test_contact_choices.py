"""What a person does about contacts: settings, plans, what is held, decisions, why, undo, removal.
Runs are real, the provider is an address book in memory; the commands in front of it are test_cli_contact_sync.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from core.contact import Entry
from core.errors import BadInput, Conflict, NotFound
from models.contacts import ContactRow
from models.deed_records import history_of, run_deeds
from models.link_queries import explain_contact, held_of_run
from models.links import HistoryRow, LinkRow, RemoteKeyRow, SentRow
from sync.contact_channel import ContactsChange, change_contacts, contacts_choice
from sync.deciding import decide, list_decisions
from sync.held import confirm_held, discard_held
from sync.record_channels import opened_contacts
from sync.records import plan_records
from sync.removal import remove
from sync.tags import delete_tag, make_tag
from sync.undo import undo_field, undo_run
from tests.support.app_factory import make_user
from tests.support.contact_world import GROUP, ContactWorld, contact_world, make_contacts_account, person
from tests.support.memory_replica import Book, MemoryReplica


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ContactWorld]:
    with contact_world(tmp_path) as made:
        yield made


@pytest.fixture
def pair(world: ContactWorld) -> tuple[ContactWorld, str, str]:
    """A contact that is on both sides."""
    one = world.crm_add(person("Ada", "Lovelace", email="ada@example.com", title="Countess"))
    assert world.run().outcome == "ok"
    world.pass_time()
    return world, one, world.remote_of(one)


def why(world: ContactWorld, one: str) -> tuple[str, str]:
    with world.app.db.reading() as session:
        [told] = explain_contact(session, session.get_one(ContactRow, one))
    return told["state"], told["why"]


# ---- settings ----------------------------------------------------------------------------------------------


def change(world: ContactWorld, **values: Any) -> None:
    change_contacts(world.app, world.who.workspace_id, world.account, ContactsChange(**values))


def test_the_settings_are_shown_and_changed(world: ContactWorld) -> None:
    change(world, group="Customers", period_s=3600, auto=False)
    choice = contacts_choice(world.app, world.who.workspace_id, world.account)
    assert (choice.group, choice.period_s, choice.auto) == ("Customers", 3600, False)
    world.run()
    assert list(world.book.groups.values()) == ["Customers"]


@pytest.mark.parametrize("kind", ["corporate", "public", "another user's", "unknown"])
def test_a_tag_that_is_not_a_personal_one_of_the_owner_is_refused(world: ContactWorld, kind: str) -> None:
    app, workspace = world.app, world.who.workspace_id
    if kind == "another user's":
        make_user(app, "bob@crm.example")
        make_tag(app, workspace, "Mine", owner="bob@crm.example")
    elif kind != "unknown":
        make_tag(app, workspace, "Mine", kind=kind)
    before = world.channel().settings
    with pytest.raises(BadInput, match="personal tag"):
        change(world, tag="Mine", period_s=120)
    assert (world.channel().settings, world.channel().period_s) == (before, 600)


@pytest.mark.parametrize("values", [{"period_s": 59}, {"period_s": 10**9}, {"group": "  "}, {"group": "x" * 101}])
def test_a_value_out_of_range_is_refused_and_changes_nothing(world: ContactWorld, values: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        change(world, auto=False, **values)
    assert world.channel().auto is True


def test_another_group_is_filled_and_takes_nobody_out(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    other = world.book.make_group("Friends")
    friend = world.book.add(person("Fred", email="fred@example.com"), other)
    first = world.group
    change(world, group="Friends")
    world.settle()
    assert world.group == other
    assert set(world.members()) == {remote, friend}
    assert first in world.book.cards[remote].groups  # the old group is left as it is
    assert len(world.tagged()) == 2
    assert world.links()[one] == remote


def test_another_tag_gives_it_to_the_group_and_takes_nobody_out(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    make_tag(world.app, world.who.workspace_id, "Clients", owner=world.who.email)
    change(world, tag="Clients")
    world.settle()
    assert (list(world.tagged()), list(world.members())) == ([one], [remote])


def test_a_group_that_was_deleted_is_made_again_and_refilled(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.book.delete_group(world.group)
    assert world.run().outcome == "held"
    change(world, group=GROUP)
    world.settle()
    assert (list(world.tagged()), list(world.members())) == ([one], [remote])


def test_a_tag_that_was_deleted_holds_the_channel_and_ungroups_nobody(pair: tuple[ContactWorld, str, str]) -> None:
    world, _, remote = pair
    delete_tag(world.app, world.who.workspace_id, world.tag_now(), force=True)
    report = world.run()
    assert (report.outcome, list(world.members())) == ("held", [remote])
    assert "deleted" in report.error


# ---- plan and what is held ---------------------------------------------------------------------------------


def test_a_plan_tells_what_would_be_done_and_writes_nothing(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.crm_edit(one, title="Analyst")
    world.book.add(person("New", email="new@example.com"), world.group)
    before = (world.book.calls["update"], len(world.contacts()), world.channel().cursor)
    with opened_contacts(world.app, world.account) as run:
        plan = plan_records(run)
    assert {(line["action"], line["name"]) for line in plan.lines} == {
        ("update at the provider", "Ada Lovelace"),
        ("create in the CRM", "New"),
    }
    assert plan.lines[0]["changes"]["remote"] == {"title": ["Countess", "Analyst"]}
    assert before == (world.book.calls["update"], len(world.contacts()), world.channel().cursor)
    assert world.book.cards[remote].body.title == "Countess"


def held_world(world: ContactWorld) -> list[str]:
    """Fifteen pairs of which twelve lost their tag; the run that noticed is held."""
    ids = [world.crm_add(person(f"P{number}", email=f"p{number}@example.com")) for number in range(15)]
    world.run()
    world.pass_time()
    world.crm_untag(*ids[:12])
    assert world.run().outcome == "held"
    return ids


def test_what_is_held_is_listed_and_done_once_confirmed(world: ContactWorld) -> None:
    held_world(world)
    with world.app.db.reading() as session:
        held = held_of_run(session, world.who.workspace_id, world.reports[-1].run_id)
    assert held is not None
    assert (held["kind"], len(held["lines"])) == ("mass_change", 12)
    assert held["lines"][0]["action"] == "take out of the group"
    confirm_held(world.app, world.who.workspace_id, world.account)
    assert world.run().counts == {"taken out of the group": 12}
    assert world.channel().held is None


def test_what_was_confirmed_does_not_cover_more(world: ContactWorld) -> None:
    ids = held_world(world)
    confirm_held(world.app, world.who.workspace_id, world.account)
    world.crm_untag(ids[12])
    assert (world.run().outcome, len(world.members())) == ("held", 15)


def test_what_is_discarded_waits_for_a_person(world: ContactWorld) -> None:
    ids = held_world(world)
    discard_held(world.app, world.who.workspace_id, world.account)
    assert world.channel().next_run_at is None
    world.crm_tag(*ids)
    assert (world.run().outcome, len(world.members()), world.channel().held) == ("ok", 15, None)


def test_nothing_can_be_confirmed_when_nothing_is_held(world: ContactWorld) -> None:
    with pytest.raises(Conflict, match="nothing is held"):
        confirm_held(world.app, world.who.workspace_id, world.account)


# ---- decisions ---------------------------------------------------------------------------------------------


def ambiguous(world: ContactWorld) -> tuple[str, str, str]:
    ada = world.book.add(person("Ada", email="family@example.com"))
    bert = world.book.add(person("Bert", email="family@example.com"))
    mine = world.crm_add(person("Family", email="family@example.com"))
    assert world.run().counts == {"needs a decision": 1}
    return ada, bert, mine


def test_a_decision_joins_the_chosen_one(world: ContactWorld) -> None:
    ada, bert, mine = ambiguous(world)
    with world.app.db.reading() as session:
        [asked] = list_decisions(session, world.who.workspace_id)
    assert (asked["name"], {one["name"] for one in asked["candidates"]}) == ("Family", {"Ada", "Bert"})
    decide(world.app, world.who.workspace_id, "family", bert)
    world.settle()
    assert (world.links(), len(world.book.cards)) == ({mine: bert}, 2)
    assert ada not in world.members()


def test_a_decision_for_somebody_new_makes_a_new_one(world: ContactWorld) -> None:
    _, _, mine = ambiguous(world)
    decide(world.app, world.who.workspace_id, mine, "new")
    world.settle()
    assert (len(world.book.cards), list(world.links())) == (3, [mine])


def test_a_choice_that_is_no_candidate_is_refused(world: ContactWorld) -> None:
    _, _, mine = ambiguous(world)
    with pytest.raises(BadInput, match="candidates"):
        decide(world.app, world.who.workspace_id, mine, "people/c99")


def test_an_open_decision_is_asked_once_and_goes_with_its_cause(world: ContactWorld) -> None:
    _, bert, _ = ambiguous(world)
    assert world.run().counts == {"needs a decision": 1}
    world.book.edit(bert, emails=(Entry("bert@example.com"),))
    world.settle()
    with world.app.db.reading() as session:
        assert list_decisions(session, world.who.workspace_id) == []
    assert len(world.links()) == 1


# ---- why ---------------------------------------------------------------------------------------------------


def test_a_contact_can_say_why_it_is_synced_or_not(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, _ = pair
    assert why(world, one) == ("in step", f"It has the tag {GROUP!r} and is in the group at the provider.")
    world.crm_edit(one, title="Analyst")
    assert why(world, one)[0] == "due"
    world.crm_untag(one)
    assert why(world, one) == ("left out", f"It does not have the tag {GROUP!r}.")
    world.crm_delete(one)
    assert "deleted in the CRM" in why(world, one)[1]


def test_a_refused_contact_says_so(world: ContactWorld) -> None:
    world.book.refuse = lambda _body: True
    one = world.crm_add(person("Bad"))
    world.run()
    assert why(world, one)[0] == "set aside"


def test_a_run_lists_what_it_did_to_whom_and_why(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.book.edit(remote, title="Analyst")
    report = world.run()
    with world.app.db.reading() as session:
        [deed] = run_deeds(session, world.who.workspace_id, report.run_id)
        history = history_of(session, world.who.workspace_id, one)
    assert (deed["side"], deed["action"], deed["reason"]) == ("local", "update", "changed_at_provider")
    assert deed["changes"] == {"title": ["Countess", "Analyst"]}
    assert [row["action"] for row in history] == ["update", "create"]


# ---- undo --------------------------------------------------------------------------------------------------


def test_undoing_a_run_restores_both_sides(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.crm_edit(one, title="Analyst")
    world.book.edit(remote, notes="From Google")
    report = world.run()
    world.pass_time()
    undone = undo_run(world.app, world.who.workspace_id, report.run_id)
    assert (dict(undone.counts), undone.skipped) == ({"restored": 2}, [])
    world.settle()
    assert world.contact(one) == world.book.cards[remote].body
    assert (world.contact(one).title, world.contact(one).notes) == ("Countess", "")


def test_undoing_an_untagging_tags_again_and_refills_the_group(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.book.leave(remote, world.group)
    report = world.run()
    undo_run(world.app, world.who.workspace_id, report.run_id)
    world.settle()
    assert (list(world.tagged()), list(world.members())) == ([one], [remote])


def test_undoing_an_import_takes_the_contacts_out_again_and_deletes_nothing(world: ContactWorld) -> None:
    world.run()
    remote = world.book.add(person("Cleo", email="cleo@example.com"), world.group)
    report = world.run()
    undo_run(world.app, world.who.workspace_id, report.run_id)
    world.settle()
    assert (world.contacts(), world.members(), remote in world.book.cards) == ({}, {}, True)


def test_what_was_edited_later_is_left_and_listed(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.book.edit(remote, title="Analyst")
    report = world.run()
    world.crm_edit(one, title="Programmer")
    undone = undo_run(world.app, world.who.workspace_id, report.run_id)
    assert [(skipped.what, skipped.why) for skipped in undone.skipped] == [("title", "it was changed again later")]
    assert world.contact(one).title == "Programmer"


def test_an_undo_can_be_undone(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.book.edit(remote, title="Analyst")
    undone = undo_run(world.app, world.who.workspace_id, world.run().run_id)
    world.settle()
    assert world.book.cards[remote].body.title == "Countess"
    undo_run(world.app, world.who.workspace_id, undone.run_id)
    world.settle()
    assert world.contact(one).title == world.book.cards[remote].body.title == "Analyst"


def test_a_run_is_undone_once(pair: tuple[ContactWorld, str, str]) -> None:
    world, _, remote = pair
    world.book.edit(remote, title="Analyst")
    report = world.run()
    undo_run(world.app, world.who.workspace_id, report.run_id)
    with pytest.raises(Conflict, match="undone already"):
        undo_run(world.app, world.who.workspace_id, report.run_id)


def test_a_value_that_lost_a_conflict_can_be_restored(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, remote = pair
    world.crm_edit(one, title="Old")
    world.pass_time(1)
    world.book.edit(remote, title="New")
    world.run()
    world.pass_time()
    undo_field(world.app, world.who.workspace_id, one, "title")
    world.settle()
    assert world.contact(one).title == world.book.cards[remote].body.title == "Old"


def test_a_field_no_run_touched_has_nothing_to_restore(pair: tuple[ContactWorld, str, str]) -> None:
    world, one, _ = pair
    with pytest.raises(NotFound, match="no run has changed"):
        undo_field(world.app, world.who.workspace_id, one, "notes")


# ---- several accounts, removal -----------------------------------------------------------------------------


def test_two_users_share_a_contact_through_the_crm(tmp_path: Path) -> None:
    with contact_world(tmp_path) as ann:
        book = Book(ann.clock)
        bob_user = make_user(ann.app, "bob@crm.example")
        account = make_contacts_account(ann.app, bob_user, subject="sub-2", address="bob@example.com")
        books = {ann.account: ann.book, account: book}
        app = replace(ann.app, open_contacts=lambda _app, one, scope: MemoryReplica(books[one], scope))
        ann.app = app
        bob = ContactWorld(app, ann.clock, bob_user, account, book)
        one = ann.crm_add(person("Ada", email="ada@example.com"))
        bob.tag  # noqa: B018  # makes the tag
        bob.crm_tag(one)
        ann.run()
        bob.run()
        ann.pass_time()
        ann.book.edit(ann.remote_of(one), title="Countess")
        ann.run()
        bob.run()
        assert bob.book.cards[bob.remote_of(one)].body.title == "Countess"


@pytest.mark.parametrize("erase", [False, True])
def test_removing_an_account_forgets_the_pairs_and_touches_nothing_at_the_provider(
    world: ContactWorld, erase: bool
) -> None:
    mine = world.crm_add(person("Mine", email="mine@example.com"))
    world.run()
    world.book.add(person("Theirs", email="theirs@example.com"), world.group)
    world.run()
    before = {one: set(card.groups) for one, card in world.book.cards.items()}
    receipt = remove(world.app, world.who.workspace_id, world.account, erase=erase)
    assert (receipt.records_unlinked, receipt.contacts_erased) == (2, 1 if erase else 0)
    assert before == {one: set(card.groups) for one, card in world.book.cards.items()}
    with world.app.db.reading() as session:
        for table in (LinkRow, SentRow, RemoteKeyRow):
            assert session.scalar(select(func.count()).select_from(table)) == 0
        assert session.scalar(select(func.count()).select_from(HistoryRow)) == (0 if erase else 2)
        left = set(session.scalars(select(ContactRow.name)))
    assert left == ({"Mine"} if erase else {"Mine", "Theirs"})
    assert mine in world.contacts()
