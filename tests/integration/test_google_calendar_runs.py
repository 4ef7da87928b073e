"""Runs of the calendar channel through the real client library and our adapter, against Google's double."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from core.event import from_json
from tests.support.calendar_world import (
    ANN,
    BERLIN,
    BOB,
    ELSEWHERE,
    INSERT,
    WEEKLY,
    CalendarWorld,
    calendar_world,
    meeting,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CalendarWorld]:
    with calendar_world(tmp_path) as made:
        yield made


@pytest.fixture
def two(tmp_path: Path) -> Iterator[CalendarWorld]:
    """Ann and Bob, who meet."""
    with calendar_world(tmp_path, ANN, BOB) as made:
        yield made


def test_an_event_becomes_an_activity_and_then_a_run_is_one_call(world: CalendarWorld) -> None:
    world.put("Kickoff", "2026-03-10", ELSEWHERE, location="Room 1")
    assert world.run().counts == {"created in the CRM": 1}
    body = world.body()
    assert (body.title, body.location, body.start.at) == ("Kickoff", "Room 1", "2026-03-10T09:00:00Z")
    with world.counted() as calls:
        assert world.run().counts == {}
    assert calls == {"events.list": 1}


def test_an_activity_becomes_an_event_and_stays_as_it_is(world: CalendarWorld) -> None:
    world.add(meeting("Call", "2026-03-11", "guest@example.org"))
    assert world.run().counts["created at the provider"] == 1
    [event] = world.shown().values()
    assert (event["summary"], event["attendees"][0]["email"]) == ("Call", "guest@example.org")
    for _ in range(2):
        world.pass_time()
        with world.no_writes():
            assert world.run().counts == {}


def test_edits_of_both_sides_are_merged_and_answers_of_guests_are_kept(world: CalendarWorld) -> None:
    one = world.put("Kickoff", "2026-03-10", ELSEWHERE)
    world.run()
    world.pass_time()
    world.book(ELSEWHERE).answer(one, "tentative", comment="will be late")
    world.book().edit(one, summary="Kick-off")
    world.edit(world.row().id, location="Room 1")
    world.run()
    event = world.shown()[one]
    assert (event["summary"], event["location"]) == ("Kick-off", "Room 1")
    guest = next(guest for guest in event["attendees"] if guest["email"] == ELSEWHERE)
    assert (guest["responseStatus"], guest["comment"]) == ("tentative", "will be late")
    assert world.body().title == "Kick-off"


def test_a_deletion_at_google_cancels_the_activity_and_taking_it_back_brings_it_back(world: CalendarWorld) -> None:
    one = world.put("Kickoff")
    world.run()
    world.pass_time()
    world.book().delete(one)
    world.run()
    assert (world.row().cancelled_at is not None, world.row().title) == (True, "Kickoff")
    world.pass_time()
    world.book().restore(one)
    world.run()
    assert (world.row().cancelled_at, len(world.rows())) == (None, 1)


def test_what_was_deleted_in_the_crm_and_restored_gets_a_new_event(world: CalendarWorld) -> None:
    one = world.add(meeting("Call"))
    world.run()
    world.pass_time()
    world.delete(one)
    world.run()
    assert world.shown() == {}
    world.pass_time()
    world.run()
    world.restore(one)
    world.run()
    assert [event["summary"] for event in world.shown().values()] == ["Call"]
    assert len(world.book().events(deleted=True)) == 2  # the first id is burnt


def test_the_lost_answer_to_an_insert_leaves_one_event(world: CalendarWorld) -> None:
    world.add(meeting("Call"))
    world.faults.next(INSERT, drop="after")
    assert world.run().outcome == "failed"
    for _ in range(3):
        world.pass_time()
        world.run()
    assert (len(world.shown()), len(world.rows())) == (1, 1)


def test_a_meeting_of_two_users_is_one_activity(two: CalendarWorld) -> None:
    one = two.put("Kickoff", "2026-03-10", BOB)
    two.run(BOB)
    two.run(ANN)
    assert (len(two.rows()), two.row().main_account) == (1, two.accounts[ANN])
    assert two.takes_part(ANN) == two.takes_part(BOB) == {two.row().id}
    two.pass_time()
    two.edit(two.row().id, title="Changed in the CRM")
    for who in (BOB, ANN, BOB):
        two.run(who)
    assert two.shown(BOB)[one]["summary"] == two.row().title == "Changed in the CRM"


def test_an_event_of_somebody_elsewhere_is_read_and_never_written(world: CalendarWorld) -> None:
    one = world.put("Theirs", "2026-03-10", ANN, who=ELSEWHERE)
    world.run()
    assert world.row().stand_in
    world.pass_time()
    world.edit(world.row().id, title="Not ours")
    with world.no_writes():
        world.run()
    assert world.row().title == world.shown()[one]["summary"] == "Theirs"


def test_occurrences_that_differ_are_records_of_their_own(world: CalendarWorld) -> None:
    series = world.put("Weekly", "2026-03-03", repeat=WEEKLY)
    world.move(series, "2026-03-17")
    world.book().cancel_occurrence(world.occurrence(series, "2026-03-24"))
    world.run()
    rows = {original: from_json(row.body) for original, row in world.series().items()}
    assert rows[""].recurrence == (WEEKLY,)
    assert rows["2026-03-17T09:00:00Z"].start.at == "2026-03-17T14:00:00Z"
    assert rows["2026-03-24T09:00:00Z"].status == "cancelled"
    assert len({row.uid for row in world.rows()}) == 1
    assert world.run().counts == {}


def test_a_moved_occurrence_that_is_edited_in_the_crm_goes_to_google(world: CalendarWorld) -> None:
    series = world.put("Weekly", "2026-03-03", repeat=WEEKLY)
    one = world.book().edit(world.occurrence(series, "2026-03-17"), "this", summary="Special")
    world.run()
    world.pass_time()
    world.edit(world.series()["2026-03-17T09:00:00Z"].id, title="More special")
    world.run()
    assert (world.shown()[one]["summary"], world.shown()[series]["summary"]) == ("More special", "Weekly")


def test_a_token_that_is_gone_means_a_full_comparison_and_nothing_is_lost(world: CalendarWorld) -> None:
    kept, gone = world.put("Kept"), world.put("Gone")
    world.run()
    world.pass_time()
    world.book().delete(gone)
    world.google.expire_sync_tokens()
    report = world.run()
    assert report.counts == {"read everything anew": 1, "gone from the calendar": 1}
    assert {row.title: row.cancelled_at is None for row in world.rows()} == {"Kept": True, "Gone": False}
    assert list(world.shown()) == [kept]


def test_days_are_days_in_every_zone(world: CalendarWorld) -> None:
    world.put("Fair", start=date(2026, 3, 10), end=date(2026, 3, 13))
    world.run()
    assert (world.body().start.date, world.body().end.date) == ("2026-03-10", "2026-03-13")
    world.pass_time()
    world.edit(world.row().id, title="Trade fair")
    world.run()
    [event] = world.shown().values()
    assert (event["start"], event["end"]) == ({"date": "2026-03-10"}, {"date": "2026-03-13"})


def test_an_event_that_makes_no_sense_is_set_aside_and_the_rest_goes_on(world: CalendarWorld) -> None:
    world.put("Every hour", repeat="RRULE:FREQ=HOURLY;COUNT=3")
    world.put("Fine")
    report = world.run()
    assert (report.outcome, report.counts) == ("partial", {"created in the CRM": 1, "set aside": 1})
    assert [row.title for row in world.rows()] == ["Fine"]


@pytest.mark.parametrize("bare", [False, True])
def test_an_occurrence_that_is_cancelled_later_keeps_what_was_known_of_it(world: CalendarWorld, bare: bool) -> None:
    world.knobs.bare_tombstones = bare
    series = world.put("Weekly", "2026-03-03", repeat=WEEKLY)
    one = world.book().edit(world.occurrence(series, "2026-03-17"), "this", summary="Special")
    world.run()
    world.pass_time()
    world.book().cancel_occurrence(one)
    world.run()
    row = world.series()["2026-03-17T09:00:00Z"]
    assert (row.title, from_json(row.body).status, row.cancelled_at) == ("Special", "cancelled", None)
    assert world.run().counts == {}


def test_a_guest_who_takes_one_occurrence_off_cancels_it_for_nobody_else(two: CalendarWorld) -> None:
    series = two.put("Weekly", "2026-03-03", BOB, repeat=WEEKLY)
    two.run(ANN)
    two.run(BOB)
    two.pass_time()
    one = two.occurrence(series, "2026-03-17", BOB)
    two.book(BOB).cancel_occurrence(one)
    with two.no_writes():
        two.run(BOB)
        two.run(ANN)
        two.settle()
    assert two.shown(ANN)[one]["status"] == "confirmed"
    rows = two.series()
    assert "2026-03-17T09:00:00Z" not in rows or from_json(rows["2026-03-17T09:00:00Z"].body).status == "confirmed"


def test_a_series_keeps_its_clock_through_summer_time(world: CalendarWorld) -> None:
    series = world.put("Weekly", "2026-03-24", repeat=WEEKLY)
    world.run()
    world.pass_time()
    world.edit(world.row().id, location="Room 1")
    world.run()
    begin = world.google_now() + timedelta(days=20)
    [first, second] = world.book().expanded(begin, begin + timedelta(days=14))
    assert first["start"]["dateTime"][11:] == "10:00:00+01:00"
    assert second["start"]["dateTime"][11:] == "10:00:00+02:00"
    assert (first["location"], world.shown()[series]["start"]["timeZone"]) == ("Room 1", BERLIN)
