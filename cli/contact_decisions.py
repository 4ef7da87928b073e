"""`twinbox contacts decisions|decide`: records that may be one of several on the other side, and a person's word on it.
Why they are asked about is `core.match`; the next run acts on the answer."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.context import AsJson, InWorkspace, opened
from cli.output import show, show_rows
from sync.deciding import decide, list_decisions


def decisions(workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """List what a person must decide: who may be who."""
    with opened(workspace) as here, here.app.db.reading() as session:
        rows = list_decisions(session, here.workspace)
    columns = {"record": "record", "name": "name", "where": "where it is", "may_be": "may be", "taken": "decided"}
    shown = rows if as_json else [_line(row) for row in rows]
    show_rows(shown, columns, as_json=as_json, empty="Nothing is to be decided.")


def decide_one(
    record: Annotated[str, typer.Argument(help="The record: its id or the beginning, or its name.")],
    choice: Annotated[str, typer.Argument(help="The id of one of its candidates, or `new`: it is none of them.")],
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Decide who a record is. The next run acts on it, and it is remembered."""
    with opened(workspace) as here:
        row = decide(here.app, here.workspace, record, choice)
    told = "somebody new" if row["choice"] == "" else str(row["choice"])
    show(row, as_json=as_json, text=f"{row['name']} is {told}; the next run acts on it.")


def _line(row: dict[str, Any]) -> dict[str, object]:
    candidates = ", ".join(f"{one['name']} ({one['id']})" for one in row["candidates"])
    taken = "" if row["choice"] is None else row["choice"] or "somebody new"
    where = "the CRM" if row["side"] == "local" else "the provider"
    return row | {"where": where, "may_be": candidates, "taken": taken}
