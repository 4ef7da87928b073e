"""What the steps of `twinbox demo` about the calendar share: the hands on both sides, and how the two compare.
The steps are `cli.demo_calendar` and `cli.demo_meetings`; what they share with contacts is `cli.demo_records`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cli.demo_records import tell_plan, told_sync
from cli.demo_story import CheckFailed, Record, Stage, check
from core.event import Event, Moment, from_json, write_instant
from core.occurrences import Window
from core.types import Channel
from models.activity_queries import Wanted, agenda, find_activity, list_activities, overrides_of
from sandbox.google.calendar_book import CalendarBook
from sandbox.world_letters import ANNA_ADDRESS
from sandbox.world_meetings import JONAS, ZONE, hours
from sync.activity_book import ActivityChange, add_activity, change_activity
from sync.record_channels import opened_calendar
from sync.records import Preview, plan_records
from sync.run import RunReport

WEEKS = 4
READS = {"events.list", "events.get"}
ASKED = {"events.list": 1}

# ---- Anna, Jonas and others at Google ----------------------------------------------------------------------


def calendar(stage: Stage, who: str = ANNA_ADDRESS) -> CalendarBook:
    """Somebody's calendar, as they see and edit it."""
    return stage.world.google.calendar.book(who)


def event_id(stage: Stage, title: str, who: str = ANNA_ADDRESS) -> str:
    """The id of the one event of that title in somebody's calendar: of the series, if it is one."""
    events = calendar(stage, who).events().values()
    found = [one["id"] for one in events if one.get("summary") == title and "recurringEventId" not in one]
    if len(found) != 1:
        raise CheckFailed(f"{who} has one event {title!r} at Google", 1, len(found))
    return str(found[0])


def titles_there(stage: Stage, who: str = ANNA_ADDRESS) -> set[str]:
    """What somebody's calendar shows."""
    return {str(one.get("summary", "")) for one in calendar(stage, who).events().values()}


def google_now(stage: Stage) -> tuple[Any, ...]:
    """All that both have in their calendars, to the last etag."""
    return tuple(calendar(stage, who).events(deleted=True) for who in (ANNA_ADDRESS, JONAS))


def calls(stage: Stage) -> dict[str, int]:
    """What Google's Calendar API was asked since the last run began."""
    return dict(stage.world.google.calendar.calls)


def letters(stage: Stage) -> list[str]:
    """To whom Google would have written because of what Twinbox did: what a person asked for is not in it."""
    return [f"{one.kind} to {one.to}" for one in stage.world.google.calendar.mails if one.cause != "hand"]


# ---- the CRM -----------------------------------------------------------------------------------------------


def activities(stage: Stage, viewer: str = "", **wanted: Any) -> list[Record]:
    """Activities by start, as a user of that id may see them (`twinbox activities list`)."""
    with stage.world.app.db.reading() as session:
        return list_activities(session, stage.world.workspace, Wanted(viewer, **wanted))


def activity(stage: Stage, title: str, **wanted: Any) -> Record:
    """The one activity of that title, as Anna sees it: the series, if it is one."""
    rows = activities(stage, stage.user_id, **wanted)
    found = [one for one in rows if one["title"] == title and not one["original"]]
    if len(found) != 1:
        raise CheckFailed(f"the CRM has one activity {title!r}", 1, len(found))
    return found[0]


def changed_occurrences(stage: Stage, title: str) -> list[Record]:
    """The occurrences of a series that differ from it."""
    with stage.world.app.db.reading() as session:
        row = find_activity(session, stage.world.workspace, activity(stage, title)["id"])
        return overrides_of(session, row, stage.user_id)


def add(stage: Stage, body: Event, *, show: bool = True) -> Record:
    """Somebody adds an activity of Anna's (`twinbox activities add`)."""
    world = stage.world
    return add_activity(world.app, world.workspace, stage.user_id, body, show_in_calendar=show)


def edit(stage: Stage, activity_id: str, **values: Any) -> None:
    """Somebody changes fields of an activity (`twinbox activities edit`). Raises Conflict where it is not ours."""
    world = stage.world
    with world.app.db.reading() as session:
        row = find_activity(session, world.workspace, activity_id)
        body, version = replace(from_json(row.body), **values), row.version
    change_activity(world.app, world.workspace, activity_id, ActivityChange(body, expect=version))


