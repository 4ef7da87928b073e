"""Each step of `twinbox demo` about the calendar fails when something goes wrong: a fault, and the check it breaks."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli import demo_calendar as calendars
from cli import demo_contacts as meeting
from cli import demo_linking as linking
from cli import demo_meetings as meetings
from cli.demo_agenda import activity, calendar, changed_occurrences, event_id, hour, sync_calendar
from cli.demo_deeds import DEEDS
from cli.demo_mail import first_sync
from cli.demo_story import CheckFailed, Stage
from sandbox.google import Consent
from sandbox.google.calendar_records import Mail
from sandbox.world_letters import ANNA_ADDRESS
from sandbox.world_meetings import DENTIST, FAIR, FOCUS, JONAS, TEAM, hours
from sandbox.world_people import TOM
from tests.support.demo_stage import Play, once, played

LIST, INSERT, PATCH, DELETE = "events.list", "events.insert", "events.patch", "events.delete"
STARTED = (linking.start, linking.link, meeting.chosen)
LINKED = (*STARTED, calendars.linked)
RUNNING = (*LINKED, calendars.came_in)
INVITED = (*RUNNING, meeting.first_run, meeting.moved_in, calendars.with_guests)
SEEN = (*INVITED, calendars.guest_sees)
ALL = (*SEEN, calendars.shown_there, meetings.changed)
LABELLED = (*RUNNING, meeting.first_run)
AGAIN = (*LABELLED, meeting.moved_in, first_sync, linking.revoked, linking.relinked)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def edited(title: str, **fields: Any) -> Play:
    return lambda stage: void(calendar(stage).edit(event_id(stage, title), **fields))


def void(_: object) -> None:
    """A deed that gives something back, as one that does not."""


def touched(title: str) -> Play:
    return lambda stage: calendar(stage).touch(event_id(stage, title))


def one_more(stage: Stage) -> None:
    calendar(stage).create("One more", *hour(stage, 4, 17))


def a_letter(stage: Stage) -> None:
    stage.world.google.calendar.mails.append(Mail(TOM, "update", "x", ANNA_ADDRESS, "x", PATCH))


def uninvited(title: str, who: str) -> Play:
    return lambda stage: calendar(stage).uninvite(event_id(stage, title), who)


def tom_gives_up(stage: Stage) -> None:
    toms = stage.world.google.calendar.outsider(TOM)
    [visit] = [one for one, event in toms.events().items() if event["summary"] == meetings.VISIT]
    toms.delete(visit)


def known_to_all(stage: Stage) -> None:
    edited(DENTIST, visibility="default")(stage)
    sync_calendar(stage)


def another_page(stage: Stage) -> None:
    stage.world.google.auto_consent = Consent(user=JONAS)


# The step, what is played before it, what goes wrong, and the check that must not hold then.
FAULTS: list[tuple[Play, Sequence[Play], Play, str]] = [
    (calendars.linked, STARTED, another_page, "Google shows the consent page"),
    (calendars.looked_ahead, LINKED, once(LIST, touched(TEAM)), "nothing was written"),
    (calendars.came_in, LINKED, once(LIST, edited(FOCUS, summary=FAIR, eventType="default")), "three came in"),
    (calendars.came_in, LINKED, once(LIST, touched(FAIR), 2), "nothing was written at Google"),
    (calendars.with_guests, INVITED[:-1], once(LIST, uninvited(calendars.REVIEW, TOM)), "the activity has all four"),
    (calendars.guest_sees, INVITED, once(LIST, uninvited(TEAM, JONAS)), "his two meetings are those the CRM has"),
    (calendars.shown_there, SEEN, once(INSERT, a_letter), "no guest was mailed"),
    (meetings.changed, SEEN, once(LIST, edited(meetings.LONGER, location="x")), "one update on each side"),
    (meetings.changed, SEEN, once(PATCH, a_letter), "no guest was mailed"),
    (meetings.one_moved, RUNNING, once(LIST, edited(TEAM, location="x")), "the series itself is as it was"),
    (meetings.theirs, RUNNING, once(DELETE, tom_gives_up), "it is in her calendar no more, and still takes place"),
    (meetings.private, RUNNING, known_to_all, "Jonas sees when she is busy"),
    (meetings.called_off, ALL, once(LIST, one_more), "one each way"),
    (meetings.nobody_mailed, (*ALL, meetings.called_off), a_letter, "Twinbox never had Google write to a guest"),
    (linking.go_on, AGAIN, once(LIST, edited(TEAM, location="x")), "so it is with her"),
    (linking.removed, LABELLED, a_letter, "and no guest was mailed by Twinbox"),
]
NAMES = [f"{step.__name__}-{text[:20]}" for step, _, _, text in FAULTS]


@pytest.mark.parametrize(("step", "before", "fault", "text"), FAULTS, ids=NAMES)
def test_a_step_fails_when_its_check_does_not_hold(step: Play, before: Sequence[Play], fault: Play, text: str) -> None:
    with played(before) as stage:
        fault(stage)
        with pytest.raises(CheckFailed) as failed:
            step(stage)
    assert failed.value.text.startswith(text), (failed.value.expected, failed.value.found)


def test_every_step_about_the_calendar_has_such_a_test() -> None:
    steps = {one.play for one in (*calendars.CALENDARS, *meetings.MEETINGS)}
    assert steps <= {step for step, *_ in FAULTS}


def test_a_meeting_that_is_missing_ends_the_story_with_a_reason() -> None:
    with played(LINKED) as stage:
        with pytest.raises(CheckFailed, match="one event 'Nothing'"):
            event_id(stage, "Nothing")
        with pytest.raises(CheckFailed, match="one activity 'Nothing'"):
            activity(stage, "Nothing")


def test_somebody_can_play_on_with_the_calendar() -> None:
    with played(RUNNING) as stage:

        def press(keys: str) -> str:
            return [DEEDS[key][1](stage) for key in keys][-1]

        assert press("ma").startswith("4 activities are in Anna's calendar, the channel is linked.")
        assert "an hour later" in press("v")
        press("a")
        assert [one["status"] for one in changed_occurrences(stage, TEAM)] == ["confirmed"]
        press("wa")
        assert calendar(stage).event(event_id(stage, FAIR))["location"].startswith("Hall ")
        press("xa")
        assert activity(stage, TEAM, cancelled=True)["title"] == TEAM
        with pytest.raises(CheckFailed, match="still to come"):
            press("v")


def test_the_calendars_of_the_demo_world_are_laid_out_around_any_day() -> None:
    """Nothing of the story lies in the past, whatever day of the week it begins on."""
    for days in range(7):
        began = datetime(2026, 3, 26, 23, 30, tzinfo=UTC) + timedelta(days=days)
        start, end = hours(began, 0, 9)
        assert start.weekday() == 0
        assert timedelta(days=2) < start - began <= timedelta(days=9)
        assert end - start == timedelta(hours=1)
