"""`twinbox restore FILE`: checks a backup and puts it in place; what was there is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.context import AsJson, environment
from cli.output import show
from sync.app import utc_now
from sync.logs import set_up_logging

app = typer.Typer()


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="File that `twinbox backup` wrote.")],
    check: Annotated[bool, typer.Option("--check", help="Only say whether it could be restored.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="There is a database: keep it under another name and take its place.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a backup from beginning to end, then put it in place. Stop all processes of Twinbox before.

    Refused are a damaged file, one of a newer version, one whose secrets no key at hand opens, and, without
    --replace, to take the place of a database. What came since the backup is fetched again.
    """
    from sync.restore import check_backup
    from sync.restore import restore as put_in_place

    set_up_logging("error")
    settings = environment()
    if check:
        found = check_backup(settings, file)
        text = (
            f"{file} is whole: revision {found.manifest.revision}, of {found.manifest.created_at:%Y-%m-%d %H:%M} UTC. "
        )
        text += _of_keys(found.secrets, found.unopened, found.keys_from)
        show(found, as_json=as_json, text=text)
        raise typer.Exit(1 if found.secrets and (found.unopened or not found.keys_from) else 0)
    done = put_in_place(settings, file, replace=replace, clock=utc_now)
    text = f"Restored what there was at {done.manifest.created_at:%Y-%m-%d %H:%M} UTC."
    if done.set_aside is not None:
        text += f" The former database is {done.set_aside}: erase it when you no longer need it."
    show(done, as_json=as_json, text=text)


def _of_keys(secrets: int, unopened: int, source: str) -> str:
    if not source:
        return f"There is no key at hand that could open its {secrets} secrets."
    return f"Keys from {source} open {secrets - unopened} of its {secrets} secrets."
