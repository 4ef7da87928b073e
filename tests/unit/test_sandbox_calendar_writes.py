"""Writing events as at Google: ids, versions, PATCH and PUT, times, types, limits (google.md, C.2 and C.3).
The world and the checks of every answer are in test_sandbox_calendar_fidelity."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Any

import pytest

from sandbox.google import access_token, scopes
from sandbox.google.api_wire import ApiRequest
from tests.unit.test_sandbox_calendar_fidelity import (
    ANN,
    BOB,
    CID,
    WEEKLY,
    World,
    answers,
    at,
    event,
    guests,
    new_world,
    refusal,
    refused,
)

MONDAY, NOON = at(3, 2, 10), at(3, 2, 12)
DAY, NEXT = {"date": "2026-03-02"}, {"date": "2026-03-03"}


@pytest.fixture
def world() -> World:
    return new_world()


# ---- ids -------------------------------------------------------------------------------------------------


def test_a_client_may_choose_the_id(world: World) -> None:
    assert world.insert(body=event(id="abcde0123"))["id"] == "abcde0123"


@pytest.mark.parametrize("ident", ["abcd", "a" * 1025, "ABCDE", "abcdw", "abc-de", "abc_de"])
def test_an_id_is_base32hex_of_5_to_1024(world: World, ident: str) -> None:
    assert refused(lambda: world.insert(body=event(id=ident))) == (400, "invalid")


def test_an_id_and_an_ical_uid_together_are_refused(world: World) -> None:
    error = refusal(lambda: world.insert(body=event(id="abcde", iCalUID="x@example.com")))
    assert (error["code"], error["message"]) == (400, "Invalid resource id value.")


def test_the_same_id_twice_is_409_and_stays_burnt_after_deletion(world: World) -> None:
    world.insert(body=event(id="abcde"))
    assert refused(lambda: world.insert(body=event(id="abcde"))) == (409, "duplicate")
    world.delete("abcde")
    assert refused(lambda: world.insert(body=event(id="abcde"))) == (409, "duplicate")
    assert world.get("abcde")["status"] == "cancelled"
    assert refused(lambda: world.delete("abcde")) == (410, "deleted")


def test_an_id_is_unique_per_calendar_only(world: World) -> None:
    world.insert(body=event(id="abcde"))
    other = world.ann.make_calendar("Team")
    assert world.insert(calendarId=other, body=event(id="abcde"))["id"] == "abcde"


def test_an_update_revives_a_deleted_event_or_is_forbidden(world: World) -> None:
    world.insert(body=event(id="abcde"))
    world.delete("abcde")
    world.knobs.revive = False
    assert refused(lambda: world.put("abcde", event())) == (403, "forbidden")
    world.knobs.revive = True
    assert world.put("abcde", event())["status"] == "confirmed"


def test_a_patch_of_a_deleted_event_leaves_it_deleted_unless_it_says_confirmed(world: World) -> None:
    ident = world.insert()["id"]
    world.delete(ident)
    assert world.patch(ident, {"summary": "x"})["status"] == "cancelled"
    assert world.patch(ident, {"status": "confirmed"})["summary"] == "x"


def test_a_patch_to_cancelled_is_a_deletion(world: World) -> None:
    ident = world.insert()["id"]
    assert world.patch(ident, {"status": "cancelled"})["status"] == "cancelled"
    assert refused(lambda: world.delete(ident)) == (410, "deleted")


def test_an_event_may_be_404_right_after_it_was_made(world: World) -> None:
    world.knobs.insert_settle = 3
    ident = world.insert()["id"]
    assert refused(lambda: world.get(ident)) == (404, "notFound")
    assert refused(lambda: world.patch(ident, {"summary": "x"})) == (404, "notFound")
    world.clock.advance(3)
    assert world.get(ident)["summary"] == "Lunch"


# ---- versions --------------------------------------------------------------------------------------------


def test_another_version_than_the_one_named_is_412(world: World) -> None:
    made = world.insert()
    changed = world.patch(made["id"], {"summary": "x"}, etag=made["etag"])
    error = refusal(lambda: world.patch(made["id"], {"summary": "y"}, etag=made["etag"]))
    assert (error["code"], error["message"]) == (412, "Precondition Failed")
    assert error["errors"][0]["location"] == "If-Match"
    assert refused(lambda: world.delete(made["id"], etag=made["etag"])) == (412, "conditionNotMet")
    world.delete(made["id"], etag=changed["etag"])


def test_reminders_move_the_etag_but_not_updated(world: World) -> None:
    made = world.insert()
    world.clock.advance(60)
    reminded = world.patch(made["id"], {"reminders": {"useDefault": False}})
    assert reminded["updated"] == made["updated"]
    assert reminded["etag"] != made["etag"]
    assert world.patch(made["id"], {"summary": "x"})["updated"] != made["updated"]


def test_a_write_that_changes_nothing_makes_no_version(world: World) -> None:
    made = world.insert()
    token = world.synced()
    assert world.patch(made["id"], {"summary": "Lunch"}) == made
    assert world.items(syncToken=token) == {}


def test_the_sequence_counts_new_times_and_cancellations(world: World) -> None:
    made = world.insert()
    assert world.patch(made["id"], {"summary": "x"})["sequence"] == 0
    assert world.patch(made["id"], {"end": {"dateTime": "2026-03-02T12:00:00+01:00"}})["sequence"] == 1
    world.delete(made["id"])
    assert world.get(made["id"])["sequence"] == 2


# ---- PATCH and PUT ---------------------------------------------------------------------------------------


def test_a_patch_merges_objects_and_null_takes_away(world: World) -> None:
    made = world.insert(body=event(location="Canteen", extendedProperties={"private": {"a": "1", "b": "2"}}))
    body = {"location": None, "extendedProperties": {"private": {"b": None, "c": "3"}}}
    patched = world.patch(made["id"], body)
    assert "location" not in patched
    assert patched["extendedProperties"] == {"private": {"a": "1", "c": "3"}}
    assert patched["summary"] == "Lunch"


def test_a_patch_replaces_lists_so_bare_guests_lose_their_answers(world: World) -> None:
    made = world.insert(body=event(attendees=guests(BOB, CID)))
    world.bob.answer(made["id"], "accepted")
    assert answers(world.get(made["id"])) == {BOB: "accepted", CID: "needsAction"}
    assert answers(world.patch(made["id"], {"attendees": guests(BOB)})) == {BOB: "needsAction"}


def test_the_organizer_can_keep_answers_by_sending_them_back(world: World) -> None:
    made = world.insert(body=event(attendees=guests(BOB)))
    world.bob.answer(made["id"], "accepted")
    held = world.get(made["id"])["attendees"]
    assert answers(world.patch(made["id"], {"attendees": [*held, *guests(CID)]})) == {
        BOB: "accepted",
        CID: "needsAction",
    }


def test_a_put_drops_what_is_not_sent(world: World) -> None:
    made = world.insert(body=event(location="Canteen", colorId="5"))
    after = world.put(made["id"], event(summary="x"))
    assert not {"location", "colorId"} & after.keys()


def test_fields_that_only_google_sets_are_ignored(world: World) -> None:
    made = world.insert()
    echoed = {**made, "organizer": {"email": BOB}, "updated": "2020-01-01T00:00:00.000Z", "sequence": 9}
    assert world.patch(made["id"], echoed) == made


def test_unknown_fields_wrong_types_and_broken_json_are_refused(world: World) -> None:
    assert refused(lambda: world.insert(body=event(sumary="x"))) == (400, "badRequest")
    assert refused(lambda: world.insert(body=event(summary=3))) == (400, "badRequest")
    assert refused(lambda: world.insert(body=event(attendees=[{"mail": BOB}]))) == (400, "badRequest")
    token = access_token(world.store, ANN, scopes.CALENDAR)
    headers = {"authorization": f"Bearer {token}"}
    path = "/calendar/v3/calendars/primary/events"
    assert world.api.handle(ApiRequest("POST", path, (), headers, b"{")).status == 400


# ---- times -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (None, NEXT, "required"),
        (DAY, None, "required"),
        (DAY, {"dateTime": "2026-03-03T10:00:00Z"}, "invalid"),
        ({**DAY, "dateTime": "2026-03-02T10:00:00Z"}, NEXT, "invalid"),
        (DAY, DAY, "timeRangeEmpty"),
        (NEXT, DAY, "timeRangeEmpty"),
        ({"dateTime": "2026-03-02T10:00:00Z"}, {"dateTime": "2026-03-02T09:00:00Z"}, "timeRangeEmpty"),
        ({"dateTime": "2026-03-02T10:00:00"}, {"dateTime": "2026-03-02T11:00:00Z"}, "required"),
        ({"dateTime": "yesterday"}, {"dateTime": "2026-03-02T11:00:00Z"}, "invalid"),
        ({"date": "2026-02-30"}, NEXT, "invalid"),
        ({"dateTime": "2026-03-02T10:00:00", "timeZone": "Mars/Base"}, NEXT, "invalid"),
    ],
)
def test_times_that_make_no_event_are_refused(world: World, start: Any, end: Any, reason: str) -> None:
    assert refused(lambda: world.insert(body=event(start=start, end=end))) == (400, reason)


def test_a_recurring_event_needs_a_zone(world: World) -> None:
    body = event(
        start={"dateTime": "2026-03-02T10:00:00Z"}, end={"dateTime": "2026-03-02T11:00:00Z"}, recurrence=[WEEKLY]
    )
    assert refused(lambda: world.insert(body=body)) == (400, "required")
    assert world.insert(body=event(start=DAY, end=NEXT, recurrence=[WEEKLY]))["start"] == DAY


@pytest.mark.parametrize(
    "line",
    [
        "DTSTART:20260302T100000",
        "RRULE:FREQ=SOMETIMES",
        "RRULE:COUNT=3",
        "FREQ=DAILY",
        "RRULE:FREQ=DAILY;INTERVAL=0",
        "RRULE:FREQ=DAILY;COUNT=2;UNTIL=20260401",
        "EXDATE:tomorrow",
        "RRULE:FREQ=DAILY;UNTIL=soon",
    ],
)
def test_lines_that_are_no_recurrence_are_refused(world: World, line: str) -> None:
    error = refusal(lambda: world.insert(body=event(recurrence=[line])))
    assert (error["code"], error["message"]) == (400, "Invalid recurrence rule.")


def test_a_patch_from_a_time_to_a_day_needs_the_other_key_nulled(world: World) -> None:
    ident = world.insert()["id"]
    assert refused(lambda: world.patch(ident, {"start": DAY, "end": NEXT})) == (400, "invalid")
    nulled = {"start": {**DAY, "dateTime": None, "timeZone": None}, "end": {**NEXT, "dateTime": None}}
    patched = world.patch(ident, nulled)
    assert (patched["start"], patched["end"]) == (DAY, NEXT)


def test_an_event_may_take_no_time(world: World) -> None:
    moment = {"dateTime": "2026-03-02T10:00:00Z"}
    assert world.insert(body=event(start=moment, end=moment))["end"]["dateTime"] == "2026-03-02T11:00:00+01:00"


def test_an_occurrence_can_have_no_rule_of_its_own(world: World) -> None:
    series = world.insert(body=event(recurrence=[WEEKLY]))["id"]
    assert refused(lambda: world.patch(f"{series}_20260309T090000Z", {"recurrence": [WEEKLY]})) == (400, "invalid")
    assert refused(lambda: world.get(f"{series}_20260310T090000Z")) == (404, "notFound")


# ---- types of events -------------------------------------------------------------------------------------


BIRTHDAY = event(
    start=DAY,
    end=NEXT,
    eventType="birthday",
    visibility="private",
    transparency="transparent",
    recurrence=["RRULE:FREQ=YEARLY"],
)
OFFICE = event(
    start=DAY,
    end=NEXT,
    eventType="workingLocation",
    visibility="public",
    transparency="transparent",
    workingLocationProperties={"type": "homeOffice", "homeOffice": {}},
)


def test_from_gmail_cannot_be_made(world: World) -> None:
    assert refused(lambda: world.insert(body=event(eventType="fromGmail"))) == (400, "eventTypeRestriction")


def test_the_type_of_an_event_never_changes(world: World) -> None:
    ident = world.insert()["id"]
    assert refused(lambda: world.patch(ident, {"eventType": "focusTime"})) == (400, "eventTypeRestriction")


def test_status_types_lie_on_the_primary_calendar_only(world: World) -> None:
    other = world.ann.make_calendar("Team")
    for kind in ("focusTime", "outOfOffice"):
        assert world.insert(body=event(eventType=kind))["eventType"] == kind
        there = partial(world.insert, calendarId=other, body=event(eventType=kind))
        all_day = partial(world.insert, body=event(eventType=kind, start=DAY, end=NEXT))
        assert refused(there) == refused(all_day) == (400, "eventTypeRestriction")


def test_a_working_location_must_be_laid_out_as_one(world: World) -> None:
    assert world.insert(body=OFFICE)["eventType"] == "workingLocation"
    for missing in ("workingLocationProperties", "visibility", "transparency"):
        body = {name: value for name, value in OFFICE.items() if name != missing}
        assert refused(partial(world.insert, body=body)) == (400, "malformedWorkingLocationEvent")


def test_a_birthday_takes_summary_colour_reminders_and_day_only(world: World) -> None:
    ident = world.insert(body=BIRTHDAY)["id"]
    assert world.patch(ident, {"summary": "Ann is 30", "colorId": "3"})["colorId"] == "3"
    assert refused(lambda: world.patch(ident, {"location": "Home"})) == (400, "eventTypeRestriction")
    error = refusal(lambda: world.patch(ident, {"extendedProperties": {"private": {"crm": "1"}}}))
    assert error["message"] == "'birthday' event type must not have private extended properties."


def test_a_flight_from_gmail_takes_own_things_only(world: World) -> None:
    ident = world.ann.create("Flight", MONDAY, NOON, eventType="fromGmail")
    assert world.patch(ident, {"colorId": "3", "transparency": "transparent"})["colorId"] == "3"
    assert refused(lambda: world.patch(ident, {"summary": "x"})) == (400, "eventTypeRestriction")


# ---- limits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reminders",
    [
        {"useDefault": False, "overrides": [{"method": "popup", "minutes": 1}] * 6},
        {"useDefault": False, "overrides": [{"method": "popup", "minutes": 40_321}]},
        {"useDefault": False, "overrides": [{"method": "sms", "minutes": 1}]},
        {"useDefault": False, "overrides": [{"method": "popup"}]},
        {"useDefault": True, "overrides": [{"method": "popup", "minutes": 1}]},
    ],
)
def test_reminders_have_limits(world: World, reminders: Any) -> None:
    assert refused(lambda: world.insert(body=event(reminders=reminders)))[0] == 400


@pytest.mark.parametrize(
    "private",
    [{"k" * 45: "v"}, {"k": "v" * 1025}, {f"k{n}": "v" for n in range(301)}, {f"k{n}": "v" * 1000 for n in range(33)}],
)
def test_extended_properties_have_limits(world: World, private: Any) -> None:
    assert refused(lambda: world.insert(body=event(extendedProperties={"private": private}))) == (400, "invalid")


def test_there_can_be_25_attachments_and_only_for_clients_that_support_them(world: World) -> None:
    many = [{"fileUrl": f"https://files.example/{n}"} for n in range(26)]
    assert refused(lambda: world.insert(body=event(attachments=many), supportsAttachments=True)) == (400, "invalid")
    assert "attachments" not in world.insert(body=event(attachments=many))


@pytest.mark.parametrize("email", ["bob", "bob@", "", "a b@example.com"])
def test_a_guest_needs_an_address(world: World, email: str) -> None:
    assert refused(lambda: world.insert(body=event(attendees=guests(email))))[0] == 400


def test_requests_of_a_minute_are_limited_per_user(world: World) -> None:
    world.knobs.requests_per_minute = 2
    world.page()
    world.page()
    assert refused(world.page) == (403, "userRateLimitExceeded")
    world.page(BOB)
    world.knobs.rate_reason, world.knobs.rate_status = "rateLimitExceeded", 429
    assert refused(world.page) == (429, "rateLimitExceeded")
    world.clock.advance(60)
    world.page()


def test_too_many_guests_stop_writes_for_hours_and_nothing_else(world: World) -> None:
    world.knobs.guest_limit = 2
    world.insert(body=event(attendees=guests(BOB, CID)))
    assert refused(lambda: world.insert(body=event(attendees=guests(BOB)))) == (403, "quotaExceeded")
    assert refused(world.insert) == (403, "quotaExceeded")
    assert len(world.items()) == 1
    world.clock.advance(6 * 3600)
    world.insert()


def test_a_read_only_account_is_refused_every_write(world: World) -> None:
    ident = world.insert()["id"]
    world.knobs.read_only.add(ANN)
    error = refusal(lambda: world.patch(ident, {"summary": "x"}))
    assert (error["errors"][0]["domain"], error["message"]) == ("usageLimits", "Calendar usage limits exceeded.")
    assert world.get(ident)["summary"] == "Lunch"


# ---- conferences -----------------------------------------------------------------------------------------


MEET = {"createRequest": {"requestId": "r1", "conferenceSolutionKey": {"type": "hangoutsMeet"}}}


def test_conference_data_counts_only_with_its_version(world: World) -> None:
    made = world.insert(body=event(conferenceData=MEET))
    assert "conferenceData" not in made
    made = world.insert(body=event(conferenceData=MEET), conferenceDataVersion=1)
    assert world.patch(made["id"], {"conferenceData": None})["conferenceData"]
    assert "conferenceData" not in world.patch(made["id"], {"conferenceData": None}, conferenceDataVersion=1)


def test_a_conference_is_pending_and_its_success_comes_as_a_change(world: World) -> None:
    world.knobs.conference_lag = 5
    made = world.insert(body=event(conferenceData=MEET), conferenceDataVersion=1)
    assert made["conferenceData"]["createRequest"]["status"] == {"statusCode": "pending"}
    token = world.synced()
    world.clock.advance(5)
    changed = world.items(syncToken=token)[made["id"]]
    assert changed["conferenceData"]["createRequest"]["status"] == {"statusCode": "success"}
    assert changed["hangoutLink"].startswith("https://meet.google.com/")
    assert changed["updated"] != made["updated"]


def test_the_same_request_for_a_conference_is_ignored(world: World) -> None:
    made = world.insert(body=event(conferenceData=MEET), conferenceDataVersion=1)
    before = world.get(made["id"])
    assert world.patch(made["id"], {"conferenceData": MEET}, conferenceDataVersion=1) == before


# ---- import and move -------------------------------------------------------------------------------------


def test_an_import_is_a_private_copy_of_somebody_elses_event(world: World) -> None:
    body = event(iCalUID="u1@example.com", organizer={"email": "boss@example.com"}, attendees=guests(ANN, BOB))
    made = world.events().import_(calendarId="primary", body=body).execute()
    assert made["organizer"] == {"email": "boss@example.com"}
    assert world.items(BOB) == {}
    again = world.events().import_(calendarId="primary", body={**body, "summary": "x"}).execute()
    assert (again["id"], again["summary"]) == (made["id"], "x")
    assert world.patch(made["id"], {"summary": "mine"})["summary"] == "mine"
    assert world.api.mails == []


def test_an_import_needs_a_uid_and_a_usual_event(world: World) -> None:
    call = world.events().import_
    assert refused(lambda: call(calendarId="primary", body=event()).execute()) == (400, "required")
    body = {**OFFICE, "iCalUID": "u@example.com"}
    assert refused(lambda: call(calendarId="primary", body=body).execute()) == (400, "eventTypeRestriction")


def test_a_move_cancels_here_and_is_new_there_under_the_same_id(world: World) -> None:
    target = world.ann.make_calendar("Team")
    ident = world.insert(body=event(attendees=guests(BOB)))["id"]
    here, there = world.synced(), world.synced(calendarId=target)
    moved = world.events().move(calendarId="primary", eventId=ident, destination=target).execute()
    assert moved["organizer"] == {"email": target, "self": True, "displayName": "Team"}
    assert world.items(syncToken=here)[ident]["status"] == "cancelled"
    assert set(world.items(calendarId=target, syncToken=there)) == {ident}
    assert world.get(ident, BOB)["organizer"] == {"email": target}
    world.patch(ident, {"summary": "x"}, calendarId=target)
    assert world.get(ident, BOB)["summary"] == "x"


def test_only_usual_events_of_ones_own_move_and_no_single_occurrence(world: World) -> None:
    target = world.ann.make_calendar("Team")

    def move(ident: str) -> tuple[int, str]:
        return refused(world.events().move(calendarId="primary", eventId=ident, destination=target).execute)

    series = world.insert(body=event(recurrence=[WEEKLY]))["id"]
    assert move(f"{series}_20260309T090000Z") == (400, "invalid")
    assert move(world.insert(body=OFFICE)["id"]) == (400, "eventTypeRestriction")
    invited = world.insert(BOB, event(attendees=guests(ANN)))["id"]
    assert move(invited)[0] == 403


def test_all_day_events_are_days_wherever_the_calendar_is(world: World) -> None:
    world.ann.set_zone("Pacific/Honolulu")
    world.bob.set_zone("Pacific/Tongatapu")
    ident = world.ann.create("Trip", date(2026, 3, 2), date(2026, 3, 5), guests=[BOB])
    for email in (ANN, BOB):
        assert world.get(ident, email)["start"] == DAY
        assert world.get(ident, email)["end"] == {"date": "2026-03-05"}
