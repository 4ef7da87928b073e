"""`twinbox worker`: a further process that runs jobs from the broker."""

from __future__ import annotations

import typer

from cli.context import opened_app
from cli.health import observed
from core.errors import Misconfigured
from sync.logs import set_up_logging
from sync.worker import work

app = typer.Typer(help="Run jobs from the broker.", invoke_without_command=True)


@app.callback()
def run() -> None:
    """Run jobs until SIGTERM; start as many as you like, on as many machines."""
    with opened_app() as opened:
        if not opened.settings.broker_url:
            raise Misconfigured(
                "a worker of its own needs a broker", advice="Set TWINBOX_BROKER_URL, or use `twinbox serve` alone."
            )
        set_up_logging(opened.settings.log_level)
        with observed(opened, schedules=False):
            work(opened)
