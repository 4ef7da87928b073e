"""Ways in which real mail is broken, applied to a sound message; each keeps CRLF lines and has no NUL.
How many messages of a corpus are broken is decided in `corpus.py`."""

from __future__ import annotations

import re
from collections.abc import Callable


def raw_eight_bit_headers(raw: bytes) -> bytes:
    """A subject in KOI8-R without RFC 2047."""
    return re.sub(rb"\r\nSubject: [^\r]*", b"\r\nSubject: " + "Счёт за май".encode("koi8-r"), raw, count=1)


def no_last_boundary(raw: bytes) -> bytes:
    """Cut off in the middle of the last part."""
    return raw[: max(len(raw) * 9 // 10, raw.find(b"\r\n\r\n") + 4)].rstrip(b"\r\n") + b"\r\n"


def line_without_colon(raw: bytes) -> bytes:
    """A header line that is no field, as mailing list software leaves behind."""
    return raw.replace(b"\r\nDate:", b"\r\nFrom owner@crm.example Mon Jan  1 00:00:00\r\nDate:", 1)


def no_body_and_no_blank_line(raw: bytes) -> bytes:
    """Headers only, without the empty line that ends them."""
    return raw[: raw.find(b"\r\n\r\n") + 2]


def unknown_charset(raw: bytes) -> bytes:
    """A charset that nobody knows."""
    return re.sub(rb'charset="[^"]*"', b'charset="x-unknown-8bit"', raw)


def impossible_date(raw: bytes) -> bytes:
    """A Date that is none."""
    return re.sub(rb"\r\nDate: [^\r]*", b"\r\nDate: Fri, 32 Foo 2023 25:61:00 +9999", raw, count=1)


def same_message_id(raw: bytes) -> bytes:
    """A Message-ID that other, different messages have too."""
    return re.sub(rb"\r\nMessage-ID: [^\r]*", b"\r\nMessage-ID: <0@localhost>", raw, count=1)


def boundary_never_used(raw: bytes) -> bytes:
    """A multipart whose boundary does not occur."""
    return raw.replace(b'boundary="', b'boundary="never-', 1)


def one_endless_line(raw: bytes) -> bytes:
    """A header line of 20,000 characters (RFC 5322 2.1.1 allows 998)."""
    return raw.replace(b"\r\nDate:", b"\r\nX-Data: " + b"x" * 20_000 + b"\r\nDate:", 1)


def damages() -> tuple[Callable[[bytes], bytes], ...]:
    """All ways, in the order in which a corpus goes through them."""
    return (
        raw_eight_bit_headers,
        no_last_boundary,
        line_without_colon,
        no_body_and_no_blank_line,
        unknown_charset,
        impossible_date,
        same_message_id,
        boundary_never_used,
        one_endless_line,
    )
