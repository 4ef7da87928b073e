"""Compares OAuth 2.0 scopes as services understand them: other names for the same, and wide ones that hold narrow ones.
Which scopes a channel needs is data of the provider."""

from __future__ import annotations

from collections.abc import Collection

_GOOGLE = "https://www.googleapis.com/auth/"

# Google asks for `email` and answers with the long name (developers.google.com/identity/protocols/oauth2/scopes).
_ALIASES = {_GOOGLE + "userinfo.email": "email", _GOOGLE + "userinfo.profile": "profile"}

# A scope and the beginning of the names it holds.
_HOLDS = (
    (_GOOGLE + "calendar", _GOOGLE + "calendar."),
    (_GOOGLE + "calendar.events", _GOOGLE + "calendar.events."),
    ("https://mail.google.com/", _GOOGLE + "gmail."),
)
_READONLY = ".readonly"


def canonical(scopes: Collection[str]) -> frozenset[str]:
    """Scopes under the one name they are compared by."""
    return frozenset(_ALIASES.get(scope, scope) for scope in scopes)


def covers(granted: Collection[str], needed: Collection[str] | str) -> bool:
    """Whether the granted scopes allow everything that `needed` names (one scope or several)."""
    have = canonical(granted)
    return all(_covers(have, scope) for scope in canonical([needed] if isinstance(needed, str) else needed))


def _covers(have: frozenset[str], scope: str) -> bool:
    if scope in have:
        return True
    if any(wide in have and scope.startswith(narrow) for wide, narrow in _HOLDS):
        return True
    if not scope.endswith(_READONLY):
        return False
    # calendar.readonly holds calendar.events.readonly; contacts holds contacts.readonly.
    in_calendar = scope.startswith(_GOOGLE + "calendar.") and _GOOGLE + "calendar.readonly" in have
    return in_calendar or scope.removesuffix(_READONLY) in have
