"""`twinbox migrate`: brings the database to the layout this version needs."""

from __future__ import annotations

import typer

from cli.context import AsJson, environment
from cli.output import show
from sync.app import build_app

app = typer.Typer()


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Create or upgrade the tables; stop all workers of the old version before."""
    from sync.migrate import upgrade

    here = build_app(environment())
    try:
        upgrade(here)
    finally:
        here.close()
    show({"migrated": True}, as_json=as_json, text="The database is up to date.")
