"""FETCH and UID FETCH: items, body sections, partial ranges, CHANGEDSINCE, and the faults inside an answer.

Decides the text of each response; the cutting of messages is left to mime.py and structure.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sandbox.gmail import labels as gmail
from sandbox.gmail import mime, names
from sandbox.gmail.faults import FETCH_FAULTS, Fault
from sandbox.gmail.folders import set_entry_flags
from sandbox.gmail.grammar import BadCommand, Parser, compact, format_date
from sandbox.gmail.model import Entry, View
from sandbox.gmail.session import Command, No, Session
from sandbox.gmail.structure import envelope, structure
from sandbox.gmail.wire import ConnectionCut

_MACROS = {
    "ALL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"),
    "FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE"),
    "FULL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"),
}
_RFC822 = {"RFC822": "", "RFC822.HEADER": "HEADER", "RFC822.TEXT": "TEXT"}
_SIMPLE = frozenset({"UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY"})
_GMAIL = frozenset({"X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS"})
# The order in which Gmail sends attributes, whatever the order of the request.
_ORDER = ("X-GM-THRID", "X-GM-MSGID", "X-GM-LABELS", "UID", "RFC822.SIZE", "MODSEQ", "FLAGS")
_NAME = re.compile(rb"[A-Za-z0-9.-]+")
_KIND = re.compile(rb"HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME", re.IGNORECASE)
_PATH = re.compile(rb"[1-9]\d*(?:\.[1-9]\d*)*")
_LITERAL = re.compile(rb"\{(\d+)\}\r\n")


@dataclass(frozen=True, slots=True)
class Section:
    """What is inside `BODY[...]`, with `<offset.length>` if partial."""

    path: tuple[int, ...] = ()
    kind: str = ""
    fields: tuple[bytes, ...] = ()
    partial: tuple[int, int] | None = None

    def label(self) -> bytes:
        """The section as the answer names it, without the partial origin."""
        text = ".".join(map(str, self.path))
        if self.kind:
            text += ("." if text else "") + self.kind
        fields = b" (" + b" ".join(map(_field_name, self.fields)) + b")" if self.fields else b""
        return b"[" + text.encode() + fields + b"]"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing asked for: a simple item, or a body section (with the name used in the answer)."""

    name: str
    section: Section | None = None
    peek: bool = True


def _field_name(name: bytes) -> bytes:
    return name if names.is_plain_atom(name.decode("latin-1")) else names.quote(name)


def parse_items(args: Parser) -> list[Item]:
    """The item list or macro; raises BadCommand."""
    if args.at(b"("):
        found = args.listed(lambda: _item(args))
        if not found:
            raise BadCommand
        return found
    start = args.pos
    macro = args.match(_NAME).decode("ascii").upper()
    if macro in _MACROS:
        return [Item(name) for name in _MACROS[macro]]
    args.pos = start
    return [_item(args)]


def _item(args: Parser) -> Item:
    name = args.match(_NAME).decode("ascii").upper()
    if name in ("BODY", "BODY.PEEK") and args.take(b"["):
        return Item("BODY", _section(args), peek=name == "BODY.PEEK")
    if name in _RFC822:
        return Item(name, Section(kind=_RFC822[name]), peek=name == "RFC822.HEADER")
    if name not in _SIMPLE | _GMAIL | {"MODSEQ"}:
        raise BadCommand
    return Item(name)


def _section(args: Parser) -> Section:
    path: tuple[int, ...] = ()
    kind = ""
    fields: tuple[bytes, ...] = ()
    if not args.at(b"]"):
        if args.data[args.pos : args.pos + 1].isdigit():
            path = tuple(map(int, args.match(_PATH).split(b".")))
        if not path or args.take(b"."):
            kind = args.match(_KIND).decode("ascii").upper()
        if kind == "MIME" and not path:
            raise BadCommand
        if kind.startswith("HEADER.FIELDS"):
            args.space()
            fields = tuple(args.listed(args.astring))
            if not fields:
                raise BadCommand
    args.need(b"]")
    partial: tuple[int, int] | None = None
    if args.take(b"<"):
        offset = args.number()
        args.need(b".")
        partial = (offset, args.number())
        args.need(b">")
    return Section(path, kind, fields, partial)


