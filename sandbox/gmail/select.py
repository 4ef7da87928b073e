"""Folder commands that read: NAMESPACE, LIST and its kin, SELECT, EXAMINE, STATUS, CLOSE, IDLE, quota.

Decides what a client sees of the folder tree; changing it is left to manage.py.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

from sandbox.gmail import changes, mutate, names
from sandbox.gmail.fetch import changed_lines
from sandbox.gmail.grammar import BadCommand, NumberSet, Parser, compact
from sandbox.gmail.model import Folder
from sandbox.gmail.session import Command, No, Selected, Session

_FLAGS = "\\Answered \\Flagged \\Draft \\Deleted \\Seen $NotPhishing $Phishing"
_STATUS = frozenset({"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ"})


async def namespace(session: Session, args: Parser) -> str:
    """NAMESPACE."""
    args.end()
    session.put(b'* NAMESPACE (("" "%s")) NIL NIL' % _delimiter(session).encode())
    return "Success"


def _delimiter(session: Session) -> str:
    return session.profile.plain.delimiter


async def list_folders(session: Session, args: Parser) -> str:
    """LIST with selection and return options (RFC 5258, 5819, 6154)."""
    selection: list[str] = []
    options: list[tuple[str, list[str]]] = []
    args.space()
    if args.at(b"("):
        selection = args.listed(args.keyword)
        args.space()
    reference = args.pattern() if not args.take(b'""') else ""
    args.space()
    patterns = args.listed(args.pattern) if args.at(b"(") else [args.pattern()]
    if args.take(b" RETURN "):
        options = args.listed(lambda: _return_option(args))
    args.end()
    if (selection or options) and not session.profile.has("LIST-EXTENDED"):
        raise BadCommand
    for name, items in options:
        if name == "STATUS" and not session.profile.has("LIST-STATUS"):
            raise BadCommand
        _check_items(session, items)
    if patterns == [""]:
        session.put(b'* LIST (\\Noselect) "%s" ""' % _delimiter(session).encode())
        return "Success"
    for folder in _visible(session, reference, patterns):
        if "SPECIAL-USE" in selection and not _special(session, folder):
            continue
        _put_list(session, b"LIST", folder)
        for name, items in options:
            if name == "STATUS" and folder.role != names.NOSELECT:
                _put_status(session, folder, items)
    return "Success"


def _return_option(args: Parser) -> tuple[str, list[str]]:
    name = args.keyword()
    items: list[str] = []
    if name == "STATUS":
        args.space()
        items = args.listed(args.keyword)
    return name, items


async def xlist(session: Session, args: Parser) -> str:
    """XLIST, LSUB: like LIST without options."""
    args.space()
    reference = args.pattern() if not args.take(b'""') else ""
    args.space()
    pattern = args.pattern()
    args.end()
    for folder in _visible(session, reference, [pattern]):
        _put_list(session, b"XLIST", folder)
    return "Success"


async def lsub(session: Session, args: Parser) -> str:
    """LSUB."""
    args.space()
    reference = args.pattern() if not args.take(b'""') else ""
    args.space()
    pattern = args.pattern()
    args.end()
    for folder in _visible(session, reference, [pattern]):
        if folder.subscribed:
            _put_list(session, b"LSUB", folder)
    return "Success"


def _visible(session: Session, reference: str, patterns: Iterable[str]) -> list[Folder]:
    delimiter = re.escape(_delimiter(session))
    regexes = [
        re.compile(
            "".join(
                ".*" if char == "*" else f"[^{delimiter}]*" if char == "%" else re.escape(char)
                for char in reference + pattern
            ),
            # INBOX is case-insensitive; treating every name so does no harm in a listing.
            re.IGNORECASE | re.DOTALL,
        )
        for pattern in patterns
    ]
    with session.store.lock:
        box = session.mailbox
        found = [folder for folder in box.folders.values() if folder.role not in box.hidden]
    order = {names.INBOX: 0, names.NOSELECT: 1}
    found.sort(key=lambda folder: order.get(folder.role, 2 if folder.role else 3))
    return [folder for folder in found if any(regex.fullmatch(folder.name) for regex in regexes)]


def _special(session: Session, folder: Folder) -> bool:
    return folder.role not in ("", names.INBOX, names.NOSELECT) and session.profile.has("SPECIAL-USE")


def _put_list(session: Session, verb: bytes, folder: Folder) -> None:
    delimiter = _delimiter(session)
    with session.store.lock:
        children = any(name.startswith(folder.name + delimiter) for name in session.mailbox.folders)
    attributes = ["\\HasChildren" if children else "\\HasNoChildren"]
    if folder.role == names.NOSELECT:
        attributes.append("\\Noselect")
    elif _special(session, folder):
        attributes.append(folder.role)
    text = " ".join(attributes).encode()
    session.put(b'* %s (%s) "%s" %s' % (verb, text, delimiter.encode(), session.name(folder)))


async def status(session: Session, args: Parser) -> str:
    """STATUS."""
    args.space()
    name = args.folder()
    args.space()
    items = args.listed(args.keyword)
    args.end()
    _check_items(session, items)
    _put_status(session, find_folder(session, name), items)
    return "Success"


def find_folder(session: Session, name: str) -> Folder:
    """The folder a client may open; raises No with Gmail's words."""
    with session.store.lock:
        folder = session.mailbox.folders.get(name)
        hidden = folder is not None and folder.role in session.mailbox.hidden
    if folder is None or folder.role == names.NOSELECT or hidden:
        raise No(f"[NONEXISTENT] Unknown Mailbox: {name} (Failure)".encode().decode("ascii", "replace"))
    return folder


