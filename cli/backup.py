"""`twinbox backup FILE`: the database of an embedded installation in one file, also while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.context import AsJson, environment
from cli.output import console, safe, show
from core.errors import Misconfigured
from sync.app import build_app
from sync.keys import keys_path
from sync.logs import set_up_logging

app = typer.Typer()

_WARNING = (
    "warning: this file holds mail, contacts and the keys to every linked mailbox. Encrypt it before it leaves here."
)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to write; an existing one is never overwritten.")],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Put the key ring in: whoever has the file then has the mailboxes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the database into one file, readable by you alone. Twinbox may go on running.

    The key ring is left out unless asked for: keep a copy of it in another place. A database server is backed up with
    its own tools.
    """
    from sync.backup import write_backup

    settings = environment()
    if not settings.database_url and not (settings.data_dir / "twinbox.db").exists():
        raise Misconfigured(f"there is no database in {settings.data_dir}", advice="Check TWINBOX_DATA_DIR.")
    set_up_logging("error")
    here = build_app(settings)  # not upgraded: a backup made before an upgrade has the layout of before
    try:
        made = write_backup(here, file, with_keys=with_keys)
    finally:
        here.close()
    if with_keys:
        console(stderr=True).print(safe(_WARNING))
    text = f"Wrote {file} ({made.bytes // 1_000_000} MB, revision {made.revision})."
    if not with_keys:
        ring = "TWINBOX_KEYS" if settings.keys else keys_path(settings)
        text += f" The key ring is not in it: keep a copy of {ring} elsewhere."
    show(made, as_json=as_json, text=text)
