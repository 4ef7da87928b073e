"""Turns the text of FETCH and similar responses into values (RFC 9051 9, RFC 7162, Gmail's extensions).
Reading the bytes is left to `imap_wire`; hostile input costs bounded time and depth."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from core.types import MessageHead
from core.uidset import MAX_UID

MAX_DEPTH: Final = 60
MAX_TOKENS: Final = 60_000
# RFC 7162 7: mod-sequences and sizes (RFC 9051 9, number64) have 63 bits; Gmail's ids have 64.
MAX_NUMBER: Final = 2**63 - 1
MAX_GMAIL_ID: Final = 2**64 - 1
MAX_KEPT_FLAGS: Final = 200
_SHORT: Final = 16 * 1024

# A quoted string, a parenthesis, a literal's announcement, BODY[...]<n>, an atom, or a quote that never closes, which
# swallows the rest. Gmail sends labels such as [Mailbox] and 2024 without quotes, so brackets are ordinary characters
# of an atom. Nothing here may scan the same bytes again and again: hence the possessive repeats and the bound.
_TOKEN = re.compile(
    rb'"((?:[^"\\\r\n]++|\\.){0,20000}+)"|([()])|(\{\d+\+?\}\r\n)'
    rb'|((?:BODY|BINARY)(?:\.PEEK)?\[[^\]]{0,1000}+\](?:<\d+>)?)|([^\s()"]+)|("(?s:.*))',
    re.IGNORECASE,
)
_ESCAPED = re.compile(rb"\\(.)")
_DATE = re.compile(
    rb" ?(\d{1,2})-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)$",
    re.IGNORECASE,
)
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}

_NIL = frozenset(a + b + c for a in (b"n", b"N") for b in (b"i", b"I") for c in (b"l", b"L"))

Value = bytes | None | list["Value"]


class Malformed(ValueError):
    """The response does not follow the grammar; only this one response is lost."""


def tokens(parts: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """(kind, text) of each token; kind is one of b"(" b")" b"s" (string or literal) b"a" (atom)."""
    for index, part in enumerate(parts):
        if index % 2:
            yield b"s", part
            continue
        # All at once takes half the time of one by one, but only a short part may be taken apart unseen.
        found = _TOKEN.findall(part) if len(part) <= _SHORT else (match.groups(b"") for match in _TOKEN.finditer(part))
        for quoted, parenthesis, literal, section, atom, rest in found:
            if parenthesis:
                yield parenthesis, b""
            elif atom:
                yield b"a", atom
            elif not (literal or section or rest):
                yield b"s", _ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted
            elif not literal:
                yield b"a", section or rest


def parse_list(parts: Sequence[bytes]) -> list[Value]:
    """The outermost parenthesised list of a response as nested lists; NIL becomes None. Raises Malformed."""
    top: list[Value] = []
    here = top
    above: list[list[Value]] = []
    for count, (kind, text) in enumerate(tokens(parts)):
        if kind == b"s":
            here.append(text)
        elif kind == b"a":
            here.append(None if text in _NIL else text)
        elif kind == b"(":
            if len(above) >= MAX_DEPTH:
                raise Malformed("nested too deeply")
            child: list[Value] = []
            here.append(child)
            above.append(here)
            here = child
        elif above:
            here = above.pop()
        else:
            raise Malformed("unbalanced parentheses")
        if count > MAX_TOKENS:
            raise Malformed("too many tokens")
    if above:
        raise Malformed("unbalanced parentheses")
    for value in top:
        if isinstance(value, list):
            return value
    raise Malformed("no list")


def fetch_items(parts: Sequence[bytes]) -> dict[bytes, Value]:
    """The items of a FETCH response by upper-case name, e.g. b"UID", b"FLAGS", b"BODY[]<0>". Raises Malformed."""
    flat = parse_list(parts)
    if len(flat) % 2:
        raise Malformed("an item without value")
    items: dict[bytes, Value] = {}
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        if not isinstance(name, bytes):
            raise Malformed("an item without name")
        items[name.upper()] = value
    return items


# The items of an ordinary answer, one after the other. Reading them this way costs a quarter of building lists.
_USUAL = re.compile(
    rb"""\x20?(?:
    (UID|RFC822\.SIZE|X-GM-MSGID|X-GM-THRID)\x20(\d{1,20})
    |(FLAGS|MODSEQ)\x20\(([^()"{}\r\n]*)\)
    |(INTERNALDATE)\x20"([^"\\\r\n]*)"
    |(BODY\[\](?:<\d+>)?)\x20\{\d+\}\r\n
    )""",
    re.VERBOSE,
)
_START = re.compile(rb"\* \d+ FETCH \(")


def usual_items(parts: Sequence[bytes]) -> dict[bytes, Value] | None:
    """What `fetch_items` gives, for an answer of the ordinary form; None for any other."""
    start = _START.match(parts[0])
    if start is None or len(parts) not in (1, 3):
        return None
    text, at = parts[0], start.end()
    items: dict[bytes, Value] = {}
    while match := _USUAL.match(text, at):
        at = match.end()
        kind = match.lastindex
        if kind == 2:
            items[match[1]] = match[2]
        elif kind == 4 and b"NIL" not in match[4].upper():
            items[match[3]] = list(match[4].split())
        elif kind == 6:
            items[match[5]] = match[6]
        elif kind == 7 and len(parts) == 3 and at == len(text):
            items[match[7]] = parts[1]
            text, at = parts[2], 0
        else:
            return None
    return items if text[at:] == b")\r\n" else None


def number(value: Value, most: int = MAX_NUMBER) -> int:
    """A decimal number up to `most`, 0 for anything else."""
    found = int(value) if isinstance(value, bytes) and value.isdigit() and len(value) < 21 else 0
    return found if found <= most else 0


def internal_date(value: Value) -> datetime | None:
    """An INTERNALDATE as aware UTC time, None when absent or out of order (RFC 9051 9, date-time)."""
    match = _DATE.match(value) if isinstance(value, bytes) else None
    if match is None:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes)) * (-1 if sign == b"-" else 1)
    try:
        moment = datetime(
            int(year),
            _MONTHS[month.title()],
            int(day),
            int(hour),
            int(minute),
            min(int(second), 59),
            tzinfo=timezone(offset),
        )
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def text_set(value: Value) -> frozenset[str]:
    """A list of flags as text; anything that is not text is skipped."""
    if not isinstance(value, list):
        return frozenset()
    flags = tuple(item for item in value if isinstance(item, bytes))
    # A mailbox has few different combinations; only short ones are kept, or a server could fill the memory with them.
    return _usual_flags(flags) if sum(map(len, flags)) <= MAX_KEPT_FLAGS else _flag_set(flags)


def _flag_set(flags: tuple[bytes, ...]) -> frozenset[str]:
    # No database takes NUL. \\Recent is about the session, not the message (RFC 3501 2.3.2).
    return frozenset(flag.decode("utf-8", "replace") for flag in flags if b"\0" not in flag) - {"\\Recent"}


_usual_flags = lru_cache(maxsize=1024)(_flag_set)


def _header(items: Mapping[bytes, Value]) -> Value:
    return next((value for key, value in items.items() if key.startswith(b"BODY[HEADER")), None)


def head_of(items: Mapping[bytes, Value], labels: frozenset[str] | None) -> MessageHead:
    """The cheap facts among the items of one FETCH response; `labels` are already decoded."""
    modseq = items.get(b"MODSEQ")
    header = None if b"BODY[]<0>" in items else _header(items)
    return MessageHead(
        uid=number(items.get(b"UID"), MAX_UID),
        flags=text_set(items.get(b"FLAGS")),
        labels=labels,
        size=number(items.get(b"RFC822.SIZE")),
        internal_date=internal_date(items.get(b"INTERNALDATE")),
        modseq=number(modseq[0]) if isinstance(modseq, list) and modseq else 0,
        gm_msgid=number(items.get(b"X-GM-MSGID"), MAX_GMAIL_ID),
        gm_thrid=number(items.get(b"X-GM-THRID"), MAX_GMAIL_ID),
        header=header if isinstance(header, bytes) else b"",
    )
