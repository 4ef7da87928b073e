"""One table between a Person of the People API and `core.contact.Contact`; read masks, update masks and bodies are all
made from it, so that they cannot disagree. Writing into an existing person is `edits`, stamps and labels `persons`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.contact import LISTS, Birthday, Contact, Entry, PostalAddress, canonical
from providers.google.errors import Json

Raw = Mapping[str, list[Json]]  # the mapped fields of a person as they came, without what Google derives

PRIMARY: Json = {"sourcePrimary": True}  # the one mark of `metadata` that can be written


@dataclass(frozen=True, slots=True)
class One:
    """A field of which one item is mapped. `keys`: member of the item -> field of Contact.

    `derived` are output-only members (discovery document). `echoes` repeat mapped ones in another form: dropped when
    those change. `instead`: a member that is read when no mapped one has a value, and as what. `single`: Google refuses
    a second item.
    """

    name: str
    keys: Mapping[str, str]
    derived: frozenset[str] = frozenset()
    echoes: frozenset[str] = frozenset()
    instead: tuple[str, str] = ("", "")
    single: bool = True


@dataclass(frozen=True, slots=True)
class Many:
    """A field whose items are those of a list of Contact. `keys`: member of the item -> field of Entry and the like."""

    name: str
    attribute: str
    kind: type[Any]
    keys: Mapping[str, str]
    derived: frozenset[str] = frozenset()
    echoes: frozenset[str] = frozenset()
    instead: tuple[str, str] = ("", "")


_ENTRY = {"value": "value", "type": "label"}

FIELDS: tuple[One | Many, ...] = (
    One(
        "names",
        {
            "honorificPrefix": "prefix",
            "givenName": "given_name",
            "middleName": "middle_name",
            "familyName": "family_name",
            "honorificSuffix": "suffix",
        },
        derived=frozenset({"displayName", "displayNameLastFirst"}),
        echoes=frozenset({"unstructuredName"}),
        # A name that was never split becomes the given name: the only part that every program shows.
        instead=("unstructuredName", "given_name"),
    ),
    Many("nicknames", "nicknames", str, {"value": ""}),
    Many("emailAddresses", "emails", Entry, _ENTRY, derived=frozenset({"formattedType"})),
    Many("phoneNumbers", "phones", Entry, _ENTRY, derived=frozenset({"formattedType", "canonicalForm"})),
    Many(
        "addresses",
        "addresses",
        PostalAddress,
        {
            "streetAddress": "street",
            "extendedAddress": "extended",
            "poBox": "po_box",
            "city": "city",
            "region": "region",
            "postalCode": "postal_code",
            "country": "country",
            "countryCode": "country_code",
            "type": "label",
        },
        derived=frozenset({"formattedType"}),
        # "If this is not set by the user it will be automatically constructed" (discovery document).
        echoes=frozenset({"formattedValue"}),
        instead=("formattedValue", "street"),
    ),
    One(
        "organizations",
        {"name": "organization", "department": "department", "title": "title"},
        derived=frozenset({"formattedType"}),
        single=False,
    ),
    One("birthdays", {"date": "birthday"}, echoes=frozenset({"text"})),
    Many("urls", "urls", Entry, _ENTRY, derived=frozenset({"formattedType"})),
    # HTML stays HTML: what the CRM shows and changes is its source text, and `contentType` goes back as it came.
    One("biographies", {"value": "notes"}),
)
NAMES = tuple(field.name for field in FIELDS)
PERSON_FIELDS = ",".join((*NAMES, "metadata", "memberships", "clientData"))


def read_contact(person: Mapping[str, Any]) -> Contact:
    """The contact that a Person (or its raw fields) describes, in normal form."""
    return contact_of(raw_fields(person))


def contact_of(raw: Raw) -> Contact:
    """The contact that raw fields describe, in normal form."""
    values: dict[str, Any] = {}
    for field in FIELDS:
        items = raw.get(field.name, [])
        if isinstance(field, Many):
            values[field.attribute] = tuple(parsed(field, item) for item in ranked(items))
        elif items:
            values.update(_single(field, ranked(items)[0]))
    return canonical(Contact(**values))


def raw_fields(person: Mapping[str, Any]) -> dict[str, list[Json]]:
    """The mapped fields of a person with everything of theirs that can be sent back, known to us or not."""
    found = {field.name: _own_items(field, person.get(field.name)) for field in FIELDS}
    return {name: items for name, items in found.items() if items}


def ranked(items: list[Json]) -> list[Json]:
    """Items in the order in which they count: the primary one, then a current one; else by content, since Google
    promises no order."""
    return sorted(items, key=_rank) if len(items) > 1 else items


def _rank(item: Json) -> tuple[bool, bool, str]:
    return not is_primary(item), item.get("current") is not True, json.dumps(item, sort_keys=True)


def is_primary(item: Json) -> bool:
    """Whether a raw item is marked as the primary one."""
    return bool(item.get("metadata"))


def parsed(field: Many, item: Json) -> Any:
    """The item as `Contact` holds it, not yet in normal form."""
    if field.kind is str:
        return text(item, "value")
    values: dict[str, Any] = {attribute: text(item, key) for key, attribute in field.keys.items()}
    key, attribute = field.instead
    if key and not any(value for name, value in values.items() if name not in ("label", "country_code")):
        values[attribute] = text(item, key)
    return field.kind(**values, primary=is_primary(item))


def value_of(key: str, item: Json) -> Any:
    """One mapped member of an item whose field has one value."""
    return _read_day(item.get(key)) if key == "date" else text(item, key)


def text(item: Json, key: str) -> str:
    """A text member, "" for anything else."""
    value = item.get(key)
    return value if isinstance(value, str) else ""


def write_day(day: Birthday | None) -> Json | None:
    """google.type.Date; a missing year is left out."""
    if day is None:
        return None
    return {**({"year": day.year} if day.year else {}), "month": day.month, "day": day.day}


def _read_day(date: Any) -> Birthday | None:
    # "Year 0: a date without a year"; month or day 0: an incomplete date, which has no place in Contact.
    if not isinstance(date, dict):
        return None
    year, month, day = (date.get(part, 0) for part in ("year", "month", "day"))
    if not all(isinstance(part, int) for part in (year, month, day)) or not month or not day:
        return None
    return Birthday(month, day, year)


def _single(field: One, item: Json) -> dict[str, Any]:
    values = {attribute: value_of(key, item) for key, attribute in field.keys.items()}
    key, attribute = field.instead
    if key and not any(values.values()):
        values[attribute] = text(item, key)
    return values


def _own_items(field: One | Many, items: Any) -> list[Json]:
    """The items of the contact itself: those of a profile are its owner's, and would be copied by a write."""
    own = [item for item in items if _is_own(item)] if isinstance(items, list) else []
    primary = _primary_index(own)
    drop = field.derived | {"metadata"}
    return [
        {
            **{key: value for key, value in item.items() if key not in drop},
            **({"metadata": PRIMARY} if index == primary else {}),
        }
        for index, item in enumerate(own)
    ]


def _is_own(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    metadata = item.get("metadata")
    source = metadata.get("source") if isinstance(metadata, dict) else None
    return not isinstance(source, dict) or source.get("type", "CONTACT") == "CONTACT"


def _primary_index(items: list[Json]) -> int | None:
    for mark in ("sourcePrimary", "primary"):
        for index, item in enumerate(items):
            metadata = item.get("metadata")
            if isinstance(metadata, dict) and metadata.get(mark) is True:
                return index
    return None


def keyed(field: Many, items: list[Json]) -> Iterator[tuple[Json, str, Any]]:
    """Raw items with their key and their normal form; an item without a value has the key ""."""
    for item in items:
        alone: dict[str, Any] = {field.attribute: (parsed(field, item),)}
        normal = getattr(canonical(Contact(**alone)), field.attribute)
        yield item, LISTS[field.attribute](normal[0]) if normal else "", normal[0] if normal else None
