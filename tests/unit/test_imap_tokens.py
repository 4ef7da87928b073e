"""FETCH answers become values, whatever quoting the server uses; hostile ones are refused in little time."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.protocols.imap_tokens import (
    MAX_DEPTH,
    MAX_TOKENS,
    Malformed,
    Value,
    fetch_items,
    head_of,
    internal_date,
    number,
    parse_list,
    text_set,
    usual_items,
)

LIMIT = 8_000_000


def test_the_items_of_a_fetch_come_by_upper_case_name() -> None:
    items = fetch_items([b'* 3 FETCH (uid 9 FLAGS (\\Seen $x) RFC822.SIZE 12 INTERNALDATE "x" MODSEQ (5))\r\n'])
    assert items == {
        b"UID": b"9",
        b"FLAGS": [b"\\Seen", b"$x"],
        b"RFC822.SIZE": b"12",
        b"INTERNALDATE": b"x",
        b"MODSEQ": [b"5"],
    }


def test_a_literal_is_taken_as_it_is() -> None:
    parts = [b"* 3 FETCH (UID 9 BODY[]<0> {14}\r\n", b') BAD "(\r\n{99}\r\n', b" X NIL)\r\n"]
    assert fetch_items(parts) == {b"UID": b"9", b"BODY[]<0>": parts[1], b"X": None}


def test_an_empty_literal_is_an_empty_value() -> None:
    assert fetch_items([b"* 3 FETCH (BODY[] {0}\r\n", b"", b" UID 9)\r\n"]) == {b"BODY[]": b"", b"UID": b"9"}


def test_a_section_with_blanks_and_parentheses_is_one_name() -> None:
    items = fetch_items([b"* 1 FETCH (BODY[HEADER.FIELDS (DATE FROM)] {2}\r\n", b"ab", b" body[1.2]<0> NIL)\r\n"])
    assert items == {b"BODY[HEADER.FIELDS (DATE FROM)]": b"ab", b"BODY[1.2]<0>": None}


def test_labels_without_quotes_stay_text() -> None:
    line = b'* 1 FETCH (X-GM-LABELS ("\\\\Inbox" [Mailbox] Web[x]y 2024 "a \\"b\\"" "NIL"))\r\n'
    (labels,) = fetch_items([line]).values()
    assert labels == [b"\\Inbox", b"[Mailbox]", b"Web[x]y", b"2024", b'a "b"', b"NIL"]


def test_nil_is_none_only_without_quotes() -> None:
    assert parse_list([b'(NIL nil "NIL" {3}\r\n', b"NIL", b")"]) == [None, None, b"NIL", b"NIL"]


@pytest.mark.parametrize(
    "parts",
    [
        [b"* 1 FETCH (UID 1\r\n"],
        [b"* 1 FETCH UID 1)\r\n"],
        [b"* 1 FETCH (UID)\r\n"],
        [b"* 1 FETCH ((UID) 1)\r\n"],
        [b"* 1 FETCH (NIL 1)\r\n"],
        [b"* 1 FETCH\r\n"],
        [b'* 1 FETCH (UID "1)\r\n'],
        [b""],
        [],
    ],
)
def test_what_breaks_the_grammar_is_malformed(parts: Sequence[bytes]) -> None:
    with pytest.raises(Malformed):
        fetch_items(parts)


def test_nesting_is_followed_to_a_limit() -> None:
    depth = MAX_DEPTH - 1
    assert parse_list([b"(" * depth + b")" * depth])
    with pytest.raises(Malformed, match="deeply"):
        parse_list([b"(" * 100_000 + b")" * 100_000])


def test_values_are_read_to_a_limit() -> None:
    with pytest.raises(Malformed, match="too many"):
        parse_list([b"(" + b"a " * (MAX_TOKENS + 1) + b")"])


@pytest.mark.parametrize(
    "line",
    [
        b'* 1 FETCH ("' + b'\\"' * (LIMIT // 2) + b")\r\n",
        b'* 1 FETCH ("' + b"a" * LIMIT + b")\r\n",
        b'* 1 FETCH (A "' + b'a\\"' * (LIMIT // 3) + b'")\r\n',
        b'* 1 FETCH (A "' + b"\\" * LIMIT + b'")\r\n',
        b"* 1 FETCH (" + b"BODY[ " * (LIMIT // 6) + b")\r\n",
        b"* 1 FETCH (" + b"BODY[" * (LIMIT // 5) + b")\r\n",
        b"* 1 FETCH (" + b"BODY[]<0 " * (LIMIT // 9) + b")\r\n",
        b"* 1 FETCH (" + b"{1" * (LIMIT // 2) + b")\r\n",
        b"* 1 FETCH (" + b" " * LIMIT + b")\r\n",
        b"* 1 FETCH (" + b'"" ' * (LIMIT // 3) + b")\r\n",
        b"* 1 FETCH (" + b"()" * (LIMIT // 2) + b")\r\n",
        b"* 1 FETCH (A " + b"9" * LIMIT + b")\r\n",
    ],
    ids=["open escapes", "open quote", "escapes", "backslashes", "sections", "one section", "partials", "literals",
         "blanks", "empty strings", "empty lists", "a number"],
)  # fmt: skip
def test_the_longest_line_in_the_worst_shape_takes_little_time_and_memory(line: bytes) -> None:
    tracemalloc.start()
    started = time.process_time()
    try:
        fetch_items([line])
    except Malformed:
        pass
    finally:
        took, peak = time.process_time() - started, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert took < 5
    assert peak < 5 * LIMIT


@pytest.mark.parametrize(
    ("value", "read"),
    [(b"0", 0), (b"42", 42), (b"-1", 0), (b"1e3", 0), (b"", 0), (None, 0), ([b"1"], 0), (b"9" * 5000, 0),
     (str(2**63 - 1).encode(), 2**63 - 1), (str(2**63).encode(), 0), ("٣".encode(), 0)],
)  # fmt: skip
def test_a_number_is_decimal_and_fits_in_63_bits(value: Value, read: int) -> None:
    assert number(value) == read


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"17-Jul-1996 02:44:25 -0700", datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC)),
        (b" 1-Feb-2026 00:00:00 +0530", datetime(2026, 1, 31, 18, 30, tzinfo=UTC)),
        (b"1-feb-2026 00:00:60 +0000", datetime(2026, 2, 1, 0, 0, 59, tzinfo=UTC)),
    ],
)
def test_an_internal_date_is_utc(text: bytes, moment: datetime) -> None:
    assert internal_date(text) == moment


@pytest.mark.parametrize(
    "value",
    [None, [], b"", b"NIL", b"31-Feb-2026 00:00:00 +0000", b"01-Jan-0000 00:00:00 +0000", b"01-Jan-0001 00:00:00 +1200",
     b"31-Dec-9999 23:00:00 -1200", b"01-Jan-2026 24:00:00 +0000", b"01-Jan-2026 00:00:00 +9999",
     b"01-Foo-2026 00:00:00 +0000",
     b"2026-01-01T00:00:00Z", b"x" * 100_000],
)  # fmt: skip
def test_a_date_that_cannot_be_is_none(value: Value) -> None:
    assert internal_date(value) is None


def test_a_head_takes_what_is_there_and_leaves_the_rest_zero() -> None:
    head = head_of({}, None)
    assert (head.uid, head.flags, head.labels, head.size, head.modseq, head.header) == (0, frozenset(), None, 0, 0, b"")
    assert head.internal_date is None


def test_a_head_reads_every_item() -> None:
    numbers = b"MODSEQ (77) RFC822.SIZE 5 X-GM-MSGID 18446744073709551615 X-GM-THRID 3"
    begin = b"* 2 FETCH (UID 9 FLAGS (\\Seen \\Recent) " + numbers + b" BODY[HEADER.FIELDS (DATE)] {4}\r\n"
    line = [begin, b"Date", b")\r\n"]
    head = head_of(fetch_items(line), frozenset({"a"}))
    assert (head.uid, head.flags, head.labels) == (9, frozenset({"\\Seen"}), frozenset({"a"}))
    assert (head.size, head.modseq) == (5, 77)
    assert (head.gm_msgid, head.gm_thrid, head.header) == (2**64 - 1, 3, b"Date")


@pytest.mark.parametrize("uid", [b"0", b"4294967296", b"-1", b"x", None])
def test_a_uid_out_of_range_is_no_uid(uid: Value) -> None:
    assert head_of({b"UID": uid}, None).uid == 0


def test_numbers_that_no_database_column_holds_are_dropped() -> None:
    huge = b"9" * 20
    head = head_of({b"RFC822.SIZE": huge, b"MODSEQ": [huge], b"X-GM-MSGID": huge, b"X-GM-THRID": huge}, None)
    assert (head.size, head.modseq, head.gm_msgid, head.gm_thrid) == (0, 0, 0, 0)


def test_flags_that_are_not_text_or_hold_nul_are_skipped() -> None:
    assert text_set([b"\\Seen", None, [b"x"], b"a\0b", b"\xff"]) == {"\\Seen", "\ufffd"}
    assert text_set(b"\\Seen") == frozenset()


def test_many_long_flags_are_not_kept_in_memory() -> None:
    tracemalloc.start()
    for turn in range(200):
        text_set([b"x" * 100_000 + b"%d" % turn])
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 2_000_000


_item = st.sampled_from(
    ["UID 7", "RFC822.SIZE 12", "FLAGS ()", "FLAGS (\\Seen $x)", "MODSEQ (5)", "X-GM-MSGID 9",
     "UID 99999999999999999999",
     'INTERNALDATE "17-Jul-1996 02:44:25 -0700"', "FLAGS (\\Seen", "UID NIL", "uid 8", 'X-GM-LABELS ("a")', "UID", ")",
     'INTERNALDATE "a\\"b"', "MODSEQ 5", 'FLAGS ("a")']
)  # fmt: skip


@given(st.lists(_item, max_size=6), st.none() | st.binary(max_size=6), st.lists(_item, max_size=4))
def test_the_quick_reader_gives_the_same_as_the_thorough_one_or_nothing(
    before: list[str], body: bytes | None, after: list[str]
) -> None:
    line = "* 3 FETCH (" + " ".join(before)
    if body is None:
        parts = [f"{line})\r\n".encode()]
    else:
        announced = f"{line}{' ' if before else ''}BODY[]<0> {{{len(body)}}}\r\n"
        parts = [announced.encode(), body, "".join(f" {item}" for item in after).encode() + b")\r\n"]
    quick = usual_items(parts)
    assert quick is None or quick == fetch_items(parts)


_piece = st.sampled_from([b"(", b")", b'"', b"\\", b" ", b"{3}\r\n", b"BODY[", b"]", b"<0>", b"NIL", b"7", b"\r\n"])


@given(st.lists(st.one_of(st.lists(_piece, max_size=12).map(b"".join), st.binary(max_size=12)), max_size=6))
def test_any_bytes_give_values_or_malformed_and_nothing_else(parts: list[bytes]) -> None:
    try:
        head_of(fetch_items(parts), None)
    except Malformed:
        return


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\r\n\0"), max_size=20), max_size=6))
def test_quoted_strings_come_back_as_they_were(texts: list[str]) -> None:
    quoted = " ".join('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)
    assert parse_list([f"({quoted})\r\n".encode()]) == [text.encode() for text in texts]