def body(raw: bytes, section: Section) -> bytes | None:
    """The bytes of a section, before the partial range; None if there is no such part."""
    part: mime.Part | None
    if section.path:
        part = mime.find(mime.parse(raw), section.path)
        if part is None:
            return None
        if section.kind == "":
            return part.body
        if section.kind == "MIME":
            return part.header
        if part.embedded is None:
            return None
        header, text = part.embedded.header, part.embedded.body
    else:
        if section.kind == "":
            return raw
        header, text = mime.split_header(raw)
    if section.kind == "TEXT":
        return text
    if section.kind == "HEADER":
        return header
    return mime.select_fields(header, section.fields, section.kind.endswith("NOT"))


async def fetch(session: Session, args: Parser) -> str:
    """FETCH and UID FETCH."""
    uid = session.by_uid
    args.space()
    wanted = args.numbers()
    args.space()
    items = parse_items(args)
    since, vanished = _modifiers(session, args, uid)
    args.end()
    _check_items(session, items)
    if uid:
        items = [Item("UID"), *(item for item in items if item.name != "UID")]
    if since is not None and all(item.name != "MODSEQ" for item in items):
        items.append(Item("MODSEQ"))
    selected = session.opened
    if vanished:
        with session.store.lock:
            gone = [u for modseq, u in selected.folder.vanished if modseq > (since or 0)]
        chosen = wanted.pick(sorted(set(gone)))
        if chosen:
            session.put(b"* VANISHED (EARLIER) " + compact(chosen))
    uids = _targets(session, wanted.pick(selected.uids if uid else range(1, len(selected.uids) + 1)), uid)
    await _send_all(session, uids, items, since)
    return "Success"


def _targets(session: Session, chosen: list[int], uid: bool) -> list[int]:
    return chosen if uid else [session.opened.uids[number - 1] for number in chosen]


def _modifiers(session: Session, args: Parser, uid: bool) -> tuple[int | None, bool]:
    if not args.take(b" ("):
        return None, False
    if not session.profile.has("CONDSTORE"):
        raise BadCommand
    args.need(b"CHANGEDSINCE ")
    since = args.number()
    vanished = args.take(b" VANISHED")
    args.need(b")")
    if vanished and not (uid and "QRESYNC" in session.enabled):
        raise BadCommand
    if not session.profile.gmail:
        session.enabled.add("CONDSTORE")
    return since, vanished


def _check_items(session: Session, items: Sequence[Item]) -> None:
    asked = {item.name for item in items}
    if asked & _GMAIL and not session.profile.gmail:
        raise BadCommand
    if "MODSEQ" in asked:
        if not session.profile.has("CONDSTORE"):
            raise BadCommand
        if not session.profile.gmail:
            session.enabled.add("CONDSTORE")


async def _send_all(session: Session, uids: Sequence[int], items: Sequence[Item], since: int | None) -> None:
    selected = session.opened
    sets_seen = not selected.read_only and any(not item.peek for item in items)
    for uid in uids:
        with session.store.lock:
            entry = selected.folder.entries.get(uid)
            if entry is None or (since is not None and entry.view(selected.horizon).modseq <= since):
                continue
            if sets_seen and "\\Seen" not in entry.message.flags:
                _mark_seen(session, entry)
            line = response(session, entry, items)
        fault = session.store.faults.take(session.user, FETCH_FAULTS, "FETCH", uid)
        if fault is not None:
            await _spoil(session, fault, line, uid)
            continue
        session.wire.put(line)
        if session.wire.full:
            await session.wire.flush()


def _mark_seen(session: Session, entry: Entry) -> None:
    box, folder = session.mailbox, session.opened.folder
    if session.profile.gmail:
        gmail.change(box, entry.message, flags=entry.message.flags | {"\\Seen"})
    else:
        set_entry_flags(box, folder, entry, entry.flags() | {"\\Seen"})
    session.opened.horizon = box.modseq
    session.store.notify(session.user)


def response(session: Session, entry: Entry, items: Sequence[Item]) -> bytes:
    """One whole `* n FETCH (...)` response; the caller holds the lock."""
    view = entry.view(session.opened.horizon)
    ranked = sorted(items, key=lambda item: _ORDER.index(item.name) if item.name in _ORDER else len(_ORDER))
    pieces = [_render(session, entry, view, item) for item in ranked]
    sequence = session.sequence(entry.uid) or 0
    if any(item.name == "FLAGS" for item in items):
        session.opened.told[entry.uid] = view.modseq
    return b"* %d FETCH (%s)\r\n" % (sequence, b" ".join(pieces))


