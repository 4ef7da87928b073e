"""What users of other products complain about where calendars are synchronised, each as something that does not happen
here: real runs against Google's double through the real client library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select

from core.event import Attendee
from core.types import Channel
from models.activity_queries import activity_record
from models.links import SetAsideRow
from sync.calendar_channel import CalendarChange, change_calendar
from sync.run import run_sync
from tests.support.calendar_world import ANN, BOB, ELSEWHERE, WEEKLY, CalendarWorld, calendar_world, meeting


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CalendarWorld]:
    with calendar_world(tmp_path) as made:
        yield made


@pytest.fixture
def two(tmp_path: Path) -> Iterator[CalendarWorld]:
    with calendar_world(tmp_path, ANN, BOB) as made:
        yield made


def test_03_a_series_is_not_created_again_at_every_sync(world: CalendarWorld) -> None:
    series = world.put("Weekly", "2026-03-03", repeat=WEEKLY)
    world.run()
    for turn in range(4):
        world.book().edit(series, summary=f"Weekly {turn}")
        world.move(series, f"2026-03-{10 + 7 * (turn % 3)}", hours=turn + 1)
        if turn == 2:
            world.google.expire_sync_tokens()
        world.settle()
        assert [row.title for row in world.rows() if not row.original] == [f"Weekly {turn}"]
        assert len(world.rows()) == 1 + min(turn + 1, 3)
    assert len([event for event in world.shown().values() if "recurrence" in event]) == 1


def test_04_a_series_that_was_read_is_not_pushed_back_and_nobody_is_invited_again(world: CalendarWorld) -> None:
    series = world.put("Weekly", "2026-03-03", ELSEWHERE, repeat=WEEKLY)
    world.move(series, "2026-03-10")
    with world.no_writes():
        world.settle()
    world.edit(world.series()[""].id, location="Room 1")
    with world.counted() as calls:
        world.settle()
    assert (calls["events.patch"], calls["events.insert"]) == (1, 0)
    assert {event["summary"] for event in world.book(ELSEWHERE).events().values()} == {"Weekly"}
    assert len(world.book(ELSEWHERE).events()) == len(world.shown()) == 2


def test_05_linking_a_calendar_mails_nobody_and_touches_nobodys_answer(world: CalendarWorld) -> None:
    made = [world.put(f"M{number}", f"2026-03-{number + 3:02}", ELSEWHERE, BOB) for number in range(20)]
    series = world.put("Weekly", "2026-03-03", ELSEWHERE, repeat=WEEKLY)
    world.book(ELSEWHERE).answer(series, "accepted")
    world.book(ELSEWHERE).answer(made[0], "declined", comment="on holiday")
    with world.no_writes():
        world.run()
    world.add(meeting("From the CRM", "2026-03-11", ELSEWHERE))
    world.settle()
    assert world.google.mails == []
    answers = {one: world.shown()[one]["attendees"] for one in (made[0], series)}
    zoe = {one: next(guest for guest in guests if guest["email"] == ELSEWHERE) for one, guests in answers.items()}
    assert (zoe[series]["responseStatus"], zoe[made[0]]["responseStatus"]) == ("accepted", "declined")
    assert zoe[made[0]]["comment"] == "on holiday"


@pytest.mark.parametrize("made_in", ["google", "crm"])
@pytest.mark.parametrize("first", [ANN, BOB])
def test_06_two_users_in_one_meeting_are_one_activity_and_one_event_each(
    two: CalendarWorld, first: str, made_in: str
) -> None:
    if made_in == "google":
        two.put("Weekly", "2026-03-03", BOB, repeat=WEEKLY)
    else:
        two.add(meeting("Weekly", "2026-03-03", BOB, recurrence=(WEEKLY,)))
    for who in (first, *(ANN, BOB) * 3):
        two.run(who)
        two.pass_time()
    two.edit(two.row().id, location="Room 1")
    two.settle()
    assert (len(two.rows()), len(two.shown(ANN)), len(two.shown(BOB))) == (1, 1, 1)
    [mine], [theirs] = two.shown(ANN).values(), two.shown(BOB).values()
    assert (mine["iCalUID"], mine["location"]) == (theirs["iCalUID"], theirs["location"])


def test_07_reading_everything_anew_or_from_another_day_makes_nothing_vanish(world: CalendarWorld) -> None:
    for number in range(12):
        world.put(f"M{number}", f"2026-02-{number + 5:02}")
    world.add(meeting("From the CRM", "2026-02-08"))
    world.settle()
    workspace, account = world.people[ANN].workspace_id, world.accounts[ANN]
    with world.no_writes():
        for since in (date(2026, 2, 12), date(2026, 1, 1), date(2026, 3, 2), date(2026, 2, 1)):
            change_calendar(world.app, workspace, account, CalendarChange(since=since))
            world.settle()
            world.google.expire_sync_tokens()
            world.settle()
    assert all(row.cancelled_at is row.deleted_at is None for row in world.rows())
    assert (len(world.rows()), len(world.shown())) == (13, 13)


def test_08_the_organizer_stays_in_the_own_event(world: CalendarWorld) -> None:
    one = world.put("Kickoff", "2026-03-10", ELSEWHERE)
    world.settle()
    for turn in range(3):
        world.edit(world.row().id, title=f"Kickoff {turn}")
        world.settle()
    guests = (*world.body().attendees, Attendee("new@example.org"))
    world.edit(world.row().id, attendees=guests)
    world.settle()
    event = world.shown()[one]
    answers = {guest["email"]: guest["responseStatus"] for guest in event["attendees"]}
    assert answers == {ANN: "accepted", ELSEWHERE: "needsAction", "new@example.org": "needsAction"}
    assert (event["organizer"]["email"], world.row().owner_id) == (ANN, world.people[ANN].user_id)


def test_09_one_bad_recurrence_is_named_and_the_rest_goes_on(world: CalendarWorld) -> None:
    bad = world.put("Every hour", repeat="RRULE:FREQ=HOURLY;COUNT=3")
    world.put("Fine")
    mine = world.add(replace(meeting("Never"), recurrence=("RRULE:FREQ=WEEKLY;BYDAY=XX",)))
    report = world.run()
    assert (report.outcome, report.counts["created in the CRM"], report.counts["set aside"]) == ("partial", 1, 2)
    with world.app.db.reading() as session:
        aside = {row.record_id: row for row in session.scalars(select(SetAsideRow))}
    assert aside.keys() == {bad, mine}
    assert all(row.reason for row in aside.values())
    world.pass_time(60 * 24)
    world.book().edit(bad, recurrence=[WEEKLY])
    world.edit(mine, recurrence=(WEEKLY,))
    world.settle()
    assert world.run().outcome == "ok"
    assert {event["summary"] for event in world.shown().values()} == {row.title for row in world.rows()}
    assert len(world.rows()) == 3


@pytest.mark.parametrize("trigger", ["schedule", "manual", "first"])
def test_10_whatever_started_the_run_events_belong_to_the_accounts_owner_and_colleagues_see_them(
    two: CalendarWorld, trigger: str
) -> None:
    two.put("Kickoff", who=BOB)
    two.put("Doctor", who=BOB, visibility="private")
    run_sync(two.app, two.accounts[BOB], Channel.CALENDAR, trigger=trigger)
    rows = {row.title: row for row in two.rows()}
    assert {row.owner_id for row in rows.values()} == {two.people[BOB].user_id}
    with two.app.db.reading() as session:
        busy = {title: activity_record(session, row, two.people[ANN].user_id)["busy"] for title, row in rows.items()}
    assert busy == {"Kickoff": False, "Doctor": True}
