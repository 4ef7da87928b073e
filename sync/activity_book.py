"""What a CRM does with its activities: add, change, cancel, delete, restore; a change may name the version it was
decided on. Rows are written by `sync.activity_rows`, found by `models.activity_queries`; files are `sync.icalendar_*`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import event as events
from core.contact_file import MAX_EXTERNAL_ID, checked_id
from core.errors import BadInput, Conflict, NotFound
from core.event import Event, canonical, from_json
from core.occurrences import rule_problem
from core.types import Channel
from models.accounts import AccountRow, UserRow
from models.activities import ActivityRow
from models.activity_queries import activity_record, find_activity
from models.columns import Record
from models.links import LinkRow
from sync.activity_rows import EventText, NewActivity, insert_activities, rewrite_activities, set_activities
from sync.activity_series import put_back, take_out
from sync.app import App

ADVICE = {
    "rule": "Write a rule of RFC 5545, daily or slower: FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10.",
    "zone": "Name a zone of the IANA database such as Europe/Berlin.",
    "reminder": "Write it as 10m, 2h, 1d or email:1h, up to five times; or `none`, or `default`.",
    "time": "Give both as dates (2026-03-02) or both as times (2026-03-02T09:30), the end behind the start.",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an activity: `added`, `changed`, `restored` or `unchanged`; `record` is all its owner may see."""

    done: str
    record: Record


@dataclass(frozen=True, slots=True)
class ActivityChange:
    """A new text, None to leave it as it is, and whether it belongs into the calendar, None likewise.

    `expect` is the version it was decided on, None for whatever is there now; `modified_at` is when the CRM changed it.
    """

    body: Event | None = None
    show_in_calendar: bool | None = None
    expect: int | None = None
    modified_at: datetime | None = None


def add_activity(
    app: App,
    workspace: str,
    owner: str,
    body: Event,
    *,
    external_id: str = "",
    show_in_calendar: bool = True,
    modified_at: datetime | None = None,
) -> Record:
    """Add an activity of the user of the id `owner`. Raises BadInput when it cannot be one, Conflict when the external
    id is taken or somebody else is its organizer, NotFound for a user of another workspace."""
    body, known_as = checked(body), _external_id(external_id)
    new = NewActivity(body, owner, modified_at or app.clock(), external_id=known_as, show_in_calendar=show_in_calendar)
    try:
        with app.db.transaction() as session:
            return _record(session, _insert(session, app, workspace, new))
    except IntegrityError as error:
        raise Conflict(
            f"an activity with the external id {external_id} exists already",
            advice="Change that one, or leave the external id out.",
        ) from error


def change_activity(app: App, workspace: str, activity_id: str, change: ActivityChange) -> Outcome:
    """Change an activity. An equal text changes nothing: no new version, no new time.

    Raises BadInput, NotFound; Conflict when it is another version by now, is deleted or cancelled, or its text is
    organized elsewhere.
    """
    body = checked(change.body) if change.body is not None else None
    with app.db.transaction() as session:
        row = locked_activity(session, workspace, activity_id)
        check_version(row, change.expect)
        check_living(row)
        changed = _write(session, app, row, body, change)
        return Outcome("changed" if changed else "unchanged", _record(session, row))


def put_activity(app: App, workspace: str, external_id: str, owner: str, change: ActivityChange) -> Outcome:
    """Make the activity of that external id be this one: added, changed, brought back if it was deleted or cancelled,
    or left alone when it is so already. Raises as `add_activity` and `change_activity`."""
    body, known_as = checked(change.body or Event()), _external_id(external_id)
    if known_as is None:
        raise BadInput("the external id is missing", advice="Give the id that the activity has in the CRM.")
    change = replace(change, body=body)
    try:
        return _put(app, workspace, known_as, owner, change)
    except IntegrityError:  # another process added it at the same moment
        return _put(app, workspace, known_as, owner, change)


