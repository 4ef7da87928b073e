"""Makes malformed and hostile mail, seeded: every kind the reliability study names, none of it anybody's real mail.
Well-formed mail is `mail_factory`; CPython's own `test_email` files are added where they are installed."""

from __future__ import annotations

import base64
import io
import random
import zipfile
from collections.abc import Callable, Iterator
from importlib import resources

_HEAD = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.com\r\nDate: Sat, 21 Nov 2026 10:00:00 +0100\r\n"
    b"Message-ID: <m@example.org>\r\n"
)
_MIXED = _HEAD + b'Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
_RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю."
_JAPANESE = "いろはにほへと ちりぬるを"
_CHINESE = "天地玄黄 宇宙洪荒"


def small_corpus(seed: int = 1) -> dict[str, bytes]:
    """Malformed mail by kind, each at most a few MB."""
    found = {**_charsets(), **_encodings(), **_structure(), **_headers(), **_kinds(), **_bombs()}
    found.update(_mutations(random.Random(seed), list(found.values())))
    found.update(cpython_corpus())
    return found


def large_corpus() -> Iterator[tuple[str, bytes]]:
    """Mail of 10 to 25 MB, one at a time."""
    yield "line-10mb", _HEAD + b"\r\n" + b"x" * 10_000_000
    yield "header-line-10mb", b"Subject: " + b"=?utf-8?q?a?= " * 700_000 + b"\r\n\r\nbody"
    yield "boundary-lines-10mb", _MIXED + b"--b\r\n\r\n" * 1_500_000
    yield "near-boundaries-10mb", _MIXED + b"--b\r\n\r\n" + b"\n--bx" * 2_000_000
    yield "nested-25mb", _nested_multiparts(60) + b"--x--\r\n" * 3_500_000
    content = base64.encodebytes(random.Random(2).randbytes(18_500_000)).replace(b"\n", b"\r\n")
    disposition = b"Content-Disposition: attachment; filename=big.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    yield "attachment-25mb", _MIXED + b"--b\r\n\r\nsee file\r\n--b\r\n" + disposition + content + b"\r\n--b--\r\n"
    yield "base64-text-25mb", _HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + content


def cpython_corpus() -> dict[str, bytes]:
    """CPython's own mail test data; empty where the interpreter came without its tests."""
    try:
        folder = resources.files("test.test_email").joinpath("data")
        return {f"cpython-{one.name}": one.read_bytes() for one in folder.iterdir() if one.name.endswith(".txt")}
    except (ImportError, OSError):
        return {}


def _text(charset: str, body: bytes, *, subject: bytes = b"charset", encoding: bytes = b"8bit") -> bytes:
    kind = f"Content-Type: text/plain; charset={charset}\r\n".encode() if charset else b""
    return b"%sSubject: %s\r\n%sContent-Transfer-Encoding: %s\r\n\r\n%s" % (_HEAD, subject, kind, encoding, body)


def _charsets() -> dict[str, bytes]:
    russian = {name: _RUSSIAN.encode(name) for name in ("koi8-r", "cp1251", "utf-8")}
    odd = ("utf-7", "x-unknown", "idna", "punycode", "zlib", "rot13", "unicode_escape", "../../etc", "utf-8*en", "")
    return {
        "koi8-r": _text("koi8-r", russian["koi8-r"]),
        "cp1251": _text("windows-1251", russian["cp1251"]),
        "koi8-r-undeclared": _text("", russian["koi8-r"]),
        "koi8-r-as-utf8": _text("utf-8", russian["koi8-r"]),
        "utf8-as-ascii": _text("us-ascii", russian["utf-8"]),
        "iso-2022-jp": _text("iso-2022-jp", _JAPANESE.encode("iso-2022-jp")),
        "iso-2022-jp-broken": _text("iso-2022-jp", b"\x1b$B\x24\x24\x1b(Zabc\x1b"),
        "gb18030": _text("gb2312", _CHINESE.encode("gb18030")),
        "ks_c_5601": _text("ks_c_5601-1987", "안녕하세요 뷁".encode("cp949")),
        "utf-16": _text("utf-16", _RUSSIAN.encode("utf-16")),
        "utf-16-cut": _text("utf-16le", _RUSSIAN.encode("utf-16le")[:-1]),
        **{f"charset-{n}": _text(name, b"plain +AHg- \xff text \\ud800") for n, name in enumerate(odd)},
    }


