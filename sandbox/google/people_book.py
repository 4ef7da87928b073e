"""PRETENDS one Google address book and the person who edits it by hand, in Google's own pages or on a phone.
Calls of the API read and write the same two stores through `people_reads`, `people_writes` and `groups_calls`."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from sandbox.google.groups_store import LabelStore
from sandbox.google.people_input import read_person
from sandbox.google.people_knobs import PeopleKnobs
from sandbox.google.people_pages import Pages
from sandbox.google.people_records import MY_CONTACTS, SYSTEM_LABELS, Contact, Label, Profile
from sandbox.google.people_render import View, render
from sandbox.google.people_schema import READABLE
from sandbox.google.people_store import ContactStore
from sandbox.google.people_wire import ApiError, Json

_EVERYTHING = View(READABLE)


class Book:
    """One user's contacts and labels, as the person sees and edits them. Safe to use from any thread.

    Contacts are named by resource name (`people/c...`), labels by theirs (`contactGroups/...`). Fields are those
    of a People API Person as plain dicts; metadata may be left out. Every method raises KeyError for a contact or
    label that does not exist (any more) and ValueError for what Google's pages would not let happen.
    """

    def __init__(self, sub: str, now: Callable[[], datetime], rng: random.Random, knobs: PeopleKnobs) -> None:
        self.sub = sub
        self.lock = threading.RLock()
        self.contacts = ContactStore(now, rng, knobs)
        self.labels = LabelStore(now, rng, knobs, self.contacts.next_number)
        self.pages = Pages(sub)
        self.created_by_api = 0

    # -- contacts, by hand

    def add(self, fields: Json, labels: Iterable[str] = (), *, my_contacts: bool = True) -> str:
        """Add a contact and return its name; it is in My Contacts unless `my_contacts` is False."""
        with self.lock:
            chosen = tuple(dict.fromkeys((*((MY_CONTACTS,) if my_contacts else ()), *labels)))
            for label in chosen:
                self._label(label)
            if not chosen:
                raise ValueError("a contact needs a label")
            return self.contacts.create(_read(fields), chosen, "hand").name

    def edit(self, name: str, fields: Json) -> None:
        """Replace the given fields (an empty list clears one); others stay."""
        with self.lock:
            contact = self._contact(name)
            kept = {field: items for field, items in contact.fields.items() if field not in fields}
            self.contacts.put(contact, "hand", fields={**kept, **_read(fields)})

    def touch(self, name: str) -> None:
        """The spurious change: etag and updateTime move and nothing else does (google.md, B.1)."""
        with self.lock:
            self.contacts.put(self._contact(name), "hand")

    def delete(self, name: str) -> None:
        """Move a contact to the trash; a tombstone stays."""
        with self.lock:
            self.contacts.remove(self._contact(name), "hand")

    def merge(self, survivor: str, *others: str, tombstones: bool = True) -> None:
        """Merge contacts: values and labels of `others` join the survivor, whose previousResourceNames name them.

        The others leave tombstones, or vanish without one when `tombstones` is False.
        """
        with self.lock:
            whole = self._contact(survivor)
            if survivor in others:
                raise ValueError("a contact cannot be merged with itself")
            for other in [self._contact(name) for name in dict.fromkeys(others)]:
                whole = _merged(whole, other)
                if tombstones:
                    self.contacts.remove(other, "hand", trash=False)
                else:
                    self.contacts.forget(other)
            self.contacts.put(whole, "hand")

    def link_profile(
        self, name: str, email: str, display_name: str = "", *, rename: bool = False, tombstone: bool = True
    ) -> str:
        """Let Google recognize a profile behind the contact: its values are mixed in from now on.

        With `rename` the contact gets another resource name, as happens then; returns the name it has now. Reads
        of the old name still find it, `tombstone` says whether the old name is also reported as deleted.
        """
        with self.lock:
            contact = self._contact(name)
            profile = Profile(str(10**20 + int(contact.source_id, 16)), email, display_name)
            if rename:
                return self.contacts.rename(contact, "hand", tombstone=tombstone, profile=profile).name
            return self.contacts.put(contact, "hand", profile=profile).name

    # -- labels, by hand

    def add_label(self, title: str) -> str:
        """Create a label and return its name. Raises ValueError if the title is taken."""
        with self.lock:
            if not title.strip() or self.labels.titled(title) is not None:
                raise ValueError(f"no title, or one that is taken: {title!r}")
            return self.labels.create(title).name

    def rename_label(self, label: str, title: str) -> None:
        """Give a label another title; its name and members stay."""
        with self.lock:
            if self.labels.titled(title) is not None:
                raise ValueError(f"this title is taken: {title!r}")
            self.labels.put(self._own_label(label), title=title)

    def delete_label(self, label: str, *, with_contacts: bool = False) -> None:
        """Delete a label, with its contacts or (the default) without; one left with no label is in My Contacts."""
        with self.lock:
            found = self._own_label(label)
            for name in list(self.contacts.members.get(label, ())):
                contact = self._contact(name)
                if with_contacts:
                    self.contacts.remove(contact, "hand")
                else:
                    left = tuple(one for one in contact.labels if one != label) or (MY_CONTACTS,)
                    self.contacts.relabel(contact, left, "hand")
            self.labels.put(found, deleted=True)

    def put_under(self, label: str, *names: str) -> None:
        """Put contacts under a label; harmless for those that are there already."""
        with self.lock:
            self._label(label)
            for contact in [self._contact(name) for name in names]:
                if label not in contact.labels:
                    self.contacts.relabel(contact, (*contact.labels, label), "hand")

    def take_from(self, label: str, *names: str) -> None:
        """Take contacts from a label. Raises ValueError for a contact that has no other one."""
        with self.lock:
            self._label(label)
            for contact in [self._contact(name) for name in names]:
                if contact.labels == (label,):
                    raise ValueError(f"the last label of {contact.name}")
                if label in contact.labels:
                    self.contacts.relabel(contact, (one for one in contact.labels if one != label), "hand")

    # -- what time does

    def expire_sync_tokens(self) -> None:
        """Let every sync token given out so far be past its age."""
        with self.lock:
            self.pages.expire()

    # -- read-outs for tests

    def persons(self) -> dict[str, Json]:
        """Every living contact by name, as `people.get` with all fields and sources shows it; a copy."""
        with self.lock:
            return {name: _copy(render(contact, _EVERYTHING)) for name, contact in self.contacts.living.items()}

    def person(self, name: str) -> Json:
        """One living contact; a copy."""
        with self.lock:
            return _copy(render(self._contact(name), _EVERYTHING))

    def stored(self) -> dict[str, Json]:
        """Only what is in the contacts themselves: name -> fields without metadata, and `labels`; a copy."""
        with self.lock:
            return {
                name: _copy({**contact.fields, "labels": list(contact.labels)})
                for name, contact in self.contacts.living.items()
            }

    def groups(self) -> dict[str, str]:
        """The user's own living labels: name -> title."""
        with self.lock:
            return {label.name: label.title for label in self.labels.living.values() if not label.system}

    def members(self, label: str) -> list[str]:
        """Who is under a living label, in the order of joining."""
        with self.lock:
            self._label(label)
            return list(self.contacts.members.get(label, ()))

    def _contact(self, name: str) -> Contact:
        return self.contacts.living[name]

    def _label(self, name: str) -> Label:
        return self.labels.living[name]

    def _own_label(self, name: str) -> Label:
        if name in SYSTEM_LABELS:
            raise ValueError("Google's own labels stay as they are")
        return self._label(name)


def _read(fields: Json) -> dict[str, tuple[Json, ...]]:
    try:
        found, labels = read_person(fields, "person", by_hand=True)
    except ApiError as error:
        raise ValueError(error.message) from error
    if labels is not None:
        raise ValueError("labels are given by name, not as memberships")
    return dict(found)


def _merged(whole: Contact, other: Contact) -> Contact:
    fields = dict(other.fields)
    for name, items in whole.fields.items():
        more = () if name in ("names", "birthdays", "biographies", "genders") else fields.get(name, ())
        fields[name] = (*items, *(item for item in more if item not in items))
    return replace(
        whole,
        fields=fields,
        labels=tuple(dict.fromkeys((*whole.labels, *other.labels))),
        previous=(*whole.previous, *other.previous, other.name),
        profile=whole.profile or other.profile,
    )


def _copy(person: Json) -> Json:
    # Parts of a rendered person are shared with answers; JSON is the fastest deep copy.
    copied: Json = json.loads(json.dumps(person))
    return copied
