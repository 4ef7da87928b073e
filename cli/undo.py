"""`twinbox undo`: take back what a run did, or what a run did to one field of a contact or an activity.
What an undo may touch is decided by `sync.undo`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.context import AsJson, Here, InWorkspace, opened
from cli.output import cell, console, emit_json, safe
from cli.settings import named_account
from core.errors import BadInput
from core.types import Channel
from models.activity_queries import find_activity
from models.contact_queries import find_contact
from models.queries import find_run
from sync.run import run_sync
from sync.undo import undo_field, undo_run
from sync.undo_journal import Undone

app = typer.Typer(help="Take back what a run did.")


@app.command()
def undo(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning.")] = "",
    contact: Annotated[str, typer.Option(help="Only this contact, with --field.")] = "",
    activity: Annotated[str, typer.Option(help="Only this activity, with --field.")] = "",
    field: Annotated[str, typer.Option(help="Only this field of it, e.g. title, phones or start.")] = "",
    sync: Annotated[
        bool, typer.Option("--sync/--no-sync", help="Sync before and after, so that both sides go back.")
    ] = True,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Take back what a run changed, on both sides: `twinbox undo RUN`, or `twinbox undo --contact NAME --field title`.

    What was changed again since, or may not be written, is left as it is, and listed (exit code 4). Nothing that a
    person made is deleted at the provider; events that a run had put into a calendar are taken out, and nobody is
    mailed. An undo is a run of its own: it can be undone too.
    """
    if [bool(run), bool(contact), bool(activity)].count(True) != 1 or bool(run) == bool(field):
        raise BadInput("say what to undo", advice="Give a run, or --contact or --activity together with --field.")
    with opened(workspace) as here:
        done = _undo_run(here, run, sync) if run else _undo_field(here, contact, activity, field)
        if sync:
            _sync(here, done.account_id, Channel(done.channel))
    if as_json:
        emit_json({"run": done.run_id, "counts": done.counts, "skipped": done.skipped})
    else:
        _tell(done)
    raise typer.Exit(4 if done.skipped else 0)


def _undo_run(here: Here, run: str, sync: bool) -> Undone:
    with here.app.db.reading() as session:
        record = find_run(session, here.workspace, run)
    if record["channel"] == Channel.MAIL:
        raise BadInput("a run of mail cannot be undone", advice="Only runs of contacts and calendar can.")
    if sync:
        _sync(here, record["account"], Channel(record["channel"]))
    return undo_run(here.app, here.workspace, record["id"])


def _undo_field(here: Here, contact: str, activity: str, field: str) -> Undone:
    with here.app.db.reading() as session:
        row = (
            find_contact(session, here.workspace, contact)
            if contact
            else find_activity(session, here.workspace, activity)
        )
    return undo_field(here.app, here.workspace, row.id, field)


def _sync(here: Here, account_id: str, channel: Channel) -> None:
    named_account(here, account_id)
    report = run_sync(here.app, account_id, channel, trigger="manual")
    if report.outcome not in ("ok", "partial"):
        console(stderr=True).print(safe(f"the sync ended as {report.outcome}: {report.error} {report.advice}"))


def _tell(done: Undone) -> None:
    out = console()
    out.print(safe(f"Undone: {cell(dict(done.counts)) or 'nothing'} (run {done.run_id[:8]})."))
    for one in done.skipped:
        out.print(safe(f"left as it is: {one.name} ({one.record[:8]}), {one.what}: {one.why}"))
