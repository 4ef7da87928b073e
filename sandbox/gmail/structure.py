"""ENVELOPE, BODYSTRUCTURE and BODY of a message (RFC 3501 7.4.2).

Decides their text from the part tree of mime.py; never raises on malformed mail.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.gmail.mime import Part, fields, header_value, parameters, value
from sandbox.gmail.names import string


def envelope(header: bytes) -> bytes:
    """The ENVELOPE list; a missing Sender or Reply-To repeats From."""
    known: dict[bytes, bytes] = {}
    for name, text in fields(header):
        known.setdefault(name, value(text))
    sender = _addresses(known.get(b"from"))
    pieces = [
        string(known.get(b"date")),
        string(known.get(b"subject")),
        sender,
        _addresses(known.get(b"sender")) if known.get(b"sender") else sender,
        _addresses(known.get(b"reply-to")) if known.get(b"reply-to") else sender,
        _addresses(known.get(b"to")),
        _addresses(known.get(b"cc")),
        _addresses(known.get(b"bcc")),
        string(known.get(b"in-reply-to")),
        string(known.get(b"message-id")),
    ]
    return b"(" + b" ".join(pieces) + b")"


def _addresses(text: bytes | None) -> bytes:
    out = b"".join(_address(one) for one in _split_addresses(text or b""))
    return b"(" + out + b")" if out else b"NIL"


def _address(text: bytes) -> bytes:
    """One `(name NIL local domain)`; nothing for what holds no address; NIL domains mark groups."""
    if text.endswith(b":"):
        return b"(NIL NIL %s NIL)" % string(_unquote(text[:-1]))
    if text == b";":
        return b"(NIL NIL NIL NIL)"
    angle = text.rfind(b"<")
    if angle >= 0:
        name, spec = _unquote(text[:angle]), text[angle + 1 :].partition(b">")[0]
    else:
        # The old form `local@domain (Name)`, RFC 5322 A.5.
        spec, _, comment = text.partition(b"(")
        name = comment.strip().removesuffix(b")")
    spec = spec.strip()
    if not spec:
        return b""
    local, at, domain = spec.rpartition(b"@")
    local, domain = (local, domain) if at else (spec, b"")
    return b"(%s NIL %s %s)" % (string(name or None), string(_unquote(local)), string(domain.strip() or None))


def _split_addresses(text: bytes) -> Iterator[bytes]:
    """The comma-separated addresses; commas in quotes, comments and angles do not separate.

    A group gives `name:`, its members and `;`. No recursion: comments may nest to any depth.
    """
    start = depth = 0
    quoted = grouped = False
    for index, byte in enumerate(text + b","):
        char = bytes((byte,))
        if char == b'"' and text[index - 1 : index] != b"\\":
            quoted = not quoted
        if index < len(text) and quoted:
            continue
        depth += char == b"("
        depth -= char == b")" and depth > 0
        if depth == 0 and char == b":" and b"<" not in text[start:index]:
            yield text[start : index + 1]
            start, grouped = index + 1, True
        if index == len(text) or (depth == 0 and char in b",;"):
            yield text[start:index].strip()
            start = index + 1
            if grouped and char == b";":
                yield char
                grouped = False


def _unquote(text: bytes) -> bytes:
    text = text.strip()
    if len(text) > 1 and text.startswith(b'"') and text.endswith(b'"'):
        return text[1:-1].replace(b'\\"', b'"').replace(b"\\\\", b"\\")
    return text


def structure(part: Part, *, extended: bool) -> bytes:
    """BODYSTRUCTURE (extended) or BODY."""
    if part.children:
        inner = b"".join(structure(child, extended=extended) for child in part.children)
        text = b"(" + inner + b" " + string(part.subtype.upper())
        if extended:
            text += b" %s %s NIL" % (_params(part.params), _disposition(part.header))
        return text + b")"
    # A multipart in which no part was found is shown as text, as Gmail and others do.
    main, sub = (b"text", b"plain") if part.maintype == b"multipart" else (part.maintype, part.subtype)
    encoding = (header_value(part.header, b"content-transfer-encoding") or b"7bit").upper()
    # RFC 2045 5.2: text without a charset is US-ASCII, and Gmail says so.
    params = part.params
    if main == b"text" and all(name != b"charset" for name, _ in params):
        params = [*params, (b"charset", b"US-ASCII")]
    text = b"(%s %s %s %s %s %s %d" % (
        string(main.upper()),
        string(sub.upper()),
        _params(params),
        string(header_value(part.header, b"content-id")),
        string(header_value(part.header, b"content-description")),
        string(encoding),
        len(part.body),
    )
    if part.embedded is not None:
        inner = structure(part.embedded, extended=extended)
        text += b" %s %s %d" % (envelope(part.embedded.header), inner, part.body.count(b"\n"))
    elif main == b"text":
        text += b" %d" % part.body.count(b"\n")
    if extended:
        text += b" %s %s NIL" % (string(header_value(part.header, b"content-md5")), _disposition(part.header))
    return text + b")"


def _params(params: list[tuple[bytes, bytes]]) -> bytes:
    if not params:
        return b"NIL"
    return b"(" + b" ".join(string(name.upper()) + b" " + string(text) for name, text in params) + b")"


def _disposition(header: bytes) -> bytes:
    text = header_value(header, b"content-disposition")
    if not text:
        return b"NIL"
    kind, params = parameters(text)
    return b"(%s %s)" % (string(kind.upper()), _params(params)) if kind else b"NIL"
