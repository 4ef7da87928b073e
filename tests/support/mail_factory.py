"""Makes ordinary, well-formed mail for tests; malformed mail is `mail_corpus`."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP


def make_mail(
    *,
    subject: str = "Hello",
    text: str | None = "Hello there.\n",
    html: str | None = None,
    attachments: Sequence[tuple[str, str, bytes]] = (),
    message_id: str | None = "<one@example.org>",
    date: str | None = "Sat, 21 Nov 2026 10:00:00 +0100",
    sender: str = "Ann Example <ann@example.org>",
    to: str = "Bob <bob@example.com>",
    cc: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> bytes:
    """A message as SMTP carries it (CRLF). An attachment is (file name, content type, content)."""
    mail = EmailMessage(policy=SMTP)
    for name, value in headers:
        mail[name] = value
    for name, given in (
        ("From", sender),
        ("To", to),
        ("Cc", cc),
        ("Subject", subject),
        ("Date", date),
        ("Message-ID", message_id),
    ):
        if given is not None:
            mail[name] = given
    if text is not None:
        mail.set_content(text)
    if html is not None:
        if text is None:
            mail.set_content(html, subtype="html")
        else:
            mail.add_alternative(html, subtype="html")
    for filename, kind, content in attachments:
        main, _, sub = kind.partition("/")
        mail.add_attachment(content, maintype=main, subtype=sub, filename=filename)
    return mail.as_bytes()
