from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from core.types import Address, AddressRole, Attachment, CalendarPart, Mark
from sync.mail_fields import read_addresses, sent_at
from sync.mime_headers import decode_words
from sync.mime_text import html_to_text
from sync.parse import parse_header_only, parse_mail
from tests.support.mail_factory import make_mail

HEAD = b"From: Ann <ann@example.org>\r\nSubject: s\r\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def test_an_ordinary_message_gives_all_its_fields() -> None:
    mail = parse_mail(
        make_mail(
            subject="Привет, мир",
            text="Grüße\nund mehr\n",
            html="<p>ignored</p>",
            cc="Jürgen Müller <j.mueller@Example.DE>, c@example.net",
            headers=[("In-Reply-To", "<zero@example.org>"), ("References", "<a@x> <zero@example.org>")],
            attachments=[("Angebot für Sie.pdf", "application/pdf", b"%PDF" * 100)],
        )
    )
    assert mail.subject == "Привет, мир"
    assert mail.message_id == "one@example.org"
    assert mail.in_reply_to == "zero@example.org"
    assert mail.references == ("a@x", "zero@example.org")
    assert mail.date_header == "Sat, 21 Nov 2026 10:00:00 +0100"
    assert mail.sent_at == datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert mail.addresses == (
        Address(AddressRole.FROM, "Ann Example", "ann@example.org", "ann@example.org"),
        Address(AddressRole.TO, "Bob", "bob@example.com", "bob@example.com"),
        Address(AddressRole.CC, "Jürgen Müller", "j.mueller@Example.DE", "j.mueller@example.de"),
        Address(AddressRole.CC, "", "c@example.net", "c@example.net"),
    )
    assert mail.text == "Grüße\nund mehr\n"
    assert [(one.section, one.filename) for one in mail.attachments] == [("2", "Angebot für Sie.pdf")]
    assert mail.text_complete
    assert not mail.marks
    assert not mail.defects


def test_html_becomes_text_only_where_there_is_no_plain_text() -> None:
    html = "<html><head><title>t</title><style>p{}</style></head><p>One <b>bold</b>\nline</p><p>two<br>three&nbsp;x</p>"
    assert parse_mail(make_mail(text=None, html=html)).text == "One bold line\n\ntwo\nthree x"
    assert parse_mail(make_mail(text="plain", html=html)).text == "plain\n"
    assert parse_mail(make_mail(text=" ", html=html)).text.startswith("One")


def test_preformatted_html_and_capital_tags_keep_their_lines() -> None:
    assert html_to_text("<pre>a\nb</pre>", []) == "a\nb"
    assert html_to_text("<P>a</P><DIV>b</DIV>c<BR>d", []) == "a\n\nb\nc\nd"


def test_text_around_an_attachment_is_joined() -> None:
    raw = (
        MIXED
        + b"--b\r\n\r\nbefore\r\n--b\r\nContent-Type: image/png; name=a.png\r\n\r\nx\r\n--b\r\n\r\nafter\r\n--b--\r\n"
    )
    mail = parse_mail(raw)
    assert mail.text == "before\nafter"
    assert mail.attachments == (Attachment("2", "a.png", "image/png", 1),)


def test_a_named_inline_text_is_read_when_there_is_no_other() -> None:
    raw = HEAD + b"Content-Disposition: inline; filename=msg.txt\r\n\r\nhello"
    mail = parse_mail(raw)
    assert (mail.text, [one.filename for one in mail.attachments]) == ("hello", ["msg.txt"])


def nested() -> bytes:
    forwarded = EmailMessage()
    forwarded["Subject"] = "inner"
    forwarded.set_content("inner text")
    forwarded.add_attachment(b"12", maintype="application", subtype="zip", filename="in.zip")
    outer = EmailMessage()
    outer.set_content("outer text")
    outer.add_alternative("<p>outer</p>", subtype="html")
    outer.add_attachment(b"1", maintype="image", subtype="png", filename="one.png")
    outer.add_attachment(forwarded)
    simple = EmailMessage()
    simple["Subject"] = "simple"
    simple.set_content("x")
    outer.add_attachment(simple)
    return outer.as_bytes()


