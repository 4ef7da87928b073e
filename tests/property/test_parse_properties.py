from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import astuple
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import core.addresses
import sync.mail_fields
import sync.mime_body
import sync.mime_calendar
import sync.mime_charsets
import sync.mime_headers
import sync.mime_text
import sync.parse
from core.addresses import MAX_ADDRESS, address_key
from core.packs import RawMail
from core.types import ParsedMail
from sync.mail_fields import MAX_ADDRESSES, MAX_ID, MAX_NAME, MAX_REFERENCES, message_ids, read_addresses, sent_at
from sync.mime_body import MAX_PARTS
from sync.mime_calendar import read_calendar
from sync.mime_charsets import decode_bytes
from sync.mime_headers import MAX_FILENAME, MAX_SUBJECT, unstructured, with_parameters
from sync.mime_text import MAX_TEXT, html_to_text
from sync.packing import unpack_raw, unpack_text
from sync.parse import parse_mail
from sync.parser_process import InProcessParser
from tests.support.mail_corpus import small_corpus

_PIECES = (
    b"From: ann@example.org", b"To: \"a\" <b@c>, d@e", b"Subject: =?utf-8?q?x=C3?=", b"Content-Type: ", b"text/plain",
    b"text/html", b"multipart/mixed", b"multipart/alternative", b"message/rfc822", b"text/calendar", b"; boundary=b",
    b"; charset=utf-16", b"; charset=\"iso-2022-jp\"", b"; name*0*=utf-8''%00", b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable", b"Content-Disposition: attachment; filename=x", b"Date: ",
    b"Sat, 21 Nov 2026 10:00:00 +0100", b"References: <a@b> <c", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"--b", b"--b--",
    b"\r\n--b\r\n", b" ", b"\t", b"\x00", b"\xff", b"\xd0", b"<p>", b"</p>", b"&#xD800;", b"=3D", b"=\r\n", b"SGVsbG8=",
    b"BEGIN:VEVENT", b"UID:", b"<", b">", b"\"", b"(", b")", b":", b";", b",", b"=?", b"?=", b"\x1b$B",
)  # fmt: skip
_mail = st.one_of(
    st.binary(max_size=400),
    st.lists(st.one_of(st.sampled_from(_PIECES), st.binary(max_size=8)), max_size=60).map(b"".join),
)


def strings_of(mail: ParsedMail) -> list[tuple[str, int]]:
    """Every string of a parsed message with its cap."""
    found = [
        (mail.message_id, MAX_ID),
        (mail.in_reply_to, MAX_ID),
        (mail.subject, MAX_SUBJECT),
        (mail.date_header, 200),
    ]
    found += [(one, MAX_ID) for one in mail.references]
    found.append((mail.text, MAX_TEXT))
    for address in mail.addresses:
        found += [(address.name, MAX_NAME), (address.email, MAX_ADDRESS), (address.key, MAX_ADDRESS)]
    for one in mail.attachments:
        found += [(one.filename, MAX_FILENAME), (one.content_type, 128), (one.disposition, 32), (one.content_id, 255)]
        found.append((one.section, 300))
    if mail.calendar:
        found += [(mail.calendar.method, 32), (mail.calendar.uid, 998), (mail.calendar.recurrence_id, 998)]
    return found


def check(mail: ParsedMail) -> None:
    for text, limit in strings_of(mail):
        assert len(text) <= limit
        assert "\x00" not in text
        text.encode("utf-8")  # raises for a lone surrogate
    assert len(mail.addresses) <= MAX_ADDRESSES
    assert len(mail.attachments) <= MAX_PARTS
    assert len(mail.references) <= MAX_REFERENCES
    assert mail.sent_at is None or mail.sent_at.utcoffset() is not None
    assert all(one.size >= 0 for one in mail.attachments)


@given(raw=_mail, complete=st.booleans())
def test_any_bytes_give_clean_fields(raw: bytes, complete: bool) -> None:
    mail = parse_mail(raw, complete=complete)
    check(mail)
    assert "unparsed" not in mail.defects  # the last resort is for faults nobody has found yet


CORPUS = small_corpus()


@given(name=st.sampled_from(sorted(CORPUS)), seed=st.integers(0, 2**32), complete=st.booleans())
@settings(deadline=None)
def test_mutated_mail_gives_clean_fields(name: str, seed: int, complete: bool) -> None:
    rng = random.Random(seed)
    data = bytearray(CORPUS[name][:20_000])
    for _ in range(rng.randrange(20)):
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.randrange(4)] = rng.choice(_PIECES)
    check(parse_mail(bytes(data), complete=complete))


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_every_corpus_file_is_parsed_in_time_without_the_last_resort(name: str) -> None:
    for complete in (True, False):
        began = time.process_time()
        mail = parse_mail(CORPUS[name], complete=complete)
        assert time.process_time() - began < 2
        check(mail)
        assert "unparsed" not in mail.defects


