"""Gmail's own search keys: X-GM-MSGID, X-GM-THRID, X-GM-LABELS and a small part of X-GM-RAW.

Decides matches against one message; the rest of SEARCH is left to search.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sandbox.gmail import mime
from sandbox.gmail.grammar import BadCommand, Parser
from sandbox.gmail.labels import system_label
from sandbox.gmail.model import Message, View


@dataclass(frozen=True, slots=True)
class Hit:
    """A message and what the session may see of it."""

    message: Message
    view: View


Matches = Callable[[Hit], bool]

_TERM = re.compile(r'(-?)(?:(\w+):)?(?:"([^"]*)"|(\S+))')
_HEADERS = {"from": b"from", "to": b"to", "cc": b"cc", "bcc": b"bcc", "subject": b"subject"}
_PLACES = {"inbox": "\\Inbox", "sent": "\\Sent", "drafts": "\\Draft", "starred": "\\Starred"}
_UNITS = {"d": 1, "m": 30, "y": 365}


def parse_key(word: str, args: Parser, now: datetime) -> Matches:
    """The test behind one X-GM key; raises BadCommand."""
    match word:
        case "X-GM-MSGID":
            msgid = args.number()
            return lambda hit: hit.message.msgid == msgid
        case "X-GM-THRID":
            thrid = args.number()
            return lambda hit: hit.message.thrid == thrid
        case "X-GM-LABELS":
            labels = {label.lower() for label in map(system_label, args.labels())}
            return lambda hit: labels <= {label.lower() for label in hit.view.labels}
        case "X-GM-RAW":
            query = args.astring().decode("utf-8", "replace")
            return raw_query(query, now)
    raise BadCommand


def raw_query(query: str, now: datetime) -> Matches:
    """from: to: cc: bcc: subject: label: in: is: has: rfc822msgid: after: before: newer_than: and words."""
    tests: list[Matches] = []
    for minus, name, quoted, bare in _TERM.findall(query):
        test = _term(name.lower(), quoted or bare, now)
        tests.append(_negated(test) if minus else test)
    return lambda hit: all(test(hit) for test in tests)


def _negated(test: Matches) -> Matches:
    return lambda hit: not test(hit)


def _term(name: str, text: str, now: datetime) -> Matches:
    if name in _HEADERS:
        return lambda hit: text.lower().encode() in (mime.header_value(hit.message.raw, _HEADERS[name]) or b"").lower()
    match name:
        case "rfc822msgid":
            wanted = text.strip("<>").encode()
            return lambda hit: (mime.header_value(hit.message.raw, b"message-id") or b"").strip(b"<>") == wanted
        case "label":
            return lambda hit: text.lower() in {label.lower().replace(" ", "-") for label in hit.view.labels}
        case "in":
            return lambda hit: _in_place(text.lower(), hit.message, hit.view)
        case "is":
            return lambda hit: _is(text.lower(), hit.view)
        case "has":
            return lambda hit: b"content-disposition: attachment" in hit.message.raw.lower()
        case "after" | "before" | "newer_than" | "older_than":
            return _time_test(name, text, now)
    lowered = text.lower().encode()
    return lambda hit: lowered in hit.message.raw.lower()


def _in_place(place: str, message: Message, view: View) -> bool:
    if place in ("trash", "spam"):
        return message.state == place
    return place in ("anywhere", "all") or _PLACES.get(place, place) in view.labels


def _is(word: str, view: View) -> bool:
    match word:
        case "unread":
            return "\\Seen" not in view.flags
        case "read":
            return "\\Seen" in view.flags
        case "starred":
            return "\\Flagged" in view.flags
        case "important":
            return "\\Important" in view.labels
    return False


def _time_test(name: str, text: str, now: datetime) -> Matches:
    if name.endswith("_than"):
        found = re.fullmatch(r"(\d+)([dmy])", text)
        if found is None:
            return lambda _: False
        edge = now - timedelta(days=int(found.group(1)) * _UNITS[found.group(2)])
    elif text.isdigit():
        edge = datetime.fromtimestamp(int(text), UTC)
    else:
        try:
            year, month, day = (int(piece) for piece in re.split(r"[/-]", text))
            edge = datetime(year, month, day, tzinfo=UTC)
        except ValueError:
            return lambda _: False
    later = name in ("after", "newer_than")
    return lambda hit: hit.message.internaldate >= edge if later else hit.message.internaldate < edge
