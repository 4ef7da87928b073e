"""A socket whose other end plays back a script, for clients that must survive any server.
What the client makes of it is left to the tests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

Script = Callable[[socket.socket], None]


def say(data: bytes) -> Script:
    """Send these bytes, then close."""
    return lambda sock: sock.sendall(data)


def say_for_ever(begin: bytes, again: bytes) -> Script:
    """Send `begin`, then `again` until the client has had enough."""

    def script(sock: socket.socket) -> None:
        sock.sendall(begin)
        packet = again * max(1, 65_536 // len(again))
        while True:
            sock.sendall(packet)

    return script


def drip(data: bytes, pause: float) -> Script:
    """Send the bytes one at a time, over and over; `pause` is in seconds."""

    def script(sock: socket.socket) -> None:
        gone = threading.Event()
        while True:
            for byte in data:
                sock.sendall(bytes((byte,)))
                gone.wait(pause)

    return script


def hold(data: bytes) -> Script:
    """Send the bytes and then nothing at all, with the connection open until the client ends it."""

    def script(sock: socket.socket) -> None:
        sock.sendall(data)
        while sock.recv(65_536):
            pass

    return script


@contextmanager
def scripted(script: Script) -> Iterator[tuple[socket.socket, BinaryIO]]:
    """The client's socket and its buffered reader; the script runs in a thread that ends with the block."""
    ours, theirs = socket.socketpair()

    def play() -> None:
        with theirs:
            try:
                script(theirs)
                theirs.shutdown(socket.SHUT_WR)
                while theirs.recv(65_536):
                    pass
            except OSError:  # the client hung up, as it should
                return

    ours.settimeout(20)
    thread = threading.Thread(target=play, name="scripted-server")
    thread.start()
    file = ours.makefile("rb")
    try:
        yield ours, file
    finally:
        file.close()
        ours.close()
        thread.join()
