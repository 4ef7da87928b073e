"""What people are shown of the history: deeds as plain data, by run or by record. The one place that decides who sees
what of a deed to something private; writing the history is `sync.history`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from core.actions import Reason, done_in_words, in_words
from core.policy import OF_OTHERS
from core.replica import Side
from models.accounts import AccountRow
from models.activities import ActivityRow
from models.activity_records import BUSY, CALENDAR, private_activities
from models.columns import Record
from models.db import parts
from models.links import HistoryRow


def run_deeds(session: Session, workspace: str, run_id: str, *, viewer: str = "", limit: int = 1_000) -> list[Record]:
    """What a run did, in order, as the user of the id `viewer` may see it ("" nobody in particular)."""
    query = select(HistoryRow).where(HistoryRow.workspace_id == workspace, HistoryRow.run_id == run_id)
    return _shown(session, query.order_by(HistoryRow.id).limit(limit), viewer)


def history_of(
    session: Session, workspace: str, record_id: str, *, account: str = "", viewer: str = "", limit: int = 20
) -> list[Record]:
    """What was done to a contact or activity and to its counterparts, newest first; `account`: by that one alone."""
    query = select(HistoryRow).where(HistoryRow.workspace_id == workspace, HistoryRow.local_id == record_id)
    if account:
        query = query.where(HistoryRow.account_id == account)
    return _shown(session, query.order_by(HistoryRow.id.desc()).limit(limit), viewer)


def _shown(session: Session, query: Select[HistoryRow], viewer: str) -> list[Record]:
    rows = session.scalars(query).all()
    hidden, titles = _private(session, rows, viewer)
    found = []
    for row in rows:
        deed = _deed(row)
        if row.id in hidden:
            deed |= {"name": BUSY, "changes": {}, "lost": [], "busy": True}
        elif row.label == OF_OTHERS:
            deed["name"] = titles.get(row.local_id, OF_OTHERS)
        found.append(deed)
    return found


def _deed(row: HistoryRow) -> Record:
    """One deed as plain data; `side` is where it was done, `done` says it in words."""
    by_time = row.channel == CALENDAR
    return {
        "id": str(row.id),
        "run": row.run_id,
        "account": row.account_id,
        "at": row.at,
        "side": row.side,
        "action": row.action,
        "done": done_in_words(row.action, Side(row.side), by_time=by_time),
        "contact": row.local_id,
        "remote": row.remote_id,
        "name": row.label,
        "reason": row.reason,
        "why": in_words(Reason(row.reason), by_time=by_time),
        "changes": row.changes,
        "lost": row.lost,
        "busy": False,
        "undone_at": row.undone_at,
    }


def _private(session: Session, rows: Sequence[HistoryRow], viewer: str) -> tuple[set[int], dict[str, str]]:
    """Of these deeds, the ids of those that the viewer must not know; and the titles of activities that everybody may.

    What is, or was then, private is known to the user of the account whose run it was.
    """
    ids = {row.local_id for row in rows if row.channel == CALENDAR}
    if not ids:
        return set(), {}
    activities = _activities(session, rows[0].workspace_id, ids)
    private = private_activities(session, rows[0].workspace_id, activities)
    users = _users(session, rows[0].workspace_id, {row.account_id for row in rows})
    hidden = {
        row.id
        for row in rows
        if (row.private or row.local_id in private) and not (viewer and viewer == users.get(row.account_id))
    }
    return hidden, {one.id: one.title for one in activities if one.id not in private and one.title}


def _activities(session: Session, workspace: str, ids: set[str]) -> list[ActivityRow]:
    found: list[ActivityRow] = []
    for some in parts(sorted(ids)):
        query = select(ActivityRow).where(ActivityRow.workspace_id == workspace, ActivityRow.id.in_(some))
        found += session.scalars(query)
    return found


def _users(session: Session, workspace: str, accounts: set[str]) -> dict[str, str]:
    mine = AccountRow.workspace_id == workspace
    query = select(AccountRow.id, AccountRow.user_id).where(mine, AccountRow.id.in_(sorted(accounts)))
    return {one: user for one, user in session.execute(query)}  # noqa: C416  # rows are tuples, not pairs, to mypy
