"""What every calendar sync with Google must survive, scenario by scenario: real runs against Google's double through
the real client library. The numbers are those of the list of scenarios in docs/quirks.md."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.event import Attendee, Event, Moment, from_json
from models.accounts import AccountRow
from sync.removal import remove
from tests.support.calendar_world import (
    ANN,
    BERLIN,
    BOB,
    ELSEWHERE,
    EVENTS,
    INSERT,
    LIST,
    WEEKLY,
    WRITES,
    CalendarWorld,
    calendar_world,
    meeting,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CalendarWorld]:
    with calendar_world(tmp_path) as made:
        yield made


@pytest.fixture
def two(tmp_path: Path) -> Iterator[CalendarWorld]:
    """Ann and Bob, who meet."""
    with calendar_world(tmp_path, ANN, BOB) as made:
        yield made


@pytest.fixture
def pair(world: CalendarWorld) -> tuple[CalendarWorld, str, str]:
    """A meeting that is on both sides."""
    one = world.add(meeting("Call", "2026-03-11"))
    assert world.run().outcome == "ok"
    world.pass_time()
    return world, one, world.links()[one]


Pair = tuple[CalendarWorld, str, str]


# ---- answers that do not come ------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [0, 300])
def test_01_a_lost_answer_to_a_creation_leaves_exactly_one_event(world: CalendarWorld, lag: int) -> None:
    world.knobs.list_lag_api = lag
    world.add(meeting("Call"))
    world.faults.next(INSERT, drop="after")
    assert world.run().outcome == "failed"
    world.run()
    world.settle()
    assert (len(world.shown()), len(world.links())) == (1, 1)
    assert len(world.book().events(deleted=True)) == 1


def test_02_a_run_that_died_after_google_wrote_is_adopted_by_its_id(world: CalendarWorld) -> None:
    one = world.add(meeting("Call"))
    world.faults.next(INSERT, status=503, html="<html>Error 503</html>", apply=True)
    world.run()
    world.pass_time()
    world.run()
    assert list(world.links()) == [one]
    assert len(world.book().events(deleted=True)) == 1


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_02_a_lost_answer_to_a_change_is_made_good(pair: Pair, method: str) -> None:
    world, one, remote = pair
    world.faults.next(f"{method} {EVENTS}*", drop="after")
    if method == "PATCH":
        world.edit(one, title="Moved")
    else:
        world.delete(one)
    assert world.run().outcome == "failed"
    world.settle()
    event = world.book().event(remote)
    assert (event["status"], event["summary"]) == (
        ("confirmed", "Moved") if method == "PATCH" else ("cancelled", "Call")
    )
    assert list(world.links()) == ([one] if method == "PATCH" else [])


def test_04_a_full_listing_that_dies_on_a_page_cancels_nothing(world: CalendarWorld) -> None:
    for number in range(30):
        world.put(f"M{number}")
    world.run()
    world.pass_time()
    world.knobs.page_cap = 10
    world.google.expire_sync_tokens()
    cursor, pages = world.channel().cursor, iter(range(1_000))

    def fail(operation: str, _user: str) -> None:
        if operation == "events.list" and next(pages) == 1:
            world.faults.next(LIST, status=500, json={"error": {"code": 500}})

    world.knobs.on_call = fail
    assert world.run().outcome == "failed"
    assert world.channel().cursor == cursor
    world.knobs.on_call = None
    assert world.run().counts == {"read everything anew": 1}
    assert all(row.cancelled_at is None for row in world.rows())


# ---- echoes and times --------------------------------------------------------------------------------------


def test_05_a_bumped_time_is_no_change_and_an_edit_of_the_same_minute_wins(pair: Pair) -> None:
    world, one, remote = pair
    world.edit(one, title="In the CRM")
    world.pass_time(1)
    world.book().touch(remote)
    assert world.run().counts == {"updated at the provider": 1}
    world.book().touch(remote)
    assert world.run().counts == {}
    assert world.row().title == world.shown()[remote]["summary"] == "In the CRM"


def test_06_an_own_write_that_shows_late_is_neither_a_change_nor_missing(world: CalendarWorld) -> None:
    world.knobs.list_lag_api = world.knobs.list_lag_hand = 300
    one = world.add(meeting("Call"))
    world.run()
    world.edit(one, title="Moved")
    assert world.run().counts == {"updated at the provider": 1}
    for _ in range(4):
        world.pass_time(2)
        assert world.run().counts in ({}, {"looked at again later": 1})
    world.settle()
    assert [event["summary"] for event in world.shown().values()] == ["Moved"]
    assert (world.row().title, list(world.links())) == ("Moved", [one])


@pytest.mark.parametrize("where", ["crm", "google"])
def test_06_the_copies_of_guests_follow_late(two: CalendarWorld, where: str) -> None:
    two.knobs.fan_out_lag = 900
    if where == "crm":
        two.add(meeting("Call", "2026-03-11", BOB))
        two.run(ANN)
        [remote] = two.shown()
    else:
        remote = two.put("Call", "2026-03-11", BOB)
    two.run(BOB)
    two.settle(most=6)
    two.book().edit(remote, summary="Moved")
    two.run(ANN)
    for _ in range(3):  # Bob's copy still has the old text
        two.run(BOB)
        assert two.row().title == "Moved"
        two.pass_time(10)
    two.settle()
    assert {event["summary"] for who in (ANN, BOB) for event in two.shown(who).values()} == {"Moved"}
    assert len(two.rows()) == 1


def test_07_a_phone_that_edits_all_the_time_is_waited_for(pair: Pair) -> None:
    world, one, remote = pair
    world.edit(one, title="In the CRM")
    edits = iter(range(100))

    def meddle(operation: str, _user: str) -> None:
        if operation == "events.patch":
            world.book().edit(remote, location=f"Room {next(edits)}")

    world.knobs.on_call = meddle
    world.run()
    world.knobs.on_call = None
    assert next(edits) <= 4
    world.settle()
    event = world.shown()[remote]
    assert (event["summary"], event["location"][:4]) == (world.row().title, "Room")
    assert (world.row().title, world.body().location) == ("In the CRM", event["location"])


def test_24_a_clock_five_minutes_off_does_not_decide_conflicts(pair: Pair) -> None:
    world, one, remote = pair
    world.skew = timedelta(minutes=5)
    world.book().edit(remote, location="earlier")
    world.pass_time(1)
    world.edit(one, location="later")
    world.run()
    assert world.body().location == world.shown()[remote]["location"] == "later"


# ---- who may ----------------------------------------------------------------------------------------------


def test_13_two_users_of_one_google_account_do_not_fight_and_one_goes_on_when_the_other_leaves(
    world: CalendarWorld,
) -> None:
    assistant = "assistant@example.com"
    world.link(assistant, ANN)
    one = world.put("Call", "2026-03-11", ELSEWHERE)
    world.settle()
    main, owner = world.row().main_account, world.row().owner_id
    for turn, user in enumerate((ANN, assistant, ANN, assistant)):
        world.book().edit(one, summary=f"Call {turn}")
        world.run(user)
        assert (world.row().main_account, world.row().owner_id) == (main, owner)
        world.settle()
        assert (world.row().title, world.row().main_account) == (f"Call {turn}", main)
    [first] = [user for user, account in world.accounts.items() if account == main]
    [second] = {ANN, assistant} - {first}
    remove(world.app, world.people[first].workspace_id, main)
    world.book().edit(one, summary="Later")
    world.run(second)
    assert (world.row().title, world.row().cancelled_at, len(world.rows())) == ("Later", None, 1)
    world.edit(world.row().id, location="Room 1")
    world.run(second)
    assert world.shown()[one]["location"] == "Room 1"


def test_17_a_disabled_api_is_the_administrators_fault_and_heals_by_itself(pair: Pair) -> None:
    world, _, _ = pair
    world.knobs.service_disabled = True
    report = world.run()
    assert (report.outcome, world.account_row().state) == ("misconfigured", "linked")
    assert "Google Calendar API" in report.error + report.advice
    world.knobs.service_disabled = False
    assert world.run().outcome == "ok"


def test_18_a_token_that_expires_between_two_pages_means_a_full_comparison(world: CalendarWorld) -> None:
    kept, gone = world.put("Kept"), world.put("Gone")
    world.run()
    world.pass_time()
    world.book().delete(gone)
    for number in range(30):
        world.put(f"New {number}")
    world.knobs.page_cap, pages = 10, iter(range(1_000))

    def expire(operation: str, _user: str) -> None:
        if operation == "events.list" and next(pages) == 1:
            world.google.expire_sync_tokens()

    world.knobs.on_call = expire
    report = world.run()
    assert report.counts == {"read everything anew": 1, "created in the CRM": 30, "gone from the calendar": 1}
    world.settle()
    assert {row.title for row in world.rows() if row.cancelled_at} == {"Gone"}
    assert kept in world.links().values()


def test_18_a_page_without_events_is_not_the_last(world: CalendarWorld) -> None:
    world.knobs.empty_pages = 2
    world.put("Call")
    assert world.run().counts == {"created in the CRM": 1}
    assert world.run().counts == {}


# ---- series ------------------------------------------------------------------------------------------------


def test_19_an_endless_series_is_one_row_and_its_exceptions_keep_their_identity(world: CalendarWorld) -> None:
    series = world.put("Weekly", "2026-03-03", repeat=WEEKLY)
    world.move(series, "2026-03-24")
    world.book().cancel_occurrence(world.occurrence(series, "2026-04-07"))
    world.run()
    world.pass_time()
    world.book().edit(series, summary="Stand-up")
    world.book().edit(f"{series}_20260324T090000Z", "this", location="Room 1")
    world.run()
    rows = {original: from_json(row.body) for original, row in world.series().items()}
    assert sorted(rows) == ["", "2026-03-24T09:00:00Z", "2026-04-07T08:00:00Z"]
    moved = rows["2026-03-24T09:00:00Z"]
    assert (moved.title, moved.location, moved.start.at) == ("Stand-up", "Room 1", "2026-03-24T14:00:00Z")
    assert rows["2026-04-07T08:00:00Z"].status == "cancelled"
    assert (rows[""].start.zone, rows[""].recurrence) == (BERLIN, (WEEKLY,))


def test_19_this_and_following_makes_two_series(world: CalendarWorld) -> None:
    series = world.put("Weekly", "2026-03-03", repeat=WEEKLY)
    world.move(series, "2026-03-10")
    world.move(series, "2026-03-31")
    world.settle()
    world.book().edit(world.occurrence(series, "2026-03-24"), "following", summary="From now on")
    world.settle()
    living = [row for row in world.rows() if row.cancelled_at is None]
    assert sorted((row.title, row.original) for row in living if from_json(row.body).status != "cancelled") == [
        ("From now on", ""),
        ("Weekly", ""),
        ("Weekly", "2026-03-10T09:00:00Z"),
    ]
    assert "UNTIL" in next(
        from_json(row.body).recurrence[0] for row in living if row.title == "Weekly" and not row.original
    )


# ---- invitations ------------------------------------------------------------------------------------------


def test_20_an_invitation_of_others_that_is_edited_in_the_crm_is_refused_once_and_never_pushed(
    world: CalendarWorld,
) -> None:
    one = world.put("Theirs", "2026-03-10", ANN, who=ELSEWHERE)
    world.run()
    world.pass_time()
    world.edit(world.row().id, title="Ours", location="Here")
    with world.no_writes():
        assert world.run().counts == {"updated in the CRM": 1, "conflicts": 1}
        world.settle()
    assert (world.row().title, world.body().location) == ("Theirs", "")
    world.book().answer(one, "accepted")  # answering at Google goes on
    world.run()
    assert {guest.response for guest in world.body().attendees if guest.email == ANN} == {"accepted"}


def thirty() -> Event:
    guests = tuple(Attendee(f"guest{number}@example.org") for number in range(29))
    return meeting("Town hall", attendees=(Attendee(ELSEWHERE), *guests))


def test_21_thirty_guests_are_not_mailed_and_keep_their_answers(world: CalendarWorld) -> None:
    one = world.add(thirty())
    world.run()
    remote = world.links()[one]
    world.book(ELSEWHERE).answer(remote, "accepted", comment="gladly")
    world.pass_time()
    world.edit(one, title="All hands")
    world.run()
    guests = world.shown()[remote]["attendees"]
    assert len(guests) == 30
    zoe = next(guest for guest in guests if guest["email"] == ELSEWHERE)
    assert (zoe["responseStatus"], zoe["comment"]) == ("accepted", "gladly")
    assert world.google.mails == []


def test_21_a_used_up_quota_pauses_writes_and_reading_goes_on(pair: Pair) -> None:
    world, one, remote = pair
    world.knobs.read_only = {ANN}
    world.edit(one, title="In the CRM")
    other = world.add(meeting("Another"))
    incoming = world.put("Incoming")
    report = world.run()
    assert (report.outcome, report.counts["created in the CRM"]) == ("throttled", 1)
    world.book().edit(incoming, summary="Changed")
    world.pass_time()
    assert world.run().outcome == "throttled"
    assert {row.title for row in world.rows()} == {"In the CRM", "Another", "Changed"}
    due = world.channel().next_run_at
    assert due is not None
    assert due <= world.clock() + timedelta(minutes=12)
    with world.counted() as calls:
        world.run()
    assert sum(calls[name] for name in WRITES) <= 1
    world.knobs.read_only = set()
    world.settle()
    assert {event["summary"] for event in world.shown().values()} == {"In the CRM", "Another", "Changed"}
    assert {one, other} <= world.takes_part(ANN)
    assert world.shown()[remote]["summary"] == "In the CRM"


@pytest.mark.parametrize("revive", [True, False])
def test_22_an_event_deleted_at_google_and_wanted_again_by_the_crm_gets_a_new_id(pair: Pair, revive: bool) -> None:
    world, one, remote = pair
    world.knobs.revive = revive
    world.book().delete(remote)
    world.run()
    assert world.row().cancelled_at is not None
    for _ in range(2):
        world.pass_time()
        world.restore(one)
        world.settle()
        [(now, event)] = world.shown().items()
        assert (event["summary"], now != remote) == ("Call", True)
        world.book().delete(now)
        world.run()
    assert len(world.book().events(deleted=True)) == 3


# ---- days and zones ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Pacific/Honolulu", "Pacific/Tongatapu", "UTC"])
def test_23_days_are_the_same_days_on_both_sides_of_the_date_line(world: CalendarWorld, zone: str) -> None:
    world.book().set_zone(zone)
    world.put("Fair", start=date(2026, 3, 10), end=date(2026, 3, 13))
    world.add(Event(title="Day off", start=Moment(date="2026-03-29"), end=Moment(date="2026-03-30")))
    world.settle()
    shown = {event["summary"]: (event["start"], event["end"]) for event in world.shown().values()}
    assert shown == {
        "Fair": ({"date": "2026-03-10"}, {"date": "2026-03-13"}),
        "Day off": ({"date": "2026-03-29"}, {"date": "2026-03-30"}),
    }
    held = {row.title: from_json(row.body) for row in world.rows()}
    assert (held["Fair"].start.date, held["Fair"].end.date) == ("2026-03-10", "2026-03-13")
    assert (held["Day off"].start.date, held["Day off"].end.date) == ("2026-03-29", "2026-03-30")
    days = [one["start"]["date"] for one in world.book().expanded(*month(3)) if one["summary"] == "Day off"]
    assert days == ["2026-03-29"]


def month(number: int) -> tuple[datetime, datetime]:
    begin = datetime(2026, number, 1, tzinfo=UTC)
    return begin, begin + timedelta(days=40)


def test_23_a_day_becomes_an_hour_and_a_day_again(pair: Pair) -> None:
    world, one, remote = pair
    world.edit(one, start=Moment(date="2026-03-12"), end=Moment(date="2026-03-13"))
    world.run()
    assert world.shown()[remote]["start"] == {"date": "2026-03-12"}
    hour = meeting("Call", "2026-03-12")
    world.edit(one, start=hour.start, end=hour.end)
    world.pass_time()
    world.run()
    assert world.shown()[remote]["start"] == {"dateTime": "2026-03-12T10:00:00+01:00", "timeZone": BERLIN}
    world.settle()


# ---- the end -----------------------------------------------------------------------------------------------


def test_25_an_account_that_is_removed_during_a_run_is_written_no_more(pair: Pair) -> None:
    world, one, _ = pair

    def removed(operation: str, _user: str) -> None:
        if operation == "events.list":
            with world.app.db.transaction() as session:
                session.get_one(AccountRow, world.accounts[ANN]).state = "removing"

    world.edit(one, title="Moved")
    world.knobs.on_call = removed
    with world.no_writes():
        assert world.run().outcome == "stopped"


# ---- limits and refusals -----------------------------------------------------------------------------------


def test_a_minutes_quota_is_waited_for_and_nothing_is_lost(pair: Pair) -> None:
    world, one, remote = pair
    world.edit(one, title="Moved")
    error: dict[str, Any] = {"domain": "usageLimits", "reason": "rateLimitExceeded", "message": "Rate Limit Exceeded"}
    body = {"error": {"code": 403, "errors": [error]}}
    world.faults.next(f"PATCH {EVENTS}*", status=403, json=body, headers={"Retry-After": "30"})
    assert world.run().outcome == "throttled"
    assert world.run().outcome == "ok"
    assert world.shown()[remote]["summary"] == "Moved"


def test_an_outage_unlinks_nobody(pair: Pair) -> None:
    world, one, _ = pair
    for _ in range(5):
        world.faults.next(LIST, status=503, html="<html>Error 503</html>")
        assert world.run().outcome == "failed"
    assert (world.account_row().state, list(world.links())) == ("linked", [one])
    world.pass_time(60 * 12)
    assert world.run().outcome == "ok"


def test_a_user_without_google_calendar_is_told_and_keeps_everything(pair: Pair) -> None:
    world, one, _ = pair
    world.knobs.no_calendar = {ANN}
    assert world.run().outcome in ("misconfigured", "held")
    assert (world.account_row().state, world.row(one).cancelled_at, list(world.links())) == ("linked", None, [one])
    world.knobs.no_calendar = set()
    assert world.run().outcome == "ok"
