"""`twinbox account mail`: which mail of an account is synced, how often, and whether by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Annotated

import typer

from cli.context import AsJson, InWorkspace, opened
from cli.output import show_record
from core.errors import Misconfigured
from core.mail_settings import MailSettings
from sync.channel_settings import ChannelChange, change_mail, mail_choice
from sync.users import find_account

Patterns = Annotated[
    list[str] | None, typer.Option(metavar="PATTERN", help="May be given several times; `none` clears the list.")
]


def mail(
    account: Annotated[str, typer.Argument(help="Address of the account, or the beginning of its id.")],
    since: Annotated[str, typer.Option(metavar="DATE", help="Leave out older mail (2026-01-31); `none`: all.")] = "",
    folder: Patterns = None,
    exclude: Patterns = None,
    period: Annotated[int | None, typer.Option(metavar="SECONDS", help="Seconds between two runs.")] = None,
    auto: Annotated[bool | None, typer.Option("--auto/--no-auto", help="Run by itself, or only when asked.")] = None,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Show or change which mail of an account is synced.

    --folder names the only folders to follow, --exclude folders not to follow: patterns with * and ?, or a role such
    as \\junk or \\trash. What is stored already stays when the choice becomes smaller.
    """
    with opened(workspace) as here:
        with here.app.db.reading() as session:
            row = find_account(session, here.workspace, account)
        choice = mail_choice(here.app, here.workspace, row.id)
        chosen = _changed(choice.mail, since, folder, exclude)
        change = ChannelChange(chosen if chosen != choice.mail else None, period, auto)
        if change != ChannelChange():
            choice = change_mail(here.app, here.workspace, row.id, change)
    record: dict[str, object] = {"account": row.address, **choice.mail.to_json()}
    show_record(record | {"period_s": choice.period_s, "auto": choice.auto}, as_json=as_json)


def _changed(now: MailSettings, since: str, folder: list[str] | None, exclude: list[str] | None) -> MailSettings:
    if since:
        now = replace(now, since=None if since == "none" else _day(since))
    if folder is not None:
        now = replace(now, folders=_patterns(folder))
    if exclude is not None:
        now = replace(now, exclude=_patterns(exclude))
    return now


def _patterns(given: list[str]) -> tuple[str, ...]:
    if not all(pattern.strip() for pattern in given):
        raise Misconfigured("a folder pattern is empty", advice="Name a folder, or `none` to clear the list.")
    return () if given == ["none"] else tuple(given)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Misconfigured(f"{text!r} is not a date", advice="Write it as 2026-01-31.") from error
