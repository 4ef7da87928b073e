"""Which copy of a meeting counts that several calendars of one account show. What follows from it is decided as for a
single calendar, in `sync.local_calendar` and `core.plan`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.calendar_settings import mark_in
from core.event import Event
from core.replica import Delta, Item
from core.types import Channel
from models.activities import ActivityRow
from models.db import parts
from models.links import LinkRow

Meeting = tuple[str, str]  # UID, and the start that an occurrence had
Leads = Callable[[Item[Event]], bool]


def one_of_each(
    remote: Delta[Event], linked: Mapping[Meeting, str], covers: Callable[[str], bool], leads: Leads
) -> Delta[Event]:
    """Of the same meeting in several calendars the copy that is `linked` already counts, as long as it is there and no
    better one is seen; else the best. So an event that was moved to another calendar keeps its activity.

    `covers` tells which events are in a chosen calendar, `leads` which this account organizes.
    """
    copies: dict[Meeting, list[Item[Event]]] = defaultdict(list)
    for item in remote.items.values():
        if item.body.uid:
            copies[item.body.uid, item.body.original].append(item)
    items, renamed = dict(remote.items), dict(remote.renamed)
    for meeting, some in copies.items():
        known = linked.get(meeting, "")
        known = renamed.get(known, known)
        best = min(some, key=lambda item: _rank(item, leads))
        kept = best.id
        if known and _stays(known, best, remote, covers, leads):
            kept = known
        elif known:
            renamed[known] = kept
        for item in some:
            if mark_in(item.id) != mark_in(kept):
                del items[item.id]
    return replace(remote, items=items, renamed=renamed)


def _rank(item: Item[Event], leads: Leads) -> tuple[bool, bool, bool, str]:
    """The smaller the better: organized by this account, writable, in its own calendar."""
    return not leads(item), item.extra.get("writable") is False, bool(mark_in(item.id)), item.id


def _stays(known: str, best: Item[Event], remote: Delta[Event], covers: Callable[[str], bool], leads: Leads) -> bool:
    """Whether the copy that is linked goes on to count, beside the best that was reported."""
    if mark_in(known) == mark_in(best.id):
        return True
    there = remote.items.get(known)
    if there is not None:
        return _rank(there, leads)[:2] <= _rank(best, leads)[:2]
    return known not in remote.gone and not remote.complete and covers(known)


def linked_events(session: Session, workspace: str, account: str, items: Collection[Item[Event]]) -> dict[Meeting, str]:
    """The event that each meeting of these is linked to in an account."""
    found: dict[Meeting, str] = {}
    for some in parts(sorted({item.body.uid for item in items} - {""})):
        query = (
            select(ActivityRow.uid, ActivityRow.original, LinkRow.remote_id)
            .join(LinkRow, LinkRow.local_id == ActivityRow.id)
            .where(LinkRow.account_id == account, LinkRow.channel == Channel.CALENDAR.value)
            .where(ActivityRow.workspace_id == workspace, ActivityRow.uid.in_(some))
        )
        found |= {(uid, original): event for uid, original, event in session.execute(query)}
    return found


def meetings_of(session: Session, account: str, events: Collection[str]) -> set[Meeting]:
    """The meetings that these events are linked to in an account."""
    found: set[Meeting] = set()
    for some in parts(sorted(events)):
        query = (
            select(ActivityRow.uid, ActivityRow.original)
            .join(LinkRow, LinkRow.local_id == ActivityRow.id)
            .where(LinkRow.account_id == account, LinkRow.channel == Channel.CALENDAR.value)
            .where(LinkRow.remote_id.in_(some), ActivityRow.uid != "")
        )
        found |= {(uid, original) for uid, original in session.execute(query)}
    return found
