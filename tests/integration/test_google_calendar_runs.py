"""Runs of the calendar channel through the real client library and our adapter, against a stand-in for Google's API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from core.event import Event, from_json
from core.ports import RemoteReplica
from core.replica import Scope
from providers.google.calendar import GoogleCalendar
from providers.google.calendar_client import CalendarClient
from sync.app import App
from tests.integration.test_calendar_runs import ANN, BOB, ELSEWHERE, Desk
from tests.support.app_factory import TestClock, make_app
from tests.support.calendar_server import CalendarHttp, CalendarServer
from tests.support.memory_calendar import Calendars, meeting

WEEKLY = {"recurrence": ["RRULE:FREQ=WEEKLY"]}


@pytest.fixture
def google() -> CalendarServer:
    return CalendarServer(TestClock())


@pytest.fixture
def desk(tmp_path: Path, google: CalendarServer) -> Iterator[Desk]:
    clock = google.clock
    assert isinstance(clock, TestClock)
    made = Desk(make_app(tmp_path, clock=clock), clock, Calendars(clock))

    def opener(_app: App, account: str, scope: Scope, *, since: date | None) -> RemoteReplica[Event]:
        address = next(address for address, one in made.accounts.items() if one == account)
        client = CalendarClient(CalendarHttp(google, address), now=clock)
        return GoogleCalendar(client, scope, since=since, wait=lambda _: None)

    made.app = replace(made.app, open_calendar=opener)
    made.link(ANN)
    try:
        yield made
        assert google.mails == []
    finally:
        made.app.close()


def test_an_event_becomes_an_activity_and_then_a_run_is_one_call(desk: Desk, google: CalendarServer) -> None:
    google.add(ANN, "Kickoff", "2026-03-10", ELSEWHERE, location="Room 1")
    assert desk.run().counts == {"created in the CRM": 1}
    body = from_json(desk.row().body)
    assert (body.title, body.location, body.start.at) == ("Kickoff", "Room 1", "2026-03-10T09:00:00Z")
    before = google.calls.total()
    assert (desk.run().counts, google.calls.total() - before) == ({}, 1)


def test_an_activity_becomes_an_event_and_stays_as_it_is(desk: Desk, google: CalendarServer) -> None:
    desk.add(meeting("Call", "2026-03-11", "guest@example.org"))
    assert desk.run().counts["created at the provider"] == 1
    [event] = google.events(ANN).values()
    assert (event["summary"], event["attendees"][0]["email"]) == ("Call", "guest@example.org")
    for _ in range(2):
        desk.pass_time()
        writes = google.calls["POST list"] + google.calls["PATCH one"]
        assert desk.run().counts == {}
        assert google.calls["POST list"] + google.calls["PATCH one"] == writes


def test_edits_of_both_sides_are_merged_and_answers_of_guests_are_kept(desk: Desk, google: CalendarServer) -> None:
    one = google.add(ANN, "Kickoff", "2026-03-10", ELSEWHERE)
    desk.run()
    desk.pass_time()
    google.of(ANN)[one]["attendees"][0]["comment"] = "will be late"
    google.edit(ANN, one, summary="Kick-off")
    desk.edit(desk.row().id, location="Room 1")
    desk.run()
    event = google.events(ANN)[one]
    assert (event["summary"], event["location"]) == ("Kick-off", "Room 1")
    assert event["attendees"][0]["comment"] == "will be late"
    assert from_json(desk.row().body).title == "Kick-off"


def test_a_deletion_at_google_cancels_the_activity_and_taking_it_back_brings_it_back(
    desk: Desk, google: CalendarServer
) -> None:
    one = google.add(ANN, "Kickoff")
    desk.run()
    desk.pass_time()
    google.delete(ANN, one)
    desk.run()
    assert (desk.row().cancelled_at is not None, desk.row().title) == (True, "Kickoff")
    desk.pass_time()
    google.restore(ANN, one)
    desk.run()
    assert (desk.row().cancelled_at, len(desk.rows())) == (None, 1)


def test_what_was_deleted_in_the_crm_and_restored_gets_a_new_event(desk: Desk, google: CalendarServer) -> None:
    one = desk.add(meeting("Call"))
    desk.run()
    desk.pass_time()
    desk.mark(one, deleted_at=desk.app.clock())
    desk.run()
    assert google.events(ANN) == {}
    desk.pass_time()
    desk.run()
    desk.mark(one, deleted_at=None)
    desk.run()
    assert [event["summary"] for event in google.events(ANN).values()] == ["Call"]
    assert len(google.of(ANN)) == 2  # the first id is burnt


def test_the_lost_answer_to_an_insert_leaves_one_event(desk: Desk, google: CalendarServer) -> None:
    desk.add(meeting("Call"))
    google.lose = "POST list"
    assert desk.run().outcome == "failed"
    for _ in range(3):
        desk.pass_time()
        desk.run()
    assert len(google.events(ANN)) == 1
    assert len(desk.rows()) == 1


def test_a_meeting_of_two_users_is_one_activity(desk: Desk, google: CalendarServer) -> None:
    desk.link(BOB)
    one = google.add(ANN, "Kickoff", "2026-03-10", BOB)
    desk.run(BOB)
    desk.run(ANN)
    assert (len(desk.rows()), desk.row().main_account) == (1, desk.accounts[ANN])
    assert desk.takes_part(ANN) == desk.takes_part(BOB) == {desk.row().id}
    desk.pass_time()
    desk.edit(desk.row().id, title="Changed in the CRM")
    for who in (BOB, ANN, BOB):
        desk.run(who)
    assert google.events(BOB)[one]["summary"] == desk.row().title == "Changed in the CRM"


def test_an_event_of_somebody_elsewhere_is_read_and_never_written(desk: Desk, google: CalendarServer) -> None:
    one = google.add(ELSEWHERE, "Theirs", "2026-03-10", ANN)
    desk.run()
    assert desk.row().stand_in
    desk.pass_time()
    desk.edit(desk.row().id, title="Not ours")
    desk.run()
    assert desk.row().title == google.events(ANN)[one]["summary"] == "Theirs"
    assert google.calls["PATCH one"] == 0


def test_occurrences_that_differ_are_records_of_their_own(desk: Desk, google: CalendarServer) -> None:
    series = google.add(ANN, "Weekly", "2026-03-03", **WEEKLY)
    moved = {"dateTime": "2026-03-17T15:00:00+01:00", "timeZone": "Europe/Berlin"}
    until = {"dateTime": "2026-03-17T16:00:00+01:00", "timeZone": "Europe/Berlin"}
    google.occurrence(ANN, series, "20260317T090000Z", start=moved, end=until)
    google.occurrence(ANN, series, "20260324T090000Z", status="cancelled")
    desk.run()
    rows = {row.original: from_json(row.body) for row in desk.rows()}
    assert rows[""].recurrence == ("RRULE:FREQ=WEEKLY",)
    assert rows["2026-03-17T09:00:00Z"].start.at == "2026-03-17T14:00:00Z"
    assert rows["2026-03-24T09:00:00Z"].status == "cancelled"
    assert len({row.uid for row in desk.rows()}) == 1
    assert desk.run().counts == {}


def test_a_moved_occurrence_that_is_edited_in_the_crm_goes_to_google(desk: Desk, google: CalendarServer) -> None:
    series = google.add(ANN, "Weekly", "2026-03-03", **WEEKLY)
    one = google.occurrence(ANN, series, "20260317T090000Z", summary="Special")
    desk.run()
    desk.pass_time()
    row = next(row for row in desk.rows() if row.original)
    desk.edit(row.id, title="More special")
    desk.run()
    assert google.events(ANN)[one]["summary"] == "More special"
    assert google.events(ANN)[series]["summary"] == "Weekly"


def test_a_token_that_is_gone_means_a_full_comparison_and_nothing_is_lost(desk: Desk, google: CalendarServer) -> None:
    kept = google.add(ANN, "Kept")
    gone = google.add(ANN, "Gone")
    desk.run()
    desk.pass_time()
    google.delete(ANN, gone)
    google.oldest = 10**6
    report = desk.run()
    assert report.counts == {"read everything anew": 1, "gone from the calendar": 1}
    assert {row.title: row.cancelled_at is None for row in desk.rows()} == {"Kept": True, "Gone": False}
    assert kept in google.events(ANN)


def test_days_are_days_in_every_zone(desk: Desk, google: CalendarServer) -> None:
    google.add(ANN, "Fair", start={"date": "2026-03-10"}, end={"date": "2026-03-13"})
    desk.run()
    body = from_json(desk.row().body)
    assert (body.start.date, body.end.date) == ("2026-03-10", "2026-03-13")
    desk.pass_time()
    desk.edit(desk.row().id, title="Trade fair")
    desk.run()
    [event] = google.events(ANN).values()
    assert (event["start"], event["end"]) == ({"date": "2026-03-10"}, {"date": "2026-03-13"})


def test_an_event_that_makes_no_sense_is_set_aside_and_the_rest_goes_on(desk: Desk, google: CalendarServer) -> None:
    google.add(ANN, "Every second", recurrence=["RRULE:FREQ=SECONDLY"])
    google.add(ANN, "Fine")
    report = desk.run()
    assert (report.outcome, report.counts) == ("partial", {"created in the CRM": 1, "set aside": 1})
    assert [row.title for row in desk.rows()] == ["Fine"]


def test_an_occurrence_that_is_cancelled_later_keeps_what_was_known_of_it(desk: Desk, google: CalendarServer) -> None:
    series = google.add(ANN, "Weekly", "2026-03-03", **WEEKLY)
    google.occurrence(ANN, series, "20260317T090000Z", summary="Special")
    desk.run()
    desk.pass_time()
    google.occurrence(ANN, series, "20260317T090000Z", status="cancelled")
    desk.run()
    row = next(row for row in desk.rows() if row.original)
    assert (row.title, from_json(row.body).status, row.cancelled_at) == ("Special", "cancelled", None)
    assert desk.run().counts == {}


def test_a_guest_who_takes_one_occurrence_off_cancels_it_for_nobody_else(desk: Desk, google: CalendarServer) -> None:
    desk.link(BOB)
    series = google.add(ANN, "Weekly", "2026-03-03", BOB, **WEEKLY)
    desk.run(ANN)
    desk.run(BOB)
    desk.pass_time()
    one = google.occurrence(BOB, series, "20260317T090000Z", status="cancelled")
    desk.run(BOB)
    desk.run(ANN)
    assert [row.original for row in desk.rows()] == [""]
    assert one not in google.events(ANN)
    assert google.calls["PATCH one"] == 0
