"""What kind of address or number it is: the TYPE words and labels of vCards, and our own words for them, both ways.
Our words are those of the People API (`home`, `workFax`, ...); anything else is a person's own label."""

from __future__ import annotations

import re
from collections.abc import Mapping

Words = Mapping[str, tuple[str, ...]]

PLACES: Words = {"home": ("home",), "work": ("work",), "other": ("other",)}
PHONES: Words = {
    **PLACES,
    "mobile": ("cell",),
    "main": ("main",),
    "homeFax": ("home", "fax"),
    "workFax": ("work", "fax"),
    "otherFax": ("fax",),
    "pager": ("pager",),
    "workMobile": ("work", "cell"),
    "workPager": ("work", "pager"),
}

# Words that say nothing about whose or where it is.
_NO_LABEL = frozenset({"pref", "internet", "x400", "voice", "msg", "text", "video", "dom", "intl", "postal", "parcel"})
_APPLE = re.compile(r"_\$!<(.*)>!\$_")
_APPLE_WORDS = {
    "Home": "home",
    "Work": "work",
    "Other": "other",
    "Mobile": "mobile",
    "Main": "main",
    "Pager": "pager",
    "HomeFAX": "homeFax",
    "WorkFAX": "workFax",
    "OtherFAX": "otherFax",
    "HomePage": "homePage",
}


def label_of_types(types: tuple[str, ...], words: Words) -> str:
    """Our word for a set of TYPE values; without one, the value that says most."""
    left = {one.lower() for one in types} - _NO_LABEL - {""}
    if not left:
        return ""
    by_types = {frozenset(value): label for label, value in words.items()}
    if frozenset(left) in by_types:
        return by_types[frozenset(left)]
    for telling in ("cell", "fax", "pager", "work", "home"):
        if telling in left and frozenset({telling}) in by_types:
            return by_types[frozenset({telling})]
    return min(left).removeprefix("x-")


def label_of_name(text: str) -> str:
    """The label that X-ABLabel holds; Apple wraps its own words, so that they can be translated."""
    match = _APPLE.fullmatch(text)
    return _APPLE_WORDS.get(match[1], match[1]) if match else text


def name_of_label(label: str) -> str:
    """A label for X-ABLabel such that `label_of_name` gives it back."""
    return f"_$!<{label}>!$_" if _APPLE.fullmatch(label) else label
