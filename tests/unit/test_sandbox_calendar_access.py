"""Who may do what as at Google: scopes, roles on shared calendars, busy stubs, lists (google.md, A.7, C.4, D).
The world and the checks of every answer are in test_sandbox_calendar_fidelity."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from sandbox.google import scopes
from sandbox.google.api_wire import ApiRequest
from tests.unit.test_sandbox_calendar_fidelity import (
    ANN,
    BERLIN,
    BOB,
    CID,
    Json,
    World,
    at,
    event,
    new_world,
    refusal,
    refused,
)

NARROW = (403, "insufficientPermissions")


@pytest.fixture
def world() -> World:
    return new_world()


def calendars(world: World, email: str = ANN, **params: Any) -> dict[str, Json]:
    """The list of calendars, by id."""
    page = world.signed_in(email).calendarList().list(**params).execute()
    return {one["id"]: one for one in page["items"]}


# ---- tokens and scopes -----------------------------------------------------------------------------------


def test_no_token_or_a_dead_one_is_401(world: World) -> None:
    path = "/calendar/v3/calendars/primary/events"
    for headers in ({}, {"authorization": "Bearer ya29.x"}):
        answer = world.api.handle(ApiRequest("GET", path, (), headers))
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        assert b'"reason":"authError"' in answer.body
        assert b'"status":"UNAUTHENTICATED"' in answer.body


@pytest.mark.parametrize("scope", [scopes.CALENDAR, scopes.CALENDAR_EVENTS, scopes.CALENDAR_EVENTS_OWNED])
def test_these_scopes_read_and_write_own_events(world: World, scope: str) -> None:
    events = world.signed_in(ANN, scope).events()
    made = events.insert(calendarId="primary", body=event()).execute()
    assert events.list(calendarId="primary").execute()["items"] == [made]


@pytest.mark.parametrize("scope", [scopes.CALENDAR_READONLY, scopes.CALENDAR_EVENTS_READONLY])
def test_these_scopes_only_read(world: World, scope: str) -> None:
    events = world.signed_in(ANN, scope).events()
    events.list(calendarId="primary").execute()
    assert refused(events.insert(calendarId="primary", body=event()).execute) == NARROW


def test_the_list_of_calendars_has_scopes_of_its_own(world: World) -> None:
    picker = world.signed_in(ANN, scopes.CALENDAR_LIST_READONLY)
    assert len(picker.calendarList().list().execute()["items"]) == 1
    assert refused(picker.events().list(calendarId="primary").execute) == NARROW
    error = refusal(world.signed_in(ANN, scopes.CALENDAR_EVENTS).calendarList().list().execute)
    assert (error["code"], error["status"]) == (403, "PERMISSION_DENIED")
    assert error["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


def test_the_owned_scope_reaches_no_calendar_of_others(world: World) -> None:
    world.bob.share(ANN, "writer")
    events = world.signed_in(ANN, scopes.CALENDAR_EVENTS_OWNED).events()
    assert refused(events.list(calendarId=BOB).execute) == NARROW
    world.signed_in(ANN, scopes.CALENDAR_EVENTS).events().list(calendarId=BOB).execute()


def test_an_account_without_google_calendar_is_refused_everything(world: World) -> None:
    world.knobs.no_calendar.add(ANN)
    error = refusal(world.page)
    assert (error["errors"][0]["reason"], error["message"]) == (
        "notACalendarUser",
        "The user must be signed up for Google Calendar.",
    )
    world.page(BOB)


def test_a_project_without_the_api_is_told_so(world: World) -> None:
    world.knobs.service_disabled = True
    error = refusal(world.page)
    assert (error["errors"][0]["reason"], error["details"][0]["reason"]) == ("accessNotConfigured", "SERVICE_DISABLED")


# ---- shared calendars ------------------------------------------------------------------------------------


def shared(world: World, role: Any) -> tuple[str, str]:
    """An open and a private event of Bob, whose calendar Ann may use in that role."""
    world.bob.share(ANN, role)
    moments = (at(3, 2, 10), at(3, 2, 11))
    return world.bob.create("Open", *moments), world.bob.create("Secret", *moments, visibility="private")


def test_a_calendar_that_is_not_shared_does_not_exist(world: World) -> None:
    assert refused(lambda: world.page(calendarId=BOB)) == (404, "notFound")
    assert refused(lambda: world.page(calendarId="x@group.calendar.google.com")) == (404, "notFound")
    world.bob.share(ANN, "reader")
    world.page(calendarId=BOB)
    world.bob.share(ANN, "none")
    assert refused(lambda: world.page(calendarId=BOB)) == (404, "notFound")


@pytest.mark.parametrize("role", ["freeBusyReader", "reader", "writerWithoutPrivateAccess"])
def test_private_events_are_busy_stubs_to_readers(world: World, role: str) -> None:
    _, secret = shared(world, role)
    stub = world.items(calendarId=BOB)[secret]
    assert not {"summary", "creator", "organizer", "attendees"} & stub.keys()
    assert stub["visibility"] == "private"
    assert stub["start"]["dateTime"] == "2026-03-02T10:00:00+01:00"


def test_open_events_are_stubs_only_to_those_who_see_free_and_busy(world: World) -> None:
    open_, _ = shared(world, "reader")
    assert world.get(open_, calendarId=BOB)["summary"] == "Open"
    world.bob.share(ANN, "freeBusyReader")
    assert "summary" not in world.get(open_, calendarId=BOB)


def test_a_writer_sees_private_events_and_acts_for_the_calendar(world: World) -> None:
    open_, secret = shared(world, "writer")
    assert world.get(secret, calendarId=BOB)["summary"] == "Secret"
    assert world.patch(open_, {"summary": "x"}, calendarId=BOB)["organizer"] == {"email": BOB, "self": True}
    assert world.insert(calendarId=BOB)["creator"] == {"email": ANN}


def test_readers_cannot_write(world: World) -> None:
    open_, _ = shared(world, "reader")
    for act in (
        partial(world.insert, calendarId=BOB),
        partial(world.patch, open_, {"summary": "x"}, calendarId=BOB),
        partial(world.delete, open_, calendarId=BOB),
    ):
        assert refused(act) == (403, "requiredAccessLevel")


def test_private_events_stay_closed_to_writers_without_that_right(world: World) -> None:
    open_, secret = shared(world, "writerWithoutPrivateAccess")
    world.patch(open_, {"summary": "x"}, calendarId=BOB)
    assert refused(lambda: world.patch(secret, {"summary": "x"}, calendarId=BOB)) == (403, "forbidden")


def test_the_access_role_is_told_on_every_page(world: World) -> None:
    shared(world, "reader")
    page = world.page(calendarId=BOB)
    assert (page["accessRole"], page["defaultReminders"]) == ("reader", [])


# ---- the list of calendars -------------------------------------------------------------------------------


def test_the_list_has_the_primary_calendar_under_its_real_id(world: World) -> None:
    (entry,) = calendars(world).values()
    assert (entry["id"], entry["primary"], entry["accessRole"], entry["timeZone"]) == (ANN, True, "owner", BERLIN)


def test_further_and_shared_calendars_are_listed_with_their_roles(world: World) -> None:
    team = world.ann.make_calendar("Team", BERLIN)
    world.bob.share(ANN, "reader")
    found = calendars(world)
    assert {ident: one["accessRole"] for ident, one in found.items()} == {ANN: "owner", team: "owner", BOB: "reader"}
    assert "primary" not in found[BOB]
    assert set(calendars(world, minAccessRole="writer")) == {ANN, team}
    assert team.endswith("@group.calendar.google.com")


def test_the_list_comes_in_pages_and_has_tokens(world: World) -> None:
    world.ann.make_calendar("Team")
    lists = world.signed_in().calendarList()
    first = lists.list(maxResults=1).execute()
    last = lists.list(maxResults=1, pageToken=first["nextPageToken"]).execute()
    assert "nextSyncToken" not in first
    token = last["nextSyncToken"]
    gone = world.ann.make_calendar("Gone")
    world.ann.drop_calendar(gone)
    changes = lists.list(maxResults=1, syncToken=token).execute()["items"]
    assert [(one["id"], one["deleted"]) for one in changes] == [(gone, True)]
    assert refused(lists.list(maxResults=1, syncToken=token, minAccessRole="owner").execute) == (400, "invalid")
    assert refused(lists.list(syncToken="x").execute) == (400, "invalid")
    world.api.expire_sync_tokens()
    assert refused(lists.list(maxResults=1, syncToken=token).execute) == (410, "fullSyncRequired")


def test_hidden_and_deleted_calendars_are_listed_when_asked_for(world: World) -> None:
    team, gone = world.ann.make_calendar("Team"), world.ann.make_calendar("Gone")
    world.ann.hide_calendar(team)
    world.ann.drop_calendar(gone)
    assert set(calendars(world)) == {ANN}
    assert calendars(world, showHidden=True)[team]["hidden"] is True
    assert calendars(world, showDeleted=True)[gone]["deleted"] is True
    assert refused(lambda: world.page(calendarId=gone)) == (404, "notFound")


def test_events_on_a_further_calendar_are_organized_by_it(world: World) -> None:
    team = world.ann.make_calendar("Team")
    made = world.insert(calendarId=team, body=event(attendees=[{"email": CID}]))
    assert made["organizer"] == {"email": team, "displayName": "Team", "self": True}
    assert made["creator"] == {"email": ANN}
    assert world.get(made["id"], CID)["organizer"] == {"email": team}
