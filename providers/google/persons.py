"""A Person of the People API as an `Item`: version, label, origin, and what is needed to write it again.
The fields themselves are `mapping`; nothing here talks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from core.contact import Contact
from core.replica import LONG_AGO, Item, Stamp
from providers.google.errors import Json
from providers.google.mapping import contact_of, raw_fields

ORIGIN_KEY = "twinbox"  # clientData: seen by applications only, never by the user
MY_CONTACTS = "contactGroups/myContacts"
LISTED_MOST = 100  # connections.list shows no more e-mail addresses and numbers of a person; people.get does


@dataclass(slots=True)
class Seen:
    """What an answer with persons tells."""

    items: dict[str, Item[Contact]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)

    def take(self, person: Json, group: str) -> None:
        """Take in one person; what is no contact of this address book is passed over."""
        name = person.get("resourceName")
        metadata = _object(person.get("metadata"))
        if not isinstance(name, str) or not name:
            return
        for former in _texts(metadata.get("previousResourceNames")):
            self.renamed[former] = name
        if metadata.get("deleted") is True:
            self.gone.add(name)
            self.items.pop(name, None)
            return
        item = read_item(person, group)
        if item is not None:
            self.items[name] = item
            self.gone.discard(name)

    def settled_renames(self) -> dict[str, str]:
        """Former names; one that is borne by another person now is none."""
        return {old: new for old, new in self.renamed.items() if old not in self.items and old != new}


def read_item(person: Json, group: str) -> Item[Contact] | None:
    """A person as an item; `group` is the label that selects, "" while there is none. None without a CONTACT source:
    then it is not a contact that could be written."""
    source = contact_source(person)
    if source is None:
        return None
    fields, origin = raw_fields(person), _origin(person)
    extra: Json = {"etag": _text(person.get("etag")), "source": source, "fields": fields}
    if origin:
        extra["origin"] = origin
    selected = group != "" and group in set(_labels(person))
    return Item(_text(person.get("resourceName")), _stamp(source), selected, contact_of(fields), origin, extra)


def known_item(name: str, extra: Mapping[str, Any], *, selected: bool) -> Item[Contact]:
    """The item that `extra` was made for, with the membership it has now."""
    body = contact_of(extra.get("fields", {}))
    return Item(name, _stamp(_object(extra.get("source"))), selected, body, _text(extra.get("origin")), extra)


def contact_source(person: Mapping[str, Any]) -> Json | None:
    """The entry of `metadata.sources` that carries the version: the etag of the person itself differs between calls
    with other masks although nothing changed."""
    sources = _object(person.get("metadata")).get("sources")
    for source in sources if isinstance(sources, list) else []:
        if isinstance(source, dict) and source.get("type") == "CONTACT":
            return {key: source[key] for key in ("type", "id", "etag", "updateTime") if key in source}
    return None


def may_be_cut(person: Mapping[str, Any]) -> bool:
    """Whether a list may have left out values of this person: written back, they would be lost."""
    return any(
        isinstance(person.get(name), list) and len(person[name]) >= LISTED_MOST
        for name in ("emailAddresses", "phoneNumbers")
    )


def _stamp(source: Mapping[str, Any]) -> Stamp:
    try:
        moment = datetime.fromisoformat(_text(source.get("updateTime")))
    except ValueError:
        moment = LONG_AGO
    return Stamp(_text(source.get("etag")), moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _labels(person: Mapping[str, Any]) -> Iterator[str]:
    memberships = person.get("memberships")
    for membership in memberships if isinstance(memberships, list) else []:
        group = _object(_object(membership).get("contactGroupMembership"))
        if name := _text(group.get("contactGroupResourceName")):
            yield name


def _origin(person: Mapping[str, Any]) -> str:
    """Our id. Keys may occur twice, after two contacts were merged; then the same one is taken every time."""
    entries = person.get("clientData")
    values = (
        _text(entry.get("value"))
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and entry.get("key") == ORIGIN_KEY
    )
    return min((value for value in values if value), default="")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
