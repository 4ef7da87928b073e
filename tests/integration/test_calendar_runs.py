"""Runs of the calendar channel on a real database against calendars in memory: one rule of the product each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import pytest

from core.event import from_json
from core.replica import Scope
from models.deed_records import history_of, run_deeds
from sync.app import App
from sync.record_channels import opened_calendar
from sync.records import plan_records
from tests.support.app_factory import TestClock, make_app, make_user
from tests.support.calendar_world import ANN, BOB, ELSEWHERE, CalendarDesk, meeting
from tests.support.memory_calendar import Calendars, MemoryCalendar


@dataclass(slots=True)
class Desk(CalendarDesk):
    """As `CalendarDesk`, with calendars in memory."""

    calendars: Calendars = field(default_factory=lambda: Calendars(TestClock()))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = TestClock()
    app = make_app(tmp_path, clock=clock)
    calendars = Calendars(clock)
    made = Desk(app, clock, calendars=calendars)

    def opener(_app: App, account: str, _scope: Scope, *, since: date | None) -> MemoryCalendar:
        return MemoryCalendar(calendars, made.addresses[account], since)

    made.app = replace(app, open_calendar=opener)
    made.link(ANN)
    try:
        yield made
        assert calendars.mails == []
    finally:
        app.close()


def test_an_event_becomes_an_activity_and_a_second_run_changes_nothing(desk: Desk) -> None:
    desk.calendars.add(ANN, meeting("Kickoff", "2026-03-10", ELSEWHERE))
    assert desk.run().counts == {"created in the CRM": 1}
    row = desk.row()
    assert (row.title, row.owner_id, row.stand_in) == ("Kickoff", desk.people[ANN].user_id, False)
    assert desk.run().counts == {}
    assert desk.calendars.calls["list"] == 2


def test_an_activity_goes_into_its_owners_calendar(desk: Desk) -> None:
    one = desk.add(meeting("Call", "2026-03-11", "guest@example.org"))
    assert desk.run().counts["created at the provider"] == 1
    [event] = desk.calendars.shown(ANN).values()
    assert (event.title, event.organizer) == ("Call", ANN)
    desk.pass_time()
    assert desk.run().counts == {}
    assert desk.row(one).uid == event.uid


def test_edits_of_both_sides_are_merged(desk: Desk) -> None:
    one = desk.calendars.add(ANN, meeting("Kickoff"))
    desk.run()
    desk.pass_time()
    desk.edit(desk.row().id, location="Room 1")
    desk.calendars.edit(ANN, one, title="Kick-off")
    desk.run()
    body = from_json(desk.row().body)
    assert (body.title, body.location) == ("Kick-off", "Room 1")
    assert desk.calendars.shown(ANN)[one] == body


def test_a_deletion_at_the_provider_cancels_the_activity_and_keeps_its_data(desk: Desk) -> None:
    one = desk.calendars.add(ANN, meeting("Kickoff"))
    desk.run()
    desk.pass_time()
    desk.calendars.cancel(ANN, one)
    assert desk.run().counts == {"gone from the calendar": 1}
    assert (desk.row().cancelled_at is not None, desk.row().title) == (True, "Kickoff")
    desk.pass_time()
    desk.calendars.restore(ANN, one)
    desk.run()
    assert desk.row().cancelled_at is None


def test_a_deletion_in_the_crm_cancels_the_event_of_its_organizer(desk: Desk) -> None:
    one = desk.add(meeting("Call"))
    desk.run()
    desk.pass_time()
    desk.mark(one, deleted_at=desk.app.clock())
    desk.run()
    assert desk.calendars.shown(ANN) == {}


def test_an_edit_beats_a_deletion(desk: Desk) -> None:
    one = desk.calendars.add(ANN, meeting("Kickoff"))
    desk.run()
    desk.pass_time()
    desk.calendars.edit(ANN, one, title="Still on")
    desk.mark(desk.row().id, deleted_at=desk.app.clock())
    desk.run()
    assert (desk.row().deleted_at, desk.row().title) == (None, "Still on")
    desk.pass_time()
    desk.edit(desk.row().id, title="On after all")
    desk.calendars.cancel(ANN, one)
    desk.run()
    assert [event.title for event in desk.calendars.shown(ANN).values()] == ["On after all"]


def test_one_meeting_is_one_activity_and_theirs_only_after_their_own_sync(desk: Desk) -> None:
    desk.link(BOB)
    desk.calendars.add(ANN, meeting("Kickoff", "2026-03-10", BOB))
    desk.run(ANN)
    one = desk.row().id
    assert (desk.takes_part(ANN), desk.takes_part(BOB)) == ({one}, set())
    desk.run(BOB)
    assert len(desk.rows()) == 1
    assert desk.takes_part(BOB) == {one}
    assert desk.row().main_account == desk.accounts[ANN]


def test_what_the_organizer_changes_is_not_undone_by_a_guest(desk: Desk) -> None:
    desk.link(BOB)
    event = desk.calendars.add(ANN, meeting("Kickoff", "2026-03-10", BOB))
    desk.run(ANN)
    desk.run(BOB)
    desk.pass_time()
    desk.edit(desk.row().id, title="Changed in the CRM")
    assert desk.run(BOB).counts == {}
    desk.run(ANN)
    assert desk.run(BOB).counts == {}
    assert desk.row().title == desk.calendars.shown(BOB)[event].title == "Changed in the CRM"


def test_an_organizer_who_links_later_takes_over_without_a_double(desk: Desk) -> None:
    desk.link(BOB)
    event = desk.calendars.add(BOB, meeting("Kickoff", "2026-03-10", ANN))
    # Bob is known as a user by his account only once that is linked; here Ann's sync comes first.
    desk.run(ANN)
    assert desk.row().main_account == desk.accounts[ANN]
    desk.run(BOB)
    assert len(desk.rows()) == 1
    assert (desk.row().main_account, desk.row().owner_id) == (desk.accounts[BOB], desk.people[BOB].user_id)
    desk.pass_time()
    desk.edit(desk.row().id, title="By its organizer")
    desk.run(ANN)
    desk.run(BOB)
    assert desk.calendars.shown(ANN)[event].title == "By its organizer"


def test_an_organizer_who_does_not_sync_has_a_stand_in_and_nothing_is_pushed(desk: Desk) -> None:
    event = desk.calendars.add(ELSEWHERE, meeting("Theirs", "2026-03-10", ANN))
    desk.run()
    assert (desk.row().stand_in, desk.row().owner_id) == (True, desk.people[ANN].user_id)
    desk.pass_time()
    desk.edit(desk.row().id, title="Not ours to change")
    report = desk.run()
    assert report.counts.get("conflicts") == 1
    assert desk.row().title == desk.calendars.shown(ANN)[event].title == "Theirs"
    assert desk.calendars.calls["write"] == 0


def test_a_guests_deletion_only_parts_and_leaves_the_meeting(desk: Desk) -> None:
    desk.link(BOB)
    event = desk.calendars.add(ANN, meeting("Kickoff", "2026-03-10", BOB))
    desk.run(ANN)
    desk.run(BOB)
    desk.pass_time()
    desk.calendars.cancel(BOB, event)
    desk.run(BOB)
    assert (desk.takes_part(BOB), desk.row().cancelled_at) == (set(), None)
    assert event in desk.calendars.shown(ANN)


def test_what_lies_before_the_chosen_day_is_left_alone(desk: Desk) -> None:
    desk.calendars.add(ANN, meeting("Long ago", "2025-01-10"))
    desk.calendars.add(ANN, meeting("Soon", "2026-03-10"))
    desk.run()
    assert [row.title for row in desk.rows()] == ["Soon"]


def test_an_event_moved_before_the_chosen_day_is_no_deletion(desk: Desk) -> None:
    one = desk.calendars.add(ANN, meeting("Kickoff"))
    desk.run()
    desk.pass_time()
    earlier = meeting("", "2025-01-10")
    desk.calendars.edit(ANN, one, start=earlier.start, end=earlier.end)
    for _ in range(3):
        desk.run()
        desk.pass_time()
    assert (desk.row().cancelled_at, desk.row().starts_at.year) == (None, 2025)
    assert one in desk.calendars.shown(ANN)


def test_the_first_run_notes_since_when_it_syncs(desk: Desk) -> None:
    desk.run()
    assert desk.channel().settings["since"] == "2025-12-02"


def test_of_a_private_event_the_history_tells_its_owner_alone_and_a_preview_nobody(desk: Desk) -> None:
    one = desk.calendars.add(ANN, meeting("Secret plan", "2026-03-10", visibility="private"))
    desk.run()
    desk.pass_time()
    desk.calendars.edit(ANN, one, title="Another secret")
    with opened_calendar(desk.app, desk.accounts[ANN]) as run:
        shown = repr(plan_records(run))
    desk.run()
    desk.pass_time()
    desk.calendars.cancel(ANN, one)
    desk.run()
    assert "ecret" not in shown
    assert "(private)" in shown
    who, other = desk.people[ANN], make_user(desk.app, "carl@crm.example")
    with desk.app.db.reading() as session:
        for viewer in ("", other.user_id):
            deeds = history_of(session, who.workspace_id, desk.row().id, viewer=viewer)
            deeds += [
                deed for row in desk.reports for deed in run_deeds(session, who.workspace_id, row.run_id, viewer=viewer)
            ]
            assert len(deeds) == 6
            assert "ecret" not in repr(deeds)
        told = history_of(session, who.workspace_id, desk.row().id, viewer=who.user_id)
    assert [deed["name"] for deed in told] == ["Another secret", "Another secret", "Secret plan"]
    assert told[1]["changes"] == {"title": ["Secret plan", "Another secret"]}