def test_sections_are_those_of_imap() -> None:
    # RFC 9051 6.4.5.1: 1 is the alternative, 1.1 and 1.2 its texts, 3 a message whose multipart has 3.1 and 3.2.
    mail = parse_mail(nested())
    assert mail.text == "outer text\n"
    assert [(one.section, one.content_type) for one in mail.attachments] == [
        ("2", "image/png"),
        ("3", "message/rfc822"),
        ("3.2", "application/zip"),
        ("4", "message/rfc822"),
    ]


def test_a_single_part_attachment_is_section_one() -> None:
    raw = HEAD + b"Content-Type: application/pdf; name=a.pdf\r\n\r\n%PDF"
    assert parse_mail(raw).attachments == (Attachment("1", "a.pdf", "application/pdf", 4),)


def test_every_cut_of_a_message_is_free_of_defects_and_true_so_far() -> None:
    raw = make_mail(text="line of text\n" * 20, html="<p>x</p>", attachments=[("a.bin", "image/png", b"z" * 200)])
    whole = parse_mail(raw)
    for size in range(len(raw)):
        mail = parse_mail(raw[:size], complete=False)
        assert mail.defects == ()
        assert whole.text.startswith(mail.text.rstrip("\r\n-="))
        assert not mail.text_complete or mail.text == whole.text
        assert {one.section for one in mail.attachments} <= {one.section for one in whole.attachments}
        assert set(mail.addresses) <= set(whole.addresses)


def test_a_text_that_ended_before_the_cut_is_complete() -> None:
    raw = make_mail(text="short", attachments=[("a.bin", "application/octet-stream", b"z" * 20_000)])
    mail = parse_mail(raw[:8_000], complete=False)
    assert mail.text_complete
    assert [one.section for one in mail.attachments] == ["2"]


@pytest.mark.parametrize("cut", range(1, 5))
def test_a_character_cut_in_half_leaves_no_trace(cut: int) -> None:
    raw = HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "aé€😀".encode()
    mail = parse_mail(raw[:-cut], complete=False)
    assert "\ufffd" not in mail.text
    assert not mail.text_complete


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("a@b.org", [("", "a@b.org")]),
        ("Ann <a@b.org>", [("Ann", "a@b.org")]),
        ('"Doe, John" <j@d.org>, x@y.org', [("Doe, John", "j@d.org"), ("", "x@y.org")]),
        ('"Quote \\" d" <j@d.org>', [('Quote " d', "j@d.org")]),
        ("=?utf-8?q?M=C3=BCller=2C_J=2E?= <m@x.org>", [("Müller, J.", "m@x.org")]),
        ('"=?utf-8?b?0J/RgNC40LLQtdGC?=" <m@x.org>', [("Привет", "m@x.org")]),
        ("a@b.org (Old Style (nested))", [("Old Style (nested)", "a@b.org")]),
        ("Team: a@b.org, C <c@d.org>;, e@f.org", [("", "a@b.org"), ("C", "c@d.org"), ("", "e@f.org")]),
        ("undisclosed-recipients:;", []),
        ("<>", []),
        ("", []),
        (",,;", []),
        ('"a b"@c.org', [("", '"a b"@c.org')]),
        ("<@relay.org,@two.org:a@b.org>", [("", "a@b.org")]),
        ("Ann <a@b.org> junk", [("Ann junk", "a@b.org")]),
        ('"never closed <a@b.org>, c@d.org', [("never closed", "a@b.org"), ("", "c@d.org")]),
        ("(never closed a@b.org", [("", "a@b.org")]),
        ("MAILER-DAEMON", [("", "MAILER-DAEMON")]),
        ("two words", []),
        ("a@b.org;c@d.org", [("", "a@b.org"), ("", "c@d.org")]),
        ("x@" + "y" * 400, []),
    ],
)
def test_addresses_are_read(written: str, found: list[tuple[str, str]]) -> None:
    assert list(read_addresses(written)) == found


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?a_b?= c", "a b c"),
        ("=?UTF-8?B?0J/R?= =?utf-8?B?gNC40LI=?=", "Прив"),
        ("=?iso-2022-jp?B?GyRCJCQbKEI=?=", "い"),
        ("x =?koi8-r?Q?=F0?=\t=?koi8-r?Q?=D2?= y", "x Пр y"),
        ("=?utf-8*de?q?gr=C3=BC=C3=9F?=", "grüß"),
        ("=?nope?q?=C3=BC?=", "ü"),
        ("=?utf-8?q?open", "=?utf-8?q?open"),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("=?utf-8?b?QQ?=", "A"),
    ],
)
def test_encoded_words_are_decoded(written: str, text: str) -> None:
    assert decode_words(written) == text


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("Sat, 21 Nov 2026 10:00:00 +0100", datetime(2026, 11, 21, 9, tzinfo=UTC)),
        ("21 nov 2026 10:00 -0000", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("Sat, 21 Nov 2026 10:00:60 GMT", datetime(2026, 11, 21, 10, 0, 59, tzinfo=UTC)),
        ("Sat, 21 Nov 2026 10:00:00", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("Sat, 21 Nov 26 10:00:00 EST (comment)", datetime(2026, 11, 21, 15, tzinfo=UTC)),
        ("Thu, 1 Jan 1969 00:00:00 +0000", datetime(1969, 1, 1, tzinfo=UTC)),
        ("Fri, 31 Dec 9999 23:59:59 -0100", None),
        ("Sat, 32 Nov 2026 10:00:00 +0100", None),
        ("yesterday", None),
    ],
)
def test_dates_are_read(written: str, moment: datetime | None) -> None:
    assert sent_at(written) == moment


