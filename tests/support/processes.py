"""Runs one private server as a subprocess that cannot outlive the test run, and finds its program.
How a server is configured and when it is ready is left to the module of that server."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict

import psutil
import pytest

# Debian keeps servers in sbin and PostgreSQL in a folder per version; neither is on a user's PATH.
SEARCH_PATH = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
)

# Runs as: sh -c SCRIPT <stop signal> <command...>. Standard input is a pipe that only pytest holds open.
# When pytest dies, however it dies, the subshell reads end of file, takes the process group down
# and removes the server's private folder.
_WATCHED = """
exec 3<&0 </dev/null
( read -r _ <&3
  kill -s "$0" "$$" 2>/dev/null
  n=0; while kill -0 "$$" 2>/dev/null && [ $n -lt 20 ]; do sleep 0.1; n=$((n + 1)); done
  kill -KILL "$$" 2>/dev/null
  case "${PWD##*/}" in twinbox-*) rm -rf "$PWD" ;; esac
  kill -KILL -- "-$$" ) &
exec 3<&-
exec "$@"
"""


class ServerFailed(AssertionError):
    """A server did not start or did not become ready in time; the text ends with the tail of its log."""


def locate(binary: str, *folders: str) -> str | None:
    """The path of a server program in `folders` or the system folders, or None."""
    return shutil.which(binary, path=os.pathsep.join((*folders, *SEARCH_PATH)))


def require(binary: str, package: str, *folders: str) -> str:
    """The path of `binary`. Missing: the test is skipped naming the Debian package, or fails if CI=true."""
    found = locate(binary, *folders)
    if found is not None:
        return found
    message = f"{binary} is not installed: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def service_account() -> str | None:
    """The account servers run under: None (our own), or `nobody` for root, whom most servers refuse."""
    return "nobody" if os.geteuid() == 0 else None


def account_name() -> str:
    """The name of the account that `service_account` stands for."""
    return service_account() or pwd.getpwuid(os.geteuid()).pw_name


def group_name() -> str:
    """The name of that account's primary group."""
    return grp.getgrgid(pwd.getpwnam(account_name()).pw_gid).gr_name


def give(path: Path, *, mode: int | None = None) -> None:
    """Hand a file or folder that we wrote over to the service account."""
    account = service_account()
    if account is not None:
        entry = pwd.getpwnam(account)
        os.chown(path, entry.pw_uid, entry.pw_gid)
    if mode is not None:
        path.chmod(mode)


@contextmanager
def private_directory(name: str) -> Iterator[Path]:
    """A short-named folder of the service account, gone afterwards.

    Not pytest's tmp_path: that one is closed to other accounts, and often longer than the 107 bytes
    which a Unix socket may have (unix(7)).
    """
    path = Path(tempfile.mkdtemp(prefix=f"twinbox-{name}-"))
    try:
        give(path)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def wait_until(ready: Callable[[], bool], what: str, *, timeout: float = 30.0) -> None:
    """Poll `ready` every 10 ms until it is true; ServerFailed after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            raise ServerFailed(f"{what} not seen within {timeout:g} s")
        time.sleep(0.01)


def listening(port: int) -> bool:
    """Whether something accepts TCP connections on this loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class ServerProcess:
    """One server command with its log, startable again after it was stopped or killed."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._command = tuple(command)
        self._directory = directory
        self._environment = server_environment(directory, environment or {})
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running server (of the server itself, not of a shell around it)."""
        if self._process is None:
            raise ServerFailed(f"{self.name} is not running")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the server was started and has not exited."""
        return self._process is not None and self._process.poll() is None

    def start(self, ready: Callable[[], bool], *, timeout: float = 30.0) -> None:
        """Start and wait until `ready()`; ServerFailed with the log's tail if it exits or takes longer."""
        if self._process is not None:
            raise ServerFailed(f"{self.name} is already running")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCHED, self._stop_signal.name[3:], *self._command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=self._environment,
                start_new_session=True,
                **_run_as(),
            )
        try:
            wait_until(lambda: not self.alive or ready(), f"{self.name} ready", timeout=timeout)
            if not self.alive:
                raise ServerFailed(f"{self.name} exited with status {self._process.poll()}")
        except ServerFailed as error:
            self.kill()
            raise ServerFailed(f"{error}\n{self.log_tail()}") from error

    def stop(self, *, timeout: float = 10.0) -> None:
        """Ask the server to stop, kill its whole process group after `timeout` seconds. Idempotent."""
        if self._process is None:
            return
        if self.alive:
            self._process.send_signal(self._stop_signal)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """SIGKILL the server, its process group and its watchdog, as a power cut would. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        family = _descendants(process.pid)
        # The number cannot have been re-used: we have not waited for it yet, and the watchdog is in its group.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # PostgreSQL and Erlang put children into sessions of their own.
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        wait_until(lambda: not any(map(_runs, family)), f"{self.name} gone", timeout=5)
        if process.stdin is not None:
            process.stdin.close()

    def pause(self) -> None:
        """SIGSTOP the main process only: new connections hang (children that serve old ones go on)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def log_tail(self, lines: int = 30) -> str:
        """The last lines the server wrote."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _runs(process: psutil.Process) -> bool:
    # A zombie holds no port and no memory; how soon it is reaped is up to process 1.
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def server_environment(directory: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """A clean environment: nothing of the developer's own leaks into a server (proxy, PG*, RABBITMQ_*)."""
    base = {
        "PATH": os.pathsep.join(SEARCH_PATH),
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }
    return base | dict(extra)


def run_tool(
    command: Sequence[str],
    directory: Path,
    *,
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> bytes:
    """Run a server's own tool to its end under the service account; its output. ServerFailed if it fails.

    `given` is its standard input, `timeout` in seconds (subprocess.TimeoutExpired).
    """
    done = subprocess.run(
        list(command),
        cwd=directory,
        env=server_environment(directory, environment or {}),
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
        **_run_as(),
    )
    if done.returncode != 0:
        output = done.stdout.decode(errors="replace")
        raise ServerFailed(f"{command[0]} ended with status {done.returncode}\n{output}")
    return done.stdout


class _RunAs(TypedDict, total=False):
    user: str
    group: int
    extra_groups: list[int]


def _run_as() -> _RunAs:
    account = service_account()
    if account is None:
        return {}
    return {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []}
