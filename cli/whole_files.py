"""Reads and writes the files people name on the command line: `-` is standard input or output.
What is in a file is decided by the commands."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from core.errors import Misconfigured

STDIN = Path("-")


def read_bytes(file: Path, most: int) -> bytes:
    """The bytes of a file: at most one more than is allowed, so that whoever reads them tells. Raises Misconfigured."""
    try:
        if file == STDIN:
            stream: Any = sys.stdin
            data = getattr(stream, "buffer", stream).read(most + 1)
            return data if isinstance(data, bytes) else str(data).encode("utf-8", "replace")
        with file.open("rb") as found:
            return found.read(most + 1)
    except OSError as error:
        raise Misconfigured(
            f"cannot read {file}: {error.strerror}", advice="Check the name of the file and who may read it."
        ) from error


def print_pieces(pieces: Iterable[str]) -> None:
    """Write to standard output, in bytes where possible: line ends and charset are the format's on every system."""
    stream: Any = sys.stdout
    for piece in pieces:
        if hasattr(stream, "buffer"):
            stream.buffer.write(piece.encode())
        else:
            stream.write(piece)


def save_pieces(pieces: Iterator[str], file: Path) -> None:
    """Write a new file; an existing one is never overwritten. Raises Misconfigured."""
    try:
        target = file.open("xb")
    except FileExistsError as error:
        raise Misconfigured(f"{file} exists already", advice="Name another file.") from error
    except OSError as error:
        raise _unwritable(file, error) from error
    try:
        with target:
            target.writelines(piece.encode() for piece in pieces)
    except OSError as error:
        file.unlink()  # half a file would pass for the whole one
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> Misconfigured:
    return Misconfigured(f"cannot write {file}: {error.strerror}", advice="Name another place.")
