"""A UID set reads and writes RFC 9051 sequence-sets, and refuses whatever is not one."""

from __future__ import annotations

import pytest

from core.uidset import MAX_UID, UidSet


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("", ()),
        ("7", ((7, 7),)),
        ("1:5,9", ((1, 5), (9, 9))),
        ("9,1:5", ((1, 5), (9, 9))),
        ("5:1", ((1, 5),)),
        ("1:3,4:6", ((1, 6),)),
        ("1:9,3:4", ((1, 9),)),
        ("3,3,3", ((3, 3),)),
        (f"1:{MAX_UID}", ((1, MAX_UID),)),
    ],
)
def test_a_sequence_set_is_read_in_any_order_and_joined(text: str, ranges: tuple[tuple[int, int], ...]) -> None:
    assert UidSet.parse(text).ranges == ranges


@pytest.mark.parametrize(
    "text",
    ["*", "1:*", "a", "1,,2", ",1", "1,", "1:", ":1", "1:2:3", "0", "0:5", str(MAX_UID + 1), "-1", "+1", " 1", "1 ",
     "1_0", "\u0661", "\u00b2", "1\n", "9" * 5000],
)  # fmt: skip
def test_what_is_no_sequence_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        UidSet.parse(text)


def test_a_set_is_written_as_it_is_read() -> None:
    assert str(UidSet.of([9, 1, 2, 3, 5, 2])) == "1:3,5,9"
    assert str(UidSet()) == ""


def test_the_whole_number_space_costs_nothing() -> None:
    everything = UidSet.span(1, MAX_UID)
    assert len(everything) == MAX_UID
    assert (everything - UidSet.of([1, 1000, MAX_UID])).ranges == ((2, 999), (1001, MAX_UID - 1))
    assert MAX_UID in everything
    assert next(everything.descending()) == MAX_UID


def test_a_range_that_ends_before_it_begins_is_empty() -> None:
    assert not UidSet.span(5, 4)
    assert UidSet.of_ranges([(5, 4), (1, 1)]) == UidSet.of([1])


def test_the_ends_of_a_set_are_known_and_zero_when_it_is_empty() -> None:
    assert (UidSet.of([4, 9]).lowest, UidSet.of([4, 9]).highest) == (4, 9)
    assert (UidSet().lowest, UidSet().highest) == (0, 0)


def test_pieces_keep_to_the_limit_and_lose_nothing() -> None:
    odd = UidSet.of(range(1, 4000, 2))
    pieces = list(odd.pieces(100))
    assert max(len(piece) for piece in pieces) <= 100
    assert UidSet.of_ranges(pair for piece in pieces for pair in UidSet.parse(piece).ranges) == odd
    assert list(UidSet().pieces(100)) == []


def test_a_single_range_longer_than_the_limit_still_goes_out() -> None:
    assert list(UidSet.of([1000, 2000]).pieces(1)) == ["1000", "2000"]
