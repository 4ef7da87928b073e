"""Describes a corpus: sizes, structures, charsets, threads, flaws, and how many messages a second it took.
What the figures should be is said in `corpus.py`; the unit tests compare them loosely."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpus import Mail

_TOP_TYPE = re.compile(rb"^Content-Type: ([a-z]+/[a-z0-9.+-]+)", re.IGNORECASE | re.MULTILINE)
_CHARSET = re.compile(rb'charset="([^"]+)"')
_ENCODED_NAME = re.compile(rb"^From: [^\r]*=\?", re.MULTILINE)
_ANSWERS = re.compile(rb"^In-Reply-To: (<[^>]+>)", re.MULTILINE)
_MESSAGE_ID = re.compile(rb"^Message-ID: (<[^>]+>)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of one corpus; sizes in bytes, shares between 0 and 1."""

    messages: int
    total_bytes: int
    median: int
    mean: float
    p90: int
    p99: int
    largest: int
    mean_header: float
    small_share: float
    """Messages of at most 64 KB ..."""
    small_bytes_share: float
    """... and the part of all bytes they carry."""
    structures: dict[str, float]
    charsets: dict[str, float]
    encoded_names: float
    in_threads: float
    broken: float
    seconds: float


def statistics(mails: Iterable[Mail]) -> Statistics:
    """Go through `mails` once; holds the sizes and Message-IDs only."""
    started = time.perf_counter()
    sizes: list[int] = []
    ids: list[bytes] = []
    answered: dict[bytes, bytes] = {}
    counts: Counter[str] = Counter()
    charsets: Counter[str] = Counter()
    for mail in mails:
        head, _, body = mail.raw.partition(b"\r\n\r\n")
        sizes.append(len(mail.raw))
        counts["header"] += len(head)
        counts["broken"] += bool(mail.flaw)
        counts["names"] += bool(_ENCODED_NAME.search(head))
        top = _TOP_TYPE.search(head)
        counts["type " + (top[1].decode().lower() if top else "none")] += 1
        charsets.update({one.decode() for one in _CHARSET.findall(head + body[:20_000])})
        own = _MESSAGE_ID.search(head)
        ids.append(own[1] if own else b"")
        if own and (parent := _ANSWERS.search(head)):
            answered[own[1]] = parent[1]
    threaded = set(answered) | set(answered.values())
    return _summary(sizes, counts, charsets, sum(one in threaded for one in ids), time.perf_counter() - started)


def _summary(
    sizes: Sequence[int], counts: Counter[str], charsets: Counter[str], threaded: int, seconds: float
) -> Statistics:
    n, ordered = len(sizes), sorted(sizes)
    small = [size for size in sizes if size <= 65_536]
    types = {name[5:]: count / n for name, count in counts.most_common() if name.startswith("type ")}
    return Statistics(
        messages=n,
        total_bytes=sum(sizes),
        median=ordered[n // 2],
        mean=sum(sizes) / n,
        p90=ordered[n * 90 // 100],
        p99=ordered[n * 99 // 100],
        largest=ordered[-1],
        mean_header=counts["header"] / n,
        small_share=len(small) / n,
        small_bytes_share=sum(small) / sum(sizes),
        structures=types,
        charsets={name: count / n for name, count in charsets.most_common()},
        encoded_names=counts["names"] / n,
        in_threads=threaded / n,
        broken=counts["broken"] / n,
        seconds=seconds,
    )


def describe(mails: Iterable[Mail]) -> str:
    """The figures as a few lines of text."""
    found = statistics(mails)
    shares = {"top-level types": found.structures, "charsets declared": found.charsets}
    largest = f"p99 {found.p99 / 1e3:.0f}, max {found.largest / 1e6:.2f} MB"
    threads = f"in threads {found.in_threads:.1%}, broken {found.broken:.2%}"
    lines = [
        f"{found.messages:,} messages, {found.total_bytes / 1e6:,.1f} MB in {found.seconds:.1f} s",
        f"size: median {found.median / 1e3:.1f} KB, mean {found.mean / 1e3:.1f}, p90 {found.p90 / 1e3:.1f}, {largest}",
        f"header mean {found.mean_header / 1e3:.2f} KB, sender with encoded name {found.encoded_names:.1%}, {threads}",
        f"at most 64 KB: {found.small_share:.1%} of messages with {found.small_bytes_share:.1%} of bytes",
    ]
    for title, values in shares.items():
        lines.append(f"{title}: " + ", ".join(f"{name} {share:.1%}" for name, share in values.items()))
    return "\n".join(lines)


def write(mails: Iterable[Mail], folder: str) -> None:
    """Write each message to `folder` as NUMBER.eml."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for number, mail in enumerate(mails, 1):
        (target / f"{number:06d}.eml").write_bytes(mail.raw)
