"""SEARCH and UID SEARCH with ESEARCH results; Gmail's X-GM keys are left to gmailsearch.py.

Decides which messages match; plain text is matched without regard to case on raw bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from email.utils import parsedate_to_datetime
from functools import partial

from sandbox.gmail import gmailsearch, mime
from sandbox.gmail.grammar import BadCommand, Parser, compact
from sandbox.gmail.model import Entry, View
from sandbox.gmail.session import Command, No, Session

_FLAG_KEYS = {
    "ANSWERED": ("\\Answered", True),
    "DELETED": ("\\Deleted", True),
    "DRAFT": ("\\Draft", True),
    "FLAGGED": ("\\Flagged", True),
    "SEEN": ("\\Seen", True),
    "UNANSWERED": ("\\Answered", False),
    "UNDELETED": ("\\Deleted", False),
    "UNDRAFT": ("\\Draft", False),
    "UNFLAGGED": ("\\Flagged", False),
    "UNSEEN": ("\\Seen", False),
    "NEW": ("\\Recent", True),
    "OLD": ("\\Recent", False),
    "RECENT": ("\\Recent", True),
}
_HEADER_KEYS = frozenset({"FROM", "TO", "CC", "BCC", "SUBJECT"})
_DATE_KEYS = frozenset({"SINCE", "BEFORE", "ON", "SENTSINCE", "SENTBEFORE", "SENTON"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message as SEARCH looks at it."""

    sequence: int
    entry: Entry
    view: View


Test = Callable[[Candidate], bool]


def parse_keys(session: Session, args: Parser) -> Test:
    """All keys up to the end of the command or of a parenthesis, joined by AND."""
    tests = [_key(session, args)]
    while args.take(b" "):
        tests.append(_key(session, args))
    return lambda c: all(test(c) for test in tests)


def _key(session: Session, args: Parser) -> Test:
    if args.take(b"("):
        inner = parse_keys(session, args)
        args.need(b")")
        return inner
    if args.data[args.pos : args.pos + 1].isdigit() or args.at(b"*"):
        chosen = set(args.numbers().pick(range(1, len(session.opened.uids) + 1)))
        return lambda c: c.sequence in chosen
    word = args.keyword()
    if word == "ALL":
        return lambda _: True
    if word in _FLAG_KEYS:
        flag, wanted = _FLAG_KEYS[word]
        return lambda c: (flag in c.view.flags) is wanted
    args.space()
    if word == "NOT":
        negated = _key(session, args)
        return lambda c: not negated(c)
    if word == "OR":
        first = _key(session, args)
        args.space()
        second = _key(session, args)
        return lambda c: first(c) or second(c)
    if word.startswith("X-GM-"):
        if not session.profile.gmail:
            raise BadCommand
        matches = gmailsearch.parse_key(word, args, session.store.clock.now())
        return lambda c: matches(gmailsearch.Hit(c.entry.message, c.view))
    return _argument_key(session, args, word)


def _argument_key(session: Session, args: Parser, word: str) -> Test:
    if word in _DATE_KEYS:
        return partial(_date_matches, word, args.date())
    if word in _HEADER_KEYS:
        return _header_test(word.lower().encode(), args.astring())
    match word:
        case "UID":
            chosen = set(args.numbers().pick(session.opened.uids))
            return lambda c: c.entry.uid in chosen
        case "KEYWORD" | "UNKEYWORD":
            flag = args.atom()
            return lambda c: (flag in c.view.flags) is (word == "KEYWORD")
        case "LARGER" | "SMALLER":
            size = args.number()
            larger = word == "LARGER"
            return lambda c: len(c.entry.message.raw) > size if larger else len(c.entry.message.raw) < size
        case "HEADER":
            name = args.astring().lower()
            args.space()
            return _header_test(name, args.astring())
        case "TEXT" | "BODY":
            text = args.astring().lower()
            whole = word == "TEXT"
            return lambda c: text in _searched(c.entry.message.raw, whole=whole)
        case "MODSEQ":
            return _modseq_test(session, args)
    raise BadCommand


