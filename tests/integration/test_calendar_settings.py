"""What the operator sets for all calendars: which guests Google may mail, which kinds of events come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.calendar_world import ELSEWHERE, CalendarWorld, calendar_world, meeting

Make = Callable[..., CalendarWorld]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as open_worlds:
        yield lambda **options: open_worlds.enter_context(calendar_world(tmp_path, options=options))


def focus(world: CalendarWorld) -> str:
    return world.put("Writing", eventType="focusTime", focusTimeProperties={})


@pytest.mark.parametrize(("setting", "mailed"), [("none", []), ("all", [ELSEWHERE])])
def test_guests_are_mailed_only_where_the_operator_wants_it(make: Make, setting: str, mailed: list[str]) -> None:
    world = make(calendar_guests=setting)
    world.add(meeting("Lunch", "2026-03-10", ELSEWHERE))
    assert world.run().outcome == "ok"
    assert [mail.to for mail in world.google.mails] == mailed
    world.google.mails.clear()


def test_other_kinds_of_events_stay_out(make: Make) -> None:
    world = make()
    focus(world)
    assert world.run().counts == {}
    assert world.rows() == []


def test_other_kinds_of_events_come_in_to_be_read_only(make: Make) -> None:
    world = make(calendar_kinds="all")
    one = focus(world)
    world.run()
    assert [row.title for row in world.rows()] == ["Writing"]
    world.pass_time()
    world.edit(world.row().id, title="Sleeping")
    with world.no_writes():
        report = world.run()
    assert report.counts["conflicts"] == 1
    assert (world.row().title, world.shown()[one]["summary"]) == ("Writing", "Writing")


def test_kinds_that_are_switched_off_again_stay_as_they_are(make: Make) -> None:
    world = make(calendar_kinds="all")
    focus(world)
    world.run()
    world.pass_time()
    world.app = replace(world.app, settings=replace(world.app.settings, calendar_kinds="ordinary"))
    with world.no_writes():
        world.run()
        world.settle()
    assert [(row.title, row.cancelled_at) for row in world.rows()] == [("Writing", None)]
