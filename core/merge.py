"""Merges two edits of one record by field: pure, no I/O. The later writer wins inside a field, never beyond it.
Every value that lost is returned, so that it can be shown and restored; when to merge is `core.plan`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, TypeVar

from core.policy import Policy
from core.replica import Item, Side

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lost:
    """A value of `field` that `side` had and that gave way to `kept`; None stands for a removal, or for no value."""

    field: str
    side: Side
    value: Any
    kept: Any


@dataclass(frozen=True, slots=True)
class Merged(Generic[T]):
    """The record both sides shall have, and what was given up for it."""

    value: T
    lost: tuple[Lost, ...] = ()


@dataclass(slots=True)
class _Three:
    """One field, or one item of it, as it was agreed on and as each side has it now."""

    field: str
    newer: Side
    lost: list[Lost]

    def pick(self, base: Any, local: Any, remote: Any) -> Any:
        if local == remote or remote == base:
            return local
        if local == base:
            return remote
        kept, given_up = (local, remote) if self.newer is Side.LOCAL else (remote, local)
        self.lost.append(Lost(self.field, self.newer.other, given_up or None, kept or None))
        return kept


def merge(base: T, local: T, remote: T, *, newer: Side, policy: Policy[T]) -> Merged[T]:
    """Three-way merge of records in normal form. A field changed on one side only takes that side's value; one changed
    on both to different values takes that of `newer`. Multi-valued fields are merged item by item."""
    if local == remote or remote == base:
        return Merged(local)
    if local == base:
        return Merged(remote)
    lost: list[Lost] = []
    values: dict[str, Any] = {}
    for unit in _units(policy):
        if len(unit) > 1:
            values |= _merge_unit(unit, base, local, remote, newer, lost)
            continue
        [name] = unit
        three = _Three(name, newer, lost)
        sides = getattr(base, name), getattr(local, name), getattr(remote, name)
        key = policy.lists.get(name)
        values[name] = _merge_items(*sides, key, three) if key else three.pick(*sides)
    return Merged(policy.normal(type(policy.blank)(**values)), tuple(lost))


def agree(base: T, mine: T, theirs: Item[T], *, newer: Side, policy: Policy[T]) -> Merged[T]:
    """What both sides shall have, by what may be changed at the provider: all of it, or only what is personal."""
    if policy.writable(theirs):
        return merge(base, mine, theirs.body, newer=newer, policy=policy)
    before, now = (policy.personal(theirs.body, own, theirs) for own in (base, mine))
    merged = merge(before, now, theirs.body, newer=newer, policy=policy)
    return replace(merged, lost=(*merged.lost, *_refused(base, policy.personal(mine, base, theirs), merged.value)))


def theirs_alone(base: T, mine: T, theirs: T) -> Merged[T]:
    """The provider's text, be it personal or not. What was changed here gives way, and is told."""
    return Merged(theirs, tuple(_refused(base, mine, theirs)))


def _refused(base: T, mine: T, kept: T) -> Iterable[Lost]:
    for name, (_, value) in changed_fields(base, mine).items():
        if value != getattr(kept, name):
            yield Lost(name, Side.LOCAL, value or None, getattr(kept, name) or None)


def _units(policy: Policy[T]) -> list[tuple[str, ...]]:
    joined = {name for unit in policy.units for name in unit}
    return [*policy.units, *((name,) for name in _names(policy.blank) if name not in joined)]


def _merge_unit(
    unit: tuple[str, ...], base: Any, local: Any, remote: Any, newer: Side, lost: list[Lost]
) -> dict[str, Any]:
    """Fields that make sense only together are all one side's: a beginning of here with an end of there would be a
    time nobody chose."""
    sides = [tuple(getattr(side, name) for name in unit) for side in (base, local, remote)]
    told: list[Lost] = []
    kept = _Three("", newer, told).pick(*sides)
    for one in told:
        given_up, instead = one.value or (None,) * len(unit), one.kept or (None,) * len(unit)
        pairs = zip(unit, given_up, instead, strict=True)
        lost += [Lost(name, one.side, value or None, other or None) for name, value, other in pairs if value != other]
    return dict(zip(unit, kept, strict=True))


def _merge_items(base: Any, local: Any, remote: Any, key: Callable[[Any], str], three: _Three) -> tuple[Any, ...]:
    sides = [_by_key(items, key) for items in (base, local, remote)]
    names = dict.fromkeys(name for side in sides for name in side)
    picked = {name: three.pick(*(side.get(name) for side in sides)) for name in names}
    kept = {name: item for name, item in picked.items() if item is not None}
    first = _first([next(iter(side), "") for side in sides], kept, three.newer)
    return tuple(_marked(item, name == first) for name, item in kept.items())


def _first(firsts: list[str], kept: Mapping[str, Any], newer: Side) -> str:
    """The key of the primary item: merged like a field of its own, if it is still there."""
    base, local, remote = firsts
    order = (local, remote) if newer is Side.LOCAL else (remote, local)
    wanted = remote if local == base else local if remote == base else order[0]
    return next((name for name in (wanted, *order, base) if name in kept), "")


def _by_key(items: Iterable[Any], key: Callable[[Any], str]) -> dict[str, Any]:
    """Items by key, in their order, without the mark of the primary one: that is merged apart."""
    return {key(item): _marked(item, False) for item in items}


def _marked(item: Any, primary: bool) -> Any:
    return item if getattr(item, "primary", primary) == primary else replace(item, primary=primary)


def _names(record: Any) -> list[str]:
    return [item.name for item in fields(record)]


def changed_fields(before: T, after: T) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, with both values."""
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in _names(before))
    return {name: (old, new) for name, old, new in pairs if old != new}


def overwrites(before: T, after: T, policy: Policy[T]) -> bool:
    """Whether something that was there, and counts, is changed or taken away; adding is not overwriting."""
    for name, (old, new) in changed_fields(policy.weighed(before), policy.weighed(after)).items():
        key = policy.lists.get(name)
        if key is None:
            if old:
                return True
        elif not _by_key(old, key).items() <= _by_key(new, key).items():
            return True
    return False
