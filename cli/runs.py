"""`twinbox runs list|show`: what was run, and what it did."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.context import AsJson, InWorkspace, opened
from cli.output import show_record, show_rows
from models.queries import find_run, list_runs
from sync.users import find_account

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
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Show one run with its counts and reasons."""
    with opened(workspace) as here, here.app.db.reading() as session:
        record = find_run(session, here.workspace, run)
    show_record(record, as_json=as_json)
