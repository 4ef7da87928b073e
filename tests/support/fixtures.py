"""Pytest fixtures for real servers: one of each kind per xdist worker, one database, vhost or user per test.
How a server is started is in the module of that server; a missing program skips the test, or fails it if CI=true.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from tests.support.dovecot import Dovecot
from tests.support.fault_proxy import HEALTHY, FaultProxy, Faults
from tests.support.postgres import Postgres, program_folders
from tests.support.processes import require
from tests.support.rabbitmq import PROGRAM_FOLDER, RabbitMQ
from tests.support.redis import Redis
from tests.support.tls import Tls, write_tls

__all__ = [
    "dovecot",
    "mail_user",
    "postgres_server",
    "postgres_url",
    "put_faults_before",
    "rabbitmq_server",
    "rabbitmq_url",
    "redis_server",
    "redis_url",
    "start_dovecot",
    "tls",
]


class StartDovecot(Protocol):
    """Starts one more Dovecot with the options of `Dovecot`; it is stopped when the test ends."""

    def __call__(self, **options: Any) -> Dovecot: ...


class PutFaultsBefore(Protocol):
    """Opens a fault proxy in front of a loopback port; it is closed when the test ends."""

    def __call__(self, port: int, faults: Faults = HEALTHY) -> FaultProxy: ...


def require_dovecot() -> None:
    """Skip or fail the test unless all parts of Dovecot are installed."""
    require("dovecot", "dovecot-imapd")
    require("submission-login", "dovecot-submissiond", "/usr/lib/dovecot")
    require("lmtp", "dovecot-lmtpd", "/usr/lib/dovecot")


def require_postgres() -> None:
    """Skip or fail the test unless the PostgreSQL server is installed."""
    require("initdb", "postgresql", *program_folders())
    require("postgres", "postgresql", *program_folders())


def require_rabbitmq() -> None:
    """Skip or fail the test unless RabbitMQ and Erlang's own tools are installed."""
    require("rabbitmq-server", "rabbitmq-server", PROGRAM_FOLDER)
    require("epmd", "erlang-base")
    require("erl_call", "erlang-base")


def unique(prefix: str) -> str:
    """A name that no other test uses; letters and digits only."""
    return f"{prefix}{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate authority and a server certificate for localhost."""
    return write_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def dovecot(tls: Tls) -> Iterator[Dovecot]:
    """A shared Dovecot; take `mail_user` for a mailbox of your own, and `start_dovecot` to restart or kill."""
    require_dovecot()
    with Dovecot(tls) as server:
        yield server


@pytest.fixture
def start_dovecot(tls: Tls) -> Iterator[StartDovecot]:
    """Start a Dovecot of one's own."""
    require_dovecot()
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Dovecot(tls, **options))


@pytest.fixture
def mail_user() -> str:
    """A user whom no other test knows; on every Dovecot any user exists, with password `pw`."""
    return f"{unique('u')}@example.org"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A shared cluster; take `postgres_url` for a database of your own."""
    require_postgres()
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database, dropped after the test."""
    name = unique("test")
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """A shared Redis; take `redis_url` to find it empty."""
    require("redis-server", "redis-server")
    with Redis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """The URL of an empty Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQ]:
    """A shared RabbitMQ node; take `rabbitmq_url` for a virtual host of your own."""
    require_rabbitmq()
    with RabbitMQ() as server:
        yield server


@pytest.fixture
def rabbitmq_url(rabbitmq_server: RabbitMQ) -> Iterator[str]:
    """The AMQP URL of an empty virtual host, removed after the test."""
    name = unique("test")
    yield rabbitmq_server.add_vhost(name)
    rabbitmq_server.remove_vhost(name)


@pytest.fixture
def put_faults_before() -> Iterator[PutFaultsBefore]:
    """Open fault proxies."""
    with ExitStack() as stack:
        yield lambda port, faults=HEALTHY: stack.enter_context(FaultProxy(port, faults))
