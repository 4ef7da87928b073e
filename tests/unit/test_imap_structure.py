"""BODYSTRUCTURE is a hint: it names attachments when it makes sense and never raises when it does not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ports import Structure
from providers.protocols.imap_structure import MAX_NAME, MAX_PARTS, PART_OVERHEAD, read_structure
from providers.protocols.imap_tokens import Value, parse_list

TEXT = '("text" "plain" ("charset" "utf-8") NIL NIL "7bit" 100 3 NIL NIL NIL)'
HTML = '("TEXT" "HTML" NIL NIL NIL "8bit" 900 30)'


def structure(text: str) -> Structure | None:
    return read_structure(parse_list([text.encode()]))


def only_name(params: str, disposition: str = "NIL") -> str:
    found = structure(f'("application" "pdf" {params} NIL NIL "base64" 10 NIL {disposition} NIL)')
    assert found is not None
    return found.attachments[0].filename


def test_a_plain_message_has_no_attachments_and_text_to_its_end() -> None:
    assert structure(TEXT) == Structure((), 100 + PART_OVERHEAD)


def test_the_parts_of_a_mixed_message_are_numbered_as_they_are_fetched() -> None:
    pdf = '("application" "PDF" ("name" "a.pdf") "<cid@x>" NIL "base64" 5000 NIL (NIL ("filename" "b.pdf")) NIL)'
    found = structure(f'((({TEXT} {HTML} "alternative") {pdf} "related") {pdf} "mixed" ("boundary" "x"))')
    assert found is not None
    assert [(a.section, a.filename, a.content_type, a.size, a.content_id) for a in found.attachments] == [
        ("1.2", "b.pdf", "application/pdf", 5000, "cid@x"),
        ("2", "b.pdf", "application/pdf", 5000, "cid@x"),
    ]
    assert found.text_end == 1000 + 2 * PART_OVERHEAD


def test_text_behind_an_attachment_counts_with_the_attachment() -> None:
    found = structure(f'(("image" "png" NIL NIL NIL "base64" 5000) {TEXT} "mixed")')
    assert found is not None
    assert found.text_end == 5100 + 2 * PART_OVERHEAD


def test_a_text_sent_as_attachment_is_one() -> None:
    found = structure('("text" "plain" NIL NIL NIL "7bit" 10 1 NIL ("attachment" ("filename" "notes.txt")) NIL)')
    assert found is not None
    assert (found.attachments[0].filename, found.text_end) == ("notes.txt", 0)


def test_a_forwarded_message_is_one_attachment_with_its_own_disposition() -> None:
    envelope = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
    found = structure(
        f'("message" "rfc822" NIL NIL NIL "7bit" 400 {envelope} ({TEXT} {TEXT} "mixed") 20 NIL'
        ' ("attachment" ("filename" "f.eml")) NIL)'
    )
    assert found is not None
    assert [(a.section, a.filename, a.size) for a in found.attachments] == [("1", "f.eml", 400)]


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ('("name" "a.pdf")', "a.pdf"),
        ('("name" "=?utf-8?q?=C3=BC.pdf?=")', "ü.pdf"),
        ('("name" "=?utf-8?b?a?=")', "=?utf-8?b?a?="),
        ('("name" "=?nope?q?a?=")', "=?nope?q?a?="),
        ('("name*" "utf-8\'\'%C3%BC.pdf")', "ü.pdf"),
        ('("name*" "iso-8859-1\'de\'%FC.pdf")', "ü.pdf"),
        ('("name*0*" "utf-8\'\'%C3" "name*1*" "%BC.p" "name*2" "df%20")', "ü.pdf%20"),
        ('("name*0" "long" "name*1" "er.pdf")', "longer.pdf"),
        ('("name*0" "it\'s 100%25.pdf")', "it's 100%25.pdf"),
        ('("name*" "nope\'\'a%20b")', "a b"),
        ('("name*" "idna\'\'a")', "a"),
        ('("name*" "undefined\'\'a")', "a"),
        ('("name*" "hex\'\'a")', "a"),
        ('("name*" "\'\'a%00b")', "a_b"),
        ('("name*" "a")', "a"),
        ('("name" "../../etc/passwd")', "_.._etc_passwd"),
        ('("name" NIL)', ""),
        ("(NIL NIL)", ""),
        ('("name")', ""),
        ("NIL", ""),
    ],
)
def test_a_file_name_is_decoded_and_made_harmless(params: str, name: str) -> None:
    assert only_name(params) == name


def test_the_name_in_the_disposition_goes_first() -> None:
    assert only_name('("name" "a")', '("attachment" ("filename" "b"))') == "b"


def test_a_name_is_cut_to_a_length() -> None:
    assert len(only_name(f'("name" "{"x" * 9999}")')) == MAX_NAME


@pytest.mark.parametrize("text", ["()", '("text")', '("a" "b" NIL NIL NIL "c")', "(NIL)", "(() ())", '((NIL) "mixed")'])
def test_what_makes_no_sense_gives_nothing(text: str) -> None:
    assert structure(text) is None


def test_parts_are_counted_to_a_limit() -> None:
    image = '("image" "png" NIL NIL NIL "base64" 1)'
    found = structure(f'({image * (MAX_PARTS + 50)} "mixed")')
    assert found is not None
    assert len(found.attachments) == MAX_PARTS


@pytest.mark.parametrize(
    "name",
    ["=?a?q?" * 200_000, "=?utf-8?b?" + "A" * 1_000_001 + "?=", "=?" * 500_000],
    ids=["words", "base64", "starts"],
)
def test_a_name_made_to_cost_time_costs_little(name: str) -> None:
    started = time.process_time()
    only_name(f'("name" "{name}")')
    only_name(f'("name*" "punycode\'\'{"a" * 1_000_000}")')
    assert time.process_time() - started < 2


_atom = st.one_of(st.none(), st.sampled_from([b"text", b"plain", b"message", b"rfc822", b"7", b"name*"]), st.binary())
_value: st.SearchStrategy[Value] = st.recursive(_atom, lambda inner: st.lists(inner, max_size=10), max_leaves=40)


@given(_value)
def test_no_value_raises(value: Value) -> None:
    read_structure(value)


@given(st.dictionaries(st.sampled_from(["name", "name*", "name*0", "name*0*", "name*1", "name*1*"]), st.binary()))
def test_no_parameters_raise(params: dict[str, bytes]) -> None:
    flat: list[Value] = []
    for key, item in params.items():
        flat += [key.encode(), item]
    found = read_structure([b"image", b"png", flat, None, None, b"base64", b"1"])
    assert found is not None
    assert not set(found.attachments[0].filename) & set("\0\r\n/\\")
