"""A provider's address book in memory, as `core.ports.RemoteReplica`, with the ways of the real one: etags, listings
that lag behind, cursors that expire, a group, and a person's hand that meddles. Faults are hooks around each call."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from core.contact import Contact, canonical
from core.errors import CursorExpired, ItemRejected, RecordGone, VersionConflict
from core.replica import Delta, Done, Failed, Item, Scope, Stamp, Write

Hook = Callable[[str, str], None]
Watch = Callable[[Sequence[Write[Contact]]], None]


def _nothing(_what: str, _when: str) -> None:
    return


def _unseen(_writes: Sequence[Write[Contact]]) -> None:
    return


@dataclass(slots=True)
class Card:
    """One contact of the book, as it is now."""

    id: str
    body: Contact
    version: int
    modified_at: datetime
    groups: set[str]
    origin: str = ""


@dataclass(slots=True)
class _Seen:
    """A state of a card, as listings show it from `at` on; None: deleted. `before`: a former id of it."""

    at: datetime
    card: Card | None
    before: str = ""


@dataclass(slots=True)
class Book:
    """The address book itself, and what a person does to it. Outlives the connections (`MemoryReplica`).

    `lag` is how long listings and reads show the old state; `get_lag`, if set, is that of reads alone. `hook` is called
    `before` and `after` each call of the service with its name; what it raises breaks the call. `watch` sees what is to
    be written before it is. `refuse` names bodies the provider does not take, `normal` is what it makes of the others.
    `moves_touch`: who is put into a group or taken out of it gets a new version and time.
    """

    clock: Callable[[], datetime]
    ahead: timedelta = timedelta(0)
    lag: timedelta = timedelta(0)
    get_lag: timedelta | None = None
    batch: int = 200
    moves_touch: bool = False
    hook: Hook = _nothing
    watch: Watch = _unseen
    refuse: Callable[[Contact], bool] = lambda _body: False
    normal: Callable[[Contact], Contact] = canonical
    cards: dict[str, Card] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    deleted_by_us: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    oldest_cursor: int = 0
    log: list[tuple[str, _Seen]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def now(self) -> datetime:
        return self.clock() + self.ahead

    # -- a person's hand

    def add(self, body: Contact, *groups: str, origin: str = "") -> str:
        """A new contact; its id."""
        one = f"people/c{next(self._numbers)}"
        self.cards[one] = Card(one, canonical(body), 1, self.now, set(groups), origin)
        self.note(one)
        return one

    def edit(self, one: str, **values: Any) -> None:
        """Change fields of a contact."""
        card = self.cards[one]
        card.body = canonical(replace(card.body, **values))
        self.touch(one)

    def touch(self, one: str) -> None:
        """A new version and time, although nothing changed."""
        card = self.cards[one]
        card.version, card.modified_at = card.version + 1, self.now
        self.note(one)

    def delete(self, one: str) -> None:
        """The person deletes a contact."""
        del self.cards[one]
        self.log.append((one, _Seen(self.now, None)))

    def join(self, one: str, group: str) -> None:
        """The person puts a contact into a group."""
        self.cards[one].groups.add(group)
        self._moved(one)

    def leave(self, one: str, group: str) -> None:
        """The person takes a contact out of a group."""
        self.cards[one].groups.discard(group)
        self._moved(one)

    def _moved(self, one: str) -> None:
        (self.touch if self.moves_touch else self.note)(one)

    def merge(self, gone: str, survivor: str) -> None:
        """The person merges two contacts into one."""
        other, card = self.cards[gone], self.cards[survivor]
        card.body = canonical(
            replace(card.body, emails=card.body.emails + other.body.emails, phones=card.body.phones + other.body.phones)
        )
        card.groups |= other.groups
        self.delete(gone)
        card.version, card.modified_at = card.version + 1, self.now
        self.note(survivor, before=gone)

    def make_group(self, name: str) -> str:
        """The person makes a group; its id."""
        group = f"contactGroups/g{next(self._numbers)}"
        self.groups[group] = name
        return group

    def rename_group(self, group: str, name: str) -> None:
        """The person renames a group."""
        self.groups[group] = name

    def delete_group(self, group: str) -> None:
        """The person deletes a group; its contacts stay."""
        del self.groups[group]
        for card in list(self.cards.values()):
            if group in card.groups:
                self.leave(card.id, group)

    def expire_cursors(self) -> None:
        """No cursor given so far is good any more."""
        self.oldest_cursor = len(self.log) + 1
        self.log.append(("", _Seen(self.now, None)))

    def note(self, one: str, before: str = "") -> None:
        """Write the present state of a card into the log that listings are made of."""
        card = self.cards[one]
        self.log.append((one, _Seen(self.now, replace(card, groups=set(card.groups)), before)))

    # -- what is seen of it

    def visible(self, lag: timedelta | None = None) -> int:
        """How much of the log is shown by now; listings show it with `self.lag`."""
        limit = self.now - (self.lag if lag is None else lag)
        return sum(1 for _, seen in self.log if seen.at <= limit)

    def as_seen(self, lag: timedelta | None = None) -> dict[str, Card]:
        """The cards as they are shown by now."""
        found: dict[str, Card] = {}
        for one, seen in self.log[: self.visible(lag)]:
            found.pop(one, None)
            if seen.card is not None:
                found[one] = seen.card
        return found

    def joined(self, lag: timedelta | None = None, since: int = 0) -> dict[str, str]:
        """Who was merged into whom, as it is shown by now."""
        return {seen.before: one for one, seen in self.log[since : self.visible(lag)] if seen.before}

    # -- to go on from the same state again

    def freeze(self) -> tuple[Any, ...]:
        """The present state of the book."""
        return copy.deepcopy((self.cards, self.groups, self.log, self.oldest_cursor, self._numbers))

    def thaw(self, frozen: tuple[Any, ...]) -> None:
        """Take on a state that `freeze` gave."""
        self.cards, self.groups, self.log, self.oldest_cursor, self._numbers = copy.deepcopy(frozen)


def _last(joined: Mapping[str, str], one: str) -> str:
    """Where a contact ended that was merged, and perhaps merged again."""
    while one in joined:
        one = joined[one]
    return one


class MemoryReplica:
    """One connection to a book."""

    def __init__(self, book: Book, scope: Scope) -> None:
        self.book = book
        self.scope = scope
        self._scope_id = scope.id or next((one for one, name in book.groups.items() if name == scope.name), "")

    @property
    def skew(self) -> float:
        return self.book.ahead.total_seconds()

    @property
    def batch(self) -> int:
        return self.book.batch

    def close(self) -> None:
        return

    def make_scope(self, name: str) -> Scope:
        """Make the group, or take the one that has this name."""
        self._call("group", "before")
        known = next((one for one, other in self.book.groups.items() if other == name), None)
        self._scope_id = known or self.book.make_group(name)
        self._call("group", "after")
        return Scope(self._scope_id, name)

    def changes(self, cursor: str | None) -> Delta[Contact]:
        """Everything, or what changed since the cursor."""
        self._call("list", "before")
        self.book.calls["list"] += 1
        book, upto = self.book, self.book.visible()
        if cursor is not None and int(cursor) < book.oldest_cursor:
            raise CursorExpired("the cursor is too old")
        shown = book.as_seen()
        since = {one: seen for one, seen in book.log[int(cursor or 0) : upto] if one}
        touched = {one: card for one, card in shown.items() if cursor is None or one in since}
        gone = frozenset() if cursor is None else frozenset(since) - shown.keys()
        joined = book.joined(since=int(cursor or 0))
        renamed = {} if cursor is None else {one: _last(joined, one) for one in joined if _last(joined, one) in shown}
        scope = Scope(self._scope_id, book.groups[self._scope_id]) if self._scope_id in book.groups else None
        items = {one: self._item(card) for one, card in touched.items()}
        delta = Delta(items, gone, renamed, cursor is None, str(upto), scope)
        self._call("list", "after")
        return delta

    def get(self, ids: Collection[str]) -> Delta[Contact]:
        """These contacts."""
        self._call("get", "before")
        self.book.calls["get"] += 1
        shown, joined = self.book.as_seen(self.book.get_lag), self.book.joined(self.book.get_lag)
        renamed = {one: _last(joined, one) for one in ids if one in joined and _last(joined, one) in shown}
        found = {renamed.get(one, one) for one in ids}
        items = {one: self._item(shown[one]) for one in found if one in shown}
        self._call("get", "after")
        return Delta(items, frozenset(ids) - items.keys() - renamed.keys(), renamed)

    def write(self, writes: Sequence[Write[Contact]]) -> Iterator[Done[Contact] | Failed]:
        """Carry out writes; one call for the new ones, one for texts, one for membership."""
        self.book.watch(writes)
        made = [one for one in writes if not one.id]
        texts = [one for one in writes if one.id and one.body is not None]
        places = [one for one in writes if one.id and one.selected is not None]
        found: dict[str, Done[Contact] | Failed] = {}
        if made:
            yield from self._together("create", self._create, made)
        if texts:
            found |= {one.key: one for one in self._together("update", self._update, texts)}
        if places := [one for one in places if not isinstance(found.get(one.key), Failed)]:
            for moved in self._together("members", self._move, places):
                written = found.get(moved.key)
                if isinstance(moved, Done) and isinstance(written, Done):
                    # The text is told as it was written; somebody may have changed it since.
                    moved = replace(moved, item=replace(written.item, selected=moved.item.selected))
                found[moved.key] = moved
        yield from found.values()

    def _together(
        self, name: str, call: Callable[[Write[Contact]], Done[Contact] | Failed], writes: Sequence[Write[Contact]]
    ) -> list[Done[Contact] | Failed]:
        self._call(name, "before")
        self.book.calls[name] += 1
        outcomes = [call(one) for one in writes]
        self._call(name, "after")
        return outcomes

    def _call(self, name: str, when: str) -> None:
        self.book.hook(name, when)

    def _create(self, one: Write[Contact]) -> Done[Contact] | Failed:
        assert one.body is not None
        if self.book.refuse(one.body):
            return Failed(one.key, ItemRejected("the provider does not take this contact"))
        groups = (self._scope_id,) if one.selected else ()
        made = self.book.add(self.book.normal(one.body), *groups, origin=one.origin)
        return Done(one.key, self._item(self.book.cards[made]))

    def _update(self, one: Write[Contact]) -> Done[Contact] | Failed:
        card = self.book.cards.get(one.id)
        if card is None:
            return Failed(one.key, RecordGone("no such contact"))
        if str(card.version) != one.expect:
            return Failed(one.key, VersionConflict("another version"))
        assert one.body is not None
        if self.book.refuse(one.body):
            return Failed(one.key, ItemRejected("the provider does not take this contact"))
        card.body = self.book.normal(one.body)
        self.book.touch(one.id)
        return Done(one.key, self._item(card))

    def _move(self, one: Write[Contact]) -> Done[Contact] | Failed:
        card = self.book.cards.get(one.id)
        if card is None:
            return Failed(one.key, RecordGone("no such contact"))
        (self.book.join if one.selected else self.book.leave)(one.id, self._scope_id)
        return Done(one.key, self._item(card))

    def _item(self, card: Card) -> Item[Contact]:
        stamp = Stamp(str(card.version), card.modified_at)
        return Item(card.id, stamp, self._scope_id in card.groups, card.body, card.origin)
