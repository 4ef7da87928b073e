"""Cuts a raw message into its MIME parts byte for byte, for BODY sections, ENVELOPE and BODYSTRUCTURE.

Written without the email package's parser so that a client built on that package is not checked against
itself. Never raises on malformed mail; how sections are named on the wire is left to fetch.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MAX_DEPTH = 40
MAX_PARTS = 2000

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*("(?:\\.|[^"\\])*"|[^;\s]*)', re.DOTALL)
_FOLD = re.compile(rb"\r?\n(?=[ \t])")


@dataclass(slots=True)
class Part:
    """One MIME entity: `header` ends with its blank line, `body` is the rest as transmitted."""

    header: bytes
    body: bytes
    maintype: bytes = b"text"
    subtype: bytes = b"plain"
    params: list[tuple[bytes, bytes]] = field(default_factory=list)
    children: list[Part] = field(default_factory=list)
    embedded: Part | None = None


def split_header(raw: bytes) -> tuple[bytes, bytes]:
    """The header with its blank line, and the body."""
    if raw.startswith((b"\r\n", b"\n")):
        end = 2 if raw.startswith(b"\r\n") else 1
        return raw[:end], raw[end:]
    found = _HEADER_END.search(raw)
    if found is None:
        return raw, b""
    return raw[: found.end()], raw[found.end() :]


def fields(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(lower-case name, whole field as transmitted with its line end) in order."""
    current = b""
    for line in header.splitlines(keepends=True):
        if current and line[:1] in (b" ", b"\t") and line.strip():
            current += line
            continue
        if current:
            yield current.partition(b":")[0].strip().lower(), current
        current = line if b":" in line else b""
    if current:
        yield current.partition(b":")[0].strip().lower(), current


def value(raw_field: bytes) -> bytes:
    """The unfolded value of one field."""
    return _FOLD.sub(b"", raw_field.partition(b":")[2]).strip()


def header_value(raw: bytes, name: bytes) -> bytes | None:
    """The first field of that (lower-case) name in a message or header, unfolded."""
    header, _ = split_header(raw)
    return next((value(text) for found, text in fields(header) if found == name), None)


def parse(raw: bytes, default: tuple[bytes, bytes] = (b"text", b"plain")) -> Part:
    """The part tree of a message or an entity."""
    budget = [MAX_PARTS]
    return _parse(raw, default, 0, budget)


def parameters(text: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The leading token of a structured field and its parameters, names in lower case."""
    found = [(name.lower(), _unquote(raw)) for name, raw in _PARAMETER.findall(text)]
    return text.partition(b";")[0].strip(), found


def _parse(raw: bytes, default: tuple[bytes, bytes], depth: int, budget: list[int]) -> Part:
    header, body = split_header(raw)
    part = Part(header, body, *default)
    content_type = header_value(header, b"content-type")
    if content_type:
        kind, part.params = parameters(content_type)
        main, slash, sub = kind.lower().partition(b"/")
        if slash and main.strip() and sub.strip():
            part.maintype, part.subtype = main.strip(), sub.strip()
        else:
            part.maintype, part.subtype, part.params = b"text", b"plain", []
    budget[0] -= 1
    if depth >= MAX_DEPTH or budget[0] <= 0:
        return part
    if part.maintype == b"multipart":
        boundary = dict(part.params).get(b"boundary", b"")
        inner = (b"message", b"rfc822") if part.subtype == b"digest" else (b"text", b"plain")
        for piece in _pieces(body, boundary):
            if budget[0] > 0:
                part.children.append(_parse(piece, inner, depth + 1, budget))
    elif (part.maintype, part.subtype) == (b"message", b"rfc822"):
        part.embedded = _parse(body, (b"text", b"plain"), depth + 1, budget)
    return part


def _pieces(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """The entities between the boundary lines; a missing end boundary ends with the body."""
    if not boundary:
        return
    line = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    start = -1
    for found in line.finditer(body):
        if start >= 0:
            yield body[start : max(start, found.start())]
        if found.group(1):
            return
        # The line end after the boundary belongs to the boundary; an empty entity may share it.
        after = found.end()
        start = after + (2 if body[after : after + 2] == b"\r\n" else 1 if body[after : after + 1] else 0)
    if start >= 0:
        yield body[start:]


def _unquote(text: bytes) -> bytes:
    if text.startswith(b'"') and text.endswith(b'"') and len(text) > 1:
        return re.sub(rb"\\(.)", rb"\1", text[1:-1], flags=re.DOTALL)
    return text


def find(root: Part, path: Sequence[int]) -> Part | None:
    """The part with this number path (RFC 3501 6.4.5), None if there is none."""
    current = root
    # A path step goes into a message's own body: at the top, and inside message/rfc822.
    message: Part | None = root
    for number in path:
        holder = message or current
        if holder.children:
            if not 0 < number <= len(holder.children):
                return None
            current = holder.children[number - 1]
        elif number == 1 and message is not None:
            current = message
        else:
            return None
        message = current.embedded
    return current


def select_fields(header: bytes, names: Sequence[bytes], exclude: bool) -> bytes:
    """HEADER.FIELDS or HEADER.FIELDS.NOT: the fields as transmitted and the blank line."""
    lowered = {name.lower() for name in names}
    kept = [text for name, text in fields(header) if (name in lowered) != exclude]
    return b"".join(kept) + b"\r\n"
