"""Seeded generator of realistic mail: sizes, structures, charsets, threads and flaws of a business mailbox.
Same seed, same bytes; `generate(2000)` is a prefix of `generate(20000)`. Statistics: `corpus_stats.py`."""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal

from benchmarks.corpus_broken import damages
from benchmarks.corpus_parts import (
    Stock,
    attachment,
    inline_image,
    invitation,
    multipart,
    noise_lines,
    stock,
    text_part,
    token,
    trace,
)
from benchmarks.corpus_text import Language, Person, encoded_words, pick_charset, pick_language, subject_text

Structure = Literal["alternative", "mixed", "plain", "related", "html", "invitation", "report"]

START = datetime(2023, 1, 2, 7, 0, tzinfo=UTC)
LARGEST = 9_200_000
SEED = 8  # its 20,000 messages come closest to the model: 1,005 MB

# Top-level structure in per mille: 53% multipart/alternative (invitations included), 24% multipart/mixed.
_STRUCTURES: tuple[tuple[Structure, int], ...] = (
    ("alternative", 505),
    ("mixed", 240),
    ("plain", 125),
    ("related", 50),
    ("html", 48),
    ("invitation", 25),
    ("report", 7),
)

# Attachment bytes are log-normal: fitted to p90 96 KB and p99 665 KB of all mail, given that 24% have some.
_ATTACHED_MEDIAN, _ATTACHED_SIGMA = 63_000, 1.37
_BODY_MEDIAN, _BODY_SIGMA = 2_450, 0.8
_LONG_READS = 0.075  # newsletters and minutes with 25 to 75 KB of HTML, so that 6% do not end in the first 32 KB
_LONG_TEXTS = 0.013  # those with as much plain text
_ALONE = 0.35
_NEW_THREAD = 0.28
_OPEN_THREADS = 25
_BROKEN = 0.003


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as it lies on the server; `flaw` names the damage of a broken one, else it is empty."""

    raw: bytes
    internaldate: datetime
    flags: tuple[str, ...]
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation going on; `ids` grows with every message of it."""

    subject: bytes
    language: Language
    partner: Person
    ids: list[bytes] = field(default_factory=list)


def generate(n: int, seed: int, start: datetime = START) -> Iterator[Mail]:
    """`n` messages in the order of arrival, about 75 minutes apart, the first one at `start` (aware)."""
    # Not for secrets: the same seed has to give the same mail.
    rng = random.Random(seed)
    source = stock(rng, LARGEST)
    open_threads: list[Thread] = []
    ways = damages()
    at, broken = start, 0
    for _ in range(n):
        at += timedelta(seconds=round(rng.expovariate(1 / 4500)) + 1)
        thread, answers = _conversation(rng, source, open_threads)
        raw = _message(rng, source, thread, answers, at)
        flaw = ""
        if rng.random() < _BROKEN:
            damage = ways[broken % len(ways)]
            broken += 1
            raw, flaw = damage(raw), damage.__name__
        yield Mail(raw, at + timedelta(seconds=rng.randint(1, 40)), _flags(rng, answers), flaw)


def _conversation(rng: random.Random, source: Stock, open_threads: list[Thread]) -> tuple[Thread, bool]:
    """The thread of the next message, and whether the message answers an earlier one of it."""
    if rng.random() < _ALONE:
        return _thread(rng, source), False
    if len(open_threads) < _OPEN_THREADS // 5 or rng.random() < _NEW_THREAD:
        open_threads.append(_thread(rng, source))
        if len(open_threads) > _OPEN_THREADS:
            # Drop one that was answered, so that hardly any thread is left with a single message.
            answered = next((one for one in open_threads if len(one.ids) > 1), open_threads[0])
            open_threads.remove(answered)
        return open_threads[-1], False
    waiting = [one for one in open_threads if len(one.ids) == 1]
    return (waiting[0] if waiting and rng.random() < 0.5 else rng.choice(open_threads)), True


def _thread(rng: random.Random, source: Stock) -> Thread:
    language = pick_language(rng)
    subject = encoded_words(subject_text(rng, language), pick_charset(rng, language), rng.random() < 0.6)
    # Squared: few correspondents write most of the mail.
    partner = source.correspondents[int(len(source.correspondents) * rng.random() ** 2)]
    return Thread(subject, language, partner)


def _message(rng: random.Random, source: Stock, thread: Thread, answers: bool, at: datetime) -> bytes:
    structure = rng.choices([name for name, _ in _STRUCTURES], [share for _, share in _STRUCTURES])[0]
    return _head(rng, source, thread, answers, at) + _entity(rng, source, thread, structure, at)


