"""What is a person's own in a meeting, through real runs against Google's double: the answer to an invitation, and
reminders. Whoever organizes it, both travel both ways, and nothing else of a meeting of others does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import BadInput, Conflict
from core.event import Reminder
from models.activities import ActivityRow
from models.activity_queries import activity_record
from models.columns import Record
from sync.activity_answers import OwnChange, answer_activity, remind_user
from sync.removal import remove
from tests.support.calendar_world import ANN, BOB, ELSEWHERE, EVENTS, WEEKLY, CalendarWorld, calendar_world, meeting

POPUP = Reminder("popup", 30)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CalendarWorld]:
    with calendar_world(tmp_path) as made:
        yield made


@pytest.fixture
def two(tmp_path: Path) -> Iterator[CalendarWorld]:
    """Ann and Bob, who meet."""
    with calendar_world(tmp_path, ANN, BOB) as made:
        yield made


def answer(world: CalendarWorld, response: str, who: str = ANN, one: str = "") -> str:
    """Somebody answers in the CRM."""
    person = world.people[who]
    change = OwnChange(person.workspace_id, world.row(one).id, person.user_id)
    return answer_activity(world.app, change, response).done


def remind(world: CalendarWorld, *reminders: Reminder, who: str = ANN, one: str = "", default: bool = False) -> str:
    """Somebody sets their reminders in the CRM."""
    person = world.people[who]
    change = OwnChange(person.workspace_id, world.row(one).id, person.user_id)
    return remind_user(world.app, change, None if default else reminders).done


def seen(world: CalendarWorld, who: str, row: ActivityRow | None = None) -> Record:
    """An activity as somebody sees it in the CRM."""
    with world.app.db.reading() as session:
        return activity_record(session, row or world.row(), world.people[who].user_id)


def answers(world: CalendarWorld, event: str, who: str) -> dict[str, str]:
    """The guest list in somebody's copy."""
    return {one["email"]: one["responseStatus"] for one in world.book(who).event(event).get("attendees", [])}


def overrides(world: CalendarWorld, event: str, who: str = ANN) -> Any:
    """The reminders of somebody's copy; None for the calendar's own."""
    told = world.book(who).event(event)["reminders"]
    return None if told["useDefault"] else [(one["method"], one["minutes"]) for one in told.get("overrides", [])]


# ---- the own calendar


def test_reminders_of_an_own_event_travel_both_ways(world: CalendarWorld) -> None:
    one = world.put("Kickoff")
    world.run()
    assert world.body().reminders is None
    world.book().remind(one, 10, 60)
    world.pass_time()
    world.run()
    assert world.body().reminders == (Reminder("popup", 10), Reminder("popup", 60))
    remind(world, Reminder("email", 1_440))
    world.pass_time()
    world.run()
    assert overrides(world, one) == [("email", 1_440)]
    remind(world, default=True)
    world.settle()
    assert overrides(world, one) is None
    world.book().remind(one)
    world.settle()
    assert (world.body().reminders, overrides(world, one)) == ((), [])


def test_a_new_activity_takes_its_reminders_along(world: CalendarWorld) -> None:
    world.add(meeting("Call", "2026-03-11", reminders=(POPUP,)))
    world.run()
    [one] = world.shown()
    assert overrides(world, one) == [("popup", 30)]
    world.pass_time()
    with world.no_writes():
        assert world.run().counts == {}


def test_reminders_and_text_changed_on_different_sides_are_both_kept(world: CalendarWorld) -> None:
    one = world.put("Kickoff")
    world.run()
    world.pass_time()
    world.book().remind(one, 5)  # moves the etag, not `updated`
    world.edit(world.row().id, title="Kick-off")
    world.settle()
    assert (world.body().title, world.body().reminders) == ("Kick-off", (Reminder("popup", 5),))
    assert (world.shown()[one]["summary"], overrides(world, one)) == ("Kick-off", [("popup", 5)])


# ---- organized outside


