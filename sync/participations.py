"""Stores what of an activity is one account's own while another account decides its text: answer and reminders.
When that changes is decided by `sync.local_calendar` (runs) and `sync.activity_answers` (the CRM)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.event import Event, from_json, to_json
from core.event_parts import own_part
from core.types import Channel
from models.activities import ActivityRow, ParticipationRow
from models.bulk import insert_rows
from models.db import parts
from models.links import LinkRow


@dataclass(frozen=True, slots=True)
class OwnPart:
    """An own part as it is to be stored: `core.event_parts.own_part` of the meeting."""

    activity_id: str
    body: Event
    version: int
    modified_at: datetime


def own_parts(session: Session, account_id: str, ids: Collection[str]) -> dict[str, OwnPart]:
    """What is stored of an account's own parts of these activities."""
    found: dict[str, OwnPart] = {}
    for some in parts(list(ids)):
        query = select(ParticipationRow).where(
            ParticipationRow.account_id == account_id, ParticipationRow.activity_id.in_(some)
        )
        for row in session.scalars(query.execution_options(populate_existing=True)):
            found[row.activity_id] = OwnPart(row.activity_id, from_json(row.body), row.version, row.modified_at)
    return found


def save_own_parts(session: Session, workspace: str, account_id: str, wanted: Sequence[OwnPart]) -> None:
    """Write own parts over what is stored; the activities' rows are locked."""
    forget_own_parts(session, account_id, [one.activity_id for one in wanted])
    rows = [
        {
            "activity_id": one.activity_id,
            "account_id": account_id,
            "workspace_id": workspace,
            "body": to_json(one.body),
            "version": one.version,
            "modified_at": one.modified_at,
        }
        for one in wanted
    ]
    insert_rows(session, ParticipationRow, rows)


def forget_own_parts(session: Session, account_id: str, ids: Collection[str]) -> None:
    """Delete an account's own parts of these activities."""
    for some in parts(list(ids)):
        session.execute(
            delete(ParticipationRow)
            .where(ParticipationRow.account_id == account_id, ParticipationRow.activity_id.in_(some))
            .execution_options(synchronize_session=False)
        )


def hand_over(session: Session, row: ActivityRow, account_id: str) -> Event:
    """The text of an activity, whose row is locked, once this account decides it: what was personal to the account that
    did so before becomes that one's own part, and the own part of this account goes into the text."""
    body = from_json(row.body)
    if row.main_account:
        _keep_apart(session, row, body)
    mine = own_parts(session, account_id, [row.id]).get(row.id)
    forget_own_parts(session, account_id, [row.id])
    return replace(body, reminders=mine.body.reminders if mine else None)


def _keep_apart(session: Session, row: ActivityRow, body: Event) -> None:
    """From now on the account that decided the text only takes part: its pair must speak of no more than that."""
    link = session.get(LinkRow, (row.main_account, Channel.CALENDAR.value, row.id), populate_existing=True)
    if link is None:
        return
    address = link.extra.get("own", "")
    own = OwnPart(row.id, own_part(body, address), 1, row.modified_at)
    save_own_parts(session, row.workspace_id, row.main_account, [own])
    link.base = to_json(own_part(from_json(link.base), address))
    link.extra = taking_part(link.extra)
    session.flush()


def taking_part(extra: object) -> dict[str, object]:
    """What a provider told of an event (an item's `extra`), so that no more than the own part of it is written."""
    return {**(extra if isinstance(extra, dict) else {}), "own_only": True}
