"""What is shown of one activity, and to whom: rows become plain data here, with participants matched to contacts.
The one place that decides what others see of a private event; finding activities is `models.activity_queries`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.addresses import address_key
from core.event import Event, from_json
from models.accounts import AccountRow, UserRow
from models.activities import ActivityRow
from models.columns import Record
from models.contacts import ContactKeyRow, ContactRow
from models.db import parts
from models.links import LinkRow
from models.own_parts import own_parts_of

CALENDAR = "calendar"
BUSY = "busy"

# All that others are shown of a private activity; what is not here is blank.
_KNOWN_TO_ALL = ("id", "owner", "owner_id", "start", "end", "starts_at", "repeats", "cancelled_at", "deleted_at")


def shown(record: Record, viewer: str) -> Record:
    """A record as the user of that id may see it, "" for nobody in particular.

    A private or confidential activity is its owner's alone: for others somebody is busy from start to end. Whatever
    leaves this package's queries has passed here: lists, single records, search and export.
    """
    if not record["private"] or (viewer and viewer == record["owner_id"]):
        return record
    blank = {name: _blank(value) for name, value in record.items()}
    return blank | {name: record[name] for name in _KNOWN_TO_ALL} | {"title": BUSY, "busy": True}


def _blank(value: object) -> object:
    return False if isinstance(value, bool) else type(value)() if isinstance(value, str | list | tuple | int) else None


def activity_records(session: Session, rows: Sequence[ActivityRow], viewer: str) -> list[Record]:
    """Everything about activities as the user of that id may see it."""
    if not rows:
        return []
    workspace = rows[0].workspace_id
    bodies = {row.id: from_json(row.body) for row in rows}
    users = _users(session, workspace, {row.owner_id for row in rows})
    private = private_activities(session, workspace, rows)
    contacts = _contacts(session, workspace, {one.email for body in bodies.values() for one in body.attendees})
    seen_by = _seen_by(session, [row.id for row in rows])
    own = own_parts_of(session, rows, viewer)
    records = []
    for row in rows:
        body = bodies[row.id]
        about = {"owner": users[row.owner_id], "private": row.id in private, "seen_by": seen_by.get(row.id, [])}
        about |= {"participants": _participants(body, contacts)} | own[row.id]
        records.append(shown(_record(row, body) | about, viewer))
    return records


def _record(row: ActivityRow, body: Event) -> Record:
    return {
        "id": row.id,
        "external_id": row.external_id,
        "title": body.title,
        "start": body.start,
        "end": body.end,
        "repeats": bool(body.recurrence),
        "recurrence": body.recurrence,
        "location": body.location,
        "description": body.description,
        "conference": body.conference,
        "status": body.status,
        "visibility": body.visibility,
        "transparent": body.transparent,
        "organizer": body.organizer,
        "owner_id": row.owner_id,
        "stand_in": row.stand_in,
        "show_in_calendar": row.show_in_calendar,
        "uid": body.uid,
        "original": body.original,
        "starts_at": row.starts_at,
        "version": row.version,
        "origin_account": row.origin_account,
        "modified_at": row.modified_at,
        "created_at": row.created_at,
        "cancelled_at": row.cancelled_at,
        "deleted_at": row.deleted_at,
        "busy": False,
    }


def _users(session: Session, workspace: str, ids: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for some in parts(sorted(ids)):
        query = select(UserRow.id, UserRow.email).where(UserRow.workspace_id == workspace, UserRow.id.in_(some))
        found.update((user, email) for user, email in session.execute(query))
    return found


def private_activities(session: Session, workspace: str, rows: Sequence[ActivityRow]) -> set[str]:
    """Ids of those of these activities that are their owner's alone: an occurrence is private with its series, whatever
    it says itself."""
    series: set[str] = set()
    for some in parts(sorted({row.uid for row in rows if row.uid and row.original})):
        query = select(ActivityRow.uid, ActivityRow.body).where(
            ActivityRow.workspace_id == workspace, ActivityRow.uid.in_(some), ActivityRow.original == ""
        )
        series |= {uid for uid, body in session.execute(query) if from_json(body).is_private}
    return {row.id for row in rows if from_json(row.body).is_private or (row.original and row.uid in series)}


def _participants(body: Event, contacts: dict[str, tuple[str, str]]) -> list[Record]:
    people = []
    for one in body.attendees:
        contact, name = contacts.get(address_key(one.email), (None, ""))
        person = {"email": one.email, "name": one.name, "response": one.response, "optional": one.optional}
        people.append(person | {"resource": one.resource, "contact": contact, "contact_name": name})
    return people


def _contacts(session: Session, workspace: str, addresses: Collection[str]) -> dict[str, tuple[str, str]]:
    """The living contact of each address: id and name. Of several the first by name."""
    found: dict[str, tuple[str, str]] = {}
    for some in parts(sorted({f"mail:{address_key(one)}" for one in addresses})):
        query = (
            select(ContactKeyRow.key, ContactRow.id, ContactRow.name)
            .join(ContactRow, ContactRow.id == ContactKeyRow.contact_id)
            .where(ContactKeyRow.workspace_id == workspace, ContactRow.workspace_id == workspace)
            .where(ContactKeyRow.key.in_(some), ContactRow.deleted_at.is_(None))
            .order_by(ContactRow.name, ContactRow.id)
        )
        for key, contact, name in session.execute(query):
            found.setdefault(key.removeprefix("mail:"), (contact, name))
    return found


def _seen_by(session: Session, ids: Iterable[str]) -> dict[str, list[str]]:
    """Whose calendar shows an activity, after their own account's sync: addresses of users."""
    found: dict[str, list[str]] = {}
    for some in parts(list(ids)):
        query = (
            select(LinkRow.local_id, UserRow.email)
            .join(AccountRow, AccountRow.id == LinkRow.account_id)
            .join(UserRow, UserRow.id == AccountRow.user_id)
            .where(LinkRow.channel == CALENDAR, LinkRow.active.is_(True), LinkRow.local_id.in_(some))
            .distinct()
            .order_by(UserRow.email)
        )
        for activity, email in session.execute(query):
            found.setdefault(activity, []).append(email)
    return found
