"""Writes activities of the CRM side: the one place that knows how an event becomes a row. Who may, and why, is decided
by the callers; every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.addresses import address_key
from core.event import Event, Moment, read_instant, to_json
from models.accounts import AccountRow, UserRow
from models.activities import ActivityRow, ParticipationRow
from models.bulk import insert_rows, update_rows
from models.db import parts
from sync.ids import new_id


@dataclass(frozen=True, slots=True)
class NewActivity:
    """An activity to be inserted. `body` is in normal form; `main_account` "" while it is in no calendar."""

    body: Event
    owner_id: str
    modified_at: datetime
    stand_in: bool = False
    main_account: str = ""
    origin_account: str = ""
    external_id: str | None = None
    show_in_calendar: bool = True


@dataclass(frozen=True, slots=True)
class EventText:
    """A new text (in normal form) for an activity, which becomes `version`."""

    id: str
    body: Event
    version: int
    modified_at: datetime


def insert_activities(session: Session, workspace: str, activities: Sequence[NewActivity], now: datetime) -> list[str]:
    """Insert activities; their ids, in order."""
    rows = [
        {
            "id": new_id(),
            "workspace_id": workspace,
            "external_id": one.external_id,
            "owner_id": one.owner_id,
            "stand_in": one.stand_in,
            "main_account": one.main_account,
            "origin_account": one.origin_account,
            **_columns(one.body),
            "show_in_calendar": one.show_in_calendar,
            "version": 1,
            "modified_at": one.modified_at,
            "created_at": now,
            "cancelled_at": None,
            "deleted_at": None,
        }
        for one in activities
    ]
    insert_rows(session, ActivityRow, rows)
    return [str(row["id"]) for row in rows]


def rewrite_activities(session: Session, texts: Sequence[EventText]) -> None:
    """Write new texts of activities whose rows this transaction has locked and compared already."""
    rows = [
        {"id": one.id, **_columns(one.body), "version": one.version, "modified_at": one.modified_at} for one in texts
    ]
    update_rows(session, ActivityRow, rows, key=("id",))


def set_activities(session: Session, ids: Collection[str], **values: Any) -> None:
    """Set columns of activities that are no part of their text."""
    for some in parts(list(ids)):
        session.execute(
            update(ActivityRow)
            .where(ActivityRow.id.in_(some))
            .values(**values)
            .execution_options(synchronize_session=False)
        )


def erase_activities(session: Session, ids: Sequence[str]) -> None:
    """Delete activities for good. Links must be gone already."""
    for some in parts(list(ids)):
        session.execute(delete(ParticipationRow).where(ParticipationRow.activity_id.in_(some)))
        session.execute(delete(ActivityRow).where(ActivityRow.id.in_(some)))


def owners(session: Session, workspace: str, addresses: Collection[str]) -> dict[str, str]:
    """Which user of the workspace an organizer's address belongs to: by linked account, else by the user's own."""
    found: dict[str, str] = {}
    keys = sorted({address_key(one) for one in addresses if one})
    for some in parts(keys):
        users = select(UserRow.email, UserRow.id).where(UserRow.workspace_id == workspace, UserRow.email.in_(some))
        linked = select(AccountRow.address, AccountRow.user_id).where(
            AccountRow.workspace_id == workspace, AccountRow.address.in_(some), AccountRow.state != "removed"
        )
        for query in (users, linked.order_by(AccountRow.id.desc())):
            found.update((email, user) for email, user in session.execute(query))
    return found


def begins_at(moment: Moment) -> datetime:
    """The instant that sorts and selects an event; a date counts as its first second in UTC."""
    if moment.at:
        return read_instant(moment.at)
    return datetime.fromisoformat(moment.date).replace(tzinfo=UTC) if moment.date else datetime(1970, 1, 1, tzinfo=UTC)


def _columns(body: Event) -> dict[str, Any]:
    end = None if body.recurrence else begins_at(body.end)
    if end is not None and body.end.date:
        end += timedelta(hours=14)  # a day ends last in the zone that is farthest behind UTC
    return {
        "uid": body.uid,
        "original": body.original,
        "title": body.title,
        "starts_at": begins_at(body.start),
        "ends_at": end,
        "body": to_json(body),
    }
