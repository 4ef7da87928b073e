"""PRETENDS single messages of the demo world: ordinary ones, and the odd kinds a mail service must cope with.
Which of them a mailbox holds is decided by `world`. Every byte follows from the arguments."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

ANNA_ADDRESS = "anna@example.com"
ANNA = f"Anna Keller <{ANNA_ADDRESS}>"
OFFER_ID = "offer-117@mail.example"
QUESTION_ID = "question-0@mail.example"
OFFER_FILE = "Offer 117 with drawings.pdf"
OFFER_SIZE = 900_000
REPORT_SIZE = 300_000
SYSTEM_DAYS = (3, 4, 6, 8, 12)  # how long ago the messages of the odd kinds came

File = tuple[str, str, bytes]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message for a mailbox: bytes, date of arrival, Gmail labels, flags, and `all`, `trash` or `spam`."""

    raw: bytes = field(repr=False)
    when: datetime
    labels: tuple[str, ...] = ("\\Inbox",)
    flags: tuple[str, ...] = ()
    state: str = "all"


@dataclass(frozen=True, slots=True)
class Mail:
    """What is written. `earlier` are the Message-IDs of the conversation so far, `files` (name, type, bytes)."""

    ident: str
    sender: str
    to: str
    subject: str
    text: str
    when: datetime
    earlier: tuple[str, ...] = ()
    files: tuple[File, ...] = ()

    @property
    def message_id(self) -> str:
        return f"<{self.ident}@mail.example>"


def draft(mail: Mail) -> EmailMessage:
    """The message as an object, to be changed further and closed by `sealed`."""
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = mail.sender, mail.to
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.when)
    message["Message-ID"] = mail.message_id
    if mail.earlier:
        message["In-Reply-To"] = mail.earlier[-1]
        message["References"] = " ".join(mail.earlier)
    message.set_content(mail.text)
    for name, kind, data in mail.files:
        maintype, _, subtype = kind.partition("/")
        message.add_attachment(data, maintype=maintype, subtype=subtype, filename=name)
    return message


def sealed(message: EmailMessage) -> bytes:
    """Its bytes; boundaries are numbered, since the library would draw them by chance."""
    for number, part in enumerate(message.walk()):
        if part.is_multipart() and part.get_content_maintype() == "multipart":
            part.set_boundary(f"=_demo_{number}")
    return message.as_bytes()


def compose(mail: Mail) -> bytes:
    """An ordinary message."""
    return sealed(draft(mail))


def attached(name: str, size: int, *, seed: int) -> File:
    """A file of so many bytes that does not compress, as scans and drawings do not."""
    return name, "application/pdf", b"%PDF-1.7\n" + random.Random(seed).randbytes(size - 9)


def offer(when: datetime) -> Letter:
    """A short text with a large attachment."""
    text = "Hi Anna,\n\nhere is our offer with all drawings. It is valid for four weeks.\n\nTom Whitfield\n"
    mail = Mail(
        OFFER_ID.partition("@")[0],
        "Tom Whitfield <tom@nordwind.example>",
        ANNA,
        "Offer 117: conveyor for hall 3",
        text,
        when,
        files=(attached(OFFER_FILE, OFFER_SIZE, seed=117),),
    )
    return Letter(compose(mail), when, ("\\Inbox", "\\Important", "Clients/Nordwind"))


