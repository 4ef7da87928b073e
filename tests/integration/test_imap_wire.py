"""The wire reads what a server says, in any order and any packets, and ends cleanly when it stops in between."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core.errors import NeedsRelink, Throttled, Transient
from providers.protocols.imap_tokens import fetch_items
from providers.protocols.imap_wire import Tagged, Untagged, Watchdog, Wire
from tests.support.scripted_imap import Script, drip, hold, say, scripted

GOOD = (
    b"* 3 EXISTS\r\n"
    b"* OK [UIDVALIDITY 3] valid\r\n"
    b"* 1 FETCH (UID 7 FLAGS (\\Seen) BODY[]<0> {11}\r\nT1 OK\r\n* 2\n X-GM-LABELS ({3}\r\na\r\n))\r\n"
    b"* 2 FETCH (UID 8 BODY[]<0> {0}\r\n)\r\n"
    b'* ESEARCH (TAG "T1") UID ALL 1:3\r\n'
    b"T1 OK done\r\n"
)


@contextmanager
def wire(script: Script, *, max_literal: int = 1_000_000) -> Iterator[Wire]:
    with scripted(script) as (sock, file):
        found = Wire(sock, file, max_literal=max_literal)
        try:
            yield found
        finally:
            found.close()


def answer(script: Script, *commands: bytes, deadline: float = 20) -> list[Untagged | Tagged]:
    with wire(script) as found:
        return list(found.responses(found.send(*(commands or (b"NOOP",))), deadline=deadline))


def test_commands_go_out_in_one_packet_with_tags_of_their_own() -> None:
    received = bytearray()

    def script(sock: socket.socket) -> None:
        received.extend(sock.recv(65_536))
        sock.sendall(b"T1 OK\r\nT2 NO [X] later\r\n")

    found = answer(script, b"NOOP", b'STATUS "a" (MESSAGES)')
    assert bytes(received) == b'T1 NOOP\r\nT2 STATUS "a" (MESSAGES)\r\n'
    assert found == [Tagged(b"T1", b"OK", b""), Tagged(b"T2", b"NO", b"[X] later")]


@pytest.mark.parametrize("command", [b"NOOP\r\nT2 DELETE x", b"A\nB", b"A\0B"])
def test_a_command_with_a_line_break_is_never_sent(command: bytes) -> None:
    with wire(say(b"")) as found, pytest.raises(ValueError):
        found.send(command)


def test_a_literal_may_hold_what_looks_like_a_completion() -> None:
    found = answer(say(GOOD))
    fetched = [item for item in found if isinstance(item, Untagged) and b"FETCH" in item.parts[0]]
    items = [fetch_items(item.parts) for item in fetched]
    assert [item[b"BODY[]<0>"] for item in items] == [b"T1 OK\r\n* 2\n", b""]
    assert items[0][b"X-GM-LABELS"] == [b"a\r\n"]
    assert found[-1] == Tagged(b"T1", b"OK", b"done")


def test_every_byte_is_counted_once() -> None:
    with wire(say(GOOD)) as found:
        read = list(found.responses(found.send(b"NOOP"), deadline=20))
        assert found.bytes_read == len(GOOD)
        assert found.round_trips == 1
    untagged = sum(item.size for item in read if isinstance(item, Untagged))
    assert untagged == len(GOOD) - len(b"T1 OK done\r\n")


def test_packets_may_break_anywhere() -> None:
    def script(sock: socket.socket) -> None:
        for byte in GOOD:
            sock.sendall(bytes((byte,)))

    assert answer(script) == answer(say(GOOD))


@pytest.mark.parametrize("cut", range(len(GOOD)))
def test_a_connection_cut_at_any_byte_is_a_passing_fault(cut: int) -> None:
    with pytest.raises(Transient) as caught:
        answer(say(GOOD[:cut]))
    assert type(caught.value) is Transient


@pytest.mark.parametrize("cut", range(0, len(GOOD), 7))
def test_a_connection_reset_at_any_byte_is_a_passing_fault(cut: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as sock:
            sock.recv(65_536)
            sock.sendall(GOOD[:cut])
            # Closing with a zero linger time sends RST.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    thread = threading.Thread(target=serve)
    thread.start()
    with socket.create_connection(listener.getsockname(), timeout=20) as sock, sock.makefile("rb") as file:
        found = Wire(sock, file)
        try:
            with pytest.raises(Transient):
                list(found.responses(found.send(b"NOOP"), deadline=20))
        finally:
            found.close()
            thread.join()


def test_completions_may_come_in_any_order_with_answers_between() -> None:
    said = b"* 1 FETCH (UID 1)\r\n* 9 FETCH (UID 9)\r\nT2 OK b\r\n* 2 FETCH (UID 2)\r\n* 3 EXISTS\r\nT1 OK a\r\n"
    found = answer(say(said), b"UID FETCH 1:2 (UID)", b"UID FETCH 9 (UID)")
    assert [item.tag for item in found if isinstance(item, Tagged)] == [b"T2", b"T1"]
    assert len(found) == 6


def test_reading_may_stop_at_one_completion_and_go_on_for_the_next() -> None:
    said = b"* 1 FETCH (UID 1)\r\nT1 OK\r\n* 2 FETCH (UID 2)\r\nT2 OK\r\n"
    with wire(say(said)) as found:
        tags = found.send(b"A", b"B")
        for response in found.responses(tags, deadline=20):
            if isinstance(response, Tagged):
                break
        rest = list(found.responses(tags[1:], deadline=20))
    assert rest == [Untagged((b"* 2 FETCH (UID 2)\r\n",), 19), Tagged(b"T2", b"OK", b"")]


@pytest.mark.parametrize(
    "said",
    [b"T9 OK\r\n", b"T1 OK\r\nT1 OK\r\n", b"+ go on\r\n", b"+ OK\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"\r\n",
     b"T1\r\n",     b"T1 MAYBE\r\n", b"*\r\n", b"\x00\xff\r\n", b"T1 BYE\r\n", b" T1 OK\r\n"],
)  # fmt: skip
def test_what_is_no_answer_to_us_ends_the_connection(said: bytes) -> None:
    with pytest.raises(Transient):
        answer(say(said), b"A", b"B")


@pytest.mark.parametrize("said", [b"T1 OK\r\n", b"T1 ok\r\n", b"T1 OK \r\n", b"T1 Ok\n"])
def test_a_completion_needs_no_text_and_no_capitals(said: bytes) -> None:
    assert answer(say(said)) == [Tagged(b"T1", b"OK", b"")]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"* BYE server restarts\r\n", Transient),
        (b"* bye\r\n", Transient),
        (b"* BYE [OVERQUOTA] Account exceeded command or bandwidth limits.\r\n", Throttled),
        (b"* BYE [ALERT] Invalid credentials\r\n", NeedsRelink),
    ],
)
@pytest.mark.parametrize("before", [b"", b"* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n"])
def test_a_bye_between_responses_says_why(said: bytes, kind: type[Exception], before: bytes) -> None:
    with pytest.raises(kind) as caught:
        answer(say(before + said))
    assert type(caught.value) is kind


def test_a_bye_inside_a_literal_is_a_lost_connection() -> None:
    with pytest.raises(Transient, match="lost"):
        answer(say(b"* 1 FETCH (UID 1 BODY[] {300}\r\nabc\r\n* BYE [OVERQUOTA] enough\r\n"))


def test_a_drip_is_stopped_at_the_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(Transient, match="in time"):
        answer(drip(b"* 1 EXISTS\r\n", 0.01), deadline=0.3)
    assert time.monotonic() - started < 5


def test_a_silent_server_is_left_at_the_deadline() -> None:
    with pytest.raises(Transient, match="in time"):
        answer(hold(b"* 1 FETCH (UID 1 BODY[] {30}\r\nabc"), deadline=0.2)


def test_a_silent_server_is_left_when_the_socket_times_out_first() -> None:
    with scripted(hold(b"* 1 EX")) as (sock, file):
        sock.settimeout(0.1)
        found = Wire(sock, file)
        with pytest.raises(Transient, match="silent"):
            list(found.responses(found.send(b"NOOP"), deadline=20))
        found.close()


def test_sending_on_a_dead_connection_is_a_passing_fault() -> None:
    with wire(say(b"")) as found:
        found._sock.shutdown(socket.SHUT_RDWR)
        with pytest.raises(Transient, match="lost"):
            found.send(b"NOOP")


def test_a_deadline_that_was_kept_does_not_end_the_connection_later() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        dog = Watchdog(ours)
        for _ in range(50):
            dog.start(0.05)
            dog.stop()
        dog._thread.join(0.2)
        assert not dog.fired
        dog.start(0.2)
        dog._thread.join(0.05)  # long enough for it to wait on the deadline
        dog.stop()
        dog._thread.join(0.3)
        assert not dog.fired
        dog.start(20)
        dog._thread.join(0.2)
        assert not dog.fired
        dog.close()
        assert not dog._thread.is_alive()
        ours.sendall(b"x")


def test_closing_ends_the_watching_thread_even_while_it_counts() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        dog = Watchdog(ours)
        dog.start(1000)
        started = time.monotonic()
        dog.close()
        assert time.monotonic() - started < 5
        assert not dog.fired
