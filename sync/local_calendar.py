"""The CRM side of the calendar as a replica: the activities one account keeps in step, and those it only takes part in.
How an event becomes a row is `sync.activity_rows`; deciding is `core.plan`. Works in one database session."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, String, and_, case, cast, exists, func, literal, not_, or_, select
from sqlalchemy.orm import Session

from core.errors import RecordGone, VersionConflict
from core.event import Event, Moment, from_json
from core.event_parts import GUEST, guest_version, next_version, own_part
from core.replica import LONG_AGO, Delta, Done, Failed, Item, Stamp, Write
from models.activities import ActivityRow, ParticipationRow
from models.db import parts
from models.links import LinkRow
from sync.activity_leads import pass_on, take_over
from sync.activity_rows import (
    EventText,
    NewActivity,
    insert_activities,
    owners,
    rewrite_activities,
    set_activities,
)
from sync.activity_series import put_back, rename, take_out
from sync.calendar_copies import linked_events, meetings_of, one_of_each
from sync.calendar_roles import (
    CalendarAccount,
    is_led,
    led_by_others,
    made_for_others,
    of_others,
    only_takes_part,
    who_syncs,
)
from sync.participations import (
    OwnPart,
    forget_own_parts,
    own_parts,
    save_own_parts,
    taking_part,
)


class LocalCalendar:
    """Activities of a workspace as one account sees them; `core.ports.Replica` over a session, the caller commits.

    An activity has one main account, whose calendar decides its text. For every other account the same meeting is a
    *guest* record: it says that this user's calendar shows it, and holds the own answer and reminders, nothing else.
    """

    def __init__(self, session: Session, account: CalendarAccount, now: datetime) -> None:
        self._session = session
        self._account = account
        self._now = now

    # -- the port

    def changes(self, cursor: str | None) -> Delta[Event]:  # noqa: ARG002  # this side needs no cursor
        """All activities of the workspace."""
        return Delta(self._items(ActivityRow.workspace_id == self._account.workspace_id), complete=True)

    def get(self, ids: Collection[str]) -> Delta[Event]:
        """These activities; erased ones and those of other workspaces are `gone`."""
        items: dict[str, Item[Event]] = {}
        for some in parts(list(ids)):
            items |= self._items(ActivityRow.id.in_(some))
        return Delta(items, gone=frozenset(ids) - items.keys())

    def write(self, writes: Sequence[Write[Event]]) -> Iterator[Done[Event] | Failed]:
        """Carry out writes in this session; a version that moved on fails that write alone."""
        yield from self._insert([one for one in writes if not one.id])
        changes = [one for one in writes if one.id]
        now: dict[str, Item[Event]] = {}
        for some in parts([one.id for one in changes]):
            now |= self._items(ActivityRow.id.in_(some), lock=True)
        allowed = [(one, now[one.id]) for one in changes if one.id in now and _is_current(one, now[one.id])]
        self._write_own([one for one, item in allowed if _is_guest(item)])
        mine = [(one, item) for one, item in allowed if not _is_guest(item)]
        rewrite_activities(
            self._session,
            [
                EventText(one.id, one.body, int(one.expect) + 1, one.modified_at)
                for one, _ in mine
                if one.body is not None
            ],
        )
        self._rename(mine)
        back = [one.id for one, _ in mine if one.selected]
        put_back(self._session, self._account.workspace_id, back)
        set_activities(self._session, back, show_in_calendar=True)
        gone = [one.id for one, _ in mine if one.selected is False]
        handed = pass_on(self._session, self._account.account_id, gone, self._now)
        take_out(self._session, self._account.workspace_id, sorted(set(gone) - handed), "cancelled_at", self._now)
        yield from (Done(one.key, _after(one, item)) for one, item in allowed)
        for one in changes:
            if one.id not in now:
                yield Failed(one.key, RecordGone("the activity was erased meanwhile"))
            elif not _is_current(one, now[one.id]):
                yield Failed(one.key, VersionConflict("the activity was changed meanwhile"))

    # -- what a plan needs

    def touched(self, account_id: str, channel: str) -> set[str]:
        """Ids of linked activities that changed against their link, guest records too."""
        takes_part = self._selected()
        changed = or_(
            ActivityRow.id.is_(None), not_(takes_part), cast(ActivityRow.version, String) != LinkRow.local_version
        )
        own = literal(GUEST).concat(cast(func.coalesce(ParticipationRow.version, 0), String))
        is_guest = and_(ActivityRow.id.is_not(None), only_takes_part(self._account))
        in_step = case((LinkRow.active.is_(True), not_(changed)), else_=not_(and_(takes_part, self._is_covered())))
        same = or_(LinkRow.active.is_(False), own == LinkRow.local_version)
        query = (
            select(LinkRow.local_id)
            .outerjoin(ActivityRow, ActivityRow.id == LinkRow.local_id)
            .outerjoin(ParticipationRow, self._own_part())
            .where(LinkRow.account_id == account_id, LinkRow.channel == channel)
            .where(not_(case((is_guest, same), else_=in_step)))
        )
        return set(self._session.scalars(query))

    def new(self, account_id: str, channel: str) -> dict[str, Item[Event]]:
        """Activities of the account's owner that belong into a calendar and are in none yet."""
        linked = exists().where(
            LinkRow.account_id == account_id, LinkRow.channel == channel, LinkRow.local_id == ActivityRow.id
        )
        return self._items(
            ActivityRow.workspace_id == self._account.workspace_id,
            ActivityRow.owner_id == self._account.user_id,
            ActivityRow.stand_in.is_(False),
            ActivityRow.main_account.in_(("", self._account.account_id)),
            self._selected(),
            not_(linked),
        )

    def find(self, keys: Iterable[str]) -> set[str]:
        """Ids of activities that are one of these meetings (`uid:UID|ORIGINAL`). Not deleted ones, but for those that
        another account decides, so that it can be noted who takes part, and for occurrences, which come back with their
        series."""
        wanted = {_meeting(key) for key in keys if key.startswith("uid:")}
        found: set[str] = set()
        for some in parts(sorted({uid for uid, _ in wanted})):
            query = select(ActivityRow.id, ActivityRow.uid, ActivityRow.original).where(
                ActivityRow.workspace_id == self._account.workspace_id,
                ActivityRow.uid.in_(some),
                or_(ActivityRow.deleted_at.is_(None), only_takes_part(self._account), ActivityRow.original != ""),
            )
            found |= {one for one, uid, original in self._session.execute(query) if (uid, original) in wanted}
        return found

    def adjust(self, remote: Delta[Event]) -> Delta[Event]:
        """Meetings whose text another account decides lose it here, but for what is personal: this account only takes
        part in them. Of a meeting that several calendars of the account show one copy counts."""
        remote, mine = self._with_texts(remote), self._account
        linked = linked_events(self._session, mine.workspace_id, mine.account_id, remote.items.values())
        remote = one_of_each(remote, linked, mine.covers, self._leads)
        off = self._taken_off(remote)
        others = of_others(self._session, self._account, {_key(item) for item in remote.items.values()})
        led = led_by_others(self._session, [one for one, _, _ in others])
        guests = {key: one in led for one, key, _ in others}
        made = made_for_others(self._session, self._account, {item.origin for item in remote.items.values()})
        items: dict[str, Item[Event]] = {}
        for one, item in remote.items.items():
            known = _key(item) in guests and (one in off or guests[_key(item)] or not self._leads(item))
            if known or item.origin in made:
                uid, original = made.get(item.origin, _key(item))
                own = replace(own_part(item.body, item.extra.get("own", "")), uid=uid, original=original)
                items[one] = replace(item, body=own, extra=taking_part(item.extra))
            elif one not in off:
                items[one] = item
        return replace(remote, items=items, renamed={**self._made_anew(remote), **remote.renamed})

    def _made_anew(self, remote: Delta[Event]) -> dict[str, str]:
        """Events of ours that are gone while another one is the same meeting: it was made anew, perhaps by a
        colleague's sync, which is all that a guest sees of that."""
        events = {_key(item): one for one, item in remote.items.items()}
        anew: dict[str, str] = {}
        for some in parts(sorted(remote.gone)):
            query = select(LinkRow.remote_id, ActivityRow.uid, ActivityRow.original)
            query = query.join(ActivityRow, ActivityRow.id == LinkRow.local_id).where(
                LinkRow.account_id == self._account.account_id, LinkRow.remote_id.in_(some), ActivityRow.uid != ""
            )
            rows = self._session.execute(query)
            anew |= {one: events[uid, original] for one, uid, original in rows if (uid, original) in events}
        return anew

    def _taken_off(self, remote: Delta[Event]) -> set[str]:
        """Cancelled occurrences of series that another account decides, or will, once its own run has met them: a guest
        took them off the own calendar, and nobody else's."""
        off = {one: item for one, item in remote.items.items() if _is_cancelled_occurrence(item)}
        led = {item.body.uid for item in remote.items.values() if not item.body.original and self._leads(item)}
        others = of_others(self._session, self._account, {(item.body.uid, "") for item in off.values()})
        theirs = {uid for _, (uid, _), _ in others} - led
        foreign = {one: item.body.organizer for one, item in off.items() if not item.extra.get("owned")}
        syncing = who_syncs(self._session, self._account.workspace_id, set(foreign.values()))
        return {one for one, item in off.items() if item.body.uid in theirs or foreign.get(one) in syncing}

    def _with_texts(self, remote: Delta[Event]) -> Delta[Event]:
        """Of a cancelled occurrence providers tell little more than that: what else is known of it stays."""
        bare = {one: item for one, item in remote.items.items() if item.body.status == "cancelled"}
        if not bare:
            return remote
        known: dict[tuple[str, str], Event] = {}
        for some in parts(sorted({item.body.uid for item in bare.values()})):
            query = select(ActivityRow.body).where(
                ActivityRow.workspace_id == self._account.workspace_id, ActivityRow.uid.in_(some)
            )
            for body in map(from_json, self._session.scalars(query)):
                known[body.uid, body.original] = body
        filled = {one: replace(item, body=_cancelled(item.body, known.get(_key(item)))) for one, item in bare.items()}
        return replace(remote, items={**remote.items, **filled})

    def _leads(self, item: Item[Event]) -> bool:
        """Whether this account organizes a meeting. The calendar does so by itself in the account's own; another
        calendar may be that of several accounts, and is led by whoever made the event."""
        return is_led(item.extra, item.id, item.body.organizer, self._account.address)

    def shown_as(self, remote_ids: Collection[str]) -> set[str]:
        """Match keys of the meetings linked to these events: another chosen calendar may show them as well."""
        if len(self._account.marks) == 1:
            return set()
        found = meetings_of(self._session, self._account.account_id, remote_ids)
        return {f"uid:{uid}|{original}" for uid, original in found}

    def unclaimed(self, remote: Delta[Event]) -> set[str]:
        """Meetings that this account organizes although somebody else, as a stand-in, synced them first; and those it
        takes part in that no account decides any more."""
        return set(self._to_be_claimed(remote))

    def claim(self, remote: Delta[Event]) -> None:
        """The reported meetings that are `unclaimed` are this account's from now on."""
        take_over(self._session, self._account, self._to_be_claimed(remote))
        self._session.expire_all()

    def _to_be_claimed(self, remote: Delta[Event]) -> dict[str, Item[Event]]:
        off = self._taken_off(remote)
        events = {_key(item): item for one, item in remote.items.items() if one not in off}
        others = of_others(self._session, self._account, set(events))
        wanted = {one: events[meeting] for one, meeting, main in others if not main or self._leads(events[meeting])}
        led = led_by_others(self._session, [one for one, _, main in others if main and one in wanted])
        return {one: item for one, item in wanted.items() if one not in led}

    def renamed(self, remote: Delta[Event]) -> Mapping[str, str]:
        """UIDs of series that were made anew at the provider without our hearing of it, by the UIDs they had before."""
        made = {item.origin: item for item in remote.items.values() if item.origin and not item.body.original}
        found: dict[str, str] = {}
        for some in parts(sorted(made)):
            query = select(ActivityRow.id, ActivityRow.uid, LinkRow.remote_id)
            link = and_(LinkRow.local_id == ActivityRow.id, LinkRow.account_id == self._account.account_id)
            query = query.outerjoin(LinkRow, link).where(
                ActivityRow.workspace_id == self._account.workspace_id,
                ActivityRow.id.in_(some),
                ActivityRow.uid != "",
            )
            for one, uid, remote_id in self._session.execute(query):
                item = made[one]
                if (
                    remote_id in (None, item.id, *remote.gone)
                    and item.body.recurrence
                    and item.body.uid not in ("", uid)
                ):
                    found[uid] = item.body.uid
        return found

    def rename(self, names: Mapping[str, str]) -> None:
        """The occurrences of these series that differ are those of the new ones."""
        rename(self._session, self._account.workspace_id, names)

    def taken(self, ids: Collection[str]) -> None:
        """These activities are about to be put into this account's calendar: no other account shall do it too."""
        for some in parts(list(ids)):
            free = select(ActivityRow.id).where(ActivityRow.id.in_(some), ActivityRow.main_account == "")
            set_activities(self._session, list(self._session.scalars(free)), main_account=self._account.account_id)

    # -- reading

    def _is_covered(self) -> ColumnElement[bool]:
        own = [LinkRow.remote_id.not_like("%@%")] if "" in self._account.marks else []
        return or_(*own, *(LinkRow.remote_id.like(f"%{mark}") for mark in sorted(self._account.marks - {""})))

    def _own_part(self) -> ColumnElement[bool]:
        return and_(
            ParticipationRow.activity_id == ActivityRow.id,
            ParticipationRow.account_id == self._account.account_id,
        )

    def _selected(self) -> ColumnElement[bool]:
        return and_(
            ActivityRow.show_in_calendar.is_(True),
            ActivityRow.deleted_at.is_(None),
            ActivityRow.cancelled_at.is_(None),
            or_(ActivityRow.ends_at.is_(None), ActivityRow.ends_at >= self._account.since),
        )

    def _items(self, *conditions: ColumnElement[bool], lock: bool = False) -> dict[str, Item[Event]]:
        query = select(ActivityRow, self._selected(), only_takes_part(self._account)).where(
            ActivityRow.workspace_id == self._account.workspace_id, *conditions
        )
        query = query.execution_options(populate_existing=True)
        rows = list(self._session.execute(query.with_for_update(of=ActivityRow) if lock else query))
        own = own_parts(self._session, self._account.account_id, [row.id for row, _, guest in rows if guest])
        return {
            row.id: _guest_item(row, own.get(row.id)) if guest else _main_item(row, bool(selected))
            for row, selected, guest in rows
        }

    # -- writing

    def _rename(self, texts: Sequence[tuple[Write[Event], Item[Event]]]) -> None:
        """A series that had to be made anew at a provider got another UID there."""
        known = ((item.body, one.body) for one, item in texts if one.body is not None and not one.body.original)
        renamed = {old.uid: new.uid for old, new in known if old.uid and new.uid != old.uid}
        rename(self._session, self._account.workspace_id, renamed)

    def _write_own(self, writes: Sequence[Write[Event]]) -> None:
        me = self._account
        texts = [
            OwnPart(one.id, one.body, next_version(one.expect), one.modified_at)
            for one in writes
            if one.body is not None
        ]
        save_own_parts(self._session, me.workspace_id, me.account_id, texts)
        forget_own_parts(self._session, me.account_id, [one.id for one in writes if one.selected is False])

    def _insert(self, writes: Sequence[Write[Event]]) -> Iterator[Done[Event]]:
        bodies = [one.body or Event() for one in writes]
        known = owners(self._session, self._account.workspace_id, {body.organizer for body in bodies})
        fresh = [
            NewActivity(
                body,
                known.get(body.organizer, self._account.user_id),
                self._now if one.modified_at == LONG_AGO else one.modified_at,
                stand_in=known.get(body.organizer) is None,
                main_account=self._account.account_id,
                origin_account=self._account.account_id,
            )
            for one, body in zip(writes, bodies, strict=True)
        ]
        ids = insert_activities(self._session, self._account.workspace_id, fresh, self._now)
        for activity_id, one, body in zip(ids, writes, bodies, strict=True):
            yield Done(one.key, Item(activity_id, Stamp("1", one.modified_at), True, body, activity_id))


