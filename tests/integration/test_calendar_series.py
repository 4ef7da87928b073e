"""A series and the occurrences that differ from it, kept in step with Google's double: they are several records, and to
people they are one thing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.event import from_json
from sync.activity_book import cancel_activity, delete_activity, restore_activity
from tests.support.calendar_world import ANN, BOB, WEEKLY, CalendarWorld, calendar_world, meeting

MOVED, CANCELLED = "2026-03-17T09:00:00Z", "2026-03-24T09:00:00Z"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CalendarWorld]:
    with calendar_world(tmp_path, ANN, BOB) as made:
        yield made


def weekly(world: CalendarWorld, made_by: str, *guests: str) -> str:
    """A series with a moved and a cancelled occurrence that both sides have; its id at Google."""
    if made_by == "google":
        series = world.put("Weekly", "2026-03-03", *guests, repeat=WEEKLY)
    else:
        world.add(meeting("Weekly", "2026-03-03", *guests, recurrence=(WEEKLY,)))
        world.run()
        [series] = world.shown()
    world.move(series, "2026-03-17")
    world.book().cancel_occurrence(world.occurrence(series, "2026-03-24"))
    world.settle()
    return series


def do(act: object, world: CalendarWorld, original: str = "") -> None:
    """The CRM does something to the series, or to one occurrence of it."""
    assert callable(act)
    act(world.app, world.people[ANN].workspace_id, world.series()[original].id)


def taking_place(world: CalendarWorld, who: str = ANN) -> list[str]:
    """When the first occurrences are, as a person sees them at Google."""
    begin = world.google_now()
    world_of = world.book(who).expanded(begin, begin.replace(month=4, day=1))
    return [one["start"]["dateTime"][5:16] for one in world_of]


AS_ARRANGED = ["03-03T10:00", "03-10T10:00", "03-17T15:00", "03-31T10:00"]


@pytest.mark.parametrize("act", [delete_activity, cancel_activity])
@pytest.mark.parametrize("made_by", ["google", "crm"])
def test_a_series_that_was_taken_out_in_the_crm_and_put_back_stands_at_google_as_it_was(
    world: CalendarWorld, made_by: str, act: object
) -> None:
    weekly(world, made_by, BOB)
    assert taking_place(world, BOB) == AS_ARRANGED
    do(act, world)
    world.settle()
    assert taking_place(world) == taking_place(world, BOB) == []
    do(restore_activity, world)
    world.settle(most=3)
    assert taking_place(world) == taking_place(world, BOB) == AS_ARRANGED
    assert len({row.uid for row in world.rows()}) == 1
    assert {row.uid for row in world.rows()} == {event["iCalUID"] for event in world.shown().values()}
    assert world.takes_part(ANN) == {row.id for row in world.rows()}
    assert from_json(world.series()[CANCELLED].body).status == "cancelled"
    with world.no_writes():
        world.pass_time()
        assert (world.run(ANN).counts, world.run(BOB).counts) == ({}, {})


def test_a_series_put_back_before_a_run_saw_it_go_stays_as_it_is(world: CalendarWorld) -> None:
    series = weekly(world, "google")
    do(delete_activity, world)
    do(restore_activity, world)
    with world.no_writes():
        world.settle()
    assert series in world.shown()
    assert taking_place(world) == AS_ARRANGED


def test_an_occurrence_that_was_deleted_before_its_series_does_not_come_back_with_it(world: CalendarWorld) -> None:
    weekly(world, "crm")
    do(delete_activity, world, MOVED)
    world.settle()
    do(delete_activity, world)
    world.settle()
    do(restore_activity, world)
    world.settle()
    assert taking_place(world) == ["03-03T10:00", "03-10T10:00", "03-31T10:00"]


def test_an_occurrence_deleted_in_the_crm_stays_as_a_cancelled_one(world: CalendarWorld) -> None:
    weekly(world, "crm")
    do(delete_activity, world, MOVED)
    assert world.run().counts == {"taken out of the calendar": 1}
    world.settle(most=2)  # Google tells of it as cancelled, which is how the CRM keeps it too
    row = world.series()[MOVED]
    assert (from_json(row.body).status, row.title, row.deleted_at, row.cancelled_at) == (
        "cancelled",
        "Weekly",
        None,
        None,
    )
    assert taking_place(world) == ["03-03T10:00", "03-10T10:00", "03-31T10:00"]


@pytest.mark.parametrize("bare", [False, True])
def test_a_series_deleted_at_google_takes_its_occurrences_along_and_brings_them_back(
    world: CalendarWorld, bare: bool
) -> None:
    world.knobs.bare_tombstones = bare
    series = weekly(world, "google")
    world.book().delete(series)
    with world.no_writes():
        world.settle()
    assert all(row.cancelled_at is not None for row in world.rows())
    world.book().restore(series)
    with world.no_writes():
        world.settle()
    assert all(row.cancelled_at is None for row in world.rows())
    assert taking_place(world) == AS_ARRANGED
    assert world.takes_part(ANN) == {row.id for row in world.rows()}


def test_a_series_with_many_exceptions_counts_once_for_the_brake(world: CalendarWorld) -> None:
    series = world.put("Daily", "2026-03-03", repeat="RRULE:FREQ=DAILY")
    for day in range(10, 26):
        world.move(series, f"2026-03-{day}", hours=2)
    world.settle()
    assert len(world.rows()) == 17
    world.book().edit(series, summary="Stand-up")
    assert world.run().outcome == "ok"
    world.book().delete(series)
    assert world.run().outcome == "ok"
    assert all(row.cancelled_at is not None for row in world.rows())


def test_many_meetings_deleted_at_once_are_held(world: CalendarWorld) -> None:
    made = [world.put(f"M{number}") for number in range(20)]
    world.settle()
    for one in made[:11]:
        world.book().delete(one)
    assert world.run().outcome == "held"
    assert all(row.cancelled_at is None for row in world.rows())


def test_an_occurrence_whose_series_is_not_in_the_calendar_is_set_aside_and_told(world: CalendarWorld) -> None:
    world.add(meeting("Special", "2026-03-17", uid="unknown@example.org", original=MOVED))
    assert world.run().counts == {"set aside": 1}
    assert world.shown() == {}
