"""PRETENDS the memory behind page tokens and sync tokens of calendars: frozen results, ages, windows, fingerprints.
What is listed is decided by `calendar_reads`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any

from sandbox.google.api_tokens import fingerprint, seal, unseal
from sandbox.google.api_wire import Pairs
from sandbox.google.calendar_errors import full_sync_required, invalid, invalid_sync_token
from sandbox.google.calendar_knobs import CalendarKnobs

_KEPT = 100  # results kept for paging; older page tokens are refused
_NOT_BOUND = frozenset({"alt", "prettyPrint", "fields", "key", "quotaUser", "userIp", "oauth_token", "pageToken"})
# Not sent again with a token: they are refused then, or what they say is implied.
_ONLY_FIRST = frozenset({"syncToken", "timeMin", "timeMax", "showDeleted"})


@dataclass(frozen=True, slots=True)
class SyncToken:
    """What a sync token stands for: a place in what happened, bound to who asked how, for which window."""

    feed: str  # "events <calendar>" or "calendars"
    email: str
    position: int
    issued: int  # running number, so that all older ones can be declared expired
    made: float  # POSIX time
    fingerprint: str
    window: tuple[str, str] = ("", "")
    rights: int = 0  # changes of rights on the calendar so far

    def pack(self) -> str:
        """The token as sent."""
        return seal(["sync", *astuple(self)])


@dataclass(frozen=True, slots=True)
class Result:
    """A list as it was when its first page was asked for; pages are cut from it. `token` None: none is given out."""

    rows: Sequence[Any]
    fingerprint: str
    feed: str
    token: SyncToken | None
    old: SyncToken | None
    head: int = 0  # pages without rows that come first


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a result; `next` is the page token, "" on the last page."""

    result: Result
    rows: Sequence[Any]
    next: str


class Pages:
    """The list results of all users. The caller holds the lock."""

    def __init__(self, knobs: CalendarKnobs, violations: list[str]) -> None:
        self._knobs = knobs
        self._violations = violations
        self._results: dict[int, Result] = {}
        self._count = 0
        self._issued = 0
        self._expired = 0

    def expire(self) -> None:
        """Declare every sync token issued so far expired, those in the middle of paging too."""
        self._expired = self._issued

    def known_token(self, text: str, feed: str, email: str, pairs: Pairs, now: datetime, rights: int) -> SyncToken:
        """The sync token behind `text`. Raises CalendarError: 400 for garbage, 410 for what is no longer good."""
        content = unseal(text)
        if content is None or content[:3] != ["sync", feed, email]:
            raise invalid_sync_token()
        _, _, _, position, issued, made, bound, window, issued_rights = content
        token = SyncToken(feed, email, position, issued, made, bound, (window[0], window[1]), issued_rights)
        self.check_alive(token, now, rights)
        if token.fingerprint != _bound(pairs, _ONLY_FIRST):
            # "to avoid undefined behavior" (discovery document, syncToken): no client of ours may come here.
            self._violations.append(f"a sync token of {email} was used with other parameters than before")
            raise invalid("The sync token was issued for other parameters.", "syncToken")
        return token

    def check_alive(self, token: SyncToken, now: datetime, rights: int) -> None:
        """Raises CalendarError 410 for a token that expired, or whose calendar changed its rights."""
        age = now.timestamp() - token.made
        if token.issued <= self._expired or age > self._knobs.sync_token_days * 86_400 or token.rights != rights:
            raise full_sync_required()

    def new_token(
        self, feed: str, email: str, position: int, pairs: Pairs, now: datetime, window: tuple[str, str], rights: int
    ) -> SyncToken:
        """The token that goes out with the last page."""
        self._issued += 1
        bound = _bound(pairs, _ONLY_FIRST)
        return SyncToken(feed, email, position, self._issued, now.timestamp(), bound, window, rights)

    def open(
        self, rows: Sequence[Any], feed: str, pairs: Pairs, token: SyncToken | None, old: SyncToken | None
    ) -> Result:
        """Keep a result for paging."""
        head = self._knobs.empty_pages
        result = Result(rows, _bound(pairs, frozenset()), feed, token, old, head)
        self._count += 1
        self._results[self._count] = result
        self._results.pop(self._count - _KEPT, None)
        return result

    def again(self, text: str, feed: str, email: str, pairs: Pairs) -> tuple[Result, int]:
        """The result behind a page token and where the page begins. Raises CalendarError for anything unfitting."""
        content = unseal(text)
        if content is None or content[:3] != ["page", feed, email] or content[3] not in self._results:
            raise invalid("Invalid page token value.", "pageToken")
        result = self._results[content[3]]
        if result.fingerprint != _bound(pairs, frozenset()):
            raise invalid("Invalid page token value.", "pageToken")
        return result, content[4]

    def cut(self, result: Result, start: int, size: int, email: str) -> Page:
        """The page that begins at `start`; below zero come the pages without rows."""
        size = min(size, self._knobs.page_cap or size)
        number = next(number for number, kept in self._results.items() if kept is result)
        if start < 0:
            return Page(result, (), seal(["page", result.feed, email, number, start + 1]))
        end = start + size
        if end >= len(result.rows):
            return Page(result, result.rows[start:], "")
        return Page(result, result.rows[start:end], seal(["page", result.feed, email, number, end]))


def _bound(pairs: Pairs, more: frozenset[str]) -> str:
    return fingerprint(pair for pair in pairs if pair[0] not in _NOT_BOUND and pair[0] not in more)
