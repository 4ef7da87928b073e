"""PRETENDS what Google keeps per contact and label: immutable versions, as plain values.
How they come to be is decided by `people_store` and `groups_store`, how they look by `people_render`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sandbox.google.people_wire import Json

Origin = Literal["api", "hand"]
Fields = Mapping[str, tuple[Json, ...]]
MY_CONTACTS = "contactGroups/myContacts"
STARRED = "contactGroups/starred"
# Name as sent, name as shown in English; members can be added only to the first two (google.md, B.5).
SYSTEM_LABELS = {
    MY_CONTACTS: "My Contacts",
    STARRED: "Starred",
    "contactGroups/all": "All Contacts",
    "contactGroups/blocked": "Blocked",
    "contactGroups/chatBuddies": "Chat contacts",
    "contactGroups/friends": "Friends",
    "contactGroups/family": "Family",
    "contactGroups/coworkers": "Coworkers",
}
OPEN_SYSTEM_LABELS = frozenset({MY_CONTACTS, STARRED})


@dataclass(frozen=True, slots=True)
class Profile:
    """A Google profile behind a contact: its values are mixed in when sources include PROFILE."""

    id: str
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Contact:
    """One version of one contact. `number` grows with every write in the book; `fields` are never changed in place."""

    name: str
    source_id: str
    number: int
    etag: str
    updated: datetime
    written: datetime
    fields: Fields = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    deleted: bool = False
    previous: tuple[str, ...] = ()
    profile: Profile | None = None
    rendered: dict[Any, list[Json]] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Label:
    """One version of one contact group."""

    name: str
    number: int
    title: str
    updated: datetime
    etag: str = ""
    system: bool = False
    client_data: tuple[Json, ...] = ()
    deleted: bool = False
    usable: datetime | None = None  # before this moment a new label refuses members


def stamp(moment: datetime) -> str:
    """A time as protobuf writes it in JSON: UTC, with no, three or six digits of a second."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    if moment.microsecond == 0:
        return text + "Z"
    digits = f"{moment.microsecond:06d}"
    return f"{text}.{digits[:3] if digits.endswith('000') else digits}Z"
