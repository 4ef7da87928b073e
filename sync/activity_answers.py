"""What a user changes of an activity that is their own, whoever organizes it: the answer to an invitation, reminders.
It goes to that user's copy with the next run of their account; nobody else's answer is ever touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import BadInput, Conflict
from core.event import RESPONSES, Event, Reminder, canonical, from_json, reminders_problem
from core.event_parts import answered, entry_of
from core.types import Channel
from models.accounts import AccountRow
from models.activities import ActivityRow
from models.activity_queries import activity_record
from models.links import LinkRow
from models.own_parts import addresses_of, holders_of
from sync.activity_book import ADVICE, Outcome, called, check_living, check_version, locked_activity
from sync.activity_rows import EventText, rewrite_activities
from sync.app import App
from sync.participations import OwnPart, own_parts, save_own_parts

ANSWERS = RESPONSES[1:]  # whoever was asked cannot be made to have not been

_Edit = Callable[[Event, str], Event]  # a text and the address under which the user is invited, "" if they are not


@dataclass(frozen=True, slots=True)
class OwnChange:
    """Whose part of which activity changes. `expect` is the version of the activity it was decided on, `modified_at`
    when the CRM changed it."""

    workspace: str
    activity_id: str
    user_id: str
    expect: int | None = None
    modified_at: datetime | None = None


def answer_activity(app: App, change: OwnChange, response: str) -> Outcome:
    """Answer an invitation for a user: one of ANSWERS, for a series or for one occurrence that is a record of its own.

    Raises BadInput, NotFound; Conflict when the user is not invited, or their calendar does not show it yet, or the
    activity is deleted or cancelled.
    """
    if response not in ANSWERS:
        raise BadInput(f"{response[:40]!r} is no answer", advice=f"Answer {', '.join(ANSWERS)}.")

    def edit(body: Event, address: str) -> Event:
        return answered(body, address, response)

    return _change(app, change, edit, answering=True)


def remind_user(app: App, change: OwnChange, reminders: tuple[Reminder, ...] | None) -> Outcome:
    """Set a user's reminders of an activity; None for those of their calendar. Raises as `answer_activity`."""
    if problem := reminders_problem(reminders):
        raise BadInput(problem, advice=ADVICE["reminder"])

    def edit(body: Event, _address: str) -> Event:
        return canonical(replace(body, reminders=reminders))

    return _change(app, change, edit, answering=False)


def _change(app: App, change: OwnChange, edit: _Edit, *, answering: bool) -> Outcome:
    at = change.modified_at or app.clock()
    with app.db.transaction() as session:
        row = locked_activity(session, change.workspace, change.activity_id)
        check_version(row, change.expect)
        check_living(row)
        if holders_of(session, [row])[row.id] == change.user_id:
            changed = _in_the_text(session, row, change.user_id, edit, at, answering=answering)
        else:
            changed = _apart(session, row, change.user_id, edit, at, answering=answering)
        record = activity_record(session, row, change.user_id)
        return Outcome("changed" if changed else "unchanged", record)


def _in_the_text(session: Session, row: ActivityRow, user: str, edit: _Edit, at: datetime, *, answering: bool) -> bool:
    body = from_json(row.body)
    address = own_address(session, row, user)
    if answering and not address:
        raise _not_invited(row)
    after = edit(body, address)
    if after == body:
        return False
    rewrite_activities(session, [EventText(row.id, after, row.version + 1, at)])
    session.refresh(row)
    return True


def _apart(session: Session, row: ActivityRow, user: str, edit: _Edit, at: datetime, *, answering: bool) -> bool:
    """The own part of each of the user's calendars that show the meeting."""
    accounts = _accounts_showing(session, row, user)
    blank = OwnPart(row.id, Event(uid=row.uid, original=row.original), 0, at)
    known = {one: own_parts(session, one, [row.id]).get(row.id, blank) for one in accounts}
    if answering:
        known = {one: part for one, part in known.items() if part.body.attendees}
    if not known:
        raise _not_shown(session, row, user) if not accounts else _not_invited(row)
    changed = False
    for account, part in known.items():
        address = next((one.email for one in part.body.attendees), "")
        after = edit(part.body, address)
        if after != part.body:
            changed = True
            now = OwnPart(row.id, after, part.version + 1, at)
            save_own_parts(session, row.workspace_id, account, [now])
    return changed


def own_address(session: Session, row: ActivityRow, user: str) -> str:
    """The address under which the user whose copy the text is takes part, as the provider says, else as it is one of
    theirs; "" if none is invited."""
    body = from_json(row.body)
    link = session.get(LinkRow, (row.main_account, Channel.CALENDAR.value, row.id))
    told = [link.extra.get("own", "")] if link else []
    theirs = addresses_of(session, row.workspace_id, [user]).get(user, [])
    return next((one for one in (*told, *theirs) if entry_of(body, one)), "")


def _accounts_showing(session: Session, row: ActivityRow, user: str) -> list[str]:
    query = (
        select(LinkRow.account_id)
        .join(AccountRow, AccountRow.id == LinkRow.account_id)
        .where(AccountRow.workspace_id == row.workspace_id, AccountRow.user_id == user)
        .where(LinkRow.channel == Channel.CALENDAR.value, LinkRow.local_id == row.id, LinkRow.active.is_(True))
        .order_by(LinkRow.account_id)
    )
    return list(session.scalars(query))


def _not_invited(row: ActivityRow) -> Conflict:
    return Conflict(
        f"this user is not invited to {called(row)}", advice="Only who is invited can answer; its organizer can invite."
    )


def _not_shown(session: Session, row: ActivityRow, user: str) -> Conflict:
    theirs = addresses_of(session, row.workspace_id, [user]).get(user, [])
    if not any(entry_of(from_json(row.body), one) for one in theirs):
        return _not_invited(row)
    return Conflict(
        f"no calendar of this user shows {called(row)} yet",
        advice="Their own calendar must have synced it first: `twinbox sync start ACCOUNT --channel calendar`.",
    )
