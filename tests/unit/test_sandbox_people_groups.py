"""The People double's contact groups: titles, members, tokens, and the rules of Google's own groups.
The world and the check of every answer are in test_sandbox_people_fidelity."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.test_sandbox_people_fidelity import World, new_world, refused

BOB = {"names": [{"givenName": "Bob"}]}
MY_CONTACTS = "contactGroups/myContacts"
STARRED = "contactGroups/starred"
GARBAGE = (400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
GONE = (404, "NOT_FOUND", "Requested entity was not found.")


@pytest.fixture
def world() -> World:
    return new_world()


def groups(world: World, **params: Any) -> dict[str, Any]:
    answer: dict[str, Any] = world.client.contactGroups().list(**params).execute()
    return answer


def names(world: World, **params: Any) -> list[str]:
    return [group["resourceName"] for group in groups(world, **params).get("contactGroups", [])]


def get(world: World, group: str, **params: Any) -> dict[str, Any]:
    answer: dict[str, Any] = world.client.contactGroups().get(resourceName=group, **params).execute()
    return answer


def rename(world: World, group: str, title: str, **more: Any) -> dict[str, Any]:
    body = {"contactGroup": {"name": title, **more}}
    answer: dict[str, Any] = world.client.contactGroups().update(resourceName=group, body=body).execute()
    return answer


# ---- titles ----------------------------------------------------------------------------------------------


def test_google_has_eight_groups_of_its_own_with_names_in_the_users_language(world: World) -> None:
    world.knobs.formatted_names = {STARRED: "Markiert"}
    found = {group["resourceName"]: group for group in groups(world)["contactGroups"]}
    assert len(found) == 8
    assert {group["groupType"] for group in found.values()} == {"SYSTEM_CONTACT_GROUP"}
    assert (found[STARRED]["name"], found[STARRED]["formattedName"]) == ("starred", "Markiert")


def test_a_group_of_the_user_carries_etag_time_and_its_title_twice(world: World) -> None:
    group = get(world, world.group("CRM"))
    assert group["etag"]
    assert group["metadata"] == {"updateTime": "2026-05-04T10:00:00Z"}
    assert (group["groupType"], group["name"], group["formattedName"]) == ("USER_CONTACT_GROUP", "CRM", "CRM")


@pytest.mark.parametrize(("knob", "status"), [(409, "ALREADY_EXISTS"), (400, "FAILED_PRECONDITION")])
def test_a_title_that_is_taken_is_refused_with_409_or_400(world: World, knob: Any, status: str) -> None:
    world.knobs.duplicate_group_status = knob
    other = world.group("Other")
    world.group("CRM")
    assert refused(lambda: world.group("CRM")) == (knob, status, "Contact group name already exists")
    assert refused(lambda: rename(world, other, "CRM"))[:2] == (knob, status)
    assert rename(world, other, "Other")["name"] == "Other"


@pytest.mark.parametrize("title", ["", "  "])
def test_a_group_needs_a_title(world: World, title: str) -> None:
    assert refused(lambda: world.group(title))[:2] == (400, "INVALID_ARGUMENT")


def test_a_renamed_group_keeps_its_resource_name_and_members(world: World) -> None:
    group, name = world.group("CRM"), world.book.add(BOB)
    world.modify(group, [name])
    etag = get(world, group)["etag"]
    assert rename(world, group, "Clients", etag=etag)["resourceName"] == group
    assert get(world, group, maxMembers=10)["memberResourceNames"] == [name]
    assert refused(lambda: rename(world, group, "Again", etag=etag))[1] == "FAILED_PRECONDITION"


def test_a_group_made_again_under_the_same_title_is_another_one(world: World) -> None:
    group = world.group("CRM")
    world.client.contactGroups().delete(resourceName=group).execute()
    assert world.group("CRM") != group
    assert refused(lambda: get(world, group)) == GONE


def test_groups_of_google_can_be_neither_renamed_nor_deleted(world: World) -> None:
    assert refused(lambda: rename(world, STARRED, "Stars"))[0] == 400
    assert refused(lambda: world.client.contactGroups().delete(resourceName=STARRED).execute())[0] == 400


def test_client_data_of_a_group_is_kept_and_shown_if_asked_for(world: World) -> None:
    data = [{"key": "crm", "value": "7"}]
    body = {"contactGroup": {"name": "CRM", "clientData": data}, "readGroupFields": "clientData"}
    made = world.client.contactGroups().create(body=body).execute()
    assert made.keys() == {"resourceName", "etag", "clientData"}
    assert "clientData" not in get(world, made["resourceName"])
    assert get(world, made["resourceName"], groupFields="clientData")["clientData"] == data


def test_unknown_fields_and_masks_of_groups_are_refused(world: World) -> None:
    create = world.client.contactGroups().create
    assert refused(lambda: create(body={"contactGroup": {"title": "CRM"}}).execute())[0] == 400
    assert refused(lambda: groups(world, groupFields="names"))[0] == 400
    body = {"contactGroup": {"name": "X"}, "updateGroupFields": "memberCount"}
    update = world.client.contactGroups().update
    assert refused(lambda: update(resourceName=world.group(), body=body).execute())[0] == 400


# ---- members ---------------------------------------------------------------------------------------------


def test_adding_and_removing_again_changes_nothing_and_says_nothing(world: World) -> None:
    group, name = world.group(), world.book.add(BOB)
    assert world.modify(group, [name]) == world.modify(group, [name]) == {}
    assert world.book.members(group) == [name]
    token = world.page()["nextSyncToken"]
    world.modify(group, [name])
    assert world.names(syncToken=token) == []
    assert world.modify(group, remove=[name]) == world.modify(group, remove=[name]) == {}


def test_the_last_group_of_a_contact_cannot_be_taken_away(world: World) -> None:
    group = world.group()
    only, both = world.book.add(BOB, [group], my_contacts=False), world.book.add(BOB, [group])
    assert world.modify(group, remove=[only, both]) == {"canNotRemoveLastContactGroupResourceNames": [only]}
    assert world.book.members(group) == [only]
    world.modify(MY_CONTACTS, [only])
    assert world.modify(group, remove=[only]) == {}


def test_unknown_contacts_are_told_and_the_others_are_done(world: World) -> None:
    group, name, gone = world.group(), world.book.add(BOB), world.book.add(BOB)
    world.book.delete(gone)
    assert world.modify(group, [name, gone, "people/c1"]) == {"notFoundResourceNames": [gone, "people/c1"]}
    assert world.book.members(group) == [name]


def test_members_are_added_to_no_system_group_but_my_contacts_and_starred(world: World) -> None:
    name = world.book.add(BOB)
    world.modify(STARRED, [name])
    assert refused(lambda: world.modify("contactGroups/friends", [name]))[:2] == (400, "INVALID_ARGUMENT")
    assert world.modify("contactGroups/friends", remove=[name]) == {}
    membership = [{"contactGroupMembership": {"contactGroupResourceName": "contactGroups/family"}}]
    assert refused(lambda: world.create(memberships=membership))[0] == 400


def test_a_thousand_names_can_be_changed_at_once_and_not_one_more(world: World) -> None:
    group = world.group()
    people = [world.book.add(BOB) for _ in range(1000)]
    assert world.modify(group, people[:600], people[600:]) == {}
    assert refused(lambda: world.modify(group, people[:600], [*people[600:], "people/c1"]))[0] == 400


def test_members_are_shown_only_as_many_as_asked_for(world: World) -> None:
    group = world.group()
    people = [world.book.add(BOB, [group]) for _ in range(3)]
    assert "memberResourceNames" not in get(world, group)
    assert get(world, group)["memberCount"] == 3
    assert get(world, group, maxMembers=2)["memberResourceNames"] == people[:2]
    assert "memberCount" not in get(world, STARRED)


def test_a_new_group_refuses_members_for_a_moment(world: World) -> None:
    world.knobs.group_settle = 2
    group, name = world.group(), world.book.add(BOB)
    membership = [{"contactGroupMembership": {"contactGroupResourceName": group}}]
    assert refused(lambda: world.modify(group, [name])) == GONE
    assert refused(lambda: world.create(memberships=membership))[0] == 400
    world.clock.advance(2)
    assert world.modify(group, [name]) == {}


def test_a_deleted_group_has_no_members_to_modify(world: World) -> None:
    group, name = world.group(), world.book.add(BOB)
    world.book.delete_label(group)
    assert refused(lambda: world.modify(group, [name])) == GONE


def test_deleting_a_group_leaves_its_contacts_in_another_group(world: World) -> None:
    group = world.group()
    only, both = world.book.add(BOB, [group], my_contacts=False), world.book.add(BOB, [group])
    token = world.page()["nextSyncToken"]
    assert world.client.contactGroups().delete(resourceName=group).execute() == {}
    assert world.book.members(MY_CONTACTS) == [both, only]
    assert set(world.names(syncToken=token)) == {only, both}


# ---- lists -----------------------------------------------------------------------------------------------


def test_by_default_a_page_has_30_groups_and_the_last_one_a_sync_token(world: World) -> None:
    for number in range(30):
        world.group(f"Label {number}")
    first = groups(world)
    assert len(first["contactGroups"]) == 30
    assert "nextSyncToken" not in first
    second = groups(world, pageToken=first["nextPageToken"])
    assert (len(second["contactGroups"]), second["totalItems"]) == (8, 38)
    assert "nextSyncToken" in second
    assert refused(lambda: groups(world, pageToken=first["nextPageToken"], pageSize=10)) == GARBAGE
    assert refused(lambda: groups(world, pageSize=1001))[0] == 400


def test_group_changes_and_tombstones_come_by_sync_token(world: World) -> None:
    renamed, gone = world.group("One"), world.group("Two")
    token = groups(world)["nextSyncToken"]
    rename(world, renamed, "First")
    world.book.delete_label(gone)
    new = world.group("Three")
    answer = groups(world, syncToken=token)
    assert [group["resourceName"] for group in answer["contactGroups"]] == [renamed, gone, new]
    assert answer["contactGroups"][1]["metadata"]["deleted"] is True
    assert names(world, syncToken=answer["nextSyncToken"]) == []
    assert gone not in names(world)


def test_group_tokens_age_and_are_bound_like_those_of_contacts(world: World) -> None:
    token = groups(world)["nextSyncToken"]
    for wrong in (partial(groups, world, syncToken="x"), partial(groups, world, syncToken=token, pageSize=5)):
        assert refused(wrong) == GARBAGE
    assert refused(lambda: groups(world, syncToken=world.page()["nextSyncToken"])) == GARBAGE
    world.clock.advance(8 * 86_400)
    assert refused(lambda: groups(world, syncToken=token))[2].startswith("Sync token is expired.")


def test_the_list_of_groups_may_lag_while_get_does_not(world: World) -> None:
    world.knobs.group_list_lag = 30
    group = world.group()
    assert get(world, group)["resourceName"] == group
    assert group not in names(world)
    world.clock.advance(30)
    assert group in names(world)


def test_many_groups_are_got_in_one_call(world: World) -> None:
    group = world.group()
    batch_get = world.client.contactGroups().batchGet
    answer = batch_get(resourceNames=[group, "contactGroups/none"], maxMembers=5).execute()
    assert answer["responses"][0]["contactGroup"]["name"] == "CRM"
    assert answer["responses"][1]["status"]["code"] == 5
    assert refused(lambda: batch_get(resourceNames=[group] * 201).execute())[0] == 400
