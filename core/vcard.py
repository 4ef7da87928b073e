"""Contacts from and to vCards: reads 2.1, 3.0 (RFC 2426) and 4.0 (RFC 6350), writes the latter two. Never raises.
The syntax is `core.vcard_lines`; what a contact has no field for (photographs, categories) is not kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from core.contact import MAX_ITEMS, Birthday, Contact, Entry, PostalAddress, canonical
from core.contact_file import Decode, FileContact, FileFault, FileRecord, checked_id, decode_text
from core.text import MAX_TEXT
from core.vcard_labels import PHONES, PLACES, Words, label_of_name, label_of_types, name_of_label
from core.vcard_lines import Card, Property, escape, fold, read_cards, split, unescape

VERSIONS = ("4.0", "3.0")

_WANTED = frozenset(
    {"N", "FN", "NICKNAME", "EMAIL", "TEL", "ADR", "URL", "ORG", "TITLE", "ROLE", "BDAY", "NOTE", "UID"}
    | {"KIND", "X-ADDRESSBOOKSERVER-KIND", "X-ABLABEL", "X-ABADR"}
)
_NAME = ("family_name", "given_name", "middle_name", "prefix", "suffix")
_ADDRESS = ("po_box", "extended", "street", "city", "region", "postal_code", "country")
_DATE = re.compile(r"(?:(\d{4})|--)-?(\d\d)-?(\d\d)(?:[T ].*)?", re.DOTALL)
_NO_YEAR = "1604"  # Apple: a leap year nobody living was born in
_LAST = 101  # PREF is 1 to 100, RFC 6350 5.3


def read_vcards(data: bytes, decode: Decode = decode_text) -> Iterator[FileRecord]:
    """The contacts of a file in any version, and a fault for each card that is none."""
    for card in read_cards(data, _WANTED, decode):
        yield card if isinstance(card, FileFault) else _read(card)


def _read(card: Card) -> FileRecord:
    found: dict[str, list[Property]] = {}
    for one in card.properties:
        found.setdefault(one.name, []).append(one)
    kind = _first(found, "KIND") or _first(found, "X-ADDRESSBOOKSERVER-KIND")
    if kind.lower() == "group":
        return FileFault(card.line, "the card is a group, not a person")
    labels = {one.group: label_of_name(one.text) for one in found.get("X-ABLABEL", ()) if one.group}
    contact = canonical(
        Contact(
            **_names(found),
            nicknames=tuple(islice(_listed(found.get("NICKNAME", ())), MAX_ITEMS)),
            emails=_entries(found.get("EMAIL", ()), PLACES, labels, "mailto:"),
            phones=_entries(found.get("TEL", ()), PHONES, labels, "tel:"),
            urls=_entries(found.get("URL", ()), PLACES, labels, ""),
            addresses=_addresses(found, labels),
            **_work(found),
            birthday=_birthday(found.get("BDAY", ())),
            notes="\n".join(one.text for one in found.get("NOTE", ()))[:MAX_TEXT],
        )
    )
    contact = _with_formatted_name(contact, found)
    if contact == Contact():
        return FileFault(card.line, "the card holds nothing that is kept")
    return FileContact(card.line, contact, checked_id(_first(found, "UID")))


def _first(found: dict[str, list[Property]], name: str) -> str:
    return next((text for one in found.get(name, ()) if (text := one.text.strip())), "")


def _names(found: dict[str, list[Property]]) -> dict[str, Any]:
    one = next(iter(found.get("N", ())), None)
    if one is None:
        return {}
    if one.old:
        return dict(zip(_NAME, one.components, strict=False))
    # RFC 6350 6.2.2: each component may list several names.
    parts = (" ".join(unescape(name) for name in split(part, ",")) for part in one.split(";"))
    return dict(zip(_NAME, parts, strict=False))


def _listed(properties: Iterable[Property]) -> Iterator[str]:
    for one in properties:
        yield from (unescape(part, one.old) for part in one.split(","))


def _with_formatted_name(contact: Contact, found: dict[str, list[Property]]) -> Contact:
    """FN speaks only where N is silent: then its last word is the family name. What repeats the organization or an
    address is no name."""
    if any(getattr(contact, name) for name in _NAME):
        return contact
    formatted = " ".join(_first(found, "FN").split())
    known = {*contact.nicknames, contact.organization, *(one.value for one in (*contact.emails, *contact.phones))}
    if not formatted or formatted in known:
        return contact
    given, _, family = formatted.rpartition(" ")
    return canonical(replace(contact, given_name=given or family, family_name=family if given else ""))


def _entries(properties: Iterable[Property], words: Words, labels: dict[str, str], scheme: str) -> tuple[Entry, ...]:
    entries = []
    properties = list(properties)
    for one in properties:
        text = one.text.strip()
        value = text[len(scheme) :] if _is_uri(one) and text.lower().startswith(scheme) else text
        entries.append(Entry(value, _label(one, words, labels)))
    return _with_primary(entries, properties)


def _is_uri(one: Property) -> bool:
    return "uri" in (kind.lower() for kind in one.parameters.get("VALUE", ()))


def _addresses(found: dict[str, list[Property]], labels: dict[str, str]) -> tuple[PostalAddress, ...]:
    countries = {one.group: one.text.strip().upper() for one in found.get("X-ABADR", ()) if one.group}
    properties = found.get("ADR", [])
    addresses = []
    for one in properties:
        parts: dict[str, Any] = dict(zip(_ADDRESS, one.components, strict=False))
        code = next(iter(one.parameters.get("CC", ())), "") or countries.get(one.group, "")  # CC: RFC 8605 3.1
        addresses.append(PostalAddress(**parts, country_code=code, label=_label(one, PLACES, labels)))
    return _with_primary(addresses, properties)


def _label(one: Property, words: Words, labels: dict[str, str]) -> str:
    return labels.get(one.group, "") or label_of_types(one.parameters.get("TYPE", ()), words)


def _with_primary(items: list[Any], properties: list[Property]) -> tuple[Any, ...]:
    """The preferred item marked as the primary one; without preference the one that stands first."""
    if not items:
        return ()
    best = min(range(len(items)), key=lambda index: _preference(properties[index]))
    return tuple(replace(item, primary=index == best) for index, item in enumerate(items))


def _preference(one: Property) -> int:
    rank = next(iter(one.parameters.get("PREF", ())), "")
    if rank.isascii() and rank.isdigit() and len(rank) <= 3:
        return int(rank)
    return 1 if "pref" in (kind.lower() for kind in one.parameters.get("TYPE", ())) else _LAST


def _work(found: dict[str, list[Property]]) -> dict[str, str]:
    units = next((one.components for one in found.get("ORG", ())), [""])
    title = _first(found, "TITLE") or _first(found, "ROLE")
    return {"organization": units[0], "department": ", ".join(unit for unit in units[1:] if unit), "title": title}


def _birthday(properties: Iterable[Property]) -> Birthday | None:
    for one in properties:
        match = _DATE.fullmatch(one.text.strip())
        if match and match[0].isascii():
            year = match[1] or "0"
            omitted = _NO_YEAR in one.parameters.get("X-APPLE-OMIT-YEAR", ()) and year == _NO_YEAR
            return Birthday(int(match[2]), int(match[3]), 0 if omitted else int(year))
    return None


# ---- writing ---------------------------------------------------------------------------------------------


def write_vcard(contact: Contact, *, uid: str = "", revised: datetime | None = None, version: str = "4.0") -> str:
    """A contact in normal form as a card of version 4.0 or 3.0."""
    lines = ["BEGIN:VCARD", f"VERSION:{version}"]
    if uid:
        lines.append(f"UID:{escape(uid)}")
    lines.append(f"N:{';'.join(escape(getattr(contact, name)) for name in _NAME)}")
    lines.append(f"FN:{escape(contact.name)}")
    if contact.nicknames:
        lines.append(f"NICKNAME:{','.join(escape(name) for name in contact.nicknames)}")
    lines += _Lists(version).lines(contact)
    if contact.organization or contact.department:
        units = (contact.organization, contact.department) if contact.department else (contact.organization,)
        lines.append(f"ORG:{';'.join(escape(unit) for unit in units)}")
    if contact.title:
        lines.append(f"TITLE:{escape(contact.title)}")
    if contact.birthday:
        lines.append(_birthday_line(contact.birthday, version))
    if contact.notes:
        lines.append(f"NOTE:{escape(contact.notes)}")
    if revised:
        lines.append(f"REV:{revised.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    return "".join(fold(line) for line in (*lines, "END:VCARD"))


class _Lists:
    """Writes the lines that may repeat; what belongs together bears the same group (`item1.`)."""

    def __init__(self, version: str) -> None:
        self._new = version == "4.0"
        self._groups = 0

    def lines(self, contact: Contact) -> Iterator[str]:
        """All of a contact."""
        for name, entries, words in (
            ("EMAIL", contact.emails, PLACES),
            ("TEL", contact.phones, PHONES),
            ("URL", contact.urls, PLACES),
        ):
            for entry in entries:
                yield from self._one(name, entry, words, escape(entry.value), len(entries) > 1)
        for address in contact.addresses:
            value = ";".join(escape(getattr(address, part)) for part in _ADDRESS)
            yield from self._one("ADR", address, PLACES, value, len(contact.addresses) > 1)

    def _one(self, name: str, item: Entry | PostalAddress, words: Words, value: str, several: bool) -> Iterator[str]:
        types = list(words.get(item.label, ()))
        own_label = item.label if item.label and not types else ""
        country = getattr(item, "country_code", "")
        parameters = ""
        if several and item.primary:
            if self._new:
                parameters += ";PREF=1"
            else:
                types.append("pref")
        if types:
            parameters += f";TYPE={','.join(types)}"
        if country.isascii() and country.isalpha() and self._new:
            parameters += f";CC={country}"
        extra = {"X-ABLabel": escape(name_of_label(own_label)), "X-ABADR": "" if self._new else escape(country)}
        group = self._group() if any(extra.values()) else ""
        yield f"{group}{name}{parameters}:{value}"
        yield from (f"{group}{key}:{text}" for key, text in extra.items() if text)

    def _group(self) -> str:
        self._groups += 1
        return f"item{self._groups}."


def _birthday_line(day: Birthday, version: str) -> str:
    if version == "4.0":  # RFC 6350 4.3.1: the basic form of ISO 8601, `--` for an unknown year
        return f"BDAY:{f'{day.year:04}' if day.year else '--'}{day.month:02}{day.day:02}"
    if not day.year:
        return f"BDAY;X-APPLE-OMIT-YEAR={_NO_YEAR}:{_NO_YEAR}-{day.month:02}-{day.day:02}"
    return f"BDAY:{day.year:04}-{day.month:02}-{day.day:02}"
