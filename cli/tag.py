"""`twinbox tag list|add|rename|delete`: the tags of a workspace. Giving them to contacts is `twinbox contacts tag`."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from cli.contact_options import Owner, TagName
from cli.context import AsJson, Here, InWorkspace, opened
from cli.output import show, show_rows
from models.contact_queries import list_tags
from sync.tags import delete_tag, find_tag, make_tag, rename_tag


class Kind(enum.StrEnum):
    """Kinds of tags, as in `sync.tags`."""

    PERSONAL = "personal"
    CORPORATE = "corporate"
    PUBLIC = "public"


app = typer.Typer(help="Tags of contacts.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Tags of contacts."""


@app.command("list")
def list_all(workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """List the tags of the workspace with how many contacts bear each."""
    with opened(workspace) as here, here.app.db.reading() as session:
        rows = list_tags(session, here.workspace)
    columns = {"name": "name", "kind": "kind", "owner": "owner", "contacts": "contacts", "id": "id"}
    show_rows(rows, columns, as_json=as_json, empty="No tags yet: `twinbox tag add NAME --owner ADDRESS`.")


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the tag.")],
    kind: Annotated[Kind, typer.Option(help="personal, corporate or public.")] = Kind.PERSONAL,
    owner: Annotated[str, typer.Option(metavar="USER", help="The user a personal tag belongs to.")] = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Add a tag. Only contacts with a personal tag of an account's owner are ever synced with that account."""
    with opened(workspace) as here:
        tag = make_tag(here.app, here.workspace, name, kind=kind.value, owner=owner)
    show(tag, as_json=as_json, text=f"Added the {tag['kind']} tag {tag['name']}.")


@app.command("rename")
def rename(
    tag: TagName,
    name: Annotated[str, typer.Argument(help="The new name.")],
    owner: Owner = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Give a tag another name."""
    with opened(workspace) as here:
        record = rename_tag(here.app, here.workspace, _id(here, tag, owner), name)
    show(record, as_json=as_json, text=f"The tag is named {record['name']} now.")


@app.command("delete")
def delete(
    tag: TagName,
    owner: Owner = "",
    force: Annotated[bool, typer.Option("--force", help="Even if a linked account syncs by it.")] = False,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Delete a tag; the contacts that bear it stay."""
    with opened(workspace) as here:
        tag_id = _id(here, tag, owner)
        lost = delete_tag(here.app, here.workspace, tag_id, force=force)
    show({"tag": tag_id, "contacts": lost}, as_json=as_json, text=f"Deleted the tag; {lost} contacts lost it.")


def _id(here: Here, tag: str, owner: str) -> str:
    with here.app.db.reading() as session:
        return str(find_tag(session, here.workspace, tag, owner=owner)["id"])
