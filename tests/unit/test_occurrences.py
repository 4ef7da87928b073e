"""When a series takes place: rules against another program's reading of them, clocks, bounds, hostile rules."""

from __future__ import annotations

import importlib
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.event import Event, Moment, write_instant
from core.occurrences import MAX_OCCURRENCES, Window, occurrences, rule_problem
from core.recurrence import FREQUENCIES, WEEKDAYS, local_times, read_rule

rrulestr: Any = importlib.import_module("dateutil.rrule").rrulestr

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
YEAR = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def series(*lines: str, zone: str = "UTC", start: datetime = START, hours: float = 1) -> Event:
    end = start + timedelta(hours=hours)
    return Event(start=Moment(at=write_instant(start), zone=zone), end=Moment(at=write_instant(end)), recurrence=lines)


def days(*lines: str, start: str = "2026-03-02", end: str = "2026-03-03") -> Event:
    return Event(start=Moment(date=start), end=Moment(date=end), recurrence=lines)


def starts(event: Event, window: Window = YEAR, replaced: tuple[str, ...] = ()) -> list[str]:
    found = occurrences(event, window, replaced)
    assert not found.problem
    return [one.start.date or one.start.at for one in found.occurrences]


def test_an_event_that_does_not_repeat_takes_place_once() -> None:
    event = series()
    assert starts(event) == ["2026-03-02T09:00:00Z"]
    assert starts(event, Window(START + timedelta(hours=1))) == []
    assert starts(event, Window(end=START)) == []
    moment = replace(event, end=event.start)
    assert starts(moment, Window(START, START + timedelta(hours=1))) == ["2026-03-02T09:00:00Z"]
    assert starts(moment, Window(START - timedelta(hours=1), START)) == []


def test_the_clock_of_the_zone_is_kept_over_its_changes() -> None:
    event = series("RRULE:FREQ=WEEKLY;COUNT=5", zone="Europe/Berlin", start=datetime(2026, 3, 16, 8, tzinfo=UTC))
    assert [one[11:16] for one in starts(event)] == ["08:00", "08:00", "07:00", "07:00", "07:00"]


def test_a_time_that_a_change_of_clocks_skips_is_not_lost() -> None:
    event = series("RRULE:FREQ=DAILY;COUNT=3", zone="Europe/Berlin", start=datetime(2026, 3, 28, 1, 30, tzinfo=UTC))
    assert starts(event) == ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]


def test_an_hour_that_comes_twice_is_taken_once() -> None:
    event = series("RRULE:FREQ=DAILY;COUNT=3", zone="Europe/Berlin", start=datetime(2026, 10, 24, 0, 30, tzinfo=UTC))
    assert starts(event) == ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]


def test_days_are_days_in_every_zone() -> None:
    event = days("RRULE:FREQ=MONTHLY;COUNT=3", start="2026-01-31", end="2026-02-02")
    found = occurrences(event, YEAR).occurrences
    assert [(one.start.date, one.end.date) for one in found] == [
        ("2026-01-31", "2026-02-02"),
        ("2026-03-31", "2026-04-02"),
        ("2026-05-31", "2026-06-02"),
    ]
    assert [one.original for one in found] == ["2026-01-31", "2026-03-31", "2026-05-31"]


def test_only_what_reaches_into_the_window_is_given() -> None:
    event = series("RRULE:FREQ=DAILY", hours=30)
    window = Window(datetime(2026, 6, 10, tzinfo=UTC), datetime(2026, 6, 11, tzinfo=UTC))
    assert starts(event, window) == ["2026-06-09T09:00:00Z", "2026-06-10T09:00:00Z"]
    assert starts(event, Window(end=START)) == []


