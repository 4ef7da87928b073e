"""Reads addresses, ids, dates and machine marks out of header values (RFC 5322, 3834, 3464, 2369); never raises.
Splitting the block and decoding words is `mime_headers`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz
from functools import lru_cache

from core.addresses import MAX_ADDRESS, address_key
from core.types import Address, AddressRole, Mark
from sync.mime_charsets import clean_line
from sync.mime_headers import HeaderBlock, decode_words, header_text, unescaped, with_parameters

MAX_ADDRESSES = 2_000
_MAX_TOKENS = 8 * MAX_ADDRESSES
MAX_REFERENCES = 200
MAX_ID = 998  # RFC 5322 2.1.1: no line is longer
MAX_NAME = 500
_USUAL = 200  # longer values are not kept in the caches

_ROLES = (
    (b"from", AddressRole.FROM),
    (b"sender", AddressRole.SENDER),
    (b"reply-to", AddressRole.REPLY_TO),
    (b"to", AddressRole.TO),
    (b"cc", AddressRole.CC),
    (b"bcc", AddressRole.BCC),
)
# One mailbox as nearly all are written; anything else is read token by token.
_PLAIN = re.compile(
    r'\s*+(?:"([^"\\]*+)"\s*+|([^"<>(),:;\\@]*+))<([^<>\s"(),:;\\@\x00-\x1f\x7f-\x9f]++@[^<>\s"(),:;\\@\x00-\x1f\x7f-\x9f]++)>\s*+(?:,|\Z)'
    r'|\s*+([^<>\s"(),:;\\@\x00-\x1f\x7f-\x9f]++@[^<>\s"(),:;\\@\x00-\x1f\x7f-\x9f]++)\s*+(?:,|\Z)'
)
_TOKEN = re.compile(
    r'(")'  # 1 quoted string
    r"|<([^<>]*+)>"  # 2 angle address
    r"|([,;])"  # 3 separator
    r"|(:)"  # 4 end of a group name
    r"|(\()"  # 5 comment
    r'|(=\?[^?\s]++\?[bBqQ]\?[^?\s]*+\?=|[^",;:<>()\s]++)'  # 6 encoded word or atom
    r"|[<>)]"  # out of place
)
_QUOTED = re.compile(r'([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_COMMENT_MARK = re.compile(r"[()\\]")
_ANGLE = re.compile(r"<([^<>]*+)>")
_INVISIBLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_DATE = re.compile(
    r"(?:[A-Za-z]{3,9},?\s{1,9})?(\d{1,2})\s{1,9}([A-Za-z]{3})[a-z]{0,6}\s{1,9}(\d{4})"
    r"\s{1,9}(\d{1,2}):(\d\d)(?::(\d\d))?\s{0,9}([+-])(\d\d)(\d\d)(?!\d)"
)
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: f"{number:02}" for number, name in enumerate(_MONTH_NAMES, start=1)}
_MACHINE_FIELDS = frozenset(
    [
        *(b"list-id", b"list-post", b"list-unsubscribe", b"precedence", b"feedback-id", b"auto-submitted"),
        *(b"x-autoreply", b"x-auto-response-suppress", b"x-autorespond", b"x-failed-recipients", b"return-path"),
    ]
)
_NO_MARKS: frozenset[Mark] = frozenset()
_BOUNCER = re.compile(r"(?i)(?:mailer-daemon|postmaster)@")


def addresses_of(block: HeaderBlock, hint: str) -> tuple[tuple[Address, ...], tuple[str, ...]]:
    """Every address of the six address fields and the defects found, `MAX_ADDRESSES` at most.

    All To and Cc fields count; of a repeated From only the first does, as for every reader.
    """
    found: list[Address] = []
    defects: list[str] = []
    fields = block.fields
    for name, role in _ROLES:
        if name not in fields:
            continue
        values = block.every(name)
        if len(values) > 1 and role in (AddressRole.FROM, AddressRole.SENDER):
            defects.append(f"repeated-{role.value}")
            values = values[:1]
        text = header_text(values[0], hint)
        if len(values) == 1:
            found += _usual_list(role, text) if len(text) <= _USUAL else _list(role, [text])
        else:
            found += _list(role, [text, *(header_text(value, hint) for value in values[1:])])
        if len(found) > MAX_ADDRESSES:
            defects.append("too-many-addresses")
            return tuple(found[:MAX_ADDRESSES]), tuple(defects)
    return tuple(found), tuple(defects)


def _list(role: AddressRole, texts: Iterable[str]) -> tuple[Address, ...]:
    """The addresses of all fields of one name, each once; one more than allowed at most."""
    found: dict[tuple[str, str], Address] = {}
    for text in texts:
        for name, email in _mailboxes(text):
            usual = len(name) + len(email) <= _USUAL
            one = _usual_address(role, name, email) if usual else _address(role, name, email)
            if one:
                found.setdefault((one.name, one.key), one)
                if len(found) > MAX_ADDRESSES:
                    break
    return tuple(found.values())


def _address(role: AddressRole, name: str, email: str) -> Address | None:
    """An address of a name as written, encoded words included; None when it is empty or too long to be one."""
    if not email or len(email) > MAX_ADDRESS:
        return None
    if name:
        name = clean_line(decode_words(name[: 8 * MAX_NAME]), MAX_NAME)
    return Address(role, name, email, address_key(email))


@lru_cache(maxsize=2048)
def _usual_list(role: AddressRole, text: str) -> tuple[Address, ...]:
    # The owner of a mailbox and its regular correspondents stand in most of its messages.
    return _list(role, [text])


_usual_address = lru_cache(maxsize=4096)(_address)


def read_addresses(text: str) -> Iterator[tuple[str, str]]:
    """(display name, address) of each mailbox in an address list; groups are flattened (RFC 5322 3.4)."""
    for name, email in _mailboxes(text):
        if one := _address(AddressRole.TO, name, email):
            yield one.name, one.email


def _mailboxes(text: str) -> Iterator[tuple[str, str]]:
    """The same with names as they are written; some may be no usable address.

    Linear: a quote or comment that does not close is looked for once, later ones are then plain characters.
    """
    words: list[str] = []
    comment = ""
    angle: str | None = None
    at = 0
    fresh = True  # a mailbox begins here
    for _ in range(_MAX_TOKENS):
        if fresh and (found := _PLAIN.match(text, at)):
            at = found.end()
            quoted_name, plain_name, angle_email, bare_email = found.groups()
            yield quoted_name or plain_name or "", angle_email or bare_email
            continue
        fresh = False
        found = _TOKEN.search(text, at)
        if not found:
            break
        at = found.end()
        kind = found.lastindex
        if kind == 6:
            words.append(found[6])
        elif kind == 2:
            angle = found[2] if angle is None else angle
        elif kind == 3:
            yield from _mailbox(words, angle, comment)
            words, comment, angle, fresh = [], "", None, True
        elif kind == 1:
            quoted = _QUOTED.match(text, at)
            if not quoted:
                # No closing quote anywhere: without this every further quote would search to the end again.
                text = text[:at] + text[at:].replace('"', " ")
                continue
            at = quoted.end()
            words.append(f'"{quoted[1]}"' if text.startswith("@", at) else unescaped(quoted[1]))
        elif kind == 4:
            words, angle = [], None
        elif kind == 5:
            close = _comment_end(text, at)
            if close < 0:
                text = text[:at] + text[at:].replace("(", " ")  # same length, same positions
                continue
            comment, at = text[at : close - 1], close
    yield from _mailbox(words, angle, comment)


def _comment_end(text: str, at: int) -> int:
    depth = 1
    while found := _COMMENT_MARK.search(text, at):
        at = found.end()
        if found[0] == "\\":
            at += 1
        else:
            depth += 1 if found[0] == "(" else -1
            if depth == 0:
                return at
    return -1


def _mailbox(words: list[str], angle: str | None, comment: str) -> Iterator[tuple[str, str]]:
    if angle is None:
        # No angle brackets: `a@b`, the old `a@b (Name)`, `"a b"@c`, or a bare word such as MAILER-DAEMON.
        at = next((n for n, word in enumerate(words) if "@" in word), 0 if len(words) == 1 else -1)
        if at < 0:
            return
        email = words[at]
        if email.startswith("@") and at:
            email = words[at - 1] + email
        name = comment
    else:
        email = angle.rpartition(":")[2] if angle.startswith("@") else angle  # RFC 5322 4.4: obsolete route
        name = " ".join(words) or comment
    # A space belongs to a quoted local part only; elsewhere it is a slip of the sender.
    yield name, clean_line(email, 4 * MAX_ADDRESS) if email.startswith('"') else _INVISIBLE.sub("", email)


def message_id(value: bytes, *, only_first: bool = False) -> str:
    """The raw text inside the angle brackets: `<a b@c>` is `a b@c`, broken as it is; without brackets all of it.

    `only_first` is for In-Reply-To, which may hold several ids or a phrase around one (RFC 5322 4.5.4).
    """
    if not value:
        return ""
    text = value[:4096].decode("utf_8", "replace")
    after = text.partition("<")[2]
    inside = after.partition(">")[0] if only_first else after.rpartition(">")[0]
    return clean_line(inside or text, MAX_ID)


def message_ids(values: list[bytes]) -> tuple[str, ...]:
    """The ids of References; of more than `MAX_REFERENCES` the first and the latest are kept."""
    if not values:
        return ()
    text = b" ".join(values)[-256 * 1024 :].decode("utf_8", "replace")
    found = _ANGLE.findall(text) or text.split()
    if len(text) <= MAX_ID and text.isprintable() and " " not in "".join(found):
        return tuple([one for one in dict.fromkeys(found) if one])  # nothing to clean: neither controls nor spaces
    ids = [one for one in dict.fromkeys(clean_line(raw, MAX_ID) for raw in found[-20 * MAX_REFERENCES :]) if one]
    if len(ids) > MAX_REFERENCES:
        ids = [ids[0], *ids[1 - MAX_REFERENCES :]]
    return tuple(ids)


def sent_at(text: str) -> datetime | None:
    """The Date header as aware UTC (RFC 5322 3.3), None when unreadable; no zone counts as UTC."""
    found = _DATE.match(text)
    if found and (month := _MONTHS.get(found[2].lower())):
        day, _, year, hour, minute, second, sign, hours, minutes = found.groups()
        seconds = "59" if second == "60" else second or "00"
        try:
            return datetime.fromisoformat(
                f"{year}-{month}-{day:0>2}T{hour:0>2}:{minute}:{seconds}{sign}{hours}:{minutes}"
            ).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    return _obsolete_date(text)


def _obsolete_date(text: str) -> datetime | None:
    try:
        parts = parsedate_tz(text[:200])
        if parts is None:
            return None
        moment = datetime(*parts[:5], min(parts[5], 59), tzinfo=UTC) - timedelta(seconds=parts[9] or 0)
        return moment if moment.year >= 1900 else None
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def marks_of(block: HeaderBlock, addresses: tuple[Address, ...]) -> frozenset[Mark]:
    """What kind of machine mail this is by its header (RFC 3834 5, RFC 3464, RFC 2369, RFC 2919)."""
    fields = block.fields
    if _MACHINE_FIELDS.isdisjoint(fields) and b"report" not in block.first(b"content-type").lower():
        return _NO_MARKS
    marks: set[Mark] = set()
    precedence = _token(block, b"precedence")
    if b"list-id" in fields or b"list-post" in fields or b"list-unsubscribe" in fields or precedence == "list":
        marks.add(Mark.LIST)
    if precedence in ("bulk", "junk") or b"feedback-id" in fields:
        marks.add(Mark.BULK)
    if _is_bounce(block, addresses):
        marks.add(Mark.BOUNCE)
    elif (
        _token(block, b"auto-submitted") not in ("", "no")
        or _token(block, b"x-auto-response-suppress") not in ("", "none")
        or precedence in ("auto_reply", "auto-reply")
        or b"x-autoreply" in fields
        or b"x-autorespond" in fields
    ):
        marks.add(Mark.AUTO_REPLY)
    return frozenset(marks)


def _is_bounce(block: HeaderBlock, addresses: tuple[Address, ...]) -> bool:
    kind = block.first(b"content-type")
    if b"report" in kind.lower():
        report, params = with_parameters(kind)
        if report == "multipart/report" and params.get("report-type", "").lower() == "delivery-status":
            return True
    if b"x-failed-recipients" in block.fields:
        return True
    empty_path = block.first(b"return-path").replace(b" ", b"").strip() == b"<>"
    return empty_path and any(one.role is AddressRole.FROM and _BOUNCER.match(one.email) for one in addresses)


def _token(block: HeaderBlock, name: bytes) -> str:
    value = block.first(name)
    if not value:
        return ""
    text = value[:200].decode("latin_1").partition(";")[0].partition("(")[0]
    return text.strip().lower()
