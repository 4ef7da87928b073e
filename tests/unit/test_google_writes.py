"""Writing to Google Contacts: batches and their outcomes, stale versions, members of the group, lost answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.contact import Contact, Entry
from core.errors import Misconfigured, NeedsRelink, Throttled, Transient
from core.replica import Done, Failed, Item, Scope
from providers.google.contacts import GoogleContacts
from tests.support.google_people import (
    CREATE,
    MODIFY,
    UPDATE,
    PeopleWorld,
    creation,
    done,
    new_group_world,
    only,
    rewrite,
    sorted_out,
)

MINE = "contactGroups/myContacts"
ANN = {
    "names": [{"givenName": "Ann"}],
    "phoneNumbers": [{"value": "1", "type": "boat"}],
    "relations": [{"person": "Bob", "type": "spouse"}],
    "userDefined": [{"key": "Shoe size", "value": "38"}],
}


def person(number: int) -> Contact:
    return Contact(given_name=f"n{number:04}")


def filled(count: int, **knobs: Any) -> tuple[PeopleWorld, GoogleContacts, Scope, list[Item[Contact]]]:
    """A group with `count` contacts, as just listed."""
    world, contacts, scope = new_group_world(**knobs)
    for number in range(count):
        world.book.add({"names": [{"givenName": f"n{number:04}"}]}, [scope.id])
    return world, contacts, scope, list(contacts.changes(None).items.values())


# ---- creating --------------------------------------------------------------------------------------------


def test_new_contacts_are_in_the_group_and_in_my_contacts() -> None:
    world, contacts, scope = new_group_world()
    made = done(contacts.write([creation("c-1", Contact(given_name="Ann", notes="hi"))]))["c-1"]
    stored = world.book.stored()[made.id]
    assert stored["labels"] == [MINE, scope.id]
    assert list(stored["clientData"]) == [{"key": "twinbox", "value": "c-1"}]
    assert made.selected
    assert made.origin == "c-1"
    assert made == only(contacts.changes(None))


def test_creations_go_two_hundred_a_call() -> None:
    world, contacts, _ = new_group_world()
    with world.counted() as calls:
        made = done(contacts.write([creation(f"c-{number}", person(number)) for number in range(450)]))
    assert calls == {"people.batchCreateContacts": 3}
    assert all(item.origin == key for key, item in made.items())
    assert made["c-7"].body == person(7)


def test_one_refused_creation_does_not_hold_up_the_others() -> None:
    world, contacts, _ = new_group_world()
    bad = Contact(given_name="Bad", birthday=None)
    writes = [creation(f"c-{number}", person(number)) for number in range(20)]
    error = {
        "code": 400,
        "status": "INVALID_ARGUMENT",
        "message": "no",
        "details": [{"contactErrors": {"3": {"code": 3, "message": "no"}}}],
    }
    world.faults.next(CREATE, status=400, json={"error": error})
    good, refused = sorted_out(contacts.write([*writes, creation("bad", bad)]))
    assert refused == {"c-3": "ItemRejected"}
    assert len(good) == 20
    assert world.book.created_by_api == 20


def test_a_refusal_without_details_is_narrowed_down_by_halves() -> None:
    world, contacts, _ = new_group_world()
    error = {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}
    world.faults.next(CREATE, status=400, json={"error": error})
    with world.counted() as calls:
        made = done(contacts.write([creation(f"c-{number}", person(number)) for number in range(8)]))
    assert len(made) == 8
    assert calls == {"people.batchCreateContacts": 2}  # the refused one never got through to the counter
    world.faults.next(CREATE, status=400, json={"error": error})
    assert sorted_out(contacts.write([creation("x", person(1))]))[1] == {"x": "ItemRejected"}


def test_a_full_address_book_is_told_after_everything_else_was_written() -> None:
    world, contacts, _, items = filled(3, contact_limit=3)
    outcomes = contacts.write([creation("c", person(9)), *(rewrite(item, person(5)) for item in items)])
    assert [outcome.key for outcome in (next(outcomes) for _ in items)] == [item.id for item in items]
    with pytest.raises(Misconfigured, match="25,000"):
        next(outcomes)
    assert len(world.book.persons()) == 3


def test_a_group_that_is_not_usable_yet_is_waited_for() -> None:
    world, contacts, scope = new_group_world(group_settle=3)
    made = done(contacts.write([creation("c", person(1))]))
    assert world.waited == [0.5, 1.0, 2.0]
    assert world.book.members(scope.id) == [made["c"].id]


def test_a_group_that_was_deleted_meanwhile_fails_nobody() -> None:
    world, contacts, scope, items = filled(1)
    world.book.delete_label(scope.id)
    with pytest.raises(Transient, match="group"):
        list(contacts.write([creation("c", person(1))]))
    with pytest.raises(Transient, match="group"):
        list(contacts.write([rewrite(items[0], None, selected=True)]))
    assert sum(world.waited) < 20


def test_nothing_can_join_a_group_that_does_not_exist() -> None:
    with pytest.raises(RuntimeError, match="make_scope"):
        list(PeopleWorld().contacts().write([creation("c", person(1))]))


# ---- changing texts --------------------------------------------------------------------------------------


def test_an_update_leaves_alone_what_the_crm_does_not_know() -> None:
    world, contacts, scope = new_group_world()
    other = world.book.add_label("Friends of mine")
    ann = world.book.add(ANN, [scope.id, other])
    item = only(contacts.changes(None))
    for turn in range(10):
        body = replace(item.body, given_name=f"Ann {turn}", emails=(Entry(f"{turn}@example.com", "home", True),))
        item = done(contacts.write([rewrite(item, body)]))[ann]
        assert item.body == body
    stored = world.book.stored()[ann]
    assert list(stored["relations"]) == ANN["relations"]
    assert list(stored["userDefined"]) == ANN["userDefined"]
    assert list(stored["phoneNumbers"]) == ANN["phoneNumbers"]
    assert stored["labels"] == [MINE, scope.id, other]


def test_a_thousand_updates_take_five_calls() -> None:
    world, contacts, _, items = filled(1000)
    writes = [
        rewrite(item, replace(item.body, notes="x", family_name="y" if number % 3 else ""))
        for number, item in enumerate(items)
    ]
    with world.counted() as calls:
        written = done(contacts.write(writes))
    assert calls == {"people.batchUpdateContacts": 5}
    assert {item.body for item in written.values()} == {write.body for write in writes if write.body}
    assert {item.stamp.version for item in written.values()}.isdisjoint({item.stamp.version for item in items})


def test_outcomes_come_batch_by_batch() -> None:
    world, contacts, _, items = filled(300)
    outcomes = contacts.write([rewrite(item, replace(item.body, notes="x")) for item in items])
    next(outcomes)
    assert world.api.calls["people.batchUpdateContacts"] == 1


def test_a_text_that_is_there_already_is_not_sent() -> None:
    world, contacts, _, items = filled(2)
    with world.counted() as calls:
        written = done(contacts.write([rewrite(item, item.body) for item in items]))
    assert not calls
    assert list(written.values()) == items


def test_a_contact_that_was_changed_meanwhile_is_a_conflict_and_the_rest_goes_on() -> None:
    world, contacts, _, items = filled(10)
    world.book.edit(items[4].id, {"names": [{"givenName": "Changed on the phone"}]})
    world.book.delete(items[7].id)
    good, bad = sorted_out(contacts.write([rewrite(item, replace(item.body, notes="x")) for item in items]))
    assert bad == {items[4].id: "VersionConflict", items[7].id: "RecordGone"}
    assert len(good) == 8
    assert world.book.stored()[items[4].id]["names"][0]["givenName"] == "Changed on the phone"


def test_a_version_that_moved_without_a_change_of_text_is_no_conflict() -> None:
    world, contacts, _, items = filled(3)
    world.book.touch(items[0].id)
    done(contacts.write([rewrite(items[1], None, selected=False)]))  # moves the etag as well
    with world.counted() as calls:
        written = done(contacts.write([rewrite(item, replace(item.body, notes="x")) for item in items]))
    assert calls == {"people.batchUpdateContacts": 3, "people.batchGet": 1}
    assert {item.body.notes for item in written.values()} == {"x"}
    assert [written[item.id].selected for item in items] == [True, False, True]


def test_etags_of_a_list_that_google_refuses_are_read_anew() -> None:
    world, contacts, _, items = filled(450, list_etags_refused=True)
    with world.counted() as calls:
        written = done(contacts.write([rewrite(item, replace(item.body, notes="x")) for item in items]))
    assert len(written) == 450
    assert calls == {"people.batchUpdateContacts": 4, "people.batchGet": 3}


def test_a_contact_that_keeps_changing_is_a_conflict_in_the_end() -> None:
    world, contacts, _, items = filled(1)

    def somebody_is_faster(operation: str, _who: str) -> None:
        if operation == "people.batchUpdateContacts":
            world.book.touch(items[0].id)

    world.knobs.on_call = somebody_is_faster
    assert sorted_out(contacts.write([rewrite(items[0], person(5))]))[1] == {items[0].id: "VersionConflict"}


def test_a_refused_update_is_narrowed_down_by_halves() -> None:
    world, contacts, _, items = filled(8)
    error = {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}
    world.faults.next(UPDATE, times=4, status=400, json={"error": error})
    good, bad = sorted_out(contacts.write([rewrite(item, replace(item.body, notes="x")) for item in items]))
    assert list(bad.values()) == ["ItemRejected"]
    assert len(good) == 7


def test_without_what_was_read_a_contact_is_read_before_it_is_written() -> None:
    world, contacts, _, items = filled(3)
    world.book.edit(items[1].id, {"names": [{"givenName": "Other"}]})
    world.book.delete(items[2].id)
    writes = [replace(rewrite(item, person(7)), extra={}) for item in items]
    good, bad = sorted_out(contacts.write(writes))
    assert good[items[0].id].body == person(7)
    assert bad == {items[1].id: "VersionConflict", items[2].id: "RecordGone"}


# ---- members of the group --------------------------------------------------------------------------------


def test_members_move_a_thousand_a_call_and_keep_their_stamp() -> None:
    world, contacts, scope, items = filled(1200)
    with world.counted() as calls:
        left = done(contacts.write([rewrite(item, None, selected=False) for item in items]))
    assert calls == {"members.modify": 2}
    assert world.book.members(scope.id) == []
    assert len(world.book.persons()) == 1200
    assert [left[item.id] for item in items] == [replace(item, selected=False) for item in items]
    done(contacts.write([rewrite(item, None, selected=True) for item in items[:5]]))
    assert len(world.book.members(scope.id)) == 5


def test_a_contact_leaves_its_last_group_by_way_of_my_contacts() -> None:
    world, contacts, scope = new_group_world()
    ann = world.book.add(ANN, [scope.id], my_contacts=False)
    done(contacts.write([rewrite(only(contacts.changes(None)), None, selected=False)]))
    assert world.book.stored()[ann]["labels"] == [MINE]


def test_a_contact_google_does_not_let_go_fails_alone() -> None:
    world, contacts, scope, items = filled(2)
    stuck = {"canNotRemoveLastContactGroupResourceNames": [items[0].id], "notFoundResourceNames": [items[1].id]}
    world.faults.next(f"POST /v1/{scope.id}/members:modify", times=2, json=stuck)
    _, bad = sorted_out(contacts.write([rewrite(item, None, selected=False) for item in items]))
    assert bad == {items[0].id: "ItemRejected", items[1].id: "RecordGone"}


def test_a_text_and_a_membership_of_one_write_are_one_outcome() -> None:
    world, contacts, scope, items = filled(2)
    world.book.take_from(scope.id, items[0].id)
    items = list(contacts.changes(None).items.values())
    written = done(contacts.write([rewrite(item, replace(item.body, notes="x"), selected=True) for item in items]))
    assert all(item.selected and item.body.notes == "x" for item in written.values())
    assert len(world.book.members(scope.id)) == 2
    unknown = {"notFoundResourceNames": [items[0].id]}
    world.faults.next(f"POST /v1/{scope.id}/members:modify", json=unknown)
    writes = [rewrite(item, replace(item.body, notes="y"), selected=True) for item in written.values()]
    good, bad = sorted_out(contacts.write(writes))
    assert bad == {items[0].id: "RecordGone"}
    assert set(good) == {items[1].id}


# ---- answers that do not come ----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"status": 502, "html": "<html>", "apply": True}])
def test_a_lost_answer_to_a_creation_ends_the_call_and_sends_nothing_again(fault: dict[str, Any]) -> None:
    world, contacts, _ = new_group_world()
    world.faults.next(CREATE, **fault)
    outcomes: list[Done[Contact] | Failed] = []
    with pytest.raises(Transient):
        outcomes.extend(contacts.write([creation(f"c-{number}", person(number)) for number in range(300)]))
    assert outcomes == []
    assert world.book.created_by_api == 200
    found = contacts.changes(None)  # and its id tells whose it is
    assert {item.origin for item in found.items.values()} == {f"c-{number}" for number in range(200)}


def test_a_lost_answer_to_an_update_ends_the_call() -> None:
    world, contacts, _, items = filled(300)
    outcomes = contacts.write([rewrite(item, replace(item.body, notes="x")) for item in items])
    first = [next(outcomes) for _ in range(200)]
    world.faults.next(UPDATE, drop="after")
    with pytest.raises(Transient):
        next(outcomes)
    assert all(isinstance(outcome, Done) for outcome in first)
    assert world.api.calls["people.batchUpdateContacts"] == 2


@pytest.mark.parametrize("answer", [{"json": {}}, {"json": {"createdPeople": []}}, {"json": []}, {"html": "<p>"}])
def test_an_answer_that_tells_nothing_leaves_a_creation_unknown(answer: dict[str, Any]) -> None:
    world, contacts, _ = new_group_world()
    world.faults.next(CREATE, **{"status": 200, "apply": True, **answer})
    with pytest.raises(Transient):
        list(contacts.write([creation("c", person(1))]))


def test_an_update_google_says_nothing_of_is_unknown_and_the_others_are_done() -> None:
    world, contacts, _, items = filled(2)
    told = world.book.person(items[0].id)
    world.faults.next(UPDATE, json={"updateResult": {items[0].id: {"person": told}}})
    outcomes = contacts.write([rewrite(item, replace(item.body, notes="x")) for item in items])
    assert isinstance(next(outcomes), Done)
    with pytest.raises(Transient):
        next(outcomes)


def test_single_items_of_a_good_answer_may_have_failed() -> None:
    world, contacts, _, items = filled(1)
    status = {"code": 5, "message": "Requested entity was not found."}
    world.faults.next(UPDATE, json={"updateResult": {items[0].id: {"status": status}}})
    assert sorted_out(contacts.write([rewrite(items[0], person(5))]))[1] == {items[0].id: "RecordGone"}


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (429, {"status": "RESOURCE_EXHAUSTED"}, Throttled),
        (401, {"status": "UNAUTHENTICATED"}, NeedsRelink),
        (503, {"status": "UNAVAILABLE"}, Transient),
    ],
)
def test_trouble_with_the_account_ends_the_call(status: int, error: dict[str, Any], expected: type[Exception]) -> None:
    for route in (CREATE, UPDATE, MODIFY):
        world, contacts, _, items = filled(1)
        world.faults.next(route, status=status, json={"error": {"code": status, **error}})
        with pytest.raises(expected):
            list(contacts.write([rewrite(items[0], person(5), selected=False), creation("c", person(1))]))


def test_calls_never_overlap() -> None:
    world, contacts, _, items = filled(300)
    writes = [rewrite(item, replace(item.body, notes="x"), selected=True) for item in items]
    done(contacts.write([*writes, creation("c", person(1))]))
    assert world.api.violations == []
