"""Decides what a sync must do: three-way comparison of two replicas over their links. Pure: same input, same plan.
Merging one record is `core.merge`, pairing unlinked ones `core.match`; carrying out is left to `sync`."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from core.actions import Action, Change, Create, Deselect, Reason, Rebase, Update, Wait, change_for
from core.errors import Held
from core.match import Decisions, Unlinked
from core.merge import agree, overwrites
from core.policy import Policy
from core.replica import LONG_AGO, UNKNOWN, Delta, Item, Link, Sent, Side, Stamp, later_side

T = TypeVar("T")

_FEW = 3  # with fewer pairs than this, one side becoming empty is an everyday thing


class State(enum.Enum):
    """Where one side of a pair stands."""

    IN = enum.auto()
    LEFT = enum.auto()  # lost the tag, was taken out of the group
    GONE = enum.auto()


def everything(_remote_id: str) -> bool:
    """Every remote record is of a chosen place."""
    return True


@dataclass(frozen=True, slots=True)
class Facts(Generic[T]):
    """What a plan is made of besides the two deltas.

    `settled_at`: what the provider lists may be as old as this, so whatever we wrote later may not show yet.
    `skew`: seconds the provider's clock is ahead of ours. `waiting`: local records whose creation may be in flight.
    `covers` tells by its id whether a remote record is of what was chosen: of all others nobody knows anything, and
    their pairs rest.
    """

    policy: Policy[T]
    settled_at: datetime
    skew: float = 0.0
    decisions: Decisions = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()
    covers: Callable[[str], bool] = everything


# ---- finishing what a run that broke off had begun --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recovered(Generic[T]):
    """Links with what an earlier run did write; `settled` are the intents (by local id) that are answered,
    `waiting` the local records whose creation may still come to light. Of the `overtaken` nobody will know: the record
    was changed after the intent was made, and has another text."""

    links: list[Link[T]]
    settled: frozenset[str]
    waiting: frozenset[str]
    overtaken: frozenset[str] = frozenset()


def recover(
    links: Iterable[Link[T]], sent: Mapping[str, Sent[T]], remote: Delta[T], *, settled_at: datetime, skew: float = 0.0
) -> Recovered[T]:
    """Take a remote record that equals what was sent for what it is: written by us, whether we heard so or not."""
    known = {link.local_id: link for link in links}
    origins = {item.origin: item for item in _linkless(known.values(), remote) if item.origin}
    settled, waiting, overtaken = set(), set(), set()
    for local_id, intent in sent.items():
        link = known.get(local_id)
        item = remote.items.get(link.remote_id) if link else origins.get(local_id)
        if item is None:
            if link is None and not intent.remote_id and intent.made_at > settled_at:
                waiting.add(local_id)
        elif link is None:
            known[local_id] = _created(intent, item)
            settled.add(local_id)
        elif _took_effect(intent, item):
            known[local_id] = _written(link, intent, item)
            settled.add(local_id)
        elif intent.body is not None and item.body == intent.body:
            # Text and membership are two calls, and it broke off between them: the second is decided anew.
            known[local_id] = _written(link, replace(intent, selected=None), item)
            settled.add(local_id)
        elif intent.body is not None and item.stamp.modified_at - timedelta(seconds=skew) > intent.made_at:
            overtaken.add(local_id)
    return Recovered(list(known.values()), frozenset(settled), frozenset(waiting), frozenset(overtaken))


def _linkless(links: Iterable[Link[T]], remote: Delta[T]) -> Iterator[Item[T]]:
    linked = {link.remote_id for link in links}
    return (item for item in remote.items.values() if item.id not in linked)


def _took_effect(intent: Sent[T], item: Item[T]) -> bool:
    text = intent.body is None or item.body == intent.body
    return text and (intent.selected is None or item.selected == intent.selected)


def _created(intent: Sent[T], item: Item[T]) -> Link[T]:
    assert intent.body is not None  # a creation has a text
    stamp = item.stamp if item.body == intent.body else UNKNOWN
    return Link(intent.local_id, item.id, intent.local, stamp, intent.body, True, intent.made_at, item.extra)


def _written(link: Link[T], intent: Sent[T], item: Item[T]) -> Link[T]:
    if intent.body is not None:
        link = replace(link, base=intent.body, local=intent.local, remote=item.stamp, extra=item.extra)
    elif item.body == link.base:
        link = replace(link, remote=item.stamp, extra=item.extra)
    if intent.selected is not None:
        link = replace(link, active=intent.selected, written_at=intent.made_at)
    return link


def follow_renames(
    links: Iterable[Link[T]], remote: Delta[T], made: Collection[str] = frozenset()
) -> Iterator[Link[T]]:
    """Links under the ids their remote records bear now. Of two linked records that were merged into one, the link to
    the survivor stays; the other one's record is gone. A survivor that is the counterpart of one of `made`, local
    records that may have been written without our hearing so, counts as linked."""
    links = list(links)
    unheard = set(made) - {link.local_id for link in links}
    taken = {link.remote_id for link in links} | {item.id for item in remote.items.values() if item.origin in unheard}
    for link in links:
        now = remote.renamed.get(link.remote_id)
        if now is not None and now not in taken:
            taken.add(now)
            link = replace(link, remote_id=now)
        yield link


# ---- deciding ----------------------------------------------------------------------------------------------


def to_read(links: Iterable[Link[T]], local: Delta[T], remote: Delta[T]) -> set[str]:
    """Remote ids that must be read before a plan can be made: of parted pairs that join again from the CRM side, whose
    text may have changed unnoticed meanwhile."""
    joining = (link for link in links if not link.active and link.remote_id not in remote.items)
    return {link.remote_id for link in joining if _takes_part(local.items.get(link.local_id))} - remote.gone


def diff(links: Sequence[Link[T]], local: Delta[T], remote: Delta[T], facts: Facts[T]) -> Iterator[Action[T]]:
    """Everything a sync must do, as actions in no particular order that matters."""
    pairs = [_Pair(link, local, remote, facts) for link in links]
    decided = [action for pair in pairs for action in (pair.linked() if pair.link.active else pair.parted())]
    yield from _with_what_is_made_anew(decided, facts.policy)
    mine, theirs = {link.local_id for link in links}, {link.remote_id for link in links}
    unlinked = Unlinked(
        {one: item for one, item in local.items.items() if one not in mine},
        {one: item for one, item in remote.items.items() if one not in theirs},
        facts.policy,
        facts.decisions,
        facts.waiting,
        facts.skew,
    )
    yield from unlinked.actions()


def _with_what_is_made_anew(actions: Sequence[Action[T]], policy: Policy[T]) -> Iterator[Action[T]]:
    """What is gone at the provider because the thing it is part of went stays here where that is made anew: it has no
    counterpart any more and gets one, once the new thing is known."""
    made = (action.source.body for action in actions if isinstance(action, Create) and action.side is Side.REMOTE)
    anew = {policy.thing(body) for body in made} - {""}
    for action in actions:
        gone = isinstance(action, Deselect) and action.side is Side.LOCAL and action.forget
        if gone and isinstance(action, Deselect) and policy.thing(action.link.base) in anew:
            yield Deselect(action.link, None, True, Reason.DELETED_AT_PROVIDER)
        else:
            yield action


def _takes_part(item: Item[T] | None) -> bool:
    return item is not None and item.selected


class _Pair(Generic[T]):
    """One link with what both sides report of it."""

    def __init__(self, link: Link[T], local: Delta[T], remote: Delta[T], facts: Facts[T]) -> None:
        self.link, self.facts = link, facts
        self.settled = link.written_at <= facts.settled_at
        self.local = local.items.get(link.local_id)
        self.remote = remote.items.get(link.remote_id)
        if self.remote is not None and is_stale(self.remote, link.remote):
            self.remote = None
        self.mine = _state(self.local, link.local_id in local.gone)
        self.covered = facts.covers(link.remote_id)
        self.theirs = _state(self.remote, self._is_gone(remote))

    def _is_gone(self, remote: Delta[T]) -> bool:
        one = self.link.remote_id
        if one in remote.gone or one in remote.renamed:  # renamed to one that has a link of its own: merged into it
            return True
        old = self.link.remote.modified_at - timedelta(seconds=self.facts.skew) <= self.facts.settled_at
        return remote.complete and one not in remote.items and old and self.settled

    def linked(self) -> Iterator[Action[T]]:
        """Both took part at the end of the last run."""
        if not self.covered:
            yield Deselect(self.link, None, False, Reason.NOT_CHOSEN)
            return
        if self.facts.policy.has_range and (yield from self._at_the_edge()):
            return
        gone = State.GONE in (self.mine, self.theirs)
        if self.mine is not State.IN:
            # What was written lately may not be listed yet: then leaving is written, needed or not.
            if self.theirs is State.GONE or (self.theirs is State.LEFT and self.settled):
                yield Deselect(self.link, None, gone, Reason.LEFT_BOTH)
            else:
                deleted = self.local is None or self.local.deleted
                reason = Reason.DELETED_IN_CRM if deleted else Reason.UNTAGGED
                yield Deselect(self.link, Side.REMOTE, gone, reason)
        elif self.theirs is State.LEFT and not self.settled:
            yield Wait(Side.REMOTE, self.link.remote_id, Reason.TOO_SOON)
        elif self.theirs is not State.IN:
            reason = Reason.DELETED_AT_PROVIDER if self.theirs is State.GONE else Reason.LEFT_GROUP
            yield Deselect(self.link, Side.LOCAL, gone, reason)
        else:
            yield from self._edited(None)

    def _at_the_edge(self) -> Generator[Action[T], None, bool]:
        """Records that are chosen by time: to leave the range is no removal, and an edit is worth more than a removal.
        True when that settles the pair; else it is compared as if nothing had left."""
        deleted = self.mine is State.GONE or (self.local is not None and self.local.deleted)
        if State.GONE not in (self.mine, self.theirs) and not deleted and self.mine is self.theirs is State.LEFT:
            yield Deselect(self.link, None, False, Reason.OUT_OF_RANGE)
            return True
        if self.theirs is State.GONE and not deleted and self._is_edited(self.local) and self._may_write():
            assert self.local is not None
            yield Create(Side.REMOTE, replace(self.local, selected=True), Reason.CHANGED_IN_CRM, self.link)
            return True
        if deleted and self.mine is State.LEFT and self.theirs is State.IN and self._is_edited(self.remote):
            yield from self._edited(Reason.CHANGED_AT_PROVIDER)
            return True
        if self.theirs is State.LEFT and self.remote is not None:
            self.theirs, self.remote = State.IN, replace(self.remote, selected=True)
        if self.mine is State.LEFT and not deleted and self.local is not None:
            self.mine, self.local = State.IN, replace(self.local, selected=True)
        return False

    def _is_edited(self, item: Item[T] | None) -> bool:
        return item is not None and item.body != self.link.base

    def _may_write(self) -> bool:
        known = self.remote or self._remembered(self.link.remote_id, self.link.remote)
        return self.facts.policy.writable(known)

    def parted(self) -> Iterator[Action[T]]:
        """One or both had left; the pair joins again when one side takes part again."""
        mine, theirs = _takes_part(self.local), _takes_part(self.remote)
        if not self.covered and self.mine is not State.GONE:
            return
        resting = self.facts.policy.has_range and mine and not theirs and self.theirs is not State.GONE
        if resting and not self._is_edited(self.local):
            return  # within the range here and not there: nothing to make up for
        if self.theirs is State.GONE or self.mine is State.GONE:
            yield self._widowed(mine, theirs)
        elif (mine and self.remote is None) or (theirs and not mine and not self.settled):
            yield Wait(Side.REMOTE, self.link.remote_id, Reason.TOO_SOON)
        elif mine or theirs:
            yield from self._edited(Reason.TAGGED_AGAIN if mine else Reason.GROUPED_AGAIN)

    def _widowed(self, mine: bool, theirs: bool) -> Action[T]:
        """One record of a parted pair is gone for good: the other gets a new counterpart if it takes part. Not at the
        provider where the text is not ours: it would be another record of our own beside that of whose it is."""
        if mine and self.local is not None and self.theirs is State.GONE and self._may_write():
            return Create(Side.REMOTE, self.local, Reason.TAGGED_AGAIN, self.link)
        if theirs and self.remote is not None and self.mine is State.GONE:
            return Create(Side.LOCAL, self.remote, Reason.GROUPED_AGAIN, self.link)
        return Deselect(self.link, None, True, Reason.LEFT_BOTH)

    def _edited(self, joining: Reason | None) -> Iterator[Action[T]]:
        link, policy = self.link, self.facts.policy
        mine = self.local or self._remembered(link.local_id, link.local)
        theirs = self.remote or self._remembered(link.remote_id, link.remote)
        newer = later_side(mine.stamp, theirs.stamp, self.facts.skew)
        merged = agree(link.base, mine.body, theirs, newer=newer, policy=policy)
        to_local, to_remote = change_for(mine, merged.value), change_for(theirs, merged.value)
        if joining and not self.settled:  # it may be listed as a member and yet be none any more
            to_remote = Change(to_remote.body if to_remote else None, True, theirs.stamp.version)
        if to_local is None and to_remote is None:
            now = replace(link, local=mine.stamp, remote=theirs.stamp, base=merged.value, active=True)
            if now != link:
                yield Rebase(link, replace(now, extra=theirs.extra))
            return
        bold = any(
            change is not None and change.body is not None and overwrites(item.body, merged.value, policy)
            for change, item in ((to_local, mine), (to_remote, theirs))
        )
        reason = joining or _why(to_local, to_remote, merged.lost != (), newer)
        yield Update(link, mine, theirs, merged.value, to_local, to_remote, merged.lost, reason, bold)

    def _remembered(self, one: str, stamp: Stamp) -> Item[T]:
        return Item(one, stamp, self.link.active, self.link.base, extra=self.link.extra)


def is_stale(item: Item[T], known: Stamp) -> bool:
    """An older text under another version is a late read of the provider, not a change. One of unknown time is none."""
    older = LONG_AGO < item.stamp.modified_at < known.modified_at
    return item.stamp.version != known.version and older


def _state(item: Item[T] | None, gone: bool) -> State:
    if item is None:
        return State.GONE if gone else State.IN
    return State.IN if item.selected else State.LEFT


def _why(to_local: Change[T] | None, to_remote: Change[T] | None, conflict: bool, newer: Side) -> Reason:
    if conflict:
        return Reason.NEWER_IN_CRM if newer is Side.LOCAL else Reason.NEWER_AT_PROVIDER
    if to_local and to_remote:
        return Reason.CHANGED_ON_BOTH
    return Reason.CHANGED_AT_PROVIDER if to_local else Reason.CHANGED_IN_CRM


# ---- the brake ---------------------------------------------------------------------------------------------


def guard(plan: Sequence[Action[T]], active: int, policy: Policy[T], approved: frozenset[str] = frozenset()) -> None:
    """Raises Held when a plan would take out or overwrite more than the policy's share of `active` links, or empties
    one side; unless a person confirmed each of these actions (`approved`, their keys). Records that are one thing to
    people count once."""
    leaving = [action for action in plan if isinstance(action, Deselect) and action.side is not None]
    writing = [action for action in plan if isinstance(action, Update) and action.overwrites]
    counted: list[Deselect[T] | Update[T]] = [*leaving, *writing]
    keys = tuple(sorted(action.key for action in counted))
    if not counted or approved.issuperset(keys):
        return
    limit = max(policy.limit_count, int(active * policy.limit_share))
    for side, what in (_EMPTY_BY_TIME if policy.has_range else _EMPTY).items():
        lost = [action for action in leaving if action.side is side]
        if len(lost) == active and _things(lost, policy) >= _FEW:
            raise Held(f"none of the {active} linked records {what} any more", kind="side_empty", keys=keys)
    if (many := _things(counted, policy)) > limit:
        raise Held(
            f"{many} of {active} linked records would be taken out or overwritten (allowed: {limit})",
            kind="mass_change",
            keys=keys,
        )


def _things(actions: Sequence[Deselect[T] | Update[T]], policy: Policy[T]) -> int:
    """How many things these actions are about, as people count them."""
    return len({policy.thing(action.link.base) or action.key for action in actions})


_EMPTY = {Side.LOCAL: "is in the group at the provider", Side.REMOTE: "has the tag in the CRM"}
_EMPTY_BY_TIME = {Side.LOCAL: "is in the calendar at the provider", Side.REMOTE: "is to be shown in a calendar"}
