"""Several calendars of one account as one channel: choosing, moving between them, one meeting in two of them, and
calendars that leave the choice or are gone. Real runs against Google's double."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from core import ports
from core.calendar_settings import OWN, mark_of
from core.errors import BadInput, Conflict, NotGranted
from core.event import Moment, canonical
from core.ports import CalendarEntry
from core.replica import Scope
from models.links import LinkRow
from providers.google.calendar_client import CalendarClient
from providers.google.calendar_list import GoogleCalendars
from sandbox.faults import Faults
from sandbox.google import InProcessHttp, access_token, scopes
from sync.activity_book import ActivityChange, change_activity
from sync.app import App
from sync.calendar_channel import CalendarChange, calendar_choice, change_calendar
from sync.calendar_choice import list_calendars, pick_calendars
from sync.record_channels import opened_calendar
from sync.records import Preview, plan_records
from tests.support.app_factory import TestClock, make_app
from tests.support.calendar_world import ANN, BOB, WEEKLY, CalendarDesk, CalendarWorld, calendar_world, meeting
from tests.support.google_http import GoogleHttp
from tests.support.memory_calendar import Calendars, MemoryCalendar


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CalendarWorld]:
    with calendar_world(tmp_path) as made:
        made.app = replace(made.app, open_calendars=lister(made))
        yield made


def lister(world: CalendarWorld, granted: str = scopes.CALENDAR_LIST_READONLY, faults: Faults | None = None) -> Any:
    """How the list of calendars is opened, with a permission of this scope."""

    def opened(_app: App, account: str) -> ports.Calendars:
        who = next(address for address, one in world.accounts.items() if one == account)
        token = access_token(world.store, who, granted)
        http = GoogleHttp(InProcessHttp(world.google, token, faults), world.google_now)
        return GoogleCalendars(CalendarClient(http, now=world.clock))

    return opened


def entries(world: CalendarWorld, who: str = ANN) -> list[CalendarEntry]:
    return list_calendars(world.app, world.people[who].workspace_id, world.accounts[who])


def choose(world: CalendarWorld, *names: str, who: str = ANN) -> None:
    """Choose calendars by name or id."""
    picked = pick_calendars(entries(world, who), names)
    change_calendar(world.app, world.people[who].workspace_id, world.accounts[who], CalendarChange(calendars=picked))


def planned(world: CalendarWorld, *names: str) -> Preview:
    """What choosing these would do."""
    with opened_calendar(world.app, world.accounts[ANN], calendars=pick_calendars(entries(world), names)) as run:
        return plan_records(run)


def states(world: CalendarWorld) -> dict[str, bool]:
    """Title -> whether it is cancelled, of every activity there is."""
    rows = world.rows()
    found = {row.title: row.cancelled_at is not None for row in rows}
    assert len(found) == len(rows)
    return found


def quiet(world: CalendarWorld, *, who: str = ANN) -> None:
    """Two more runs change nothing on either side."""
    for _ in range(2):
        world.pass_time()
        with world.no_writes():
            assert world.run(who).counts == {}


# ---- choosing ---------------------------------------------------------------------------------------------


def test_the_calendars_to_choose_among_are_listed(world: CalendarWorld) -> None:
    team = world.book().make_calendar("Team")
    world.store.users.add(BOB, "Bob")
    world.google.book(BOB).share(ANN, "reader")
    found = {one.id: (one.primary, one.writable) for one in entries(world)}
    assert found == {ANN: (True, True), team: (False, True), BOB: (False, False)}


def test_without_the_permission_for_the_list_it_says_what_to_do(world: CalendarWorld) -> None:
    world.app = replace(world.app, open_calendars=lister(world, scopes.CALENDAR_EVENTS))
    with pytest.raises(NotGranted, match="list of calendars") as caught:
        entries(world)
    assert "--relink" in caught.value.advice


def test_calendars_are_named_by_name_or_id_and_a_doubtful_name_is_refused() -> None:
    own, team, twin = (
        CalendarEntry("a@x", "Ann", True, True, ""),
        CalendarEntry("t1", "Team", False, False, ""),
        CalendarEntry("t2", "team", False, True, ""),
    )
    everything = [own, team, twin]
    assert pick_calendars(everything, ["a@x", "t1"]) == (Scope(OWN, "Ann"), Scope("t1", "Team"))
    assert pick_calendars(everything, [OWN, "ann"]) == (Scope(OWN, "Ann"),)
    # What is new must go where it can be written.
    assert [one.id for one in pick_calendars(everything, ["t1", "t2"])] == ["t2", "t1"]
    with pytest.raises(BadInput, match="2 calendars") as caught:
        pick_calendars(everything, ["TEAM"])
    assert "t1, t2" in caught.value.advice
    with pytest.raises(BadInput, match="no calendar"):
        pick_calendars(everything, ["Holidays"])


def test_the_events_of_all_chosen_calendars_come_and_new_ones_go_to_the_first(world: CalendarWorld) -> None:
    team = world.book().make_calendar("Team")
    world.put("Mine")
    world.put("Ours", calendar=team)
    world.run()
    assert states(world) == {"Mine": False}
    choose(world, "Team", ANN)
    assert world.run().counts == {"created in the CRM": 1}
    world.add(meeting("New", "2026-03-12"))
    world.run()
    assert {event["summary"] for event in world.book().events(team).values()} == {"Ours", "New"}
    assert states(world) == {"Mine": False, "Ours": False, "New": False}
    quiet(world)


def test_an_edit_goes_to_the_calendar_that_has_the_event(world: CalendarWorld) -> None:
    team = world.book().make_calendar("Team")
    one = world.put("Ours", calendar=team)
    choose(world, ANN, "Team")
    world.run()
    world.pass_time()
    world.edit(world.row().id, location="Room 1")
    assert world.run().counts == {"updated at the provider": 1}
    assert world.book().events(team)[one]["location"] == "Room 1"
    world.pass_time()
    world.book().edit(one, summary="All of ours")
    world.run()
    assert states(world) == {"All of ours": False}
    world.pass_time()
    world.delete(world.row().id)
    world.run()
    assert world.book().events(team) == {}
    quiet(world)


def test_a_run_of_quiet_calendars_is_one_call_each(world: CalendarWorld) -> None:
    world.book().make_calendar("Team")
    choose(world, ANN, "Team")
    world.run()
    world.pass_time()
    with world.counted() as calls:
        world.run()
    assert calls == {"events.list": 2}


def test_the_order_of_the_choice_changes_where_new_events_go_and_nothing_else(world: CalendarWorld) -> None:
    team = world.book().make_calendar("Team")
    world.put("Mine")
    world.put("Ours", calendar=team)
    choose(world, ANN, "Team")
    world.run()
    before = world.links()
    world.pass_time()
    choose(world, "Team", ANN)
    with world.no_writes():
        assert world.run().counts == {}
    assert world.links() == before
    chosen = calendar_choice(world.app, world.people[ANN].workspace_id, world.accounts[ANN]).calendars
    assert chosen == (Scope(team, "Team"), Scope(OWN, ANN))
    world.add(meeting("New", "2026-03-12"))
    world.run()
    assert len(world.book().events(team)) == 2


def test_series_and_their_occurrences_stay_in_their_calendar(world: CalendarWorld) -> None:
    team = world.book().make_calendar("Team")
    series = world.put("Weekly", calendar=team, repeat=WEEKLY)
    world.move(series, "2026-03-17")
    choose(world, ANN, "Team")
    world.run()
    assert set(world.series()) == {"", "2026-03-17T09:00:00Z"}
    world.pass_time()
    master = world.body(world.series()[""].id)
    start, end = Moment(at="2026-03-24T13:00:00Z"), Moment(at="2026-03-24T14:00:00Z")
    world.add(canonical(replace(master, recurrence=(), original="2026-03-24T09:00:00Z", start=start, end=end)))
    world.run()
    moved = [one for one in world.book().events(team).values() if one.get("recurringEventId") == series]
    assert len(moved) == 2
    assert world.book().events() == {}
    quiet(world)


# ---- calendars of others ----------------------------------------------------------------------------------


def test_a_calendar_that_can_only_be_read_is_only_imported(world: CalendarWorld) -> None:
    world.store.users.add(BOB, "Bob")
    bob = world.google.book(BOB)
    bob.share(ANN, "reader")
    one = world.put("Bob's", who=BOB)
    choose(world, ANN, BOB)
    world.run()
    row = world.row()
    with pytest.raises(Conflict, match="can only be read") as caught:
        change_activity(world.app, row.workspace_id, row.id, ActivityChange(replace(world.body(), location="Here")))
    assert "right to change events" in caught.value.advice
    world.pass_time()
    world.edit(row.id, location="Room 1")
    with world.no_writes():
        world.run()
    assert world.body().location == ""
    assert "location" not in bob.event(one)
    quiet(world)


def test_what_others_made_in_a_calendar_of_theirs_is_not_deleted_there(world: CalendarWorld) -> None:
    world.store.users.add(BOB, "Bob")
    bob = world.google.book(BOB)
    bob.share(ANN, "writer")
    one = world.put("Bob's", who=BOB)
    choose(world, BOB, ANN)
    world.run()
    mine = world.add(meeting("Of the CRM", "2026-03-12"))
    world.run()
    assert len(bob.events()) == 2
    world.pass_time()
    world.delete(mine, next(row.id for row in world.rows() if row.title == "Bob's"))
    assert world.run().outcome == "partial"
    assert set(bob.events()) == {one}


def test_whose_calendar_it_is_gets_the_meeting_when_they_link(world: CalendarWorld) -> None:
    world.store.users.add(BOB, "Bob")
    world.google.book(BOB).share(ANN, "owner")
    world.put("Bob's", who=BOB)
    choose(world, ANN, BOB)
    world.run()
    assert (world.row().owner_id, world.row().stand_in) == (world.people[ANN].user_id, True)
    world.link(BOB)
    world.pass_time()
    world.run(BOB)
    assert (world.row().owner_id, world.row().stand_in) == (world.people[BOB].user_id, False)
    main = world.row().main_account
    for _ in range(2):
        world.pass_time()
        world.google.book(BOB).edit(next(iter(world.shown(BOB))), location=f"Room {_}")
        for who in (ANN, BOB):
            with world.no_writes():
                world.run(who)
        assert (world.row().main_account, world.body().location) == (main, f"Room {_}")
    assert main == world.accounts[BOB]


def test_a_calendar_of_two_owners_gives_its_events_to_one_of_them(tmp_path: Path) -> None:
    with calendar_world(tmp_path, ANN, BOB) as world:
        world.app = replace(world.app, open_calendars=lister(world))
        team = world.book().make_calendar("Team")
        world.book().share(BOB, "owner", calendar=team)
        one = world.put("Ours", calendar=team)
        for who in (BOB, ANN):
            choose(world, who, "Team", who=who)
            world.run(who)
        mine = world.row()
        assert (mine.owner_id, mine.main_account) == (world.people[ANN].user_id, world.accounts[ANN])
        for number in range(2):
            world.pass_time()
            world.book().edit(one, location=f"Room {number}")
            for who in (BOB, ANN):
                with world.no_writes():
                    world.run(who)
            assert world.row().main_account == world.accounts[ANN]
        assert world.body().location == "Room 1"
        world.settle()


# ---- one meeting in two of them ---------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(ANN, BOB), (BOB, ANN)])
def test_one_meeting_in_two_chosen_calendars_is_one_activity(world: CalendarWorld, order: tuple[str, str]) -> None:
    world.store.users.add(BOB, "Bob")
    world.google.book(BOB).share(ANN, "reader")
    one = world.put("Kickoff", "2026-03-10", ANN, who=BOB)
    choose(world, *order)
    world.run()
    assert states(world) == {"Kickoff": False}
    quiet(world)
    world.google.book(BOB).edit(one, summary="Kick-off")
    assert world.run().counts == {"updated in the CRM": 1}
    assert states(world) == {"Kick-off": False}
    quiet(world)


def test_what_another_chosen_calendar_still_shows_is_not_deleted(world: CalendarWorld) -> None:
    world.store.users.add(BOB, "Bob")
    world.google.book(BOB).share(ANN, "reader")
    one = world.put("Kickoff", "2026-03-10", ANN, who=BOB)
    choose(world, ANN, BOB)
    world.run()
    assert list(world.links().values()) == [one]
    world.pass_time()
    world.book().delete(one)  # off her own calendar: she declines
    world.run()
    assert states(world) == {"Kickoff": False}
    assert list(world.links().values()) == [one + mark_of(BOB)]
    quiet(world)
    world.google.book(BOB).delete(one)
    world.run()
    assert states(world) == {"Kickoff": True}


def test_the_better_copy_takes_over_when_its_calendar_is_chosen(world: CalendarWorld) -> None:
    world.store.users.add(BOB, "Bob")
    world.google.book(BOB).share(ANN, "reader")
    one = world.put("Kickoff", "2026-03-10", BOB)
    choose(world, BOB)
    world.run()
    assert list(world.links().values()) == [one + mark_of(BOB)]
    world.pass_time()
    choose(world, BOB, ANN)
    with world.no_writes():
        world.run()
    assert list(world.links().values()) == [one]
    world.pass_time()
    world.edit(world.row().id, location="Room 1")
    world.run()
    assert world.shown()[one]["location"] == "Room 1"
    quiet(world)


def test_a_better_copy_takes_over_in_a_listing_of_changes_too(world: CalendarWorld) -> None:
    world.store.users.add(BOB, "Bob")
    bob = world.google.book(BOB)
    bob.share(ANN, "reader")
    one = world.put("Kickoff", who=BOB)
    choose(world, ANN, BOB)
    world.run()
    world.pass_time()
    bob.edit(one, guestsCanModify=True, location="Room 1")
    bob.invite(one, ANN)
    world.run()
    assert list(world.links().values()) == [one]
    assert (states(world), world.body().location) == ({"Kickoff": False}, "Room 1")
    quiet(world)


def test_an_activity_of_the_same_meeting_is_joined_with_one_of_its_copies_at_once(world: CalendarWorld) -> None:
    world.store.users.add(BOB, "Bob")
    world.google.book(BOB).share(ANN, "reader")
    one = world.put("Kickoff", "2026-03-10", ANN, who=BOB)
    uid = world.shown()[one]["iCalUID"]
    choose(world, ANN, BOB)
    world.run()
    world.delete(world.row().id)
    with world.app.db.transaction() as session:
        session.execute(delete(LinkRow))
    world.google.expire_sync_tokens()
    world.pass_time()
    mine = world.add(meeting("Kickoff", uid=uid))
    world.run()
    assert world.links() == {mine: one}


def test_a_copy_under_another_id_takes_the_place_of_one_that_went(tmp_path: Path) -> None:
    clock = TestClock()
    calendars, desk = Calendars(clock), CalendarDesk(make_app(tmp_path, clock=clock), clock)

    def opener(_app: App, _account: str, scope: Scope, *, since: date | None) -> MemoryCalendar:
        return MemoryCalendar(calendars, scope.id, since)

    desk.app = replace(desk.app, open_calendar=opener)
    desk.link(ANN)
    mine, theirs = (calendars.add(where, meeting("Kickoff", uid="u@elsewhere.example")) for where in (OWN, "team"))
    assert mine != theirs
    chosen = CalendarChange(calendars=(Scope(OWN, "Ann"), Scope("team", "Team")))
    change_calendar(desk.app, desk.people[ANN].workspace_id, desk.accounts[ANN], chosen)
    desk.run()
    assert list(desk.links().values()) == [mine]
    desk.pass_time()
    calendars.cancel(OWN, mine)
    desk.run()
    assert desk.row().cancelled_at is None
    assert list(desk.links().values()) == [theirs + mark_of("team")]
    desk.app.close()


# ---- moved from one to the other --------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_an_event_moved_to_another_chosen_calendar_stays_one_activity(world: CalendarWorld, there: bool) -> None:
    team = world.book().make_calendar("Team")
    source, target = (OWN, team) if there else (team, OWN)
    one = world.put("Kickoff", calendar=source)
    choose(world, ANN, "Team")
    world.run()
    before = world.row()
    world.pass_time()
    world.book().change_calendar(one, target)
    with world.no_writes():
        world.run()
    assert (world.row().id, world.row().cancelled_at) == (before.id, None)
    assert world.links() == {before.id: one + mark_of(target)}
    quiet(world)
    world.edit(before.id, location="Room 1")
    world.run()
    assert world.book().events(target)[one]["location"] == "Room 1"


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("complete", [True, False])
def test_a_move_between_the_two_listings_is_no_deletion(world: CalendarWorld, there: bool, complete: bool) -> None:
    team = world.book().make_calendar("Team")
    source, target = (OWN, team) if there else (team, OWN)
    one = world.put("Kickoff", calendar=source)
    choose(world, ANN, "Team")
    world.run()
    world.pass_time()
    if complete:
        world.google.expire_sync_tokens()
    moved: list[bool] = []
    listed: list[str] = []

    def between(operation: str, _email: str) -> None:
        listed.append(operation)
        if operation == "events.list" and listed.count("events.list") > (2 if complete else 1) and not moved:
            moved.append(True)
            world.book().change_calendar(one, target)

    world.knobs.on_call = between
    with world.no_writes():
        world.run()
    world.knobs.on_call = None
    assert moved
    assert states(world) == {"Kickoff": False}
    world.pass_time()
    with world.no_writes():
        world.run()
    assert states(world) == {"Kickoff": False}
    assert list(world.links().values()) == [one + mark_of(target)]
    assert not any(row.action == "deselect" for row in world.history())
    quiet(world)


def test_a_series_is_moved_with_its_occurrences(world: CalendarWorld) -> None:
    team = world.book().make_calendar("Team")
    series = world.put("Weekly", repeat=WEEKLY)
    world.move(series, "2026-03-17")
    world.book().cancel_occurrence(world.occurrence(series, "2026-03-24"))
    choose(world, ANN, "Team")
    world.run()
    before = {original: row.id for original, row in world.series().items()}
    assert len(before) == 3
    world.pass_time()
    world.book().change_calendar(series, team)
    world.run()
    world.pass_time()
    world.run()
    assert {original: row.id for original, row in world.series().items()} == before
    assert not any(row.cancelled_at for row in world.rows())
    quiet(world)


# ---- out of the choice ------------------------------------------------------------------------------------


def test_what_leaves_the_choice_is_shown_first_and_stays_on_both_sides(world: CalendarWorld) -> None:
    team = world.book().make_calendar("Team")
    one = world.put("Ours", calendar=team)
    world.put("Mine")
    choose(world, ANN, "Team")
    world.run()
    world.pass_time()
    lines = planned(world, ANN).lines
    assert [(line["action"], line["name"], line["reason"]) for line in lines] == [
        ("leave as it is", "Ours", "not_chosen")
    ]
    assert len(world.links()) == 2  # it was only shown
    choose(world, ANN)
    with world.no_writes():
        assert world.run().counts == {"not followed any more": 1}
    assert states(world) == {"Mine": False, "Ours": False}
    ours = next(row.id for row in world.rows() if row.title == "Ours")
    world.edit(ours, location="Room 1")
    quiet(world)
    with opened_calendar(world.app, world.accounts[ANN]) as run, world.app.db.reading() as session:
        assert run.local(session).touched(run.account_id, run.channel) == set()  # nor is it looked at any more
    world.delete(ours)
    quiet(world)
    assert set(world.book().events(team)) == {one}


def test_what_comes_back_into_the_choice_is_the_same_activity(world: CalendarWorld) -> None:
    team = world.book().make_calendar("Team")
    one = world.put("Ours", calendar=team)
    choose(world, "Team")
    world.run()
    before = world.row().id
    choose(world, ANN)
    world.run()
    world.pass_time()
    world.book().edit(one, summary="All of ours")
    world.edit(before, location="Room 1")
    choose(world, ANN, "Team")
    world.run()
    assert (world.row().id, world.row().title, world.row().cancelled_at) == (before, "All of ours", None)
    assert world.book().events(team)[one]["location"] == "Room 1"
    quiet(world)


def test_an_event_that_was_moved_while_its_calendar_was_exchanged_keeps_its_activity(world: CalendarWorld) -> None:
    team = world.book().make_calendar("Team")
    one = world.put("Kickoff")
    world.run()
    before = world.row().id
    world.pass_time()
    world.book().change_calendar(one, team)
    choose(world, "Team")
    with world.no_writes():
        world.run()
    assert (world.row().id, world.row().cancelled_at) == (before, None)
    quiet(world)


def test_what_was_set_aside_in_a_calendar_that_left_is_forgotten(world: CalendarWorld) -> None:
    team = world.book().make_calendar("Team")
    day = datetime.fromisoformat("2026-03-10T10:00:00")
    world.book().create("Odd", day, day + timedelta(hours=1), calendar=team, repeat="RRULE:FREQ=SECONDLY")
    choose(world, ANN, "Team")
    assert world.run().outcome == "partial"
    choose(world, ANN)
    world.pass_time(60 * 24 * 2)
    world.run()
    assert world.run().outcome == "ok"


# ---- gone ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["dropped", "unshared"])
def test_a_chosen_calendar_that_is_gone_holds_the_channel_and_is_named(world: CalendarWorld, how: str) -> None:
    world.store.users.add(BOB, "Bob")
    bob = world.google.book(BOB)
    team = bob.make_calendar("Team")
    bob.share(ANN, "writer", calendar=team)
    world.put("Ours", calendar=team, who=BOB)
    world.put("Mine")
    choose(world, ANN, "Team")
    world.run()
    world.pass_time()
    if how == "dropped":
        bob.drop_calendar(team)
    else:
        bob.share(ANN, "none", calendar=team)
    with world.no_writes():
        report = world.run()
    assert (report.outcome, "'Team'" in report.error) == ("held", True)
    assert "--calendar" in report.advice
    assert states(world) == {"Mine": False, "Ours": False}
    if how == "unshared":
        bob.share(ANN, "writer", calendar=team)
        world.run()
        quiet(world)
    choose(world, ANN)
    assert world.run().outcome == "ok"
    assert states(world) == {"Mine": False, "Ours": False}
    quiet(world)


def test_a_guests_copy_that_went_while_its_calendar_was_not_chosen_is_not_made_anew(tmp_path: Path) -> None:
    with calendar_world(tmp_path, ANN, BOB) as world:
        world.app = replace(world.app, open_calendars=lister(world))
        one = world.put("Kickoff", "2026-03-10", BOB)
        world.book(BOB).make_calendar("Team")
        world.settle()
        assert world.takes_part(BOB) == {world.row().id}
        choose(world, "Team", who=BOB)
        world.settle()
        world.book(BOB).delete(one)
        choose(world, "primary", who=BOB)
        world.settle()
        assert (world.takes_part(BOB), world.shown(BOB)) == (set(), {})
        assert world.row().title == "Kickoff"
        assert {report.outcome for report in world.reports} == {"ok"}  # nor tried
