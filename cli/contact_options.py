"""The options that stand for the fields of a contact, and what was typed as a contact.
Which contact they go to is decided by `cli.contacts`."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from core.contact import Birthday, Contact, Entry, PostalAddress

ContactName = Annotated[
    str, typer.Argument(metavar="CONTACT", help="Id or its beginning, external id, or e-mail address.")
]
ContactNames = Annotated[
    list[str], typer.Argument(metavar="CONTACT...", help="Ids or their beginnings, external ids, or e-mail addresses.")
]
TagName = Annotated[str, typer.Argument(metavar="TAG", help="Name or id of the tag.")]
Owner = Annotated[str, typer.Option(metavar="USER", help="Whose personal tag is meant.")]

_Text = str | None
GivenName = Annotated[_Text, typer.Option("--given-name", help="Given name.")]
FamilyName = Annotated[_Text, typer.Option("--family-name", help="Family name.")]
MiddleName = Annotated[_Text, typer.Option("--middle-name", help="Middle names.")]
Prefix = Annotated[_Text, typer.Option("--prefix", help="In front of the name, such as Dr.")]
Suffix = Annotated[_Text, typer.Option("--suffix", help="Behind the name, such as Jr.")]
Organization = Annotated[_Text, typer.Option("--organization", help="Organization.")]
Department = Annotated[_Text, typer.Option("--department", help="Department.")]
Title = Annotated[_Text, typer.Option("--title", help="Position.")]
Day = Annotated[_Text, typer.Option("--birthday", metavar="DATE", help="YYYY-MM-DD, or --MM-DD without the year.")]
Notes = Annotated[_Text, typer.Option("--notes", help="Notes.")]
Nicknames = Annotated[list[str] | None, typer.Option("--nickname", help="Nickname; may be repeated.")]
Emails = Annotated[
    list[str] | None,
    typer.Option("--email", metavar="[LABEL:]ADDRESS", help="E-mail address, the first is the main one; repeatable."),
]
Phones = Annotated[
    list[str] | None, typer.Option("--phone", metavar="[LABEL:]NUMBER", help="Phone number; may be repeated.")
]
Urls = Annotated[list[str] | None, typer.Option("--url", metavar="[LABEL:]URL", help="Web address; may be repeated.")]
Addresses = Annotated[
    list[str] | None,
    typer.Option("--address", metavar="[LABEL:]STREET;CITY;POSTCODE;COUNTRY", help="Postal address; may be repeated."),
]

_LABEL = re.compile(r"([^\W\d_][\w .-]{0,39}):(?!//)(.*)", re.DOTALL)
_DATE = re.compile(r"(?:(\d{4})|-)-(\d{1,2})-(\d{1,2})", re.ASCII)
_POSTAL = ("street", "city", "postal_code", "country")


def typed_into(contact: Contact, typed: dict[str, str | list[str] | None]) -> Contact:
    """A contact with the fields that were typed in place of its own; an empty text empties a field.

    Raises a usage error for values that cannot be understood.
    """
    values = {name: _value(name, value) for name, value in typed.items() if value not in (None, [])}
    return replace(contact, **values)


def _value(name: str, value: str | list[str] | None) -> Any:
    if name == "birthday":
        return _birthday(str(value))
    if not isinstance(value, list):
        return value
    given = [one for one in value if one.strip()]
    if name == "nicknames":
        return tuple(given)
    make = _postal if name == "addresses" else _entry
    return tuple(make(one, primary=index == 0) for index, one in enumerate(given))


def _labelled(text: str) -> tuple[str, str]:
    match = _LABEL.fullmatch(text.strip())
    return (match[1].strip(), match[2].strip()) if match else ("", text.strip())


def _entry(text: str, *, primary: bool) -> Entry:
    label, value = _labelled(text)
    return Entry(value, label, primary)


def _postal(text: str, *, primary: bool) -> PostalAddress:
    label, value = _labelled(text)
    parts = [part.strip() for part in value.split(";")]
    if len(parts) > len(_POSTAL):
        raise typer.BadParameter("write it as STREET;CITY;POSTCODE;COUNTRY", param_hint="--address")
    values: dict[str, Any] = dict(zip(_POSTAL, parts, strict=False))
    return PostalAddress(**values, label=label, primary=primary)


def _birthday(text: str) -> Birthday | None:
    if not text.strip():
        return None
    match = _DATE.fullmatch(text.strip())
    if match is None or not (1 <= int(match[2]) <= 12 and 1 <= int(match[3]) <= 31):
        raise typer.BadParameter(f"{text[:40]!r} is no date: write YYYY-MM-DD or --MM-DD", param_hint="--birthday")
    return Birthday(int(match[2]), int(match[3]), int(match[1] or 0))


def moment(text: str) -> datetime | None:
    """A time as people and programs write it (ISO 8601), UTC unless it says otherwise. Raises a usage error."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text[:40]!r} is no time: write 2026-03-02T09:30:00Z", param_hint="--modified-at"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
