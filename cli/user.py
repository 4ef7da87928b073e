"""`twinbox user add|list`: the CRM users of a workspace."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.context import AsJson, InWorkspace, opened
from cli.output import show, show_rows
from models.accounts import UserRow
from sync.users import add_user, list_users

app = typer.Typer(help="CRM users.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """CRM users."""


@app.command("add")
def add(
    email: Annotated[str, typer.Argument(help="Mail address of the user.")],
    external_id: Annotated[str, typer.Option(help="The CRM's own id [default: the address].")] = "",
    name: Annotated[str, typer.Option(help="Name to show.")] = "",
    role: Annotated[str, typer.Option(help="user or admin.")] = "user",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Add a user to the workspace."""
    with opened(workspace) as here:
        user = add_user(here.app, here.workspace, email, external_id=external_id, name=name, role=role)
    show(_shown(user), as_json=as_json, text=f"Added {user.email}.")


@app.command("list")
def list_all(workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """List the users of the workspace."""
    with opened(workspace) as here, here.app.db.reading() as session:
        rows = [_shown(user) for user in list_users(session, here.workspace)]
    columns = {"email": "address", "external_id": "external id", "name": "name", "role": "role"}
    show_rows(rows, columns, as_json=as_json, empty="No users yet: `twinbox user add ADDRESS`.")


def _shown(user: UserRow) -> dict[str, object]:
    names = ("id", "external_id", "email", "name", "role", "created_at")
    return {name: getattr(user, name) for name in names}
