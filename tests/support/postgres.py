"""A private PostgreSQL cluster on a free loopback port, without passwords and without fsync.
Which databases and tables are in it is left to the tests."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from signal import SIGINT
from types import TracebackType
from typing import LiteralString, Self

import psycopg
from psycopg import sql

from tests.support.ports import free_port
from tests.support.processes import ServerFailed, ServerProcess, locate, private_directory, run_tool

OWNER = "twinbox"

# No fsync: a kill of the server loses nothing that was committed, only a crash of the machine would.
# synchronous_commit stays on for the same reason. Memory-mapped files, so that a kill leaves no /dev/shm.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "timezone": "UTC",
}


def program_folders() -> tuple[str, ...]:
    """Where Debian keeps the server programs, newest version first."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return tuple(str(path.parent) for path in sorted(versions, key=_version, reverse=True))


def _version(path: Path) -> int:
    name = path.parent.parent.name
    return int(name) if name.isdecimal() else 0


class Postgres:
    """A running cluster, to be used as a context manager."""

    def __init__(self) -> None:
        self.port = free_port()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        folders = program_folders()
        with ExitStack() as stack:
            root = stack.enter_context(private_directory("postgres"))
            options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
            initdb = locate("initdb", *folders) or "initdb"
            run_tool([initdb, "-D", str(root / "data"), f"--username={OWNER}", *options], root)
            command = [locate("postgres", *folders) or "postgres", "-D", str(root / "data"), "-p", str(self.port)]
            for name, value in _SETTINGS.items():
                command += ["-c", f"{name}={value}"]
            # SIGINT is the fast shutdown (postgres(1)); SIGTERM would wait for clients to leave.
            self.process = ServerProcess("postgres", command, root, stop_signal=SIGINT)
            stack.callback(self.process.stop)
            self.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start(self, *, patience: float = 15.0) -> None:
        """Start (again, after `process.stop()` or `process.kill()`) on the same port and data."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return self.process.start(self._answers)
            except ServerFailed as error:
                # Backends of a killed server still hold its memory until they notice.
                if "shared memory block" not in str(error) or time.monotonic() > deadline:
                    raise

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy URL of one database."""
        return f"postgresql+psycopg://{OWNER}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Create a database (a copy of `template`, on which nobody may be connected) and return its URL."""
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, closing connections that are still open on it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _execute(self, statement: LiteralString, *names: str) -> None:
        with psycopg.connect(self._address(), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))

    def _address(self) -> str:
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/postgres"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._address(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
