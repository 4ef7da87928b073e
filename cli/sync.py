"""`twinbox sync start|plan`: run a channel of an account now and watch it, or see what a run would do.
The run itself is `sync.run`; without --wait it is left to the workers of `twinbox serve`."""

from __future__ import annotations

import sys
import threading
import time
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.context import AsJson, Here, InWorkspace, opened
from cli.output import cell, console, emit_json, safe, show, show_rows
from cli.settings import named_account
from core.errors import BadInput, SkipRun, TwinboxError
from core.types import Channel
from models.accounts import AccountRow
from models.queries import find_run, list_runs
from sync.record_channels import opened_calendar, opened_contacts
from sync.records import Preview, plan_records
from sync.run import run_sync
from sync.scheduler import request_now
from sync.users import find_account

POLL_SECONDS = 0.1
OTHERS_POLL_SECONDS = 0.5
EXIT = {"ok": 0, "partial": 4, "held": 4, "needs_relink": 3}

app = typer.Typer(help="Start syncs.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Start syncs."""


@app.command("start")
def start(
    account: Annotated[str, typer.Argument(help="Address of the account, or the beginning of its id.")],
    channel: Annotated[Channel, typer.Option(help="What to sync.")] = Channel.MAIL,
    wait: Annotated[bool, typer.Option("--wait", help="Run it here and now, and show the progress.")] = False,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Sync an account now. Exit code: 0 done, 1 failed, 3 link the account again, 4 partly done."""
    with opened(workspace) as here:
        with here.app.db.reading() as session:
            row = find_account(session, here.workspace, account)
        if not wait:
            request_now(here.app, row.id, channel, lambda *_: None)
            text = f"{row.address} is due now; a running `twinbox serve` takes it up within seconds."
            show({"account": row.id, "channel": channel, "queued": True}, as_json=as_json, text=text)
            return
        run = _watched(here, row, channel, quiet=as_json or not sys.stderr.isatty())
    show(run, as_json=as_json, text=summary(row.address, run))
    raise typer.Exit(EXIT.get(str(run["outcome"]), 1))


@app.command("plan")
def plan(
    account: Annotated[str, typer.Argument(help="Address of the account, or the beginning of its id.")],
    channel: Annotated[Channel, typer.Option(help="Of what: contacts or calendar.")] = Channel.CONTACTS,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Show what a sync would do, and write nothing anywhere. Exit code 4: it would be held for a person to confirm."""
    if channel is Channel.MAIL:
        raise BadInput("mail has no plan", advice="It is only read; plans are made for contacts and calendar.")
    with opened(workspace) as here:
        row = named_account(here, account)
        made = _planned(here, row.id, channel)
    if as_json:
        emit_json({"account": row.id, "actions": made.lines, "held": made.held})
    else:
        rows = [line | {"fields": ", ".join(_fields(line))} for line in made.lines]
        columns = {"action": "would", "name": "name", "why": "because it", "fields": "fields"}
        show_rows(rows, columns, as_json=False, empty=f"{row.address}: both sides are in step, nothing to do.")
        if made.held:
            console().print(safe(f"This would be held until somebody confirms it: {made.held}"))
    raise typer.Exit(4 if made.held else 0)


def _planned(here: Here, account_id: str, channel: Channel) -> Preview:
    if channel is Channel.CONTACTS:
        with opened_contacts(here.app, account_id) as contacts:
            return plan_records(contacts)
    with opened_calendar(here.app, account_id) as calendar:
        return plan_records(calendar)


def _fields(line: dict[str, Any]) -> list[str]:
    return sorted({name for side in line["changes"].values() for name in side})


def summary(address: str, run: dict[str, Any]) -> str:
    """One or two lines that say how a run ended."""
    text = f"{address} {run['channel']}: {run['outcome']}"
    if run["counts"]:
        text += f" - {cell(run['counts'])}"
    elif run["outcome"] == "ok":
        text += " - nothing had changed"
    if run["error"]:
        text += f"\n{run['error']}"
    return text + (f"\nwhat to do: {run['advice']}" if run["advice"] else "")


class _Worker(threading.Thread):
    """Runs the channel slice by slice to its end; `failure` is what it raised, for the main thread to tell.

    A run that somebody else has in hand is waited for, and taken over when its worker dies.
    """

    def __init__(self, here: Here, account_id: str, channel: Channel) -> None:
        super().__init__(name="sync", daemon=True)
        self._here, self._account_id, self._channel = here, account_id, channel
        self.run_id = ""
        self.failure: TwinboxError | None = None
        self.bug: BaseException | None = None

    def run(self) -> None:
        try:
            while self._slice() in ("running", "continued"):
                pass
        except TwinboxError as error:
            self.failure = error
        except BaseException as error:  # noqa: BLE001  # raised again in the main thread
            self.bug = error

    def _slice(self) -> str:
        """The outcome of one slice of ours, or what has become of another worker's run."""
        try:
            report = run_sync(self._here.app, self._account_id, self._channel, trigger="manual")
        except SkipRun as error:
            self.run_id = error.run_id
            time.sleep(OTHERS_POLL_SECONDS)
            with self._here.app.db.reading() as session:
                return str(find_run(session, self._here.workspace, error.run_id)["outcome"])
        self.run_id = report.run_id
        return report.outcome


def _watched(here: Here, account: AccountRow, channel: Channel, *, quiet: bool) -> dict[str, Any]:
    worker = _Worker(here, account.id, channel)
    worker.start()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task(f"{account.address} {channel.value}", total=None)
        while worker.is_alive():
            worker.join(POLL_SECONDS)
            _show_progress(here, account, channel, bar, task)
    if worker.failure:
        raise worker.failure
    if worker.bug:
        raise worker.bug
    with here.app.db.reading() as session:
        return find_run(session, here.workspace, worker.run_id)


def _show_progress(here: Here, account: AccountRow, channel: Channel, bar: Progress, task: Any) -> None:
    with here.app.db.reading() as session:
        runs = [r for r in list_runs(session, here.workspace, account=account.id, limit=3) if r["channel"] == channel]
    for run in runs[:1]:
        phase = str(safe(run["phase"] or "..."))
        bar.update(task, completed=run["done"], total=run["total"] or None, description=phase)
