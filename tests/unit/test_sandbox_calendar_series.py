"""The expansion of series in the Calendar double: rules, dates, exceptions, zones, bounds (RFC 5545, 3.8.5).
How series live on calendars is in test_sandbox_calendar_meetings."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from sandbox.google.calendar_series import MOST, check_recurrence, occurrences, occurs

DAILY = "RRULE:FREQ=DAILY"


def timed(*lines: str, at: str = "2026-03-27T09:00:00Z", zone: str = "Europe/Berlin") -> dict[str, Any]:
    """A series of ten o'clock in Berlin, two days before summer time."""
    return {"start": {"dateTime": at, "timeZone": zone}, "recurrence": list(lines)}


def daily(*lines: str) -> dict[str, Any]:
    """A series of whole days."""
    return {"start": {"date": "2026-03-27"}, "recurrence": list(lines)}


def starts(shared: dict[str, Any], most: int = 10) -> list[str]:
    """The first starts, without what they have in common."""
    return [str(one.get("date") or one["dateTime"])[5:16] for one in islice(occurrences(shared), most)]


def test_the_local_clock_is_kept_when_summer_begins() -> None:
    assert starts(timed(f"{DAILY};COUNT=3")) == ["03-27T09:00", "03-28T09:00", "03-29T08:00"]


def test_a_time_that_the_change_of_clocks_skips_is_taken_by_the_offset_before_it() -> None:
    shared = timed(f"{DAILY};COUNT=3", at="2026-03-28T01:30:00Z")
    assert starts(shared) == ["03-28T01:30", "03-29T01:30", "03-30T00:30"]


@pytest.mark.parametrize("until", ["20260328T090000Z", "20260328", "20260328T100000"])
def test_an_end_counts_on_the_clock_of_the_series_and_includes_itself(until: str) -> None:
    assert starts(timed(f"{DAILY};UNTIL={until}")) == ["03-27T09:00", "03-28T09:00"]


def test_whole_days_end_on_a_day() -> None:
    assert starts(daily(f"{DAILY};UNTIL=20260328")) == ["03-27", "03-28"]


@pytest.mark.parametrize(
    "line",
    [
        "EXDATE:20260328T090000Z",
        "EXDATE;TZID=Europe/Berlin:20260328T100000",
        "EXDATE;TZID=America/New_York:20260328T050000",
        "EXDATE:20260328T100000",
        "EXDATE;VALUE=DATE:20260328",
    ],
)
def test_dates_are_excluded_in_whatever_form_they_come(line: str) -> None:
    assert starts(timed(f"{DAILY};COUNT=3", line)) == ["03-27T09:00", "03-29T08:00"]


def test_dates_are_added_once_and_in_order() -> None:
    lines = ("RDATE;VALUE=DATE:20260401,20260328", f"{DAILY};COUNT=2")
    assert starts(daily(*lines)) == ["03-27", "03-28", "04-01"]


def test_a_start_that_does_not_fit_its_rule_is_still_the_first() -> None:
    assert starts(daily("RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=2")) == ["03-27", "03-30", "04-06"]


def test_a_rule_can_be_taken_from_another() -> None:
    assert starts(daily(f"{DAILY};COUNT=4", "EXRULE:FREQ=DAILY;INTERVAL=2;COUNT=9")) == ["03-28", "03-30"]


def test_an_endless_series_is_bounded_by_the_window_and_by_number() -> None:
    shared = timed(DAILY)
    window = (datetime(2030, 1, 10, tzinfo=UTC), datetime(2030, 1, 11, tzinfo=UTC))
    assert 1 <= len(list(occurrences(shared, *window))) <= 6
    assert sum(1 for _ in occurrences(shared)) == MOST


def test_an_occurrence_is_known_by_its_original_start_in_the_form_of_the_series() -> None:
    shared = timed(DAILY)
    assert occurs(shared, {"dateTime": "2026-03-29T08:00:00Z"})
    assert not occurs(shared, {"dateTime": "2026-03-29T09:00:00Z"})
    assert not occurs(shared, {"date": "2026-03-29"})
    assert occurs(daily(DAILY), {"date": "2026-03-29"})


def test_lower_case_is_read_as_well() -> None:
    check_recurrence(["rrule:freq=daily;count=2"], {"date": "2026-03-27"})