def _encodings() -> dict[str, bytes]:
    html = _HEAD + b"Content-Type: text/html\r\n\r\n"
    return {
        "base64-bad": _text("utf-8", b"SGVsbG8*gd29ybGQ=\r\n!!\r\nSGVsbG8", encoding=b"base64"),
        "base64-one-char": _text("utf-8", b"A", encoding=b"BASE64 "),
        "qp-bad": _text("utf-8", b"caf=C3=A9 =ZZ = =\r\n=3", encoding=b"quoted-printable"),
        "encoding-unknown": _text("utf-8", b"body", encoding=b"x-strange"),
        "uuencode": _text("utf-8", b"begin 644 a\r\n#0V%T\r\nend", encoding=b"x-uuencode"),
        "nul": _text("utf-8", b"a\x00b\x01c\x1b[31m", subject=b"nul \x00 here"),
        "html-entities": html + b"<p>&#0;&#xD800;&#x110000;&nbsp;a &amp; b</p>",
        "html-unclosed": html + b"<div" + b"<table><tr><td>" * 200 + b"<!-- never closed",
        "html-comment": html + b"<!--[if mso]>x<![endif]--><script>var a='</div>'</script><style>b{}</style>ok",
        "polyglot": html + b"<svg onload=alert(1)><![CDATA[<html>]]></svg>%PDF-1.4 GIF89a PK\x03\x04",
    }


def _structure() -> dict[str, bytes]:
    part = b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    return {
        "empty": b"",
        "only-newline": b"\r\n",
        "no-header": b"just some words\r\nand more: not a header\r\n",
        "only-header": _HEAD,
        "no-blank-line": _HEAD + b"this is body\r\nmore\r\n",
        "mbox-line": b"From ann@example.org Sat Nov 21 10:00:00 2026\r\n" + _HEAD + b"\r\nbody",
        "bare-lf": _MIXED.replace(b"\r\n", b"\n") + part.replace(b"\r\n", b"\n"),
        "bare-cr": _MIXED.replace(b"\r\n", b"\r") + part.replace(b"\r\n", b"\r"),
        "mixed-line-ends": _MIXED + b"--b\n\r\nhello\r--b\r\n\nx\n--b--",
        "no-final-boundary": _MIXED + part,
        "boundary-in-preamble": _MIXED + b"preamble --b\r\n --b\r\n--bb\r\n" + part + b"--b--\r\nepilogue --b",
        "boundary-missing": _MIXED.replace(b'; boundary="b"', b"") + part,
        "boundary-empty": _MIXED.replace(b'"b"', b'""') + part,
        "boundary-not-found": _MIXED + b"nothing here",
        "boundary-same-inside": _MIXED
        + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nin\r\n--b--\r\n--b--",
        "multipart-empty": _MIXED + b"--b--\r\n",
        "two-content-types": _MIXED.replace(b"MIME-Version", b"Content-Type: text/html\r\nMIME-Version") + part,
        "content-type-junk": _HEAD + b'Content-Type: ;;;="; charset=\r\n\r\nx',
        "headers-in-the-middle": _HEAD + b"broken continuation\r\nSubject: after\r\n\r\nbody",
    }


def _headers() -> dict[str, bytes]:
    def one(name: str, value: bytes) -> bytes:
        return _HEAD.replace(b"Message-ID", name.encode() + b": " + value + b"\r\nMessage-ID") + b"\r\nbody\r\n"

    dates = (b"Thu, 1 Jan 1969 00:00:00 +0000", b"Fri, 31 Dec 9999 23:59:60 -2359", b"never", b"0", b"1 Jan 1 0:0", b"")
    froms = (b"", b"<>", b'"<" <a@b>', b'"un <a@b>, c@d', b"(((", b"a: b: c@d;;", b"\xcf\xf0\xe8\xe2 <a@b>", b"a@b@c")
    ids = (b"", b"<a b@c>", b"no brackets", b"<a\r\n b@c>", b"<" + b"x" * 5000 + b">", b"<>")
    files = (
        b"filename*0=a; filename*1=b; filename*0=c",
        b"filename*1*=utf-8''x; filename*999999999999=y; filename*=",
        b"filename*=utf-16'x'%zz%d0%; filename=\"../../etc/passwd\"",
        b"filename==?utf-8?B?0J/RgNC40LLQtdGC?=",
        b'filename="\xff\xfe.txt',
    )
    found = {
        f"date-{n}": b"Date: " + value + b"\r\n" + one("X", b"y").replace(b"Date:", b"Was:")
        for n, value in enumerate(dates)
    }
    found.update({f"from-{n}": one("Cc", value).replace(b"From: Ann", b"X: ") for n, value in enumerate(froms)})
    found.update(
        {f"id-{n}": one("In-Reply-To", value).replace(b"<m@example.org>", value) for n, value in enumerate(ids)}
    )
    for number, value in enumerate(files):
        found[f"filename-{number}"] = (
            _MIXED + b"--b\r\nContent-Disposition: attachment; " + value + b"\r\n\r\nx\r\n--b--"
        )
    return {
        **found,
        "two-from": one("From", b"Eve <eve@example.net>"),
        "subject-8bit": one("Subject", _RUSSIAN.encode("koi8-r")),
        "subject-utf8": one("Subject", _RUSSIAN.encode()),
        "smtputf8": one("Reply-To", "Ĝoĵo <ĝoĵo@münchen.example>".encode()),
        "word-controls": one("Subject", b"=?utf-8?q?a=00b=0D=0AX:_y?= =?utf-8?b?\x00?= =?x?q??="),
        "word-split": one("Subject", b"=?utf-8?b?0J/R?=\r\n =?utf-8?b?gNC40LI=?= =?nope?q?=FF?= =?utf-8?q?open"),
        "bidi": one("Reply-To", '"\u202eevil\u2066" <a@b.example>'.encode()),
        "groups": one("Cc", b"Team: a@b.example, =?utf-8?q?=C3=A9?= <c@d.example>;, undisclosed-recipients:;"),
        "comments": one("Cc", b"a@b.example (" + b"(" * 3000 + b")" * 2999),
    }