def _head(rng: random.Random, source: Stock, thread: Thread, answers: bool, at: datetime) -> bytes:
    own = b"Alex Example <owner@crm.example>"
    sent = answers and rng.random() < 0.4
    mine = b"<" + token(rng) + b"@" + (b"crm.example" if sent else b"relay.example") + b">"
    sender, to = (own, thread.partner.mailbox) if sent else (thread.partner.mailbox, own)
    lines = [
        b"MIME-Version: 1.0",
        b"From: " + sender,
        b"To: " + to,
        b"Subject: " + (b"Re: " if answers else b"") + thread.subject,
        b"Date: " + format_datetime(at).encode(),
        b"Message-ID: " + mine,
    ]
    if rng.random() < 0.3:
        copies = rng.choices(source.correspondents, k=rng.randint(1, 6))
        lines.append(b"Cc: " + b",\r\n\t".join(one.mailbox for one in copies))
    if answers:
        lines += [b"In-Reply-To: " + thread.ids[-1], b"References: " + b"\r\n ".join(thread.ids[-12:])]
    elif rng.random() < 0.3:
        lines += _bulk(rng, source)
    thread.ids.append(mine)
    return trace(rng, source, at, rng.randint(3, 6)) + b"\r\n".join(lines) + b"\r\n"


def _bulk(rng: random.Random, source: Stock) -> list[bytes]:
    """What newsletters, lists and machines add (RFC 2369, RFC 8058, RFC 3834)."""
    unsubscribe = noise_lines(rng, source, 160).replace(b"\r\n", b"").replace(b"/", b"-")
    lines = [
        b"List-Id: <news.relay.example>",
        b"List-Unsubscribe: <https://news.example/u/" + unsubscribe + b">",
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        b"Precedence: bulk",
    ]
    return [*lines, b"Auto-Submitted: auto-generated"] if rng.random() < 0.3 else lines


def _entity(rng: random.Random, source: Stock, thread: Thread, structure: Structure, at: datetime) -> bytes:
    size = _log_normal(rng, _BODY_MEDIAN, _BODY_SIGMA, 120_000)
    long = rng.random()
    html_size = rng.randint(25_000, 75_000) if long < _LONG_READS else size
    plain_size = html_size if long < _LONG_TEXTS else size // 3
    plain = text_part(rng, source, thread.language, plain_size, ("plain", "quote") if thread.ids[1:] else ("plain",))
    if structure == "plain":
        return plain
    if structure == "report":
        return _report(rng, thread, plain)
    html = text_part(rng, source, thread.language, html_size, ("html",))
    if structure == "html":
        return html
    if structure == "related":
        image = inline_image(rng, source, _log_normal(rng, 9_000, 0.9, 200_000), token(rng) + b"@inline")
        body = multipart(rng, "alternative", (plain, html))
        return multipart(rng, "related", (body, image), b'; type="multipart/alternative"')
    if structure == "invitation":
        return multipart(rng, "alternative", (plain, html, invitation(rng, thread.partner.address, at)))
    if structure == "alternative":
        return multipart(rng, "alternative", (plain, html))
    text = plain if rng.random() < 0.3 else multipart(rng, "alternative", (plain, html))
    return multipart(rng, "mixed", (text, *_attachments(rng, source, thread, at)))


def _attachments(rng: random.Random, source: Stock, thread: Thread, at: datetime) -> list[bytes]:
    if rng.random() < 0.04:
        return [invitation(rng, thread.partner.address, at, as_file=True)]
    total = _log_normal(rng, _ATTACHED_MEDIAN, _ATTACHED_SIGMA, LARGEST - 20_000)
    count = rng.choices((1, 2, 3, 5), (70, 18, 9, 3))[0]
    return [attachment(rng, source, total // count) for _ in range(count)]


def _report(rng: random.Random, thread: Thread, plain: bytes) -> bytes:
    """A bounce (RFC 3464)."""
    status = (
        b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n\r\nFinal-Recipient: "
        b"rfc822; " + thread.partner.address.encode() + b"\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        b"Diagnostic-Code: smtp; 550 5.1.1 user unknown\r\n"
    )
    original = b"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <" + token(rng) + b"@crm.example>\r\n"
    return multipart(rng, "report", (plain, status, original), b"; report-type=delivery-status")


def _flags(rng: random.Random, answers: bool) -> tuple[str, ...]:
    flags = [r"\Seen"] if rng.random() < 0.85 else []
    if rng.random() < (0.3 if answers else 0.1):
        flags.append(r"\Answered")
    if rng.random() < 0.04:
        flags.append(r"\Flagged")
    if rng.random() < 0.02:
        flags.append("$Forwarded")
    return tuple(flags)


def _log_normal(rng: random.Random, median: int, sigma: float, most: int) -> int:
    return min(most, round(median * math.exp(rng.gauss(0, sigma))))


def main() -> None:
    """Command line: generate and, with `--stats`, describe a corpus; or write it to a folder."""
    from benchmarks.corpus_stats import describe, write

    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus", description="Seeded realistic mail.")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--stats", action="store_true", help="print the distribution")
    parser.add_argument("--out", help="write every message into this folder as NUMBER.eml")
    options = parser.parse_args()
    if options.out:
        write(generate(options.messages, options.seed), options.out)
    if options.stats or not options.out:
        print(describe(generate(options.messages, options.seed)))


if __name__ == "__main__":
    main()
