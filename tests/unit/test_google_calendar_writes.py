"""Writing into a Google calendar: what is sent, under which version, and what every answer means. Scripted answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.errors import ItemRejected, NeedsRelink, RecordGone, Throttled, Transient, TwinboxError, VersionConflict
from core.event import Attendee, Event, Moment
from core.replica import Item, Write
from providers.google.event_items import View, event_id, read_item
from tests.support.google_calendar import (
    LUNCH,
    ORIGIN,
    Json,
    creation,
    done,
    failure,
    only,
    page,
    refusal,
    resource,
    rewrite,
    scripted,
)

EVENTS = "/calendars/primary/events"
FIRST, SECOND = event_id(ORIGIN, 0), event_id(ORIGIN, 1)
MARK = {"extendedProperties": {"private": {"twinbox": ORIGIN}}}
OURS = resource(FIRST, **MARK)
DUPLICATE = refusal(409, "duplicate", "The requested identifier already exists.")


def item_of(event: Json) -> Item[Event]:
    return read_item(event, View(None, True))


# ---- creating --------------------------------------------------------------------------------------------


def test_an_event_is_made_under_an_id_of_our_choice_with_our_mark_and_nobody_is_mailed() -> None:
    world = scripted(OURS)
    item = done(world.calendar.write([creation("k", LUNCH)]))["k"]
    assert (item.id, item.origin, item.selected) == (FIRST, ORIGIN, True)
    (sent,) = world.http.sent
    assert sent.call == f"POST {EVENTS}"
    assert sent.query["sendUpdates"] == ["none"]
    assert "conferenceDataVersion" not in sent.query
    assert sent.body == {
        "id": FIRST,
        "summary": "Lunch",
        "start": {"dateTime": "2026-03-02T11:00:00Z", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-02T12:00:00Z", "timeZone": "Europe/Berlin"},
        **MARK,
    }


def test_guests_are_mailed_only_where_the_setting_says_so() -> None:
    world = scripted(OURS, send="externalOnly")
    done(world.calendar.write([creation("k", LUNCH)]))
    assert world.http.sent[0].query["sendUpdates"] == ["externalOnly"]


def test_a_creation_whose_answer_was_lost_is_taken_for_what_it_is() -> None:
    world = scripted(TimeoutError(), DUPLICATE, OURS)
    with pytest.raises(Transient):
        list(world.calendar.write([creation("k", LUNCH)]))
    assert done(world.calendar.write([creation("k", LUNCH)]))["k"].id == FIRST
    assert world.calls == [f"POST {EVENTS}", f"POST {EVENTS}", f"GET {EVENTS}/{FIRST}"]


def test_an_id_that_was_used_up_by_a_deleted_event_gives_way_to_the_next() -> None:
    again = resource(SECOND, **MARK)
    world = scripted(DUPLICATE, {**OURS, "status": "cancelled"}, again)
    item = done(world.calendar.write([creation("k", LUNCH)]))["k"]
    assert item.id == SECOND
    assert item.extra["generation"] == 1
    assert [body["id"] for body in world.bodies] == [FIRST, SECOND]


def test_an_id_that_is_taken_and_yet_not_found_gives_way_only_after_a_pause() -> None:
    missing = refusal(404, "notFound")
    world = scripted(DUPLICATE, missing, missing, resource(SECOND, **MARK))
    assert done(world.calendar.write([creation("k", LUNCH)]))["k"].id == SECOND
    assert world.waited == [1.0]


def test_an_event_of_somebody_else_under_our_id_is_left_alone() -> None:
    foreign = resource(FIRST, extendedProperties={"private": {"twinbox": "somebody else"}})
    world = scripted(DUPLICATE, foreign, resource(SECOND, **MARK))
    assert done(world.calendar.write([creation("k", LUNCH)]))["k"].id == SECOND


def test_an_event_that_was_deleted_too_often_is_set_aside() -> None:
    dead = {"id": "x", "status": "cancelled"}
    world = scripted(*(answer for _ in range(32) for answer in (DUPLICATE, dead)))
    assert isinstance(failure(world.calendar.write([creation("k", LUNCH)])), ItemRejected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(400, "invalid"), ItemRejected),
        (refusal(403, "forbidden"), ItemRejected),
        (refusal(404, "notFound"), Transient),
    ],
)
def test_a_refused_creation_concerns_that_event_alone(answer: Any, expected: type[TwinboxError]) -> None:
    world = scripted(answer, OURS)
    outcomes = list(world.calendar.write([creation("bad", LUNCH, origin="x"), creation("good", LUNCH)]))
    assert [type(getattr(one, "error", None)) for one in outcomes] == [expected, type(None)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(403, "quotaExceeded"), Throttled),
        (refusal(401, "authError"), NeedsRelink),
        (refusal(503, "backendError"), Transient),
        (ConnectionResetError(), Transient),
        ({}, Transient),
    ],
)
def test_what_concerns_the_account_stops_the_call(answer: Any, expected: type[TwinboxError]) -> None:
    with pytest.raises(expected):
        list(scripted(answer).calendar.write([creation("k", LUNCH)]))


def test_a_cancelled_event_is_not_made() -> None:
    world = scripted()
    assert isinstance(failure(world.calendar.write([creation("k", replace(LUNCH, status="cancelled"))])), ItemRejected)
    assert not world.calls


# ---- occurrences -----------------------------------------------------------------------------------------

MASTER = resource("m", recurrence=["RRULE:FREQ=WEEKLY"])
MOVED = replace(
    LUNCH,
    uid="m@google.com",
    original="2026-03-09T11:00:00Z",
    start=Moment(at="2026-03-10T11:00:00Z", zone="Europe/Berlin"),
    end=Moment(at="2026-03-10T12:00:00Z", zone="Europe/Berlin"),
)
INSTANCE = resource(
    "m_20260309T110000Z",
    iCalUID="m@google.com",
    recurringEventId="m",
    originalStartTime={"dateTime": "2026-03-09T12:00:00+01:00", "timeZone": "Europe/Berlin"},
    start={"dateTime": "2026-03-09T12:00:00+01:00", "timeZone": "Europe/Berlin"},
    end={"dateTime": "2026-03-09T13:00:00+01:00", "timeZone": "Europe/Berlin"},
    attendees=[{"email": "bob@example.org", "responseStatus": "accepted", "comment": "cake"}],
    extendedProperties={"private": {"twinbox": "origin-of-the-series", "other": "x"}},
)
GUEST = (Attendee("bob@example.org", response="accepted"),)
INSTANCE_PATH = f"{EVENTS}/m_20260309T110000Z"


def changed_instance(patch: Json) -> Json:
    both: Json = {name: {**INSTANCE.get(name, {}), **patch[name]} for name in ("start", "end") if name in patch}
    return {**INSTANCE, **patch, **both, "etag": '"2"'}


def test_a_moved_occurrence_changes_the_instance_of_its_series_which_a_listing_told() -> None:
    marks = {"private": {"twinbox": f"{ORIGIN} 2026-03-09T11:00:00Z", "other": "x"}}
    after = changed_instance(
        {
            "start": {"dateTime": "2026-03-10T12:00:00+01:00"},
            "end": {"dateTime": "2026-03-10T13:00:00+01:00"},
            "extendedProperties": marks,
        }
    )
    world = scripted(page(MASTER), INSTANCE, after)
    world.calendar.changes(None)
    item = done(world.calendar.write([creation("k", replace(MOVED, attendees=GUEST))]))["k"]
    assert item.body == replace(MOVED, attendees=GUEST, organizer="ann@example.com")
    assert item.origin == ORIGIN
    assert world.calls == [f"GET {EVENTS}", f"GET {INSTANCE_PATH}", f"PATCH {INSTANCE_PATH}"]
    assert world.http.sent[-1].headers["if-match"] == '"1"'
    assert world.bodies == [
        {
            "start": {"dateTime": "2026-03-10T11:00:00Z", "timeZone": "Europe/Berlin"},
            "end": {"dateTime": "2026-03-10T12:00:00Z", "timeZone": "Europe/Berlin"},
            "extendedProperties": marks,
        }
    ]


def test_a_series_that_no_listing_told_is_found_by_its_uid_and_once() -> None:
    world = scripted(page(INSTANCE, MASTER), INSTANCE, INSTANCE, INSTANCE, INSTANCE)
    another = replace(MOVED, title="x")
    done(world.calendar.write([creation("a", replace(MOVED, attendees=GUEST)), creation("b", another, origin="o")]))
    assert world.calls.count(f"GET {EVENTS}") == 1
    assert world.http.sent[0].query["iCalUID"] == ["m@google.com"]


def test_a_cancelled_occurrence_sends_that_and_no_text() -> None:
    after = {"id": INSTANCE["id"], "status": "cancelled", "recurringEventId": "m"}
    after["originalStartTime"] = INSTANCE["originalStartTime"]
    world = scripted(page(MASTER), INSTANCE, after)
    world.calendar.changes(None)
    cancelled = replace(MOVED, status="cancelled", title="something")
    item = done(world.calendar.write([creation("k", cancelled, origin="")]))["k"]
    assert world.bodies == [{"status": "cancelled"}]
    assert (item.body.uid, item.body.original, item.body.status) == (MOVED.uid, MOVED.original, "cancelled")
    assert item.selected


def test_an_occurrence_whose_change_was_not_heard_of_sends_nothing_again() -> None:
    world = scripted(page(MASTER), {**INSTANCE, "status": "cancelled"})
    world.calendar.changes(None)
    done(world.calendar.write([creation("k", replace(MOVED, status="cancelled"))]))
    assert not world.bodies


@pytest.mark.parametrize("found", [page(), page({**MASTER, "status": "cancelled"}), refusal(404, "notFound")])
def test_an_occurrence_without_its_series_is_set_aside(found: Any) -> None:
    assert isinstance(failure(scripted(found).calendar.write([creation("k", MOVED)])), ItemRejected)


def test_an_occurrence_without_a_uid_is_set_aside_without_a_call() -> None:
    assert isinstance(failure(scripted().calendar.write([creation("k", replace(MOVED, uid=""))])), ItemRejected)


def test_an_occurrence_the_series_does_not_have_is_set_aside() -> None:
    missing = refusal(404, "notFound")
    assert isinstance(
        failure(scripted(page(MASTER), missing, missing).calendar.write([creation("k", MOVED)])), ItemRejected
    )


def test_an_occurrence_that_changes_meanwhile_is_read_again() -> None:
    stale = refusal(412, "conditionNotMet")
    later = {**INSTANCE, "etag": '"5"'}
    world = scripted(page(MASTER), INSTANCE, stale, later, later)
    done(world.calendar.write([creation("k", MOVED)]))
    assert world.http.sent[-1].headers["if-match"] == '"5"'
    restless = scripted(page(MASTER), *([INSTANCE, stale] * 3))
    assert isinstance(failure(restless.calendar.write([creation("k", MOVED)])), Transient)


def test_a_series_is_made_before_its_occurrences() -> None:
    made = resource("m", recurrence=["RRULE:FREQ=WEEKLY"])
    world = scripted(made, INSTANCE, INSTANCE)
    series = replace(LUNCH, recurrence=("RRULE:FREQ=WEEKLY",))
    outcomes = world.calendar.write([creation("occurrence", MOVED, origin="o"), creation("series", series)])
    assert list(done(outcomes)) == ["series", "occurrence"]


# ---- changing --------------------------------------------------------------------------------------------


def test_an_edit_sends_what_changed_under_the_version_it_was_decided_on() -> None:
    world = scripted(page(resource()), resource(summary="Dinner", etag='"2"'))
    item = only(world.calendar.changes(None))
    now = done(world.calendar.write([rewrite(item, replace(item.body, title="Dinner"))]))["e1"]
    assert now.body.title == "Dinner"
    assert now.stamp.version == '"2"'
    sent = world.http.sent[-1]
    assert (sent.call, sent.body) == (f"PATCH {EVENTS}/e1", {"summary": "Dinner"})
    assert sent.headers["if-match"] == '"1"'
    assert sent.query["sendUpdates"] == ["none"]


def test_an_edit_that_changes_nothing_is_not_sent() -> None:
    item = item_of(resource())
    world = scripted()
    assert done(world.calendar.write([rewrite(item, item.body)]))["e1"] == item


def test_what_is_known_of_an_event_need_not_be_of_this_run() -> None:
    item = item_of(resource())
    world = scripted(resource(), resource(summary="Dinner"))
    bare = Write("k", "e1", '"1"', replace(item.body, title="Dinner"), None)
    done(world.calendar.write([bare]))
    assert world.calls == [f"GET {EVENTS}/e1", f"PATCH {EVENTS}/e1"]


def test_an_event_that_is_not_what_it_was_is_not_written() -> None:
    changed = Write("k", "e1", '"0"', item_of(resource()).body, None)
    assert isinstance(failure(scripted(resource()).calendar.write([changed])), VersionConflict)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(412, "conditionNotMet"), VersionConflict),
        (refusal(404, "notFound"), RecordGone),
        (refusal(410, "deleted"), RecordGone),
        (refusal(403, "forbiddenForNonOrganizer"), ItemRejected),
        (refusal(400, "eventTypeRestriction"), ItemRejected),
        ({"id": "e1", "status": "cancelled"}, RecordGone),
    ],
)
def test_a_refused_edit_concerns_that_event_alone(answer: Any, expected: type[TwinboxError]) -> None:
    item = item_of(resource())
    world = scripted(answer)
    assert type(failure(world.calendar.write([rewrite(item, replace(item.body, title="x"))]))) is expected


def test_an_edit_whose_answer_was_lost_may_have_taken_effect() -> None:
    item = item_of(resource())
    with pytest.raises(Transient):
        list(scripted(TimeoutError()).calendar.write([rewrite(item, replace(item.body, title="x"))]))


@pytest.mark.parametrize(
    "more",
    [{"organizer": {"email": "boss@example.org"}}, {"locked": True}, {"privateCopy": True}, {"eventType": "focusTime"}],
)
def test_what_we_may_not_write_is_refused_without_a_call(more: Json) -> None:
    item, world = item_of(resource(**more)), scripted()
    error = failure(world.calendar.write([rewrite(item, replace(item.body, title="x"))]))
    assert isinstance(error, ItemRejected)
    assert error.advice
    assert not world.calls


# ---- leaving and coming back -----------------------------------------------------------------------------


def test_leaving_deletes_and_mails_nobody() -> None:
    item, world = item_of(resource()), scripted((204, None))
    after = done(world.calendar.write([rewrite(item, None, selected=False)]))["e1"]
    assert not after.selected
    assert (after.body, after.stamp) == (item.body, item.stamp)
    (sent,) = world.http.sent
    assert sent.call == f"DELETE {EVENTS}/e1"
    assert sent.query["sendUpdates"] == ["none"]


def test_a_series_is_deleted_first_and_its_occurrences_go_with_it() -> None:
    world = scripted((204, None))
    series = item_of(resource("m", recurrence=["RRULE:FREQ=WEEKLY"]))
    moved = item_of(
        resource(
            "m_20260302T110000Z",
            recurringEventId="m",
            originalStartTime={"dateTime": "2026-03-02T12:00:00+01:00"},
        )
    )
    after = done(world.calendar.write([rewrite(one, None, selected=False) for one in (moved, series)]))
    assert {one: item.selected for one, item in after.items()} == {"m": False, "m_20260302T110000Z": False}
    assert world.calls == [f"DELETE {EVENTS}/m"]


@pytest.mark.parametrize("answer", [refusal(404, "notFound"), refusal(410, "deleted", "Resource has been deleted")])
def test_an_event_that_is_gone_already_has_left(answer: Any) -> None:
    item = item_of(resource())
    assert not done(scripted(answer).calendar.write([rewrite(item, None, selected=False)]))["e1"].selected


def test_a_guest_takes_somebody_elses_event_out_of_the_own_calendar() -> None:
    item, world = item_of(resource(organizer={"email": "boss@example.org"})), scripted((204, None))
    done(world.calendar.write([rewrite(item, None, selected=False)]))
    assert world.calls == [f"DELETE {EVENTS}/e1"]


def test_an_event_that_was_never_ours_to_touch_is_not_deleted() -> None:
    item, world = item_of(resource(eventType="birthday")), scripted()
    assert isinstance(failure(world.calendar.write([rewrite(item, None, selected=False)])), ItemRejected)


def test_leaving_without_knowing_the_event_still_leaves() -> None:
    leave: Write[Event] = Write("k", "e1", "", None, False)
    assert not done(scripted((204, None)).calendar.write([leave]))["k"].selected


def test_a_deleted_event_that_is_wanted_again_is_confirmed_again() -> None:
    item, dead = item_of(resource()), resource(status="cancelled", etag='"7"')
    world = scripted(dead, resource(etag='"8"'))
    assert done(world.calendar.write([rewrite(item, None, selected=True)]))["e1"].selected
    assert world.bodies == [{"status": "confirmed"}]
    assert world.http.sent[-1].headers["if-match"] == '"7"'


@pytest.mark.parametrize(
    "answer",
    [refusal(403, "forbidden"), refusal(404, "notFound"), refusal(400, "invalid"), resource(status="cancelled")],
)
def test_a_deleted_event_that_google_does_not_give_back_is_gone(answer: Any) -> None:
    world = scripted(resource(status="cancelled"), answer)
    assert isinstance(failure(world.calendar.write([rewrite(item_of(resource()), None, selected=True)])), RecordGone)


def test_an_event_that_is_there_needs_nothing_to_take_part() -> None:
    world = scripted(resource())
    done(world.calendar.write([rewrite(item_of(resource()), None, selected=True)]))
    assert world.calls == [f"GET {EVENTS}/e1"]


@pytest.mark.parametrize(
    ("one", "origin"),
    [(FIRST, ORIGIN), (SECOND, ORIGIN), (FIRST[:-2], ""), (FIRST + "0", ""), ("z" * 27, ""), ("a_" * 13 + "b", "")],
)
def test_a_guests_copy_of_what_we_made_is_known_by_its_id(one: str, origin: str) -> None:
    assert item_of(resource(one, organizer={"email": "boss@example.org"})).origin == origin
