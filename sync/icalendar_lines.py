"""The syntax of iCalendar files: components, folded lines, parameters (RFC 5545 3.1, 3.2). Bounded, never raises.
What a component means is `sync.icalendar_read`; writing is `sync.icalendar_write`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from core.contact_file import FileFault, decode_file
from core.vcard_lines import unescape

MAX_BYTES = 32_000_000
MAX_COMPONENTS = 50_000
MAX_PROPERTIES = 5_000
MAX_VALUE = 1_000_000
MAX_DEPTH = 10

_QUOTED = r'(?:"[^"]*"|[^";:,]*+)'
_HEAD = re.compile(rf"([A-Za-z0-9-]+)((?:;[A-Za-z0-9-]+={_QUOTED}(?:,{_QUOTED})*+)*+):")
_LENIENT_HEAD = re.compile(r"([A-Za-z0-9-]+)[ \t]*((?:;[^:;]*+)*+):")  # a quote that is never closed
_PARAMETER = re.compile(r';[ \t]*([A-Za-z0-9-]+)=("[^"]*"|[^;]*+)')
_CARET = re.compile(r"\^([\^n'])")
_CARET_MEANS = {"^": "^", "n": "\n", "'": '"'}  # RFC 6868
_MARK = re.compile(r"(BEGIN|END)[ \t]*:[ \t]*([A-Za-z0-9-]{1,60})[ \t]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Property:
    """One content line; `value` still bears its escapes, of several values of a parameter the first one counts."""

    name: str
    parameters: Mapping[str, str]
    value: str

    @property
    def text(self) -> str:
        """The value as one text (RFC 5545 3.3.11)."""
        return unescape(self.value)


@dataclass(frozen=True, slots=True)
class Component:
    """A component that begins at `line`, with its own properties, and those within it that are not asked for."""

    name: str
    line: int
    properties: list[Property] = field(default_factory=list)
    inner: list[Component] = field(default_factory=list)

    def first(self, name: str) -> Property | None:
        """The first property of that name."""
        return next((one for one in self.properties if one.name == name), None)

    def every(self, *names: str) -> list[Property]:
        """All properties of these names."""
        return [one for one in self.properties if one.name in names]


def read_components(data: bytes, wanted: Collection[str]) -> Iterator[Component | FileFault]:
    """The components of the wanted names, each at its end; what cannot be read, or is cut off, comes as a fault."""
    if len(data) > MAX_BYTES:
        yield FileFault(1, f"the file has more than {MAX_BYTES // 1_000_000} MB: split it")
        return
    stack: list[Component | FileFault] = []
    found = 0
    for number, line in _unfolded(decode_file(data)):
        mark = _MARK.fullmatch(line) if line[:1] in "bBeE" else None
        if mark is None:
            if stack:
                stack[-1] = _with_line(stack[-1], number, line)
        elif mark[1].upper() == "BEGIN":
            yield from _left_open(stack, mark[2].upper(), wanted)
            if len(stack) < MAX_DEPTH:
                stack.append(Component(mark[2].upper(), number))
        elif any(_is(one, mark[2].upper()) for one in stack):
            closed = _closed(stack, mark[2].upper(), wanted)
            found += len(closed)
            if found > MAX_COMPONENTS:
                yield FileFault(number, f"only the first {MAX_COMPONENTS} components of a file are read: split it")
                return
            yield from closed
    yield from (_unclosed(one) for one in stack if isinstance(one, Component) and one.name in wanted)


@dataclass(frozen=True, slots=True)
class _Broken(FileFault):
    """A fault in a component that is still open."""

    name: str


def _is(one: Component | FileFault, name: str) -> bool:
    return isinstance(one, Component | _Broken) and one.name == name


def _left_open(stack: list[Component | FileFault], name: str, wanted: Collection[str]) -> list[Component | FileFault]:
    """What was never closed, now that another one of that name begins: none stands inside its like."""
    if name not in wanted or not any(_is(one, name) for one in stack):
        return []
    found = _closed(stack, name, wanted)
    return [_unclosed(one) if isinstance(one, Component) else one for one in found]


def _closed(stack: list[Component | FileFault], name: str, wanted: Collection[str]) -> list[Component | FileFault]:
    """Take components off the stack down to the one of that name; those above it were never closed."""
    found: list[Component | FileFault] = []
    while stack:
        one = stack.pop()
        ends = _is(one, name)
        if isinstance(one, _Broken):
            found += [FileFault(one.line, one.reason)] if one.name in wanted else []
        elif isinstance(one, Component) and one.name in wanted:
            found.append(one if ends else _unclosed(one))
        elif ends and isinstance(one, Component) and stack and isinstance(stack[-1], Component):
            stack[-1].inner.append(one)
        if ends:
            break
    return found


def _unclosed(one: Component) -> FileFault:
    return FileFault(one.line, f"{one.name} has no END:{one.name}")


def _with_line(one: Component | FileFault, number: int, line: str) -> Component | FileFault:
    if not isinstance(one, Component) or not line.strip():
        return one
    match = _HEAD.match(line) or _LENIENT_HEAD.match(line)
    if match is None:
        return _Broken(one.line, f"line {number} is no property: {line[:60]!r}", one.name)
    if len(line) - match.end() > MAX_VALUE or len(one.properties) >= MAX_PROPERTIES:
        return _Broken(one.line, f"{one.name} is too long", one.name)
    one.properties.append(Property(match[1].upper(), _parameters(match[2]), line[match.end() :]))
    return one


def _parameters(raw: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in _PARAMETER.findall(raw):
        plain = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value.strip()
        found.setdefault(name.upper(), _CARET.sub(lambda match: _CARET_MEANS[match[1]], plain))
    return found


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Whole content lines with the number of their first physical line (RFC 5545 3.1)."""
    begun, pieces = 0, list[str]()
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if pieces and line[:1] in (" ", "\t"):
            pieces.append(line[1:])
            continue
        if pieces:
            yield begun, "".join(pieces)
        begun, pieces = number, [line.lstrip("\ufeff")]
    if pieces:
        yield begun, "".join(pieces)
