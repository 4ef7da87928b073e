"""The process that parses hostile mail: reads windows from standard input, writes packed windows to standard output.
Its limits on memory and files are set here; starting, watching and replacing it is `parser_process`."""

from __future__ import annotations

import gc
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import BinaryIO

from core.packs import RawMail
from core.types import ParsedMail
from sync.packing import new_compressor, pack_messages
from sync.parse import parse_header_only, parse_mail

# Frames. Request: count, then per message its length and 1 if complete, then its bytes.
# Answer: lengths of heads and pack, then both. One empty answer is sent at the start: "ready".
COUNT = struct.Struct("<I")
ITEM = struct.Struct("<QB")
ANSWER = struct.Struct("<QQ")


class MessageTimeout(Exception):
    """One message took more CPU time than it may."""


def serve(source: BinaryIO, target: BinaryIO, seconds_per_message: float) -> None:
    """Answers windows until the parent closes the pipe, as it also does by dying."""

    def parse(item: RawMail) -> ParsedMail:
        try:
            with _time_limit(seconds_per_message):
                return parse_mail(item.data, complete=item.complete)
        except MessageTimeout:
            return parse_header_only(item.data)

    compressor = new_compressor()
    _answer(target, b"", [])
    while head := source.read(COUNT.size):
        # Read whole before parsing: so the parent is free to fetch the next window meanwhile.
        items = _items(source, COUNT.unpack(head)[0])
        _answer(target, *pack_messages(items, parse, compressor))
        del items
        gc.collect()


def _items(source: BinaryIO, count: int) -> list[RawMail]:
    sizes = [ITEM.unpack(source.read(ITEM.size)) for _ in range(count)]
    return [RawMail(source.read(size), bool(complete)) for size, complete in sizes]


def _answer(target: BinaryIO, heads: bytes, pieces: list[bytes]) -> None:
    target.write(ANSWER.pack(len(heads), sum(map(len, pieces))))
    target.write(heads)
    for piece in pieces:
        target.write(piece)
    target.flush()


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    # CPU time, so that a busy machine makes no mail unparsed. It stops what runs in Python; a native call that
    # hangs is ended by the parent's deadline.
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _on_alarm(_signum: int, _frame: FrameType | None) -> None:
    raise MessageTimeout


def confine(address_space: int) -> None:
    """Limits this process for good: memory in octets, no core file (it would hold mail), no files to write."""
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


def main(address_space: str, seconds_per_message: str) -> None:
    """Entry point: `python -m sync.parser_child OCTETS SECONDS`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end ends this process too
    signal.signal(signal.SIGPROF, _on_alarm)
    confine(int(address_space))
    # Parsing makes no cycles but many objects: looking for cycles once per window, not all the time, saves a tenth.
    gc.disable()
    gc.freeze()
    serve(sys.stdin.buffer, sys.stdout.buffer, float(seconds_per_message))


if __name__ == "__main__":
    main(*sys.argv[1:3])
