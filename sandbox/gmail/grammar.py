"""Reads the arguments of one IMAP command, strictly as Gmail does: any odd syntax is `BadCommand`.

Decides what the client wrote; what it means is left to the command modules.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

from sandbox.gmail.names import decode_utf7

T = TypeVar("T")

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_ATOM = re.compile(rb'[^\x00-\x20\x7f(){%*"\\\]]+')
_ASTRING = re.compile(rb'[^\x00-\x20\x7f(){%*"\\]+')
_PATTERN = re.compile(rb'[^\x00-\x20\x7f(){"\\]+')
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f(){%*"\\\]]+|\\\*')
_LABEL = re.compile(rb'\\?[^\x00-\x20\x7f(){%*"\\]+')
_QUOTED = re.compile(rb'"((?:[^"\\\r\n]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{(\d+)\+?\}\r?\n")
_NUMBER = re.compile(rb"\d+")
_SET = re.compile(rb"(?:\d+|\*)(?::(?:\d+|\*))?(?:,(?:\d+|\*)(?::(?:\d+|\*))?)*")
_DATE = re.compile(rb'"?(\d{1,2})-([A-Za-z]{3})-(\d{4})"?')


class BadCommand(Exception):
    """The command cannot be parsed; the session answers BAD and goes on."""


@dataclass(frozen=True, slots=True)
class NumberSet:
    """A sequence set (RFC 3501 9): closed ranges, None standing for `*`."""

    ranges: tuple[tuple[int | None, int | None], ...]

    def pick(self, numbers: Sequence[int]) -> list[int]:
        """The members of an ascending list that the set names, ascending and without repeats."""
        if not numbers:
            return []
        chosen: set[int] = set()
        for first, last in self.ranges:
            low, high = sorted((first or numbers[-1], last or numbers[-1]))
            chosen.update(numbers[bisect_left(numbers, low) : bisect_right(numbers, high)])
        return sorted(chosen)


def parse_set(text: bytes) -> NumberSet:
    """Read `1:5,9,12:*`; raises BadCommand."""
    if not _SET.fullmatch(text):
        raise BadCommand
    ranges: list[tuple[int | None, int | None]] = []
    for piece in text.split(b","):
        first, colon, last = piece.partition(b":")
        low = None if first == b"*" else int(first)
        high = low if not colon else None if last == b"*" else int(last)
        if low == 0 or high == 0:
            raise BadCommand
        ranges.append((low, high))
    return NumberSet(tuple(ranges))


def compact(numbers: Sequence[int]) -> bytes:
    """An ascending list of numbers as a sequence set with ranges."""
    pieces: list[str] = []
    start = previous = -1
    for number in (*numbers, -1):
        if number == previous + 1 and start >= 0:
            previous = number
            continue
        if start >= 0:
            pieces.append(str(start) if start == previous else f"{start}:{previous}")
        start = previous = number
    return ",".join(pieces).encode("ascii")


class Parser:
    """A cursor over one command, literals inline after their `{n}` line."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0

    def at(self, text: bytes) -> bool:
        """Whether the rest begins with the text, case aside."""
        return self.data[self.pos : self.pos + len(text)].upper() == text.upper()

    def take(self, text: bytes) -> bool:
        """Step over the text if the rest begins with it."""
        if not self.at(text):
            return False
        self.pos += len(text)
        return True

    def need(self, text: bytes) -> None:
        """Step over the text or fail."""
        if not self.take(text):
            raise BadCommand

    def space(self) -> None:
        """Exactly one blank."""
        self.need(b" ")

    def end(self) -> None:
        """Nothing may follow, not even a blank: Gmail answers BAD to it."""
        if self.pos != len(self.data):
            raise BadCommand

    @property
    def done(self) -> bool:
        """Whether everything was read."""
        return self.pos >= len(self.data)

    def match(self, pattern: re.Pattern[bytes]) -> bytes:
        """Step over what the pattern matches here or fail."""
        found = pattern.match(self.data, self.pos)
        if found is None:
            raise BadCommand
        self.pos = found.end()
        return found.group()

    def atom(self) -> str:
        """An atom, ASCII only."""
        return _ascii(self.match(_ATOM))

    def keyword(self) -> str:
        """An atom in upper case."""
        return self.atom().upper()

    def number(self) -> int:
        """An unsigned decimal number."""
        return int(self.match(_NUMBER))

    def string(self) -> bytes:
        """A quoted string or a literal."""
        quoted = _QUOTED.match(self.data, self.pos)
        if quoted is not None:
            self.pos = quoted.end()
            return re.sub(rb'\\(["\\])', rb"\1", quoted.group(1))
        literal = _LITERAL.match(self.data, self.pos)
        if literal is None:
            raise BadCommand
        size = int(literal.group(1))
        text = self.data[literal.end() : literal.end() + size]
        if len(text) != size:
            raise BadCommand
        self.pos = literal.end() + size
        return text

    def astring(self) -> bytes:
        """A string or an atom in which `]` is allowed."""
        return self.string() if self.data[self.pos : self.pos + 1] in (b'"', b"{") else self.match(_ASTRING)

    def pattern(self) -> str:
        """A LIST pattern, in which `%` and `*` are wildcards."""
        if self.data[self.pos : self.pos + 1] in (b'"', b"{"):
            return folder_name(self.string())
        return folder_name(self.match(_PATTERN))

    def folder(self) -> str:
        """A folder name, decoded; INBOX in any case is INBOX."""
        name = folder_name(self.astring())
        return "INBOX" if name.upper() == "INBOX" else name

    def label(self) -> str:
        """A Gmail label: an astring, or a system label such as `\\Inbox` without quotes."""
        if self.data[self.pos : self.pos + 1] in (b'"', b"{"):
            return folder_name(self.string())
        return folder_name(self.match(_LABEL))

    def flags(self) -> set[str]:
        """A parenthesised or bare list of flags."""
        if not self.at(b"("):
            found = {_flag(self.match(_FLAG))}
            while self.take(b" "):
                found.add(_flag(self.match(_FLAG)))
            return found
        return {_flag(flag) for flag in self.listed(lambda: self.match(_FLAG))}

    def labels(self) -> set[str]:
        """A parenthesised list of labels, or one label."""
        return set(self.listed(self.label)) if self.at(b"(") else {self.label()}

    def listed(self, read: Callable[[], T]) -> list[T]:
        """A parenthesised list with single blanks between the members."""
        self.need(b"(")
        found: list[T] = []
        while not self.take(b")"):
            if found:
                self.space()
            found.append(read())
        return found

    def numbers(self) -> NumberSet:
        """A sequence set."""
        return parse_set(self.match(_SET))

    def date(self) -> date:
        """A date as SEARCH writes it: 1-Feb-2024, quoted or not."""
        found = _DATE.match(self.data, self.pos)
        if found is None:
            raise BadCommand
        self.pos = found.end()
        day, month, year = found.groups()
        try:
            return date(int(year), MONTHS.index(month.decode("ascii").title()) + 1, int(day))
        except ValueError as error:
            raise BadCommand from error

    def date_time(self) -> datetime:
        """An APPEND date-time: "17-Jul-1996 02:44:25 -0700"."""
        text = self.string().decode("ascii", "replace").strip()
        try:
            # Month names are parsed by hand: strptime follows the locale of the process.
            day, month, rest = text.split("-", 2)
            number = MONTHS.index(month.title()) + 1
            return datetime.strptime(f"{int(day):02d}-{number:02d}-{rest}", "%d-%m-%Y %H:%M:%S %z")
        except ValueError as error:
            raise BadCommand from error


def folder_name(text: bytes) -> str:
    """Decode a folder name or label; raises BadCommand."""
    try:
        return decode_utf7(text)
    except ValueError as error:
        raise BadCommand from error


def format_date(when: datetime) -> bytes:
    """An INTERNALDATE, quoted."""
    text = f'"{when.day:2d}-{MONTHS[when.month - 1]}-{when:%Y %H:%M:%S %z}"'
    return text.encode("ascii")


def _flag(text: bytes) -> str:
    flag = _ascii(text)
    return "\\" + flag[1:].title() if flag.startswith("\\") else flag


def _ascii(text: bytes) -> str:
    try:
        return text.decode("ascii")
    except UnicodeDecodeError as error:
        raise BadCommand from error
