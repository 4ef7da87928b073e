"""`twinbox why`: whether a contact or an activity is in step with each account, why (not), and what was done to it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.activity_options import Viewer
from cli.context import AsJson, Here, InWorkspace, opened
from cli.output import console, emit_json, safe, show_rows
from core.errors import NotFound
from models.activity_queries import activity_record, find_activity
from models.activity_standing import explain_activity
from models.columns import Record
from models.contact_queries import find_contact
from models.deed_records import history_of
from models.link_queries import explain_contact
from sync.users import find_account, find_user

Name = Annotated[str, typer.Argument(metavar="RECORD", help="A contact or activity: id or its beginning, e-mail.")]

app = typer.Typer(help="Why a contact or activity is synced, or not.")


@app.command()
def why(
    record: Name,
    account: Annotated[str, typer.Option(help="Only for this account.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How much of the history.")] = 20,
    viewer: Viewer = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Show for each account whether a contact or an activity is in step with it and why, and what runs did to it.

    A private activity is explained to its owner alone (--as).
    """
    with opened(workspace) as here:
        told = _contact(here, record, account, limit) or _activity(here, record, account, limit, viewer)
    if as_json:
        emit_json(told)
        return
    one = told.get("contact") or told["activity"]
    console().print(safe(f"{told['name']} ({one[:8]})"), style="bold")
    _tell(told, "contacts" if "contact" in told else "a calendar")


def _contact(here: Here, text: str, account: str, limit: int) -> Record | None:
    with here.app.db.reading() as session:
        try:
            row = find_contact(session, here.workspace, text)
        except NotFound:
            return None
        only = find_account(session, here.workspace, account).id if account else ""
        accounts = explain_contact(session, row, account=only)
        history = history_of(session, here.workspace, row.id, limit=limit)
    return {"contact": row.id, "name": row.name, "accounts": accounts, "history": history}


def _activity(here: Here, text: str, account: str, limit: int, viewer: str) -> Record:
    with here.app.db.reading() as session:
        try:
            row = find_activity(session, here.workspace, text)
        except NotFound as error:
            advice = "`twinbox contacts list --search TEXT` and `twinbox activities list` find some."
            raise NotFound(f"no contact or activity {text[:100]!r} in this workspace", advice=advice) from error
        user = find_user(session, here.workspace, viewer).id if viewer else ""
        only = find_account(session, here.workspace, account).id if account else ""
        shown = activity_record(session, row, user)
        accounts = [] if shown["busy"] else explain_activity(session, row, account=only, viewer=user)
        history = [] if shown["busy"] else history_of(session, here.workspace, row.id, viewer=user, limit=limit)
    name = shown["title"] or "(no title)"
    return {"activity": row.id, "name": name, "busy": shown["busy"], "accounts": accounts, "history": history}


def _tell(told: Record, what: str) -> None:
    if told.get("busy"):
        console().print("It is private: its owner is told more (`--as USER`).")
        return
    for one in told["accounts"]:
        console().print(safe(f"{one['address']}: {one['state']}. {one['why']}"))
    if not told["accounts"]:
        console().print(f"No account of this workspace syncs {what}.")
    columns = {"at": "when", "what": "what", "why": "because it", "changed": "fields", "run": "run"}
    rows = [_line(deed) for deed in told["history"]]
    show_rows(rows, columns, as_json=False, empty="No run has touched it yet.")


def _line(deed: dict[str, Any]) -> dict[str, object]:
    lost = [f"{one['field']} lost {one['value']!r}" for one in deed["lost"]]
    return {
        "at": deed["at"],
        "what": deed["done"] + (" (undone)" if deed["undone_at"] else ""),
        "why": deed["why"],
        "changed": ", ".join([*deed["changes"], *lost]),
        "run": deed["run"][:8],
    }
