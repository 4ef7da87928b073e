"""What breaking runs of calendars at every boundary has found, each as a story of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.event import from_json
from sync.activity_book import delete_activity, restore_activity
from tests.support.calendar_world import ANN, BOB, EVENTS, INSERT, WEEKLY, CalendarWorld, calendar_world, meeting

MOVED, CANCELLED = "2026-03-17T09:00:00Z", "2026-03-24T09:00:00Z"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CalendarWorld]:
    with calendar_world(tmp_path, ANN, BOB) as made:
        yield made


@pytest.fixture
def series(world: CalendarWorld) -> str:
    """A series with a moved and a cancelled occurrence, which Ann and Bob share."""
    one = world.put("Weekly", "2026-03-03", BOB, repeat=WEEKLY)
    world.move(one, "2026-03-17")
    world.book().cancel_occurrence(world.occurrence(one, "2026-03-24"))
    world.settle()
    return one


def workspace(world: CalendarWorld) -> str:
    return world.people[ANN].workspace_id


def test_a_guest_knows_a_meeting_again_that_was_made_anew(world: CalendarWorld) -> None:
    one = world.put("Call", "2026-03-10", BOB)
    world.settle()
    world.book().delete(one)
    world.edit(world.row().id, title="On after all")  # an edit beats a deletion: it is made anew
    assert world.run(ANN).counts == {"created at the provider": 1}
    report = world.run(BOB)
    assert (report.outcome, "set aside" in report.counts) == ("ok", False)
    world.settle()
    assert (len(world.rows()), world.takes_part(BOB)) == (1, {world.row().id})


@pytest.mark.parametrize("lost", [INSERT, f"PATCH {EVENTS}*"])
def test_a_restored_series_of_which_the_answer_is_lost_is_no_second_series(
    world: CalendarWorld, series: str, lost: str
) -> None:
    delete_activity(world.app, workspace(world), world.series()[""].id)
    world.settle()
    restore_activity(world.app, workspace(world), world.series()[""].id)
    world.faults.next(lost, drop="after")
    assert world.run().outcome == "failed"
    world.settle()
    assert sorted(world.series()) == ["", MOVED, CANCELLED]
    assert {row.uid for row in world.rows()} == {event["iCalUID"] for event in world.shown().values()}
    assert world.takes_part(ANN) == world.takes_part(BOB) == {row.id for row in world.rows()}
    assert (len(world.rows()), len(world.shown()), len(world.shown(BOB))) == (3, 2, 2)


def test_a_series_is_deleted_with_one_call_and_a_lost_answer_leaves_no_occurrence_cancelled(
    world: CalendarWorld, series: str
) -> None:
    delete_activity(world.app, workspace(world), world.series()[""].id)
    world.faults.next(f"DELETE {EVENTS}*", drop="after")
    with world.counted() as calls:
        assert world.run().outcome == "failed"
        world.settle()
    assert calls["events.delete"] == 1
    assert (world.shown(), world.shown(BOB)) == ({}, {})
    assert from_json(world.series()[MOVED].body).status == "confirmed"


def test_an_occurrence_cancelled_in_the_crm_keeps_its_text_there(world: CalendarWorld, series: str) -> None:
    row = world.series()[MOVED]
    world.edit(row.id, title="Special", status="cancelled")
    world.settle()
    body = world.body(row.id)
    assert (body.title, body.status, body.start.at) == ("Special", "cancelled", "2026-03-17T14:00:00Z")
    assert world.book().event(world.links()[row.id])["status"] == "cancelled"


@pytest.mark.parametrize("repeat", [(), (WEEKLY,)])
def test_a_guest_who_syncs_before_the_organizer_heard_of_the_creation_makes_no_second_activity(
    world: CalendarWorld, repeat: tuple[str, ...]
) -> None:
    one = world.add(meeting("Call", "2026-03-10", BOB, recurrence=repeat))
    world.faults.next(INSERT, drop="after")
    assert world.run(ANN).outcome == "failed"
    world.run(BOB)
    assert [row.id for row in world.rows()] == [one]
    world.settle()
    assert ([row.id for row in world.rows()], world.takes_part(BOB)) == ([one], {one})
    world.edit(one, title="Moved")
    world.settle()
    assert {event["summary"] for event in world.shown(BOB).values()} == {"Moved"}
    assert (len(world.rows()), world.row().main_account) == (1, world.accounts[ANN])


def test_a_guest_who_syncs_before_the_organizer_heard_of_a_restored_series_makes_no_second_one(
    world: CalendarWorld, series: str
) -> None:
    ids = {row.id for row in world.rows()}
    delete_activity(world.app, workspace(world), world.series()[""].id)
    world.settle()
    restore_activity(world.app, workspace(world), world.series()[""].id)

    def lost(operation: str, _user: str) -> None:
        if operation == "events.get":  # the series is made, its occurrences are about to be
            world.knobs.on_call = None
            world.run(BOB)

    world.knobs.on_call = lost
    world.run(ANN)
    world.settle()
    assert {row.id for row in world.rows()} == ids
    assert world.takes_part(ANN) == world.takes_part(BOB) == ids
    assert (len(world.shown()), len(world.shown(BOB)), len({row.uid for row in world.rows()})) == (2, 2, 1)
