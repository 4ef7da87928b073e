"""PRETENDS Google's scope rules: aliases, which scopes mean sign-in, which mean mail.
Who was granted what is kept by `store`."""

from __future__ import annotations

import re
from collections.abc import Iterable

EMAIL = "https://www.googleapis.com/auth/userinfo.email"
PROFILE = "https://www.googleapis.com/auth/userinfo.profile"
OPENID = "openid"
MAIL = "https://mail.google.com/"
CONTACTS = "https://www.googleapis.com/auth/contacts"
CONTACTS_READONLY = "https://www.googleapis.com/auth/contacts.readonly"
CALENDAR = "https://www.googleapis.com/auth/calendar"
CALENDAR_READONLY = f"{CALENDAR}.readonly"
CALENDAR_EVENTS = f"{CALENDAR}.events"
CALENDAR_EVENTS_READONLY = f"{CALENDAR}.events.readonly"
CALENDAR_EVENTS_OWNED = f"{CALENDAR}.events.owned"
CALENDAR_EVENTS_OWNED_READONLY = f"{CALENDAR}.events.owned.readonly"
CALENDAR_LIST = f"{CALENDAR}.calendarlist"
CALENDAR_LIST_READONLY = f"{CALENDAR}.calendarlist.readonly"
SIGN_IN = frozenset({OPENID, EMAIL, PROFILE})

_ALIASES = {"email": EMAIL, "profile": PROFILE}
_KNOWN = re.compile(r"openid|https://mail\.google\.com/|https://www\.googleapis\.com/auth/[a-z][a-z.]*[a-z]")
_MAIL = re.compile(r"https://mail\.google\.com/|https://www\.googleapis\.com/auth/gmail\..+")


def canonical(scope: str) -> str:
    """The name under which Google returns a scope: `email` comes back as `.../auth/userinfo.email`."""
    return _ALIASES.get(scope, scope)


def parse_scopes(text: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """Split a space separated `scope` into (canonical known scopes, words Google would call invalid)."""
    words = [canonical(word) for word in text.split()]
    invalid = tuple(word for word in words if not _KNOWN.fullmatch(word))
    return frozenset(words).difference(invalid), invalid


def with_openid(scopes: frozenset[str]) -> frozenset[str]:
    """Add `openid` to any request for identity, as Google does unasked."""
    return scopes | {OPENID} if scopes & SIGN_IN else scopes


def carries_mail(scopes: Iterable[str]) -> bool:
    """Whether a token with these scopes dies with the password (google.com, OAuth 2.0 expiration)."""
    return any(_MAIL.fullmatch(scope) for scope in scopes)


def join(scopes: Iterable[str]) -> str:
    """The `scope` member of an answer; the order is Google's own, never that of the request."""
    return " ".join(sorted(scopes))
