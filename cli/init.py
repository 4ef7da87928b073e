"""`twinbox init`: data folder, key ring, database and default workspace, ready to use; repeating it is harmless."""

from __future__ import annotations

from pathlib import Path

import typer

from cli.context import AsJson, InWorkspace, environment
from cli.output import show
from core.errors import Misconfigured
from sync.app import App, build_app, make_data_dir
from sync.keys import keys_path, make_keys_file
from sync.users import ensure_workspace
from sync.vault import key_usage

app = typer.Typer()


@app.command()
def init(workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """Prepare this installation: data folder, encryption key, database, workspace."""
    from sync.migrate import upgrade

    settings = environment()
    make_data_dir(settings)
    path = keys_path(settings)
    fresh = not settings.keys and not path.exists()
    if fresh and settings.database_url:
        make_keys_file(settings)  # an embedded installation makes its key when the app is built
    here = build_app(settings)
    try:
        upgrade(here)
        if fresh:
            _check_nothing_sealed(here, path)
        name = workspace or settings.workspace
        answer = {
            "data_dir": settings.data_dir,
            "keys": "settings" if settings.keys else str(path),
            "keys_made": fresh,
            "workspace": name,
            "workspace_id": ensure_workspace(here, name),
        }
    finally:
        here.close()
    text = f"Ready. All state is in {settings.data_dir}. "
    if not settings.keys:
        text += f"Keep a copy of {path} in a safe place: without it stored credentials cannot be read."
    show(answer, as_json=as_json, text=text)


def _check_nothing_sealed(here: App, path: Path) -> None:
    """A key made just now cannot open what a lost one sealed: better to say so than to go on with two."""
    if key_usage(here.db):
        path.unlink()
        raise Misconfigured(
            "the database holds credentials sealed with another key",
            advice=f"Restore {path} from your backup or set TWINBOX_KEYS to the key used so far.",
        )
