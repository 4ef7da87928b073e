"""`twinbox why`: whether a contact is in step with each account, why (not), and what was done to it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.contact_options import ContactName
from cli.context import AsJson, InWorkspace, opened
from cli.output import console, emit_json, safe, show_rows
from models.contact_queries import find_contact
from models.link_queries import contact_history, explain_contact
from sync.users import find_account

app = typer.Typer(help="Why a contact is synced, or not.")


@app.command()
def why(
    contact: ContactName,
    account: Annotated[str, typer.Option(help="Only for this account.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How much of the history.")] = 20,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Show for each account whether a contact is in step with it and why, and what runs did to the contact."""
    with opened(workspace) as here, here.app.db.reading() as session:
        row = find_contact(session, here.workspace, contact)
        account_id = find_account(session, here.workspace, account).id if account else ""
        standing = explain_contact(session, row, account=account_id)
        history = contact_history(session, here.workspace, row.id, limit=limit)
    if as_json:
        emit_json({"contact": row.id, "name": row.name, "accounts": standing, "history": history})
        return
    out = console()
    out.print(safe(f"{row.name} ({row.id[:8]})"), style="bold")
    for one in standing:
        out.print(safe(f"{one['address']}: {one['state']}. {one['why']}"))
    if not standing:
        out.print("No account of this workspace syncs contacts.")
    columns = {"at": "when", "what": "what", "why": "because it", "changed": "fields", "run": "run"}
    show_rows([_line(deed) for deed in history], columns, as_json=False, empty="No run has touched it yet.")


def _line(deed: dict[str, Any]) -> dict[str, object]:
    where = "in the CRM" if deed["side"] == "local" else "at the provider"
    lost = [f"{one['field']} lost {one['value']!r}" for one in deed["lost"]]
    return {
        "at": deed["at"],
        "what": f"{deed['action']} {where}" + (" (undone)" if deed["undone_at"] else ""),
        "why": deed["why"],
        "changed": ", ".join([*deed["changes"], *lost]),
        "run": deed["run"][:8],
    }