@pytest.mark.parametrize(
    ("headers", "marks"),
    [
        (b"Auto-Submitted: auto-replied; owner-email=a@b", {Mark.AUTO_REPLY}),
        (b"Auto-Submitted: NO", set()),
        (b"X-Autoreply: yes", {Mark.AUTO_REPLY}),
        (b"X-Auto-Response-Suppress: All", {Mark.AUTO_REPLY}),
        (b"Precedence: bulk", {Mark.BULK}),
        (b"List-Unsubscribe: <mailto:x@y>", {Mark.LIST}),
        (b"List-Id: <l.x.org>\r\nPrecedence: list", {Mark.LIST}),
        (b"Content-Type: multipart/report; report-type=delivery-status; boundary=b", {Mark.BOUNCE}),
        (b"X-Failed-Recipients: a@b\r\nAuto-Submitted: auto-replied", {Mark.BOUNCE}),
        (b"Return-Path: <>\r\nFrom: MAILER-DAEMON@x.org", {Mark.BOUNCE}),
        (b"Return-Path: <>\r\nFrom: ann@x.org", set()),
        (b"Subject: hello", set()),
    ],
)
def test_machine_mail_is_marked(headers: bytes, marks: set[Mark]) -> None:
    assert parse_mail(headers + b"\r\n\r\nx").marks == marks


def test_an_invitation_sent_twice_is_found_once_and_is_no_attachment_of_its_own() -> None:
    ics = (
        b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VTIMEZONE\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:abc\r\n def\r\n"
        b"RECURRENCE-ID;TZID=Europe/Berlin:20261121T100000\r\nSEQUENCE:2\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    raw = (
        MIXED
        + b"--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nhi\r\n--c\r\n"
        + b"Content-Type: text/calendar; method=REQUEST\r\n\r\n"
        + ics
        + b"--c--\r\n--b\r\nContent-Type: application/ics; name=invite.ics\r\n\r\n"
        + ics
        + b"--b--\r\n"
    )
    mail = parse_mail(raw)
    assert mail.calendar == CalendarPart("REQUEST", "abcdef", 2, "20261121T100000")
    assert [one.filename for one in mail.attachments] == ["invite.ics"]


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b"attachment; filename*0=a; filename*1=b.txt", "ab.txt"),
        (b"attachment; filename*=utf-8''%D0%9F%D1%80.txt", "Пр.txt"),
        (b"attachment; filename*0*=utf-8''%D0%9F; filename*1*=%D1%80; filename*2=.txt", "Пр.txt"),
        (b'attachment; filename="=?utf-8?b?0J/RgA==?=.txt"', "Пр.txt"),
        (b'attachment; filename="..\\\\..\\\\evil.exe"', "evil.exe"),
        (b'attachment; filename="/etc/passwd"', "passwd"),
        (b'attachment; filename="a\r\n b.txt"', "a b.txt"),
        ('attachment; filename="naïve.txt"'.encode(), "naïve.txt"),
    ],
)
def test_file_names_are_decoded_and_have_no_path(disposition: bytes, filename: str) -> None:
    mail = parse_mail(HEAD + b"Content-Disposition: " + disposition + b"\r\n\r\nx")
    assert [one.filename for one in mail.attachments] == [filename]


