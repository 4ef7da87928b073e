"""Windows look at every UID exactly once, newest first, and may be cut off anywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.mailbox import Window, windows
from core.uidset import UidSet

_uids = st.sets(st.integers(1, 80))
_sizes = st.tuples(st.integers(1, 9), st.integers(1, 5))


def cut(pending: UidSet, done: UidSet, uidnext: int, sizes: tuple[int, int]) -> list[Window]:
    return list(windows(pending, done, uidnext, size=sizes[0], first_size=sizes[1]))


def planned(exists: set[int], done: UidSet, uidnext: int) -> UidSet:
    """What a run fetches: what the server lists of that which is not done."""
    return UidSet.of(exists) & UidSet.span(1, uidnext - 1) - done


@given(_uids, _uids, st.integers(1, 90), _sizes)
def test_every_uid_below_uidnext_is_covered_exactly_once(
    exists: set[int], seen: set[int], uidnext: int, sizes: tuple[int, int]
) -> None:
    done = UidSet.of(seen) & UidSet.span(1, uidnext - 1)
    pending = planned(exists, done, uidnext)
    found = cut(pending, done, uidnext, sizes)
    covered = [uid for window in found for uid in window.covers]
    assert sorted(covered) == list(UidSet.span(1, uidnext - 1) - done)
    assert [uid for window in found for uid in window.uids.descending()] == list(pending.descending())
    assert all(not window.uids - window.covers for window in found)
    highest = [window.covers.highest for window in found]
    assert highest == sorted(highest, reverse=True)


@given(_uids, st.integers(1, 90), _sizes)
def test_windows_keep_to_their_sizes(exists: set[int], uidnext: int, sizes: tuple[int, int]) -> None:
    found = cut(planned(exists, UidSet(), uidnext), UidSet(), uidnext, sizes)
    assert all(len(window.uids) <= (sizes[0] if index else sizes[1]) for index, window in enumerate(found))


@given(_uids, st.integers(1, 90), _sizes, st.integers(0, 30), st.integers(0, 10), _uids)
def test_a_run_cut_off_after_any_window_is_taken_up_by_the_next(
    exists: set[int], uidnext: int, sizes: tuple[int, int], stop: int, grown: int, removed: set[int]
) -> None:
    there = {uid for uid in exists if uid < uidnext}
    first = cut(planned(there, UidSet(), uidnext), UidSet(), uidnext, sizes)[:stop]
    done = UidSet.of_ranges(pair for window in first for pair in window.covers.ranges)
    now = (there - removed) | set(range(uidnext, uidnext + grown))
    second = cut(planned(now, done, uidnext + grown), done, uidnext + grown, sizes)
    fetched = [uid for window in first + second for uid in window.uids]
    assert len(fetched) == len(set(fetched))
    assert set(fetched) >= now
    for window in second:
        done |= window.covers
    assert done == UidSet.span(1, uidnext + grown - 1)