def _kinds() -> dict[str, bytes]:
    def kind(header: bytes, body: bytes) -> bytes:
        return _HEAD + header + b"\r\n\r\n" + body

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("zeros", b"\0" * 20_000_000)
    packed = base64.encodebytes(archive.getvalue())
    invitation = b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:u-1\r\n @x\r\nSEQUENCE:3\r\nEND:VEVENT\r\n"
    rules = b"RRULE:FREQ=SECONDLY\r\n" * 5_000
    report = (
        b"--b\r\n\r\nsorry\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: original\r\n\r\nx\r\n--b--"
    )
    return {
        "zip-bomb": kind(b"Content-Type: application/zip; name=z.zip\r\nContent-Transfer-Encoding: base64", packed),
        "winmail": kind(b"Content-Type: application/ms-tnef; name=winmail.dat", b"\x78\x9f\x3e\x22" * 50),
        "smime": kind(b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data", b"MIIB" * 50),
        "pgp": kind(
            b"Content-Type: multipart/encrypted; boundary=b", b"--b\r\n\r\nVersion: 1\r\n--b\r\n\r\n-----BEGIN PGP"
        ),
        "calendar": kind(b"Content-Type: text/calendar; method=REQUEST", invitation),
        "calendar-bomb": kind(b"Content-Type: text/calendar", b"BEGIN:VEVENT\r\n" * 5_000 + rules + invitation),
        "dsn": kind(b"Content-Type: multipart/report; report-type=delivery-status; boundary=b", report),
        "auto-reply": kind(b"Auto-Submitted: auto-replied (vacation)", b"away"),
        "list": kind(b"List-Id: <l.example.org>\r\nPrecedence: list", b"hi"),
    }


def _bombs() -> dict[str, bytes]:
    message = b"Content-Type: message/rfc822\r\n\r\n"
    return {
        "messages-x100": _HEAD + message * 100 + b"Subject: core\r\n\r\nx",
        "multiparts-x1000": _nested_multiparts(1_000),
        "words-40000": b"Subject: " + b"=?utf-8?q?a?= " * 40_000 + b"\r\n\r\nx",
        "parts-200000": _MIXED + b"--b\r\n\r\n" * 200_000,
        "addresses-10000": b"To: " + b", ".join(b"p%d@example.org" % n for n in range(10_000)) + b"\r\n\r\nx",
        "headers-50000": b"X-A: b\r\n" * 50_000 + b"\r\nx",
        "quotes": b"To: " + b'\\"' * 60_000 + b"\r\n\r\nx",
        "parameters": b"Content-Type: text/plain" + b'; a="\\' * 4_000 + b"\r\n\r\nx",
        "html-divs": _HEAD + b"Content-Type: text/html\r\n\r\n" + b"<div>" * 180_000,
        "html-lists": _HEAD + b"Content-Type: text/html\r\n\r\n" + b"<ul><li>" * 4_900,
        "html-brackets": _HEAD + b"Content-Type: text/html\r\n\r\n" + b"<" * 900_000,
        "html-formatting": _HEAD + b"Content-Type: text/html\r\n\r\n" + b"<b><i><font><a>" * 20_000,
        "references": _HEAD + b"References: " + b"<a@b>\r\n " * 20_000 + b"\r\n\r\nx",
    }


def _nested_multiparts(depth: int) -> bytes:
    head = b"".join(b"Content-Type: multipart/mixed; boundary=x%d\r\n\r\n--x%d\r\n" % (n, n) for n in range(depth))
    return _HEAD + head + b"\r\ncore\r\n"


def _mutations(rng: random.Random, seeds: list[bytes]) -> dict[str, bytes]:
    short = [one for one in seeds if 0 < len(one) < 5_000]
    changes: list[Callable[[bytes], bytes]] = [
        lambda raw: raw[: rng.randrange(len(raw))],
        lambda raw: raw[rng.randrange(len(raw)) :],
        lambda raw: _flip(rng, raw),
        lambda raw: raw.replace(b"\r\n", rng.choice((b"\n", b"\r", b"\r\n\r\n", b" "))),
        lambda raw: raw + rng.choice(short),
        lambda raw: rng.randbytes(len(raw) // 2) + raw,
    ]
    return {f"mutation-{n}": rng.choice(changes)(rng.choice(short)) for n in range(300)}


def _flip(rng: random.Random, raw: bytes) -> bytes:
    data = bytearray(raw)
    for _ in range(1 + len(data) // 50):
        data[rng.randrange(len(data))] = rng.choice(b'\x00\r\n\t "<>=?;:,-()\\\xff\x80' + rng.randbytes(1))
    return bytes(data)
