"""The entry point `twinbox`: one table of commands, and the exit code and message of every expected failure.
What a command does is in the module of its group, loaded only when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import typer
import typer.core

from cli.output import fail
from core.errors import BadInput, NeedsRelink, TwinboxError
from sync.process import settle_in

OK, FAILURE, USAGE, RELINK, PARTIAL = 0, 1, 2, 3, 4

# Command -> the module whose `app` (a typer.Typer) it is; in the order of `twinbox --help`.
COMMANDS = {
    "demo": "cli.demo",
    "init": "cli.init",
    "migrate": "cli.migrate",
    "config": "cli.config",
    "keys": "cli.keys",
    "doctor": "cli.doctor",
    "backup": "cli.backup",
    "restore": "cli.restore",
    "user": "cli.user",
    "provider": "cli.provider",
    "account": "cli.account",
    "contacts": "cli.contacts",
    "tag": "cli.tag",
    "activities": "cli.activities",
    "settings": "cli.settings",
    "sync": "cli.sync",
    "status": "cli.status",
    "runs": "cli.runs",
    "why": "cli.why",
    "undo": "cli.undo",
    "messages": "cli.messages",
    "serve": "cli.serve",
    "worker": "cli.worker",
    "scheduler": "cli.scheduler",
}


class _Lazy(typer.core.TyperGroup):
    """Loads the module of a command when it is asked for: `twinbox user list` needs no mail parser."""

    def list_commands(self, ctx: Any) -> list[str]:  # typer's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # typer's signature
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(importlib.import_module(COMMANDS[cmd_name]).app)
        command.name = cmd_name
        return command


def build_cli() -> typer.Typer:
    """The command line as one typer application."""
    cli = typer.Typer(
        name="twinbox",
        cls=_Lazy,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,  # its tracebacks can show local variables
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    cli.callback()(_twinbox)
    return cli


def _twinbox() -> None:
    """Keep a CRM's mail, contacts and calendar in step with the mailboxes of its users.

    Settings are TWINBOX_... environment variables: `twinbox config show` lists them.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 failure, 2 wrong usage, 3 link an account again, 4 partly done."""
    if arguments is None:
        settle_in()
    command = typer.main.get_command(build_cli())
    try:
        command.main(args=list(sys.argv[1:] if arguments is None else arguments), prog_name="twinbox")
    except TwinboxError as error:
        fail(error)
        return RELINK if isinstance(error, NeedsRelink) else USAGE if isinstance(error, BadInput) else FAILURE
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else OK if end.code is None else FAILURE
    return OK


if __name__ == "__main__":
    sys.exit(main())
