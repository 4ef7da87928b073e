"""PRETENDS the truth about one user's contacts: every version of each, who is in which label, the trash.
What a change is allowed to be is decided by the calls (`people_writes`) or the hand (`people_book`)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sandbox.google.api_feed import Feed
from sandbox.google.people_knobs import PeopleKnobs
from sandbox.google.people_records import Contact, Fields, Origin, Profile
from sandbox.google.people_tokens import source_etag

_TRASH_DAYS = 30


class ContactStore:
    """All contacts of one user. The caller holds the book's lock."""

    def __init__(self, now: Callable[[], datetime], rng: random.Random, knobs: PeopleKnobs) -> None:
        self.feed: Feed[Contact] = Feed()
        self.members: dict[str, dict[str, None]] = {}
        self.living: dict[str, Contact] = {}
        self._now = now
        self._rng = rng
        self._knobs = knobs
        self._versions: dict[str, list[Contact]] = {}
        self._moved: dict[str, str] = {}
        self._trash: list[datetime] = []
        self._number = 0

    # -- reading

    def current(self, name: str) -> Contact | None:
        """The living contact of that name."""
        return self.living.get(name)

    def as_of_lag(self, name: str) -> Contact | None:
        """What get shows: the state of `get_lag` seconds ago; an old name leads to the present one."""
        name = self._moved.get(name, name)
        if not self._knobs.get_lag:
            return self.living.get(name)
        limit = self._now() - timedelta(seconds=self._knobs.get_lag)
        seen = next((one for one in reversed(self._versions.get(name, [])) if one.written <= limit), None)
        return None if seen is None or seen.deleted else seen

    def counted(self) -> int:
        """How many contacts count against the limit: the living ones and 30 days of trash (google.md, B.6)."""
        since = self._now() - timedelta(days=_TRASH_DAYS)
        return len(self.living) + sum(1 for moment in self._trash if moment > since)

    # -- writing

    def create(
        self, fields: Fields, labels: Iterable[str], origin: Origin, *, profile: Profile | None = None
    ) -> Contact:
        """A new contact under a new name."""
        ident = self._rng.randrange(10**18, 9 * 10**18)
        contact = Contact(
            name=f"people/c{ident}",
            source_id=f"{ident:x}",
            number=0,
            etag="",
            updated=self._now(),
            written=self._now(),
            fields=fields,
            labels=tuple(labels),
            profile=profile,
        )
        return self.put(contact, origin)

    def put(self, contact: Contact, origin: Origin, *, etag: bool = True, time: bool = True, **changes: Any) -> Contact:
        """A new version of `contact` with these changes; etag and updateTime move unless told otherwise."""
        now, number = self._now(), self.next_number()
        fresh = replace(
            contact,
            number=number,
            etag=source_etag(contact.source_id, number) if etag else contact.etag,
            updated=now if time else contact.updated,
            written=now,
            rendered={},
            **changes,
        )
        self._remember(fresh)
        lag = self._knobs.list_lag_api if origin == "api" else self._knobs.list_lag_hand
        self.feed.write(fresh, now + timedelta(seconds=lag))
        return fresh

    def relabel(self, contact: Contact, labels: Iterable[str], origin: Origin) -> Contact:
        """A new version with other labels; what else moves is up to the knobs."""
        knobs = self._knobs
        return self.put(
            contact,
            origin,
            etag=knobs.label_moves_etag,
            time=knobs.label_moves_update_time,
            labels=tuple(labels),
        )

    def remove(self, contact: Contact, origin: Origin, *, trash: bool = True) -> None:
        """Leave a tombstone in place of the contact."""
        self.put(contact, origin, deleted=True, fields={}, labels=())
        if trash:
            self._trash.append(self._now())

    def rename(self, contact: Contact, origin: Origin, *, tombstone: bool, **changes: Any) -> Contact:
        """Give the contact another resource name; reads of the old one are led on, writes are not."""
        if tombstone:
            self.remove(contact, origin, trash=False)
        else:
            self.forget(contact)
        name = f"people/c{self._rng.randrange(10**18, 9 * 10**18)}"
        self._moved = {old: name if new == contact.name else new for old, new in self._moved.items()}
        self._moved[contact.name] = name
        return self.put(contact, origin, name=name, previous=(*contact.previous, contact.name), **changes)

    def next_number(self) -> int:
        """The number of the next version of anything in this book."""
        self._number += 1
        return self._number

    def _remember(self, fresh: Contact) -> None:
        before = self.living.get(fresh.name)
        for label in () if before is None else before.labels:
            if label not in fresh.labels:
                self.members[label].pop(fresh.name, None)
        for label in fresh.labels:
            self.members.setdefault(label, {})[fresh.name] = None
        if fresh.deleted:
            self.living.pop(fresh.name, None)
        else:
            self.living[fresh.name] = fresh
        self._versions.setdefault(fresh.name, []).append(fresh)

    def forget(self, contact: Contact) -> None:
        """Let a contact vanish without a tombstone."""
        # Gone without a tombstone: list calls see the old name vanish, sync calls only the new one appear.
        gone = replace(contact, number=self.next_number(), deleted=True, fields={}, labels=(), rendered={})
        self._remember(gone)
        self.feed.drop(contact.name)
