"""What holds for a series as a whole: the occurrences that differ from it go with it, come back with it, and bear its
UID. Who may do what to a series is decided by the callers; every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.event import from_json
from models.activities import ActivityRow
from models.db import parts
from sync.activity_rows import EventText, rewrite_activities, set_activities

Mark = Literal["cancelled_at", "deleted_at"]


def take_out(session: Session, workspace: str, ids: Collection[str], mark: Mark, at: datetime) -> None:
    """Mark activities as cancelled or deleted, and with a series all its occurrences that are not so already."""
    column = getattr(ActivityRow, mark)
    uids = [row.uid for row in _series(session, workspace, ids)]
    there = [row.id for row in _occurrences(session, workspace, uids) if getattr(row, mark) is None]
    for some in parts([*ids, *there]):
        query = select(ActivityRow.id).where(ActivityRow.id.in_(some), column.is_(None))
        set_activities(session, list(session.scalars(query)), **{mark: at})


def put_back(session: Session, workspace: str, ids: Collection[str]) -> None:
    """Take from activities that they are cancelled or deleted, and with a series from the occurrences that went with
    it; one that went before stays away."""
    series = {row.uid: row for row in _series(session, workspace, ids)}
    for mark in ("cancelled_at", "deleted_at"):
        together = [
            row.id
            for row in _occurrences(session, workspace, series)
            if getattr(row, mark) is not None and getattr(row, mark) == getattr(series[row.uid], mark)
        ]
        set_activities(session, together, **{mark: None})
    set_activities(session, ids, cancelled_at=None, deleted_at=None)


def rename(session: Session, workspace: str, uids: Mapping[str, str]) -> None:
    """Series have another UID now, from old to new: so have their occurrences."""
    rows = list(_occurrences(session, workspace, uids, lock=True))
    texts = [
        EventText(row.id, replace(from_json(row.body), uid=uids[row.uid]), row.version + 1, row.modified_at)
        for row in rows
    ]
    rewrite_activities(session, texts)


def _series(session: Session, workspace: str, ids: Collection[str]) -> Iterator[ActivityRow]:
    for some in parts(list(ids)):
        query = select(ActivityRow).where(
            ActivityRow.workspace_id == workspace,
            ActivityRow.id.in_(some),
            ActivityRow.original == "",
            ActivityRow.uid != "",
        )
        yield from session.scalars(query.execution_options(populate_existing=True))


def _occurrences(
    session: Session, workspace: str, uids: Collection[str], *, lock: bool = False
) -> Iterator[ActivityRow]:
    for some in parts(sorted(uids)):
        query = select(ActivityRow).where(
            ActivityRow.workspace_id == workspace, ActivityRow.uid.in_(some), ActivityRow.original != ""
        )
        query = query.execution_options(populate_existing=True)
        yield from session.scalars(query.with_for_update() if lock else query)