def test_the_own_answer_to_a_meeting_of_somebody_outside_goes_there_and_nothing_else(world: CalendarWorld) -> None:
    one = world.put("Theirs", "2026-03-10", ANN, who=ELSEWHERE)
    world.run()
    world.pass_time()
    assert answer(world, "accepted") == "changed"
    assert answer(world, "accepted") == "unchanged"
    world.edit(world.row().id, title="Not ours")
    assert world.run().counts.get("conflicts") == 1
    assert answers(world, one, ELSEWHERE) == {ELSEWHERE: "accepted", ANN: "accepted"}
    assert world.body().title == world.shown()[one]["summary"] == "Theirs"
    world.settle()
    assert seen(world, ANN)["answer"] == "accepted"


def test_the_own_answer_given_at_google_comes_in(world: CalendarWorld) -> None:
    one = world.put("Theirs", "2026-03-10", ANN, who=ELSEWHERE)
    world.run()
    world.pass_time()
    world.book().answer(one, "declined")
    world.settle()
    assert seen(world, ANN)["answer"] == "declined"


def test_own_reminders_of_a_meeting_of_somebody_outside_travel_both_ways(world: CalendarWorld) -> None:
    one = world.put("Theirs", "2026-03-10", ANN, who=ELSEWHERE)
    world.run()
    world.pass_time()
    remind(world, POPUP)
    world.run()
    assert overrides(world, one) == [("popup", 30)]
    world.pass_time()
    world.book().remind(one, 5)
    world.settle()
    assert world.body().reminders == (Reminder("popup", 5),)
    assert overrides(world, one, ELSEWHERE) is None


def test_of_two_answers_the_later_one_counts(world: CalendarWorld) -> None:
    one = world.put("Theirs", "2026-03-10", ANN, who=ELSEWHERE)
    world.run()
    world.pass_time()
    answer(world, "accepted")
    world.pass_time(1)
    world.book().answer(one, "declined")
    world.settle()
    assert seen(world, ANN)["answer"] == answers(world, one, ELSEWHERE)[ANN] == "declined"
    world.book().answer(one, "tentative")
    world.pass_time(1)
    answer(world, "accepted")
    world.settle()
    assert seen(world, ANN)["answer"] == answers(world, one, ELSEWHERE)[ANN] == "accepted"


def test_an_answer_and_an_edit_of_the_organizer_meet(world: CalendarWorld) -> None:
    one = world.put("Theirs", "2026-03-10", ANN, who=ELSEWHERE)
    world.run()
    world.pass_time()
    answer(world, "tentative")
    world.book(ELSEWHERE).edit(one, location="Room 2")
    world.book(ELSEWHERE).invite(one, "kim@example.org")
    report = world.run()
    assert report.counts.get("conflicts") is None
    world.settle()
    assert (world.body().location, len(world.body().attendees)) == ("Room 2", 3)
    assert answers(world, one, ELSEWHERE)[ANN] == "tentative"


def test_a_series_and_one_occurrence_are_answered_apart(world: CalendarWorld) -> None:
    series = world.put("Weekly", "2026-03-03", ANN, who=ELSEWHERE, repeat=WEEKLY)
    world.move(series, "2026-03-17", ELSEWHERE)
    world.run()
    world.pass_time()
    rows = world.series()
    answer(world, "accepted", one=rows[""].id)
    answer(world, "declined", one=rows["2026-03-17T09:00:00Z"].id)
    world.settle()
    moved = world.occurrence(series, "2026-03-17")
    assert answers(world, series, ELSEWHERE)[ANN] == "accepted"
    assert answers(world, moved, ELSEWHERE)[ANN] == answers(world, moved, ANN)[ANN] == "declined"
    assert answers(world, world.occurrence(series, "2026-03-24"), ANN)[ANN] == "accepted"


# ---- organized by a colleague


