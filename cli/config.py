"""`twinbox config show`: every setting with its value, where secrets show only whether they are set."""

from __future__ import annotations

import typer

from cli.context import AsJson, environment
from cli.output import plain, show_rows
from core.errors import Misconfigured
from core.settings import PREFIX, Settings, options

app = typer.Typer(help="Settings of this installation.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Settings of this installation."""


@app.command("show")
def show_settings(as_json: AsJson = False) -> None:
    """Show all settings in force; secrets are masked. When one is wrong: the defaults, then what is wrong."""
    try:
        settings, problem = environment(), None
    except Misconfigured as error:
        # The list of settings is what helps most just now; the problem follows it.
        settings, problem = Settings(), error
    rows = []
    for option in options():
        value, secret = getattr(settings, option.name), bool(option.metadata["secret"])
        default = value == option.default and option.name != "data_dir"
        shown = ("***" if value else "") if secret else plain(value)
        rows.append(
            {
                "name": PREFIX + option.name.upper(),
                "value": shown,
                "default": default,
                "secret": secret,
                "help": option.metadata["help"],
            }
        )
    show_rows(rows, {"name": "setting", "value": "value", "help": "meaning"}, as_json=as_json, empty="")
    if problem is not None:
        raise problem
