"""MIME parts and header blocks as bytes: text in a charset and encoding, attachments, invitations, traces.
Which message gets which of them, and how large, is decided in `corpus.py`."""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

from benchmarks.corpus_text import (
    PARAGRAPHS,
    Language,
    Paragraphs,
    Person,
    Style,
    Transfer,
    encoded_words,
    paragraphs,
    people,
    pick_charset,
)

LINE = 78  # 76 characters of base64 and CRLF (RFC 2045 6.8)

_KINDS: tuple[tuple[str, str, bytes], ...] = (
    ("application/pdf", "pdf", b"%PDF-1.4\n"),
    ("image/jpeg", "jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF"),
    ("image/png", "png", b"\x89PNG\r\n\x1a\n"),
    ("application/zip", "zip", b"PK\x03\x04"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", b"PK\x03\x04"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx", b"PK\x03\x04"),
)

_FILE_NAMES = ("offer", "Angebot Größe", "договор №", "請求書", "scan", "facture été", "report final (2)")

_HTML_HEAD = (
    b'<!DOCTYPE html>\r\n<html><head><meta http-equiv="Content-Type" content="text/html"><style>\r\n'
    b"body{margin:0;padding:0;background:#f4f4f4}.outer{width:600px}@media only screen{.outer{width:100%}}\r\n"
    b'</style></head><body><table class="outer" cellpadding="0" cellspacing="0">\r\n'
)
_HTML_TAIL = b"</table></body></html>\r\n"

_INVITE = (
    "BEGIN:VCALENDAR\r\nPRODID:-//Example//Calendar//EN\r\nVERSION:2.0\r\nMETHOD:{method}\r\nBEGIN:VEVENT\r\n"
    "DTSTART:{start:%Y%m%dT%H%M%SZ}\r\nDTEND:{end:%Y%m%dT%H%M%SZ}\r\nDTSTAMP:{now:%Y%m%dT%H%M%SZ}\r\n"
    "ORGANIZER:mailto:{organizer}\r\nUID:{uid}@calendar.example\r\nATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:"
    "owner@crm.example\r\nSEQUENCE:{sequence}\r\nSTATUS:CONFIRMED\r\nSUMMARY:Project review\r\n"
    "END:VEVENT\r\nEND:VCALENDAR\r\n"
)


@dataclass(frozen=True, slots=True)
class Stock:
    """What all messages of one corpus are cut from."""

    text: Paragraphs
    correspondents: list[Person]
    noise: bytes
    """Random bytes in base64 lines of `LINE` bytes; attachments are slices of it, so they cost a copy."""


