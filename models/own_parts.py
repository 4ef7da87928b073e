"""What of an activity is one user's own: their answer and their reminders, from the text or from their own part of it.
What others see of an activity is `models.activity_records`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.event import Event, from_json
from core.event_parts import entry_of
from models.accounts import AccountRow, UserRow
from models.activities import ActivityRow, ParticipationRow
from models.columns import Record
from models.db import parts

_NOTHING: Record = {"answer": "", "reminders": None, "reminders_of": ""}


def own_parts_of(session: Session, rows: Sequence[ActivityRow], viewer: str) -> dict[str, Record]:
    """By activity, the viewer's answer ("" if not invited) and reminders, and whose they are; for nobody in particular
    those of the user whose calendar decides the text."""
    holders = holders_of(session, rows)
    workspace = rows[0].workspace_id if rows else ""
    addresses = addresses_of(session, workspace, {viewer or user for user in holders.values()})
    apart = _apart(session, workspace, [row.id for row in rows], viewer) if viewer else {}
    found: dict[str, Record] = {}
    for row in rows:
        user = viewer or holders[row.id]
        if user == holders[row.id]:
            found[row.id] = _own(from_json(row.body), addresses[user])
        elif row.id in apart:
            body = apart[row.id]
            found[row.id] = _own(body, [*(one.email for one in body.attendees), addresses[user][-1]])
        else:
            found[row.id] = _NOTHING
    return found


def holders_of(session: Session, rows: Sequence[ActivityRow]) -> dict[str, str]:
    """By activity, the user whose copy its text is: of the main account, else the owner."""
    users: dict[str, str] = {}
    for some in parts(sorted({row.main_account for row in rows} - {""})):
        mine = AccountRow.workspace_id == rows[0].workspace_id
        query = select(AccountRow.id, AccountRow.user_id).where(mine, AccountRow.id.in_(some))
        users.update((account, user) for account, user in session.execute(query))
    return {row.id: users.get(row.main_account, row.owner_id) for row in rows}


def _own(body: Event, addresses: Sequence[str]) -> Record:
    entries = (entry_of(body, address) for address in addresses)
    answer = next((entry.response for entry in entries if entry), "")
    return {"answer": answer, "reminders": body.reminders, "reminders_of": addresses[-1]}


def _apart(session: Session, workspace: str, ids: Sequence[str], user: str) -> dict[str, Event]:
    found: dict[str, Event] = {}
    for some in parts(list(ids)):
        query = (
            select(ParticipationRow.activity_id, ParticipationRow.body)
            .join(AccountRow, AccountRow.id == ParticipationRow.account_id)
            .where(ParticipationRow.workspace_id == workspace, ParticipationRow.activity_id.in_(some))
            .where(AccountRow.user_id == user)
            .order_by(AccountRow.id)
        )
        for activity, body in session.execute(query):
            found.setdefault(activity, from_json(body))
    return found


def addresses_of(session: Session, workspace: str, users: Collection[str]) -> dict[str, list[str]]:
    """By user, the addresses under which they may be invited: of their accounts, and last their own."""
    found: dict[str, list[str]] = {}
    for some in parts(sorted(users)):
        linked = select(AccountRow.user_id, AccountRow.address).where(
            AccountRow.workspace_id == workspace, AccountRow.user_id.in_(some), AccountRow.state != "removed"
        )
        own = select(UserRow.id, UserRow.email).where(UserRow.workspace_id == workspace, UserRow.id.in_(some))
        for query in (linked.order_by(AccountRow.id), own):
            for user, address in session.execute(query):
                found.setdefault(user, []).append(address)
    return found
