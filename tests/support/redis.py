"""A private Redis on a free loopback port that keeps nothing on disk unless it is asked to.
Which keys are in it is left to the tests."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from redis import Redis as Client
from redis.exceptions import RedisError

from tests.support.ports import free_port
from tests.support.processes import ServerProcess, locate, private_directory


class Redis:
    """A running server, to be used as a context manager. `persistent` survives a kill (append-only file)."""

    def __init__(self, *, persistent: bool = False) -> None:
        self.port = free_port()
        self._persistent = persistent
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """The URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            root = stack.enter_context(private_directory("redis"))
            command = [locate("redis-server") or "redis-server", "--port", str(self.port)]
            command += ["--bind", "127.0.0.1", "--dir", str(root), "--save", ""]
            command += ["--appendonly", "yes" if self._persistent else "no", "--appendfsync", "always"]
            self.process = ServerProcess("redis", command, root)
            stack.callback(self.process.stop)
            self.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start (again, after `process.stop()` or `process.kill()`) on the same port."""
        self.process.start(self._answers)

    def flush(self) -> None:
        """Forget every key of every database."""
        with Client.from_url(self.url) as client:
            client.flushall()

    def _answers(self) -> bool:
        # PING is refused with LOADING while an append-only file is read back.
        try:
            with Client.from_url(self.url, socket_timeout=2) as client:
                return bool(client.ping())
        except RedisError:
            return False
