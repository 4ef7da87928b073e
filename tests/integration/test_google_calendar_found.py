"""What random histories and broken runs of calendars once brought to light, each as small as it gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.event import Moment, from_json
from models.links import SetAsideRow
from sync.activity_book import delete_activity
from tests.support.calendar_world import (
    ANN,
    BERLIN,
    BOB,
    ELSEWHERE,
    INSERT,
    WEEKLY,
    CalendarDesk,
    CalendarWorld,
    calendar_world,
    meeting,
)

LONG_BEFORE = "2025-11-20"  # the world begins on 2 March 2026, and its calendars 90 days before
TIMES = {"start": "2026-03-17T09:00:00Z", "end": "2026-03-17T10:00:00Z"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CalendarWorld]:
    with calendar_world(tmp_path) as made:
        yield made


@pytest.fixture
def two(tmp_path: Path) -> Iterator[CalendarWorld]:
    """Ann and Bob, who meet."""
    with calendar_world(tmp_path, ANN, BOB) as made:
        yield made


def on(day: str) -> dict[str, Any]:
    """From nine o'clock UTC on, for an hour."""
    return {name: Moment(at=f"{day}T{hour}:00:00Z", zone=BERLIN) for name, hour in (("start", "09"), ("end", "10"))}


def asides(world: CalendarWorld) -> list[str]:
    with world.app.db.reading() as session:
        return [row.reason for row in session.query(SetAsideRow)]


def test_an_activity_moved_out_of_the_range_and_back_is_moved_at_google_too(world: CalendarWorld) -> None:
    one = world.add(meeting("Review"))
    world.settle()
    for day in (LONG_BEFORE, "2026-03-12"):
        world.pass_time()
        world.edit(one, **on(day))
        world.settle()
        [event] = world.shown().values()
        assert event["start"]["dateTime"][:10] == day


def test_an_occurrence_is_not_written_into_a_series_that_was_deleted_and_is_listed_still(world: CalendarWorld) -> None:
    series = world.put("Weekly", "2026-03-03", repeat=WEEKLY)
    world.settle()
    body = from_json(world.row().body)
    world.add(replace(body, original=TIMES["start"], title="Special", recurrence=(), **on("2026-03-17")))
    world.knobs.list_lag_hand = 600
    world.book().delete(series)
    with world.no_writes():
        assert world.run().counts["set aside"] == 1
    assert world.book().expanded(world.google_now(), world.google_now() + timedelta(days=60)) == []


def test_a_guest_meets_the_event_that_replaces_a_deleted_one(two: CalendarWorld) -> None:
    one = two.put("Kickoff", "2026-03-10", BOB)
    two.settle()
    two.book().delete(one)
    two.run(ANN)
    two.pass_time()
    two.run(ANN)
    two.restore(two.row().id)
    two.run(ANN)
    assert two.run(BOB).outcome == "ok"
    two.settle()
    assert (len(two.rows()), two.links(BOB)) == (1, two.links(ANN))
    assert asides(two) == []


def test_a_meeting_of_others_stays_while_one_of_two_guests_has_it(two: CalendarWorld) -> None:
    one = two.put("Theirs", "2026-03-10", ANN, BOB, who=ELSEWHERE)
    two.settle()
    assert two.row().main_account == two.accounts[ANN]
    two.book(ANN).delete(one)
    two.settle()
    row = two.row()
    assert (row.cancelled_at, row.main_account, row.owner_id) == (None, two.accounts[BOB], two.people[BOB].user_id)
    assert two.takes_part(ANN) == set()
    assert all(entry.lost == [] for entry in two.history())
    two.book(ELSEWHERE).edit(one, summary="Theirs, later")
    two.settle()
    assert two.row().title == "Theirs, later"
    two.book(BOB).delete(one)
    two.settle()
    assert two.row().cancelled_at is not None


def test_an_edit_that_was_not_ours_to_make_is_told_when_another_guest_stands_in(two: CalendarWorld) -> None:
    one = two.put("Theirs", "2026-03-10", ANN, BOB, who=ELSEWHERE)
    two.settle()
    two.edit(two.row().id, title="Not ours")
    two.book(ANN).delete(one)
    two.settle()
    assert two.row().title == "Theirs"
    assert "Not ours" in {lost["value"] for entry in two.history() for lost in entry.lost}


def test_a_guests_calendar_is_quiet_about_a_meeting_that_was_deleted_in_the_crm(two: CalendarWorld) -> None:
    two.put("Theirs", "2026-03-10", ANN, BOB, who=ELSEWHERE)
    two.run(ANN)
    two.delete(two.row().id)
    two.run(ANN)
    two.settle()
    assert len(two.rows()) == 1
    assert asides(two) == []


def test_a_beginning_and_an_end_of_different_sides_are_never_joined(world: CalendarWorld) -> None:
    one = world.add(meeting("Review"))
    world.settle()
    [event], later = world.shown(), datetime.fromisoformat("2026-03-12T10:00:00")
    world.book().edit(event, start=later, end=later + timedelta(hours=1), zone=BERLIN)
    world.pass_time(1)
    world.edit(one, end=Moment(at="2026-03-10T10:30:00Z", zone=BERLIN))
    world.settle()
    body = world.body()
    assert (body.start.at, body.end.at) == ("2026-03-10T09:00:00Z", "2026-03-10T10:30:00Z")
    lost = {one["field"]: one["value"]["at"] for entry in world.history() for one in entry.lost}
    assert lost == {"start": "2026-03-12T09:00:00Z", "end": "2026-03-12T10:00:00Z"}


