"""Moves the say in activities from one account to another: to who organizes them, or on from who only stood in.
When that is due is told by `sync.local_calendar`; every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.event import Event, from_json, to_json
from core.policy import EVENTS
from core.replica import UNKNOWN, Item, Link, Side, Stamp
from models.accounts import AccountRow
from models.activities import ActivityRow
from models.activity_records import CALENDAR
from models.db import parts
from models.links import LinkRow
from sync.activity_rows import erase_activities, set_activities
from sync.calendar_roles import CalendarAccount
from sync.link_rows import Aside, LinkStore
from sync.participations import forget_own_parts, hand_over


def take_over(session: Session, account: CalendarAccount, events: Mapping[str, Item[Event]]) -> None:
    """From now on this account decides about these activities; `events` are what its calendar has of each. Who owned
    one that no account decided still does. What the CRM has of them was read in another's calendar, so it is the base
    of the pair: to be different makes nothing of it an edit."""
    _forget_cancelled(session, account.workspace_id, set(events))
    links = []
    for some in parts(sorted(events)):
        query = select(ActivityRow).where(ActivityRow.workspace_id == account.workspace_id, ActivityRow.id.in_(some))
        for row in session.scalars(query.with_for_update()):
            before = _base_of(session, row, account.account_id)
            body = hand_over(session, row, account.account_id)
            links.append(_link(row, events[row.id], before, body))
            mine = {"owner_id": account.user_id, "stand_in": False} if row.main_account else {}
            set_activities(session, [row.id], main_account=account.account_id, body=to_json(body), **mine)
    LinkStore(account.account_id, CALENDAR, EVENTS).save(session, links)


def _base_of(session: Session, row: ActivityRow, account_id: str) -> tuple[Event, Event | None]:
    """The text as the account that decided it last agreed on it, and this account's own part likewise."""
    theirs, mine = (session.get(LinkRow, (one, CALENDAR, row.id)) for one in (row.main_account, account_id))
    return from_json(theirs.base if theirs else row.body), from_json(mine.base) if mine else None


def _link(row: ActivityRow, item: Item[Event], before: tuple[Event, Event | None], body: Event) -> Link[Event]:
    text, own = before
    base = replace(text, reminders=own.reminders if own else body.reminders)
    # What was taken out here before is no removal of the organizer's event: the pair is parted, and joins again.
    active = row.deleted_at is None and row.cancelled_at is None and row.show_in_calendar
    return Link(row.id, item.id, Stamp(str(row.version), row.modified_at), UNKNOWN, base, active, extra=item.extra)


def _forget_cancelled(session: Session, workspace: str, taken: Collection[str]) -> None:
    """Occurrences that only who stood in had taken off are as in the series again: who organizes it has them."""
    for some in parts(sorted(taken)):
        series = select(ActivityRow.uid).where(
            ActivityRow.id.in_(some), ActivityRow.original == "", ActivityRow.uid != ""
        )
        query = select(ActivityRow).where(
            ActivityRow.workspace_id == workspace,
            ActivityRow.uid.in_(series),
            ActivityRow.original != "",
            ActivityRow.stand_in.is_(True),
        )
        cancelled = {row.id for row in session.scalars(query) if from_json(row.body).status == "cancelled"}
        gone = sorted(cancelled - set(taken))
        session.execute(
            delete(LinkRow)
            .where(LinkRow.channel == CALENDAR, LinkRow.local_id.in_(gone))
            .execution_options(synchronize_session=False)
        )
        erase_activities(session, gone)


def pass_on(session: Session, account_id: str, ids: Collection[str], now: datetime) -> set[str]:
    """Those of these activities, gone from this account's calendar, that another user's still shows while nobody here
    organizes them: this account only stood in, and the other one does from now on. It reads the event again."""
    found: dict[str, tuple[str, str]] = {}
    for some in parts(sorted(ids)):
        query = (
            select(LinkRow.local_id, LinkRow.account_id, AccountRow.user_id)
            .join(ActivityRow, ActivityRow.id == LinkRow.local_id)
            .join(AccountRow, AccountRow.id == LinkRow.account_id)
            .where(LinkRow.channel == CALENDAR, LinkRow.active.is_(True), LinkRow.local_id.in_(some))
            .where(ActivityRow.stand_in.is_(True), LinkRow.account_id != account_id)
            .order_by(LinkRow.account_id.desc())
        )
        found |= {one: (account, user) for one, account, user in session.execute(query)}
    for one, (account, user) in found.items():
        row, link = session.get_one(ActivityRow, one), session.get_one(LinkRow, (account, CALENDAR, one))
        text, own = _base_of(session, row, account)
        body = hand_over(session, row, account)
        forget_own_parts(session, account_id, [one])
        link.base = to_json(replace(text, reminders=own.reminders if own else None))
        link.extra = {name: value for name, value in link.extra.items() if name != "own_only"}
        session.flush()
        set_activities(session, [one], main_account=account, owner_id=user, body=to_json(body))
        again = Aside(Side.REMOTE, link.remote_id, "it is decided by this calendar from now on", soon=True)
        LinkStore(account, CALENDAR, EVENTS).set_aside(session, [again], now)
    session.expire_all()
    return set(found)
