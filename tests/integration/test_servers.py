"""Proves that each private server of tests/support starts, does what the other tests rely on, and dies.
What the service does with these servers is tested elsewhere."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pika
import psutil
import psycopg
import pytest
from redis import Redis as RedisClient
from sqlalchemy import create_engine, text

from tests.support.ports import free_ports
from tests.support.postgres import Postgres, program_folders
from tests.support.processes import ServerFailed, ServerProcess, private_directory, require, wait_until
from tests.support.rabbitmq import PROGRAM_FOLDER
from tests.support.redis import Redis


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_missing_program_skips_the_test_naming_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install no-such-package"):
        require("no-such-program", "no-such-package")


def test_a_missing_program_fails_the_test_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install no-such-package"):
        require("no-such-program", "no-such-package")


def test_a_server_that_exits_at_once_is_reported_with_its_log() -> None:
    with private_directory("broken") as root:
        broken = ServerProcess("broken", ["/bin/sh", "-c", "echo bad option >&2; exit 3"], root)
        with pytest.raises(ServerFailed, match=r"status 3\n.*bad option"):
            broken.start(lambda: False)
        assert not broken.alive


def test_a_server_that_ignores_its_stop_signal_is_killed() -> None:
    with private_directory("stubborn") as root:
        mark = root / "ready"
        script = f"trap '' TERM; : > {mark}; while :; do sleep 1; done"
        stubborn = ServerProcess("stubborn", ["/bin/sh", "-c", script], root)
        stubborn.start(mark.exists)
        pid = stubborn.pid
        stubborn.stop(timeout=0.1)
        assert not psutil.pid_exists(pid)


# Databases and brokers


def test_a_test_gets_an_empty_postgres_database_of_its_own(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        assert connection.scalar(text("select count(*) from pg_tables where schemaname = 'public'")) == 0
        assert connection.scalar(text("show server_encoding")) == "UTF8"
        connection.execute(text("create table left_behind (id int)"))
    engine.dispose()


def test_a_dropped_database_throws_out_whoever_is_connected(postgres: Postgres) -> None:
    address = postgres.create_database("busy").replace("+psycopg", "")
    with psycopg.connect(address) as connection:
        postgres.drop_database("busy")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")


@pytest.mark.servers
def test_a_killed_postgres_keeps_what_was_committed() -> None:
    require("initdb", "postgresql", *program_folders())
    with Postgres() as server:
        address = server.url().replace("+psycopg", "")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("create table kept as select 1 as one")
            server.process.kill()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
        server.start()
        with psycopg.connect(address) as connection:
            assert connection.execute("select one from kept").fetchone() == (1,)


def test_redis_starts_empty_for_each_test(redis_url: str) -> None:
    with RedisClient.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


@pytest.mark.servers
def test_a_killed_redis_forgets_unless_it_is_persistent() -> None:
    require("redis-server", "redis-server")
    for persistent, expected in ((False, None), (True, b"kept")):
        with Redis(persistent=persistent) as server, RedisClient.from_url(server.url) as client:
            client.set("word", "kept")
            server.process.kill()
            server.start()
            assert client.get("word") == expected


def test_rabbitmq_carries_a_message_in_a_virtual_host_of_the_test(rabbitmq_url: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_url))
    channel = connection.channel()
    channel.queue_declare("mail", durable=True)
    channel.basic_publish("", "mail", b"hello")
    assert channel.basic_get("mail", auto_ack=True)[2] == b"hello"
    connection.close()


# A test run that dies

_STARTER = """
import sys
from pathlib import Path
from tests.support import {module}
from tests.support.tls import write_tls
arguments = [write_tls(Path(sys.argv[1]))] if "{kind}" == "Dovecot" else []
server = {module}.{kind}(*arguments).__enter__()
print(server.process.pid, server.process.log.parent, flush=True)
sys.stdin.read()
"""


@pytest.mark.servers
@pytest.mark.parametrize(
    ("module", "kind", "program", "package", "folders"),
    [
        ("dovecot", "Dovecot", "dovecot", "dovecot-imapd", ()),
        ("postgres", "Postgres", "initdb", "postgresql", program_folders()),
        ("rabbitmq", "RabbitMQ", "rabbitmq-server", "rabbitmq-server", (PROGRAM_FOLDER,)),
        ("redis", "Redis", "redis-server", "redis-server", ()),
    ],
    ids=["dovecot", "postgres", "rabbitmq", "redis"],
)
def test_a_server_dies_with_a_test_run_that_is_killed(
    module: str, kind: str, program: str, package: str, folders: tuple[str, ...], tmp_path: Path
) -> None:
    require(program, package, *folders)
    command = [sys.executable, "-c", _STARTER.format(module=module, kind=kind), str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as run:
        assert run.stdout is not None
        pid, folder = run.stdout.readline().split()
        family = [psutil.Process(int(pid)), *psutil.Process(int(pid)).children(recursive=True)]
        run.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(runs, family)), f"the end of {kind}", timeout=15)
    wait_until(lambda: not Path(folder).exists(), f"the removal of {folder}", timeout=5)


def runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