def stock(rng: random.Random, largest: int) -> Stock:
    """Prepare a corpus whose attachments are at most `largest` bytes on the wire."""
    raw = rng.randbytes((largest // LINE + 4096) * 57)
    return Stock(paragraphs(rng), people(rng, 700), base64.encodebytes(raw).replace(b"\n", b"\r\n"))


def noise_lines(rng: random.Random, source: Stock, size: int) -> bytes:
    """About `size` bytes of base64 lines from a random place of the stock."""
    lines = max(1, size // LINE)
    start = rng.randrange(max(1, len(source.noise) // LINE - lines)) * LINE
    return source.noise[start : start + lines * LINE]


def token(rng: random.Random, length: int = 16) -> bytes:
    """A random identifier of letters and digits."""
    return f"{rng.getrandbits(length * 4):0{length}x}".encode()


def boundary(rng: random.Random) -> bytes:
    """A multipart boundary, as mail programs make them."""
    return b"----=_Part_" + token(rng, 20)


def text_part(
    rng: random.Random, source: Stock, language: Language, size: int, styles: Sequence[Style] = ("plain",)
) -> bytes:
    """A text/plain or text/html part (headers, blank line, body) of about `size` bytes on the wire."""
    charset = pick_charset(rng, language)
    transfer = _transfer(rng, charset, language)
    share = size / len(styles) * (0.75 if transfer == "base64" else 1)
    blocks: list[bytes] = []
    for style in styles:
        ready = source.text.encoded(language, charset, transfer, style)
        average = sum(map(len, ready)) / PARAGRAPHS
        blocks += rng.choices(ready, k=max(1, round(share / average)))
    body = b"".join(blocks)
    subtype = b"plain"
    if "html" in styles:
        subtype = b"html"
        head = _HTML_HEAD.replace(b"=", b"=3D") if transfer == "quoted-printable" else _HTML_HEAD
        body = head + body + _HTML_TAIL
    if transfer == "base64":
        body = base64.encodebytes(body).replace(b"\n", b"\r\n")
    kind = b"Content-Type: text/" + subtype + b'; charset="' + charset.encode() + b'"\r\n'
    return kind + b"Content-Transfer-Encoding: " + transfer.encode() + b"\r\n\r\n" + body


def multipart(rng: random.Random, subtype: str, parts: Sequence[bytes], extra: bytes = b"") -> bytes:
    """A multipart entity (RFC 2046 5.1) of ready parts; `extra` are further Content-Type parameters."""
    mark = boundary(rng)
    head = b"Content-Type: multipart/" + subtype.encode() + extra + b';\r\n\tboundary="' + mark + b'"\r\n\r\n'
    body = b"".join(b"--" + mark + b"\r\n" + part + b"\r\n" for part in parts)
    return head + body + b"--" + mark + b"--\r\n"


def attachment(rng: random.Random, source: Stock, size: int) -> bytes:
    """A base64 attachment of about `size` bytes, its name written in one of the four usual ways."""
    kind, ending, magic = rng.choice(_KINDS)
    name = f"{rng.choice(_FILE_NAMES)}{rng.randint(1, 999)}.{ending}"
    first = base64.b64encode((magic + rng.randbytes(57))[:57]) + b"\r\n"
    head = b"Content-Type: " + kind.encode() + b"; " + _named(rng, "name", name)
    head += b"\r\nContent-Disposition: attachment;\r\n\t" + _named(rng, "filename", name)
    head += b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head + first + noise_lines(rng, source, size - len(head))


def inline_image(rng: random.Random, source: Stock, size: int, cid: bytes) -> bytes:
    """An image referred to by the HTML next to it (RFC 2387, RFC 2392)."""
    head = b'Content-Type: image/png; name="logo.png"\r\nContent-ID: <' + cid + b">\r\n"
    head += b'Content-Disposition: inline; filename="logo.png"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    return head + noise_lines(rng, source, size)


def invitation(rng: random.Random, organizer: str, now: datetime, *, as_file: bool = False) -> bytes:
    """A text/calendar part (iMIP, RFC 6047), as alternative or as the attached `invite.ics`."""
    start = now + timedelta(days=rng.randint(1, 30))
    method = rng.choices(("REQUEST", "CANCEL", "REPLY"), (7, 2, 1))[0]
    body = _INVITE.format(
        method=method,
        start=start,
        end=start + timedelta(hours=1),
        now=now,
        organizer=organizer,
        uid=token(rng).decode(),
        sequence=rng.randint(0, 3),
    ).encode()
    if not as_file:
        head = b"Content-Type: text/calendar; charset=utf-8; method=" + method.encode()
        return head + b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body
    head = b'Content-Type: application/ics; name="invite.ics"\r\nContent-Disposition: attachment;\r\n\t'
    head += b'filename="invite.ics"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    return head + base64.encodebytes(body).replace(b"\n", b"\r\n")


def trace(rng: random.Random, source: Stock, at: datetime, hops: int) -> bytes:
    """Received, DKIM, ARC and authentication headers, newest first: most of a header's 3.4 KB."""
    lines = [b"Return-Path: <bounce+" + token(rng) + b"@relay.example>", b"X-Spam-Status: No, score=-2.1"]
    for hop in range(hops):
        date = format_datetime(at - timedelta(seconds=3 * hop)).encode()
        lines.append(
            b"Received: from mx%d.relay.example (mx%d.relay.example. [192.0.2.%d])\r\n\tby mail%d.crm.example with "
            b"ESMTPS id %s\r\n\tfor <owner@crm.example>\r\n\t(version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384 "
            b"bits=256/256);\r\n\t%s" % (hop, hop, rng.randint(1, 254), hop, token(rng), date)
        )
    lines.append(
        b"Authentication-Results: mail.crm.example; dkim=pass header.i=@relay.example header.s=s1;\r\n\t"
        b"spf=pass smtp.mailfrom=relay.example; dmarc=pass (p=REJECT) header.from=relay.example"
    )
    names = (b"DKIM-Signature", b"ARC-Seal", b"ARC-Message-Signature", b"X-Google-DKIM-Signature")
    for name in names[: rng.choice((1, 2, 3, 3, 4))]:
        lines.append(
            name + b": v=1; a=rsa-sha256; c=relaxed/relaxed; d=relay.example; s=s1;\r\n\t"
            b"h=from:to:subject:date:message-id:mime-version:list-unsubscribe;\r\n\tb=" + _folded(rng, source, 5)
        )
    return b"\r\n".join(lines) + b"\r\n"


def _transfer(rng: random.Random, charset: str, language: Language) -> Transfer:
    if charset in {"us-ascii", "iso-2022-jp"}:
        return "7bit"
    choices: tuple[Transfer, ...] = ("quoted-printable", "base64", "8bit")
    latin = language in {"en", "de", "fr"}
    return rng.choices(choices, (80, 5, 15) if latin else (25, 50, 25))[0]


def _named(rng: random.Random, parameter: str, name: str) -> bytes:
    if name.isascii():
        return f'{parameter}="{name}"'.encode()
    way = rng.random()
    if way < 0.5:  # RFC 2231
        return f"{parameter}*=UTF-8''{quote(name)}".encode()
    if way < 0.95:  # forbidden by RFC 2047 5, and what most programs send
        return parameter.encode() + b'="' + encoded_words(name, "utf-8", True).replace(b"\r\n", b"") + b'"'
    return f'{parameter}="{name}"'.encode()


def _folded(rng: random.Random, source: Stock, lines: int) -> bytes:
    raw = noise_lines(rng, source, lines * LINE)
    return raw.rstrip(b"\r\n").replace(b"\r\n", b"\r\n\t")
