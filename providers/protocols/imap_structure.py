"""What a BODYSTRUCTURE tells of a long message: its attachments, and how far its readable text reaches
(RFC 9051 7.5.2). A hint from an untrusted server: whatever does not fit gives nothing, never an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import unquote_to_bytes

from core.ports import Structure
from core.types import Attachment
from providers.protocols.imap_tokens import Value, number

MAX_PARTS = 500
MAX_NAME = 255
# Decoders may take time in the square of the length, so they get no more than a name can need.
MAX_ENCODED = 4_000
# MIME headers and boundary lines between parts are not counted by the server; this much per part is assumed.
PART_OVERHEAD = 1_024
_TYPE = re.compile(r"[^a-z0-9!#$&^_.+/-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff/\\]+")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One part that is not a multipart. `size` is its encoded octets."""

    section: str
    content_type: str
    params: dict[str, str]
    content_id: str
    disposition: str
    disposition_params: dict[str, str]
    size: int

    @property
    def is_text(self) -> bool:
        """Whether a reader would show this part as the message's text."""
        return self.content_type in ("text/plain", "text/html") and self.disposition != "attachment"


def read_structure(value: Value) -> Structure | None:
    """Attachments and the reach of the text; None when the structure makes no sense."""
    leaves = []
    for leaf in _leaves(value, ""):
        leaves.append(leaf)
        if len(leaves) >= MAX_PARTS:
            break
    if not leaves:
        return None
    attachments = tuple(_attachment(leaf) for leaf in leaves if not leaf.is_text)
    return Structure(attachments, _text_end(leaves))


def _text_end(leaves: list[Leaf]) -> int:
    reach, offset = 0, 0
    for leaf in leaves:
        offset += leaf.size + PART_OVERHEAD
        if leaf.is_text:
            reach = offset
    return reach


def _leaves(value: Value, section: str) -> Iterator[Leaf]:
    if not isinstance(value, list) or not value:
        return
    if isinstance(value[0], list):
        for index, child in enumerate(value):
            if not isinstance(child, list):
                break
            yield from _leaves(child, f"{section}.{index + 1}" if section else str(index + 1))
        return
    leaf = _leaf(value, section or "1")
    if leaf is not None:
        yield leaf


def _leaf(value: list[Value], section: str) -> Leaf | None:
    if len(value) < 7:
        return None
    content_type = f"{_text(value[0])}/{_text(value[1])}".lower()
    # text parts carry a line count, message/rfc822 an envelope, a structure and a line count, before the extensions.
    extension = 7
    if content_type.startswith("text/"):
        extension = 8
    elif content_type in ("message/rfc822", "message/global") and len(value) > 9 and isinstance(value[7], list):
        extension = 10
    disposition = value[extension + 1] if len(value) > extension + 1 else None
    kind, params = "", {}
    if isinstance(disposition, list) and disposition:
        kind = _text(disposition[0]).lower()
        params = _params(disposition[1] if len(disposition) > 1 else None)
    return Leaf(section, content_type, _params(value[2]), _text(value[3]).strip("<>"), kind, params, number(value[6]))


def _params(value: Value) -> dict[str, str]:
    if not isinstance(value, list):
        return {}
    names, values = value[::2], value[1::2]
    return {_text(name).lower(): _text(item) for name, item in zip(names, values, strict=False)}


def _text(value: Value) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _attachment(leaf: Leaf) -> Attachment:
    name = _parameter(leaf.disposition_params, "filename") or _parameter(leaf.params, "name")
    return Attachment(
        section=leaf.section,
        filename=_CONTROL.sub("_", name).strip(". ")[:MAX_NAME],
        content_type=_TYPE.sub("", leaf.content_type)[:100],
        size=leaf.size,
        disposition=leaf.disposition[:20],
        content_id=_CONTROL.sub("", leaf.content_id)[:MAX_NAME],
    )


def _parameter(params: dict[str, str], name: str) -> str:
    """A parameter by RFC 2231 (with its continuations), else by RFC 2047 in quotes, else as it stands."""
    if name in params:
        return _decode_words(params[name])
    # Only what is marked with a final `*` is percent-encoded, and only its first piece names a charset.
    pieces = [(True, params[f"{name}*"])] if f"{name}*" in params else []
    for index in range(20 if not pieces else 0):
        extended = f"{name}*{index}*" in params
        piece = params.get(f"{name}*{index}*" if extended else f"{name}*{index}")
        if piece is None:
            break
        pieces.append((extended, piece))
    charset = ""
    if pieces and pieces[0][0] and pieces[0][1].count("'") >= 2:
        charset, _, rest = pieces[0][1].split("'", 2)
        pieces[0] = (True, rest)
    raw = b"".join(unquote_to_bytes(piece) if extended else piece.encode() for extended, piece in pieces)
    try:
        return raw[:MAX_ENCODED].decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):  # not a charset, or one that cannot be lenient
        return raw[:MAX_ENCODED].decode("utf-8", "replace")


def _decode_words(text: str) -> str:
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text[:MAX_ENCODED])))
    except (ValueError, LookupError, HeaderParseError):
        return text