def _render(session: Session, entry: Entry, view: View, item: Item) -> bytes:
    message = entry.message
    if item.section is not None:
        return _render_section(session, entry, item.name, item.section)
    match item.name:
        case "UID":
            return b"UID %d" % entry.uid
        case "FLAGS":
            return b"FLAGS (%s)" % " ".join(sorted(view.flags)).encode()
        case "INTERNALDATE":
            return b"INTERNALDATE " + format_date(message.internaldate)
        case "RFC822.SIZE":
            return b"RFC822.SIZE %d" % len(message.raw)
        case "MODSEQ":
            return b"MODSEQ (%d)" % view.modseq
        case "X-GM-MSGID":
            return b"X-GM-MSGID %d" % message.msgid
        case "X-GM-THRID":
            return b"X-GM-THRID %d" % message.thrid
        case "X-GM-LABELS":
            return b"X-GM-LABELS (%s)" % _labels(session, view)
        case "ENVELOPE":
            _count(session, entry, "ENVELOPE")
            return b"ENVELOPE " + envelope(mime.split_header(message.raw)[0])
    _count(session, entry, item.name)
    tree = mime.parse(message.raw)
    return item.name.encode() + b" " + structure(tree, extended=item.name == "BODYSTRUCTURE")


def _labels(session: Session, view: View) -> bytes:
    own = gmail.own_label(session.opened.folder)
    shown = sorted(label for label in view.labels if label != own)
    return b" ".join(names.gmail_label(label, session.utf8) for label in shown)


def _render_section(session: Session, entry: Entry, name: str, section: Section) -> bytes:
    text = body(entry.message.raw, section)
    label = name.encode() if name != "BODY" else b"BODY" + section.label()
    asked = label.decode("latin-1")
    if section.partial is not None:
        offset, length = section.partial
        asked += f"<{offset}.{length}>"
        label += b"<%d>" % offset
        text = None if text is None else text[offset : offset + length]
    _count(session, entry, asked)
    if text is None:
        return label + b" NIL"
    return label + b" {%d}\r\n%s" % (len(text), text)


def _count(session: Session, entry: Entry, item: str) -> None:
    counters = session.store.counters[session.user]
    counters.fetched[session.opened.folder.name, entry.uid, item] += 1


def changed_lines(session: Session, uids: Sequence[int], since: int) -> Iterator[bytes]:
    """FETCH lines (UID FLAGS MODSEQ) for entries changed after a modseq: the answer to QRESYNC."""
    items = [Item("UID"), Item("FLAGS"), Item("MODSEQ")]
    for uid in uids:
        entry = session.opened.folder.entries.get(uid)
        if entry is not None and entry.modseq > since:
            yield response(session, entry, items).removesuffix(b"\r\n")


async def _spoil(session: Session, fault: Fault, line: bytes, uid: int) -> None:
    """Send a response the way the fault wants it."""
    found = _LITERAL.search(line)
    match fault.kind:
        case "system_error":
            raise No(fault.text)
        case "uidless_fetch":
            number = fault.number or session.sequence(uid) or 1
            session.put(b"* %d FETCH (FLAGS (%s))" % (number, fault.text.encode()))
        case "nil_envelope":
            line = _replace_list(line, b"ENVELOPE ", b"NIL")
        case "deep":
            deep = b"(" * fault.number + b")" * fault.number
            line = _replace_list(line, b"BODYSTRUCTURE ", deep)
        case "huge_literal":
            await session.flood(b"* 1 FETCH (UID %d BODY[] {%d}\r\n" % (uid, fault.number), fault.number)
        case "bye_in_literal" if found is not None:
            half = found.end() + int(found.group(1)) // 2
            session.wire.put(line[:half] + f"* BYE {fault.text}\r\n".encode())
            await session.wire.flush()
            session.wire.close()
            raise ConnectionCut
    session.wire.put(line)


def _replace_list(line: bytes, name: bytes, text: bytes) -> bytes:
    """Put `text` in the place of the parenthesised list after `name`."""
    start = line.find(name + b"(")
    if start < 0:
        return line
    start += len(name)
    depth, pos = 0, start
    while pos < len(line):
        if (literal := _LITERAL.match(line, pos)) is not None:
            pos = literal.end() + int(literal.group(1))
            continue
        if line[pos : pos + 1] == b'"':
            quoted = re.compile(rb'"(?:[^"\\]|\\.)*"').match(line, pos)
            pos = quoted.end() if quoted else pos + 1
            continue
        depth += {b"(": 1, b")": -1}.get(line[pos : pos + 1], 0)
        pos += 1
        if depth == 0:
            break
    return line[:start] + text + line[pos:]


COMMANDS = {"FETCH": Command(fetch, 2, quiet=True), "UID FETCH": Command(fetch, 2)}
