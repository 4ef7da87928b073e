"""Real servers as fixtures: one of each kind per test process, started when a test first asks for it.
How each is configured and started is in the module of its name; a missing one skips, and with CI=true fails."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.support.dovecot import Dovecot
from tests.support.postgres import Postgres, program_folders
from tests.support.processes import require
from tests.support.rabbitmq import PROGRAM_FOLDER, RabbitMQ
from tests.support.redis import Redis
from tests.support.tls import write_tls


@pytest.fixture(scope="session")
def dovecot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    """A Dovecot; every test takes user names of its own."""
    require("dovecot", "dovecot-imapd dovecot-submissiond dovecot-lmtpd")
    with Dovecot(write_tls(tmp_path_factory.mktemp("dovecot-tls"))) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL cluster; a test that only needs a database asks for `postgres_url`."""
    require("initdb", "postgresql", *program_folders())
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """A RabbitMQ node; a test that only needs a broker asks for `rabbitmq_url`."""
    require("rabbitmq-server", "rabbitmq-server", PROGRAM_FOLDER)
    with RabbitMQ() as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """A Redis server; a test that only needs a broker asks for `redis_url`."""
    require("redis-server", "redis-server")
    with Redis() as server:
        yield server


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def postgres_url(postgres: Postgres, _numbers: Iterator[int]) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database, dropped after the test."""
    name = f"test_{next(_numbers)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def rabbitmq_url(rabbitmq: RabbitMQ, _numbers: Iterator[int]) -> Iterator[str]:
    """The AMQP URL of an empty virtual host, removed after the test."""
    name = f"test-{next(_numbers)}"
    yield rabbitmq.add_vhost(name)
    rabbitmq.remove_vhost(name)


@pytest.fixture
def redis_url(redis: Redis) -> str:
    """The URL of an empty Redis database."""
    redis.flush()
    return redis.url