def test_a_guest_answers_in_the_crm_and_only_the_own_copy_is_written(two: CalendarWorld) -> None:
    one = two.put("Kickoff", "2026-03-10", BOB, ELSEWHERE)
    two.run(ANN)
    two.run(BOB)
    two.pass_time()
    version = two.row().version
    assert answer(two, "accepted", BOB) == "changed"
    assert two.row().version == version
    with two.counted() as calls:
        two.run(BOB)
    assert (calls["events.patch"], calls["events.insert"], calls["events.delete"]) == (1, 0, 0)
    assert answers(two, one, ANN) == {ANN: "accepted", BOB: "accepted", ELSEWHERE: "needsAction"}
    two.settle()
    guest = next(guest for guest in two.body().attendees if guest.email == BOB)
    assert (guest.response, seen(two, BOB)["answer"], seen(two, ANN)["answer"]) == ("accepted", "accepted", "accepted")
    assert len(two.rows()) == 1


def test_what_a_guest_answers_at_google_comes_in_through_their_own_copy(two: CalendarWorld) -> None:
    one = two.put("Kickoff", "2026-03-10", BOB)
    two.run(ANN)
    two.run(BOB)
    two.pass_time()
    two.book(BOB).answer(one, "tentative")
    two.run(BOB)
    assert seen(two, BOB)["answer"] == "tentative"
    two.settle()
    with two.no_writes():
        two.pass_time()
        two.run(ANN)
        two.run(BOB)


def test_reminders_are_each_ones_own(two: CalendarWorld) -> None:
    one = two.put("Kickoff", "2026-03-10", BOB)
    two.run(ANN)
    two.run(BOB)
    two.pass_time()
    remind(two, Reminder("popup", 5), who=ANN)
    remind(two, Reminder("email", 60), who=BOB)
    two.settle()
    assert (overrides(two, one, ANN), overrides(two, one, BOB)) == ([("popup", 5)], [("email", 60)])
    two.book(BOB).remind(one, 90)
    two.settle()
    assert seen(two, BOB)["reminders"] == (Reminder("popup", 90),)
    assert seen(two, ANN)["reminders"] == two.body().reminders == (Reminder("popup", 5),)
    assert (seen(two, BOB)["reminders_of"], seen(two, ANN)["reminders_of"]) == ("bob@crm.example", "ann@crm.example")


def test_the_organizers_text_is_not_touched_by_a_guest_who_may_change_the_event(two: CalendarWorld) -> None:
    one = two.put("Kickoff", "2026-03-10", BOB, guestsCanModify=True)
    two.run(ANN)
    two.run(BOB)
    two.pass_time()
    answer(two, "declined", BOB)
    remind(two, POPUP, who=BOB)
    two.run(BOB)
    two.settle()
    assert (two.row().title, two.shown(ANN)[one]["summary"], two.shown(BOB)[one]["summary"]) == ("Kickoff",) * 3
    assert (answers(two, one, ANN)[BOB], overrides(two, one, BOB)) == ("declined", [("popup", 30)])


def test_a_guest_answers_a_series_and_one_of_its_occurrences(two: CalendarWorld) -> None:
    series = two.put("Weekly", "2026-03-03", BOB, repeat=WEEKLY)
    moved = two.move(series, "2026-03-17")
    two.settle()
    rows = two.series()
    answer(two, "accepted", BOB, rows[""].id)
    answer(two, "declined", BOB, rows["2026-03-17T09:00:00Z"].id)
    two.settle()
    assert (answers(two, series, ANN)[BOB], answers(two, moved, ANN)[BOB]) == ("accepted", "declined")
    two.book(BOB).answer(moved, "tentative")
    two.settle()
    rows = two.series()
    assert seen(two, BOB, rows["2026-03-17T09:00:00Z"])["answer"] == "tentative"
    assert seen(two, BOB, rows[""])["answer"] == "accepted"