def _put(app: App, workspace: str, known_as: str, owner: str, change: ActivityChange) -> Outcome:
    body = change.body or Event()
    with app.db.transaction() as session:
        query = select(ActivityRow).where(ActivityRow.workspace_id == workspace, ActivityRow.external_id == known_as)
        row = session.scalar(query.with_for_update())
        if row is None:
            if change.expect:
                raise Conflict(f"no activity has the external id {known_as}", advice="Leave the version out to add it.")
            at, show = change.modified_at or app.clock(), change.show_in_calendar is not False
            new = NewActivity(body, owner, at, external_id=known_as, show_in_calendar=show)
            return Outcome("added", _record(session, _insert(session, app, workspace, new)))
        check_version(row, change.expect)
        restored = row.deleted_at is not None or row.cancelled_at is not None
        if restored:
            put_back(session, workspace, [row.id])
            session.refresh(row)
        if body.reminders is None:  # a CRM that knows of none does not take away those of the calendar
            body = replace(body, reminders=from_json(row.body).reminders)
        changed = _write(session, app, row, body, change)
        return Outcome("restored" if restored else "changed" if changed else "unchanged", _record(session, row))


def cancel_activity(app: App, workspace: str, activity_id: str, *, expect: int | None = None) -> Record:
    """Mark an activity as cancelled: it leaves the calendars, its text stays. Cancelling it again changes nothing.
    Raises NotFound; Conflict when it is another version by now, or organized elsewhere."""
    with app.db.transaction() as session:
        row = locked_activity(session, workspace, activity_id)
        check_version(row, expect)
        _check_organizer(session, row)
        if row.cancelled_at is None:
            take_out(session, workspace, [row.id], "cancelled_at", app.clock())
            session.refresh(row)
        return _record(session, row)


def delete_activity(app: App, workspace: str, activity_id: str, *, expect: int | None = None) -> Record:
    """Mark an activity as deleted, whoever organizes it: of a meeting of others only the own copy goes. Its text stays.
    Raises NotFound, Conflict when it is another version by now."""
    with app.db.transaction() as session:
        row = locked_activity(session, workspace, activity_id)
        check_version(row, expect)
        if row.deleted_at is None:
            take_out(session, workspace, [row.id], "deleted_at", app.clock())
            session.refresh(row)
        return _record(session, row)


def restore_activity(app: App, workspace: str, activity_id: str) -> Record:
    """Bring a deleted or cancelled activity back; another one stays as it is. Raises NotFound; Conflict when it was
    cancelled by somebody else who organizes it."""
    with app.db.transaction() as session:
        row = locked_activity(session, workspace, activity_id)
        if row.cancelled_at is not None:
            _check_organizer(session, row)
        if row.deleted_at is not None or row.cancelled_at is not None:
            put_back(session, workspace, [row.id])
            session.refresh(row)
        return _record(session, row)


def find(app: App, workspace: str, text: str) -> ActivityRow:
    """As `models.activity_queries.find_activity`, in a session of its own."""
    with app.db.reading() as session:
        return find_activity(session, workspace, text)


# ---- what is asked of an activity ------------------------------------------------------------------------


def checked(body: Event) -> Event:
    """The normal form of what can be an activity. Raises BadInput saying what is wrong and what to do."""
    body = canonical(body)
    if problem := events.problem_of(body) or rule_problem(body):
        kinds = (("zone", "zone"), ("rule", "rule"), ("DATE", "rule"), ("remind", "reminder"))
        kind = next((kind for word, kind in kinds if word in problem), "time")
        raise BadInput(problem, advice=ADVICE["rule" if body.recurrence and rule_problem(body) else kind])
    wrong = next((one.email for one in body.attendees if "@" not in one.email[1:-1]), None)
    if wrong is not None:
        raise BadInput(f"{wrong[:100]!r} is not a mail address", advice="Write addresses like name@example.org.")
    return body


def elsewhere(session: Session, row: ActivityRow) -> bool:
    """Whether somebody who is not the activity's owner organizes it: then its text is not ours to change."""
    organizer = from_json(row.body).organizer
    return row.stand_in or not is_organizer(session, row.owner_id, organizer)


def is_organizer(session: Session, user_id: str, organizer: str) -> bool:
    """Whether an organizer's address ("" for none) is one of a user's: their own, or that of an account they linked."""
    if not organizer:
        return True
    own = select(UserRow.id).where(UserRow.id == user_id, UserRow.email == organizer)
    linked = select(AccountRow.id).where(
        AccountRow.user_id == user_id, AccountRow.address == organizer, AccountRow.state != "removed"
    )
    return session.scalar(own) is not None or session.scalar(linked.limit(1)) is not None


