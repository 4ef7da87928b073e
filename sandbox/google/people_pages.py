"""PRETENDS the memory behind page tokens and sync tokens: frozen results to page through, ages, fingerprints.
What is listed is decided by `people_lists` and `groups_calls`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.google.api_tokens import fingerprint, seal, unseal
from sandbox.google.api_wire import Pairs
from sandbox.google.people_knobs import PeopleKnobs
from sandbox.google.people_tokens import SyncToken, read_sync_token
from sandbox.google.people_wire import expired_sync_token, invalid

_KEPT = 50  # results kept for paging per user; older page tokens are refused
_NOT_BOUND = frozenset({"alt", "prettyPrint", "fields", "key", "quotaUser", "$.xgafv", "pageToken"})


@dataclass(frozen=True, slots=True)
class Result:
    """A list as it was when its first page was asked for; pages are cut from it."""

    rows: Sequence[Any]
    fingerprint: str
    token: SyncToken
    incremental: bool


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a result; `next` is the page token, "" on the last page."""

    result: Result
    rows: Sequence[Any]
    next: str


class Pages:
    """The list results of one user. The caller holds the book's lock."""

    def __init__(self, sub: str) -> None:
        self._sub = sub
        self._results: dict[int, Result] = {}
        self._count = 0
        self._issued = 0
        self._expired = 0

    def expire(self) -> None:
        """Declare every sync token issued so far expired."""
        self._expired = self._issued

    def known_token(self, text: str, feed: str, pairs: Pairs, now: datetime, knobs: PeopleKnobs) -> SyncToken:
        """The sync token behind `text`. Raises ApiError: plain 400 for garbage, another feed, other parameters."""
        token = read_sync_token(text)
        if token is None or token.feed != feed or token.sub != self._sub:
            raise invalid()
        age = now.timestamp() - token.counted_from
        if token.issued <= self._expired or age > knobs.sync_token_life.total_seconds():
            raise expired_sync_token(knobs.sync_token_status)
        if token.fingerprint != _bound(pairs, "syncToken"):
            raise invalid()
        return token

    def new_token(
        self, feed: str, position: int, pairs: Pairs, now: datetime, knobs: PeopleKnobs, old: SyncToken | None
    ) -> SyncToken:
        """The token that goes out with the last page; its age counts from the full sync (google.md, B.1)."""
        self._issued += 1
        since = now.timestamp() if old is None or knobs.sync_token_renews else old.counted_from
        return SyncToken(feed, self._sub, position, self._issued, since, _bound(pairs, "syncToken"))

    def open(self, rows: Sequence[Any], token: SyncToken, pairs: Pairs, *, incremental: bool) -> Result:
        """Keep a result for paging."""
        result = Result(rows, _bound(pairs), token, incremental)
        self._count += 1
        self._results[self._count] = result
        self._results.pop(self._count - _KEPT, None)
        return result

    def again(self, text: str, feed: str, pairs: Pairs) -> tuple[Result, int]:
        """The result behind a page token and where the page begins. Raises ApiError for anything unfitting."""
        content = unseal(text)
        if content is None or content[:3] != ["page", feed, self._sub] or content[3] not in self._results:
            raise invalid()
        result = self._results[content[3]]
        if result.fingerprint != _bound(pairs):
            raise invalid()
        return result, content[4]

    def cut(self, result: Result, start: int, size: int) -> Page:
        """The page that begins at `start`."""
        end = start + size
        if end >= len(result.rows):
            return Page(result, result.rows[start:], "")
        number = next(number for number, kept in self._results.items() if kept is result)
        return Page(result, result.rows[start:end], seal(["page", result.token.feed, self._sub, number, end]))


def _bound(pairs: Pairs, *more: str) -> str:
    return fingerprint(pair for pair in pairs if pair[0] not in _NOT_BOUND and pair[0] not in more)
