"""The CRM side of contacts as a replica: what takes part by its tag, what changed against the links, and writing.
How a contact becomes rows is `sync.contact_rows`; deciding is `core.plan`. Works in one database session."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, String, and_, case, cast, exists, not_, or_, select
from sqlalchemy.orm import Session

from core.contact import Contact
from core.errors import RecordGone, VersionConflict
from core.policy import Policy
from core.replica import Delta, Done, Failed, Item, Stamp, Write
from models.contacts import ContactKeyRow, ContactRow, ContactTagRow
from models.db import parts
from models.links import LinkRow
from sync.contact_rows import (
    NewContact,
    Rewrite,
    add_tag,
    insert_contacts,
    remove_tag,
    rewrite_contacts,
    set_deleted,
)

Columns = Select[str, int, datetime, dict[str, Any], bool, bool]


class LocalContacts:
    """Contacts of a workspace as one account sees them: `selected` are those with the channel's tag that are not
    deleted. `core.ports.Replica` over a session; the caller commits."""

    def __init__(self, session: Session, workspace: str, tag: str, policy: Policy[Contact], now: datetime) -> None:
        self._session = session
        self._workspace = workspace
        self._tag = tag
        self._policy = policy
        self._now = now

    # -- the port

    def changes(self, cursor: str | None) -> Delta[Contact]:  # noqa: ARG002  # this side needs no cursor
        """All contacts of the workspace."""
        return Delta(self._items(self._query()), complete=True)

    def get(self, ids: Collection[str]) -> Delta[Contact]:
        """These contacts; erased ones and those of other workspaces are `gone`."""
        items: dict[str, Item[Contact]] = {}
        for some in parts(list(ids)):
            items |= self._items(self._query().where(ContactRow.id.in_(some)))
        return Delta(items, gone=frozenset(ids) - items.keys())

    def write(self, writes: Sequence[Write[Contact]]) -> Iterator[Done[Contact] | Failed]:
        """Carry out writes in this session; a version that moved on fails that write alone."""
        yield from self._insert([one for one in writes if not one.id])
        changes = [one for one in writes if one.id]
        query = self._query().with_for_update(of=ContactRow)  # what is compared now must not change before the commit
        now: dict[str, Item[Contact]] = {}
        for some in parts([one.id for one in changes]):
            now |= self._items(query.where(ContactRow.id.in_(some)))
        allowed = [(one, now[one.id]) for one in changes if one.id in now and _is_current(one, now[one.id])]
        self._rewrite([one for one, _ in allowed if one.body is not None])
        self._select([one for one, _ in allowed])
        yield from (Done(one.key, _after(one, item)) for one, item in allowed)
        for one in changes:
            if one.id not in now:
                yield Failed(one.key, RecordGone("the contact was erased meanwhile"))
            elif not _is_current(one, now[one.id]):
                yield Failed(one.key, VersionConflict("the contact was changed meanwhile"))

    # -- what a plan needs

    def touched(self, account_id: str, channel: str) -> set[str]:
        """Local ids of linked contacts that changed against their link: text, tag, deletion."""
        takes_part = self._selected()
        changed = or_(
            ContactRow.id.is_(None), not_(takes_part), cast(ContactRow.version, String) != LinkRow.local_version
        )
        query = (
            select(LinkRow.local_id)
            .outerjoin(ContactRow, ContactRow.id == LinkRow.local_id)
            .where(LinkRow.account_id == account_id, LinkRow.channel == channel)
            .where(case((LinkRow.active.is_(True), changed), else_=takes_part))
        )
        return set(self._session.scalars(query))

    def new(self, account_id: str, channel: str) -> dict[str, Item[Contact]]:
        """Contacts that take part and have no link yet."""
        linked = exists().where(
            LinkRow.account_id == account_id, LinkRow.channel == channel, LinkRow.local_id == ContactRow.id
        )
        return self._items(self._query().where(self._selected(), not_(linked)))

    def find(self, keys: Iterable[str]) -> set[str]:
        """Ids of contacts that have one of these match keys and are not deleted."""
        found: set[str] = set()
        for some in parts(sorted(keys)):
            query = (
                select(ContactKeyRow.contact_id)
                .join(ContactRow, ContactRow.id == ContactKeyRow.contact_id)
                .where(ContactKeyRow.workspace_id == self._workspace, ContactKeyRow.key.in_(some))
                .where(ContactRow.deleted_at.is_(None))
            )
            found |= set(self._session.scalars(query))
        return found

    def adjust(self, remote: Delta[Contact]) -> Delta[Contact]:
        """An account has its full say in every contact of its address book."""
        return remote

    def unclaimed(self, remote: Delta[Contact]) -> set[str]:  # noqa: ARG002  # the port's signature
        """No contact is one account's alone."""
        return set()

    def shown_as(self, remote_ids: Collection[str]) -> set[str]:  # noqa: ARG002  # the port's signature
        """An account has one address book."""
        return set()

    def claim(self, remote: Delta[Contact]) -> None:
        """A contact may be in the address books of several accounts."""

    def renamed(self, remote: Delta[Contact]) -> Mapping[str, str]:  # noqa: ARG002  # the port's signature
        """Nothing in a contact is a name that its provider gave."""
        return {}

    def rename(self, names: Mapping[str, str]) -> None:
        """As `renamed` says."""

    def taken(self, ids: Collection[str]) -> None:
        """A contact may be made in the address books of several accounts."""

    # -- reading

    def _selected(self) -> ColumnElement[bool]:
        tagged = exists().where(ContactTagRow.tag_id == self._tag, ContactTagRow.contact_id == ContactRow.id)
        return and_(tagged, ContactRow.deleted_at.is_(None))

    def _query(self) -> Columns:
        return select(
            ContactRow.id,
            ContactRow.version,
            ContactRow.modified_at,
            ContactRow.body,
            self._selected(),
            ContactRow.deleted_at.is_not(None),
        ).where(ContactRow.workspace_id == self._workspace)

    def _items(self, query: Columns) -> dict[str, Item[Contact]]:
        load = self._policy.load
        return {
            one: Item(one, Stamp(str(version), modified_at), bool(selected), load(body), one, deleted=bool(deleted))
            for one, version, modified_at, body, selected, deleted in self._session.execute(query)
        }

    # -- writing

    def _insert(self, writes: Sequence[Write[Contact]]) -> Iterator[Done[Contact]]:
        fresh = [
            NewContact(one.body or self._policy.blank, one.modified_at, origin_account=one.origin) for one in writes
        ]
        ids = insert_contacts(self._session, self._workspace, self._policy, fresh, self._now)
        add_tag(self._session, self._tag, [i for i, one in zip(ids, writes, strict=True) if one.selected])
        for contact_id, one, new in zip(ids, writes, fresh, strict=True):
            stamp = Stamp("1", one.modified_at)
            yield Done(one.key, Item(contact_id, stamp, bool(one.selected), new.body, contact_id))

    def _rewrite(self, writes: Sequence[Write[Contact]]) -> None:
        texts = [
            Rewrite(one.id, one.body, int(one.expect) + 1, one.modified_at) for one in writes if one.body is not None
        ]
        rewrite_contacts(self._session, self._workspace, self._policy, texts)

    def _select(self, writes: Sequence[Write[Contact]]) -> None:
        joining = [one.id for one in writes if one.selected]
        set_deleted(self._session, joining, None)
        add_tag(self._session, self._tag, joining)
        remove_tag(self._session, self._tag, [one.id for one in writes if one.selected is False])


def _is_current(one: Write[Contact], now: Item[Contact]) -> bool:
    return one.body is None or now.stamp.version == one.expect


def _after(one: Write[Contact], now: Item[Contact]) -> Item[Contact]:
    if one.body is not None:
        now = replace(now, body=one.body, stamp=Stamp(str(int(one.expect) + 1), one.modified_at))
    return now if one.selected is None else replace(now, selected=one.selected)
