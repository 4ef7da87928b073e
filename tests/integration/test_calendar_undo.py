"""Taking back what runs did to activities, and telling why they are where they are, through real runs against Google's
double: after the next run both sides hold what they held before. Every world is checked for letters to guests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.actions import LATER
from core.errors import Conflict, NotFound
from core.event import Reminder
from core.event_undo import ASKED, NONSENSE, NOT_OURS, THEIRS
from models.activity_standing import explain_activity
from models.deed_records import history_of
from sync.activity_answers import OwnChange, answer_activity, remind_user
from sync.run import RunReport
from sync.undo import undo_field, undo_run
from sync.undo_activities import GONE
from sync.undo_journal import Undone
from tests.support.calendar_world import ANN, BOB, ELSEWHERE, WEEKLY, CalendarWorld, calendar_world, meeting


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CalendarWorld]:
    with calendar_world(tmp_path) as made:
        yield made


@pytest.fixture
def two(tmp_path: Path) -> Iterator[CalendarWorld]:
    """Ann and Bob, who meet."""
    with calendar_world(tmp_path, ANN, BOB) as made:
        yield made


def undo(world: CalendarWorld, report: RunReport) -> Undone:
    """A person takes a run back, and all accounts run once more."""
    world.pass_time()
    return undo_run(world.app, world.people[ANN].workspace_id, report.run_id)


def undo_one(world: CalendarWorld, name: str, one: str = "") -> Undone:
    """A person takes back what the last run that changed a field did to it."""
    world.pass_time()
    return undo_field(world.app, world.people[ANN].workspace_id, world.row(one).id, name)


def left(done: Undone) -> list[tuple[str, str]]:
    return [(one.what, one.why) for one in done.skipped]


def own(world: CalendarWorld, who: str, one: str = "") -> OwnChange:
    person = world.people[who]
    return OwnChange(person.workspace_id, world.row(one).id, person.user_id)


def told(world: CalendarWorld, who: str = ANN, viewer: str = "", one: str = "") -> tuple[str, str]:
    """State and sentence of an activity in somebody's account."""
    with world.app.db.reading() as session:
        [found] = explain_activity(session, world.row(one), account=world.accounts[who], viewer=viewer)
    return found["state"], found["why"]


# ---- texts


def test_an_edit_that_came_from_google_is_taken_back_on_both_sides(world: CalendarWorld) -> None:
    one = world.put("Kickoff", "2026-03-10", location="Room 1")
    world.run()
    world.pass_time()
    world.book().edit(one, summary="Kick-off", location="Room 2")
    done = undo(world, world.run())
    assert (dict(done.counts), done.skipped) == ({"restored": 1}, [])
    world.settle()
    event = world.shown()[one]
    assert (event["summary"], event["location"]) == ("Kickoff", "Room 1")
    assert (world.body().title, world.body().location) == ("Kickoff", "Room 1")


def test_an_edit_that_went_to_google_is_taken_back_on_both_sides_and_the_undo_too(world: CalendarWorld) -> None:
    one = world.put("Kickoff")
    world.run()
    world.pass_time()
    world.edit(world.row().id, title="Kick-off", reminders=(Reminder("popup", 5),))
    done = undo(world, world.run())
    world.settle()
    assert world.shown()[one]["summary"] == world.body().title == "Kickoff"
    assert (world.body().reminders, world.shown()[one]["reminders"]) == (None, {"useDefault": True})
    undo_run(world.app, world.people[ANN].workspace_id, done.run_id)
    world.settle()
    assert world.shown()[one]["summary"] == world.body().title == "Kick-off"
    assert world.body().reminders == (Reminder("popup", 5),)


