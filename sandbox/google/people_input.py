"""PRETENDS Google's reading of a Person that a client or a hand wrote: strict about the schema, tidy with values.
Whether it may be stored (etags, labels, limits) is decided by `people_writes`."""

from __future__ import annotations

import calendar
import re
from functools import lru_cache
from typing import Any

from sandbox.google.people_records import Fields
from sandbox.google.people_schema import KINDS, OTHER_MEMBERS, Kind
from sandbox.google.people_wire import Json, bad_field, invalid

_METADATA = {"primary": bool, "sourcePrimary": bool, "verified": bool, "source": dict}
_NAME_PARTS = ("honorificPrefix", "givenName", "middleName", "familyName")
_MEMBERSHIP = frozenset({"contactGroupMembership", "domainMembership", "metadata"})


def members(raw: Any, where: str, allowed: frozenset[str]) -> Json:
    """A JSON object with known members only, those set to null left out. Raises ApiError."""
    if not isinstance(raw, dict):
        raise wrong_type(where, "an object", raw)
    for name in raw:
        if name not in allowed:
            at = f" at '{where}'" if where else ""
            raise bad_field(where, f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.')
    return {name: value for name, value in raw.items() if value is not None}


def wrong_type(where: str, wanted: str, value: Any) -> Exception:
    """400 for a value of the wrong JSON type."""
    return bad_field(where, f"Invalid value at '{where}' ({wanted}), {str(value)[:60]!r}")


def read_person(raw: Any, where: str, *, by_hand: bool = False) -> tuple[Fields, tuple[str, ...] | None]:
    """The fields a contact may hold and its labels (None: not mentioned). Raises ApiError.

    Output-only members and values of other sources are ignored, as Google does (updateContact: "Any non-contact
    data in the person to update will be ignored"); a hand may also set photos.
    """
    person = members(raw, where, frozenset(KINDS) | OTHER_MEMBERS)
    fields: dict[str, tuple[Json, ...]] = {}
    for name, kind in KINDS.items():
        if name not in person:
            continue
        path = f"{where}.{snake(name)}"
        items = [_item(kind, item, f"{path}[{i}]") for i, item in enumerate(_items(person[name], path))]
        kept = [item for item in items if item]
        if kind.singleton and len(kept) > 1:
            raise invalid(f"Only one {name} value is allowed for contact sources: {name} is a singleton field.")
        if name == "names":
            kept = [_whole_name(item) for item in kept]
        if kind.writable or by_hand:
            fields[name] = _primary_first(kept)
    labels = _labels(person["memberships"], f"{where}.memberships") if "memberships" in person else None
    return {name: items for name, items in fields.items() if items}, labels


@lru_cache(maxsize=1024)
def snake(name: str) -> str:
    """The name of a member in Google's error texts."""
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def _items(raw: Any, where: str) -> list[Any]:
    if not isinstance(raw, list):
        raise wrong_type(where, "a list", raw)
    return raw


def _item(kind: Kind, raw: Any, where: str) -> Json | None:
    known = kind.texts | kind.output | kind.dates | kind.flags | kind.numbers | frozenset(kind.choices) | {"metadata"}
    given = members(raw, where, known)
    foreign, primary = _metadata(given.get("metadata", {}), f"{where}.metadata")
    item = {name: _value(kind, name, value, f"{where}.{snake(name)}") for name, value in given.items()}
    item = {name: value for name, value in item.items() if name not in kind.output and value not in ("", None, {})}
    item.pop("metadata", None)
    # A type alone says nothing; Google drops such items.
    if foreign or not item.keys() - {"type", "contentType"}:
        return None
    if primary:
        item["primary"] = True
    return item


def _metadata(raw: Any, where: str) -> tuple[bool, bool]:
    given = members(raw, where, frozenset(_METADATA))
    for name, value in given.items():
        if not isinstance(value, _METADATA[name]):
            raise wrong_type(f"{where}.{snake(name)}", _METADATA[name].__name__, value)
    kind = given.get("source", {}).get("type", "CONTACT")
    return kind != "CONTACT", bool(given.get("sourcePrimary"))


def _value(kind: Kind, name: str, value: Any, where: str) -> Any:
    if name == "metadata":
        return None
    if name in kind.dates:
        return _date(value, where)
    if name in kind.flags:
        if not isinstance(value, bool):
            raise wrong_type(where, "TYPE_BOOL", value)
        return value or None
    if name in kind.numbers:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(where, "TYPE_INT32", value)
        return value or None
    if not isinstance(value, str):
        raise wrong_type(where, "TYPE_STRING", value)
    if name in kind.choices and value not in kind.choices[name]:
        raise wrong_type(where, "TYPE_ENUM", value)
    return value


def _date(raw: Any, where: str) -> Json:
    given = members(raw, where, frozenset({"year", "month", "day"}))
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(f"{where}.{name}", "TYPE_INT32", value)
    year, month, day = (given.get(name, 0) for name in ("year", "month", "day"))
    # Zero stands for "unknown": no year, or neither month nor day (schema Date).
    days = calendar.monthrange(year or 2000, month)[1] if 1 <= month <= 12 and 0 <= year <= 9999 else 0
    if not (0 <= year <= 9999 and 0 <= month <= 12 and 0 <= day <= days):
        raise invalid(f"Invalid date at '{where}'.")
    return {name: value for name, value in (("year", year), ("month", month), ("day", day)) if value}


def _whole_name(item: Json) -> Json:
    """Fill in what Google derives: the whole name from its parts, or given and family name from the whole."""
    if any(part in item for part in (*_NAME_PARTS, "honorificSuffix")):
        return {**item, "unstructuredName": display_name(item)}
    words = item.get("unstructuredName", "").split()
    if not words:
        return item
    split = {"givenName": " ".join(words[:-1]) or words[0]}
    return {**item, **split, **({"familyName": words[-1]} if len(words) > 1 else {})}


def display_name(name: Json) -> str:
    """The name in western order, a suffix after a comma."""
    whole = " ".join(name[part] for part in _NAME_PARTS if part in name)
    return ", ".join(part for part in (whole, name.get("honorificSuffix", "")) if part)


def _primary_first(items: list[Json]) -> tuple[Json, ...]:
    chosen = next((item for item in items if item.get("primary")), None)
    ordered = items if chosen is None else [chosen, *(item for item in items if item is not chosen)]
    return tuple({name: value for name, value in item.items() if name != "primary"} for item in ordered)


def _labels(raw: Any, where: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for index, item in enumerate(_items(raw, where)):
        at = f"{where}[{index}]"
        given = members(item, at, _MEMBERSHIP)
        if "contactGroupMembership" in given:
            allowed = frozenset({"contactGroupId", "contactGroupResourceName"})
            group = members(given["contactGroupMembership"], f"{at}.contact_group_membership", allowed)
            name = group.get("contactGroupResourceName")
            if not isinstance(name, str):  # "Only contact_group_resource_name can be used for modifying memberships"
                raise invalid("Membership must set contactGroupMembership.contactGroupResourceName.")
            found[name] = None
    return tuple(found)