def _check_items(session: Session, items: Iterable[str]) -> None:
    able = _STATUS if session.profile.has("CONDSTORE") else _STATUS - {"HIGHESTMODSEQ"}
    if not able.issuperset(items):
        raise BadCommand


def _put_status(session: Session, folder: Folder, items: Iterable[str]) -> None:
    with session.store.lock:
        known = {
            "MESSAGES": len(folder.entries),
            "RECENT": 0,
            "UIDNEXT": folder.uidnext,
            "UIDVALIDITY": folder.uidvalidity,
            "HIGHESTMODSEQ": session.mailbox.highestmodseq(folder),
        }
        if "UNSEEN" in items:
            known["UNSEEN"] = _unseen(folder)
        text = " ".join(f"{item} {known[item]}" for item in items).encode()
    if "HIGHESTMODSEQ" in items:
        aware(session)
    session.put(b"* STATUS %s (%s)" % (session.name(folder), text))


def _unseen(folder: Folder) -> int:
    return sum("\\Seen" not in entry.message.flags for entry in folder.entries.values())


def aware(session: Session) -> None:
    """Note that the client understands CONDSTORE (RFC 7162 3.1); Gmail takes no note of it."""
    if not session.profile.gmail:
        session.enabled.add("CONDSTORE")


async def select(session: Session, args: Parser) -> str:
    """SELECT."""
    return _open(session, args, read_only=False)


async def examine(session: Session, args: Parser) -> str:
    """EXAMINE."""
    return _open(session, args, read_only=True)


def _open(session: Session, args: Parser, *, read_only: bool) -> str:
    args.space()
    name = args.folder()
    resync: tuple[int, int, NumberSet | None] | None = None
    if args.take(b" ("):
        if not session.profile.has("CONDSTORE"):
            raise BadCommand
        if args.take(b"CONDSTORE)"):
            aware(session)
        else:
            resync = _resync_arguments(session, args)
    args.end()
    if session.selected is not None and session.profile.has("QRESYNC"):
        session.put(b"* OK [CLOSED] Previous mailbox closed.")
    session.selected = None
    folder = find_folder(session, name)
    box = session.mailbox
    with session.store.lock:
        horizon = box.visible()
        uids = [entry.uid for entry in folder.entries.values() if entry.born <= horizon]
        session.selected = Selected(folder, folder.uidvalidity, read_only, uids, horizon)
        changes.settle(session.selected)
        session.selected.version = folder.version
        _put_opening(session, session.selected)
        if resync is not None:
            _put_resync(session, session.selected, resync)
    access = "READ-ONLY" if read_only else "READ-WRITE"
    shown = session.name(folder).strip(b'"').decode("utf-8")
    return f"[{access}] {shown} selected. (Success)"


