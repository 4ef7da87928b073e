"""`twinbox serve`: everything in one process - the scheduler and the workers."""

from __future__ import annotations

import typer

from cli.context import opened_app
from cli.output import console
from sync.logs import set_up_logging
from sync.worker import serve

app = typer.Typer(help="Run the service: scheduler and workers.", invoke_without_command=True)


@app.callback()
def run() -> None:
    """Run the service until Ctrl-C or SIGTERM: periodic syncs of all accounts, and those asked for.

    With TWINBOX_BROKER_URL more workers can share the load: `twinbox worker`.
    """
    with opened_app() as opened:
        set_up_logging(opened.settings.log_level)
        console(stderr=True).print("Twinbox is running; Ctrl-C stops it.")
        serve(opened)
