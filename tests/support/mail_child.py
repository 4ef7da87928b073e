"""Entry point of a child process that runs the mail channel of one account until it is done: `python -m
tests.support.mail_child DATA_DIR ACCOUNT`. Told by its parent's tests which may kill it at any moment."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import structlog

from core.types import Channel
from sync.app import build_app
from sync.mail_run import MailRun
from sync.run import run_sync
from tests.support.app_factory import make_settings


def main(folder: str, account_id: str) -> None:
    """Run slice after slice; a line per commit (messages so far), at the end the outcome and the peak memory in KB
    when the first window was stored and over all."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    # A dead worker's lease is waited for by the scheduler; here a second must do.
    app = build_app(make_settings(Path(folder), lease_seconds=1))

    early: list[int] = []

    def watch(run: MailRun) -> None:
        if run.done and not early:
            early.append(peak_memory())
        print(f"done {run.done}", flush=True)  # the protocol with the parent

    outcome = "continued"
    while outcome == "continued":
        outcome = run_sync(app, account_id, Channel.MAIL, watch=watch).outcome
    app.close()
    peak = peak_memory()
    print(f"end {outcome} {early[0] if early else peak} {peak}", flush=True)


def peak_memory() -> int:
    """The largest resident size so far, in KB (proc(5), VmHWM); getrusage(2) would tell the parent's too."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
