"""The steps of `twinbox demo` in which meetings change: moved, private, somebody else's, called off; nobody is mailed.
How they came to be is `cli.demo_calendar`."""

from __future__ import annotations

from datetime import datetime

from cli.demo_agenda import (
    ASKED,
    activities,
    activity,
    calendar,
    calls,
    changed_occurrences,
    clock_time,
    edit,
    event_id,
    google_now,
    hour,
    laid_out,
    letters,
    moments,
    same_there,
    starts_there,
    sync_calendar,
    titles_there,
)
from cli.demo_calendar import CALL, REVIEW
from cli.demo_records import rows_of
from cli.demo_story import Record, Stage, Step, check, part
from core.errors import Conflict
from core.event import write_instant
from models.activity_queries import Wanted
from models.activity_records import BUSY
from models.deed_records import history_of
from sandbox.world_letters import ANNA_ADDRESS
from sandbox.world_meetings import DENTIST, JONAS, TEAM
from sandbox.world_people import TOM
from sync.activity_book import cancel_activity, delete_activity
from sync.icalendar_files import export_activities

LONGER, VISIT = "Offer review, last round", "Site visit"


def changed(stage: Stage) -> None:
    """Both sides change the same meeting."""
    one = activity(stage, REVIEW)
    edit(stage, one["id"], location="Room 7")
    calendar(stage).edit(event_id(stage, REVIEW), summary=LONGER)
    stage.screen.tell("CRM", f"{REVIEW!r} moves to room 7")
    stage.screen.tell("Google", f"Anna calls it {LONGER!r}")
    stage.screen.tell("Twinbox", "merges the fields as it does those of a contact; guests' copies follow at Google")
    report = sync_calendar(stage)
    both = {"updated in the CRM": 1, "updated at the provider": 1}
    check(stage, "one update on each side, no conflict", both, report.counts)
    same_there(stage, "the CRM and both calendars hold the same", LONGER, ANNA_ADDRESS, JONAS)
    check(stage, "no guest was mailed", [], letters(stage))


def one_moved(stage: Stage) -> None:
    """One occurrence of a series is moved, another one dropped."""
    series, hers = activity(stage, TEAM), calendar(stage)
    second, third = (_team_meeting(stage, week) for week in (1, 2))
    hers.move_occurrence(second, *hour(stage, 1, 15, week=1))
    hers.cancel_occurrence(third)
    stage.screen.tell("Google", "Anna puts the second of her weekly meetings on Tuesday, and drops the third")
    stage.screen.tell("Twinbox", "keeps the series, and beside it what differs, by the start it had")
    sync_calendar(stage)
    found = {one["original"]: one["status"] for one in changed_occurrences(stage, TEAM)}
    starts = [write_instant(hour(stage, 0, 9, week=week)[0]) for week in (1, 2)]
    check(stage, "one moved, one cancelled", dict(zip(starts, ("confirmed", "cancelled"), strict=True)), found)
    check(stage, "the series itself is as it was", series, activity(stage, TEAM))
    weeks = laid_out(stage, TEAM)
    stage.screen.rows(("start", "title", "by the rule"), (20, 20, 24), [_row(one) for one in weeks])
    check(stage, "it takes place when Google shows it", starts_there(stage, TEAM), [one["start"].at for one in weeks])
    _moved_on(stage)


def _moved_on(stage: Stage) -> None:
    [moved] = [one for one in changed_occurrences(stage, TEAM) if one["status"] == "confirmed"]
    start, end = moments(*hour(stage, 2, 15, week=1))
    edit(stage, moved["id"], start=start, end=end)
    stage.screen.tell("CRM", "somebody puts the moved one on Wednesday")
    report = sync_calendar(stage)
    check(stage, "that one was updated at Google", {"updated at the provider": 1}, report.counts)
    both = [_start_there(stage, who) for who in (ANNA_ADDRESS, JONAS)]
    check(stage, "it is so in her calendar and in that of Jonas", [start.at] * 2, both)


def _team_meeting(stage: Stage, week: int, who: str = ANNA_ADDRESS) -> str:
    return calendar(stage, who).occurrence(event_id(stage, TEAM, who), hour(stage, 0, 9, week=week)[0])


def _start_there(stage: Stage, who: str) -> str:
    found = calendar(stage, who).event(_team_meeting(stage, 1, who))
    return write_instant(datetime.fromisoformat(found["start"]["dateTime"]))


def _row(one: Record) -> tuple[str, str, str]:
    by_rule = one["original"] != one["start"].at
    return clock_time(one), one["title"], f"on {one['original'][:10]}" if by_rule else ""


def theirs(stage: Stage) -> None:
    """A meeting that somebody else organizes."""
    start, end = hour(stage, 4, 13)
    toms = stage.world.google.calendar.outsider(TOM)
    visit = toms.create(VISIT, start, end, guests=[ANNA_ADDRESS], location="Hull")
    stage.screen.tell("Google", f"Tom, who does not use Twinbox, invites Anna: {VISIT!r}")
    sync_calendar(stage)
    one = activity(stage, VISIT)
    found = (one["organizer"], one["owner"], one["stand_in"])
    check(stage, "it is Tom's; Anna stands in for him here", (TOM, ANNA_ADDRESS, True), found)
    stage.screen.tell("CRM", "somebody wants to move it")
    check(stage, "refused: only its organizer changes it", True, _edit_refused(stage, one["id"]))
    delete_activity(stage.world.app, stage.world.workspace, one["id"])
    stage.screen.tell("CRM", "it is deleted")
    stage.screen.tell("Twinbox", "takes Anna's own copy off her calendar, no more")
    report = sync_calendar(stage)
    check(stage, "one event was taken off", {"taken out of the calendar": 1}, report.counts)
    there = VISIT in titles_there(stage), toms.event(visit)["status"]
    check(stage, "it is in her calendar no more, and still takes place", (False, "confirmed"), there)


