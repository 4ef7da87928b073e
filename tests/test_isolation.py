"""What every test can rely on: nothing leaves this machine, and a server fixture is empty when a test begins.
The guards are in conftest.py, the fixtures in tests/support/fixtures.py."""

from __future__ import annotations

import socket
from contextlib import closing

import pika
import psycopg
import pytest
import redis as redis_client
from hypothesis import settings


@pytest.mark.parametrize("address", [("203.0.113.9", 80), ("10.1.2.3", 993), ("169.254.169.254", 80), ("0.0.0.0", 25)])
def test_no_other_machine_can_be_reached(address: tuple[str, int]) -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as one, pytest.raises(AssertionError, match="connect to"):
            one.connect_ex(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, pytest.raises(AssertionError, match="sendto"):
        one.sendto(b"x", address)


def test_no_other_machine_can_be_reached_over_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as one, pytest.raises(AssertionError):
        one.connect(("2001:db8::1", 80))


def test_no_name_server_is_asked() -> None:
    with pytest.raises(socket.gaierror):
        socket.create_connection(("imap.example.com", 993))
    assert socket.getaddrinfo("localhost", 993)


def test_loopback_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as one:
        assert one.getpeername() == server.getsockname()


def test_property_tests_have_no_deadline_and_no_memory() -> None:
    assert settings().deadline is None
    assert settings().database is None


def test_postgres_url_is_an_empty_database(postgres_url: str) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_rabbitmq_url_is_an_empty_virtual_host(rabbitmq_url: str) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(rabbitmq_url))) as connection:
        channel = connection.channel()
        channel.queue_declare("mail")
        assert channel.queue_declare("mail", passive=True).method.message_count == 0


def test_redis_url_is_an_empty_database(redis_url: str) -> None:
    with closing(redis_client.Redis.from_url(redis_url)) as client:
        assert client.dbsize() == 0