def _main_item(row: ActivityRow, selected: bool) -> Item[Event]:
    deleted = row.deleted_at is not None or row.cancelled_at is not None or not row.show_in_calendar
    return Item(
        row.id, Stamp(str(row.version), row.modified_at), selected, from_json(row.body), row.id, deleted=deleted
    )


def _guest_item(row: ActivityRow, own: OwnPart | None) -> Item[Event]:
    body = replace(own.body if own else Event(), uid=row.uid, original=row.original)
    stamp = Stamp(guest_version(own.version), own.modified_at) if own else Stamp(guest_version(0), LONG_AGO)
    return Item(row.id, stamp, True, body, row.id)


def _is_guest(item: Item[Event]) -> bool:
    return item.stamp.version.startswith(GUEST)


def _cancelled(told: Event, known: Event | None) -> Event:
    if known is not None:
        return replace(known, status="cancelled")
    at = Moment(date=told.original) if len(told.original) == len("2026-01-31") else Moment(at=told.original)
    return told if told.start != Moment() else replace(told, start=at, end=at)


def _is_cancelled_occurrence(item: Item[Event]) -> bool:
    return bool(item.body.original) and item.body.status == "cancelled"


def _key(item: Item[Event]) -> tuple[str, str]:
    return item.body.uid, item.body.original


def _meeting(key: str) -> tuple[str, str]:
    uid, _, original = key.removeprefix("uid:").rpartition("|")
    return uid, original


def _is_current(one: Write[Event], now: Item[Event]) -> bool:
    return one.body is None or now.stamp.version == one.expect


def _after(one: Write[Event], now: Item[Event]) -> Item[Event]:
    if one.body is not None:
        version = guest_version(next_version(one.expect)) if _is_guest(now) else str(int(one.expect) + 1)
        now = replace(now, body=one.body, stamp=Stamp(version, one.modified_at))
    return now if one.selected is None else replace(now, selected=one.selected)
