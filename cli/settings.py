"""`twinbox settings contacts|calendar`: what of an account is synced, how often, and whether by itself.
The choices of mail are `twinbox account mail`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date
from typing import Annotated

import typer

from cli.context import AsJson, Here, InWorkspace, Yes, opened
from cli.output import show_record, show_rows
from core.actions import Reason
from core.calendar_settings import OWN, mark_of
from core.errors import BadInput, NotFound
from core.ports import CalendarEntry
from models.accounts import AccountRow
from sync.calendar_channel import CalendarChange, CalendarChoice, calendar_choice, change_calendar, check_since
from sync.calendar_choice import list_calendars, pick_calendars, scope_of
from sync.contact_channel import ContactsChange, ContactsChoice, change_contacts, contacts_choice
from sync.record_channels import opened_calendar
from sync.records import Preview, plan_records
from sync.users import find_account

Account = Annotated[str, typer.Argument(help="Address of the account, or the beginning of its id.")]

app = typer.Typer(help="What an account syncs.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """What an account syncs, and how often."""


@app.command("contacts")
def contacts(
    account: Account,
    tag: Annotated[str | None, typer.Option(metavar="NAME", help="Personal tag of the owner that goes out.")] = None,
    group: Annotated[str | None, typer.Option(metavar="NAME", help="Group (label) at the provider.")] = None,
    period: Annotated[int | None, typer.Option(metavar="SECONDS", help="Seconds between two runs, from 60.")] = None,
    auto: Annotated[bool | None, typer.Option("--auto/--no-auto", help="Run by itself, or only when asked.")] = None,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Show or change which contacts of an account are synced.

    Contacts with the tag are kept in step with those of the group. Another tag or group takes nobody out: whoever has
    the tag or is in the group takes part from then on.
    """
    change = ContactsChange(tag, group, period, auto)
    with opened(workspace) as here:
        row = named_account(here, account)
        if change == ContactsChange():
            choice = contacts_choice(here.app, here.workspace, row.id)
        else:
            choice = change_contacts(here.app, here.workspace, row.id, change)
    show_record(_record(row, choice), as_json=as_json)


@app.command("calendar")
def calendar(
    account: Account,
    since: Annotated[str, typer.Option(metavar="DATE", help="Leave out events that end before (2026-01-31).")] = "",
    calendar: Annotated[
        list[str] | None,
        typer.Option("--calendar", metavar="NAME", help="Follow this calendar, by name or id; repeat it for several."),
    ] = None,
    calendars: Annotated[bool, typer.Option("--calendars", help="Only list the calendars to choose among.")] = False,
    period: Annotated[int | None, typer.Option(metavar="SECONDS", help="Seconds between two runs, from 60.")] = None,
    auto: Annotated[bool | None, typer.Option("--auto/--no-auto", help="Run by itself, or only when asked.")] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only show what --since and --calendar would bring in and let go.")
    ] = False,
    yes: Yes = False,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Show or change which calendars of an account are synced, since when, and how often.

    An earlier day or a further calendar brings more events in; a later day or a calendar less takes nothing away, on
    either side. New events go to the first calendar named that can be written to.
    """
    day = _day(since) if since else None
    if preview and day is None and not calendar:
        raise BadInput("there is nothing to preview", advice="Give --since or --calendar together with --preview.")
    with opened(workspace) as here:
        row = named_account(here, account)
        if calendars or calendar:
            entries = list_calendars(here.app, here.workspace, row.id)
        if calendars:
            _show_calendars(here, row, entries, as_json=as_json)
            return
        picked = pick_calendars(entries, calendar) if calendar else None
        change = CalendarChange(day, period, auto, picked)
        if preview:
            columns = {"action": "would", "name": "event", "why": "because it"}
            lines = _planned(here, row, change).lines
            show_rows(lines, columns, as_json=as_json, empty="Nothing would change.")
            return
        if change == CalendarChange():
            choice = calendar_choice(here.app, here.workspace, row.id)
        else:
            if picked is not None and not yes:
                _ask_about_leaving(here, row, change)
            choice = change_calendar(here.app, here.workspace, row.id, change)
    show_record(_calendar_record(row, choice, as_json=as_json), as_json=as_json)


def _planned(here: Here, account: AccountRow, change: CalendarChange) -> Preview:
    if change.since is not None:
        check_since(here.app, change.since)
    with opened_calendar(here.app, account.id, since=change.since, calendars=change.calendars or ()) as run:
        return plan_records(run)


def _ask_about_leaving(here: Here, account: AccountRow, change: CalendarChange) -> None:
    """What would not be followed any more is shown first, and agreed to."""
    leaving = [line for line in _planned(here, account, change).lines if line["reason"] == Reason.NOT_CHOSEN]
    if not leaving:
        return
    show = {"name": "event", "why": "because it"}
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{len(leaving)} events would not be followed any more", param_hint="--yes")
    show_rows(leaving, show, as_json=False, empty="")
    typer.confirm(f"These {len(leaving)} stay as they are on both sides, and are not followed any more?", abort=True)


def _show_calendars(here: Here, account: AccountRow, entries: Sequence[CalendarEntry], *, as_json: bool) -> None:
    chosen = [mark_of(one.id) for one in calendar_choice(here.app, here.workspace, account.id).calendars]
    rows = [
        {
            "id": entry.id,
            "name": entry.name,
            "own": entry.primary,
            "writable": entry.writable,
            "zone": entry.zone,
            "chosen": mark_of(scope_of(entry).id) in chosen,
        }
        for entry in entries
    ]
    columns = {"name": "calendar", "own": "own", "writable": "writable", "chosen": "chosen", "id": "id"}
    show_rows(rows, columns, as_json=as_json, empty="The account has no calendar.")


def _calendar_record(account: AccountRow, choice: CalendarChoice, *, as_json: bool) -> dict[str, object]:
    names = [one.name or one.id or "(the account's own)" for one in choice.calendars]
    exact = [{"id": one.id or OWN, "name": one.name} for one in choice.calendars]
    return {
        "account": account.address,
        "since": choice.since or "(90 days before the first run)",
        "calendars": exact if as_json else names,
        "period_s": choice.period_s,
        "auto": choice.auto,
    }


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{text[:40]!r} is not a date", advice="Write it as 2026-01-31.") from error


def named_account(here: Here, text: str) -> AccountRow:
    """The account somebody typed. Raises BadInput when there is none."""
    with here.app.db.reading() as session:
        try:
            return find_account(session, here.workspace, text)
        except NotFound as error:
            raise BadInput(str(error), advice=error.advice) from error


def _record(account: AccountRow, choice: ContactsChoice) -> dict[str, object]:
    return {
        "account": account.address,
        "tag": choice.tag or "(made in the first run)",
        "group": choice.group,
        "period_s": choice.period_s,
        "auto": choice.auto,
        "held": choice.held["text"] if choice.held else None,
    }
