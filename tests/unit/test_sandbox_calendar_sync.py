"""Listing events as at Google: pages, sync tokens and how they end, windows, deletions, series (google.md, C.1).
The world and the checks of every answer are in test_sandbox_calendar_fidelity."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from sandbox.google import access_token, scopes
from sandbox.google.api_wire import ApiRequest
from tests.unit.test_sandbox_calendar_fidelity import (
    ANN,
    BERLIN,
    BOB,
    WEEKLY,
    World,
    at,
    event,
    guests,
    new_world,
    refusal,
    refused,
)

MONDAY = at(3, 2, 10)
NOON = at(3, 2, 12)
LONG_AGO, SOON = "2020-01-01T00:00:00Z", "2026-06-01T00:00:00Z"


@pytest.fixture
def world() -> World:
    return new_world()


# ---- pages and tokens ------------------------------------------------------------------------------------


def test_the_sync_token_comes_on_the_last_page_only(world: World) -> None:
    made = {world.insert()["id"] for _ in range(3)}
    first = world.page(maxResults=2)
    assert "nextSyncToken" not in first
    last = world.page(maxResults=2, pageToken=first["nextPageToken"])
    assert "nextPageToken" not in last
    assert {one["id"] for one in (*first["items"], *last["items"])} == made
    assert world.items(maxResults=2, syncToken=last["nextSyncToken"]) == {}


def test_pages_show_what_was_there_when_the_first_one_was_asked_for(world: World) -> None:
    ids = [world.insert()["id"] for _ in range(3)]
    first = world.page(maxResults=2)
    world.delete(ids[2])
    last = world.page(maxResults=2, pageToken=first["nextPageToken"])
    assert last["items"][0]["status"] == "confirmed"
    assert world.items(maxResults=2, syncToken=last["nextSyncToken"])[ids[2]]["status"] == "cancelled"


def test_an_incremental_list_gives_what_changed_and_nothing_else(world: World) -> None:
    one, other = world.insert()["id"], world.insert()["id"]
    token = world.synced()
    world.patch(one, {"summary": "Dinner"})
    assert {ident: got["summary"] for ident, got in world.items(syncToken=token).items()} == {one: "Dinner"}
    assert other not in world.items(syncToken=token)


def test_pages_may_be_empty_and_go_on(world: World) -> None:
    world.insert()
    world.knobs.empty_pages = 2
    first = world.page()
    second = world.page(pageToken=first["nextPageToken"])
    assert first["items"] == second["items"] == []
    assert len(world.page(pageToken=second["nextPageToken"])["items"]) == 1


def test_pages_may_hold_fewer_than_asked_for(world: World) -> None:
    for _ in range(3):
        world.insert()
    world.knobs.page_cap = 1
    assert len(world.page(maxResults=2500)["items"]) == 1


def test_the_alias_and_the_real_id_share_their_tokens(world: World) -> None:
    token = world.synced()
    assert world.page(calendarId=ANN, syncToken=token)["items"] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iCalUID", "x"),
        ("orderBy", "updated"),
        ("privateExtendedProperty", "a=b"),
        ("q", "x"),
        ("sharedExtendedProperty", "a=b"),
        ("timeMin", LONG_AGO),
        ("timeMax", SOON),
        ("updatedMin", SOON),
        ("showDeleted", False),
    ],
)
def test_these_are_refused_beside_a_sync_token(world: World, name: str, value: Any) -> None:
    token = world.synced()
    assert refused(lambda: world.page(syncToken=token, **{name: value})) == (400, "invalid")


def test_a_listing_with_a_search_or_an_order_gives_no_sync_token(world: World) -> None:
    for name, value in (("q", "x"), ("orderBy", "updated"), ("updatedMin", "2026-03-01T00:00:00Z"), ("iCalUID", "x")):
        assert "nextSyncToken" not in world.page(**{name: value})
    assert "nextSyncToken" in world.page(timeMin=LONG_AGO, timeMax=SOON, showDeleted=True)


def test_other_parameters_than_the_first_time_are_refused_and_noted(world: World) -> None:
    token = world.synced(singleEvents=False, eventTypes=["default"])
    assert refused(lambda: world.page(syncToken=token, eventTypes=["default"])) == (400, "invalid")
    assert len(world.api.violations) == 1
    assert world.page(syncToken=token, singleEvents=False, eventTypes=["default"])["items"] == []


def test_a_word_that_is_no_token_is_400(world: World) -> None:
    error = refusal(lambda: world.page(syncToken="CAIQ"))
    assert (error["code"], error["message"]) == (400, "Invalid sync token value.")


def test_a_token_of_another_calendar_or_user_is_400(world: World) -> None:
    token = world.synced()
    other = world.ann.make_calendar("Team")
    assert refused(lambda: world.page(calendarId=other, syncToken=token)) == (400, "invalid")
    assert refused(lambda: world.page(BOB, syncToken=token)) == (400, "invalid")


# ---- the three kinds of 410 ------------------------------------------------------------------------------


def full_sync(error: dict[str, Any]) -> bool:
    one = error["errors"][0]
    text = "Sync token is no longer valid, a full sync is required."
    assert (one["domain"], one["location"], error["message"]) == ("calendar", "syncToken", text)
    return (error["code"], one["reason"]) == (410, "fullSyncRequired")


def test_an_old_token_is_410(world: World) -> None:
    token = world.synced()
    world.clock.advance(29 * 86_400)
    world.page(syncToken=token)
    world.clock.advance(2 * 86_400)
    assert full_sync(refusal(lambda: world.page(syncToken=token)))


def test_a_change_of_rights_ends_the_tokens_of_a_calendar(world: World) -> None:
    token = world.synced()
    world.ann.share(BOB, "reader")
    assert full_sync(refusal(lambda: world.page(syncToken=token)))


def test_google_may_end_tokens_at_will_even_in_the_middle_of_paging(world: World) -> None:
    token = world.synced(maxResults=1)
    for _ in range(3):
        world.insert()
    page = world.page(maxResults=1, syncToken=token)
    world.api.expire_sync_tokens()
    assert full_sync(refusal(lambda: world.page(maxResults=1, syncToken=token, pageToken=page["nextPageToken"])))
    assert full_sync(refusal(lambda: world.page(maxResults=1, syncToken=token)))
    assert len(world.page(maxResults=1)["items"]) == 1


def test_updated_min_too_long_ago_is_410(world: World) -> None:
    assert refused(lambda: world.page(updatedMin="2026-01-01T00:00:00Z")) == (410, "updatedMinTooLongAgo")


def test_updated_min_shows_changes_and_deletions_since(world: World) -> None:
    kept, gone = world.insert()["id"], world.insert()["id"]
    world.clock.advance(60)
    world.delete(gone)
    assert list(world.items(updatedMin="2026-03-02T08:00:30Z")) == [gone]
    assert kept in world.items(updatedMin="2026-03-02T08:00:00Z")


# ---- windows ---------------------------------------------------------------------------------------------


def test_a_window_is_bounded_by_ends_and_starts_and_excludes_both(world: World) -> None:
    ident = world.insert()["id"]
    inside = [("2026-03-02T09:59:59Z", SOON), (LONG_AGO, "2026-03-02T09:00:01Z"), (LONG_AGO, SOON)]
    outside = [("2026-03-02T10:00:00Z", SOON), (LONG_AGO, "2026-03-02T09:00:00Z")]
    assert all(ident in world.items(timeMin=start, timeMax=end) for start, end in inside)
    assert not any(world.items(timeMin=start, timeMax=end) for start, end in outside)


def test_a_window_without_an_offset_or_turned_around_is_refused(world: World) -> None:
    assert refused(lambda: world.page(timeMin="2026-03-02T10:00:00")) == (400, "invalid")
    assert refused(lambda: world.page(timeMin=SOON, timeMax=LONG_AGO)) == (400, "timeRangeEmpty")


def test_days_begin_in_the_zone_of_the_calendar(world: World) -> None:
    world.ann.set_zone("Pacific/Honolulu")
    ident = world.ann.create("Holiday", date(2026, 3, 2), date(2026, 3, 3))
    assert ident in world.items(timeMin="2026-03-03T09:00:00Z")
    assert world.items(timeMin="2026-03-03T10:00:00Z") == {}


def test_a_series_is_listed_while_any_occurrence_is_in_the_window(world: World) -> None:
    endless = world.ann.create("Weekly", MONDAY, NOON, repeat=WEEKLY)
    ended = world.ann.create("Once more", MONDAY, NOON, repeat=f"{WEEKLY};COUNT=2")
    assert set(world.items(timeMin="2026-05-01T00:00:00Z")) == {endless}
    assert set(world.items(timeMin="2026-03-05T00:00:00Z")) == {endless, ended}


def test_a_token_carries_its_window_and_still_lets_changes_outside_of_it_through(world: World) -> None:
    old = world.ann.create("Old", at(1, 1, 9, 2025), at(1, 1, 10, 2025))
    token = world.synced(timeMin="2026-01-01T00:00:00Z")
    world.ann.edit(old, summary="Older")
    assert set(world.items(syncToken=token)) == {old}
    world.knobs.window_leaks = False
    assert world.items(syncToken=token) == {}
    world.ann.delete(old)
    assert set(world.items(syncToken=token)) == {old}


# ---- deletions -------------------------------------------------------------------------------------------


def test_deleted_events_are_listed_with_show_deleted_and_in_every_incremental_list(world: World) -> None:
    ident, token = world.insert()["id"], world.synced()
    world.delete(ident)
    assert world.items() == {}
    assert world.items(showDeleted=True)[ident]["status"] == "cancelled"
    assert world.items(syncToken=token)[ident]["status"] == "cancelled"


def test_a_deleted_event_keeps_its_details_for_its_organizer_and_nothing_but_its_id_for_guests(world: World) -> None:
    ident = world.insert(body=event(attendees=guests(BOB)))["id"]
    world.delete(ident)
    assert world.get(ident)["summary"] == "Lunch"
    assert set(world.get(ident, BOB)) == {"kind", "etag", "id", "status"}
    world.knobs.bare_tombstones = True
    assert set(world.get(ident)) == {"kind", "etag", "id", "status"}


def test_occurrences_cancelled_before_need_show_deleted_in_a_full_listing(world: World) -> None:
    series = world.ann.create("Weekly", MONDAY, NOON, repeat=WEEKLY)
    gone = world.ann.occurrence(series, at(3, 9, 10))
    world.ann.cancel_occurrence(gone)
    assert set(world.items()) == {series}
    assert set(world.items(showDeleted=True)) == {series, gone}
    world.knobs.cancelled_hidden = False
    assert set(world.items()) == {series, gone}


def test_a_cancelled_occurrence_says_only_what_is_promised(world: World) -> None:
    series = world.ann.create("Weekly", MONDAY, NOON, repeat=WEEKLY)
    gone = world.ann.occurrence(series, at(3, 9, 10))
    world.ann.cancel_occurrence(gone)
    assert world.get(gone) == {
        "kind": "calendar#event",
        "etag": world.get(gone)["etag"],
        "id": f"{series}_20260309T090000Z",
        "status": "cancelled",
        "recurringEventId": series,
        "originalStartTime": {"dateTime": "2026-03-09T10:00:00+01:00", "timeZone": BERLIN},
    }


# ---- series as one event, or one by one ------------------------------------------------------------------


def test_a_series_touched_once_is_one_change_or_hundreds(world: World) -> None:
    series = world.ann.create("Weekly", MONDAY, NOON, repeat=WEEKLY)
    one, all_ = world.synced(singleEvents=False), world.synced(singleEvents=True, maxResults=2500)
    world.ann.edit(series, summary="Every week")
    assert set(world.items(syncToken=one, singleEvents=False)) == {series}
    assert len(world.items(syncToken=all_, singleEvents=True, maxResults=2500)) > 200


def test_single_events_are_occurrences_with_moved_ones_where_they_are_now(world: World) -> None:
    series = world.ann.create("Weekly", MONDAY, NOON, repeat=f"{WEEKLY};COUNT=3")
    ids = [world.ann.occurrence(series, at(3, day, 10)) for day in (2, 9, 16)]
    world.ann.move_occurrence(ids[1], at(3, 20, 10), at(3, 20, 11))
    world.ann.cancel_occurrence(ids[0])
    rows = world.page(singleEvents=True, orderBy="startTime")["items"]
    assert [one["id"] for one in rows] == [ids[2], ids[1]]
    assert rows[1]["originalStartTime"]["dateTime"] == "2026-03-09T10:00:00+01:00"
    assert all("recurrence" not in one for one in rows)


def test_ordering_by_start_needs_single_events(world: World) -> None:
    assert refused(lambda: world.page(orderBy="startTime")) == (400, "invalid")


def test_instances_lists_a_series_and_only_one(world: World) -> None:
    series = world.ann.create("Weekly", MONDAY, NOON, repeat=f"{WEEKLY};COUNT=4")
    world.ann.create("Other", MONDAY, NOON, repeat=WEEKLY)
    gone = world.ann.occurrence(series, at(3, 9, 10))
    world.ann.cancel_occurrence(gone)

    def instances(**params: Any) -> list[str]:
        call = world.events().instances(calendarId="primary", eventId=series, **params)
        return [one["id"].rpartition("_")[2][4:8] for one in call.execute()["items"]]

    assert instances() == ["0302", "0316", "0323"]
    assert instances(showDeleted=True) == ["0302", "0309", "0316", "0323"]
    assert instances(timeMin="2026-03-10T00:00:00Z", timeMax="2026-03-17T00:00:00Z") == ["0316"]
    assert instances(originalStart="2026-03-16T10:00:00+01:00") == ["0316"]


def test_the_clock_of_a_series_is_kept_when_summer_begins(world: World) -> None:
    world.ann.create("Weekly", MONDAY, NOON, repeat=WEEKLY)
    rows = world.page(singleEvents=True, orderBy="startTime", timeMax="2026-04-10T00:00:00Z")["items"]
    assert {one["start"]["dateTime"][11:19] for one in rows} == {"10:00:00"}
    assert rows[-1]["id"].endswith("_20260406T080000Z")


def test_a_series_of_dates_only_has_its_first_and_those(world: World) -> None:
    lines = ["RDATE;TZID=Europe/Berlin:20260305T100000,20260310T100000"]
    series = world.insert(body=event(recurrence=lines))["id"]
    assert world.get(series)["recurrence"] == lines
    rows = world.page(singleEvents=True, orderBy="startTime")["items"]
    assert [one["start"]["dateTime"][8:10] for one in rows] == ["02", "05", "10"]


# ---- filters ---------------------------------------------------------------------------------------------


def test_event_types_filter_full_and_incremental_lists(world: World) -> None:
    token = world.synced(eventTypes=["default"])
    lunch = world.insert()["id"]
    flight = world.ann.create("Flight", MONDAY, NOON, eventType="fromGmail")
    assert set(world.items()) == {lunch, flight}
    assert set(world.items(eventTypes=["default"])) == {lunch}
    assert set(world.items(eventTypes=["default", "fromGmail"])) == {lunch, flight}
    assert set(world.items(eventTypes=["default"], syncToken=token)) == {lunch}


def test_properties_words_and_uids_can_be_searched_for(world: World) -> None:
    marked = world.insert(body=event(extendedProperties={"private": {"crm": "1"}, "shared": {"deal": "2"}}))
    world.insert()
    assert set(world.items(privateExtendedProperty="crm=1")) == {marked["id"]}
    assert set(world.items(sharedExtendedProperty="deal=2")) == {marked["id"]}
    assert world.items(privateExtendedProperty="crm=2") == {}
    assert set(world.items(iCalUID=marked["iCalUID"])) == {marked["id"]}
    assert len(world.items(q="LUNCH")) == 2


def test_a_list_that_lags_shows_a_write_late_and_loses_none(world: World) -> None:
    world.knobs.list_lag_api = 5
    ident = world.insert()["id"]
    token = world.synced()
    assert world.get(ident)["summary"] == "Lunch"
    assert world.items(syncToken=token) == {}
    world.clock.advance(5)
    assert set(world.items(syncToken=token)) == {ident}


# ---- what is not Google's --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query", [(("nonsense", "1"),), (("maxResults", "0"),), (("showDeleted", "yes"),), (("eventTypes", "party"),)]
)
def test_unknown_parameters_and_wrong_values_are_refused(world: World, query: tuple[tuple[str, str], ...]) -> None:
    token = access_token(world.store, ANN, scopes.CALENDAR)
    path = "/calendar/v3/calendars/primary/events"
    answer = world.api.handle(ApiRequest("GET", path, query, {"authorization": f"Bearer {token}"}))
    assert answer.status == 400


def test_an_etag_that_still_holds_is_304(world: World) -> None:
    made = world.insert()
    call = world.events().get(calendarId="primary", eventId=made["id"])
    call.headers["If-None-Match"] = made["etag"]
    with pytest.raises(Exception, match="304"):
        call.execute()


def test_calls_are_counted_by_operation(world: World) -> None:
    world.insert()
    world.synced()
    refused(lambda: world.get("nothing"))
    assert world.api.calls == {"events.insert": 1, "events.list": 1, "events.get": 1}
