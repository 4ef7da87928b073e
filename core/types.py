"""The nouns of the service as frozen data, no I/O.
Rows live in `models`, wire formats in `providers`; both are turned into these at the edge."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime


class Channel(enum.StrEnum):
    """What an account syncs; each channel is switched, scheduled and run on its own."""

    MAIL = "mail"
    CONTACTS = "contacts"
    CALENDAR = "calendar"


class Security(enum.StrEnum):
    """How a connection is protected. PLAIN exists for loopback test servers and needs an administrator's word."""

    TLS = "tls"
    STARTTLS = "starttls"
    PLAIN = "plain"


class AddressRole(enum.StrEnum):
    """The header an address stood in (RFC 5322 3.6.2, 3.6.3)."""

    FROM = "from"
    SENDER = "sender"
    REPLY_TO = "reply_to"
    TO = "to"
    CC = "cc"
    BCC = "bcc"


class Mark(enum.StrEnum):
    """What kind of machine mail a message is; a person's ordinary mail has no mark."""

    AUTO_REPLY = "auto_reply"  # RFC 3834
    BOUNCE = "bounce"  # RFC 3464
    LIST = "list"  # RFC 2369, RFC 2919
    BULK = "bulk"  # Precedence: bulk or junk


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox address of a message; `email` is as written, `key` the normalised form used for matching."""

    role: AddressRole
    name: str
    email: str
    key: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attached part. `section` is its IMAP section number (RFC 9051 6.4.5.1), `size` its encoded octets."""

    section: str
    filename: str
    content_type: str
    size: int
    disposition: str = ""
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class CalendarPart:
    """An iTIP invitation found in the mail (RFC 6047): enough to link it to an activity."""

    method: str
    uid: str
    sequence: int = 0
    recurrence_id: str = ""


@dataclass(frozen=True, slots=True)
class ParsedMail:
    """What a CRM needs of one message. Every string is free of NUL and lone surrogates and is length-capped.

    `message_id`, `in_reply_to` and `references` keep the raw text inside the angle brackets.
    `date_header` is the raw Date header; `sent_at` its aware UTC value or None.
    `text` is the plain text, or text made of the HTML part when there is none.
    `text_complete` is False when the bytes given ended before the text did.
    `defects` lists short reason codes of what was wrong with the input.
    """

    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    subject: str = ""
    date_header: str = ""
    sent_at: datetime | None = None
    addresses: tuple[Address, ...] = ()
    text: str = ""
    text_complete: bool = True
    attachments: tuple[Attachment, ...] = ()
    calendar: CalendarPart | None = None
    marks: frozenset[Mark] = frozenset()
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One IMAP folder. `role` is the special-use attribute (RFC 6154) in lower case without backslash, or ""."""

    name: str
    role: str = ""
    delimiter: str = "/"
    selectable: bool = True


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    """What the server says of a mailbox now. 0 for `highest_modseq` means: no CONDSTORE (RFC 7162 3.1.2.2)."""

    uidvalidity: int
    uidnext: int
    exists: int
    highest_modseq: int = 0


@dataclass(frozen=True, slots=True)
class MessageHead:
    """The cheap facts of one message, without its bytes. `modseq` and the `gm_` values are 0 where not offered."""

    uid: int
    flags: frozenset[str] = frozenset()
    labels: frozenset[str] | None = None
    size: int = 0
    internal_date: datetime | None = None
    modseq: int = 0
    gm_msgid: int = 0
    gm_thrid: int = 0
    header: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class FetchedMessage:
    """A message head together with the first bytes of the message (`data`), at most what was asked for."""

    head: MessageHead
    data: bytes = field(default=b"", repr=False)
