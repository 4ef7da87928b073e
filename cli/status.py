"""`twinbox status`: is it running, is anyone stuck, and what to do about it."""

from __future__ import annotations

import typer

from cli.context import AsJson, InWorkspace, opened
from cli.output import console, safe, show_rows
from models.queries import status_overview

app = typer.Typer(help="State of all accounts.", invoke_without_command=True)


@app.callback()
def status(workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """Show every account: state, last success, next run, messages stored. Exit code 3: an account must be relinked."""
    with opened(workspace) as here, here.app.db.reading() as session:
        rows = status_overview(session, here.workspace, here.app.clock())
    columns = {"address": "account", "channel": "channel", "state": "state", "last_outcome": "last run"}
    columns |= {"last_success_at": "last success", "next_run_at": "next run", "messages": "messages"}
    columns |= {"contacts": "contacts", "activities": "activities", "set_aside": "set aside", "decisions": "to decide"}
    show_rows(rows, columns, as_json=as_json, empty="No accounts yet: `twinbox account link --help`.")
    stuck = [row for row in rows if row["state"] == "needs_relink"]
    if not as_json:
        for row in stuck:
            console().print(safe(f"{row['address']}: {row['reason']} {row['advice']}"))
        for row in rows:
            if row["state"] == "held":
                console().print(safe(f"{row['address']} {row['channel']}: held. {row['reason']} {row['advice']}"))
            elif row["state"] == "linked" and row["last_error"]:
                told = f"{row['last_outcome']}. {row['last_error']}. {row['last_advice']}".strip()
                console().print(safe(f"{row['address']} {row['channel']}: {told}"))
    raise typer.Exit(3 if stuck else 0)