def test_further_dates_come_in_and_excluded_ones_go_out() -> None:
    event = series(
        "RRULE:FREQ=WEEKLY;COUNT=4",
        "RDATE:20260303T090000Z,20260302T090000Z",
        "RDATE;TZID=Europe/Berlin:20260304T100000",
        "RDATE;VALUE=PERIOD:20260305T090000Z/PT1H",
        "EXDATE;TZID=Europe/Berlin:20260309T100000",
        "EXDATE;VALUE=DATE:20260316",
        zone="Europe/Berlin",
    )
    assert [one[:10] for one in starts(event)] == [
        "2026-03-02",
        "2026-03-03",
        "2026-03-04",
        "2026-03-05",
        "2026-03-23",
    ]
    assert [one[:10] for one in starts(series("RDATE:20260401T090000Z", "EXDATE:20260302T090000Z"))] == ["2026-04-01"]


def test_what_another_record_speaks_for_is_left_out() -> None:
    event = series("RRULE:FREQ=DAILY;COUNT=3")
    assert starts(event, replaced=("2026-03-03T09:00:00Z",)) == ["2026-03-02T09:00:00Z", "2026-03-04T09:00:00Z"]
    assert starts(days("RRULE:FREQ=DAILY;COUNT=2"), replaced=("2026-03-02",)) == ["2026-03-03"]


@pytest.mark.parametrize("until", ["20260304T090000Z", "20260304", "20260304T100000", "20260304T235959Z"])
def test_the_last_day_is_part_of_the_series(until: str) -> None:
    event = series(f"RRULE:FREQ=DAILY;UNTIL={until}", zone="Europe/Berlin")
    assert len(starts(event)) == 3


def test_a_count_is_a_count_of_the_series_not_of_the_window() -> None:
    window = Window(datetime(2026, 3, 4, tzinfo=UTC))
    assert len(starts(series("RRULE:FREQ=DAILY;COUNT=5"), window)) == 3


def test_no_more_than_a_thousand_are_given_and_it_is_told() -> None:
    found = occurrences(series("RRULE:FREQ=DAILY"), Window())
    assert len(found.occurrences) == MAX_OCCURRENCES
    assert found.problem == "only the first 1000 are shown"


@pytest.mark.parametrize(
    "line",
    [
        "RRULE:FREQ=SECONDLY",
        "RRULE:FREQ=HOURLY;COUNT=1",
        "RRULE:COUNT=3",
        "RRULE:FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12;BYMINUTE=0,1;BYSECOND=1,2",
        "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "RRULE:FREQ=DAILY;COUNT=1000000000;BYMONTH=2;BYMONTHDAY=30",
        "RRULE:FREQ=DAILY;COUNT=0",
        "RRULE:FREQ=DAILY;INTERVAL=-1",
        "RRULE:FREQ=DAILY;COUNT=3;UNTIL=20260304",
        "RRULE:FREQ=DAILY;UNTIL=tomorrow",
        "RRULE:FREQ=DAILY;BYDAY=XX",
        "RRULE:FREQ=MONTHLY;BYDAY=0MO",
        "RRULE:FREQ=DAILY;BYEASTER=1",
        "RRULE:FREQ=DAILY;FREQ=WEEKLY",
        "RRULE:FREQ=DAILY;BYMONTHDAY=\u0661",
        "RDATE:20261301T000000Z",
        "RDATE;TZID=Nowhere/Land:20260301T000000",
        "EXDATE;TZID=../etc:20260301T000000",
        "RDATE:" + "20260301T000000Z," * 6_000 + "20260301T000000Z",
    ],
)
def test_a_hostile_rule_ends_soon_and_says_so(line: str) -> None:
    begun = time.process_time()
    found = occurrences(series(line, zone="Europe/Berlin"), Window(START + timedelta(days=365)))
    assert time.process_time() - begun < 2
    assert found.occurrences == ()
    assert found.problem.startswith("not expanded: ")


