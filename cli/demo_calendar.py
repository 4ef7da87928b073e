"""The steps of `twinbox demo` in which two calendars meet the CRM: what comes in, what goes out, who sees it.
What is changed later is `cli.demo_meetings`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cli.demo_agenda import (
    ASKED,
    READS,
    activities,
    activity,
    add,
    calendar,
    calls,
    event_id,
    google_now,
    hour,
    letters,
    moments,
    plan,
    same_there,
    show_rows,
    sync_calendar,
    titles_there,
)
from cli.demo_book import mine
from cli.demo_linking import Owner, consented
from cli.demo_records import crm_now
from cli.demo_story import CheckFailed, Stage, Step, check, part
from core.event import Attendee, Event
from core.types import Channel
from sandbox.world_letters import ANNA_ADDRESS
from sandbox.world_meetings import FAIR, FOCUS, JONAS, PARTY, TEAM
from sandbox.world_people import GRACE, TOM
from sync.calendar_channel import CalendarChange, calendar_choice, change_calendar
from sync.users import add_user

REVIEW, CALL, HOMEWORK = "Offer review", "Call with Tom", "Read the offer"
DAYS_BACK = timedelta(days=30)


def linked(stage: Stage) -> None:
    """A colleague links his calendar, and both choose since when."""
    app, workspace = stage.world.app, stage.world.workspace
    stage.colleague_id = add_user(app, workspace, JONAS, external_id="crm-1002", name="Jonas Weber").id
    stage.screen.tell("Twinbox", "adds the CRM user Jonas Weber; he links his calendar and nothing else")
    by_himself = replace(stage.audience, invited=lambda _: None, consents=lambda: True)
    account = consented(stage, Owner(JONAS, stage.colleague_id, (Channel.CALENDAR,)), by_himself)
    stage.colleague_account_id = account.id
    found = (account.state, dict(account.channels))
    check(stage, f"{account.address} is linked, with a calendar alone", ("linked", {"calendar": "due"}), found)
    since = (stage.world.began - DAYS_BACK).date()
    for one in (stage.account_id, stage.colleague_account_id):
        change_calendar(app, workspace, one, CalendarChange(since))
    made = calendar_choice(app, workspace, stage.account_id)
    shown = [("calendar", "the account's own"), ("events since", str(since)), ("runs every", f"{made.period_s} s")]
    stage.screen.rows(("setting", "value"), (20, 40), shown)
    check(stage, "the choice is kept", since, made.since)


def looked_ahead(stage: Stage) -> None:
    """A look ahead writes nothing."""
    google, crm = google_now(stage), crm_now(stage)
    stage.screen.tell("CRM", "somebody asks what a sync would do (twinbox sync plan ANNA --channel calendar)")
    made = plan(stage)
    told = sorted(line["name"] for line in made.lines)
    check(stage, "three events would come in; of the private one no more is told", ["(private)", TEAM, FAIR], told)
    check(stage, "Google was only read", True, calls(stage).keys() <= READS)
    if google_now(stage) != google or crm_now(stage) != crm:
        raise CheckFailed("nothing was written", "both sides as before", "a difference")
    stage.screen.passed("nothing was written, on either side")


def came_in(stage: Stage) -> None:
    """The first run."""
    google = google_now(stage)
    stage.screen.tell("Twinbox", "takes the events of Anna's calendar in: no tag is needed")
    report = sync_calendar(stage)
    show_rows(stage, activities(stage, stage.user_id))
    check(stage, "three came in, as the look ahead had said", {"created in the CRM": 3}, report.counts)
    out = {PARTY, FOCUS} & {one["title"] for one in activities(stage, stage.user_id)}
    check(stage, "what is long over stayed out, and so did time that is blocked to work alone", set(), out)
    same_there(stage, "the weekly series is one activity, with its rule", TEAM)
    same_there(stage, "the fair is of whole days: dates, which no time zone moves", FAIR)
    report = sync_calendar(stage)
    check(stage, "the next run asks one question, and has nothing to do", (ASKED, {}), (calls(stage), report.counts))
    check(stage, "nothing was written at Google", google, google_now(stage))


def with_guests(stage: Stage) -> None:
    """An event with guests."""
    start, end = hour(stage, 1, 10)
    calendar(stage).create(REVIEW, start, end, guests=[TOM, GRACE, JONAS], location="Room 4")
    stage.screen.tell("Google", f"Anna makes {REVIEW!r} and invites Tom, Grace and Jonas")
    stage.screen.tell("Twinbox", "makes an activity of it; guests that the CRM knows by address are its contacts")
    report = sync_calendar(stage)
    made = activity(stage, REVIEW)
    people = {one["email"]: one for one in made["participants"]}
    shown = [(one["email"], one["contact_name"] or "-", one["response"]) for one in made["participants"]]
    stage.screen.rows(("participant", "contact of the CRM", "answer"), (26, 24, 16), shown)
    known = {TOM: mine(stage, TOM).id, GRACE: mine(stage, GRACE).id, JONAS: None, ANNA_ADDRESS: None}
    check(
        stage,
        "the activity has all four; Tom and Grace are the contacts that the CRM has",
        ({"created in the CRM": 1}, known),
        (report.counts, {email: one["contact"] for email, one in people.items()}),
    )
    found = (made["organizer"], made["owner"], made["stand_in"])
    check(stage, "it is Anna's, who organizes it", (ANNA_ADDRESS, ANNA_ADDRESS, False), found)
    same_there(stage, "both sides hold the same", REVIEW)


def guest_sees(stage: Stage) -> None:
    """The guest sees it after his own sync."""
    count = len(activities(stage))
    calendar(stage, JONAS).answer(event_id(stage, REVIEW, JONAS), "accepted")
    stage.screen.tell("Google", "has put it into the calendar of Jonas; he accepts")
    check(stage, "in the CRM it is not his yet", [ANNA_ADDRESS], activity(stage, REVIEW)["seen_by"])
    report = sync_calendar(stage, JONAS)
    joined = {"joined with one that was there": 2, "updated in the CRM": 2}
    check(stage, "his two meetings are those the CRM has: joined, not doubled", joined, report.counts)
    check(stage, "one activity, in both calendars", (count, [ANNA_ADDRESS, JONAS]), _shared(stage, REVIEW))
    stage.screen.tell("Twinbox", "now Anna's calendar: she organizes, so her event decides what is in it")
    report = sync_calendar(stage)
    check(stage, "his answer came in with it", {"updated in the CRM": 1}, report.counts)
    same_there(stage, "the CRM and both calendars hold the same", REVIEW, ANNA_ADDRESS, JONAS)


def _shared(stage: Stage, title: str) -> tuple[int, list[str]]:
    return len(activities(stage)), activity(stage, title)["seen_by"]


def shown_there(stage: Stage) -> None:
    """An activity that is to be shown in the calendar."""
    start, end = moments(*hour(stage, 3, 11))
    guests = (Attendee(TOM, "Tom Whitfield"), Attendee(JONAS))
    add(stage, Event(title=CALL, location="By phone", start=start, end=end, attendees=guests))
    add(stage, Event(title=HOMEWORK, start=start, end=end), show=False)
    stage.screen.tell("CRM", f"two activities of Anna's: {CALL!r} to be shown in her calendar, {HOMEWORK!r} not")
    report = sync_calendar(stage)
    check(stage, "one was made at Google", {"created at the provider": 1}, report.counts)
    check(stage, "the other one stayed here", {CALL}, titles_there(stage) & {CALL, HOMEWORK})
    same_there(stage, "with its guests; Google shows it to Jonas too", CALL, ANNA_ADDRESS, JONAS)
    check(stage, "no guest was mailed: Google's log has no letter because of Twinbox", [], letters(stage))
    before = len(activities(stage))
    sync_calendar(stage, JONAS)
    check(stage, "after his own sync it is his, too: still one activity", (before, 2), _count(stage, CALL))


def _count(stage: Stage, title: str) -> tuple[int, int]:
    count, seen_by = _shared(stage, title)
    return count, len(seen_by)


CALENDARS = part(
    "Calendar: one meeting, two colleagues",
    Step("A colleague links his calendar", linked),
    Step("A look ahead at the calendar", looked_ahead),
    Step("The calendar comes in", came_in),
    Step("An event with guests", with_guests, brief=False),
    Step("The guest sees it after his own sync", guest_sees),
    Step("An activity goes into the calendar", shown_there),
)