def test_raw_eight_bit_headers_use_the_charset_of_the_body() -> None:
    head = "Subject: Привет\r\nFrom: Иван <i@x.org>\r\n".encode("koi8-r")
    mail = parse_mail(head + b"Content-Type: text/plain; charset=koi8-r\r\n\r\n" + "Мир".encode("koi8-r"))
    assert (mail.subject, mail.addresses[0].name, mail.text) == ("Привет", "Иван", "Мир")


def test_control_characters_never_reach_a_field() -> None:
    mail = parse_mail(
        b"Subject: =?utf-8?q?a=00b=0D=0AX:_y?=\r\nTo: =?utf-8?q?n=00?= <a\x00@b>\r\n\r\na\x00b\x1b\x7fc\td"
    )
    assert mail.subject == "a b X: y"
    assert mail.addresses[0] == Address(AddressRole.TO, "n", "a@b", "a@b")
    assert mail.text == "abc\td"


def test_a_lone_carriage_return_does_not_smuggle_a_header() -> None:
    mail = parse_mail(b"Subject: a\rTo: evil@x.org\r\n\r\nbody")
    assert mail.addresses == ()
    assert mail.subject == "a To: evil@x.org"


def test_of_two_from_fields_the_first_counts() -> None:
    mail = parse_mail(b"From: a@x.org\r\nFrom: b@x.org\r\nTo: c@x.org\r\nTo: d@x.org\r\n\r\n")
    assert [one.email for one in mail.addresses] == ["a@x.org", "c@x.org", "d@x.org"]
    assert mail.defects == ("repeated-from",)


def test_a_message_id_is_kept_as_it_is_written() -> None:
    assert parse_mail(b"Message-ID: <a b@c>\r\n\r\n").message_id == "a b@c"
    assert parse_mail(b"Message-ID:\r\n <a@b>\r\n\r\n").message_id == "a@b"
    assert parse_mail(b"Message-ID: naked@id\r\n\r\n").message_id == "naked@id"


def test_the_header_alone_is_read_of_mail_that_cannot_be_parsed() -> None:
    mail = parse_header_only(make_mail(subject="Still here"))
    assert mail.subject == "Still here"
    assert mail.defects == ("unparsed",)
    assert mail.text == ""


@pytest.mark.parametrize(
    "charset", ["utf-8", "iso-8859-1", "koi8-r", "iso-2022-jp", "gb18030", "euc-kr", "windows-1251"]
)
@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
def test_the_standard_library_reads_the_same_text(charset: str, encoding: str) -> None:
    words = {"iso-8859-1": "Grüße", "iso-2022-jp": "いろは", "gb18030": "天地", "euc-kr": "안녕"}.get(charset, "Привет")
    made = EmailMessage()
    made["Subject"] = words
    made["To"] = f"{words} <a@b.org>"
    made.set_content(f"{words}\nsecond line\n", charset=charset, cte="8bit" if encoding == "8bit" else encoding)
    raw = made.as_bytes(policy=email.policy.SMTP)
    theirs = email.message_from_bytes(raw, policy=email.policy.default)
    ours = parse_mail(raw)
    assert ours.text == theirs.get_content().replace("\r\n", "\n")
    assert ours.subject == theirs["subject"]
    assert ours.addresses[0].name == theirs["to"].addresses[0].display_name