def _put_opening(session: Session, selected: Selected) -> None:
    folder = selected.folder
    permanent = "" if selected.read_only else f"{_FLAGS} \\*"
    lines = [
        f"* FLAGS ({_FLAGS})",
        f"* OK [PERMANENTFLAGS ({permanent})] Flags permitted.",
        f"* OK [UIDVALIDITY {folder.uidvalidity}] UIDs valid.",
        f"* {len(selected.uids)} EXISTS",
        "* 0 RECENT",
        f"* OK [UIDNEXT {folder.uidnext}] Predicted next UID.",
    ]
    if session.profile.has("CONDSTORE"):
        lines.append(f"* OK [HIGHESTMODSEQ {session.mailbox.highestmodseq(folder)}]")
    for line in lines:
        session.put(line.encode())


def _resync_arguments(session: Session, args: Parser) -> tuple[int, int, NumberSet | None]:
    """(QRESYNC (uidvalidity modseq [uids [(sequences uids)]])), RFC 7162 3.2.5."""
    if "QRESYNC" not in session.enabled:
        raise BadCommand
    args.need(b"QRESYNC (")
    uidvalidity = args.number()
    args.space()
    modseq = args.number()
    known: NumberSet | None = None
    if args.take(b" "):
        if not args.at(b"("):
            known = args.numbers()
            args.take(b" ")
        if args.take(b"("):
            args.numbers()
            args.space()
            args.numbers()
            args.need(b")")
    args.need(b"))")
    return uidvalidity, modseq, known


def _put_resync(session: Session, selected: Selected, resync: tuple[int, int, NumberSet | None]) -> None:
    uidvalidity, since, known = resync
    if uidvalidity != selected.uidvalidity:
        return
    gone = vanished_since(selected.folder, since, known)
    if gone:
        session.put(b"* VANISHED (EARLIER) " + compact(gone))
    uids = known.pick(selected.uids) if known else selected.uids
    for line in changed_lines(session, uids, since):
        session.put(line)


def vanished_since(folder: Folder, since: int, known: NumberSet | None) -> list[int]:
    """The UIDs expunged after a modseq, limited to those the client knows."""
    gone = sorted({uid for modseq, uid in folder.vanished if modseq > since})
    return known.pick(gone) if known else gone


async def close(session: Session, args: Parser) -> str:
    """CLOSE expunges silently, unless opened with EXAMINE; UNSELECT does not."""
    args.end()
    if not session.opened.read_only:
        mutate.expunge_deleted(session, None)
    session.selected = None
    return "Returned to authenticated state. (Success)"


async def unselect(session: Session, args: Parser) -> str:
    """UNSELECT (RFC 3691)."""
    args.end()
    session.selected = None
    return "Returned to authenticated state. (Success)"


async def idle(session: Session, args: Parser) -> str:
    """IDLE (RFC 2177): push changes until DONE."""
    args.end()
    session.wire.put(b"+ idling\r\n")
    await session.wire.flush()
    session.busy = False
    done = session.wire.line_task()
    while not done.done():
        session.changed.clear()
        if session.selected is not None:
            await session.push()
        woken = asyncio.ensure_future(session.changed.wait())
        try:
            await asyncio.wait({done, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
    session.busy = True
    line = await session.wire.read_line()
    if line.strip().upper() != b"DONE":
        raise BadCommand
    return "IDLE terminated (Success)"


async def quota_root(session: Session, args: Parser) -> str:
    """GETQUOTAROOT and GETQUOTA."""
    args.space()
    name = args.folder()
    args.end()
    if name:
        session.put(b'* QUOTAROOT %s ""' % names.mailbox(name))
    with session.store.lock:
        used = sum(len(message.raw) for message in session.mailbox.messages.values()) // 1024
    session.put(b'* QUOTA "" (STORAGE %d 15728640)' % used)
    return "Success"


COMMANDS = {
    "NAMESPACE": Command(namespace),
    "LIST": Command(list_folders),
    "XLIST": Command(xlist),
    "LSUB": Command(lsub),
    "STATUS": Command(status),
    "SELECT": Command(select),
    "EXAMINE": Command(examine),
    "CLOSE": Command(close, 2),
    "UNSELECT": Command(unselect, 2),
    "IDLE": Command(idle),
    "GETQUOTAROOT": Command(quota_root),
    "GETQUOTA": Command(quota_root),
}
