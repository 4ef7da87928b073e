"""Splits a header block into fields and decodes their values (RFC 5322, 2045, 2047, 2231); linear time, never raises.
What a field means for the CRM is `mail_fields`."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from sync.mime_charsets import clean_line, decode_bytes

MAX_BLOCK = 256 * 1024
MAX_FIELDS = 1_000
MAX_VALUE = 16 * 1024
MAX_SUBJECT = 2_000
MAX_FILENAME = 255
_USUAL_NAME = 40

_BLANK_LINE = re.compile(rb"\n\r?\n")
_LOGICAL_LINE = re.compile(rb"\n(?![ \t])")  # continuation lines stay with their field (RFC 5322 2.2.3)
_FOLD = re.compile(rb"\r?\n[ \t]")
_NAME = re.compile(rb"[!-9;-~]++[ \t]*+")
# The fields anything is read from; of all others only the form of the name counts.
_READ = frozenset(
    [
        *(b"message-id", b"in-reply-to", b"references", b"subject", b"date", b"return-path", b"precedence"),
        *(b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"list-id", b"list-post", b"list-unsubscribe"),
        *(b"content-type", b"content-transfer-encoding", b"content-disposition", b"content-id", b"feedback-id"),
        *(b"auto-submitted", b"x-auto-response-suppress", b"x-autoreply", b"x-autorespond", b"x-failed-recipients"),
    ]
)
_ADDRESS_LISTS = frozenset((b"from", b"to", b"cc", b"bcc", b"reply-to"))
_CHARSET = re.compile(rb'charset[ \t]*=[ \t]*"?([A-Za-z0-9._:-]{1,40})', re.IGNORECASE)
_WORD = re.compile(r"=\?([^?\s]{1,80})\?([bBqQ])\?(.*?)\?=", re.DOTALL)
_PARAM = re.compile(r';\s*+([^\s=;"]++)\s*+=\s*+(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^;]*+))', re.DOTALL)
# One plain parameter and nothing else: what is written of boundaries and of most file names.
_ONE_PARAM = re.compile(r'\s*+([^\s;/]++(?:/[^\s;/]++)?+);\s*+([a-zA-Z]++)=(?:"([^"\\]*+)"|([^;"\\\s]++))\s*+')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


@dataclass(frozen=True, slots=True)
class HeaderBlock:
    """The fields that are read of one header block: lower-case name to raw values, still folded, in order.

    `body` is the offset where the body starts.
    """

    fields: dict[bytes, list[bytes]]
    body: int
    defects: tuple[str, ...] = ()

    def first(self, name: bytes) -> bytes:
        """The value of the first field of that name, unfolded; b"" without one."""
        values = self.fields.get(name)
        return unfolded(values[0]) if values else b""

    def every(self, name: bytes) -> list[bytes]:
        """The values of all fields of that name, unfolded."""
        values = self.fields.get(name)
        return [unfolded(value) for value in values] if values else []


def unfolded(value: bytes) -> bytes:
    """A value on one line. A lone CR becomes a space: it never starts a field."""
    value = value.strip()
    if b"\n" in value:
        value = value.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
        if b"\n" in value:
            value = _FOLD.sub(b" ", value)
    return value.replace(b"\r", b" ") if b"\r" in value else value


def read_block(raw: bytes, start: int, end: int, *, complete: bool = True) -> HeaderBlock:
    """The header block at `start`; at most `MAX_BLOCK` octets and `MAX_FIELDS` fields are looked at.

    `complete=False`: the data may end inside the block, and then its cut last field is not trusted.
    """
    if raw.startswith((b"\n", b"\r\n"), start):
        return HeaderBlock({}, raw.index(b"\n", start) + 1)
    stop = min(end, start + MAX_BLOCK)
    blank = _BLANK_LINE.search(raw, start, stop)
    lines = _LOGICAL_LINE.split(raw[start : blank.start() if blank else stop])
    cut = blank is None and (stop < end or not complete)
    if cut:
        _trust_less(lines)
    fields, junk_at, defects = _fields(lines)
    if blank:
        if junk_at is not None and not fields and not _any_field(lines):
            return HeaderBlock({}, start, ("no-header",))
        return HeaderBlock(fields, blank.end(), defects)
    if junk_at is not None and not cut:
        # Without a blank line the body begins with the first line that is no field.
        fields, _, _ = _fields(lines[:junk_at])
        return HeaderBlock(fields, _offset_of(raw, start, stop, lines[junk_at]), ("no-blank-line",))
    if stop == end:
        return HeaderBlock(fields, end, defects)
    blank = _BLANK_LINE.search(raw, stop - 1, end)
    return HeaderBlock(fields, blank.end() if blank else end, (*defects, "header-too-long"))


def small_block_end(raw: bytes, start: int, end: int) -> int:
    """Where the body begins after a header block of 2 to 255 octets, -1 when the block is not that small."""
    blank = _BLANK_LINE.search(raw, start, min(end, start + 256))
    return blank.end() if blank else -1


def _trust_less(lines: list[bytes]) -> None:
    """Drops the cut last field, for half an id or date is a wrong one; of an address list the last address only."""
    last = lines.pop()
    if not last.strip() and lines:
        last = lines.pop()  # a whole line, but its continuation may have been cut off
    name, colon, _ = last.lower().partition(b":")
    if name == b"subject" and colon:
        lines.append(last)
    elif name in _ADDRESS_LISTS and b"," in last:
        lines.append(last.rpartition(b",")[0])


def _fields(lines: list[bytes]) -> tuple[dict[bytes, list[bytes]], int | None, tuple[str, ...]]:
    """Fields by name, the index of the first line that is none, and defects."""
    fields: dict[bytes, list[bytes]] = {}
    junk_at: int | None = None
    count = 0
    for index, line in enumerate(lines):
        colon = line.find(b":", 0, _USUAL_NAME)
        key = _usual_key(line[:colon]) if colon > 0 else _key(line[: max(colon := line.find(b":"), 0)])
        if key is None:
            if junk_at is None and line.strip() and not (index == 0 and line.startswith(b"From ")):  # mbox separator
                junk_at = index
            continue
        if key:
            values = fields.get(key)
            if values is None:
                fields[key] = [line[colon + 1 :]]
            else:
                values.append(line[colon + 1 :])
        count += 1
        if count > MAX_FIELDS:
            return fields, junk_at, ("too-many-headers",)
    return fields, junk_at, ("header-line",) if junk_at is not None else ()


def _key(name: bytes) -> bytes | None:
    """The lower-case name of a field that is read, b"" for another field, None for what cannot be a name."""
    if not _NAME.fullmatch(name):
        return None
    key = name.rstrip().lower()
    return key if key in _READ else b""


_usual_key = lru_cache(maxsize=1024)(_key)


def _any_field(lines: list[bytes]) -> bool:
    return any(_key(line[: max(line.find(b":"), 0)]) is not None for line in lines[: 2 * MAX_FIELDS])


def _offset_of(raw: bytes, start: int, stop: int, line: bytes) -> int:
    found = raw.find(line[:64], start, stop)
    return found if found >= 0 else stop


def declared_charset(raw: bytes) -> str:
    """The first charset any part declares: the best hint for raw 8-bit header bytes."""
    found = _CHARSET.search(raw, 0, 64 * 1024)
    return found[1].decode("ascii") if found else ""


def header_text(value: bytes, hint: str = "") -> str:
    """A field value as text, encoded words still in place; raw 8-bit as UTF-8 (RFC 6532), else `hint`, else a guess."""
    if value.isascii():
        return value.decode("ascii")
    try:
        return value.decode("utf_8")
    except UnicodeError:
        return decode_bytes(value, hint)[0]


def unstructured(value: bytes, hint: str = "", limit: int = MAX_SUBJECT) -> str:
    """The readable text of an unstructured field such as Subject."""
    if len(value) <= 200 and value.isascii():
        return _usual_text(value, limit)
    return clean_line(decode_words(header_text(value[:MAX_VALUE], hint)), limit)


@lru_cache(maxsize=512)
def _usual_text(value: bytes, limit: int) -> str:
    # The messages of a conversation have one subject.
    return clean_line(decode_words(value.decode("ascii")), limit)


def decode_words(text: str) -> str:
    """Text with its RFC 2047 encoded words decoded.

    Neighbouring words of one charset are joined as bytes first: senders split multibyte characters between words.
    A word that cannot be decoded stays as it is written.
    """
    if "=?" not in text:
        return text
    # Nothing is searched behind the last end mark: so a word that never ends is not looked at again and again.
    last = text.rfind("?=") + 2 if "?=" in text else 0
    pieces = _WORD.split(text[:last])
    out = [pieces[0]]
    charset, data = "", b""
    for at in range(1, len(pieces), 4):
        label, kind, payload, after = pieces[at : at + 4]
        label = label.lower()
        if data and label != charset:
            out.append(decode_bytes(data, charset)[0])
            data = b""
        charset, data = label, data + _word_bytes(kind, payload)
        if (after and not after.isspace()) or at + 4 >= len(pieces):
            out += (decode_bytes(data, charset)[0], after)
            data = b""
    return "".join((*out, text[last:]))


def _word_bytes(kind: str, payload: str) -> bytes:
    data = payload.encode("utf_8", "replace")
    if kind in "qQ":
        return binascii.a2b_qp(data, header=True)
    return base64_bytes(data)


def base64_bytes(data: bytes) -> bytes:
    """Base64 decoded leniently: foreign characters are skipped and missing padding is added (RFC 2045 6.8)."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        kept = _NOT_BASE64.sub(b"", data)
        kept = kept[: len(kept) - 1] if len(kept) % 4 == 1 else kept
        return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))


