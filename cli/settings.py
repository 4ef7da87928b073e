"""`twinbox settings contacts|calendar`: what of an account is synced, how often, and whether by itself.
The choices of mail are `twinbox account mail`."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from cli.context import AsJson, Here, InWorkspace, opened
from cli.output import show_record, show_rows
from core.errors import BadInput, NotFound
from models.accounts import AccountRow
from sync.calendar_channel import CalendarChange, calendar_choice, change_calendar, check_since
from sync.contact_channel import ContactsChange, ContactsChoice, change_contacts, contacts_choice
from sync.record_channels import opened_calendar
from sync.records import plan_records
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
    period: Annotated[int | None, typer.Option(metavar="SECONDS", help="Seconds between two runs, from 60.")] = None,
    auto: Annotated[bool | None, typer.Option("--auto/--no-auto", help="Run by itself, or only when asked.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what --since would bring in.")] = False,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Show or change since when the calendar of an account is synced, and how often.

    An earlier day brings more events in; a later one takes nothing away, on either side.
    """
    day = _day(since) if since else None
    if preview and day is None:
        raise BadInput("there is nothing to preview", advice="Give --since together with --preview.")
    with opened(workspace) as here:
        row = named_account(here, account)
        if preview and day is not None:
            check_since(here.app, day)
            with opened_calendar(here.app, row.id, since=day) as run:
                made = plan_records(run)
            columns = {"action": "would", "name": "event", "why": "because it"}
            nothing = "Nothing would change."
            show_rows(made.lines, columns, as_json=as_json, empty=nothing)
            return
        change = CalendarChange(day, period, auto)
        if change == CalendarChange():
            choice = calendar_choice(here.app, here.workspace, row.id)
        else:
            choice = change_calendar(here.app, here.workspace, row.id, change)
    first = choice.since or "(90 days before the first run)"
    shown = {"account": row.address, "since": first, "calendar": choice.calendar or "(the account's own)"}
    show_record(shown | {"period_s": choice.period_s, "auto": choice.auto}, as_json=as_json)


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