def test_what_was_changed_again_later_is_left_and_listed(world: CalendarWorld) -> None:
    one = world.put("Kickoff", "2026-03-10", location="Room 1")
    world.run()
    world.pass_time()
    world.book().edit(one, summary="Kick-off", location="Room 2")
    report = world.run()
    world.pass_time()
    world.edit(world.row().id, title="By hand")
    done = undo(world, report)
    assert left(done) == [("title", LATER)]
    world.settle()
    assert (world.body().title, world.body().location) == ("By hand", "Room 1")
    world.edit(world.row().id, title="By hand again")
    with pytest.raises(Conflict, match="was changed again later"):
        undo_one(world, "title")


def test_a_moved_event_goes_back_as_a_whole(world: CalendarWorld) -> None:
    one = world.put("Kickoff", "2026-03-10")
    world.run()
    world.pass_time()
    start, end = ({"dateTime": f"2026-03-12T{hour}:00:00+01:00"} for hour in (15, 16))
    world.book().edit(one, start=start, end=end)
    world.run()
    assert world.body().start.at == "2026-03-12T14:00:00Z"
    undo_one(world, "start")
    world.settle()
    assert (world.body().start.at, world.body().end.at) == ("2026-03-10T09:00:00Z", "2026-03-10T10:00:00Z")
    assert world.shown()[one]["start"]["dateTime"] == "2026-03-10T10:00:00+01:00"


def test_a_value_that_lost_a_conflict_comes_back(world: CalendarWorld) -> None:
    one = world.put("Kickoff")
    world.run()
    world.pass_time()
    world.edit(world.row().id, title="Ours")
    world.pass_time(1)
    world.book().edit(one, summary="Theirs")
    world.run()
    assert world.body().title == "Theirs"
    undo_one(world, "title")
    world.settle()
    assert world.shown()[one]["summary"] == world.body().title == "Ours"


def test_what_would_make_no_sense_is_left(world: CalendarWorld) -> None:
    one = world.put("Kickoff", "2026-03-10")
    world.run()
    world.pass_time()
    world.book().edit(one, end={"dateTime": "2026-03-10T14:00:00+01:00"})
    report = world.run()
    world.pass_time()
    world.book().edit(one, start={"dateTime": "2026-03-10T13:00:00+01:00"})
    world.run()
    done = undo(world, report)
    assert left(done) == [("end", NONSENSE)]


# ---- guests and answers


def test_guests_come_back_and_nobody_elses_answer_does(world: CalendarWorld) -> None:
    one = world.put("Kickoff", "2026-03-10", ELSEWHERE, "kim@example.org")
    world.run()
    world.pass_time()
    world.book().uninvite(one, "kim@example.org")
    report = world.run()
    world.pass_time()
    world.book(ELSEWHERE).answer(one, "accepted")
    answers = world.run()
    assert left(undo(world, answers)) == [("attendees", THEIRS)]
    assert left(undo(world, report)) == []
    world.settle()
    found = {guest["email"]: guest["responseStatus"] for guest in world.shown()[one]["attendees"]}
    assert found == {ANN: "accepted", ELSEWHERE: "accepted", "kim@example.org": "needsAction"}
    assert {guest.email: guest.response for guest in world.body().attendees} == found


def test_a_guest_who_was_added_at_google_is_taken_off_again_without_a_letter(world: CalendarWorld) -> None:
    one = world.put("Kickoff")
    world.run()
    world.pass_time()
    world.book().invite(one, "kim@example.org")
    undo(world, world.run())
    world.settle()
    assert "attendees" not in world.shown()[one]
    assert world.body().attendees == ()


def test_an_own_answer_is_taken_back_but_not_to_none(world: CalendarWorld) -> None:
    one = world.put("Theirs", "2026-03-10", ANN, who=ELSEWHERE)
    world.run()
    world.pass_time()
    answer_activity(world.app, own(world, ANN), "accepted")
    first = world.run()
    world.pass_time()
    answer_activity(world.app, own(world, ANN), "declined")
    undo(world, world.run())
    world.settle()
    mine = {guest["email"]: guest["responseStatus"] for guest in world.book(ELSEWHERE).event(one)["attendees"]}
    assert mine[ANN] == "accepted"
    assert left(undo(world, first)) == [("attendees", ASKED)]


