"""A contact as both sides hold it: the fields that travel, their normal form, and their form as JSON.
What a field is called at a provider is that provider's mapping; merging two contacts is `core.merge`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from core.addresses import address_key
from core.text import one_line, paragraphs

MAX_ITEMS = 100  # People lists at most 100 addresses and numbers of a person

_DIAL = re.compile(r"[^\d+*#,;a-z]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One e-mail address, phone number or web address. `label` is free text (`home`, `work`, a person's own)."""

    value: str
    label: str = ""
    primary: bool = False


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """One postal address in its parts; `country_code` is ISO 3166-1 alpha-2."""

    street: str = ""
    extended: str = ""
    po_box: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    country_code: str = ""
    label: str = ""
    primary: bool = False


@dataclass(frozen=True, slots=True)
class Birthday:
    """A day of birth; `year` is 0 where only the day is known."""

    month: int
    day: int
    year: int = 0


@dataclass(frozen=True, slots=True)
class Contact:
    """A person. Every value is in normal form once `canonical` made it; the order of list items means nothing but
    that the primary one comes first."""

    prefix: str = ""
    given_name: str = ""
    middle_name: str = ""
    family_name: str = ""
    suffix: str = ""
    nicknames: tuple[str, ...] = ()
    emails: tuple[Entry, ...] = ()
    phones: tuple[Entry, ...] = ()
    addresses: tuple[PostalAddress, ...] = ()
    urls: tuple[Entry, ...] = ()
    organization: str = ""
    department: str = ""
    title: str = ""
    birthday: Birthday | None = None
    notes: str = ""

    @property
    def name(self) -> str:
        """What to call the contact in a list: the name, else whatever identifies it; "" when there is nothing."""
        parts = (self.prefix, self.given_name, self.middle_name, self.family_name, self.suffix)
        others = [*self.nicknames, self.organization, *(entry.value for entry in (*self.emails, *self.phones))]
        return " ".join(part for part in parts if part) or next((text for text in others if text), "")


def email_key(entry: Entry) -> str:
    """What makes two e-mail addresses one."""
    return address_key(entry.value)


def phone_key(entry: Entry) -> str:
    """What makes two phone numbers one when contacts are merged: the digits that are dialled, as they are written."""
    return _DIAL.sub("", entry.value.lower()) or entry.value


def url_key(entry: Entry) -> str:
    """What makes two web addresses one: scheme, `www.` and a closing slash do not count."""
    text = entry.value.strip().lower()
    return text.split("://", 1)[-1].removeprefix("www.").rstrip("/") or text


def postal_key(address: PostalAddress) -> str:
    """What makes two postal addresses one: the text of all parts but the country's code."""
    parts = (address.street, address.extended, address.po_box, address.postal_code, address.city, address.region)
    return " ".join(" ".join((*parts, address.country)).casefold().split())


def nickname_key(name: str) -> str:
    """What makes two nicknames one."""
    return name.casefold()


LISTS: Mapping[str, Callable[[Any], str]] = {
    "nicknames": nickname_key,
    "emails": email_key,
    "phones": phone_key,
    "addresses": postal_key,
    "urls": url_key,
}


def canonical(contact: Contact) -> Contact:
    """The normal form: texts stripped and capped, empty items and second copies gone, the primary item first and the
    others by their key. Equal contacts have equal normal forms whatever order a provider listed their values in."""
    values: dict[str, Any] = {}
    for name in _NAMES:
        value = getattr(contact, name)
        if name == "birthday":
            values[name] = _birthday(value)
        elif name in LISTS:
            values[name] = _items(value, LISTS[name]) if value else ()
        else:
            values[name] = (paragraphs if name == "notes" else one_line)(value) if value else ""
    return Contact(**values)


def _items(items: Iterable[Any], key: Callable[[Any], str]) -> tuple[Any, ...]:
    found: dict[str, Any] = {}
    for item in map(_clean_item, items):
        name = key(item)
        if name and (name not in found or _rank(item) < _rank(found[name])):
            found[name] = item
    by_key = sorted(found)
    # Of several that claim to be the primary one, one is: a second pass must not see another order.
    first = min(by_key, key=lambda name: (not getattr(found[name], "primary", False), name), default="")
    ordered = [first, *(name for name in by_key if name != first)][:MAX_ITEMS]
    return tuple(_with_primary(found[name], name == first) for name in ordered if name)


def _rank(item: Any) -> tuple[bool, str]:
    """Of two copies the primary one stays, else the same one whatever order they came in."""
    return not getattr(item, "primary", False), repr(item)


def _with_primary(item: Any, primary: bool) -> Any:
    return item if getattr(item, "primary", primary) == primary else replace(item, primary=primary)


def _clean_item(item: Any) -> Any:
    if isinstance(item, str):
        return one_line(item)
    if isinstance(item, Entry):
        return Entry(one_line(item.value), one_line(item.label), item.primary)
    return replace(item, **{name: one_line(text) for name, text in asdict(item).items() if isinstance(text, str)})


def _birthday(value: Birthday | None) -> Birthday | None:
    if value is None or not (1 <= value.month <= 12 and 1 <= value.day <= 31 and 0 <= value.year <= 9999):
        return None
    return value


def to_json(contact: Contact) -> dict[str, Any]:
    """A contact as JSON types; empty fields are left out."""
    shown = {name: _plain(getattr(contact, name)) for name in _NAMES}
    return {name: value for name, value in shown.items() if value}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str) or value is None:
        return value
    return {name: one for name, one in asdict(value).items() if one}


def from_json(stored: Mapping[str, Any]) -> Contact:
    """The form that `to_json` gives, read back. Raises TypeError for an unknown field."""
    values = dict(stored)
    for name, kind in _ITEM_TYPES.items():
        if name in values:
            values[name] = tuple(kind(**item) for item in values[name])
    values["nicknames"] = tuple(values.get("nicknames", ()))
    if values.get("birthday"):
        values["birthday"] = Birthday(**values["birthday"])
    return Contact(**values)


_NAMES = tuple(item.name for item in fields(Contact))
_ITEM_TYPES: Mapping[str, type[Any]] = {"emails": Entry, "phones": Entry, "addresses": PostalAddress, "urls": Entry}
