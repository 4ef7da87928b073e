"""`twinbox runs list|show|confirm|discard`: what was run, what it did, and a person's word on what is held."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.activity_options import Viewer
from cli.context import AsJson, Here, InWorkspace, opened
from cli.output import show, show_record, show_rows
from core.errors import Conflict
from core.types import Channel
from models.deed_records import run_deeds
from models.link_queries import held_of_run
from models.queries import find_run, list_runs
from sync.held import confirm_held, discard_held
from sync.users import find_account, find_user

HeldRun = Annotated[str, typer.Argument(help="The run that is held.")]

_ABOUT = {"contacts": "contact", "calendar": "event"}

app = typer.Typer(help="Runs.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Runs and their outcome."""


@app.command("list")
def list_all(
    account: Annotated[str, typer.Option(help="Only runs of this account.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    with opened(workspace) as here, here.app.db.reading() as session:
        account_id = find_account(session, here.workspace, account).id if account else ""
        rows = list_runs(session, here.workspace, account=account_id, limit=limit)
    columns = {"id": "run", "channel": "channel", "trigger": "trigger", "outcome": "outcome", "counts": "counts"}
    columns |= {"started_at": "started", "error": "error"}
    shown = rows if as_json else [row | {"id": row["id"][:8]} for row in rows]
    show_rows(shown, columns, as_json=as_json, empty="No runs yet: `twinbox sync start ACCOUNT --wait`.")


@app.command("show")
def show_one(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning.")],
    viewer: Viewer = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Show one run with its counts and reasons. What it did to private events of others is left blank."""
    with opened(workspace) as here, here.app.db.reading() as session:
        record = find_run(session, here.workspace, run)
        user = find_user(session, here.workspace, viewer).id if viewer else ""
        deeds = run_deeds(session, here.workspace, record["id"], viewer=user)
        held = held_of_run(session, here.workspace, record["id"])
    if as_json:
        show_record(record | {"deeds": deeds, "held": held}, as_json=True)
        return
    show_record(record, as_json=False)
    about = _ABOUT.get(record["channel"], "record")
    if deeds:
        columns = {
            "name": _ABOUT.get(record["channel"], "record"),
            "done": "what",
            "why": "because it",
            "fields": "fields",
        }
        show_rows([_deed(deed) for deed in deeds], columns, as_json=False, empty="")
    if held and held["lines"]:
        columns = {"action": "would", "name": about, "why": "because it"}
        show_rows(held["lines"], columns, as_json=False, empty="")


def _deed(deed: dict[str, Any]) -> dict[str, object]:
    return deed | {"fields": ", ".join(deed["changes"])}


@app.command("confirm")
def confirm(
    run: Annotated[str, typer.Argument(help="The run that is held.")],
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Let the next run do what a held run has listed."""
    with opened(workspace) as here:
        record = _held_run(here, run)
        held = confirm_held(here.app, here.workspace, record["account"], Channel(record["channel"]))
    text = f"Confirmed: {held['text']}. `twinbox sync start ACCOUNT --channel {record['channel']} --wait` does it now."
    show(held, as_json=as_json, text=text)


@app.command("discard")
def discard(
    run: Annotated[str, typer.Argument(help="The run that is held.")],
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Do not do what a held run has listed. The channel then waits until it is started by hand."""
    with opened(workspace) as here:
        record = _held_run(here, run)
        held = discard_held(here.app, here.workspace, record["account"], Channel(record["channel"]))
    text = "Discarded: nothing was written. Mend the cause, then start the sync by hand."
    show(held, as_json=as_json, text=text)


def _held_run(here: Here, run: str) -> dict[str, Any]:
    with here.app.db.reading() as session:
        record = find_run(session, here.workspace, run)
        if held_of_run(session, here.workspace, record["id"]) is None:
            raise Conflict(
                "this run is not what is held now", advice="`twinbox runs list` shows the latest run of each channel."
            )
    return record