def test_a_guests_own_part_is_taken_back_and_the_organizers_text_is_not_touched(two: CalendarWorld) -> None:
    one = two.put("Kickoff", "2026-03-10", BOB)
    two.run(ANN)
    noted = two.run(BOB)
    two.pass_time()
    answer_activity(two.app, own(two, BOB), "tentative")
    remind_user(two.app, own(two, BOB), (Reminder("popup", 5),))
    two.run(BOB)
    two.pass_time()
    answer_activity(two.app, own(two, BOB), "declined")
    remind_user(two.app, own(two, BOB), (Reminder("popup", 90),))
    done = undo(two, two.run(BOB))
    assert (dict(done.counts), done.skipped) == ({"restored": 1}, [])
    two.settle()
    copy = two.book(BOB).event(one)
    assert {guest["email"]: guest["responseStatus"] for guest in copy["attendees"]}[BOB] == "tentative"
    assert copy["reminders"] == {"useDefault": False, "overrides": [{"method": "popup", "minutes": 5}]}
    assert two.row().title == "Kickoff"
    assert [why for _, why in left(undo(two, noted))] == ["it only noted what the own copy said"]


def test_what_somebody_else_organizes_is_not_taken_back(world: CalendarWorld) -> None:
    one = world.put("Theirs", "2026-03-10", ANN, who=ELSEWHERE)
    world.run()
    world.pass_time()
    world.book(ELSEWHERE).edit(one, summary="Still theirs")
    report = world.run()
    assert left(undo(world, report)) == [("title", NOT_OURS)]
    with pytest.raises(Conflict, match="organized elsewhere"):
        undo_one(world, "title")
    with world.no_writes():
        world.run()
    assert world.body().title == "Still theirs"


# ---- coming and going


def test_what_a_run_had_put_into_the_calendar_is_taken_out_and_stays_in_the_crm(world: CalendarWorld) -> None:
    world.add(meeting("Call", "2026-03-11", "guest@example.org"))
    report = world.run()
    assert len(world.shown()) == 1
    done = undo(world, report)
    assert dict(done.counts) == {"taken out of the calendar": 1}
    world.settle()
    assert (world.shown(), world.row().show_in_calendar, world.row().deleted_at) == ({}, False, None)
    undo_run(world.app, world.people[ANN].workspace_id, done.run_id)
    world.settle()
    assert [event["summary"] for event in world.shown().values()] == ["Call"]


def test_what_a_run_had_put_into_the_calendar_stays_once_it_was_edited(world: CalendarWorld) -> None:
    world.add(meeting("Call", "2026-03-11"))
    report = world.run()
    world.pass_time()
    [one] = world.shown()
    world.book().edit(one, summary="Call them")
    world.run()
    assert left(undo(world, report)) == [("take out", LATER)]
    world.settle()
    assert [event["summary"] for event in world.shown().values()] == ["Call them"]


def test_what_a_person_made_at_google_is_not_deleted_by_an_undo(world: CalendarWorld) -> None:
    one = world.put("Kickoff")
    report = world.run()
    done = undo(world, report)
    assert [(skipped.what, skipped.name) for skipped in done.skipped] == [("cancel", "Kickoff")]
    world.settle()
    assert (one in world.shown(), world.row().cancelled_at) == (True, None)


def test_an_event_that_was_deleted_at_google_is_put_back_on_both_sides(world: CalendarWorld) -> None:
    one = world.put("Kickoff", "2026-03-10", ELSEWHERE, location="Room 1")
    world.run()
    world.pass_time()
    world.book().delete(one)
    done = undo(world, world.run())
    assert dict(done.counts) == {"put back": 1}
    world.settle()
    assert (len(world.rows()), world.row().cancelled_at) == (1, None)
    [event] = world.shown().values()
    assert (event["summary"], event["location"]) == ("Kickoff", "Room 1")