def called(row: ActivityRow) -> str:
    """What an error calls an activity: not by its title, which may be private."""
    return f"activity {row.id[:8]}"


def _check_organizer(session: Session, row: ActivityRow) -> None:
    link = (row.main_account, Channel.CALENDAR.value, row.id)
    known = session.get(LinkRow, link) if row.main_account else None
    # Why an event is read-only is the provider's word; "foreign" is what is judged here.
    if known is not None and known.extra.get("writable") is False and known.extra.get("reason") != "foreign":
        raise Conflict(
            f"{called(row)} can only be read in its calendar",
            advice="Ask whoever keeps that calendar for the right to change events, or change it there.",
        )
    if elsewhere(session, row):
        raise Conflict(
            f"{called(row)} is organized elsewhere: read only",
            advice="Its organizer changes it; `twinbox activities delete` removes it here.",
        )


def _external_id(text: str) -> str | None:
    if text and not checked_id(text):
        raise BadInput("that external id cannot be used", advice=f"Use up to {MAX_EXTERNAL_ID} printable characters.")
    return checked_id(text) or None


def check_version(row: ActivityRow, expect: int | None) -> None:
    """Raises Conflict when it is another version by now."""
    if expect is not None and row.version != expect:
        raise Conflict(
            f"{called(row)} is at version {row.version}, not {expect}: somebody changed it",
            advice=f"Look at it (`twinbox activities show {row.id[:8]}`) and decide again.",
        )


def check_living(row: ActivityRow) -> None:
    """Raises Conflict when it is deleted or cancelled."""
    if row.deleted_at is not None or row.cancelled_at is not None:
        state = "deleted" if row.deleted_at is not None else "cancelled"
        raise Conflict(f"{called(row)} is {state}", advice=f"First `twinbox activities restore {row.id[:8]}`.")


def locked_activity(session: Session, workspace: str, activity_id: str) -> ActivityRow:
    """The row, locked until the transaction ends. Raises NotFound."""
    query = select(ActivityRow).where(ActivityRow.id == activity_id, ActivityRow.workspace_id == workspace)
    row = session.scalar(query.with_for_update())
    if row is None:
        raise NotFound(f"no activity {activity_id!r} in this workspace", advice="`twinbox activities list` shows all.")
    return row


def _insert(session: Session, app: App, workspace: str, new: NewActivity) -> ActivityRow:
    user = session.scalar(select(UserRow.id).where(UserRow.workspace_id == workspace, UserRow.id == new.owner_id))
    if user is None:
        raise NotFound("no such user in this workspace", advice="`twinbox user list` shows all.")
    if not is_organizer(session, user, new.body.organizer):
        raise Conflict(
            f"the organizer {new.body.organizer} is not the owner",
            advice="Leave the organizer out, or name the user as owner whose address it is.",
        )
    return session.get_one(ActivityRow, insert_activities(session, workspace, [new], app.clock())[0])


def _write(session: Session, app: App, row: ActivityRow, body: Event | None, change: ActivityChange) -> bool:
    """Write what differs over the row, which is locked; whether anything did."""
    text = False
    if body is not None:
        body = _with_identity(body, from_json(row.body))
        text = from_json(row.body) != body
    if body is not None and text:
        _check_organizer(session, row)
        if not is_organizer(session, row.owner_id, body.organizer):
            raise Conflict("the organizer must be the owner", advice="Leave the organizer as it is.")
        at = change.modified_at or app.clock()
        rewrite_activities(session, [EventText(row.id, body, row.version + 1, at)])
        session.refresh(row)
    show = change.show_in_calendar
    if show is None or show == row.show_in_calendar:
        return text
    _set(session, row, show_in_calendar=show)
    return True


def _with_identity(body: Event, known: Event) -> Event:
    """What a provider gave an activity, and the CRM need not know, stays."""
    return replace(
        body,
        uid=body.uid or known.uid,
        original=body.original or known.original,
        organizer=body.organizer or known.organizer,
        conference=body.conference or known.conference,
    )


def _set(session: Session, row: ActivityRow, **values: object) -> None:
    set_activities(session, [row.id], **values)
    session.refresh(row)


def _record(session: Session, row: ActivityRow) -> Record:
    return activity_record(session, row, row.owner_id)
