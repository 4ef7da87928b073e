"""A person at Google's calendar pages: what their hand does is what the API then shows, and the other way round.
The world and the checks of every answer are in test_sandbox_calendar_fidelity."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.unit.test_sandbox_calendar_fidelity import (
    ANN,
    BERLIN,
    BOB,
    CID,
    WEEKLY,
    World,
    answers,
    at,
    new_world,
)

MONDAY, NOON = at(3, 2, 10), at(3, 2, 12)
SPRING = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 12, tzinfo=UTC))


@pytest.fixture
def world() -> World:
    return new_world()


def series(world: World, repeat: str = WEEKLY) -> str:
    """A weekly meeting of Ann with Bob, made by hand."""
    return world.ann.create("Weekly", MONDAY, NOON, repeat=repeat, guests=[BOB])


def days(world: World, email: str = ANN) -> list[str]:
    """When what takes place in spring: month, day, hour and title."""
    rows = world.api.book(email).expanded(*SPRING)
    return [f"{one['start'].get('dateTime', one['start'].get('date'))[5:13]} {one['summary']}" for one in rows]


def test_an_event_made_by_hand_lists_its_organizer_among_the_guests(world: World) -> None:
    ident = world.ann.create("Lunch", MONDAY, NOON, guests=[BOB], location="Canteen")
    assert answers(world.get(ident)) == {ANN: "accepted", BOB: "needsAction"}
    assert world.get(ident, BOB)["location"] == "Canteen"
    assert world.get(ident)["start"] == {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": BERLIN}


def test_a_day_is_a_day(world: World) -> None:
    ident = world.ann.create("Holiday", date(2026, 3, 2), date(2026, 3, 4))
    assert (world.get(ident)["start"], world.get(ident)["end"]) == ({"date": "2026-03-02"}, {"date": "2026-03-04"})


def test_editing_one_occurrence_leaves_the_others(world: World) -> None:
    ident = series(world, f"{WEEKLY};COUNT=3")
    world.ann.edit(world.ann.occurrence(ident, at(3, 9, 10)), "this", summary="Special")
    assert days(world) == days(world, BOB) == ["03-02T10 Weekly", "03-09T10 Special", "03-16T10 Weekly"]


def test_editing_this_and_following_ends_the_series_and_begins_another(world: World) -> None:
    ident = series(world, f"{WEEKLY};COUNT=4")
    third = world.ann.occurrence(ident, at(3, 16, 10))
    new = world.ann.edit(third, "following", summary="Renamed", start=at(3, 16, 14), end=at(3, 16, 15))
    assert new == f"{ident}_R20260316T090000"
    assert world.get(ident)["recurrence"] == [f"{WEEKLY};UNTIL=20260316T085959Z"]
    assert world.get(new)["recurrence"] == [f"{WEEKLY};COUNT=2"]
    assert world.get(new)["iCalUID"] != world.get(ident)["iCalUID"]
    expected = ["03-02T10 Weekly", "03-09T10 Weekly", "03-16T14 Renamed", "03-23T14 Renamed"]
    assert days(world) == days(world, BOB) == expected


def test_a_series_of_days_is_cut_between_days(world: World) -> None:
    ident = world.ann.create("Duty", date(2026, 3, 2), date(2026, 3, 3), repeat="RRULE:FREQ=DAILY;UNTIL=20260306")
    new = world.ann.edit(world.ann.occurrence(ident, date(2026, 3, 4)), "following", summary="Rest")
    assert world.get(ident)["recurrence"] == ["RRULE:FREQ=DAILY;UNTIL=20260303"]
    assert (new, world.get(new)["start"]) == (f"{ident}_R20260304", {"date": "2026-03-04"})
    assert days(world) == ["03-02 Duty", "03-03 Duty", "03-04 Rest", "03-05 Rest", "03-06 Rest"]


def test_cutting_a_cut_series_does_not_pile_up_names(world: World) -> None:
    ident = series(world)
    new = world.ann.edit(world.ann.occurrence(ident, at(3, 16, 10)), "following", summary="B")
    third = world.ann.edit(world.ann.occurrence(new, at(3, 30, 10)), "following", summary="C")
    assert third == f"{ident}_R20260330T080000"


def test_editing_all_by_one_occurrence_moves_the_whole_series(world: World) -> None:
    ident = series(world, f"{WEEKLY};COUNT=2")
    second = world.ann.occurrence(ident, at(3, 9, 10))
    world.ann.edit(second, "all", start=at(3, 9, 15), end=at(3, 9, 16))
    assert days(world) == ["03-02T15 Weekly", "03-09T15 Weekly"]


def test_deleting_this_following_and_all(world: World) -> None:
    ident = series(world, f"{WEEKLY};COUNT=4")
    world.ann.delete(world.ann.occurrence(ident, at(3, 9, 10)), "this")
    world.ann.delete(world.ann.occurrence(ident, at(3, 23, 10)), "following")
    assert days(world) == days(world, BOB) == ["03-02T10 Weekly", "03-16T10 Weekly"]
    world.ann.delete(ident)
    assert days(world) == days(world, BOB) == []
    world.ann.restore(ident)
    assert days(world) == days(world, BOB) == ["03-02T10 Weekly", "03-16T10 Weekly"]


def test_a_moved_occurrence_is_where_it_was_put_and_is_named_as_before(world: World) -> None:
    ident = series(world, f"{WEEKLY};COUNT=2")
    second = world.ann.occurrence(ident, at(3, 9, 10))
    world.ann.move_occurrence(second, at(3, 12, 9), at(3, 12, 10))
    assert days(world, BOB) == ["03-02T10 Weekly", "03-12T09 Weekly"]
    assert world.ann.occurrence(ident, at(3, 9, 10)) == second


def test_invitations_are_answered_and_taken_back(world: World) -> None:
    ident = world.ann.create("Lunch", MONDAY, NOON)
    world.ann.invite(ident, BOB, CID)
    world.bob.answer(ident, "tentative", comment="late")
    (mine,) = [one for one in world.get(ident)["attendees"] if one["email"] == BOB]
    assert (mine["responseStatus"], mine["comment"]) == ("tentative", "late")
    world.ann.uninvite(ident, CID)
    assert world.get(ident, CID)["status"] == "cancelled"
    with pytest.raises(ValueError, match="not a guest"):
        world.ann.answer(ident, "accepted")


def test_a_guest_may_invite_but_not_take_off(world: World) -> None:
    ident = world.ann.create("Lunch", MONDAY, NOON, guests=[BOB])
    world.bob.invite(ident, CID)
    assert CID in answers(world.get(ident))
    with pytest.raises(ValueError, match="organizer"):
        world.bob.uninvite(ident, ANN)
    with pytest.raises(ValueError, match="organizer"):
        world.bob.edit(ident, summary="x")


def test_a_guest_takes_a_meeting_off_and_puts_it_back(world: World) -> None:
    ident = world.ann.create("Lunch", MONDAY, NOON, guests=[BOB])
    world.bob.delete(ident)
    assert answers(world.get(ident))[BOB] == "declined"
    world.bob.restore(ident)
    assert world.get(ident, BOB)["status"] == "confirmed"


def test_own_reminders_and_colours_by_hand(world: World) -> None:
    ident = world.ann.create("Lunch", MONDAY, NOON, guests=[BOB])
    before = world.get(ident, BOB)["updated"]
    world.clock.advance(60)
    world.bob.remind(ident, 10, 5)
    assert world.get(ident, BOB)["updated"] == before
    world.bob.colour(ident, "7")
    assert world.get(ident, BOB)["colorId"] == "7"
    assert [one["minutes"] for one in world.get(ident, BOB)["reminders"]["overrides"]] == [10, 5]


def test_the_pages_rewrite_descriptions_as_html_on_any_edit(world: World) -> None:
    made = world.insert()
    world.patch(made["id"], {"description": "Tom & Jerry\n<cheese>"})
    assert world.get(made["id"])["description"] == "Tom & Jerry\n<cheese>"
    world.ann.edit(made["id"], location="Canteen")
    assert world.get(made["id"])["description"] == "Tom &amp; Jerry<br>&lt;cheese&gt;"
    world.ann.edit(made["id"], location="Kitchen")
    assert world.get(made["id"])["description"] == "Tom &amp; Jerry<br>&lt;cheese&gt;"


def test_a_touch_changes_versions_only(world: World) -> None:
    made = world.insert()
    world.clock.advance(60)
    world.ann.touch(made["id"])
    now = world.get(made["id"])
    assert {name for name in made if made[name] != now[name]} == {"etag", "updated"}


def test_another_calendar_takes_an_event_over(world: World) -> None:
    ident = world.ann.create("Lunch", MONDAY, NOON, guests=[BOB])
    team = world.ann.make_calendar("Team", BERLIN)
    world.ann.change_calendar(ident, team)
    assert world.get(ident, BOB)["organizer"] == {"email": team}
    assert set(world.ann.events(team)) == {ident}


def test_read_outs_are_copies(world: World) -> None:
    ident = world.ann.create("Lunch", MONDAY, NOON)
    world.ann.events()[ident]["summary"] = "x"
    assert world.ann.event(ident)["summary"] == "Lunch"


def test_expansion_is_bounded(world: World) -> None:
    world.ann.create("Daily", MONDAY, NOON, repeat="RRULE:FREQ=DAILY")
    start = datetime(2026, 3, 1, tzinfo=UTC)
    assert len(world.ann.expanded(start, start + timedelta(days=900))) == 899
    with pytest.raises(ValueError, match="or more"):
        world.ann.expanded(start, start + timedelta(days=365 * 9))


def test_letters_are_sent_only_when_the_person_says_so(world: World) -> None:
    ident = series(world)
    assert world.api.mails == []
    world.ann.edit(ident, summary="x", notify=True)
    assert [(one.to, one.kind, one.cause) for one in world.api.mails] == [(BOB, "update", "hand")]


def test_what_does_not_exist_or_cannot_be_is_an_error(world: World) -> None:
    ident = world.ann.create("Lunch", MONDAY, NOON)
    with pytest.raises(KeyError):
        world.ann.edit("nothing", summary="x")
    with pytest.raises(KeyError):
        world.bob.edit(ident, summary="x")
    with pytest.raises(ValueError, match="empty"):
        world.ann.create("Lunch", NOON, MONDAY)
    with pytest.raises(ValueError, match="Unknown name"):
        world.ann.edit(ident, sumary="x")
    world.ann.delete(ident)
    with pytest.raises(ValueError, match="already"):
        world.ann.delete(ident)
    with pytest.raises(KeyError):
        world.api.book("nobody@example.com")
    with pytest.raises(ValueError, match="is a user"):
        world.api.outsider(BOB)