def test_far_numbers_do_no_harm() -> None:
    assert len(starts(series("RRULE:FREQ=DAILY;COUNT=1000000000"), Window(end=START + timedelta(days=9)))) == 9
    assert starts(series("RRULE:FREQ=YEARLY;INTERVAL=9999999999")) == ["2026-03-02T09:00:00Z"]
    late = days("RRULE:FREQ=YEARLY", start="9997-01-01", end="9997-01-02")
    assert len(starts(late, Window())) == 3
    end = days("RRULE:FREQ=DAILY", start="9999-12-31", end="9999-12-31")
    assert starts(replace(end, end=Moment(date="9999-12-31")), Window()) == []
    assert occurrences(series(*["RRULE:FREQ=DAILY"] * 51), YEAR).problem.startswith("not expanded")


def test_a_series_of_long_ago_is_not_followed_from_its_beginning() -> None:
    event = series("RRULE:FREQ=DAILY", start=datetime(1700, 1, 1, tzinfo=UTC))
    begun = time.process_time()
    assert len(starts(event)) == 365
    assert time.process_time() - begun < 0.5


def test_what_is_wrong_with_a_rule_is_told() -> None:
    assert rule_problem(series("RRULE:FREQ=DAILY;BYDAY=MO,-1FR")) == ""
    assert "BYDAY=XX is no weekday" in rule_problem(series("RRULE:FREQ=DAILY;BYDAY=XX"))
    assert "no date or time" in rule_problem(series("EXDATE:today"))


# -- against the reading of another program

_numbers = {"BYMONTH": (1, 12), "BYMONTHDAY": (-28, 28), "BYYEARDAY": (-365, 365)}


@st.composite
def rules(draw: Any) -> str:
    frequency = draw(st.sampled_from(FREQUENCIES))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 4))}"]
    for name, (least, greatest) in _numbers.items():
        fits = name != "BYYEARDAY" or (frequency == "YEARLY" and len(parts) == 2)
        if fits and draw(st.integers(0, 3)) == 0:
            values = draw(st.lists(st.integers(least, greatest).filter(bool), min_size=1, max_size=4))
            parts.append(f"{name}={','.join(map(str, values))}")
    if draw(st.booleans()):
        place = st.sampled_from(["", "", "1", "-1", "2"]) if frequency in ("MONTHLY", "YEARLY") else st.just("")
        weekdays = draw(st.lists(st.tuples(place, st.sampled_from(WEEKDAYS)), min_size=1, max_size=4))
        # The other program takes a weekday with and without a place for a contradiction, RFC 5545 for a union.
        bare = weekdays[0][0] == ""
        parts.append("BYDAY=" + ",".join(place + day for place, day in weekdays if (place == "") == bare))
        if draw(st.integers(0, 3)) == 0:
            parts.append(f"BYSETPOS={draw(st.sampled_from(['1', '-1', '2,-2']))}")
        if frequency == "YEARLY" and bare and draw(st.booleans()):
            parts.append(f"BYWEEKNO={draw(st.integers(1, 51))}")
    parts.append(f"WKST={draw(st.sampled_from(WEEKDAYS))}")
    if draw(st.booleans()):
        parts.append(f"COUNT={draw(st.integers(1, 30))}")
    return ";".join(parts)


@given(rules(), st.integers(-10_000, 1_000), st.integers(0, 900))
def test_rules_are_read_as_another_program_reads_them(rule: str, day: int, ahead: int) -> None:
    near = START.replace(tzinfo=None) + timedelta(days=day)
    end = near + timedelta(days=4_000)
    expected = list(islice((one for one in rrulestr(rule, dtstart=near).xafter(near, inc=True) if one <= end), 1))
    if not expected:
        return
    start = expected[0]  # what does not fit its own rule is read differently
    first = start + timedelta(days=ahead)
    theirs = [one for one in islice(rrulestr(rule, dtstart=start), 400) if first <= one <= end]
    ours = list(islice(local_times(read_rule(rule), start, UTC, first, end), 400))
    assert ours[: len(theirs)] == theirs
