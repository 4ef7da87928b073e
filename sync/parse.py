"""Makes a `ParsedMail` of the bytes of one message: hostile input, hard caps, never raises.
Running it apart with limits on memory and time is `parser_process`; packing the result is `packing`."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.types import Attachment, CalendarPart, ParsedMail
from sync.mail_fields import addresses_of, marks_of, message_id, message_ids, sent_at
from sync.mime_body import Part, find_parts
from sync.mime_calendar import calendar_of, is_calendar
from sync.mime_charsets import clean_line
from sync.mime_headers import HeaderBlock, declared_charset, read_block, unstructured
from sync.mime_text import choose_text, is_body

UNPARSED = "unparsed"
_HEADER_ONLY_BYTES = 32 * 1024

# A fault in our own reading of hostile bytes must cost one message its text, not the mailbox its sync.
# What is not listed here (interrupts, the time limit of the parser process) goes on upward.
_FAULTS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError)


def parse_mail(raw: bytes, *, complete: bool = True) -> ParsedMail:
    """Reads one message (RFC 5322, 2045-2049, 6532). Never raises; what was wrong is named in `defects`.

    `complete=False`: `raw` is only the beginning of the message. That alone is no defect; `text_complete` says
    whether the text had ended, and `attachments` lists what was seen so far (sections are final, the last size is not).
    """
    try:
        return _parse(raw, complete)
    except _FAULTS:
        return parse_header_only(raw)


def parse_header_only(raw: bytes) -> ParsedMail:
    """What is left when a message cannot be parsed: its header, if even that can be read, and the defect `unparsed`.

    Looks at 32 KB at most and calls no native parser, so it is safe outside the parser process. Never raises.
    """
    try:
        head = raw[:_HEADER_ONLY_BYTES]
        block = read_block(head, 0, len(head), complete=len(head) == len(raw))
        return _mail(block, "utf-8", _Content(defects=[UNPARSED]))
    except _FAULTS:
        return ParsedMail(defects=(UNPARSED,))


@dataclass(slots=True)
class _Content:
    """What was read of the body."""

    text: str = ""
    text_complete: bool = True
    attachments: tuple[Attachment, ...] = ()
    calendar: CalendarPart | None = None
    defects: list[str] = field(default_factory=list)


def _parse(raw: bytes, complete: bool) -> ParsedMail:
    if b"\n" not in raw and b"\r" in raw:
        raw = raw.replace(b"\r", b"\n")  # line ends of old Macs; same length, so offsets and sizes hold
    block = read_block(raw, 0, len(raw), complete=complete)
    hint = _hint(raw, block)
    parts, defects = find_parts(raw, block, hint, complete=complete)
    text, ended, text_defects = choose_text(raw, parts)
    if not complete and not text and not any(is_body(part) and part.ended for part in parts):
        ended = False  # it may still come
    content = _Content(text, ended, defects=defects + text_defects)
    content.calendar = calendar_of(raw, parts, content.defects)
    content.attachments = tuple([_attachment(part) for part in parts if _is_attachment(part)])
    return _mail(block, hint, content)


def _hint(raw: bytes, block: HeaderBlock) -> str:
    """The charset for raw 8-bit header bytes, looked for only when there are such bytes."""
    return "" if raw[: block.body].isascii() else declared_charset(raw)


def _mail(block: HeaderBlock, hint: str, content: _Content) -> ParsedMail:
    addresses, defects = addresses_of(block, hint)
    fields = block.fields
    date_header = clean_line(block.first(b"date")[:998].decode("utf_8", "replace"), 200)
    moment = sent_at(date_header) if date_header else None
    all_defects = [*block.defects, *defects, *content.defects]
    if date_header and moment is None:
        all_defects.append("date")
    if len(fields.get(b"message-id", ())) > 1:
        all_defects.append("repeated-message-id")
    # By position, in the order of the fields: half the time of keywords.
    return ParsedMail(
        message_id(block.first(b"message-id")),
        message_id(block.first(b"in-reply-to"), only_first=True) if b"in-reply-to" in fields else "",
        message_ids(block.every(b"references")) if b"references" in fields else (),
        unstructured(block.first(b"subject"), hint),
        date_header,
        moment,
        addresses,
        content.text,
        content.text_complete,
        content.attachments,
        content.calendar,
        marks_of(block, addresses),
        tuple(dict.fromkeys(all_defects)) if all_defects else (),
    )


def _is_attachment(part: Part) -> bool:
    """All that is neither displayed text nor an unnamed alternative to it (an invitation, AMP or rich text)."""
    if part.filename or part.disposition == "attachment":
        return True
    if part.nested and part.content_type.startswith("text/"):
        return False
    unnamed_text = part.content_type.startswith("text/") and (part.alternative or is_calendar(part))
    return not is_body(part) and not unnamed_text


def _attachment(part: Part) -> Attachment:
    return Attachment(
        section=part.section,
        filename=part.filename,
        content_type=part.content_type,
        size=part.end - part.start,
        disposition=part.disposition,
        content_id=part.content_id,
    )
