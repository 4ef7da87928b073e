"""Google Contacts as the remote side of the contacts channel (`core.ports.RemoteReplica`): cursor, group, writes.
Talking is `client`, fields are `mapping`; what is to be written was decided by `core.plan`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from core.contact import Contact
from core.errors import CursorExpired
from core.replica import Delta, Done, Failed, Scope, Write
from providers.google.client import PeopleClient
from providers.google.groups import GROUP_PARAMETERS, Groups, Wait, list_groups, make_group
from providers.google.listing import LIST_PARAMETERS, get_people, list_people
from providers.google.updating import BATCH
from providers.google.writing import outcomes


class GoogleContacts:
    """The contacts of one Google account. Not thread-safe, and one writer per address book: Google wants changes of a
    user one after the other."""

    def __init__(self, client: PeopleClient, scope: Scope, *, wait: Wait) -> None:
        """`scope` without an id is looked up by name; `wait` pauses until a new group is usable."""
        self._client = client
        self._scope = scope
        self._wait = wait

    @property
    def skew(self) -> float:
        """Seconds Google's clock is ahead of ours; 0 while both may show the same."""
        return self._client.skew

    @property
    def batch(self) -> int:
        """How many records one call writes at most."""
        return BATCH

    def changes(self, cursor: str | None) -> Delta[Contact]:
        """Everybody, or who changed since `cursor`: two calls when nothing did. Raises CursorExpired."""
        before = _read_cursor(cursor, self._scope) if cursor else _Cursor()
        groups = list_groups(self._client, before.groups)
        scope = self._found(groups, before)
        if cursor and scope is not None and not self._scope.id:
            raise CursorExpired("the group was found by its name: who is in it must be read")
        seen, token = list_people(self._client, before.people, scope.id if scope else "")
        gone = "" if scope else self._scope.id
        now = _Cursor(token, groups.cursor, scope.id if scope else "", gone)
        self._scope = scope or Scope("", self._scope.name)
        return Delta(
            seen.items,
            frozenset(seen.gone),
            seen.settled_renames(),
            complete=not cursor,
            cursor=now.text() if token and groups.cursor else "",
            scope=scope,
        )

    def get(self, ids: Collection[str]) -> Delta[Contact]:
        """These contacts as they are now."""
        seen = get_people(self._client, ids, self._scope.id)
        scope = self._scope if self._scope.id else None
        return Delta(seen.items, frozenset(seen.gone), seen.settled_renames(), scope=scope)

    def write(self, writes: Sequence[Write[Contact]]) -> Iterator[Done[Contact] | Failed]:
        """Carry out writes: texts first, then members of the group, then new contacts.

        Transient after a call was sent: whatever it carried may have taken effect. Misconfigured when the address
        book is full: only new contacts are affected, and they come last.
        """
        return outcomes(self._client, self._scope.id, writes, self._wait)

    def make_scope(self, name: str) -> Scope:
        """Make the group, or take the one of this name; from then on it selects."""
        self._scope = make_group(self._client, name)
        return self._scope

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _found(self, groups: Groups, before: _Cursor) -> Scope | None:
        """The group that selects as it is now; None while there is none."""
        known = self._scope
        if not known.id:
            return groups.titled(known.name)
        if known.id in groups.names:
            return Scope(known.id, groups.names[known.id])
        listed_all = not before.groups
        absent = listed_all or known.id in groups.gone or known.id == before.gone
        return None if absent else known


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where both listings go on. `group` selected then; `gone` had been deleted: a listing of changes tells of that
    only once."""

    people: str = ""
    groups: str = ""
    group: str = ""
    gone: str = ""

    def text(self) -> str:
        return json.dumps({"for": _FINGERPRINT, **asdict(self)})


def _read_cursor(text: str, scope: Scope) -> _Cursor:
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        stored = None
    if not isinstance(stored, dict) or stored.pop("for", "") != _FINGERPRINT:
        raise CursorExpired("the cursor was made for another list of fields")
    cursor = _Cursor(**{name: str(stored.get(name, "")) for name in _Cursor.__slots__})
    if cursor.group and cursor.group != scope.id:
        raise CursorExpired("another group selects now: who is in it must be read")
    if not (cursor.people and cursor.groups):
        raise CursorExpired("the cursor is incomplete")
    return cursor


def _fingerprint(*parameters: Mapping[str, object]) -> str:
    """A short name of what we ask for: sync tokens are bound to it."""
    return hashlib.blake2b(json.dumps(parameters, sort_keys=True).encode(), digest_size=8).hexdigest()


_FINGERPRINT = _fingerprint(LIST_PARAMETERS, GROUP_PARAMETERS)