def _modseq_test(session: Session, args: Parser) -> Test:
    if not session.profile.has("CONDSTORE"):
        raise BadCommand
    if args.at(b'"'):
        args.string()
        args.space()
        args.keyword()
        args.space()
    least = args.number()
    if not session.profile.gmail:
        session.enabled.add("CONDSTORE")
    return lambda c: c.view.modseq >= least


def _searched(raw: bytes, *, whole: bool) -> bytes:
    return (raw if whole else mime.split_header(raw)[1]).lower()


def _header_test(name: bytes, text: bytes) -> Test:
    lowered = text.lower()

    def test(candidate: Candidate) -> bool:
        header, _ = mime.split_header(candidate.entry.message.raw)
        found = [mime.value(raw) for known, raw in mime.fields(header) if known == name]
        return any(lowered in value.lower() for value in found)

    return test


def _date_matches(word: str, day: date, candidate: Candidate) -> bool:
    message = candidate.entry.message
    if word.startswith("SENT"):
        text = mime.header_value(message.raw, b"date") or b""
        try:
            own = parsedate_to_datetime(text.decode("latin-1")).date()
        except ValueError:
            return False
    else:
        own = message.internaldate.astimezone(UTC).date()
    kind = word.removeprefix("SENT")
    return own >= day if kind == "SINCE" else own < day if kind == "BEFORE" else own == day


async def search(session: Session, args: Parser) -> str:
    """SEARCH and UID SEARCH."""
    uid = session.by_uid
    args.space()
    wanted = _return_options(session, args)
    if args.take(b"CHARSET "):
        if args.astring().upper() not in (b"UTF-8", b"US-ASCII"):
            raise No("[BADCHARSET (UTF-8)] Charset not supported. (Failure)")
        args.space()
    uses_modseq = b"MODSEQ" in args.data.upper()
    test = parse_keys(session, args)
    args.end()
    with session.store.lock:
        found = list(filter(test, _candidates(session)))
    numbers = [c.entry.uid if uid else c.sequence for c in found]
    highest = max((c.view.modseq for c in found), default=0) if uses_modseq else 0
    if wanted is None:
        text = "".join(f" {number}" for number in numbers)
        session.put(f"* SEARCH{text}{f' (MODSEQ {highest})' if highest else ''}".encode())
    else:
        session.put(_esearch(session.tag, wanted, numbers, uid=uid, highest=highest))
    return "SEARCH completed (Success)"


def _candidates(session: Session) -> list[Candidate]:
    selected = session.opened
    return [
        Candidate(number, entry, entry.view(selected.horizon))
        for number, uid in enumerate(selected.uids, 1)
        if (entry := selected.folder.entries.get(uid)) is not None
    ]


def _return_options(session: Session, args: Parser) -> list[str] | None:
    if not args.take(b"RETURN "):
        return None
    if not session.profile.has("ESEARCH"):
        raise BadCommand
    wanted = args.listed(args.keyword)
    args.space()
    if not {"ALL", "COUNT", "MIN", "MAX"}.issuperset(wanted):
        raise BadCommand
    return wanted or ["ALL"]


def _esearch(tag: str, wanted: Sequence[str], numbers: Sequence[int], *, uid: bool, highest: int) -> bytes:
    """One ESEARCH response (RFC 4731); MIN, MAX and ALL are left out when nothing matched."""
    line = f'* ESEARCH (TAG "{tag}")' + (" UID" if uid else "")
    if "COUNT" in wanted:
        line += f" COUNT {len(numbers)}"
    if numbers:
        line += f" MIN {numbers[0]}" if "MIN" in wanted else ""
        line += f" MAX {numbers[-1]}" if "MAX" in wanted else ""
        line += f" ALL {compact(numbers).decode()}" if "ALL" in wanted else ""
    return (line + (f" MODSEQ {highest}" if highest else "")).encode()


COMMANDS = {"SEARCH": Command(search, 2, quiet=True), "UID SEARCH": Command(search, 2)}
