"""What to send so that a person holds the text of a contact, and loses nothing else: raw items are changed one by one.
Which person that is and how it is sent is left to `writing`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.contact import LISTS, Contact, canonical
from providers.google.errors import Json
from providers.google.mapping import (
    FIELDS,
    NAMES,
    PRIMARY,
    Many,
    One,
    Raw,
    contact_of,
    keyed,
    ranked,
    value_of,
    write_day,
)

_IDLE = frozenset({"type", "contentType", "current", "metadata"})  # alone they say nothing; Google drops such items


def new_person(contact: Contact) -> Json:
    """The fields of a person to be created."""
    return {name: items for name, items in changed_fields({}, contact).items() if items}


def changed_update(extra: Mapping[str, Any], contact: Contact) -> tuple[str, Json]:
    """`updatePersonFields` and the fields to send with it: only those whose mapped value is another one now.

    `extra` is that of the item as it was read. ("", {}) when there is nothing to write.
    """
    fields = changed_fields(extra.get("fields", {}), contact)
    return ",".join(fields), fields


def changed_fields(raw: Raw, contact: Contact) -> dict[str, list[Json]]:
    """The fields that must be written, as whole lists: Google replaces a field named in the mask entirely."""
    old, new = contact_of(raw), canonical(contact)
    return {
        field.name: _edited(field, raw.get(field.name, []), old, new)
        for field in FIELDS
        if any(getattr(old, name) != getattr(new, name) for name in _attributes(field))
    }


def in_mask_order(names: set[str]) -> tuple[str, ...]:
    """Fields in the one order in which masks are written."""
    return tuple(name for name in NAMES if name in names)


def _attributes(field: One | Many) -> tuple[str, ...]:
    return (field.attribute,) if isinstance(field, Many) else tuple(field.keys.values())


def _edited(field: One | Many, items: list[Json], old: Contact, new: Contact) -> list[Json]:
    if isinstance(field, One):
        return _edited_one(field, items, new)
    wanted = getattr(new, field.attribute)
    edited = _edited_many(field, items, getattr(old, field.attribute), wanted, copies=True)
    if getattr(contact_of({field.name: edited}), field.attribute) == wanted:
        return edited
    # Of several copies of one value another one would count now: then only the edited one stays.
    return _edited_many(field, items, getattr(old, field.attribute), wanted, copies=False)


# ---- fields with one mapped item ---------------------------------------------------------------------------


def _edited_one(field: One, items: list[Json], new: Contact) -> list[Json]:
    chosen = ranked(items)[0] if items else None
    others = [] if field.single else [item for item in items if item is not chosen]
    edited = dict(chosen or {"metadata": PRIMARY})
    for key, attribute in field.keys.items():
        _put(edited, key, getattr(new, attribute))
    for key in field.echoes:
        edited.pop(key, None)
    if chosen is None and field.name == "organizations":
        edited["current"] = True
    if chosen is None and field.name == "biographies":
        edited["contentType"] = "TEXT_PLAIN"
    return [edited, *others] if edited.keys() - _IDLE else others


def _put(item: Json, key: str, value: Any) -> None:
    """Set a member whose value in normal form is another one; line breaks of an unchanged one stay as they were."""
    if _normal(value_of(key, item)) == value:
        return
    written = write_day(value) if key == "date" else value
    if written:
        item[key] = written
    else:
        item.pop(key, None)


def _normal(value: Any) -> Any:
    return canonical(Contact(notes=value)).notes if isinstance(value, str) else value


# ---- fields with many ----------------------------------------------------------------------------------------


def _edited_many(
    field: Many, items: list[Json], old: tuple[Any, ...], new: tuple[Any, ...], *, copies: bool
) -> list[Json]:
    """Kept items in their order, the primary one first, then new ones. What the CRM never saw, because it has no
    value or lies beyond its limits, stays."""
    key = LISTS[field.attribute]
    before, wanted = {key(item) for item in old}, {key(item): item for item in new}
    chosen: dict[str, Json] = {}
    for item, name, _ in keyed(field, ranked(items)):
        chosen.setdefault(name, item)
    kept: list[tuple[str, Json]] = []
    for item, name, value in keyed(field, items):
        if name in wanted and item is chosen[name]:
            kept.append((name, _changed(field, item, value, wanted[name])))
        elif (name in wanted and copies) or name not in before | wanted.keys():
            kept.append(("", item))
    kept += [(name, _changed(field, {}, None, item)) for name, item in wanted.items() if name not in chosen]
    return _with_primary(field, kept, next(iter(wanted), ""))


def _changed(field: Many, item: Json, old: Any, new: Any) -> Json:
    if field.kind is str:
        return item if old == new else {**item, "value": new}
    edited = dict(item)
    differing = [
        (key, attribute)
        for key, attribute in field.keys.items()
        if getattr(new, attribute) != (getattr(old, attribute) if old else "")
    ]
    for key, attribute in differing:
        if value := getattr(new, attribute):
            edited[key] = value
        else:
            edited.pop(key, None)
    return edited


def _with_primary(field: Many, kept: list[tuple[str, Json]], first: str) -> list[Json]:
    """Items with the mark on the right one only; nicknames have no such thing in the CRM and keep theirs."""
    if field.kind is str or not first:
        return [item for _, item in kept]
    ordered = sorted(kept, key=lambda pair: pair[0] != first)
    bare = [{key: value for key, value in item.items() if key != "metadata"} for _, item in ordered]
    return [{**bare[0], "metadata": PRIMARY}, *bare[1:]]
