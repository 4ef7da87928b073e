"""The syntax of vCard files: cards, folded lines, parameters, escapes (vCard 2.1, RFC 2426, RFC 6350). Never raises.
What a property means for a contact is `core.vcard`."""

from __future__ import annotations

import binascii
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from core.contact_file import MAX_RECORDS, Decode, FileFault, decode_file, too_many

MAX_VALUE = 1_000_000
MAX_HEAD = 2_000  # a name with its parameters
MAX_PROPERTIES = 2_000
FOLD = 75  # octets of a line, RFC 6350 3.2

_HEAD = re.compile(rb'(?:([\w-]+)\.)?([\w-]+)[ \t]*((?:;(?:[^":;]|"[^"]*")*+)*+):')
_LENIENT_HEAD = re.compile(rb"(?:([\w-]+)\.)?([\w-]+)[ \t]*((?:;[^:;]*+)*+):")  # a quote that is never closed
_PARAMETER = re.compile(r'(?:[^";]|"[^"]*"|")+')
_ITEM = re.compile(r'(?:[^",]|"[^"]*"|")+')
_ESCAPE = re.compile(r"\\([\\,;:nN])")
_OLD_ESCAPE = re.compile(r"\\([\\,;:])")
_CARET = re.compile(r"\^([\^n'])")
_CARET_MEANS = {"^": "^", "n": "\n", "'": '"'}  # RFC 6868
_ENCODINGS = frozenset({"QUOTED-PRINTABLE", "BASE64", "8BIT", "7BIT", "B"})

_BOM = b"\xef\xbb\xbf"

Parameters = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Property:
    """One content line. `value` still bears its escapes; `old` tells that it is of vCard 2.1, which has fewer."""

    name: str
    group: str
    parameters: Parameters
    value: str
    old: bool

    @property
    def text(self) -> str:
        """The value as one text."""
        return unescape(self.value, self.old)

    def split(self, separator: str) -> list[str]:
        """The value's parts, each still with its escapes."""
        return split(self.value, separator)

    @property
    def components(self) -> list[str]:
        """The parts between semicolons, as texts."""
        return [unescape(part, self.old) for part in self.split(";")]


@dataclass(frozen=True, slots=True)
class Card:
    """The wanted properties of a card that begins at `line`."""

    line: int
    properties: tuple[Property, ...]


@dataclass(slots=True)
class _Open:
    line: int
    lines: list[bytes]
    nested: int = 0


def read_cards(data: bytes, wanted: Collection[str], decode: Decode) -> Iterator[Card | FileFault]:
    """The cards of a file with the properties of the wanted names; what cannot be read comes as a fault."""
    for index, card in enumerate(_cards(_as_utf8(data))):
        if index >= MAX_RECORDS:
            yield FileFault(card.line, too_many())
            return
        yield card if isinstance(card, FileFault) else _parsed(card, wanted, decode)


def _as_utf8(data: bytes) -> bytes:
    # Charsets are declared per property; only a file in UTF-16 has one for all, and that must be known to see lines.
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or 0 in data[:64]:
        data = decode_file(data).encode("utf-8", "replace")
    return data if b"\n" in data else data.replace(b"\r", b"\n")


def _cards(data: bytes) -> Iterator[_Open | FileFault]:
    card: _Open | None = None
    for number, physical in enumerate(io.BytesIO(data), 1):
        line = physical.rstrip(b"\r\n").removeprefix(_BOM)  # files that were joined have one in the middle
        mark = line.rstrip().replace(b" ", b"").upper() if line[:1] in b"BbEe" and len(line) < 40 else b""
        if mark == b"BEGIN:VCARD":
            if card is not None and _opens_agent(card):
                card.nested += 1
                continue
            if card is not None:
                yield FileFault(card.line, "the card has no END:VCARD")
            card = _Open(number, [])
        elif mark == b"END:VCARD":
            if card is None:
                yield FileFault(number, "END:VCARD without BEGIN:VCARD")
            elif card.nested:
                card.nested -= 1
            else:
                yield card
                card = None
        elif card is not None and not card.nested:
            card.lines.append(line)
    if card is not None:
        yield FileFault(card.line, "the card has no END:VCARD")


def _opens_agent(card: _Open) -> bool:
    # vCard 2.1 and 3.0: the card of an assistant stands inside that of the person.
    return bool(card.nested) or (bool(card.lines) and card.lines[-1][:5].upper() == b"AGENT")