def _edit_refused(stage: Stage, one: str) -> bool:
    try:
        edit(stage, one, location="London")
    except Conflict as error:
        stage.screen.tell("Twinbox", f"{error}. {error.advice}")
        return True
    return False


def private(stage: Stage) -> None:
    """What others see of a private event."""
    for who, user in (("Anna", stage.user_id), ("Jonas", stage.colleague_id)):
        rows = [one for one in activities(stage, user) if one["title"] in (DENTIST, BUSY)]
        shown = [(clock_time(one), one["title"], one["location"] or "-") for one in rows]
        stage.screen.tell("CRM", f"what {who} is shown of it")
        stage.screen.rows(("start", "title", "place"), (20, 20, 30), shown)
    own = activity(stage, DENTIST)
    [seen] = [one for one in activities(stage, stage.colleague_id) if one["id"] == own["id"]]
    times = [one["start"] for one in (own, seen)]
    check(stage, "Jonas sees when she is busy, and nothing else", (BUSY, "", times[0]), _seen(seen))
    check(stage, "he does not find it by its words", [], activities(stage, stage.colleague_id, search=DENTIST))
    stage.screen.tell("CRM", "both export an iCalendar file (twinbox activities export --as USER)")
    files = [_exported(stage, user) for user in (stage.user_id, stage.colleague_id)]
    found = [[word in one for word in ("BEGIN:VCALENDAR", DENTIST)] for one in files]
    check(stage, "only Anna's names it", [[True, True], [True, False]], found)
    histories = [_told(stage, own["id"], user) for user in (stage.user_id, stage.colleague_id, "")]
    check(
        stage, "what runs did to it is told to her alone", [True, False, False], [DENTIST in one for one in histories]
    )


def _seen(one: Record) -> tuple[object, ...]:
    return one["title"], one["location"], one["start"]


def _told(stage: Stage, one: str, user: str) -> str:
    with stage.world.app.db.reading() as session:
        return str(history_of(session, stage.world.workspace, one, viewer=user))


def _exported(stage: Stage, user: str) -> str:
    world = stage.world
    with world.app.db.reading() as session:
        return "".join(export_activities(session, world.workspace, Wanted(user), world.clock.now()))


def called_off(stage: Stage) -> None:
    """Called off: one at Google, one in the CRM."""
    kept = activity(stage, LONGER)
    calendar(stage).delete(event_id(stage, LONGER), notify=True)
    stage.screen.tell("Google", f"Anna calls off {LONGER!r}; she has Google write to the guests")
    cancel_activity(stage.world.app, stage.world.workspace, activity(stage, CALL)["id"])
    stage.screen.tell("CRM", f"somebody calls off {CALL!r} (twinbox activities cancel)")
    stage.screen.tell("Twinbox", "marks the one as cancelled here, and cancels the other at Google, telling nobody")
    report = sync_calendar(stage)
    counted = {"gone from the calendar": 1, "taken out of the calendar": 1}
    check(stage, "one each way", counted, report.counts)
    gone = activity(stage, LONGER, cancelled=True)
    texts = [(one["title"], one["location"], one["participants"]) for one in (kept, gone)]
    check(stage, "the activity left the calendar and kept its text and guests", texts[0], texts[1])
    both = titles_there(stage) | titles_there(stage, JONAS)
    check(stage, "neither is in a calendar any more", set(), both & {LONGER, CALL})


def nobody_mailed(stage: Stage) -> None:
    """Nothing more to do, and no guest was mailed."""
    for who in (ANNA_ADDRESS, JONAS):  # what they did last is what these two hear of
        sync_calendar(stage, who)
    google, before = google_now(stage), rows_of(stage, "activities", "links", "history")
    for who in (ANNA_ADDRESS, JONAS):
        report = sync_calendar(stage, who)
        check(stage, "one question to Google, and nothing to do", (ASKED, {}), (calls(stage), report.counts))
    check(stage, "nothing was written at Google", google, google_now(stage))
    check(stage, "nor in the CRM", before, rows_of(stage, "activities", "links", "history"))
    sent = stage.world.google.calendar.mails
    stage.screen.tell("Google", f"its log of letters: {len(sent)}, all because Anna asked for them when she called off")
    check(stage, "Twinbox never had Google write to a guest", (True, []), (bool(sent), letters(stage)))


MEETINGS = part(
    "Calendar: changes, and what others see",
    Step("A meeting changes on both sides", changed),
    Step("One occurrence is moved", one_moved),
    Step("A meeting of somebody else", theirs),
    Step("A private event", private, brief=False),
    Step("Called off", called_off),
    Step("No guest was mailed", nobody_mailed),
)