@given(text=st.text(max_size=400))
def test_an_address_key_is_stable(text: str) -> None:
    key = address_key(text)
    assert address_key(key) == key
    assert address_key(text.upper()) == address_key(text.upper().lower()) or not text.isascii()


@given(raws=st.lists(_mail, max_size=5))
def test_what_is_packed_can_be_read_back(raws: list[bytes]) -> None:
    window = InProcessParser().parse_window([RawMail(raw) for raw in raws])
    assert len(window.items) == len(raws)
    for raw, item in zip(raws, window.items, strict=True):
        mail = parse_mail(raw)
        assert unpack_raw(window.pack, item.raw) == raw
        assert unpack_text(window.pack, item.text) == mail.text
        assert len(item.snippet) <= 160
        keys = dict.fromkeys(one.key for one in mail.addresses if one.key)
        assert item.people == [[one.role, one.name, one.email] for one in mail.addresses]
        assert item.roles == {
            key: " ".join(dict.fromkeys(one.role for one in mail.addresses if one.key == key)) for key in keys
        }
        assert item.sent_at == mail.sent_at
        assert [tuple(one.values()) for one in item.attachments] == [astuple(one) for one in mail.attachments]
        assert item.marks == sorted(mail.marks)
        assert item.refs == list(dict.fromkeys((*mail.references, *filter(None, [mail.in_reply_to]))))


_UNITS = (
    "=", "=?a?q?", "?=", "<", ">", "\"", "\\\"", "\\", "(", ",", ":", ";", "; a=\"", "; a=\"\\", ";a*0*=", " ",
    "\n", "\n ", "a", "a@", "a@b,", "<a@b>", "\"a", "Sat, ", "1 Jan ", "9", "<meta ", "<b", "<div>", "é", "\x00", "&#",
)  # fmt: skip
_READERS: dict[str, Callable[[str], object]] = {
    "addresses": lambda text: list(read_addresses(text)),
    "words": lambda text: unstructured(text.encode("utf-8", "replace")),
    "parameters": lambda text: with_parameters(text.encode("utf-8", "replace")),
    "long parameters": lambda text: sync.mime_headers._PARAM.findall(text),
    "date": sent_at,
    "ids": lambda text: message_ids([text.encode("utf-8", "replace")]),
    "html": lambda text: html_to_text(text, []),
    "calendar": read_calendar,
    "charset": lambda text: decode_bytes(b"x", text),
    "key": address_key,
}


@pytest.mark.parametrize("reader", sorted(_READERS))
def test_readers_are_linear(reader: str) -> None:
    for unit in _UNITS:
        assert_quick(_READERS[reader], unit)


def patterns() -> list[tuple[str, Callable[[str], object]]]:
    """Every regular expression of the parser, applied the way it is used."""
    modules: list[ModuleType] = [
        core.addresses,
        sync.mail_fields,
        sync.mime_body,
        sync.mime_calendar,
        sync.mime_charsets,
        sync.mime_headers,
        sync.mime_text,
        sync.parse,
    ]
    only_at_a_known_place = {"_PLAIN", "_WORD", "_DATE", "_NAME", "_QUOTED", "_ONE_PARAM"}
    found: list[tuple[str, Callable[[str], object]]] = []
    for module in modules:
        for name, one in vars(module).items():
            if isinstance(one, re.Pattern):
                use = one.match if name in only_at_a_known_place else one.findall
                binary = isinstance(one.pattern, bytes)
                found.append((f"{module.__name__}.{name}", _on_bytes(use) if binary else use))
    return found


def _on_bytes(use: Callable[[bytes], object]) -> Callable[[str], object]:
    return lambda text: use(text.encode())


@pytest.mark.parametrize(("name", "use"), patterns())
def test_regular_expressions_are_linear(name: str, use: Callable[[str], object]) -> None:
    assert name
    for unit in _UNITS:
        assert_quick(use, unit)


def assert_quick(read: Callable[[str], object], unit: str) -> None:
    """100 kB in under 50 ms of CPU; the best of three, since other work may disturb one."""
    for text in (unit * (100_000 // len(unit.encode())), unit * (99_000 // len(unit.encode())) + "\x00!<>"):
        best = 1.0
        for _ in range(3):
            began = time.process_time()
            read(text)
            best = min(best, time.process_time() - began)
            if best < 0.05:
                break
        assert best < 0.05, f"{best:.3f} s for 100 kB of {unit!r}"
