"""The process that parses hostile mail: reads windows from standard input, writes packed windows to standard output.
Its limits on memory and files are set here; starting, watching and replacing it is `parser_process`."""

from __future__ import annotations

import gc
import resource
import signal
import struct
import sys
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

_TICKS = 4
_OBJECTS = 50_000  # made and not freed since the last collection; full caches come to less
_LARGE = 16 * 1024 * 1024


class MessageTimeout(Exception):
    """One message took more CPU time than it may."""


class Watch:
    """Ends the parsing of a message that takes too long, by a timer that runs on and costs nothing per message.

    CPU time, so that a busy machine makes no mail unparsed. It stops what runs in Python; a native call that hangs
    is ended by the parent's deadline.
    """

    def __init__(self, seconds: float) -> None:
        self.number = 0  # of the message being parsed, 0 between two
        self._seen = 0
        self._ticks = 0
        self._interval = seconds / _TICKS

    def start(self) -> None:
        signal.signal(signal.SIGPROF, self._tick)
        signal.setitimer(signal.ITIMER_PROF, self._interval, self._interval)

    def _tick(self, _signum: int, _frame: FrameType | None) -> None:
        if self.number != self._seen:
            self._seen, self._ticks = self.number, 1
            return
        self._ticks += 1
        if self.number and self._ticks >= _TICKS:
            # It began before the first of these ticks, so less than the allowed time ago.
            self._ticks = 0
            raise MessageTimeout


def serve(source: BinaryIO, target: BinaryIO, watch: Watch) -> None:
    """Answers windows until the parent closes the pipe, as it also does by dying."""
    count = 0

    def parse(item: RawMail) -> ParsedMail:
        nonlocal count
        count += 1
        try:
            watch.number = count
            mail = parse_mail(item.data, complete=item.complete)
            watch.number = 0
            return mail
        except MessageTimeout:
            watch.number = 0
            return parse_header_only(item.data)

    compressor = new_compressor()
    _answer(target, b"", [])
    while head := source.read(COUNT.size):
        # Read whole before parsing: so the parent is free to fetch the next window meanwhile.
        items = _items(source, COUNT.unpack(head)[0])
        _answer(target, *pack_messages(items, parse, compressor))
        large = sum(len(item.data) for item in items) > _LARGE
        del items
        if large or gc.get_count()[0] > _OBJECTS:
            gc.collect()


def _items(source: BinaryIO, count: int) -> list[RawMail]:
    sizes = ITEM.iter_unpack(source.read(ITEM.size * count))
    return [RawMail(source.read(size), bool(complete)) for size, complete in sizes]


def _answer(target: BinaryIO, heads: bytes, pieces: list[bytes]) -> None:
    # One piece of memory and one write for hundreds of small ones.
    target.write(b"".join((ANSWER.pack(len(heads), sum(map(len, pieces))), heads, *pieces)))
    target.flush()


def confine(address_space: int) -> None:
    """Limits this process for good: memory in octets, no core file (it would hold mail), no files to write."""
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


def main(address_space: str, seconds_per_message: str) -> None:
    """Entry point: `python -m sync.parser_child OCTETS SECONDS`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end ends this process too
    confine(int(address_space))
    # Parsing makes no cycles but many objects: looking for cycles only when objects pile up saves a tenth.
    gc.disable()
    gc.freeze()
    watch = Watch(float(seconds_per_message))
    watch.start()
    serve(sys.stdin.buffer, sys.stdout.buffer, watch)


if __name__ == "__main__":
    main(*sys.argv[1:3])
