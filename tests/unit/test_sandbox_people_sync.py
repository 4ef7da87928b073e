"""The People double's list calls: pages, sync tokens, tombstones, moved names, and what arrives late.
The world and the check of every answer are in test_sandbox_people_fidelity."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.test_sandbox_people_fidelity import ANN, USUAL, World, details, new_world, refused

DAY = 86_400
BOB = {"names": [{"givenName": "Bob"}]}
GARBAGE = (400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
EXPIRED = "Sync token is expired. Clear local cache and retry call without the sync token."


@pytest.fixture
def world() -> World:
    return new_world()


def add(world: World, count: int) -> list[str]:
    return [world.book.add({"names": [{"givenName": f"P{number}"}]}) for number in range(count)]


# ---- pages -----------------------------------------------------------------------------------------------


def test_the_client_library_walks_all_pages_and_only_the_last_has_a_sync_token(world: World) -> None:
    added = add(world, 25)
    connections = world.client.people().connections()
    request = connections.list(resourceName="people/me", personFields=USUAL, pageSize=10, requestSyncToken=True)
    answers: list[Any] = []
    while request is not None:
        answers.append(request.execute())
        request = connections.list_next(request, answers[-1])
    assert [person["resourceName"] for answer in answers for person in answer["connections"]] == added
    assert ["nextSyncToken" in answer for answer in answers] == [False, False, True]
    assert {answer["totalItems"] for answer in answers} == {25}


def test_a_sync_token_comes_only_if_asked_for(world: World) -> None:
    assert "nextSyncToken" not in world.page(requestSyncToken=None)


def test_an_empty_book_gives_an_answer_without_a_list(world: World) -> None:
    assert world.page().keys() == {"nextSyncToken"}


def test_pages_show_the_book_as_it_was_when_the_first_was_asked_for_and_the_next_sync_tells_the_rest(
    world: World,
) -> None:
    first, second = add(world, 2)
    page = world.page(pageSize=1)
    world.book.touch(first)
    late = world.book.add(BOB)
    last = world.page(pageSize=1, pageToken=page["nextPageToken"])
    assert [person["resourceName"] for person in last["connections"]] == [second]
    assert world.names(pageSize=1000, personFields="names", syncToken=None) == [second, first, late]
    changed = world.page(pageSize=1, syncToken=last["nextSyncToken"])
    assert changed["connections"][0]["resourceName"] == first
    rest = world.page(pageSize=1, syncToken=last["nextSyncToken"], pageToken=changed["nextPageToken"])
    assert rest["connections"][0]["resourceName"] == late
    assert "nextSyncToken" in rest


def test_a_page_can_be_asked_for_again(world: World) -> None:
    add(world, 3)
    token = world.page(pageSize=2)["nextPageToken"]
    assert world.names(pageSize=2, pageToken=token) == world.names(pageSize=2, pageToken=token)


@pytest.mark.parametrize(
    "other",
    [{"pageSize": 1}, {"personFields": "names"}, {"sources": "READ_SOURCE_TYPE_CONTACT"}, {"requestSyncToken": None}],
)
def test_a_page_token_is_refused_when_another_parameter_differs(world: World, other: dict[str, Any]) -> None:
    add(world, 5)
    token = world.page(pageSize=2)["nextPageToken"]
    assert refused(lambda: world.page(**{"pageSize": 2, "pageToken": token} | other)) == GARBAGE


@pytest.mark.parametrize("size", [-1, 1001])
def test_a_page_size_out_of_bounds_is_refused(world: World, size: int) -> None:
    assert refused(lambda: world.page(pageSize=size))[:2] == (400, "INVALID_ARGUMENT")


def test_by_default_a_page_has_100_persons(world: World) -> None:
    add(world, 101)
    assert len(world.names()) == 100


def test_persons_come_in_the_order_asked_for(world: World) -> None:
    one = world.book.add({"names": [{"givenName": "Zoe", "familyName": "Abel"}]})
    world.clock.advance(1)
    two = world.book.add({"names": [{"givenName": "Adam", "familyName": "Zorn"}]})
    world.clock.advance(1)
    world.book.touch(one)
    assert world.names() == [two, one]
    assert world.names(sortOrder="LAST_MODIFIED_DESCENDING", requestSyncToken=None) == [one, two]
    assert world.names(sortOrder="FIRST_NAME_ASCENDING") == [two, one]
    assert world.names(sortOrder="LAST_NAME_ASCENDING") == [one, two]


def test_newest_first_cannot_be_had_with_a_sync_token(world: World) -> None:
    assert refused(lambda: world.page(sortOrder="LAST_MODIFIED_DESCENDING")) == GARBAGE


def test_only_ones_own_connections_can_be_listed(world: World) -> None:
    name = world.book.add(BOB)
    assert refused(lambda: world.page(resourceName=name))[:2] == (400, "INVALID_ARGUMENT")


def test_a_list_shows_at_most_100_addresses_of_a_person_and_get_shows_all(world: World) -> None:
    name = world.book.add({"emailAddresses": [{"value": f"{number}@example.com"} for number in range(120)]})
    assert len(world.page()["connections"][0]["emailAddresses"]) == 100
    assert len(world.get(name)["emailAddresses"]) == 120


# ---- incremental -----------------------------------------------------------------------------------------


def test_an_incremental_call_gives_what_was_added_and_edited_once_each(world: World) -> None:
    _, edited = add(world, 2)
    token = world.page()["nextSyncToken"]
    world.clock.advance(1)
    world.book.edit(edited, {"names": [{"givenName": "Once"}]})
    world.book.edit(edited, {"names": [{"givenName": "Twice"}]})
    new = world.book.add(BOB)
    answer = world.page(syncToken=token)
    assert [person["resourceName"] for person in answer["connections"]] == [edited, new]
    assert answer["connections"][0]["names"][0]["givenName"] == "Twice"
    assert world.page(syncToken=answer["nextSyncToken"]).keys() == {"nextSyncToken"}
    assert world.names(syncToken=token) == [edited, new]


def test_a_deleted_contact_is_a_tombstone_in_sync_calls_and_absent_from_full_ones(world: World) -> None:
    gone, stays = add(world, 2)
    token = world.page()["nextSyncToken"]
    world.book.delete(gone)
    (tombstone,) = world.page(syncToken=token)["connections"]
    assert tombstone.keys() == {"resourceName", "etag", "metadata"}
    assert tombstone["metadata"]["deleted"] is True
    assert world.names() == [stays]
    assert refused(lambda: world.get(gone)) == (404, "NOT_FOUND", "Requested entity was not found.")


def test_a_change_of_labels_appears_in_a_sync_call(world: World) -> None:
    name, label = world.book.add(BOB), world.book.add_label("CRM")
    before = world.page()
    world.clock.advance(5)
    world.book.put_under(label, name)
    (person,) = world.page(syncToken=before["nextSyncToken"])["connections"]
    groups = [one["contactGroupMembership"]["contactGroupResourceName"] for one in person["memberships"]]
    assert groups == ["contactGroups/myContacts", label]


@pytest.mark.parametrize(("time", "etag"), [(False, True), (True, True), (False, False)])
def test_whether_a_change_of_labels_moves_the_version_is_a_knob(world: World, time: bool, etag: bool) -> None:
    world.knobs.label_moves_update_time, world.knobs.label_moves_etag = time, etag
    name, label = world.book.add(BOB), world.book.add_label("CRM")
    (before,) = world.get(name)["metadata"]["sources"]
    world.clock.advance(5)
    world.modify(label, [name])
    (after,) = world.get(name)["metadata"]["sources"]
    assert (after["updateTime"] != before["updateTime"], after["etag"] != before["etag"]) == (time, etag)


def test_a_touch_moves_etag_and_time_and_nothing_else(world: World) -> None:
    name = world.book.add(BOB)
    before = world.get(name)
    token = world.page()["nextSyncToken"]
    world.clock.advance(60)
    world.book.touch(name)
    after = world.get(name)
    assert world.names(syncToken=token) == [name]
    assert (before["metadata"]["sources"][0]["etag"], before["etag"]) != (
        after["metadata"]["sources"][0]["etag"],
        after["etag"],
    )
    assert after["metadata"]["sources"][0]["updateTime"] == "2026-05-04T10:01:00Z"
    assert {**after, "etag": "", "metadata": ""} == {**before, "etag": "", "metadata": ""}


def test_merged_contacts_are_named_by_the_survivor_in_sync_calls_only(world: World) -> None:
    one = world.book.add({"names": [{"givenName": "Bob"}], "emailAddresses": [{"value": "one@example.com"}]})
    two = world.book.add({"names": [{"givenName": "Rob"}], "emailAddresses": [{"value": "two@example.com"}]})
    token = world.page()["nextSyncToken"]
    world.book.merge(one, two)
    changed = {person["resourceName"]: person for person in world.page(syncToken=token)["connections"]}
    assert changed[one]["metadata"]["previousResourceNames"] == [two]
    assert changed[two]["metadata"]["deleted"] is True
    (person,) = world.page()["connections"]
    assert "previousResourceNames" not in person["metadata"]
    assert [item["value"] for item in person["emailAddresses"]] == ["one@example.com", "two@example.com"]
    assert refused(lambda: world.get(two))[0] == 404


def test_a_merge_may_leave_no_tombstone(world: World) -> None:
    one, two = add(world, 2)
    token = world.page()["nextSyncToken"]
    world.book.merge(one, two, tombstones=False)
    (person,) = world.page(syncToken=token)["connections"]
    assert (person["resourceName"], person["metadata"]["previousResourceNames"]) == (one, [two])


def test_a_contact_that_gets_another_name_keeps_its_source_and_is_found_under_the_old_one(world: World) -> None:
    old = world.book.add(BOB)
    source = world.get(old)["metadata"]["sources"][0]["id"]
    token = world.page()["nextSyncToken"]
    new = world.book.link_profile(old, "bob@example.com", rename=True, tombstone=False)
    (person,) = world.page(syncToken=token)["connections"]
    assert (person["resourceName"], person["metadata"]["previousResourceNames"]) == (new, [old])
    assert world.get(old)["resourceName"] == new
    assert world.get(new)["metadata"]["sources"][0]["id"] == source
    (response,) = world.client.people().getBatchGet(resourceNames=[old], personFields="names").execute()["responses"]
    assert (response["requestedResourceName"], response["person"]["resourceName"]) == (old, new)
    assert refused(lambda: world.update({**person, "resourceName": old}, "names", **BOB))[0] == 404


# ---- the life of a sync token ----------------------------------------------------------------------------


def test_a_sync_token_expires_seven_days_after_the_full_sync_however_often_it_was_renewed(world: World) -> None:
    token = world.page()["nextSyncToken"]
    for _ in range(7):
        world.clock.advance(DAY)
        token = world.page(syncToken=token)["nextSyncToken"]
    world.clock.advance(1)
    assert refused(lambda: world.page(syncToken=token)) == (400, "INVALID_ARGUMENT", EXPIRED)
    (info,) = details(lambda: world.page(syncToken=token))
    assert (info["reason"], info["domain"]) == ("EXPIRED_SYNC_TOKEN", "people.googleapis.com")


def test_a_knob_lets_incremental_calls_extend_the_life(world: World) -> None:
    world.knobs.sync_token_renews = True
    token = world.page()["nextSyncToken"]
    for _ in range(10):
        world.clock.advance(DAY)
        token = world.page(syncToken=token)["nextSyncToken"]


def test_a_knob_gives_the_expiry_another_status(world: World) -> None:
    world.knobs.sync_token_status = "FAILED_PRECONDITION"
    token = world.page()["nextSyncToken"]
    world.book.expire_sync_tokens()
    assert refused(lambda: world.page(syncToken=token)) == (400, "FAILED_PRECONDITION", EXPIRED)
    assert "nextSyncToken" in world.page(syncToken=world.page()["nextSyncToken"])


def test_garbage_and_a_page_token_are_no_sync_tokens(world: World) -> None:
    add(world, 2)
    page = world.page(pageSize=1)
    groups = world.client.contactGroups().list().execute()
    for token in ("garbage", "ä", page["nextPageToken"], groups["nextSyncToken"]):
        assert refused(partial(world.page, syncToken=token)) == GARBAGE
    assert refused(lambda: world.page(pageSize=1, pageToken=world.page()["nextSyncToken"])) == GARBAGE


def test_a_sync_token_of_another_user_is_refused(world: World) -> None:
    world.store.users.add("eve@example.com")
    token = world.page()["nextSyncToken"]
    world.store.users.update(ANN, email="ann.old@example.com")
    world.store.users.update("eve@example.com", email=ANN)
    assert refused(lambda: world.page(syncToken=token)) == GARBAGE


@pytest.mark.parametrize(
    "other",
    [
        {"personFields": "names"},
        {"sources": "READ_SOURCE_TYPE_CONTACT"},
        {"sortOrder": "FIRST_NAME_ASCENDING"},
        {"pageSize": 5},
        {"requestSyncToken": None},
    ],
)
def test_a_sync_token_is_bound_to_the_parameters_of_its_call(world: World, other: dict[str, Any]) -> None:
    token = world.page()["nextSyncToken"]
    assert refused(lambda: world.page(syncToken=token, **other)) == GARBAGE


# ---- late arrival ----------------------------------------------------------------------------------------


def test_lists_lag_behind_writes_of_the_api_and_of_the_hand_by_times_of_their_own(world: World) -> None:
    world.knobs.list_lag_api, world.knobs.list_lag_hand = 60, 300
    token = world.page()["nextSyncToken"]
    by_hand, by_api = world.book.add(BOB), world.create(**BOB)["resourceName"]
    assert world.get(by_hand)
    assert world.names() == world.names(syncToken=token) == []
    world.clock.advance(60)
    assert world.names() == world.names(syncToken=token) == [by_api]
    token = world.page(syncToken=token)["nextSyncToken"]
    world.clock.advance(240)
    assert world.names(syncToken=token) == [by_hand]
    assert set(world.names()) == {by_hand, by_api}


def test_a_deletion_shows_up_late_too(world: World) -> None:
    name = world.book.add(BOB)
    world.knobs.list_lag_hand = 60
    token = world.page()["nextSyncToken"]
    world.book.delete(name)
    assert world.names() == [name]
    assert world.names(syncToken=token) == []
    world.clock.advance(60)
    assert world.names() == []
    assert world.names(syncToken=token) == [name]


def test_an_older_write_that_arrives_later_does_not_bring_back_the_past(world: World) -> None:
    name = world.book.add(BOB)
    world.knobs.list_lag_hand = 300
    world.book.edit(name, {"names": [{"givenName": "Older"}]})
    world.update(world.get(name), "names", names=[{"givenName": "Newer"}])
    world.clock.advance(300)
    assert world.page()["connections"][0]["names"][0]["givenName"] == "Newer"


def test_get_may_lag_and_then_its_etag_is_stale(world: World) -> None:
    name = world.book.add(BOB)
    world.clock.advance(60)
    world.knobs.get_lag = 10
    world.book.edit(name, {"names": [{"givenName": "Rob"}]})
    seen = world.get(name)
    assert seen["names"][0]["givenName"] == "Bob"
    assert refused(lambda: world.update(seen, "names", **BOB))[1] == "FAILED_PRECONDITION"
    fresh = world.book.add(BOB)
    assert refused(lambda: world.get(fresh))[0] == 404
    world.clock.advance(10)
    assert world.get(name)["names"][0]["givenName"] == "Rob"
    assert world.get(fresh)


# ---- quotas ----------------------------------------------------------------------------------------------


def test_the_ninety_first_critical_read_of_a_minute_is_refused(world: World) -> None:
    world.knobs.critical_reads_per_minute = 90
    for _ in range(90):
        world.page()
    code, status, text = refused(lambda: world.page())
    assert (code, status) == (429, "RESOURCE_EXHAUSTED")
    assert text.startswith("Quota exceeded for quota metric 'Critical read requests (Contact and Profile Reads)'")
    (info,) = details(lambda: world.page())
    assert info["reason"] == "RATE_LIMIT_EXCEEDED"
    assert info["metadata"]["window_start_time"] == "2026-05-04T10:00:00Z"
    world.clock.advance(60)
    world.page()


def test_an_update_counts_as_a_critical_read_and_a_batch_without_read_mask_does_not(world: World) -> None:
    person = world.create(**BOB)
    world.knobs.critical_reads_per_minute = 2
    world.update(person, "names", **BOB)
    body = {"contacts": [{"contactPerson": BOB}]}
    world.client.people().batchCreateContacts(body=body).execute()
    assert refused(lambda: world.get(person["resourceName"]))[0] == 429


def test_first_pages_of_full_syncs_have_a_quota_of_their_own(world: World) -> None:
    world.knobs.full_syncs_per_minute = 1
    token = world.page()["nextSyncToken"]
    assert refused(lambda: world.page())[1:] == (
        "RESOURCE_EXHAUSTED",
        "Resource has been exhausted (e.g. check quota).",
    )
    world.page(syncToken=token)