def test_an_activity_that_was_deleted_in_the_crm_is_put_back_on_both_sides(world: CalendarWorld) -> None:
    world.add(meeting("Call"))
    world.run()
    world.pass_time()
    world.delete(world.row().id)
    done = undo(world, world.run())
    assert dict(done.counts) == {"put back": 1}
    world.settle()
    assert (world.row().deleted_at, [event["summary"] for event in world.shown().values()]) == (None, ["Call"])


def test_a_cancelled_occurrence_takes_place_again(world: CalendarWorld) -> None:
    series = world.put("Weekly", "2026-03-03", repeat=WEEKLY)
    one = world.move(series, "2026-03-17")
    world.run()
    world.pass_time()
    world.book().cancel_occurrence(one)
    done = undo(world, world.run())
    assert done.skipped == []
    world.settle()
    assert world.book().event(one)["status"] == "confirmed"
    assert world.book().event(one)["start"]["dateTime"] == "2026-03-17T15:00:00+01:00"


def test_a_guests_removed_copy_and_what_an_outsider_cancelled_are_left(two: CalendarWorld) -> None:
    one = two.put("Kickoff", "2026-03-10", BOB)
    other = two.put("Theirs", "2026-03-11", ANN, who=ELSEWHERE)
    two.settle()
    two.book(BOB).delete(one)
    two.book(ELSEWHERE).delete(other)
    guest, outsider = two.run(BOB), two.run(ANN)
    assert [why for _, why in left(undo(two, guest))] == [GONE]
    assert ("put back", NOT_OURS) in left(undo(two, outsider))
    two.settle()
    assert one in two.shown(ANN)
    assert one not in two.shown(BOB)


# ---- why


def test_why_tells_what_is_each_ones_own(two: CalendarWorld) -> None:
    two.put("Kickoff", "2026-03-10", BOB)
    two.put("Theirs", "2026-03-11", ANN, who=ELSEWHERE)
    two.settle()
    rows = {row.title: row.id for row in two.rows()}
    assert told(two, BOB, one=rows["Kickoff"])[0] == "in step"
    answer_activity(two.app, own(two, BOB, rows["Kickoff"]), "accepted")
    assert told(two, BOB, one=rows["Kickoff"]) == (
        "due",
        "The own answer or reminders were changed in the CRM; the next run takes them to this calendar.",
    )
    assert told(two, ANN, one=rows["Kickoff"])[0] == "in step"
    assert told(two, ANN, one=rows["Theirs"])[1].startswith("It is organized elsewhere: only the own answer")


def test_the_history_of_a_private_meeting_names_nothing_to_others(two: CalendarWorld) -> None:
    one = two.put("Secret", "2026-03-10", BOB, visibility="private")
    two.settle()
    two.book(ANN).edit(one, summary="Secret too", location="Cellar")
    report = two.run(ANN)
    who = {name: two.people[name].user_id for name in (ANN, BOB)}
    done = undo(two, report)
    two.edit(two.row().id, visibility="default")  # what was private then stays so
    two.settle()

    def seen(viewer: str) -> Any:
        with two.app.db.reading() as session:
            return history_of(session, two.people[ANN].workspace_id, two.row().id, viewer=viewer)

    assert "Cellar" in repr(seen(who[ANN]))
    for viewer in ("", who[BOB]):
        deeds = [deed for deed in seen(viewer) if deed["run"] in (report.run_id, done.run_id)]
        assert len(deeds) == 2
        assert "ecret" not in repr(deeds)
        assert "Cellar" not in repr(deeds)


def test_of_a_private_event_an_undo_names_nothing(world: CalendarWorld) -> None:
    world.put("Secret", visibility="private")
    done = undo(world, world.run())
    assert [one.name for one in done.skipped] == ["(private)"]
    with pytest.raises(NotFound):
        undo_field(world.app, "elsewhere", world.row().id, "title")
