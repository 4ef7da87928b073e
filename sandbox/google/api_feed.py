"""PRETENDS the lagging index behind list calls: a copy of the truth into which writes arrive late.
Knows versions by name and number only; what they are, and the truth itself, is left to the APIs."""

from __future__ import annotations

import heapq
from datetime import datetime
from typing import Generic, Protocol, TypeVar


class Version(Protocol):
    """One immutable state of a contact, group or event."""

    @property
    def name(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def deleted(self) -> bool: ...


V = TypeVar("V", bound=Version)


class Feed(Generic[V]):
    """What list calls see, and in which order it came to be seen. The caller holds the lock."""

    def __init__(self) -> None:
        self._seen: dict[str, V] = {}
        self._arrived: list[str] = []
        self._coming: list[tuple[datetime, int, V]] = []

    def write(self, version: V, visible: datetime) -> None:
        """Let `version` arrive at the time `visible`."""
        heapq.heappush(self._coming, (visible, version.number, version))

    def drop(self, name: str) -> None:
        """Let a name vanish at once, without a trace for those who follow changes."""
        self._seen.pop(name, None)
        self._coming = [entry for entry in self._coming if entry[2].name != name]
        heapq.heapify(self._coming)

    def advance(self, now: datetime) -> int:
        """Take in what has become visible; returns the position up to which changes are now known."""
        while self._coming and self._coming[0][0] <= now:
            version = heapq.heappop(self._coming)[2]
            known = self._seen.get(version.name)
            # Overtaken by a later write that had a shorter way.
            if known is None or known.number < version.number:
                self._seen[version.name] = version
                self._arrived.append(version.name)
        return len(self._arrived)

    def living(self) -> list[V]:
        """Everything visible and not deleted."""
        return [version for version in self._seen.values() if not version.deleted]

    def everything(self) -> list[V]:
        """Everything visible, deleted or not."""
        return list(self._seen.values())

    def since(self, position: int) -> list[V]:
        """The present state of everything that changed after `position`, deletions included."""
        names = dict.fromkeys(self._arrived[position:])
        return [self._seen[name] for name in names if name in self._seen]
