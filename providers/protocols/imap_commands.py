"""Builds IMAP commands and reads the small answers: mailbox names, STATUS, EXAMINE, SEARCH, VANISHED.
Pure; sending is left to `imap`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date

from imapclient import imap_utf7

from core.types import Mailbox, MailboxStatus
from core.uidset import UidSet
from providers.protocols.imap_tokens import Malformed, Value, number, parse_list, tokens
from providers.protocols.sasl import reject_control

# Servers cap the length of one argument: Dovecot at 64 KB, others at 8 KB.
MAX_SET = 4_000
# What identifies a message without its bytes; see `core.identity`.
IDENTITY_FIELDS = b"BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE SUBJECT FROM)]"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CODE = re.compile(rb"^\* OK \[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d{1,20})\]", re.IGNORECASE)
_EXISTS = re.compile(rb"^\* (\d{1,10}) EXISTS\r?\n", re.IGNORECASE)

# Special-use attributes (RFC 6154 2) and INBOX; compared in lower case, as servers differ (Cyrus sends \sent).
ROLES = ("all", "archive", "drafts", "flagged", "junk", "sent", "trash", "important")
# Names that stand for a role where the server tells none; a guess counts only if it is the only one.
GUESSES = {
    "sent": ("sent", "sent items", "sent messages", "gesendet", "envoyés", "wysłane", "отправленные"),
    "trash": ("trash", "deleted items", "deleted messages", "papierkorb", "corbeille", "kosz", "корзина"),
    "junk": ("junk", "spam", "junk e-mail", "bulk mail", "unerwünscht", "courrier indésirable", "спам"),
    "drafts": ("drafts", "entwürfe", "brouillons", "szkice", "черновики"),
    "archive": ("archive", "archiv", "archives", "archiwum", "архив"),
}


def mailbox_argument(name: str) -> bytes:
    """A mailbox name as a quoted string in modified UTF-7 (RFC 9051 A.1). Raises Misconfigured on line breaks."""
    encoded = bytes(imap_utf7.encode(reject_control(name, "a folder name")))
    return b'"' + encoded.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def imap_date(day: date) -> bytes:
    """A date as SEARCH wants it (RFC 9051 9, date-text)."""
    return b"%d-%s-%d" % (day.day, _MONTHS[day.month - 1].encode(), day.year)


def search_criteria(since: date | None, above: int) -> bytes:
    """SEARCH keys for what lies above a UID and not before a day."""
    keys = [b"UID %d:*" % (above + 1)] if above else []
    if since is not None:
        keys.append(b"SINCE " + imap_date(since))
    return b" ".join(keys) or b"ALL"


def mailbox_name(raw: bytes) -> str:
    """A mailbox or label name from modified UTF-7; what is not valid stays as it came."""
    try:
        return str(imap_utf7.decode(raw)).replace("\0", "\ufffd")
    except (ValueError, UnicodeError):
        return raw.decode("ascii", "replace").replace("\0", "\ufffd")


def read_mailboxes(answers: Iterable[Sequence[bytes]]) -> list[Mailbox]:
    """LIST answers (RFC 9051 7.3.1) as mailboxes, roles guessed where none is told."""
    return _guess_roles([mailbox for parts in answers if (mailbox := _listed(parts)) is not None])


def _listed(parts: Sequence[bytes]) -> Mailbox | None:
    words = list(zip(range(100), tokens(parts), strict=False))
    flat = [token for _, token in words]
    kinds = [kind for kind, _ in flat]
    if len(flat) < 6 or flat[1][1].upper() not in (b"LIST", b"XLIST") or b")" not in kinds:
        return None
    end = kinds.index(b")")
    if len(flat) < end + 3:
        return None
    flags = {text.decode("ascii", "replace").lstrip("\\").lower() for _, text in flat[2:end]}
    delimiter, name = flat[end + 1][1].decode("ascii", "replace"), mailbox_name(flat[end + 2][1])
    # A name with a line break cannot be sent back; it must not stop the folders beside it.
    if "nonexistent" in flags or "\r" in name or "\n" in name:
        return None
    role = "inbox" if name.upper() == "INBOX" else next((r for r in ROLES if r in flags), "")
    return Mailbox(name, role, "" if delimiter.upper() == "NIL" else delimiter, "noselect" not in flags)


def _guess_roles(mailboxes: list[Mailbox]) -> list[Mailbox]:
    told = {mailbox.role for mailbox in mailboxes}
    guessed: dict[str, str] = {}
    for role, names in GUESSES.items():
        fitting = [m.name for m in mailboxes if m.selectable and _leaf(m).lower() in names and not m.role]
        if role not in told and len(fitting) == 1:
            guessed[fitting[0]] = role
    return [Mailbox(m.name, m.role or guessed.get(m.name, ""), m.delimiter, m.selectable) for m in mailboxes]


def _leaf(mailbox: Mailbox) -> str:
    return mailbox.name.rpartition(mailbox.delimiter)[2] if mailbox.delimiter else mailbox.name


def read_status(parts: Sequence[bytes]) -> tuple[str, MailboxStatus] | None:
    """A STATUS response as (mailbox name, numbers); None when it cannot be read (RFC 9051 7.3.4)."""
    words = [text for _, text in zip(range(3), (t for _, t in tokens(parts)), strict=False)]
    try:
        values = parse_list(parts)
    except Malformed:
        return None
    if len(words) < 3:
        return None
    items: dict[bytes, Value] = {}
    for name, value in zip(values[::2], values[1::2], strict=False):
        if isinstance(name, bytes):
            items[name.upper()] = value
    status = MailboxStatus(
        uidvalidity=number(items.get(b"UIDVALIDITY")),
        uidnext=number(items.get(b"UIDNEXT")),
        exists=number(items.get(b"MESSAGES")),
        highest_modseq=number(items.get(b"HIGHESTMODSEQ")),
    )
    return mailbox_name(words[2]), status


def read_examine(lines: Iterable[bytes]) -> MailboxStatus:
    """The untagged answers to EXAMINE (RFC 9051 6.3.3, RFC 7162 3.1.2.1); what is missing is 0."""
    values: dict[bytes, int] = {}
    for line in lines:
        if match := _CODE.match(line):
            values[match[1].upper()] = number(match[2])
        elif match := _EXISTS.match(line):
            values[b"EXISTS"] = number(match[1])
    return MailboxStatus(
        uidvalidity=values.get(b"UIDVALIDITY", 0),
        uidnext=values.get(b"UIDNEXT", 0),
        exists=values.get(b"EXISTS", 0),
        highest_modseq=values.get(b"HIGHESTMODSEQ", 0),
    )


def read_search(line: bytes) -> UidSet:
    """The UIDs of one `* SEARCH` or `* ESEARCH ... ALL` line (RFC 9051 7.3.4, RFC 4731 3.1). Raises ValueError."""
    words = line.split()
    if words[1].upper() == b"SEARCH":
        uids = words[2:]
        if b"(MODSEQ" in (word.upper() for word in uids):
            uids = uids[: [word.upper() for word in uids].index(b"(MODSEQ")]
        return UidSet.parse(b",".join(uids).decode("ascii"))
    upper = [word.upper() for word in words]
    return UidSet.parse(words[upper.index(b"ALL") + 1].decode("ascii")) if b"ALL" in upper else UidSet()


def read_vanished(line: bytes) -> UidSet:
    """The UIDs of one `* VANISHED (EARLIER) 1:3` line (RFC 7162 3.2.10). Raises ValueError."""
    return UidSet.parse(line.split()[-1].decode("ascii"))