def test_a_lost_answer_to_a_guests_patch_is_found_out(two: CalendarWorld) -> None:
    one = two.put("Kickoff", "2026-03-10", BOB)
    two.run(ANN)
    two.run(BOB)
    two.pass_time()
    answer(two, "accepted", BOB)
    two.faults.next(f"PATCH {EVENTS}/*", drop="after")
    assert two.run(BOB).outcome == "failed"
    two.settle()
    assert answers(two, one, ANN)[BOB] == seen(two, BOB)["answer"] == "accepted"


def test_whoever_organizes_and_links_later_leaves_each_one_what_is_theirs(two: CalendarWorld) -> None:
    one = two.put("Kickoff", "2026-03-10", ANN, who=BOB)
    two.run(ANN)  # Ann stands in for Bob
    two.pass_time()
    remind(two, Reminder("popup", 5), who=ANN)
    answer(two, "accepted", ANN)
    two.run(ANN)
    two.book(BOB).remind(one, 90)
    two.settle()
    assert two.row().main_account == two.accounts[BOB]
    assert (overrides(two, one, ANN), overrides(two, one, BOB)) == ([("popup", 5)], [("popup", 90)])
    assert seen(two, ANN)["reminders"] == (Reminder("popup", 5),)
    assert seen(two, BOB)["reminders"] == two.body().reminders == (Reminder("popup", 90),)
    assert seen(two, ANN)["answer"] == "accepted"
    answer(two, "declined", ANN)
    two.settle()
    assert answers(two, one, BOB)[ANN] == "declined"
    assert two.row().title == "Kickoff"


def test_after_the_main_account_is_removed_a_guest_goes_on(two: CalendarWorld) -> None:
    one = two.put("Kickoff", "2026-03-10", BOB)
    two.run(ANN)
    two.run(BOB)
    two.pass_time()
    remind(two, Reminder("popup", 5), who=ANN)
    remind(two, Reminder("popup", 90), who=BOB)
    two.settle()
    remove(two.app, two.people[ANN].workspace_id, two.accounts.pop(ANN))
    two.pass_time()
    with two.no_writes():
        two.run(BOB)
    two.book(ANN).edit(one, summary="Moved on")
    two.settle()
    assert (two.row().main_account, two.row().title) == (two.accounts[BOB], "Moved on")
    assert two.body().reminders == (Reminder("popup", 90),)
    assert overrides(two, one, BOB) == [("popup", 90)]
    assert overrides(two, one, ANN) == [("popup", 5)]


# ---- who may not


def test_nobody_answers_who_is_not_invited_or_whose_calendar_does_not_show_it(two: CalendarWorld) -> None:
    two.put("Kickoff", "2026-03-10", BOB)
    two.put("Alone", "2026-03-11")
    two.run(ANN)
    rows = {row.title: row.id for row in two.rows()}
    with pytest.raises(Conflict, match="no calendar of this user shows activity") as caught:
        answer(two, "accepted", BOB, rows["Kickoff"])
    assert "synced" in caught.value.advice
    for who in (ANN, BOB):
        with pytest.raises(Conflict, match="not invited"):
            answer(two, "accepted", who, rows["Alone"])
    with pytest.raises(BadInput, match="no answer"):
        answer(two, "needsAction", ANN, rows["Kickoff"])
    with pytest.raises(BadInput, match="four weeks"):
        remind(two, Reminder("popup", 40_321), one=rows["Kickoff"])
    two.delete(rows["Kickoff"])
    with pytest.raises(Conflict, match="is deleted"):
        answer(two, "accepted", ANN, rows["Kickoff"])


def test_many_answers_at_once_are_no_mass_change(two: CalendarWorld) -> None:
    ids = [two.put(f"Talk {day}", f"2026-03-{day}", BOB) for day in range(10, 23)]
    two.run(ANN)
    two.run(BOB)
    two.pass_time()
    for one in ids:
        two.book(BOB).answer(one, "accepted")
        two.book(BOB).remind(one, 5)
    two.settle()
    assert all(guest.response == "accepted" for row in two.rows() for guest in two.body(row.id).attendees)
