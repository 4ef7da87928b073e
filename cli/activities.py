"""`twinbox activities list|show|add|edit|answer|cancel|delete|restore`: the meetings and dates of the CRM.
Files are `cli.activities_files`; the rules are `sync.activity_book`, who sees what is `models.activity_records`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from cli import activity_options as options
from cli.activities_files import export_file, import_file
from cli.activity_options import ActivityName, From, To, Typed, Viewer, typed_into, window
from cli.contact_options import moment
from cli.context import AsJson, Here, InWorkspace, opened
from cli.output import show, show_record, show_rows
from core.errors import BadInput
from core.event import Event, Moment, from_json, read_instant
from core.occurrences import Window
from models.activities import ActivityRow
from models.activity_queries import Wanted, activity_record, agenda, find_activity, list_activities, overrides_of
from models.activity_records import shown
from models.columns import Record
from models.own_parts import holders_of
from sync.activity_answers import OwnChange, answer_activity, remind_user
from sync.activity_book import (
    ActivityChange,
    add_activity,
    cancel_activity,
    change_activity,
    delete_activity,
    find,
    restore_activity,
)
from sync.users import find_user

AGENDA = timedelta(days=31)
_ANSWERS = {"needsAction": "no answer yet"}  # all others are words as they are

app = typer.Typer(help="Activities of the CRM: meetings, series, days.", no_args_is_help=True)

Version = Annotated[int | None, typer.Option(min=1, help="Only if the activity is still at this version.")]
ModifiedAt = Annotated[str, typer.Option(metavar="TIME", help="When the CRM changed it [default: now].")]


@app.callback()
def group() -> None:
    """Activities of the CRM: meetings, series, days."""


@app.command("list")
def list_all(
    start: From = "",
    end: To = "",
    owner: Annotated[str, typer.Option(metavar="USER", help="Only of this user.")] = "",
    viewer: Viewer = "",
    search: Annotated[str, typer.Option(help="Words in title, place, description or participants.")] = "",
    expand: Annotated[
        bool, typer.Option("--expand", help="Series as occurrences [default: 31 days from now].")
    ] = False,
    cancelled: Annotated[bool, typer.Option("--cancelled", help="The cancelled ones.")] = False,
    deleted: Annotated[bool, typer.Option("--deleted", help="The deleted ones.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    after: Annotated[str, typer.Option(metavar="ACTIVITY", help="Go on after this one.")] = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """List activities by start, times in UTC. Private ones of others are "busy"."""
    if expand and after:
        raise typer.BadParameter("occurrences are paged with --from", param_hint="--after")
    wanted = Wanted(window=window(start, end), search=search, cancelled=cancelled, deleted=deleted)
    with opened(workspace) as here, here.app.db.reading() as session:
        wanted = replace(wanted, viewer=_user(here, viewer), owner=_user(here, owner))
        if expand:
            rows = agenda(session, here.workspace, wanted, _stretch(here, start, end), limit=limit)
        else:
            last = find_activity(session, here.workspace, after).id if after else ""
            rows = list_activities(session, here.workspace, wanted, limit=limit, after=last)
    columns = {"short": "id", "from": "start", "to": "end", "title": "title", "owner": "owner", "more": ""}
    nothing = "No activities here."
    show_rows(rows if as_json else [_line(row) for row in rows], columns, as_json=as_json, empty=nothing)


def _stretch(here: Here, start: str, end: str) -> Window:
    asked = window(start, end)
    begin = asked.start if asked and start else here.app.clock()
    if not start and asked and end:
        return Window(min(begin, asked.end), asked.end)
    return Window(begin, asked.end if asked and end else begin + AGENDA)


def _line(row: Record) -> Record:
    notes = [str(row["problem"])] if row["problem"] else ["repeats"] if row["repeats"] and not row["original"] else []
    notes += [f"{len(row['participants'])} invited"] if row["participants"] else []
    times = {"from": _in_utc(row["start"]), "to": _in_utc(row["end"])}
    occurrence = f"(occurrence of {row['original'][:10]})" if row["original"] else "(no title)"
    title = row["title"] or occurrence
    return row | times | {"short": row["id"][:8], "title": title, "more": ", ".join(notes)}


def _in_utc(at: Moment) -> str:
    return at.date or f"{read_instant(at.at):%Y-%m-%d %H:%M}"


@app.command("show")
def show_one(activity: ActivityName, viewer: Viewer = "", workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """Show all that is known of an activity."""
    with opened(workspace) as here, here.app.db.reading() as session:
        row = find_activity(session, here.workspace, activity)
        user = _user(here, viewer)
        record = activity_record(session, row, user)
        record["changed_occurrences"] = overrides_of(session, row, user)
    show_record(record if as_json else _for_people(record), as_json=as_json)


def _for_people(record: Mapping[str, Any]) -> dict[str, object]:
    people = {name: value for name, value in record.items() if value or name == "title"}
    people |= {name: _when(record[name]) for name in ("start", "end")}
    people.pop("reminders_of", None)
    people |= {"recurrence": "\n".join(record["recurrence"])} if record["recurrence"] else {}
    if record["reminders"] is not None:
        people["reminders"] = ", ".join(options.reminder_text(one) for one in record["reminders"]) or "none"
    if record["participants"]:
        people["participants"] = "\n".join(_person(one) for one in record["participants"])
    if record["changed_occurrences"]:
        changed = record["changed_occurrences"]
        people["changed_occurrences"] = "\n".join(f"{one['original']}: {_change(one)}" for one in changed)
    return people


def _when(at: Moment) -> str:
    return at.date or f"{at.at} ({at.zone})" if at.zone else at.date or at.at


def _change(one: Mapping[str, Any]) -> str:
    gone = one["cancelled_at"] or one["deleted_at"] or one["status"] == "cancelled"
    return "cancelled" if gone else f"{_when(one['start'])} {one['title']} ({one['id'][:8]})"


def _person(one: Mapping[str, Any]) -> str:
    name = one["contact_name"] or one["name"]
    about = [_ANSWERS.get(one["response"], one["response"]), *(word for word in ("optional", "resource") if one[word])]
    about += [f"contact {one['contact'][:8]}"] if one["contact"] else []
    return f"{name} <{one['email']}> ({', '.join(about)})" if name else f"{one['email']} ({', '.join(about)})"


@app.command("add")
def add(
    title: Annotated[str, typer.Option("--title", help="Title.")],
    start: Annotated[str, typer.Option("--start", metavar="TIME", help="2026-03-02T09:30, or a date for whole days.")],
    owner: Annotated[str, typer.Option(metavar="USER", help="Whose it is: who organizes it.")],
    end: options.End = None,
    zone: options.Zone = None,
    all_day: options.AllDay = False,
    repeat: options.Repeat = None,
    invite: options.Invite = None,
    location: options.Location = None,
    description: options.Description = None,
    private: options.Private = None,
    free: options.Free = None,
    remind: options.Remind = None,
    show_it: options.Show = None,
    external_id: Annotated[str, typer.Option(help="The CRM's own id.")] = "",
    modified_at: ModifiedAt = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Add an activity."""
    typed = Typed(title, start, end, zone, all_day, repeat, invite, location, description, private, free, remind)
    body = typed_into(Event(), typed)
    at = moment(modified_at)
    with opened(workspace) as here:
        record = add_activity(
            here.app,
            here.workspace,
            _user(here, owner),
            body,
            external_id=external_id,
            show_in_calendar=show_it is not False,
            modified_at=at,
        )
    show(record, as_json=as_json, text=f"Added {record['title'] or 'an activity'} ({record['id'][:8]}).")


