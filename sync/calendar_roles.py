"""Who decides about a meeting that several accounts of a workspace show: the main account of its activity, or none.
What an account makes of that is `sync.local_calendar`. Works in one database session."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from core.calendar_settings import mark_in
from core.event import from_json
from core.event_parts import GUEST
from core.types import Channel
from models.accounts import AccountRow
from models.activities import ActivityRow
from models.db import parts
from models.links import LinkRow
from models.syncing import ChannelRow
from sync.calendar_copies import Meeting


@dataclass(frozen=True, slots=True)
class CalendarAccount:
    """Whose calendar it is. `since` is the beginning of what is synced, `marks` are those of the chosen calendars
    (`core.calendar_settings.mark_of`), `address` is the account's."""

    workspace_id: str
    account_id: str
    user_id: str
    since: datetime
    marks: frozenset[str] = frozenset({""})
    address: str = ""

    def covers(self, event: str) -> bool:
        """Whether an event of that id is in a chosen calendar."""
        return mark_in(event) in self.marks


def only_takes_part(account: CalendarAccount) -> ColumnElement[bool]:
    """Another account decides the text; or did so and was removed, and this one still only takes part."""
    paired = exists().where(
        LinkRow.account_id == account.account_id,
        LinkRow.channel == Channel.CALENDAR.value,
        LinkRow.local_id == ActivityRow.id,
        LinkRow.local_version.startswith(GUEST),
    )
    main = ActivityRow.main_account
    return or_(main.not_in(("", account.account_id)), and_(main == "", paired.correlate(ActivityRow)))


def of_others(session: Session, account: CalendarAccount, meetings: set[Meeting]) -> list[tuple[str, Meeting, str]]:
    """Those of these meetings in which an account only takes part: id, meeting and main account."""
    found: list[tuple[str, Meeting, str]] = []
    columns = (ActivityRow.id, ActivityRow.uid, ActivityRow.original, ActivityRow.main_account)
    for some in parts(sorted({uid for uid, _ in meetings if uid})):
        query = select(*columns).where(
            ActivityRow.workspace_id == account.workspace_id, ActivityRow.uid.in_(some), only_takes_part(account)
        )
        rows = session.execute(query)
        found += [(one, (uid, original), main) for one, uid, original, main in rows if (uid, original) in meetings]
    return found


def led_by_others(session: Session, ids: Collection[str]) -> set[str]:
    """Those of these activities whose main account organizes them: of two accounts that lead to one calendar, the
    first one decides."""
    led: set[str] = set()
    for some in parts(list(ids)):
        main = and_(ActivityRow.id == LinkRow.local_id, ActivityRow.main_account == LinkRow.account_id)
        query = select(LinkRow, AccountRow.address).join(ActivityRow, main)
        query = query.join(AccountRow, AccountRow.id == LinkRow.account_id)
        query = query.where(LinkRow.local_id.in_(some), LinkRow.active.is_(True))
        for link, address in session.execute(query):
            if is_led(link.extra, link.remote_id, from_json(link.base).organizer, address):
                led.add(link.local_id)
    return led


def made_for_others(session: Session, account: CalendarAccount, ids: Collection[str]) -> dict[str, Meeting]:
    """Those of these activities that another account put into its calendar, perhaps without having heard of it:
    then they do not bear the UID yet that everybody sees there."""
    made: dict[str, Meeting] = {}
    for some in parts(sorted(one for one in ids if one)):
        query = select(ActivityRow.id, ActivityRow.uid, ActivityRow.original).where(
            ActivityRow.workspace_id == account.workspace_id,
            ActivityRow.id.in_(some),
            ActivityRow.main_account.not_in(("", account.account_id)),
        )
        made |= {one: (uid, original) for one, uid, original in session.execute(query)}
    return made


def who_syncs(session: Session, workspace: str, addresses: Collection[str]) -> set[str]:
    """Those of these addresses whose own calendar is synced into a workspace."""
    found: set[str] = set()
    for some in parts(sorted(one for one in addresses if one)):
        query = (
            select(AccountRow.address)
            .join(ChannelRow, ChannelRow.account_id == AccountRow.id)
            .where(AccountRow.workspace_id == workspace, AccountRow.address.in_(some), AccountRow.state != "removed")
            .where(ChannelRow.channel == Channel.CALENDAR.value, ChannelRow.granted.is_(True))
        )
        found |= set(session.scalars(query))
    return found


def is_led(extra: Mapping[str, Any], event: str, organizer: str, address: str) -> bool:
    """Whether the account of an address organizes an event, from what the provider told of it (an item's `extra`)."""
    return bool(extra.get("owned")) and (not mark_in(event) or organizer == address)
