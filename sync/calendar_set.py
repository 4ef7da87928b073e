"""Several calendars of one account as one remote side: ids that tell the calendar, one cursor, writes to where they go.
Which copy of a meeting counts is `sync.local_calendar`; one calendar alone is the provider's adapter."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from core.calendar_settings import mark_in, mark_of
from core.errors import CursorExpired, Held, ItemRejected, NoSeries
from core.event import Event
from core.ports import RemoteReplica
from core.replica import Delta, Done, Failed, Item, Scope, Write

FEW = 20  # of more that went in one go no other calendar is asked: nobody moves so many by hand between two calls


@dataclass(frozen=True, slots=True)
class _Member:
    """One of the calendars."""

    scope: Scope
    replica: RemoteReplica[Event]
    mark: str

    def inner(self, event: str) -> str:
        """An id as the calendar itself has it."""
        return event.removesuffix(self.mark)

    def outer(self, event: str) -> str:
        """An id as it is known here."""
        return event + self.mark

    def marked(self, found: Delta[Event]) -> Delta[Event]:
        """What the calendar reported, under the ids known here."""
        items = {self.outer(one): self.item(item) for one, item in found.items.items()}
        return replace(found, items=items, gone=frozenset(map(self.outer, found.gone)))

    def item(self, item: Item[Event]) -> Item[Event]:
        """One event under the id known here."""
        return replace(item, id=self.outer(item.id))

    def outcome(self, one: Done[Event] | Failed) -> Done[Event] | Failed:
        """What became of a write, likewise."""
        return replace(one, item=self.item(one.item)) if isinstance(one, Done) else one


class CalendarSet:
    """The chosen calendars of an account; `core.ports.RemoteReplica`. Not thread-safe.

    What is new goes into the first one, an occurrence to its series. If one of them does not exist any more, nothing is
    reported of the others either: a person must choose.
    """

    def __init__(self, calendars: Sequence[tuple[Scope, RemoteReplica[Event]]], advice: str) -> None:
        """`advice` says what to do about a calendar that is gone."""
        self._members = [_Member(scope, replica, mark_of(scope.id)) for scope, replica in calendars]
        self._advice = advice

    @property
    def skew(self) -> float:
        """Seconds the provider's clock is ahead of ours, as any of the calendars told."""
        return next((one.replica.skew for one in self._members if one.replica.skew), 0.0)

    @property
    def batch(self) -> int:
        """How many records are written between two steps of a run."""
        return min(one.replica.batch for one in self._members)

    def changes(self, cursor: str | None) -> Delta[Event]:
        """What every calendar reports, as one. Raises CursorExpired, and Held for a calendar that is gone."""
        cursors = self._read(cursor) if cursor else [None for _ in self._members]
        found = [self._listed(one, at) for one, at in zip(self._members, cursors, strict=True)]
        after = json.dumps([[one.mark, delta.cursor] for one, delta in zip(self._members, found, strict=True)])
        if not all(delta.cursor for delta in found):
            after = ""  # one of them must be read anew, and so all
        return replace(self._whole(found), complete=not cursor, cursor=after, scope=found[0].scope)

    def get(self, ids: Collection[str]) -> Delta[Event]:
        """These events as they are now; what lies in none of these calendars is neither there nor gone."""
        found = []
        for member in self._members:
            mine = [member.inner(one) for one in ids if mark_in(one) == member.mark]
            if mine:
                found.append(member.marked(member.replica.get(mine)))
        return replace(self._whole(found), scope=self._members[0].scope)

    def write(self, writes: Sequence[Write[Event]]) -> Iterator[Done[Event] | Failed]:
        """Carry out writes, calendar by calendar, what is new last."""
        known = {one.mark for one in self._members}
        for member in self._members:
            mine = [one for one in writes if one.id and mark_in(one.id) == member.mark]
            inner = [replace(one, id=member.inner(one.id)) for one in mine]
            yield from map(member.outcome, member.replica.write(inner) if inner else ())
        for one in writes:
            if one.id and mark_in(one.id) not in known:
                yield Failed(one.key, ItemRejected("it lies in a calendar that is not followed"))
        new = [one for one in writes if not one.id]
        first, fresh = self._members[0], [one for one in new if not _is_occurrence(one)]
        yield from map(first.outcome, first.replica.write(fresh) if fresh else ())
        yield from map(self._differing, filter(_is_occurrence, new))

    def make_scope(self, name: str) -> Scope:
        """As the first calendar does."""
        return self._members[0].replica.make_scope(name)

    def close(self) -> None:
        """Close all connections."""
        for one in self._members:
            one.replica.close()

    def _listed(self, member: _Member, cursor: str | None) -> Delta[Event]:
        found = member.marked(member.replica.changes(cursor))
        if found.scope is None:
            # Under no circumstances is this all its events being deleted.
            name = member.scope.name or "of the account"
            raise Held(
                f"the calendar {name!r} does not exist at the provider any more", kind="group_gone", advice=self._advice
            )
        return found

    def _whole(self, found: Sequence[Delta[Event]]) -> Delta[Event]:
        items = {one: item for delta in found for one, item in delta.items.items()}
        whole = Delta(items, frozenset().union(*(delta.gone for delta in found)))
        return replace(whole, items={**items, **self._moved(whole)})

    def _moved(self, whole: Delta[Event]) -> dict[str, Item[Event]]:
        """Events that went from one calendar, as far as another one has them under the same id: they may have been
        moved there after that one was listed."""
        gone = whole.gone if len(whole.gone) <= FEW else frozenset()
        found: dict[str, Item[Event]] = {}
        for member in self._members:
            asked = {one.removesuffix(mark_in(one)) for one in gone if mark_in(one) != member.mark}
            asked -= {member.inner(one) for one in {*whole.items, *whole.gone} if mark_in(one) == member.mark}
            if asked:
                found |= member.marked(member.replica.get(asked)).items
        return found

    def _differing(self, write: Write[Event]) -> Done[Event] | Failed:
        """An occurrence is made in the calendar that has its series: no other one can make it."""
        outcome: Done[Event] | Failed = Failed(write.key, NoSeries("no calendar was asked"))
        for member in self._members:
            (outcome,) = map(member.outcome, member.replica.write([write]))
            if isinstance(outcome, Done) or not isinstance(outcome.error, NoSeries):
                break
        return outcome

    def _read(self, text: str) -> list[str | None]:
        """The cursor of each calendar. Raises CursorExpired for that of other calendars."""
        with suppress(ValueError, TypeError, RecursionError):
            marks = [mark for mark, _ in json.loads(text)]
            if marks == [one.mark for one in self._members]:
                return [str(cursor) for _, cursor in json.loads(text)]
        raise CursorExpired("other calendars were chosen: they must be read")


def _is_occurrence(write: Write[Event]) -> bool:
    return write.body is not None and bool(write.body.original)
