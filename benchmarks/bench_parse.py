"""Measures the mail parser against the standard library on the same generated messages, in CPU time per message.
Run `python -m benchmarks.bench_parse`; what counts are the ratios of one run, not its microseconds."""

from __future__ import annotations

import argparse
import email
import email.policy
import random
import statistics
import time
from collections.abc import Callable
from email.message import EmailMessage, Message
from email.utils import getaddresses, parsedate_to_datetime

from core.packs import RawMail
from sync.packing import new_compressor, pack_messages, read_window
from sync.parse import parse_mail
from sync.parser_process import ParserProcess

_WORDS = {
    "utf-8": ["договор", "счёт", "встреча", "клиент", "спасибо", "завтра", "отправить", "подпись", "проект"],
    "iso-8859-1": ["Grüße", "Angebot", "Rechnung", "für", "über", "nächste", "Woche", "schöne", "Termin", "bitte"],
    "us-ascii": [
        "please",
        "find",
        "the",
        "attached",
        "offer",
        "and",
        "let",
        "me",
        "know",
        "about",
        "next",
        "Tuesday",
        "thanks",
    ],
}
_TRACE = (
    "from mx{n}.mail.example.com (mx{n}.mail.example.com [203.0.113.{n}])\r\n by in.example.org (Postfix) with ESMTPS"
    " id 4AbC{n}dEf\r\n for <owner@example.org>; Sat, 21 Nov 2026 10:0{d}:00 +0000 (UTC)"
)


def corpus(count: int, seed: int) -> list[bytes]:
    """Ordinary mail of 3 to 60 KB: alternatives, attachments, a few plain and a few HTML-only messages."""
    rng = random.Random(seed)
    return [_message(rng, number) for number in range(count)]


def _message(rng: random.Random, number: int) -> bytes:
    charset = rng.choice(list(_WORDS))
    words = _WORDS[charset]
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["Subject"] = " ".join(rng.choices(words, k=6))
    mail["From"] = f"{rng.choice(words).title()} Person <person{rng.randrange(200)}@example.com>"
    mail["To"] = ", ".join(f"{rng.choice(words).title()} <p{rng.randrange(300)}@example.org>" for _ in range(3))
    mail["Date"] = "Sat, 21 Nov 2026 10:00:00 +0100"
    mail["Message-ID"] = f"<{number}.{seed_text(rng)}@example.com>"
    mail["References"] = " ".join(f"<{seed_text(rng)}@example.com>" for _ in range(rng.randrange(5)))
    text = "\n".join(" ".join(rng.choices(words, k=9)) for _ in range(rng.randrange(10, 60)))
    style = 'style="margin:0;font-family:Arial,Helvetica,sans-serif;font-size:14px;color:#333333"'
    html = f"<html><body>{''.join(f'<p {style}>{line}</p>' for line in text.splitlines())}</body></html>"
    kind = rng.random()
    if kind < 0.1:
        mail.set_content(html, subtype="html", charset=charset)
    else:
        mail.set_content(text, charset=charset)
        if kind < 0.7:
            mail.add_alternative(html, subtype="html", charset=charset)
    if rng.random() < 0.3:
        mail.add_attachment(rng.randbytes(20_000), maintype="application", subtype="pdf", filename="Angebot.pdf")
    trace = "".join(f"Received: {_TRACE.format(n=n, d=n % 10)}\r\n" for n in range(4))
    signature = (
        "DKIM-Signature: v=1; a=rsa-sha256;\r\n b=" + "\r\n ".join(seed_text(rng) * 4 for _ in range(6)) + "\r\n"
    )
    return (trace + signature).encode() + mail.as_bytes()


def seed_text(rng: random.Random) -> str:
    """Sixteen characters that look like an id."""
    return f"{rng.getrandbits(64):016x}"


def with_library(raw: bytes, policy: email.policy.Policy[Message]) -> object:
    """The same fields by the standard library alone (text by the first plain or HTML part, HTML left as it is)."""
    mail = email.message_from_bytes(raw, policy=policy)
    fields = [str(mail[name]) for name in ("subject", "message-id", "references")]
    people = getaddresses([str(mail[name]) for name in ("from", "to")])
    moment = parsedate_to_datetime(str(mail["date"]))
    texts, files = [], []
    for part in mail.walk():
        if part.get_content_maintype() == "multipart":
            continue
        if part.get_content_type() in ("text/plain", "text/html") and not part.get_filename():
            data = part.get_payload(decode=True)
            texts.append(data.decode(part.get_content_charset("utf-8")) if isinstance(data, bytes) else "")
        else:
            files.append(part.get_filename())
    return fields, people, moment, texts, files


def measured(work: Callable[[], object], rounds: int) -> float:
    """Seconds of CPU, the median of the rounds."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)


def through_the_process(raws: list[bytes], window: int = 250) -> float:
    """Wall seconds for all messages with two windows in flight, without the start of the process."""
    with ParserProcess() as parser:
        parser.parse_window([RawMail(raws[0])])
        began = time.perf_counter()
        pending: list[int] = []
        for at in range(0, len(raws), window):
            pending.append(parser.submit([RawMail(raw) for raw in raws[at : at + window]]))
            if len(pending) > 1:
                parser.collect(pending.pop(0))
        for ticket in pending:
            parser.collect(ticket)
        return time.perf_counter() - began


def main() -> None:
    """Prints one table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=1_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    raws = corpus(given.messages, given.seed)
    items = [RawMail(raw) for raw in raws]
    heads, pieces = pack_messages(items, lambda item: parse_mail(item.data), new_compressor())
    pack = b"".join(pieces)
    cases: list[tuple[str, Callable[[], object]]] = [
        ("stdlib, policy.default", lambda: [with_library(raw, email.policy.default) for raw in raws]),
        ("stdlib, compat32", lambda: [with_library(raw, email.policy.compat32) for raw in raws]),
        ("parse_mail", lambda: [parse_mail(raw) for raw in raws]),
        ("parse_mail, first 32 KB", lambda: [parse_mail(raw[:32_768], complete=False) for raw in raws]),
        ("parse, compress, JSON (child)", lambda: pack_messages(items, lambda i: parse_mail(i.data), new_compressor())),
        ("read heads (parent)", lambda: read_window(heads, pack)),
    ]
    size = sum(map(len, raws)) / len(raws) / 1024
    print(f"{len(raws)} messages, {size:.1f} KB mean, seed {given.seed}, median of {given.rounds}, CPU time")
    base = 0.0
    for name, work in cases:
        each = measured(work, given.rounds) / len(raws) * 1e6
        base = base or each
        print(f"{name:<32}{each:>9.1f} us/message{base / each:>9.1f} x")
    wall = min(through_the_process(raws) for _ in range(given.rounds)) / len(raws) * 1e6
    print(f"{'through the process (wall)':<32}{wall:>9.1f} us/message{base / wall:>9.1f} x")
    began = time.perf_counter()
    with ParserProcess():
        print(f"start of the process: {(time.perf_counter() - began) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