def test_an_occurrence_that_is_back_counts_whenever_its_cancellation_was_read(world: CalendarWorld) -> None:
    series = world.put("Weekly", "2026-03-03", repeat=WEEKLY)
    one = world.occurrence(series, "2026-03-17")
    world.settle()
    world.book().cancel_occurrence(one)
    world.knobs.list_lag_hand = 300  # it is back, and shown as cancelled for a while
    world.book().restore(one)
    world.pass_time(1)
    world.run()
    assert from_json(world.series()[TIMES["start"]].body).status == "cancelled"
    world.settle()
    assert from_json(world.series()[TIMES["start"]].body).status == "confirmed"


def test_a_guest_who_syncs_first_cancels_an_occurrence_for_nobody_else(two: CalendarWorld) -> None:
    series = two.put("Weekly", "2026-03-03", BOB, repeat=WEEKLY)
    one = two.occurrence(series, "2026-03-17", BOB)
    two.book(BOB).cancel_occurrence(one)
    two.run(BOB)
    with two.no_writes():
        two.settle()
    assert two.shown(ANN)[one]["status"] == "confirmed"
    assert list(two.series()) in ([""], ["", TIMES["start"]])


def test_what_a_guest_took_off_is_not_cancelled_until_the_organizer_syncs_again(two: CalendarWorld) -> None:
    series = two.put("Weekly", "2026-03-03", BOB, repeat=WEEKLY)
    two.settle()
    two.book(BOB).cancel_occurrence(two.occurrence(series, "2026-03-17", BOB))
    two.run(BOB)
    assert list(two.series()) == [""]


def test_a_guest_whom_an_organizer_removed_before_linking_is_not_invited_again(world: CalendarWorld) -> None:
    world.store.users.add(BOB, "Bob")
    one = world.put("Kickoff", "2026-03-10", ANN, ELSEWHERE, who=BOB)
    world.settle()
    guests = [guest for guest in world.book(BOB).event(one)["attendees"] if guest["email"] != ANN]
    world.book(BOB).edit(one, attendees=guests)
    world.settle()
    CalendarDesk.link(world, BOB)
    with world.no_writes():
        world.settle()
    assert ANN not in {guest.email for guest in world.body().attendees}
    assert world.row().cancelled_at is None


def test_an_organizer_who_links_later_has_the_occurrences_that_a_guest_took_off(world: CalendarWorld) -> None:
    world.store.users.add(BOB, "Bob")
    series = world.put("Weekly", "2026-03-03", ANN, who=BOB, repeat=WEEKLY)
    world.book(ANN).cancel_occurrence(world.occurrence(series, "2026-03-17", ANN))
    world.settle()
    assert from_json(world.series()[TIMES["start"]].body).status == "cancelled"
    CalendarDesk.link(world, BOB)
    with world.no_writes():
        world.settle()
    rows = world.series()
    assert TIMES["start"] not in rows or from_json(rows[TIMES["start"]].body).status == "confirmed"


def test_a_guest_who_meets_an_event_before_we_know_that_we_made_it_makes_no_second_activity(two: CalendarWorld) -> None:
    two.add(meeting("Call", "2026-03-10", ANN), BOB)
    two.faults.next(INSERT, drop="after")
    assert two.run(BOB).outcome == "failed"
    two.run(ANN)
    two.settle()
    assert (len(two.rows()), len(two.shown(BOB)), len(two.shown(ANN))) == (1, 1, 1)
    assert two.takes_part(ANN) == two.takes_part(BOB) == {two.row().id}


def test_an_occurrence_that_comes_back_with_its_series_is_no_second_one(two: CalendarWorld) -> None:
    series = two.put("Weekly", "2026-03-03", BOB, repeat=WEEKLY)
    two.settle()
    two.move(series, "2026-03-17")
    two.run(BOB)
    delete_activity(two.app, two.people[ANN].workspace_id, two.series()[""].id)
    two.pass_time()
    two.book().edit(series, location="Room 1")
    two.settle()
    assert {original: row.deleted_at for original, row in two.series().items()} == {"": None, TIMES["start"]: None}


def test_a_meeting_of_somebody_else_that_is_restored_here_is_not_made_anew(two: CalendarWorld) -> None:
    two.put("Theirs", "2026-03-10", ANN, BOB, who=ELSEWHERE)
    two.settle()
    two.delete(two.row().id)
    two.run(ANN)
    two.restore(two.row().id)
    with two.no_writes():
        two.settle()
    assert [event["organizer"]["email"] for event in two.shown(BOB).values()] == [ELSEWHERE]


def test_a_series_that_is_made_anew_keeps_its_occurrences_that_differ(world: CalendarWorld) -> None:
    series = world.put("Weekly", "2026-03-03", repeat=WEEKLY)
    world.move(series, "2026-03-17")
    world.book().cancel_occurrence(world.occurrence(series, "2026-03-24"))
    world.settle()
    world.edit(world.series()[""].id, location="Room 1")
    world.book().delete(series)
    world.settle()
    begin = world.google_now() + timedelta(days=14)
    shown = [event["start"]["dateTime"] for event in world.book().expanded(begin, begin + timedelta(days=15))]
    assert shown == ["2026-03-17T15:00:00+01:00", "2026-03-31T10:00:00+02:00"]
