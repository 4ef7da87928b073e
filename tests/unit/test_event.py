"""What can be an event, in its normal form, and its form as JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.event import Attendee, Event, Moment, Reminder, canonical, from_json, problem_of, to_json

TALK = Event(title="Talk", start=Moment(at="2026-03-02T09:30:00Z"), end=Moment(at="2026-03-02T10:30:00Z"))


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        (Moment(), Moment(), "start: either a date or a time is needed"),
        (Moment("2026-03-02", "2026-03-02T09:30:00Z"), TALK.end, "start: either"),
        (Moment(date="2026-03-02"), TALK.end, "both be dates or both be times"),
        (Moment(date="2026-03-02"), Moment(date="2026-03-02"), "before the start"),
        (Moment(date="2026-02-30"), Moment(date="2026-03-02"), "no date or time"),
        (Moment(date="20260302"), Moment(date="2026-03-03"), "is not a date"),
        (TALK.end, TALK.start, "before the start"),
        (Moment(at="2026-3-2T9:30:00Z"), TALK.end, "no date or time"),
        (Moment(at="2026-03-02T09:30:00+01:00"), TALK.end, "no date or time"),
        (Moment(at="2026-03-02T09:30:00Z", zone="Europe/Nowhere"), TALK.end, "no time zone"),
        (Moment(at="2026-03-02T09:30:00Z", zone="../x\x00"), TALK.end, "no time zone"),
        (TALK.start, TALK.start, ""),
        (Moment(date="2026-03-02"), Moment(date="2026-03-03"), ""),
    ],
)
def test_when_an_event_takes_place_must_make_sense(start: Moment, end: Moment, problem: str) -> None:
    found = problem_of(replace(TALK, start=start, end=end))
    assert problem in found
    assert bool(problem) == bool(found)


@pytest.mark.parametrize(
    ("reminders", "problem"),
    [
        ((Reminder("popup", 40_320), Reminder("email", 0)), ""),
        ((), ""),
        ((Reminder("popup", 40_321),), "four weeks"),
        ((Reminder("popup", -1),), "0 to"),
        ((Reminder("sms", 5),), "'sms' is no way"),
        (tuple(Reminder("popup", one) for one in range(6)), "5 reminders at most"),
    ],
)
def test_reminders_must_be_such_as_a_calendar_takes(reminders: tuple[Reminder, ...], problem: str) -> None:
    found = problem_of(replace(TALK, reminders=reminders))
    assert problem in found
    assert bool(problem) == bool(found)


def test_no_reminders_and_those_of_the_calendar_are_two_things() -> None:
    for reminders in (None, (), (Reminder("email", 60), Reminder("popup", 10), Reminder("popup", 10))):
        event = canonical(replace(TALK, reminders=reminders))
        assert from_json(to_json(event)) == event
    assert canonical(replace(TALK, reminders=reminders)).reminders == (Reminder("popup", 10), Reminder("email", 60))


@pytest.mark.parametrize("line", ["FREQ=DAILY", "RRULE:FREQ=SECONDLY", "RRULE:COUNT=2", "EXRULE:FREQ=DAILY", "RDATE:"])
def test_what_is_no_rule_is_refused(line: str) -> None:
    event = replace(TALK, start=replace(TALK.start, zone="UTC"), recurrence=(line,))
    assert "no rule of recurrence" in problem_of(event)


def test_a_series_of_times_needs_a_zone() -> None:
    assert "time zone" in problem_of(replace(TALK, recurrence=("RRULE:FREQ=DAILY",)))


def test_the_normal_form_is_its_own_and_survives_json() -> None:
    people = (Attendee(" Bob@x.org "), Attendee("ann@x.org", "ann@x.org", "accepted"), Attendee("ANN@x.org", "twice"))
    event = canonical(replace(TALK, title=" a \n b\x00", attendees=people, organizer="Ann@X.org"))
    assert (event.title, event.organizer) == ("a b", "ann@x.org")
    assert event.attendees == (Attendee("ann@x.org", "", "accepted"), Attendee("Bob@x.org"))
    assert canonical(event) == event
    assert from_json(to_json(event)) == event
