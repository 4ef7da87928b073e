"""Finds which unlinked records of the two sides are the same person, and where only a person can tell. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from core.actions import Action, Adopt, Create, Decide, Reason, Wait, change_for
from core.merge import merge, theirs_alone
from core.policy import Policy
from core.replica import Item, Side, later_side

T = TypeVar("T")

Decisions = Mapping[tuple[Side, str], str]
NEW = ""  # a person decided: this is nobody we have


@dataclass(slots=True)
class Unlinked(Generic[T]):
    """The records without a link, by id: those that take part and all that could be their counterpart.

    `waiting` are local records whose counterpart may be on its way: a run broke off while creating it.
    """

    mine: dict[str, Item[T]]
    theirs: dict[str, Item[T]]
    policy: Policy[T]
    decisions: Decisions = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()
    skew: float = 0.0

    def actions(self) -> Iterator[Action[T]]:
        """Pair what belongs together: by our own id, then as decided, then by e-mail, then by phone and name; what is
        ambiguous waits for a decision, the rest is new."""
        yield from self._by_origin()
        yield from self._as_decided()
        for strength, reason in enumerate(self.policy.strengths):
            yield from self._by_keys(strength, Reason(reason))
        for item in self._selected(Side.LOCAL):
            if item.id in self.waiting:
                yield Wait(Side.LOCAL, item.id, Reason.IN_FLIGHT)
            else:
                yield Create(Side.REMOTE, item, Reason.NEW_IN_CRM)
        for item in self._selected(Side.REMOTE):
            if self.policy.partial(item):
                yield Wait(Side.REMOTE, item.id, Reason.PAIRED_STILL)
            else:
                yield Create(Side.LOCAL, item, Reason.NEW_AT_PROVIDER)

    def _selected(self, side: Side) -> list[Item[T]]:
        return [item for item in self._of(side).values() if item.selected]

    def _of(self, side: Side) -> dict[str, Item[T]]:
        return self.mine if side is Side.LOCAL else self.theirs

    def _by_origin(self) -> Iterator[Action[T]]:
        # Of two that bear one origin (a person duplicated the contact) the one that takes part is ours.
        for item in sorted(self.theirs.values(), key=lambda item: (not item.selected, item.id)):
            twin = self.mine.get(item.origin)
            if twin is not None and (twin.selected or item.selected):
                yield self._adopt(twin, item, Reason.MADE_BY_US)

    def _as_decided(self) -> Iterator[Action[T]]:
        for (side, one), other in self.decisions.items():
            mine = self.mine.get(one if side is Side.LOCAL else other)
            theirs = self.theirs.get(other if side is Side.LOCAL else one)
            if mine is not None and theirs is not None and (mine.selected or theirs.selected):
                yield self._adopt(mine, theirs, Reason.DECIDED)

    def _adopt(self, mine: Item[T], theirs: Item[T], reason: Reason) -> Adopt[T]:
        del self.mine[mine.id], self.theirs[theirs.id]
        newer = later_side(mine.stamp, theirs.stamp, self.skew)
        if self.policy.writable(theirs):
            merged = merge(self.policy.blank, mine.body, theirs.body, newer=newer, policy=self.policy)
        else:
            # Nobody knows whether what is personal here was ever meant for there: nothing is sent on joining.
            merged = theirs_alone(self.policy.blank, mine.body, theirs.body)
        to_local, to_remote = change_for(mine, merged.value), change_for(theirs, merged.value)
        return Adopt(mine, theirs, merged.value, to_local, to_remote, merged.lost, reason)

    def _by_keys(self, strength: int, reason: Reason) -> Iterator[Action[T]]:
        edges = self._edges(strength)
        seen: set[tuple[Side, str]] = set()
        for start in list(edges):
            if start in seen:
                continue
            cluster = _connected(start, edges)
            seen |= cluster
            yield from self._settle(cluster, edges, reason)

    def _settle(
        self, cluster: set[tuple[Side, str]], edges: Mapping[tuple[Side, str], set[str]], reason: Reason
    ) -> Iterator[Action[T]]:
        in_flight = any(side is Side.LOCAL and one in self.waiting for side, one in cluster)
        if len(cluster) == 2 and not in_flight:
            ids = dict(cluster)
            yield self._adopt(self.mine[ids[Side.LOCAL]], self.theirs[ids[Side.REMOTE]], reason)
            return
        for side, one in sorted(cluster):
            item = self._of(side).pop(one)
            if not item.selected:
                continue
            if in_flight:
                yield Wait(side, one, Reason.IN_FLIGHT)
            else:
                yield Decide(side, item, tuple(sorted(edges[side, one])))

    def _edges(self, strength: int) -> dict[tuple[Side, str], set[str]]:
        """Who shares a key with whom on the other side; one of the two must take part."""
        holders: dict[str, list[Item[T]]] = defaultdict(list)
        for item in self.mine.values():
            if not self._is_new(Side.LOCAL, item):
                for key in self.policy.match(item.body)[strength]:
                    holders[key].append(item)
        edges: dict[tuple[Side, str], set[str]] = defaultdict(set)
        for theirs in self.theirs.values():
            if self._is_new(Side.REMOTE, theirs):
                continue
            for key in self.policy.match(theirs.body)[strength]:
                for mine in holders.get(key, ()):
                    if mine.selected or theirs.selected:
                        edges[Side.LOCAL, mine.id].add(theirs.id)
                        edges[Side.REMOTE, theirs.id].add(mine.id)
        return edges

    def _is_new(self, side: Side, item: Item[T]) -> bool:
        return self.decisions.get((side, item.id)) == NEW


def _connected(start: tuple[Side, str], edges: Mapping[tuple[Side, str], set[str]]) -> set[tuple[Side, str]]:
    found, ahead = {start}, [start]
    while ahead:
        side, one = ahead.pop()
        fresh = {(side.other, other) for other in edges[side, one]} - found
        found |= fresh
        ahead += fresh
    return found
