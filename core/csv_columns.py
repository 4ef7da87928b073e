"""What the columns of a CSV file of contacts mean: our own plain ones, those of Google Contacts' export (both forms)
and Outlook's English ones. Reading rows is `core.contact_csv`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

LISTS = ("emails", "phones", "urls", "addresses")

# Google shows People's words like this.
LABELS = {
    "home": "home",
    "work": "work",
    "other": "other",
    "mobile": "mobile",
    "main": "main",
    "pager": "pager",
    "home fax": "homeFax",
    "work fax": "workFax",
    "other fax": "otherFax",
    "work mobile": "workMobile",
    "work pager": "workPager",
    "home page": "homePage",
    "homepage": "homePage",
}


@dataclass(frozen=True, slots=True)
class Column:
    """Where the cells of a column go: a field, and within a list which item (`index`) and which part of it.

    `label` names the item, where the column says it. `google`: labels are as Google shows them, and a cell may hold
    several values.
    """

    field: str
    index: str = ""
    part: str = "value"
    label: str = ""
    google: bool = False


def columns_of(header: Sequence[str]) -> list[Column | None]:
    """The meaning of each column of a header, None where it has none for us."""
    words = [_words(name) for name in header]
    # Outlook calls a form of address Title, everybody else the position.
    outlook = "job title" in words
    return [_column(word, " - " in name, outlook) for word, name in zip(words, header, strict=True)]


def _words(name: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))[:200]


def _column(word: str, google: bool, outlook: bool) -> Column | None:
    if word == "title" and outlook:
        return Column("prefix")
    if word in _SINGLE:
        return Column(_SINGLE[word])
    if word in _FIXED:
        return _FIXED[word]
    for pattern, field in _NUMBERED:
        if match := pattern.fullmatch(word):
            if match[2] == "type" and not google:  # Outlook's `E-mail Type` is SMTP or EX
                return None
            return Column(field, match[1] or "1", _PARTS[match[2] or "value"], google=google)
    if match := _OUTLOOK_ADDRESS.fullmatch(word):
        kind, part = match[1], _OUTLOOK_PARTS.get(match[2], "")
        return Column("addresses", kind, part, _OUTLOOK_LABELS[kind]) if part else None
    return None


_SINGLE = {
    "external id": "external_id",
    "uid": "external_id",
    "prefix": "prefix",
    "name prefix": "prefix",
    "given name": "given_name",
    "first name": "given_name",
    "middle name": "middle_name",
    "additional name": "middle_name",
    "family name": "family_name",
    "last name": "family_name",
    "surname": "family_name",
    "suffix": "suffix",
    "name suffix": "suffix",
    "name": "name",
    "full name": "name",
    "display name": "name",
    "organization": "organization",
    "organisation": "organization",
    "organization name": "organization",
    "organization 1 name": "organization",
    "company": "organization",
    "department": "department",
    "organization department": "department",
    "organization 1 department": "department",
    "title": "title",
    "job title": "title",
    "organization title": "title",
    "organization 1 title": "title",
    "birthday": "birthday",
    "date of birth": "birthday",
    "notes": "notes",
    "note": "notes",
}

_FIXED = {
    "nickname": Column("nicknames", "1"),
    "nicknames": Column("nicknames", "1"),
    "mail": Column("emails", "1"),
    "e mail address": Column("emails", "1"),
    "email address": Column("emails", "1"),
    "web page": Column("urls", "1"),
    "web site": Column("urls", "1"),
    "homepage": Column("urls", "1", label="homePage"),
    "mobile": Column("phones", "mobile", label="mobile"),
    "mobile phone": Column("phones", "mobile", label="mobile"),
    "home phone": Column("phones", "home", label="home"),
    "home phone 2": Column("phones", "home 2", label="home"),
    "work phone": Column("phones", "work", label="work"),
    "business phone": Column("phones", "work", label="work"),
    "business phone 2": Column("phones", "work 2", label="work"),
    "company main phone": Column("phones", "main", label="main"),
    "other phone": Column("phones", "other", label="other"),
    "primary phone": Column("phones", "primary"),
    "car phone": Column("phones", "car", label="car"),
    "pager": Column("phones", "pager", label="pager"),
    "home fax": Column("phones", "home fax", label="homeFax"),
    "business fax": Column("phones", "work fax", label="workFax"),
    "other fax": Column("phones", "other fax", label="otherFax"),
}

_NUMBERED = (
    (re.compile(r"nickname(?: (\d+))(?: (value))?"), "nicknames"),
    (re.compile(r"(?:e mail|email)(?: (\d+))?(?: (value|address|label|type))?"), "emails"),
    (re.compile(r"(?:phone|telephone|phone number)(?: (\d+))?(?: (value|label|type))?"), "phones"),
    (re.compile(r"(?:website|url)(?: (\d+))?(?: (value|label|type))?"), "urls"),
    (re.compile(r"(?:address (\d+) )?(street|city|region|postal code|country|country code|po box)"), "addresses"),
    (re.compile(r"(?:address (\d+) )?(state|zip|zip code)"), "addresses"),
    (re.compile(r"address (\d+) (extended|extended address|label|type)"), "addresses"),
)

_ADDRESS_PARTS = {
    "street": "street",
    "extended": "extended",
    "extended address": "extended",
    "po box": "po_box",
    "city": "city",
    "region": "region",
    "state": "region",
    "postal code": "postal_code",
    "zip": "postal_code",
    "zip code": "postal_code",
    "country": "country",
    "country code": "country_code",
}
_PARTS = {"value": "value", "address": "value", "label": "label", "type": "label", **_ADDRESS_PARTS}

_OUTLOOK_ADDRESS = re.compile(r"(home|business|other) (?:address )?(.+)")
_OUTLOOK_LABELS = {"home": "home", "business": "work", "other": "other"}
_OUTLOOK_PARTS = {
    "street": "street",
    "street 2": "street 2",
    "street 3": "street 3",
    "city": "city",
    "state": "region",
    "postal code": "postal_code",
    "country": "country",
    "country region": "country",
    "po box": "po_box",
}
