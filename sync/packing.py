"""Packs parsed windows: compressed bytes in one pack, heads as JSON between processes, and reads packs back.
Parsing is `parse`; where packs are kept is the caller's choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson
import zstandard

from core.errors import ItemRejected
from core.packs import ParsedItem, ParsedWindow, RawMail, Slice
from core.types import Address, AddressRole, Attachment, CalendarPart, ParsedMail

MAX_UNPACKED = 256 * 1024 * 1024
SNIPPET = 160

# Where a row as it travels has the two values that JSON cannot carry.
_SENT_AT = ParsedItem._fields.index("sent_at")
_RAW = ParsedItem._fields.index("raw")


def new_compressor() -> zstandard.ZstdCompressor:
    """Level 1: the cheapest that still saves a third (a compressor must never be shared by threads)."""
    return zstandard.ZstdCompressor(level=1)


def pack_head(mail: ParsedMail, raw: tuple[int, int], text: tuple[int, int]) -> list[Any]:
    """One message as a JSON row: the fields of a `ParsedItem` in their order."""
    sender = next((one for one in mail.addresses if one.role is AddressRole.FROM), None)
    refs = [*mail.references, mail.in_reply_to] if mail.in_reply_to else mail.references
    return [
        mail.message_id,
        mail.date_header,
        list(dict.fromkeys(refs)) if refs else (),
        mail.subject,
        _shown(sender) if sender else "",
        sender.key if sender else "",
        [(one.role, one.name, one.email) for one in mail.addresses],
        _roles(mail.addresses),
        mail.sent_at,
        snippet_of(mail.text),
        mail.text_complete,
        [attachment_json(one) for one in mail.attachments] if mail.attachments else (),
        calendar_json(mail.calendar),
        sorted(mail.marks) if mail.marks else (),
        mail.defects,
        raw,
        text,
    ]


def _shown(address: Address) -> str:
    return f"{address.name} <{address.email}>" if address.name else address.email


def _roles(addresses: Sequence[Address]) -> dict[str, str]:
    """The roles of each address, each once: `from to`."""
    found: dict[str, str] = {}
    for one in addresses:
        if one.key and found.setdefault(one.key, one.role.value) != one.role.value:
            found[one.key] = " ".join(dict.fromkeys((*found[one.key].split(" "), one.role.value)))
    return found


def attachment_json(attachment: Attachment) -> dict[str, Any]:
    """An attachment as it is kept in a message row and shown by `--json`."""
    return {
        "section": attachment.section,
        "filename": attachment.filename,
        "content_type": attachment.content_type,
        "size": attachment.size,
        "disposition": attachment.disposition,
        "content_id": attachment.content_id,
    }


def calendar_json(calendar: CalendarPart | None) -> dict[str, Any] | None:
    """An invitation as it is kept in a message row."""
    if calendar is None:
        return None
    return {
        "method": calendar.method,
        "uid": calendar.uid,
        "sequence": calendar.sequence,
        "recurrence_id": calendar.recurrence_id,
    }


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
        rows.append(pack_head(mail, (at, len(raw)), (at + len(raw), len(text))))
        pieces += (raw, text)
        at += len(raw) + len(text)
    return orjson.dumps(rows), pieces


def read_window(heads: bytes, pack: bytes) -> ParsedWindow:
    """The other end of `pack_messages`. Raises ValueError for data that does not have its shape."""
    try:
        return ParsedWindow(pack, tuple([_item(row) for row in orjson.loads(heads)]))
    except (TypeError, LookupError, OverflowError) as error:
        raise ValueError("a parsed window has another shape") from error


def _item(row: list[Any]) -> ParsedItem:
    if sent_at := row[_SENT_AT]:
        row[_SENT_AT] = datetime.fromisoformat(sent_at)
    row[_RAW:] = [Slice._make(where) for where in row[_RAW:]]
    return ParsedItem._make(row)


def join_windows(windows: Sequence[ParsedWindow]) -> ParsedWindow:
    """Several windows as one, slices moved accordingly."""
    items: list[ParsedItem] = []
    base = 0
    for window in windows:
        for item in window.items:
            raw = Slice(base + item.raw.offset, item.raw.length)
            text = Slice(base + item.text.offset, item.text.length)
            items.append(item._replace(raw=raw, text=text))
        base += len(window.pack)
    return ParsedWindow(b"".join(window.pack for window in windows), tuple(items))


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
