"""Packs parsed windows: compressed bytes in one pack, heads as JSON between processes, and reads packs back.
Parsing is `parse`; where packs are kept is the caller's choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
import zstandard

from core.errors import ItemRejected
from core.packs import ParsedItem, ParsedWindow, RawMail, Slice
from core.types import Address, AddressRole, Attachment, CalendarPart, Mark, ParsedMail

MAX_UNPACKED = 256 * 1024 * 1024
SNIPPET = 160

_ROLES = {role.value: role for role in AddressRole}
_MARKS = {mark.value: mark for mark in Mark}
_NO_MARKS: frozenset[Mark] = frozenset()


def new_compressor() -> zstandard.ZstdCompressor:
    """Level 1: the cheapest that still saves a third (a compressor must never be shared by threads)."""
    return zstandard.ZstdCompressor(level=1)


def pack_head(mail: ParsedMail, slices: tuple[int, int, int, int]) -> list[Any]:
    """One message as a JSON row: every field but the text, then the four numbers of its two slices."""
    calendar = mail.calendar
    return [
        mail.message_id,
        mail.in_reply_to,
        mail.references,
        mail.subject,
        mail.date_header,
        mail.sent_at.timestamp() if mail.sent_at else None,
        [(one.role, one.name, one.email, one.key) for one in mail.addresses],
        mail.text_complete,
        [
            (one.section, one.filename, one.content_type, one.size, one.disposition, one.content_id)
            for one in mail.attachments
        ],
        (calendar.method, calendar.uid, calendar.sequence, calendar.recurrence_id) if calendar else None,
        sorted(mail.marks) if mail.marks else (),
        mail.defects,
        snippet_of(mail.text),
        slices,
    ]


def pack_messages(
    items: Iterable[RawMail], parse: Callable[[RawMail], ParsedMail], compressor: zstandard.ZstdCompressor
) -> tuple[bytes, list[bytes]]:
    """The heads of `items` as one JSON array, and the pieces of their pack: zstd(raw), zstd(text), ..."""
    pieces: list[bytes] = []
    rows: list[list[Any]] = []
    at = 0
    for item in items:
        mail = parse(item)
        raw = compressor.compress(item.data)
        text = compressor.compress(mail.text.encode("utf_8", "replace"))
        rows.append(pack_head(mail, (at, len(raw), at + len(raw), len(text))))
        pieces += (raw, text)
        at += len(raw) + len(text)
    return orjson.dumps(rows), pieces


def read_window(heads: bytes, pack: bytes) -> ParsedWindow:
    """The other end of `pack_messages`. Raises ValueError for data that does not have its shape."""
    try:
        return ParsedWindow(pack, tuple(_item(row) for row in orjson.loads(heads)))
    except (TypeError, KeyError, OverflowError) as error:
        raise ValueError("a parsed window has another shape") from error


def join_windows(windows: Sequence[ParsedWindow]) -> ParsedWindow:
    """Several windows as one, slices moved accordingly."""
    items: list[ParsedItem] = []
    base = 0
    for window in windows:
        for item in window.items:
            raw = Slice(base + item.raw.offset, item.raw.length)
            text = Slice(base + item.text.offset, item.text.length)
            items.append(ParsedItem(item.mail, item.snippet, raw, text))
        base += len(window.pack)
    return ParsedWindow(b"".join(window.pack for window in windows), tuple(items))


@lru_cache(maxsize=4096)
def _address(role: str, name: str, email: str, key: str) -> Address:
    # The people of a mailbox are few: most addresses of a window have been seen before.
    return Address(_ROLES[role], name, email, key)


def _item(row: list[Any]) -> ParsedItem:
    (
        message_id,
        in_reply_to,
        references,
        subject,
        date_header,
        sent,
        addresses,
        text_complete,
        attachments,
        calendar,
        marks,
        defects,
        snippet,
        (raw_at, raw_length, text_at, text_length),
    ) = row
    mail = ParsedMail(
        message_id,
        in_reply_to,
        tuple(references),
        subject,
        date_header,
        None if sent is None else datetime.fromtimestamp(sent, UTC),
        tuple([_address(*one) for one in addresses]),
        "",
        text_complete,
        tuple([Attachment(*one) for one in attachments]) if attachments else (),
        CalendarPart(*calendar) if calendar else None,
        frozenset([_MARKS[mark] for mark in marks]) if marks else _NO_MARKS,
        tuple(defects),
    )
    return ParsedItem(mail, snippet, Slice(raw_at, raw_length), Slice(text_at, text_length))


def snippet_of(text: str) -> str:
    """The first 160 characters of a text, white space collapsed: what a list of messages shows."""
    short = " ".join(text[: 2 * SNIPPET].split())
    if len(short) < SNIPPET < len(text):
        short = " ".join(text[: 8 * SNIPPET].split())
    return short[:SNIPPET].rstrip()


def unpack_raw(pack: bytes, where: Slice, *, limit: int = MAX_UNPACKED) -> bytes:
    """The raw message of a slice. Raises ItemRejected when the slice is damaged or larger than `limit` octets."""
    frame = pack[where.offset : where.offset + where.length]
    try:
        size = zstandard.frame_content_size(frame)
        if len(frame) != where.length or not 0 <= size <= limit:
            raise ItemRejected("a stored message is damaged or larger than allowed")
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=limit)
    except zstandard.ZstdError as error:
        raise ItemRejected("a stored message is damaged") from error


def unpack_text(pack: bytes, where: Slice, *, limit: int = MAX_UNPACKED) -> str:
    """The text of a slice. Raises ItemRejected as `unpack_raw` does."""
    try:
        return unpack_raw(pack, where, limit=limit).decode("utf_8")
    except UnicodeDecodeError as error:
        raise ItemRejected("a stored text is damaged") from error
