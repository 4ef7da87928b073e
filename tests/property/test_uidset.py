"""The algebra of UID sets is that of Python's sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.uidset import UidSet

_uids = st.sets(st.integers(1, 60))
_ranges = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=12)


def is_normal(found: UidSet) -> bool:
    """No range is empty, and each begins after a gap behind the one before."""
    return all(first <= last for first, last in found.ranges) and all(
        later[0] > earlier[1] + 1 for earlier, later in zip(found.ranges, found.ranges[1:], strict=False)
    )


def check(found: UidSet, expected: set[int]) -> None:
    assert set(found) == expected
    assert is_normal(found)
    assert found == UidSet.of(expected)


@given(_uids, _uids)
def test_union_intersection_and_difference_agree_with_sets(left: set[int], right: set[int]) -> None:
    a, b = UidSet.of(left), UidSet.of(right)
    check(a | b, left | right)
    check(a & b, left & right)
    check(a - b, left - right)


@given(_uids)
def test_size_order_and_membership_agree_with_sets(uids: set[int]) -> None:
    found = UidSet.of(uids)
    assert len(found) == len(uids)
    assert bool(found) == bool(uids)
    assert list(found) == sorted(uids)
    assert list(found.descending()) == sorted(uids, reverse=True)
    assert all((uid in found) == (uid in uids) for uid in range(62))
    assert (found.lowest, found.highest) == (min(uids, default=0), max(uids, default=0))


@given(_ranges)
def test_ranges_in_any_order_with_overlaps_become_one_set(ranges: list[tuple[int, int]]) -> None:
    check(UidSet.of_ranges(ranges), {uid for first, last in ranges for uid in range(first, last + 1)})


@given(_uids, st.integers(1, 30))
def test_text_and_pieces_give_back_the_set(uids: set[int], limit: int) -> None:
    found = UidSet.of(uids)
    assert UidSet.parse(str(found)) == found
    pieces = list(found.pieces(limit))
    assert [uid for piece in pieces for uid in UidSet.parse(piece)] == sorted(uids)
    assert all(len(piece) <= limit or "," not in piece for piece in pieces)