@app.command("edit")
def edit(
    activity: ActivityName,
    title: options.Title = None,
    start: options.Start = None,
    end: options.End = None,
    zone: options.Zone = None,
    all_day: options.AllDay = False,
    repeat: options.Repeat = None,
    invite: options.Invite = None,
    location: options.Location = None,
    description: options.Description = None,
    private: options.Private = None,
    free: options.Free = None,
    remind: options.Remind = None,
    show_it: options.Show = None,
    version: Version = None,
    modified_at: ModifiedAt = "",
    viewer: Viewer = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Change fields of an activity: each option replaces its field, an empty text empties it. A new start alone moves
    it as a whole. `--remind` alone may be given for a meeting of others: it is for the user of `--as`."""
    typed = Typed(title, start, end, zone, all_day, repeat, invite, location, description, private, free)
    at = moment(modified_at)
    if remind is not None and typed == Typed() and show_it is None:
        _remind(activity, remind, version, at, viewer, workspace, as_json=as_json)
        return
    typed = replace(typed, remind=remind)
    with opened(workspace) as here:
        row = find(here.app, here.workspace, activity)
        user = _user(here, viewer)
        _check_whose_reminders(here, row, user, remind)
        # Fields that were not typed are those of the version read here: nobody's change in between is lost.
        expect = row.version if version is None else version
        body = typed_into(from_json(row.body), typed)
        change = ActivityChange(body, show_it, expect, at)
        outcome = change_activity(here.app, here.workspace, row.id, change)
    told = "Changed" if outcome.done == "changed" else "Nothing to change in"
    text = f"{told} {row.id[:8]} (version {outcome.record['version']})."
    show(shown(outcome.record, user), as_json=as_json, text=text)


def _remind(
    activity: str,
    remind: list[str],
    version: int | None,
    at: datetime | None,
    viewer: str,
    workspace: str,
    *,
    as_json: bool,
) -> None:
    with opened(workspace) as here:
        row = find(here.app, here.workspace, activity)
        user = _user(here, viewer)
        change = OwnChange(here.workspace, row.id, user or _holder(here, row), version, at)
        outcome = remind_user(here.app, change, options.reminders(remind))
    told = "Changed" if outcome.done == "changed" else "Nothing to change in"
    show(shown(outcome.record, user), as_json=as_json, text=f"{told} the reminders of {row.id[:8]}.")


def _check_whose_reminders(here: Here, row: ActivityRow, user: str, remind: list[str] | None) -> None:
    if remind is not None and user and user != _holder(here, row):
        raise BadInput(
            "reminders are each user's own, and this text is somebody else's",
            advice="Give --remind with --as alone, and the other fields without.",
        )


def _holder(here: Here, row: ActivityRow) -> str:
    with here.app.db.reading() as session:
        return holders_of(session, [row])[row.id]


@app.command("answer")
def answer(
    activity: ActivityName,
    response: Annotated[str, typer.Argument(metavar="ANSWER", help="accepted, tentative or declined.")],
    user: Annotated[
        str, typer.Option("--user", metavar="USER", help="Who answers [default: whose calendar it is]")
    ] = "",
    version: Version = None,
    modified_at: ModifiedAt = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Answer an invitation for a user, whoever organizes it. It goes to that user's calendar with its next run, and
    nobody is mailed. A series is answered as a whole, an occurrence by its own id."""
    at = moment(modified_at)
    with opened(workspace) as here:
        row = find(here.app, here.workspace, activity)
        who = _user(here, user)
        change = OwnChange(here.workspace, row.id, who or _holder(here, row), version, at)
        outcome = answer_activity(here.app, change, response.strip().lower())
    told = "Answered" if outcome.done == "changed" else "Answered already:"
    text = f"{told} {row.id[:8]}: {response.strip().lower()}."
    show(shown(outcome.record, who), as_json=as_json, text=text)


@app.command("cancel")
def cancel(
    activity: ActivityName,
    version: Version = None,
    viewer: Viewer = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Cancel an activity: it leaves the calendars of all, its text is kept, and it can be restored."""
    with opened(workspace) as here:
        row = find(here.app, here.workspace, activity)
        record = shown(cancel_activity(here.app, here.workspace, row.id, expect=version), _user(here, viewer))
    text = f"Cancelled {row.id[:8]}. `twinbox activities restore {row.id[:8]}` brings it back."
    show(record, as_json=as_json, text=text)


@app.command("delete")
def delete(
    activity: ActivityName,
    version: Version = None,
    viewer: Viewer = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Delete an activity: its text is kept, and it can be restored. Of a meeting of others only the own copy goes."""
    with opened(workspace) as here:
        row = find(here.app, here.workspace, activity)
        record = shown(delete_activity(here.app, here.workspace, row.id, expect=version), _user(here, viewer))
    text = f"Deleted {row.id[:8]}. `twinbox activities restore {row.id[:8]}` brings it back."
    show(record, as_json=as_json, text=text)


@app.command("restore")
def restore(activity: ActivityName, viewer: Viewer = "", workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """Bring a deleted or cancelled activity back."""
    with opened(workspace) as here:
        row = find(here.app, here.workspace, activity)
        record = shown(restore_activity(here.app, here.workspace, row.id), _user(here, viewer))
    show(record, as_json=as_json, text=f"Restored {row.id[:8]}.")


def _user(here: Here, text: str) -> str:
    """The id of the user that was named, "" for none."""
    if not text:
        return ""
    with here.app.db.reading() as session:
        return find_user(session, here.workspace, text).id


app.command("import")(import_file)
app.command("export")(export_file)