def laid_out(stage: Stage, title: str) -> list[Record]:
    """The meetings of that title in the weeks of the story, occurrence by occurrence (`activities list --expand`)."""
    with stage.world.app.db.reading() as session:
        rows = agenda(session, stage.world.workspace, Wanted(stage.user_id), _weeks(stage))
        return [one for one in rows if one["title"] == title]


def starts_there(stage: Stage, title: str) -> list[str]:
    """When Google shows meetings of that title in Anna's calendar, in those weeks."""
    weeks = _weeks(stage)
    found = calendar(stage).expanded(weeks.start, weeks.end)
    return [_when_there(one["start"]) for one in found if one.get("summary") == title]


def _weeks(stage: Stage) -> Window:
    start, _ = hour(stage, 0, 0)
    return Window(start, start + timedelta(weeks=WEEKS))


def moments(start: datetime, end: datetime) -> tuple[Moment, Moment]:
    """Times on Anna's clock as the CRM keeps them."""
    return Moment(at=write_instant(start), zone=ZONE), Moment(at=write_instant(end), zone=ZONE)


def hour(stage: Stage, day: int, at: int, *, week: int = 0) -> tuple[datetime, datetime]:
    """One hour of the week the story plays in (`sandbox.world_meetings.hours`)."""
    return hours(stage.world.began, day, at, week=week)


# ---- between them ------------------------------------------------------------------------------------------


def same_there(stage: Stage, text: str, title: str, *people: str) -> None:
    """Check that these calendars (default: Anna's) show an activity of the CRM as it is here."""
    here = _facts_here(activity(stage, title))
    there = [_facts_there(calendar(stage, who).event(event_id(stage, title, who))) for who in people or [ANNA_ADDRESS]]
    check(stage, text, [here] * len(there), there)


def _facts_here(one: Record) -> dict[str, Any]:
    start, end = one["start"], one["end"]
    return {
        "title": one["title"],
        "when": (start.date or start.at, end.date or end.at),
        "where": one["location"],
        "repeats": one["recurrence"],
        "who": {(person["email"], person["response"]) for person in one["participants"]},
    }


def _facts_there(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": one.get("summary", ""),
        "when": (_when_there(one["start"]), _when_there(one["end"])),
        "where": one.get("location", ""),
        "repeats": tuple(one.get("recurrence", ())),
        "who": {(person["email"], person["responseStatus"]) for person in one.get("attendees", ())},
    }


def _when_there(when: Mapping[str, str]) -> str:
    if "date" in when:
        return when["date"]
    return write_instant(datetime.fromisoformat(when["dateTime"]))


def plan(stage: Stage) -> Preview:
    """What the next run would do (`twinbox sync plan --channel calendar`), told by what and why."""
    stage.world.google.calendar.calls.clear()
    with opened_calendar(stage.world.app, stage.account_id) as run:
        made = plan_records(run)
    tell_plan(stage, made)
    return made


def sync_calendar(stage: Stage, who: str = ANNA_ADDRESS) -> RunReport:
    """Let eleven minutes pass, sync somebody's calendar, tell what was done and why, and insist on a good end."""
    stage.world.google.calendar.calls.clear()
    if who != ANNA_ADDRESS:
        stage.screen.tell("Twinbox", "now the calendar of Jonas")
    account = stage.account_id if who == ANNA_ADDRESS else stage.colleague_account_id
    return told_sync(stage, Channel.CALENDAR, account=account)


def show_rows(stage: Stage, rows: Iterable[Record]) -> None:
    """A small table of activities, on Anna's clock."""
    shown = [(clock_time(one), one["title"], one["location"], ", ".join(one["seen_by"])) for one in rows]
    stage.screen.rows(("start", "title", "place", "in the calendar of"), (18, 18, 22, 28), shown)


def clock_time(one: Record) -> str:
    """When an activity begins, on Anna's clock."""
    start = one["start"]
    if start.date:
        return f"{datetime.fromisoformat(start.date):%a %d %b}"
    return f"{datetime.fromisoformat(start.at).astimezone(ZoneInfo(ZONE)):%a %d %b %H:%M}"
