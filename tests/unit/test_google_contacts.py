"""Google Contacts as the remote side: listing, cursor, group, counted calls. In this process, on the People double."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import providers.google
from core.contact import Contact, Entry
from core.errors import CursorExpired, Misconfigured, NeedsRelink, Throttled, Transient, TwinboxError
from core.ports import RemoteReplica
from core.replica import Scope
from providers.google.contacts import GoogleContacts
from tests.support.google_people import (
    GET,
    GROUP,
    GROUPS,
    LIST,
    PeopleWorld,
    creation,
    done,
    new_group_world,
    only,
    rewrite,
)

ANN = {"names": [{"givenName": "Ann", "familyName": "Lee"}], "emailAddresses": [{"value": "ann@example.com"}]}
BOB = {"names": [{"givenName": "Bob"}]}


def test_it_is_a_remote_replica() -> None:
    replica: RemoteReplica[Contact] = PeopleWorld().contacts()
    assert replica.batch == 200
    assert replica.skew == 0
    replica.close()


# ---- listing ---------------------------------------------------------------------------------------------


def test_the_first_listing_has_everybody_and_says_who_is_in_the_group() -> None:
    world, contacts, scope = new_group_world()
    ann, bob = world.book.add(ANN, [scope.id]), world.book.add(BOB)
    delta = contacts.changes(None)
    assert delta.complete
    assert delta.scope == scope
    assert {one: item.selected for one, item in delta.items.items()} == {ann: True, bob: False}
    item = delta.items[ann]
    assert item.body == Contact(given_name="Ann", family_name="Lee", emails=(Entry("ann@example.com", "", True),))
    source = world.book.person(ann)["metadata"]["sources"][0]
    assert item.stamp == (source["etag"], world.clock.now())
    assert json.loads(json.dumps(item.extra)) == item.extra


def test_a_run_without_changes_makes_two_calls() -> None:
    world, contacts, scope = new_group_world()
    world.book.add(ANN, [scope.id])
    first = contacts.changes(None)
    with world.counted() as calls:
        second = world.contacts(scope).changes(first.cursor)
    assert calls == {"contactGroups.list": 1, "connections.list": 1}
    assert not second.items
    assert not second.complete
    assert second.scope == scope


def test_a_listing_of_changes_has_only_those_and_tells_of_deletions() -> None:
    world, contacts, scope = new_group_world()
    ann, bob = world.book.add(ANN, [scope.id]), world.book.add(BOB, [scope.id])
    cursor = contacts.changes(None).cursor
    world.book.edit(ann, {"names": [{"givenName": "Anna"}]})
    world.book.delete(bob)
    delta = contacts.changes(cursor)
    assert only(delta).body.given_name == "Anna"
    assert delta.gone == {bob}
    assert not contacts.changes(delta.cursor).items


def test_leaving_the_group_is_a_change_whatever_moves_with_it() -> None:
    world, contacts, scope = new_group_world(label_moves_etag=False)
    ann = world.book.add(ANN, [scope.id])
    cursor = contacts.changes(None).cursor
    world.book.take_from(scope.id, ann)
    assert not only(contacts.changes(cursor)).selected


def test_twenty_five_thousand_contacts_take_twenty_five_pages_and_one_call_for_groups() -> None:
    world, contacts, scope = new_group_world()
    for number in range(25_000):
        world.book.add({"names": [{"givenName": f"n{number}"}]}, [scope.id] if number % 2 else [])
    with world.counted() as calls:
        delta = contacts.changes(None)
    assert calls == {"contactGroups.list": 1, "connections.list": 25}
    assert len(delta.items) == 25_000
    assert sum(item.selected for item in delta.items.values()) == 12_500


def test_a_listing_that_breaks_off_in_the_middle_reports_nothing() -> None:
    world, contacts, _ = new_group_world()
    for number in range(2500):
        world.book.add({"names": [{"givenName": f"n{number}"}]})
    pages = 0

    def third_page_fails(operation: str, _who: str) -> None:
        nonlocal pages
        pages += operation == "connections.list"
        if pages == 2:
            world.faults.next(LIST, status=503)

    world.knobs.on_call = third_page_fails
    with pytest.raises(Transient):
        contacts.changes(None)
    world.knobs.on_call = None
    assert len(contacts.changes(None).items) == 2500


def test_a_page_token_that_leads_in_a_circle_is_noticed() -> None:
    world, contacts, _ = new_group_world()
    world.faults.next(LIST, times=None, json={"connections": [], "nextPageToken": "again"})
    with pytest.raises(Transient, match="circle"):
        contacts.changes(None)


@pytest.mark.parametrize(
    "answer",
    [
        {"html": "<html>"},
        {"json": []},
        {"json": {"connections": {}}},
        {"json": {"connections": ["x"]}},
        {"body": b"\xff"},
    ],
)
def test_a_good_status_with_something_else_behind_it_is_no_empty_address_book(answer: dict[str, Any]) -> None:
    world, contacts, _ = new_group_world()
    world.faults.next(LIST, **{"status": 200, **answer})
    with pytest.raises(Transient):
        contacts.changes(None)


def test_strange_persons_are_passed_over() -> None:
    world, contacts, _ = new_group_world()
    strange = [{}, {"resourceName": 5}, {"resourceName": "people/1"}, {"resourceName": "people/2", "metadata": []}]
    world.faults.next(LIST, json={"connections": strange, "nextSyncToken": "x"})
    assert not contacts.changes(None).items


def test_our_id_comes_back_as_origin() -> None:
    _, contacts, _ = new_group_world()
    done(contacts.write([creation("local-7", Contact(given_name="Ann"))]))
    assert only(contacts.changes(None)).origin == "local-7"


def test_a_contact_that_got_another_name_is_reported_as_renamed() -> None:
    world, contacts, scope = new_group_world()
    old = world.book.add(ANN, [scope.id])
    cursor = contacts.changes(None).cursor
    new = world.book.link_profile(old, "ann@profile.example", rename=True)
    delta = contacts.changes(cursor)
    assert delta.renamed == {old: new}
    assert only(delta).body.emails == (Entry("ann@example.com", "", True),)  # nothing of the profile
    assert contacts.get([old]).renamed == {old: new}


def test_merged_contacts_are_renamed_to_the_survivor() -> None:
    world, contacts, scope = new_group_world()
    ann, bob = world.book.add(ANN, [scope.id]), world.book.add(BOB, [scope.id])
    cursor = contacts.changes(None).cursor
    world.book.merge(ann, bob)
    delta = contacts.changes(cursor)
    assert delta.renamed == {bob: ann}
    assert set(delta.items) == {ann}


def test_a_person_with_more_values_than_a_list_shows_is_read_whole() -> None:
    world, contacts, scope = new_group_world()
    numbers = [{"value": f"+49 30 {number:04}"} for number in range(130)]
    world.book.add({"phoneNumbers": numbers}, [scope.id])
    item = only(contacts.changes(None))
    assert len(item.extra["fields"]["phoneNumbers"]) == 130
    done(contacts.write([rewrite(item, replace(item.body, phones=item.body.phones[:50]))]))
    assert len(next(iter(world.book.persons().values()))["phoneNumbers"]) == 80  # the 30 unseen ones are still there


# ---- cursor ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["INVALID_ARGUMENT", "FAILED_PRECONDITION"])
def test_a_token_past_its_age_asks_for_a_new_beginning(status: Any) -> None:
    world, contacts, _ = new_group_world(sync_token_status=status)
    cursor = contacts.changes(None).cursor
    world.clock.advance(timedelta(days=8).total_seconds())
    with pytest.raises(CursorExpired):
        contacts.changes(cursor)
    assert contacts.changes(None).complete


@pytest.mark.parametrize("route", [LIST, GROUPS])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "Request contains an invalid argument.", "status": "INVALID_ARGUMENT"}),
        (410, {"message": "Sync token is expired."}),
    ],
)
def test_any_refusal_of_a_token_asks_for_a_new_beginning(route: str, status: int, error: dict[str, Any]) -> None:
    world, contacts, _ = new_group_world()
    cursor = contacts.changes(None).cursor
    world.faults.next(route, status=status, json={"error": {"code": status, **error}})
    with pytest.raises(CursorExpired):
        contacts.changes(cursor)


def test_a_refusal_without_a_token_is_no_expired_cursor() -> None:
    world, contacts, _ = new_group_world()
    error = {"code": 400, "message": "Invalid personFields mask path", "status": "INVALID_ARGUMENT"}
    world.faults.next(LIST, status=400, json={"error": error})
    with pytest.raises(Misconfigured):
        contacts.changes(None)


@pytest.mark.parametrize("cursor", ["nonsense", "[]", "{}", '{"for": "x", "people": "p", "groups": "g"}', "[" * 10_000])
def test_a_cursor_that_is_not_ours_is_expired(cursor: str) -> None:
    with pytest.raises(CursorExpired):
        PeopleWorld().contacts().changes(cursor)


def test_a_cursor_of_another_field_list_or_group_is_expired() -> None:
    world, contacts, _ = new_group_world()
    cursor = contacts.changes(None).cursor
    other = json.dumps({**json.loads(cursor), "for": "0123456789abcdef"})
    with pytest.raises(CursorExpired):
        contacts.changes(other)
    with pytest.raises(CursorExpired):
        world.contacts(Scope("contactGroups/another", "Another")).changes(cursor)


# ---- the group -------------------------------------------------------------------------------------------


def test_a_group_is_found_by_its_name_first_exactly_then_in_other_case() -> None:
    world = PeopleWorld()
    lower = world.book.add_label("crm")
    assert world.contacts().changes(None).scope == Scope(lower, "crm")
    exact = world.book.add_label(GROUP)
    ann = world.book.add(ANN, [exact])
    delta = world.contacts().changes(None)
    assert delta.scope == Scope(exact, GROUP)
    assert delta.items[ann].selected


def test_without_a_group_nobody_is_selected_and_there_is_no_scope() -> None:
    world = PeopleWorld()
    world.book.add(ANN)
    delta = world.contacts().changes(None)
    assert delta.scope is None
    assert not only(delta).selected
    made = world.contacts().make_scope(GROUP)
    assert world.contacts(made).changes(delta.cursor).scope == made  # and the cursor is still good


def test_a_group_that_turns_up_by_name_later_is_read_from_the_beginning() -> None:
    world = PeopleWorld()
    cursor = world.contacts().changes(None).cursor
    world.book.add_label(GROUP)
    with pytest.raises(CursorExpired):
        world.contacts().changes(cursor)


def test_a_renamed_group_is_followed() -> None:
    world, contacts, scope = new_group_world()
    cursor = contacts.changes(None).cursor
    world.book.rename_label(scope.id, "Customers")
    world.book.add_label(GROUP)  # somebody else takes the old name
    assert contacts.changes(cursor).scope == Scope(scope.id, "Customers")
    assert world.contacts(scope).changes(None).scope == Scope(scope.id, "Customers")


def test_a_deleted_group_is_none_and_stays_none() -> None:
    world, contacts, scope = new_group_world()
    world.book.add(ANN, [scope.id])
    cursor = contacts.changes(None).cursor
    world.book.delete_label(scope.id)
    delta = world.contacts(scope).changes(cursor)
    assert delta.scope is None
    assert world.contacts(scope).changes(delta.cursor).scope is None  # Google tells of it only once
    assert world.contacts(scope).changes(None).scope is None


@pytest.mark.parametrize("status", [409, 400])
@pytest.mark.parametrize("title", [GROUP, "crm"])
def test_a_group_of_that_name_is_taken_over(status: Any, title: str) -> None:
    world = PeopleWorld()
    world.knobs.duplicate_group_status = status
    for number in range(40):
        world.book.add_label(f"label {number}")
    label = world.book.add_label(title)
    if title != GROUP:  # names that differ in case only may count as the same
        error = {"code": status, "message": "Contact group name already exists", "status": "FAILED_PRECONDITION"}
        world.faults.next("POST /v1/contactGroups", status=status, json={"error": error})
    assert world.contacts().make_scope(GROUP) == Scope(label, title)


def test_a_group_name_google_does_not_take_is_for_the_administrator() -> None:
    world = PeopleWorld()
    with pytest.raises(Misconfigured, match="name"):
        world.contacts().make_scope("  ")


def test_making_a_group_whose_answer_was_lost_finds_it_again() -> None:
    world = PeopleWorld()
    world.faults.next("POST /v1/contactGroups", drop="after")
    with pytest.raises(Transient):
        world.contacts().make_scope(GROUP)
    assert world.contacts().make_scope(GROUP).name == GROUP
    assert len(world.book.groups()) == 1


# ---- reading by name -------------------------------------------------------------------------------------


def test_contacts_are_read_two_hundred_at_a_time_and_unknown_ones_are_gone() -> None:
    world, contacts, scope = new_group_world()
    known = [world.book.add(BOB, [scope.id]) for _ in range(450)]
    gone = world.book.add(ANN)
    world.book.delete(gone)
    with world.counted() as calls:
        delta = contacts.get([*known, gone, "people/c1"])
    assert calls == {"people.batchGet": 3}
    assert set(delta.items) == set(known)
    assert delta.gone == {gone, "people/c1"}
    assert not delta.complete
    assert all(item.selected for item in delta.items.values())


def test_an_answer_that_leaves_contacts_out_says_nothing_about_them() -> None:
    world, contacts, _ = new_group_world()
    ann = world.book.add(ANN)
    world.faults.next(GET, json={})
    with pytest.raises(Transient):
        contacts.get([ann])


# ---- trouble with the account ----------------------------------------------------------------------------


def test_a_disabled_api_is_for_the_administrator() -> None:
    world, contacts, _ = new_group_world(service_disabled=False)
    world.knobs.service_disabled = True
    with pytest.raises(Misconfigured, match="People API"):
        contacts.changes(None)


def test_a_quota_is_a_pause() -> None:
    _, contacts, _ = new_group_world(full_syncs_per_minute=1)
    contacts.changes(None)
    with pytest.raises(Throttled) as caught:
        contacts.changes(None)
    assert caught.value.retry_after == 60


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"status": 401, "json": {"error": {"code": 401, "status": "UNAUTHENTICATED"}}}, NeedsRelink),
        ({"status": 403, "html": "<html>proxy</html>"}, Transient),
        ({"status": 503, "html": "<html>"}, Transient),
        ({"drop": "before"}, Transient),
    ],
)
def test_every_call_translates_what_goes_wrong(answer: dict[str, Any], expected: type[TwinboxError]) -> None:
    world, contacts, _ = new_group_world()
    world.faults.next(GROUPS, **answer)
    with pytest.raises(expected):
        contacts.changes(None)


# ---- clocks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead", "expected"), [(0, 0), (300, 300), (-300, -300), (0.4, 0.4)])
def test_the_clock_of_google_is_compared_with_ours(ahead: float, expected: float) -> None:
    world = PeopleWorld()
    contacts: GoogleContacts = world.contacts(now=lambda: world.clock.now() - timedelta(seconds=ahead))
    contacts.changes(None)
    assert contacts.skew == pytest.approx(expected, abs=0.6)


# ---- what is never done ----------------------------------------------------------------------------------


def test_nothing_in_the_package_can_delete() -> None:
    """Delete and leave never delete: no call of Google that does so is named anywhere but for events, which a calendar
    cancels that way."""
    folder = Path(providers.google.__file__).parent
    words = {
        word
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for word in (getattr(node, "attr", ""), getattr(node, "value", ""), getattr(node, "arg", ""))
        if isinstance(word, str) and not (word == "delete" and path.name.startswith("calendar_"))
    }
    assert not words & {"deleteContact", "batchDeleteContacts", "delete", "deleteContacts", "deleteContactPhoto"}


def test_the_client_has_no_way_to_delete() -> None:
    contacts = PeopleWorld().contacts()
    for resource in (contacts._client.people, contacts._client.groups, contacts._client.members):
        assert not [name for name in dir(resource) if "delete" in name.lower() and not name.startswith("__")]
