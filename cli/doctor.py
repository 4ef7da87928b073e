"""`twinbox doctor`: looks the installation over and says what to do; changes nothing."""

from __future__ import annotations

import typer
from rich.text import Text

from cli.context import AsJson, environment
from cli.output import console, emit_json, safe
from core.errors import Misconfigured
from sync.doctor import Finding, Level, examine
from sync.logs import set_up_logging

app = typer.Typer()

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check settings, data folder, keys, database, broker, clock, disk, schedule and accounts; change nothing.

    Exit code 1 when something keeps Twinbox from its work, else 0; warnings alone do not count.
    """
    set_up_logging("error")
    findings = list(_findings())
    if as_json:
        emit_json(findings)
    else:
        for one in findings:
            _show(one)
    raise typer.Exit(1 if any(one.level is Level.PROBLEM for one in findings) else 0)


def _findings() -> list[Finding]:
    try:
        settings = environment()
    except Misconfigured as error:
        return [Finding("settings", Level.PROBLEM, str(error), error.advice)]
    return [Finding("settings", Level.OK, "understood"), *examine(settings)]


def _show(finding: Finding) -> None:
    out = console()
    out.print(Text(f"{finding.level:8}", _STYLES[finding.level]) + safe(f" {finding.check}: {finding.text}"))
    if finding.advice:
        out.print(safe(f"{'':9}{finding.advice}"))
