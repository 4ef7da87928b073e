"""Twinbox's side of the comparisons: three functions that run inside a fresh process; only they know Twinbox.
Starting that process is left to `ours_runs.py`, its command line to `ours_child.py`, measuring to `measure.py`."""

from __future__ import annotations

import atexit
import base64
import hashlib
import ipaddress
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sync.app import App

# Import nothing of the benchmark here: it would be counted as Twinbox's time and memory.

NEWEST = 200
NOT_YET = 69  # EX_UNAVAILABLE of sysexits.h: the child's status for NotImplementedError


@dataclass(frozen=True, slots=True)
class Task:
    """What the child process shall do; passed to it as JSON.

    `accounts` are addresses, all with `password`, on an IMAP server `host`:`port` with implicit TLS whose
    authority is `ca_file`. Everything Twinbox writes belongs under `data_dir`, which exists. `warm_up` is one of
    the accounts that is synced once before the time counts; `repeat` how often the account is synced in a row.
    """

    host: str
    port: int
    ca_file: str
    password: str
    accounts: tuple[str, ...]
    data_dir: str
    workers: int = 1
    all_bytes: bool = False
    repeat: int = 1
    warm_up: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Messages held, and the bytes of mail that were fetched and stored (before compression: the size of what the
    server was asked for)."""

    messages: int
    stored_bytes: int


def _app(task: Task) -> App:
    from core.settings import Settings
    from sync.app import build_app

    loopback = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
    return build_app(
        Settings(
            data_dir=Path(task.data_dir),
            keys=f"bench:{base64.b64encode(hashlib.sha256(b'bench').digest()).decode()}",
            ca_file=Path(task.ca_file),
            allow_networks=loopback,
            worker_threads=task.workers,
            mail_attachments="background" if task.all_bytes else "on-demand",
            mail_daily_bytes=10**12,
            slice_seconds=3600,
        )
    )


def _account(app: App, address: str) -> str:
    from sqlalchemy import select

    from models.accounts import AccountRow

    with app.db.reading() as session:
        return session.scalars(select(AccountRow.id).where(AccountRow.address == address)).one()


def _stored(app: App, accounts: tuple[str, ...]) -> tuple[int, int]:
    from sqlalchemy import func, select

    from models.content import MessageRow

    mine = MessageRow.account_id.in_([_account(app, address) for address in accounts])
    with app.db.reading() as session:
        count, size = session.execute(select(func.count(), func.sum(MessageRow.have)).where(mine)).one()
    return count, size or 0


def link_accounts(task: Task) -> None:
    """Make the store in `task.data_dir` and link all accounts by password. Not measured."""
    from core.secret import Secret
    from core.types import Channel
    from sync.accounts import link_password
    from sync.migrate import upgrade
    from sync.registry import ProviderChange, save_provider
    from sync.users import add_user, ensure_workspace

    app = _app(task)
    upgrade(app)
    workspace = ensure_workspace(app, "default")
    user = add_user(app, workspace, "bench@crm.example").id
    endpoint = {"host": task.host, "port": task.port, "security": "tls"}
    save_provider(app, workspace, "bench", ProviderChange({"imap": endpoint, "smtp": endpoint}), create=True)
    for address in task.accounts:
        link_password(
            app,
            workspace_id=workspace,
            user_id=user,
            provider="bench",
            address=address,
            password=Secret(task.password),
            channels=(Channel.MAIL,),
            verify=None,
        )
    app.close()


def sync_one(task: Task, usable: Callable[[int], None]) -> None:
    """Sync the only account of `task` as one run, in this process and what it starts itself.

    Calls `usable(n)` after each commit with the number of messages that are usable by then (headers, text,
    attachment list, flags), newest first.
    """
    from core.types import Channel
    from sync.run import run_sync

    app = _open_app(task)
    report = run_sync(app, _account(app, task.accounts[0]), Channel.MAIL, watch=lambda run: usable(run.done))
    if report.outcome != "ok":
        raise RuntimeError(f"the run ended as {report}")


def stored(task: Task) -> Outcome:
    """What is held of the accounts of `task`. Not part of what is timed: it reads every message row."""
    return Outcome(*_stored(_open_app(task), task.accounts))


def sync_many(task: Task) -> Outcome:
    """Sync all accounts of `task`, `task.workers` at a time, as `twinbox worker` processes would: one per core at
    most, each with its share of the threads."""
    processes = min(task.workers, os.cpu_count() or 1)
    shards = [
        replace(task, accounts=task.accounts[i::processes], workers=-(-task.workers // processes))
        for i in range(processes)
    ]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        for outcomes in pool.map(_sync_shard, shards):
            if outcomes != {"ok"}:
                raise RuntimeError(f"runs ended as {outcomes}")
    app = _app(task)
    count, size = _stored(app, task.accounts)
    app.close()
    return Outcome(count, size)


def _sync_shard(task: Task) -> set[str]:
    from core.types import Channel
    from sync.run import run_sync

    app = _open_app(task)
    ids = [_account(app, address) for address in task.accounts]
    with ThreadPoolExecutor(task.workers) as pool:
        outcomes = {report.outcome for report in pool.map(lambda one: run_sync(app, one, Channel.MAIL), ids)}
    app.close()
    return outcomes


def _open_app(task: Task) -> App:
    """One app for all syncs of this process, as in a worker."""
    return _app_of_process(replace(task, accounts=(), warm_up="", repeat=1))


@cache
def _app_of_process(task: Task) -> App:
    from sync.process import settle_in

    app = _app(task)
    settle_in()
    app.parsers.warm()
    # A parser process counts as ours once it has been waited for.
    atexit.register(app.close)
    return app