def long_report(when: datetime) -> Letter:
    """A text of 300 KB: ten times what a first pass fetches."""
    lines = [f"{n:05d}  sensor {n % 17:02d}  {20 + n % 9}.{n % 10} C  ok" for n in range(REPORT_SIZE // 30)]
    mail = Mail("report-1", "Monitoring <monitor@example.com>", ANNA, "Night log, hall 3", "\n".join(lines), when)
    return Letter(compose(mail), when, ("\\Inbox", "2024"), ("\\Seen",))


def invitation(when: datetime) -> Letter:
    """A meeting request (RFC 6047)."""
    starts = (when + timedelta(days=9)).replace(hour=9, minute=0, second=0, microsecond=0)
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Demo//World//EN",
        "METHOD:REQUEST",
        "BEGIN:VEVENT",
        "UID:visit-7@nordwind.example",
        "SEQUENCE:0",
        f"DTSTAMP:{when:%Y%m%dT%H%M%SZ}",
        f"DTSTART:{starts:%Y%m%dT%H%M%SZ}",
        f"DTEND:{starts + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
        "SUMMARY:Site visit\\, hall 3",
        "ORGANIZER;CN=Priya Raman:mailto:priya@nordwind.example",
        f"ATTENDEE;CN=Anna Keller;RSVP=TRUE:mailto:{ANNA_ADDRESS}",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    )
    mail = Mail(
        "invitation-7",
        "Priya Raman <priya@nordwind.example>",
        ANNA,
        "Invitation: Site visit, hall 3",
        "Priya Raman invites you to a meeting.\n",
        when,
    )
    message = draft(mail)
    message.add_alternative("\r\n".join(lines).encode(), maintype="text", subtype="calendar")
    calendar = list(message.walk())[-1]
    calendar.set_param("method", "REQUEST")
    calendar.set_param("charset", "utf-8")
    return Letter(sealed(message), when, ("\\Inbox", "Clients/Nordwind"))


def newsletter(when: datetime, number: int) -> Letter:
    """Mail of a list (RFC 2369), HTML with a plain stand-in."""
    text = f"Issue {number + 1}: what is new in intralogistics.\n"
    mail = Mail(
        f"news-{number}", "Logistics Weekly <news@weekly.example>", ANNA, f"Logistics Weekly {number + 1}", text, when
    )
    message = draft(mail)
    message["List-Id"] = "Logistics Weekly <news.weekly.example>"
    message["List-Unsubscribe"] = "<https://weekly.example/unsubscribe>"
    message["Precedence"] = "bulk"
    image = '<img src="https://weekly.example/open.gif" width="1" height="1" alt="">'
    message.add_alternative(f"<html><body><h1>Logistics Weekly</h1><p>{text}</p>{image}</body></html>", "html")
    return Letter(sealed(message), when, ("\\Inbox",) if number < 4 else (), ("\\Seen",))


def bounce(when: datetime) -> Letter:
    """A delivery report (RFC 3464)."""
    head = (
        f"From: Mail Delivery Subsystem <mailer-daemon@example.com>\r\nTo: {ANNA}\r\n"
        "Subject: Delivery Status Notification (Failure)\r\nAuto-Submitted: auto-replied\r\n"
        f"Date: {format_datetime(when)}\r\nMessage-ID: <bounce-1@mail.example>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="=_demo_b"\r\n\r\n'
    )
    body = (
        "--=_demo_b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        "The address lena@old-client.example could not be found.\r\n"
        "--=_demo_b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mail.example\r\n\r\n"
        "Final-Recipient: rfc822; lena@old-client.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "--=_demo_b--\r\n"
    )
    return Letter((head + body).encode(), when, ("\\Inbox",), ("\\Seen",))


def out_of_office(when: datetime) -> Letter:
    """An automatic answer (RFC 3834)."""
    mail = Mail(
        "away-1",
        "Jürgen Müller <j.mueller@muellerbau.example>",
        ANNA,
        "Abwesend: Termin am Donnerstag",
        "Ich bin bis Montag nicht im Büro und lese meine E-Mails nicht.\n",
        when,
    )
    message = draft(mail)
    message["Auto-Submitted"] = "auto-replied"
    return Letter(sealed(message), when, ("\\Inbox",), ("\\Seen",))


def question(when: datetime, number: int = 0) -> Letter:
    """New mail from a customer, as it arrives while the demo plays."""
    subject = ("A question before we sign", "Can we move Thursday's call?", "Photos from the site")[number % 3]
    text = "Hi Anna,\n\ncould you call me back today? It is about the warranty.\n\nTom Whitfield\n"
    mail = Mail(f"question-{number}", "Tom Whitfield <tom@nordwind.example>", ANNA, subject, text, when)
    return Letter(compose(mail), when)


def status_mails(when: datetime, count: int) -> list[Letter]:
    """A burst of machine mail, a second apart."""
    letters = []
    for number in range(count):
        at = when + timedelta(seconds=number)
        text = f"Check {number + 1} of {count} passed.\n" + "All values are within their limits.\n" * 40
        mail = Mail(
            f"status-{number}", "Monitoring <monitor@example.com>", ANNA, f"Status report {number + 1}", text, at
        )
        letters.append(Letter(compose(mail), at))
    return letters
