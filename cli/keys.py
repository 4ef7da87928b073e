"""`twinbox keys status|rotate`: which encryption keys are in use, and sealing everything with the first one."""

from __future__ import annotations

import typer

from cli.context import AsJson, opened_app
from cli.output import show, show_rows
from sync.vault import key_usage, rotate

app = typer.Typer(help="Encryption keys of stored credentials.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Encryption keys of stored credentials."""


@app.command("status")
def status(as_json: AsJson = False) -> None:
    """Show how many stored secrets each key opens. A key with any must stay in the key ring."""
    with opened_app() as here:
        usage, ring = key_usage(here.db), here.vault.key_ids
    names = [*ring, *(key for key in sorted(usage) if key not in ring)]
    rows = [
        {"key": name, "role": _role(name, ring), "secrets": usage.get(name, 0), "in_ring": name in ring}
        for name in names
    ]
    columns = {"key": "key", "role": "role", "secrets": "secrets"}
    show_rows(rows, columns, as_json=as_json, empty="no keys")


def _role(name: str, ring: tuple[str, ...]) -> str:
    if name not in ring:
        return "MISSING"
    return "seals" if name == ring[0] else "opens"


@app.command("rotate")
def rotate_keys(as_json: AsJson = False) -> None:
    """Seal every stored secret with the first key again. May be stopped and repeated at any time."""
    with opened_app() as here:
        changed = rotate(here.db, here.vault)
    show({"resealed": changed}, as_json=as_json, text=f"{changed} secrets were sealed with the first key.")
