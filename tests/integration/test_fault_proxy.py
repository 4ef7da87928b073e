"""Proves each fault of the TCP fault proxy in front of a small echo server.
How the service survives these faults is tested with the part that meets them."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.fault_proxy import BLACK_HOLE, HEALTHY, REFUSE, End, FaultProxy, Faults, Flow
from tests.support.ports import free_port
from tests.support.processes import wait_until


class Echo(socketserver.StreamRequestHandler):
    """Sends back each line, and a farewell when the client has said all."""

    def handle(self) -> None:
        try:
            for line in self.rfile:
                self.wfile.write(line)
            self.wfile.write(b"bye\n")
        except OSError:
            pass


class EchoServer(socketserver.ThreadingTCPServer):
    """One thread per connection, joined at the end."""

    daemon_threads = False


@pytest.fixture
def echo() -> Iterator[int]:
    with EchoServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[FaultProxy]:
    with FaultProxy(echo) as proxy:
        yield proxy


def dial(proxy: FaultProxy, timeout: float = 10.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout)


def read_into(received: bytearray, client: socket.socket) -> None:
    while data := client.recv(65_536):
        received += data


def read_all(client: socket.socket) -> bytes:
    received = bytearray()
    read_into(received, client)
    return bytes(received)


def test_without_faults_bytes_and_ends_pass_both_ways(proxy: FaultProxy) -> None:
    with dial(proxy) as client:
        client.sendall(b"x" * 300_000 + b"\n")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"x" * 300_000 + b"\nbye\n"
    assert (proxy.traffic.connections, proxy.traffic.to_server, proxy.traffic.to_client) == (1, 300_001, 300_005)


def test_latency_delays_without_adding_up_over_pipelined_lines(proxy: FaultProxy) -> None:
    proxy.use(Faults(to_server=Flow(latency=0.1), to_client=Flow(latency=0.1)))
    with dial(proxy) as client:
        began = time.monotonic()
        for _ in range(20):
            client.sendall(b"one\n")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"one\n" * 20 + b"bye\n"
    assert 0.2 <= time.monotonic() - began < 2.0


def test_a_drip_delivers_a_few_bytes_at_a_time(proxy: FaultProxy) -> None:
    proxy.use(Faults(to_client=Flow(chunk=3, pause=0.01)))
    with dial(proxy) as client:
        client.sendall(b"0123456789\n")
        assert len(client.recv(100)) <= 6
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).endswith(b"bye\n")


@pytest.mark.parametrize("count", [1, 5, 11])
def test_a_reset_comes_after_exactly_so_many_bytes_to_the_client(proxy: FaultProxy, count: int) -> None:
    proxy.use(Faults(to_client=Flow(limit=count, then=End.RESET)))
    with dial(proxy) as client:
        client.sendall(b"0123456789\n")
        received = bytearray()
        with pytest.raises(ConnectionResetError):
            read_into(received, client)
    assert received == b"0123456789\n"[:count]


def test_a_limit_of_nothing_resets_a_connection_as_soon_as_it_is_made(proxy: FaultProxy) -> None:
    proxy.use(Faults(to_client=Flow(limit=0)))
    with pytest.raises(ConnectionResetError), dial(proxy) as client:
        client.recv(100)


def test_a_close_comes_after_exactly_so_many_bytes_to_the_server(proxy: FaultProxy) -> None:
    proxy.use(Faults(to_server=Flow(limit=4, then=End.CLOSE)))
    with dial(proxy) as client:
        client.sendall(b"0123")
        assert client.recv(100) == b""
    assert proxy.traffic.to_server == 4


def test_a_half_close_ends_one_direction_and_lets_the_other_go_on(proxy: FaultProxy) -> None:
    proxy.use(Faults(to_server=Flow(limit=4, then=End.HALF_CLOSE)))
    with dial(proxy) as client:
        client.sendall(b"one\ntwo\n")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"one\nbye\n"


def test_a_black_hole_accepts_and_never_answers_until_it_is_healed(proxy: FaultProxy) -> None:
    proxy.use(BLACK_HOLE)
    with dial(proxy, timeout=0.1) as client:
        client.sendall(b"one\n")
        with pytest.raises(TimeoutError):
            client.recv(100)
        proxy.use(HEALTHY)
        client.settimeout(10)
        assert client.recv(100) == b"one\n"


def test_an_open_connection_falls_silent_when_the_black_hole_opens(proxy: FaultProxy) -> None:
    with dial(proxy) as client:
        client.sendall(b"one\n")
        assert client.recv(100) == b"one\n"
        proxy.use(BLACK_HOLE)
        client.settimeout(0.1)
        client.sendall(b"two\n")
        with pytest.raises(TimeoutError):
            client.recv(100)


def test_a_refused_connection_fails_at_once_and_the_port_comes_back(proxy: FaultProxy) -> None:
    proxy.use(REFUSE)
    with pytest.raises(ConnectionRefusedError):
        dial(proxy)
    proxy.use(HEALTHY)
    with dial(proxy) as client:
        client.sendall(b"one\n")
        assert client.recv(100) == b"one\n"


def test_garbage_is_all_that_a_new_client_hears(proxy: FaultProxy) -> None:
    proxy.use(Faults(garbage=b"\x16\x03nonsense"))
    with dial(proxy) as client:
        assert read_all(client) == b"\x16\x03nonsense"


def test_sever_resets_open_connections_but_serves_new_ones(proxy: FaultProxy) -> None:
    with dial(proxy) as first:
        first.sendall(b"one\n")
        assert first.recv(100) == b"one\n"
        proxy.sever()
        with pytest.raises(ConnectionResetError):
            first.recv(100)
    with dial(proxy) as second:
        second.sendall(b"two\n")
        assert second.recv(100) == b"two\n"


def test_a_dead_server_behind_the_proxy_is_a_reset() -> None:
    with FaultProxy(free_port()) as proxy, pytest.raises(ConnectionResetError), dial(proxy) as client:
        client.recv(100)


def test_closing_the_proxy_resets_what_is_open(echo: int) -> None:
    with FaultProxy(echo) as proxy:
        client = dial(proxy)
        wait_until(lambda: proxy.traffic.connections == 1, "the connection")
    with client, pytest.raises(ConnectionResetError):
        client.recv(100)