def with_parameters(value: bytes, hint: str = "") -> tuple[str, Mapping[str, str]]:
    """A structured value such as Content-Type: the lower-case token and its parameters (RFC 2045 5.1, RFC 2231)."""
    if len(value) <= 64 and value.isascii() and b"oundary" not in value:
        return _usual_parameters(value)
    return _parameters(value, hint)


@lru_cache(maxsize=512)
def _usual_parameters(value: bytes) -> tuple[str, Mapping[str, str]]:
    # Most messages say one of a dozen things here, word for word.
    return _parameters(value, "")


def _parameters(value: bytes, hint: str) -> tuple[str, Mapping[str, str]]:
    text = header_text(value[:MAX_VALUE], hint)
    if (one := _ONE_PARAM.fullmatch(text)) and len(one[1]) <= 128 and one[1].isprintable():
        return one[1].lower(), {one[2].lower(): one[4] if one[3] is None else one[3]}
    kind, _, rest = text.partition(";")
    start = len(kind)
    kind = clean_line(kind, 128).lower()
    if not rest:
        return kind, {}
    params: dict[str, str] = {}
    extended: dict[str, list[tuple[int, bool, str]]] = {}
    for found in _PARAM.finditer(text, start):
        name = found[1].lower()
        quoted = found[2]
        content = unescaped(quoted) if quoted is not None else found[3].strip()
        if "*" in name:
            base, number, encoded = _extended_name(name)
            extended.setdefault(base, []).append((number, encoded, content))
        else:
            params.setdefault(name, content)
    for base, pieces in extended.items():
        params[base] = _joined(pieces)
    return kind, params


def unescaped(quoted: str) -> str:
    """The content of a quoted string without its backslashes (RFC 5322 3.2.4)."""
    return _ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted


def _extended_name(name: str) -> tuple[str, int, bool]:
    """`filename*1*` -> ("filename", 1, encoded)."""
    encoded = name.endswith("*")
    base, _, number = name.rstrip("*").partition("*")
    return base, int(number) if number.isascii() and number.isdigit() and len(number) < 4 else 0, encoded


def _joined(pieces: list[tuple[int, bool, str]]) -> str:
    """RFC 2231 3 and 4: numbered pieces in order, the percent-encoded ones in the charset the first names."""
    pieces.sort(key=lambda piece: piece[0])
    charset = ""
    data = b""
    for number, (_, encoded, content) in enumerate(pieces):
        if encoded and number == 0 and content.count("'") >= 2:
            charset, _language, content = content.split("'", 2)
        data += unquote_to_bytes(content) if encoded else content.encode("utf_8", "replace")
    return decode_bytes(data, charset)[0]