def _parsed(card: _Open, wanted: Collection[str], decode: Decode) -> Card | FileFault:
    old = any(line[:11].upper() == b"VERSION:2.1" for line in card.lines)
    found: list[Property] = []
    for line in _unfolded(card.lines, old):
        if not line.strip():
            continue
        match = _HEAD.match(line) or _LENIENT_HEAD.match(line)
        if match is None:
            return FileFault(card.line, f"the card has a line that is no property: {_shown(line, decode)}")
        name = match[2].decode("ascii").upper()
        if name not in wanted:
            continue
        if match.end() > MAX_HEAD or len(line) - match.end() > MAX_VALUE:
            return FileFault(card.line, f"{name} of the card is too long")
        if len(found) >= MAX_PROPERTIES:
            return FileFault(card.line, f"the card has more than {MAX_PROPERTIES} properties")
        parameters = _parameters(match[3])
        value = _decoded(line[match.end() :], parameters, decode)
        found.append(Property(name, (match[1] or b"").decode("ascii").lower(), parameters, value, old))
    return Card(card.line, tuple(found))


def _shown(line: bytes, decode: Decode) -> str:
    return repr(decode(line[:60], ""))


def _unfolded(lines: list[bytes], old: bool) -> Iterator[bytes]:
    """Whole content lines. vCard 2.1 (2.1.3) folds in front of a blank that belongs to the text, later ones insert
    it; quoted-printable goes on in the next line after `=`."""
    parts: list[bytes] = []
    soft = quoted = False
    for line in lines:
        if soft:
            parts[-1] = parts[-1][:-1]
            parts.append(line)
        elif parts and line[:1] in (b" ", b"\t"):
            parts.append(line if old else line[1:])
        else:
            if parts:
                yield b"".join(parts)
            parts = [line]
            quoted = b"QUOTED-PRINTABLE" in line.partition(b":")[0].upper()
        soft = quoted and line.endswith(b"=")
    if parts:
        yield b"".join(parts)


@lru_cache(maxsize=1024)
def _parameters(raw: bytes) -> Parameters:
    """The parameters behind a name, by name in capitals. A file has few different ones, over and over."""
    found: dict[str, tuple[str, ...]] = {}
    for part in _PARAMETER.findall(raw.decode("utf-8", "replace")):
        name, equals, value = part.partition("=")
        key = name.strip().upper()
        if not equals:  # vCard 2.1: a value alone says by itself what it is
            key, value = ("ENCODING" if key in _ENCODINGS else "TYPE"), name
        items = [item.strip().strip('"') for item in _ITEM.findall(value)]
        if key == "TYPE":  # RFC 6350 5.6 has `TYPE="home,work"`
            items = [one.strip() for item in items for one in item.split(",")]
        found[key] = (*found.get(key, ()), *(_CARET.sub(lambda m: _CARET_MEANS[m[1]], item) for item in items))
    return found


def _decoded(raw: bytes, parameters: Parameters, decode: Decode) -> str:
    if any(one.upper() == "QUOTED-PRINTABLE" for one in parameters.get("ENCODING", ())):
        raw = binascii.a2b_qp(raw)
    return decode(raw, next(iter(parameters.get("CHARSET", ())), ""))


def unescape(value: str, old: bool = False) -> str:
    """The text behind the escapes of RFC 6350 3.4; a backslash in front of anything else is one."""
    if "\\" not in value:
        return value
    pattern = _OLD_ESCAPE if old else _ESCAPE
    return pattern.sub(lambda match: "\n" if match[1] in "nN" else match[1], value)


def split(value: str, separator: str) -> list[str]:
    """The parts between separators that are not escaped."""
    if "\\" not in value:
        return value.split(separator)
    parts, start = [], 0
    for match in re.finditer(rf"\\.|{separator}", value, re.DOTALL):
        if match[0] == separator:
            parts.append(value[start : match.start()])
            start = match.end()
    return [*parts, value[start:]]


def escape(text: str) -> str:
    """A text as it stands in a value (RFC 6350 3.4)."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace(",", "\\,").replace(";", "\\;")


def fold(line: str) -> str:
    """A content line with its line end, in pieces of 75 octets that never cut a character (RFC 6350 3.2)."""
    if len(line.encode()) <= FOLD:
        return line + "\r\n"
    pieces, room = [""], FOLD
    for char in line:
        size = len(char.encode())
        if size > room:
            pieces.append("")
            room = FOLD - 1  # the blank in front counts
        pieces[-1] += char
        room -= size
    return "\r\n ".join(pieces) + "\r\n"
