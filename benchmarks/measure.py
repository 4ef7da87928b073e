"""Runs one program to its end and measures it from outside: time, CPU, memory, bytes and commands at the server.
What runs, and what the figures are compared with, is decided in `rivals.py`, `ours.py` and `cases.py`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.bed import DOMAIN, Bed

_FIRST_SAMPLES_SECONDS, _SAMPLE_SECONDS = 0.004, 0.05
_LOGIN = re.compile(rf"imap-login: Info: Login: user=<[^>]*@{DOMAIN}>.* session=<([^>]+)>")
_CLOSED = re.compile(rf"imap\([^)]*@{DOMAIN}\)<\d+><([^>]+)>: Info: .*\bin=(\d+) out=(\d+)")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. Times in seconds; `cpu` is user + system of the program and its children, `server_cpu` of Dovecot,
    `other_cpu` of everything else on the machine meanwhile (noise); `bytes_in` are IMAP bytes before TLS.

    `commands` counts IMAP commands after login, LOGOUT included. `details` is what the program itself told:
    seconds and bytes under names that `ours.Outcome` explains.
    """

    wall: float
    cpu: float
    rss_peak_bytes: int
    bytes_in: int
    messages: int
    server_cpu: float = 0.0
    other_cpu: float = 0.0
    bytes_out: int = 0
    commands: int = 0
    details: Mapping[str, float] = field(default_factory=dict)


class ProgramFailed(RuntimeError):
    """The measured program ended with an unexpected status; the text ends with what it printed last."""


def measure(bed: Bed, command: Sequence[str], *, ok: Sequence[int] = (0,)) -> Measured:
    """Run `command` once; its last line of output, if that is a JSON object, becomes `messages` and `details`.

    Raises ProgramFailed for an exit status outside `ok`.
    """
    os.sync()  # or the pages that the previous run left dirty would be written on this run's time
    log_from, commands = bed.log.stat().st_size, _commands(bed)
    server, machine = _tree_cpu(bed.server.process.pid), _machine_cpu()
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        peak = _PeakMemory(process.pid)
        peak.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        peak.stop()
        machine_after = _machine_cpu()
        output.seek(0)
        printed = output.read().decode(errors="replace")
    if process.returncode not in ok:
        raise ProgramFailed(f"{command[0]} ended with status {process.returncode}\n{printed[-3000:]}")
    received, sent = _session_bytes(bed, log_from)
    cpu, server_cpu = usage.ru_utime + usage.ru_stime, _tree_cpu(bed.server.process.pid) - server
    told = _told(printed)
    return Measured(
        wall=wall,
        cpu=cpu,
        rss_peak_bytes=peak.highest,
        bytes_in=sent,
        messages=int(told.pop("messages", 0)),
        server_cpu=server_cpu,
        other_cpu=max(0.0, machine_after - machine - cpu - server_cpu),
        bytes_out=received,
        commands=_commands(bed) - commands,
        details=told,
    )


class _PeakMemory(threading.Thread):
    """Samples the resident memory of a process and all its descendants; `highest` is the peak in bytes.

    Not ru_maxrss: that one starts at the size of the process which forked (here: of the benchmark), and
    knows single processes only. Pages shared by a tree are counted once per process, so this errs upwards.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.highest = 0
        self._pid = pid
        self._over = threading.Event()

    def run(self) -> None:
        # Closely at first: some runs last 30 ms only.
        pause = _FIRST_SAMPLES_SECONDS
        while not self._over.is_set():
            self.highest = max(self.highest, _tree_memory(self._pid))
            self._over.wait(pause)
            pause = min(_SAMPLE_SECONDS, pause * 1.1)

    def stop(self) -> None:
        self._over.set()
        self.join()


def _tree_memory(pid: int) -> int:
    total = 0
    # VmHWM of the program alone catches a peak between two samples; for a tree the sum of now is closer.
    with suppress(OSError):
        total = _status_kilobytes(pid, "VmHWM")
    pids, now = [pid], 0
    for one in pids:
        with suppress(OSError):
            now += _status_kilobytes(one, "VmRSS")
            for task in Path(f"/proc/{one}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
    return max(total, now) * 1024


def _status_kilobytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0  # a zombie has no memory


def _tree_cpu(pid: int) -> float:
    """CPU seconds of the server: the master counts the children that ended, the living count themselves."""
    master = psutil.Process(pid)
    own = master.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in master.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            total += times.user + times.system
    return total


def _machine_cpu() -> float:
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq


def _commands(bed: Bed) -> int:
    for line in bed.server.doveadm("stats", "dump").splitlines():
        fields = line.split("\t")
        if fields[:2] == ["imap_commands", "duration"]:
            return int(fields[2])
    return 0


def _session_bytes(bed: Bed, log_from: int) -> tuple[int, int]:
    """Bytes (from client, to client) of all sessions since `log_from`, after each of them was logged as closed."""
    deadline = time.monotonic() + 10
    while True:
        with bed.log.open("rb") as log:
            log.seek(log_from)
            text = log.read().decode(errors="replace")
        closed = {session: (int(got), int(gave)) for session, got, gave in _CLOSED.findall(text)}
        if set(_LOGIN.findall(text)) <= set(closed) or time.monotonic() > deadline:
            return sum(got for got, _ in closed.values()), sum(gave for _, gave in closed.values())
        time.sleep(0.02)


def _told(printed: str) -> dict[str, float]:
    last = printed.strip().rpartition("\n")[2]
    if not last.startswith("{"):
        return {}
    return {name: value for name, value in json.loads(last).items() if value is not None}
