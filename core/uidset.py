"""Sets of IMAP UIDs as sorted, disjoint ranges (RFC 9051 sequence-set), with the algebra that planning needs."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_UID = 2**32 - 1


@dataclass(frozen=True, slots=True)
class UidSet:
    """An immutable set of UIDs. `ranges` are inclusive (first, last) pairs, ascending, with gaps between them."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, uids: Iterable[int]) -> UidSet:
        """The set of single UIDs, in any order."""
        return cls.of_ranges((uid, uid) for uid in uids)

    @classmethod
    def of_ranges(cls, ranges: Iterable[tuple[int, int]]) -> UidSet:
        """The union of inclusive ranges, in any order; empty ones (last < first) are dropped."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(pair for pair in ranges if pair[0] <= pair[1]):
            if merged and first <= merged[-1][1] + 1:
                if last > merged[-1][1]:
                    merged[-1] = (merged[-1][0], last)
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    @classmethod
    def span(cls, first: int, last: int) -> UidSet:
        """The inclusive range, empty when last < first."""
        return cls(((first, last),)) if first <= last else cls()

    @classmethod
    def parse(cls, text: str) -> UidSet:
        """Read `1:5,9`. Raises ValueError on anything else, `*` included."""
        if not text:
            return cls()
        pairs = []
        for part in text.split(","):
            first, colon, last = part.partition(":")
            # int() alone would also take signs, blanks, underscores and foreign digits.
            if not (first.isascii() and first.isdigit() and (not colon or (last.isascii() and last.isdigit()))):
                raise ValueError(f"not a UID set: {text[:80]!r}")
            low, high = int(first), int(last) if colon else int(first)
            pairs.append((min(low, high), max(low, high)))
        if any(low < 1 or high > MAX_UID for low, high in pairs):
            raise ValueError(f"not a UID set: {text[:80]!r}")
        return cls.of_ranges(pairs)

    def __str__(self) -> str:
        return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def descending(self) -> Iterator[int]:
        """Highest UID first."""
        for first, last in reversed(self.ranges):
            yield from range(last, first - 1, -1)

    def __contains__(self, uid: int) -> bool:
        at = bisect_right(self.ranges, uid, key=lambda pair: pair[0]) - 1
        return at >= 0 and uid <= self.ranges[at][1]

    def __or__(self, other: UidSet) -> UidSet:
        return UidSet.of_ranges((*self.ranges, *other.ranges))

    def __and__(self, other: UidSet) -> UidSet:
        return UidSet.of_ranges(self._common(other))

    def _common(self, other: UidSet) -> Iterator[tuple[int, int]]:
        for first, last in self.ranges:
            at = bisect_left(other.ranges, first, key=lambda pair: pair[1])
            while at < len(other.ranges) and other.ranges[at][0] <= last:
                low, high = other.ranges[at]
                yield max(first, low), min(last, high)
                at += 1

    def __sub__(self, other: UidSet) -> UidSet:
        kept: list[tuple[int, int]] = []
        for first, last in self.ranges:
            at = bisect_left(other.ranges, first, key=lambda pair: pair[1])
            while at < len(other.ranges) and other.ranges[at][0] <= last:
                low, high = other.ranges[at]
                if first < low:
                    kept.append((first, low - 1))
                first = high + 1
                at += 1
            if first <= last:
                kept.append((first, last))
        return UidSet(tuple(kept))

    @property
    def highest(self) -> int:
        """The greatest UID, 0 when empty."""
        return self.ranges[-1][1] if self.ranges else 0

    @property
    def lowest(self) -> int:
        """The least UID, 0 when empty."""
        return self.ranges[0][0] if self.ranges else 0

    def pieces(self, limit: int) -> Iterator[str]:
        """The set as wire text in pieces of at most `limit` characters (servers cap the argument's length)."""
        piece = ""
        for first, last in self.ranges:
            part = str(first) if first == last else f"{first}:{last}"
            if piece and len(piece) + 1 + len(part) > limit:
                yield piece
                piece = ""
            piece = f"{piece},{part}" if piece else part
        if piece:
            yield piece
