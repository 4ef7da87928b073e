"""Finds the parts of a message body and where their bytes lie (RFC 2046), with IMAP section numbers; never raises.
Decoding the text is `mime_text`; the bytes of attachments are never decoded here, archives never opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from sync.mime_charsets import clean_line
from sync.mime_headers import (
    MAX_FILENAME,
    HeaderBlock,
    decode_words,
    read_block,
    small_block_end,
    with_parameters,
)

MAX_PARTS = 500
MAX_MULTIPARTS = 50
MAX_MESSAGES = 10
_MAX_CANDIDATES = 5_000
_SCAN_BYTES = 64 * 1024 * 1024
_UNSAFE_NAME = re.compile(r'[\\/:*?"<>|]+')


class Part(NamedTuple):  # a tuple is built in a third of the time, and every message has two or three
    """One leaf, or one attached message, of the MIME tree.

    `start` and `end` bound its encoded bytes, `ended` is False when the data stopped inside it.
    `alternative` numbers the multipart/alternative it stands in (0: none), `nested` says: inside an attached message.
    """

    section: str
    content_type: str
    params: Mapping[str, str]
    encoding: str
    disposition: str
    filename: str
    content_id: str
    start: int
    end: int
    ended: bool
    alternative: int
    nested: bool


@dataclass(slots=True)
class _Scan:
    """The running totals of one message: what bounds the work."""

    raw: bytes
    hint: str
    parts: list[Part] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    alternatives: int = 0
    candidates: int = 0
    budget: int = _SCAN_BYTES

    def defect(self, code: str) -> None:
        if code not in self.defects:
            self.defects.append(code)


class _Facts(NamedTuple):
    """What the header block of an entity says of its body."""

    kind: str
    params: Mapping[str, str]
    encoding: str
    disposition: str
    filename: str
    content_id: str


class _Place(NamedTuple):
    """Where in the tree an entity stands."""

    section: str
    ended: bool
    multiparts: int = 0
    messages: int = 0
    alternative: int = 0
    digest: bool = False


def find_parts(raw: bytes, block: HeaderBlock, hint: str, *, complete: bool) -> tuple[list[Part], list[str]]:
    """The leaf parts below the message's own header, in order, and defects.

    Section numbers follow RFC 9051 6.4.5.1. An attached message is listed itself, then its parts.
    At most `MAX_PARTS` parts, `MAX_MULTIPARTS` multiparts and `MAX_MESSAGES` messages inside one another:
    what lies deeper stays one opaque part.
    """
    scan = _Scan(raw, hint, budget=_SCAN_BYTES + 4 * len(raw))
    _entity(scan, _facts(block, hint), block.body, len(raw), _Place("", complete))
    return scan.parts, scan.defects


def _facts_at(scan: _Scan, start: int, end: int, *, complete: bool) -> tuple[_Facts, int]:
    """The facts of the entity whose header block is at `start`, and where its body begins."""
    body = small_block_end(scan.raw, start, end)
    if body >= 0:
        head = scan.raw[start:body]
        # A boundary or a file name is hardly ever met again.
        if b"oundary" not in head and b"ame" not in head and head.isascii():
            facts, length = _usual_facts(head)
            return facts, start + length
    block = read_block(scan.raw, start, end, complete=complete)
    return _facts(block, scan.hint), block.body


@lru_cache(maxsize=1024)
def _usual_facts(head: bytes) -> tuple[_Facts, int]:
    # Programs write the header blocks of their text parts alike, word for word.
    block = read_block(head, 0, len(head))
    return _facts(block, ""), block.body


def _facts(block: HeaderBlock, hint: str) -> _Facts:
    fields = block.fields
    kind, params = with_parameters(block.first(b"content-type"), hint)
    disposition = filename = content_id = ""
    if b"content-disposition" in fields:
        disposition, given = with_parameters(block.first(b"content-disposition"), hint)
        filename = given.get("filename", "")
        disposition = clean_line(disposition, 32)
    if b"content-id" in fields:
        content_id = clean_line(block.first(b"content-id")[:998].decode("utf_8", "replace"), 255).strip("<> ")
    encoding = block.first(b"content-transfer-encoding")[:64].decode("latin_1").strip().lower()
    filename = filename or params.get("name", "")
    return _Facts(kind, params, encoding, disposition, _filename(filename) if filename else "", content_id)


def _entity(scan: _Scan, facts: _Facts, body: int, end: int, place: _Place) -> None:
    kind = facts.kind
    if "/" not in kind:
        kind = "message/rfc822" if place.digest and not kind else "text/plain"
    if kind.startswith("multipart/"):
        if _multipart(scan, facts, body, end, place):
            return
        kind = "text/plain"
    part = Part(
        place.section or "1",
        kind,
        facts.params,
        facts.encoding,
        facts.disposition,
        facts.filename,
        facts.content_id,
        body,
        max(end, body),
        place.ended,
        place.alternative,
        place.messages > 0,
    )
    scan.parts.append(part)
    if kind == "message/rfc822" and facts.encoding in ("", "7bit", "8bit", "binary"):
        _message(scan, part, place)


def _message(scan: _Scan, part: Part, place: _Place) -> None:
    """Descends into an attached message: its multipart takes the section of the part itself."""
    if place.messages >= MAX_MESSAGES:
        scan.defect("messages-too-deep")
        return
    if len(scan.parts) >= MAX_PARTS:
        scan.defect("too-many-parts")
        return
    inner = read_block(scan.raw, part.start, part.end, complete=place.ended)
    kind = inner.first(b"content-type").strip().lower()
    below = part.section if kind.startswith(b"multipart/") else f"{part.section}.1"
    _entity(
        scan,
        _facts(inner, scan.hint),
        inner.body,
        part.end,
        _Place(below, place.ended, place.multiparts, place.messages + 1),
    )


def _multipart(scan: _Scan, facts: _Facts, body: int, end: int, place: _Place) -> bool:
    """Reads the children; False when this is no usable multipart and has to count as one leaf."""
    boundary = facts.params.get("boundary", "").rstrip()[:256].encode("utf_8", "replace")
    if place.multiparts >= MAX_MULTIPARTS:
        scan.defect("multiparts-too-deep")
        return False
    if not boundary:
        scan.defect("no-boundary")
        return False
    bounds, closed = _delimited(scan, b"\n--" + boundary, body, end, place.ended)
    if not bounds:
        if place.ended and not closed:
            scan.defect("boundary-not-found")
        return closed or not place.ended
    if not closed and place.ended:
        scan.defect("no-final-boundary")
    alternative = place.alternative
    if facts.kind == "multipart/alternative" and not alternative:
        scan.alternatives += 1
        alternative = scan.alternatives
    prefix = f"{place.section}." if place.section else ""
    digest = facts.kind == "multipart/digest"
    for number, (start, stop) in enumerate(bounds, start=1):
        if len(scan.parts) >= MAX_PARTS:
            scan.defect("too-many-parts")
            break
        ended = place.ended or closed or number < len(bounds)
        if not ended and start >= stop:
            break  # cut right after a delimiter: nothing is known of this part
        below = _Place(f"{prefix}{number}", ended, place.multiparts + 1, place.messages, alternative, digest)
        _entity(scan, *_facts_at(scan, start, stop, complete=ended), stop, below)
    return True


def _delimited(scan: _Scan, mark: bytes, start: int, end: int, ended: bool) -> tuple[list[tuple[int, int]], bool]:
    """The byte ranges between delimiter lines, and whether the closing delimiter was seen (RFC 2046 5.1.1)."""
    raw = scan.raw
    bounds: list[tuple[int, int]] = []
    opened = -1
    at = max(start - 1, 0)
    if at == 0 and start == 0 and raw.startswith(mark[1:]):
        at = -1  # a body at the very first octet has no line end before it
    if scan.budget <= 0:
        scan.defect("mime-budget")
        return [], False
    scan.budget -= end - start
    while True:
        hit = at if at < 0 else raw.find(mark, at, end)
        if hit < 0 and at >= 0:
            break
        after = hit + len(mark)
        line_end = raw.find(b"\n", after, end)
        rest = raw[after : line_end if 0 <= line_end < after + 200 else min(after + 200, end)].strip()
        scan.candidates += 1
        if scan.candidates > _MAX_CANDIDATES or len(bounds) >= MAX_PARTS:
            scan.defect("too-many-parts")
            break
        if rest not in (b"", b"--"):
            at = after  # a longer boundary, or text that only begins like one
            continue
        if line_end < 0 and not ended and end == len(raw):
            break  # cut inside the delimiter line: it may yet be a longer one
        if opened >= 0:
            stop = hit - 1 if raw[hit - 1 : hit] == b"\r" else hit
            bounds.append((opened, max(stop, opened)))
        if rest:
            return bounds, True
        opened = line_end + 1 if line_end >= 0 else end
        at = max(opened - 1, after)
    if opened >= 0 and (opened < end or not ended):
        bounds.append((opened, end))
    return bounds, False


def _filename(name: str) -> str:
    return _usual_filename(name) if len(name) <= 100 else safe_filename(name)


@lru_cache(maxsize=512)
def _usual_filename(name: str) -> str:
    # The picture in a signature comes with every message.
    return safe_filename(name)


def safe_filename(name: str) -> str:
    """A file name for display and download: decoded, without path, reserved or control characters."""
    text = clean_line(decode_words(name[:4096]), 4 * MAX_FILENAME)
    text = _UNSAFE_NAME.sub("_", text.replace("\\", "/").rstrip("/").rpartition("/")[2]).strip(" .")
    if len(text) <= MAX_FILENAME:
        return text
    stem, dot, suffix = text.rpartition(".")
    return f"{stem[: MAX_FILENAME - 1 - len(suffix)]}.{suffix}" if dot and len(suffix) <= 16 else text[:MAX_FILENAME]
