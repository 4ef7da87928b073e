"""A private RabbitMQ node with its own epmd, cookie and data on free loopback ports.
Which virtual hosts and queues are in it is left to the tests; one virtual host isolates one test."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import free_ports
from tests.support.processes import (
    ServerFailed,
    ServerProcess,
    give,
    listening,
    locate,
    private_directory,
    run_tool,
)

# The script in /usr/sbin insists on the account `rabbitmq`; this one runs as anybody.
PROGRAM_FOLDER = "/usr/lib/rabbitmq/bin"

_NODE = "twinbox@localhost"
_HELLO = b"AMQP\x00\x00\x09\x01"

# No alarms: a test machine with little memory or disk must not block publishers.
_CONFIG = """
listeners.tcp.1 = 127.0.0.1:{port}
disk_free_limit.absolute = 1MB
vm_memory_high_watermark.absolute = 1GB
log.file.level = warning
"""

_ADD_VHOST = """
rabbit_vhost:add(<<"{name}">>, <<"guest">>),
rabbit_auth_backend_internal:set_permissions(
    <<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"guest">>).
"""

_DELETE_VHOST = """
rabbit_vhost:delete(<<"{name}">>, <<"guest">>).
"""


class RabbitMQ:
    """A running node, to be used as a context manager."""

    def __init__(self) -> None:
        self.port, self._epmd_port, self._distribution_port = free_ports(3)
        self._cookie = secrets.token_hex(16)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._root = stack.enter_context(private_directory("rabbitmq"))
            self._write_files()
            environment = self._environment()
            epmd = [locate("epmd") or "epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._names = ServerProcess("epmd", epmd, self._root)
            stack.callback(self._names.kill)
            self._names.start(lambda: listening(self._epmd_port))
            command = [locate("rabbitmq-server", PROGRAM_FOLDER) or "rabbitmq-server"]
            self.process = ServerProcess("rabbitmq", command, self._root, environment=environment)
            stack.callback(self.process.stop)
            self.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start (again, after `process.stop()` or `process.kill()`) on the same port and data."""
        self.process.start(self._answers, timeout=120)

    def url(self, vhost: str = "/") -> str:
        """The AMQP URL of one virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{'%2F' if vhost == '/' else vhost}"

    def add_vhost(self, name: str) -> str:
        """Create a virtual host (`name`: letters, digits, hyphens) and return its URL."""
        self._evaluate(_ADD_VHOST.format(name=name))
        return self.url(name)

    def remove_vhost(self, name: str) -> None:
        """Remove a virtual host with all its queues; connections to it are closed by the server."""
        self._evaluate(_DELETE_VHOST.format(name=name))

    def _evaluate(self, erlang: str) -> None:
        """Run an expression in the node: 10 ms, where rabbitmqctl first starts an Erlang of its own."""
        command = [locate("erl_call") or "erl_call", "-e", "-n", _NODE, "-c", self._cookie, "-timeout", "30"]
        environment = {"ERL_EPMD_PORT": str(self._epmd_port)}
        answer = run_tool(command, self._root, given=erlang.encode(), environment=environment)
        if not answer.startswith((b"{ok, ok}", b"{ok,ok}")):
            raise ServerFailed(f"RabbitMQ answered {answer!r}")

    def _write_files(self) -> None:
        contents = {
            "rabbitmq.conf": _CONFIG.format(port=self.port),
            "enabled_plugins": "[].\n",
            ".erlang.cookie": self._cookie,
            "environment.conf": "",
        }
        for name, text in contents.items():
            path = self._root / name
            path.write_text(text)
            give(path, mode=0o400)  # Erlang refuses a cookie that others may read

    def _environment(self) -> dict[str, str]:
        root: Path = self._root
        return {
            # "Under systemd" makes the script replace itself by Erlang, so that our signals arrive there.
            "RUNNING_UNDER_SYSTEMD": "true",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONF_ENV_FILE": str(root / "environment.conf"),
            "RABBITMQ_CONFIG_FILE": str(root / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(root / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(root / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(root / "generated"),
            "RABBITMQ_MNESIA_BASE": str(root / "data"),
            "RABBITMQ_LOG_BASE": str(root / "log"),
            "RABBITMQ_PID_FILE": str(root / "pid"),
        }

    def _answers(self) -> bool:
        # The port opens last in the boot; a node that answers the protocol header is complete.
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as client:
                client.sendall(_HELLO)
                return client.recv(1) == b"\x01"
        except OSError:
            return False
