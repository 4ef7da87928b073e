"""What every command starts from: settings of the environment, an open app, the workspace it works in.
The only place of the command line that reads `os.environ`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import platformdirs
import typer

from core.errors import Misconfigured
from core.settings import Settings, load_settings
from sync.app import App, build_app
from sync.logs import set_up_logging
from sync.users import ensure_workspace, workspace_id

AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
InWorkspace = Annotated[
    str, typer.Option("--workspace", metavar="NAME", help="Workspace to work in [default: TWINBOX_WORKSPACE].")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@dataclass(frozen=True, slots=True)
class Here:
    """An open app and the id of the workspace a command works in."""

    app: App
    workspace: str


def environment() -> Settings:
    """The settings of this process. Raises Misconfigured with every problem at once."""
    return load_settings(os.environ, default_data_dir=_default_data_dir())


def _default_data_dir() -> Path:
    if os.environ.get("TWINBOX_DATA_DIR"):
        return Path()  # not needed; a user without a home folder, as in a container, has none to offer
    try:
        return Path(platformdirs.user_data_dir("twinbox", appauthor=False))
    except RuntimeError as error:
        raise Misconfigured("this user has no home folder", advice="Set TWINBOX_DATA_DIR.") from error


@contextmanager
def opened(workspace: str = "") -> Iterator[Here]:
    """Open the app for one command and close it afterwards; `workspace` is a name, "" the default one.

    An embedded installation (SQLite) is created and upgraded on the way, a database server only by
    `twinbox migrate`. Raises Misconfigured, NotFound for a workspace that does not exist.
    """
    with opened_app() as app:
        name = workspace or app.settings.workspace
        if name == app.settings.workspace:
            yield Here(app, ensure_workspace(app, name))
        else:
            with app.db.reading() as session:
                found = workspace_id(session, name)
            yield Here(app, found)


@contextmanager
def opened_app() -> Iterator[App]:
    """The app alone, its embedded database up to date."""
    settings = environment()
    # A command answers on standard output; what only the log should hear stays out of it.
    set_up_logging(settings.log_level if settings.log_level in ("debug", "error") else "warning")
    app = build_app(settings)
    try:
        if app.embedded:
            from sync.migrate import upgrade

            upgrade(app)
        yield app
    finally:
        app.close()
