"""`twinbox serve`: everything in one process - the scheduler, the workers, and what providers call us about."""

from __future__ import annotations

from contextlib import nullcontext

import typer

from cli.context import opened_app
from cli.health import observed
from cli.output import console
from cli.receiver import receiving
from sync.logs import set_up_logging
from sync.worker import serve

app = typer.Typer(help="Run the service: scheduler and workers.", invoke_without_command=True)


@app.callback()
def run() -> None:
    """Run the service until Ctrl-C or SIGTERM: periodic syncs of all accounts, and those asked for.

    With TWINBOX_BROKER_URL more workers can share the load: `twinbox worker`. With TWINBOX_PUBLIC_URL it also takes
    Google's notices of calendar changes.
    """
    with opened_app() as opened:
        set_up_logging(opened.settings.log_level)
        notices = receiving(opened) if opened.settings.public_url else nullcontext()
        with notices, observed(opened, schedules=True):
            console(stderr=True).print("Twinbox is running; Ctrl-C stops it.")
            serve(opened)
