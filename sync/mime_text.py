"""Chooses and decodes the text of a message, and makes text of HTML when there is nothing else; never raises.
Where parts lie is `mime_body`; HTML for display is cleaned elsewhere, when it is shown."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from selectolax.lexbor import LexborHTMLParser

from sync.mime_body import Part
from sync.mime_charsets import clean_text, decode_body
from sync.mime_headers import base64_bytes

MAX_TEXT = 1_000_000
MAX_HTML = 1_000_000
# Measured: the HTML parser takes 0.1 s for 5,000 nested elements, but 3 s for 40,000 (its tree building is not linear).
_MAX_TAGS = 100_000
_MAX_DEPTH = 5_000

_META_CHARSET = re.compile(
    rb"<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([A-Za-z0-9._:-]{2,40})", re.IGNORECASE
)
_BLOCKS = r"(?:blockquote|br|dd|div|dl|dt|h[1-6]|hr|li|ol|p|pre|section|table|tr|ul)(?![a-z])"
_BREAKS = re.compile(rf"<(?=/?{_BLOCKS})")
_CAPITAL_BREAKS = re.compile(rf"<(?=/?{_BLOCKS})", re.IGNORECASE)  # three times slower, and rare
_OPEN_OR_CLOSE = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,19})")
_VOID = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"))
_HIDDEN = ["script", "style", "head", "title", "template", "noscript", "iframe", "object", "svg"]
_ANY_TAG = re.compile(r"<[^<>]{0,2000}+>")


def choose_text(raw: bytes, parts: list[Part]) -> tuple[str, bool, list[str]]:
    """The text of the message, whether its part(s) had ended, and defects.

    Every displayed text/plain part counts (mail programs split text around attachments); of a
    multipart/alternative the plain one. HTML is turned into text only where no plain text came before it.
    """
    shown = [part for part in parts if is_body(part)] or _named_text(parts)
    pieces: list[str] = []
    defects: list[str] = []
    ended = True
    room = MAX_TEXT
    for group in _groups(shown):
        for part, text in _of_group(raw, group, bool(pieces), defects):
            ended = ended and part.ended
            pieces.append(text[:room])
            room -= len(pieces[-1])
        if room <= 0:
            defects.append("text-cut")
            break
    if not pieces:
        return "", all(part.ended for part in shown), defects
    return "\n".join(pieces), ended, defects


def _groups(shown: list[Part]) -> Iterable[list[Part]]:
    """Neighbours within one multipart/alternative together, all others alone."""
    if len(shown) < 2 or (shown[0].alternative and shown[0].alternative == shown[-1].alternative and len(shown) == 2):
        return [shown] if shown else []
    grouped = groupby(enumerate(shown), key=lambda pair: pair[1].alternative or -pair[0])
    return [[part for _, part in group] for _, group in grouped]


def is_body(part: Part) -> bool:
    """Whether a part is displayed as text, not listed as an attachment."""
    return (
        part.content_type in ("text/plain", "text/html")
        and not part.nested
        and not part.filename
        and part.disposition != "attachment"
    )


def _named_text(parts: list[Part]) -> list[Part]:
    """Without any other text, a text shown inline counts although it has a file name (and stays an attachment too)."""
    named = (p for p in parts if p.content_type == "text/plain" and p.disposition == "inline" and not p.nested)
    return list(named)[:1]


def _of_group(raw: bytes, group: list[Part], has_text: bool, defects: list[str]) -> Iterator[tuple[Part, str]]:
    found = False
    for part in group:
        if part.content_type == "text/plain":
            text = part_text(raw, part, MAX_TEXT, defects)
            if text and not text.isspace():
                found = True
                yield part, text
    if found or has_text:
        return
    for part in group:
        if part.content_type == "text/html":
            text = html_to_text(part_text(raw, part, MAX_HTML, defects), defects)
            if text:
                yield part, text
                return


def part_text(raw: bytes, part: Part, limit: int, defects: list[str]) -> str:
    """The decoded text of a part, from at most as many octets as `limit` characters can take."""
    data = raw[part.start : min(part.end, part.start + 4 * limit)]
    ended = part.ended and part.end - part.start <= 4 * limit
    if not ended and data.startswith(b"-", line := data.rfind(b"\n") + 1):
        data = data[:line]  # may be the beginning of a delimiter
    if part.encoding == "base64":
        data = base64_bytes(data)
    elif part.encoding == "quoted-printable":
        data = binascii.a2b_qp(data)
    elif part.encoding in ("x-uuencode", "uuencode", "x-uue", "x-yencode"):
        defects.append("encoding-left")
    label = part.params.get("charset", "")
    if not label and part.content_type == "text/html" and (meta := _META_CHARSET.search(data, 0, 4096)):
        label = meta[1].decode("ascii")
    text, exact = decode_body(data, label, ended=ended)
    if not exact and "charset" not in defects:
        defects.append("charset")
    return text if len(text) <= limit else text[:limit]


def html_to_text(html: str, defects: list[str]) -> str:
    """Readable text of HTML: block elements become lines, scripts and styles go.

    HTML with extreme nesting or very many tags is not given to the HTML parser: there the tags are only struck out.
    """
    if not html or html.isspace():
        return ""
    tags = html.count("<")
    if tags > _MAX_TAGS or (tags - html.count("</") > _MAX_DEPTH and _depth(html) > _MAX_DEPTH):
        defects.append("html-too-deep")
        return _tidy(_ANY_TAG.sub(" ", html))
    if "<pre" not in html:
        html = html.replace("\n", " ")  # in HTML a line end is a space
    capitals = "<P" in html or "<BR" in html or "<DIV" in html or "<TR" in html
    tree = LexborHTMLParser((_CAPITAL_BREAKS if capitals else _BREAKS).sub("\n<", html))
    tree.strip_tags(_HIDDEN)
    body = tree.body
    return _tidy(clean_text(body.text() if body else ""))


def _depth(html: str) -> int:
    """An upper bound of the nesting, without building anything: unclosed elements count to the end."""
    depth = deepest = 0
    for found in _OPEN_OR_CLOSE.finditer(html):
        if found[1]:
            depth -= 1 if depth else 0
        elif found[2].lower() not in _VOID:
            depth += 1
            deepest = max(deepest, depth)
    return deepest


def _tidy(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    out: list[str] = []
    for line in lines:
        if line or (out and out[-1]):
            out.append(line)
    return "\n".join(out).strip()
