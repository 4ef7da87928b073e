"""`twinbox scheduler`: finds what is due and sends it to the broker."""

from __future__ import annotations

import typer

from cli.context import opened_app
from cli.health import observed
from core.errors import Misconfigured
from sync.logs import set_up_logging
from sync.worker import schedule

app = typer.Typer(help="Wake workers for what is due.", invoke_without_command=True)


@app.callback()
def run() -> None:
    """Schedule until SIGTERM; several may run, each due channel is woken once."""
    with opened_app() as opened:
        if not opened.settings.broker_url:
            raise Misconfigured(
                "a scheduler of its own needs a broker", advice="Set TWINBOX_BROKER_URL, or use `twinbox serve` alone."
            )
        set_up_logging(opened.settings.log_level)
        with observed(opened, schedules=True):
            schedule(opened)
