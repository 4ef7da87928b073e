"""Whatever a server sends, the wire reads it in bounded time and memory, with an error of ours or none."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import providers.protocols.imap_wire as imap_wire
from core.errors import Transient
from providers.protocols.imap_tokens import Malformed, fetch_items
from providers.protocols.imap_wire import Tagged, Untagged, Wire
from tests.support.scripted_imap import Script, drip, say, say_for_ever, scripted

MEMORY = 64 * 1024 * 1024
SECONDS = 20


@contextmanager
def bounded(memory: int = MEMORY) -> Iterator[None]:
    """Fails when what is done inside takes long or holds more memory than `memory` at any time."""
    tracemalloc.start()
    started = time.monotonic()
    try:
        yield
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert time.monotonic() - started < SECONDS
    assert peak < memory


def read_all(script: Script, *, deadline: float = SECONDS) -> int:
    """How many responses came before the command was completed."""
    with scripted(script) as (sock, file):
        wire = Wire(sock, file)
        try:
            return sum(1 for _ in wire.responses(wire.send(b"NOOP"), deadline=deadline))
        finally:
            wire.close()


@pytest.mark.parametrize(
    "announced", [b"{10000000000}", b"{4294967296}", b"{16777217}", b"{" + b"9" * 50 + b"}", b"{99999999999+}",
                  b"{" + b"9" * 5_000 + b"}"],
)  # fmt: skip
def test_a_huge_literal_is_refused_when_it_is_announced(announced: bytes) -> None:
    with bounded(), pytest.raises(Transient, match="announced"):
        read_all(say_for_ever(b"* 1 FETCH (UID 1 BODY[] " + announced + b"\r\n", b"x" * 1000))


def test_many_small_literals_in_one_response_are_refused() -> None:
    with bounded(), pytest.raises(Transient, match="announced"):
        read_all(say_for_ever(b"* 1 FETCH (", b"{0}\r\n"))


def test_many_large_literals_in_one_response_are_refused() -> None:
    literal = b" {1000000}\r\n" + b"x" * 1_000_000
    with bounded(), pytest.raises(Transient, match="announced"):
        read_all(say_for_ever(b"* 1 FETCH (", literal))


def test_a_line_without_end_is_refused() -> None:
    with bounded(), pytest.raises(Transient, match="without end"):
        read_all(say_for_ever(b"* OK ", b"x" * 1000))


def test_bytes_without_a_line_break_before_any_answer_are_refused() -> None:
    with bounded(), pytest.raises(Transient, match="without end"):
        read_all(say_for_ever(b"", b"\0"))


def test_untagged_lines_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_wire, "MAX_RESPONSE_LINES", 50_000)
    with bounded(), pytest.raises(Transient, match="far more"):
        read_all(say_for_ever(b"", b"* 1 EXISTS\r\n"))


def test_more_bytes_than_any_answer_needs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_wire, "MAX_RESPONSE_BYTES", 20_000_000)
    with bounded(), pytest.raises(Transient, match="far more"):
        read_all(say_for_ever(b"", b"* 1 FETCH (BODY[] {1000000}\r\n" + b"x" * 1_000_000 + b")\r\n"))


@pytest.mark.parametrize("data", [b"* 1 EXISTS\r\n", b"x", b"* 1 FETCH (BODY[] {900000}\r\n"])
def test_a_drip_is_cut_off_at_the_deadline(data: bytes) -> None:
    with bounded(), pytest.raises(Transient, match="in time"):
        read_all(drip(data, 0.005), deadline=0.2)


def test_deep_parentheses_cost_one_response_and_not_the_process() -> None:
    deep = b"* 1 FETCH (BODYSTRUCTURE " + b"(" * 3_000_000 + b")" * 3_000_000 + b")\r\nT1 OK\r\n"
    with scripted(say(deep)) as (sock, file):
        wire = Wire(sock, file)
        (first, last) = wire.responses(wire.send(b"NOOP"), deadline=SECONDS)
        wire.close()
    assert isinstance(first, Untagged)
    assert isinstance(last, Tagged)
    with bounded(), pytest.raises(Malformed):
        fetch_items(first.parts)
