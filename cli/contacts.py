"""`twinbox contacts list|show|add|edit|delete|restore|tag|untag`: the contacts of the CRM.
Files are `cli.contacts_files`; the rules are `sync.contact_book` and `sync.tags`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli import contact_options as options
from cli.contact_decisions import decide_one, decisions
from cli.contact_options import ContactName, ContactNames, Owner, TagName, moment, typed_into
from cli.contacts_files import export_file, import_file
from cli.context import AsJson, Here, InWorkspace, opened
from cli.output import plain, show, show_record, show_rows
from core.contact import Contact, from_json
from models.contact_queries import contact_record, find_contact, list_contacts
from models.contacts import ContactRow
from sync.contact_book import add_contact, change_contact, delete_contact, find, restore_contact
from sync.tags import find_tag, tag_contacts, untag_contacts

app = typer.Typer(help="Contacts of the CRM.", no_args_is_help=True)

Version = Annotated[int | None, typer.Option(min=1, help="Only if the contact is still at this version.")]
ModifiedAt = Annotated[str, typer.Option(metavar="TIME", help="When the CRM changed it [default: now].")]


@app.callback()
def group() -> None:
    """Contacts of the CRM."""


@app.command("list")
def list_all(
    search: Annotated[str, typer.Option(help="Words in the name, address or organization.")] = "",
    tag: Annotated[str, typer.Option(help="Only with this tag.")] = "",
    owner: Owner = "",
    deleted: Annotated[bool, typer.Option("--deleted", help="The deleted ones.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    after: Annotated[str, typer.Option(metavar="CONTACT", help="Go on after this one.")] = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """List contacts by name."""
    with opened(workspace) as here, here.app.db.reading() as session:
        tag_id = find_tag(session, here.workspace, tag, owner=owner)["id"] if tag else ""
        last = find_contact(session, here.workspace, after).id if after else ""
        chosen: dict[str, Any] = {"search": search, "tag": tag_id, "deleted": deleted, "limit": limit, "after": last}
        rows = list_contacts(session, here.workspace, **chosen)
    columns = {"short": "id", "name": "name", "email": "e-mail", "organization": "organization", "names": "tags"}
    shown = rows if as_json else [row | {"short": row["id"][:8], "names": _tag_names(row)} for row in rows]
    nobody = "No contacts here." if search or tag or deleted or after else "No contacts yet: `twinbox contacts add`."
    show_rows(shown, columns, as_json=as_json, empty=nobody)


def _tag_names(record: Mapping[str, Any]) -> str:
    return ", ".join(tag["name"] for tag in record["tags"])


@app.command("show")
def show_one(contact: ContactName, workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """Show all that is known of a contact."""
    with opened(workspace) as here, here.app.db.reading() as session:
        record = contact_record(session, find_contact(session, here.workspace, contact))
    show_record(record if as_json else _for_people(record), as_json=as_json)


def _for_people(record: Mapping[str, Any]) -> dict[str, object]:
    shown = {name: value for name, value in record.items() if value or name == "name"}
    for name in ("emails", "phones", "urls", "addresses"):
        if name in shown:
            shown[name] = "\n".join(_item(plain(one)) for one in record[name])
    if day := record["birthday"]:
        shown["birthday"] = f"{f'{day.year:04}' if day.year else '-'}-{day.month:02}-{day.day:02}"
    return shown | ({"tags": _tag_names(record)} if record["tags"] else {})


def _item(one: Mapping[str, Any]) -> str:
    text = ", ".join(str(value) for name, value in one.items() if value and name not in ("label", "primary"))
    return f"{text} ({one['label']})" if one["label"] else text


@app.command("add")
def add(
    given_name: options.GivenName = None,
    family_name: options.FamilyName = None,
    middle_name: options.MiddleName = None,
    prefix: options.Prefix = None,
    suffix: options.Suffix = None,
    nickname: options.Nicknames = None,
    email: options.Emails = None,
    phone: options.Phones = None,
    address: options.Addresses = None,
    url: options.Urls = None,
    organization: options.Organization = None,
    department: options.Department = None,
    title: options.Title = None,
    birthday: options.Day = None,
    notes: options.Notes = None,
    external_id: Annotated[str, typer.Option(help="The CRM's own id.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="Name or id of a tag; may be repeated.")] = None,
    owner: Owner = "",
    modified_at: ModifiedAt = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Add a contact."""
    # fmt: off
    body = typed_into(Contact(), {
        "given_name": given_name, "family_name": family_name, "middle_name": middle_name, "prefix": prefix,
        "suffix": suffix, "nicknames": nickname, "emails": email, "phones": phone, "addresses": address, "urls": url,
        "organization": organization, "department": department, "title": title, "birthday": birthday, "notes": notes,
    })
    # fmt: on
    at = moment(modified_at)
    with opened(workspace) as here:
        with here.app.db.reading() as session:
            tags = [find_tag(session, here.workspace, name, owner=owner)["id"] for name in tag or ()]
        record = add_contact(here.app, here.workspace, body, external_id=external_id, tags=tags, modified_at=at)
    show(record, as_json=as_json, text=f"Added {record['name']} ({record['id'][:8]}).")


@app.command("edit")
def edit(
    contact: ContactName,
    given_name: options.GivenName = None,
    family_name: options.FamilyName = None,
    middle_name: options.MiddleName = None,
    prefix: options.Prefix = None,
    suffix: options.Suffix = None,
    nickname: options.Nicknames = None,
    email: options.Emails = None,
    phone: options.Phones = None,
    address: options.Addresses = None,
    url: options.Urls = None,
    organization: options.Organization = None,
    department: options.Department = None,
    title: options.Title = None,
    birthday: options.Day = None,
    notes: options.Notes = None,
    version: Version = None,
    modified_at: ModifiedAt = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Change fields of a contact: each option replaces its field, an empty text empties it."""
    # fmt: off
    typed = {
        "given_name": given_name, "family_name": family_name, "middle_name": middle_name, "prefix": prefix,
        "suffix": suffix, "nicknames": nickname, "emails": email, "phones": phone, "addresses": address, "urls": url,
        "organization": organization, "department": department, "title": title, "birthday": birthday, "notes": notes,
    }
    # fmt: on
    at = moment(modified_at)
    with opened(workspace) as here:
        row = find(here.app, here.workspace, contact)
        body = typed_into(from_json(row.body), typed)
        # Fields that were not typed are those of the version read here: nobody's change in between is lost.
        expect = row.version if version is None else version
        outcome = change_contact(here.app, here.workspace, row.id, body, expect=expect, modified_at=at)
    told = "Changed" if outcome.done == "changed" else "Nothing to change in"
    text = f"{told} {outcome.record['name']} (version {outcome.record['version']})."
    show(outcome.record, as_json=as_json, text=text)


@app.command("delete")
def delete(contact: ContactName, version: Version = None, workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """Delete a contact: its text and tags are kept, and it can be restored."""
    with opened(workspace) as here:
        row = find(here.app, here.workspace, contact)
        record = delete_contact(here.app, here.workspace, row.id, expect=version)
    text = f"Deleted {record['name']}. `twinbox contacts restore {row.id[:8]}` brings it back."
    show(record, as_json=as_json, text=text)


@app.command("restore")
def restore(contact: ContactName, workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """Bring a deleted contact back."""
    with opened(workspace) as here:
        row = find(here.app, here.workspace, contact, deleted=True)
        record = restore_contact(here.app, here.workspace, row.id)
    show(record, as_json=as_json, text=f"Restored {record['name']}.")


@app.command("tag")
def tag_them(
    tag: TagName, contacts: ContactNames, owner: Owner = "", workspace: InWorkspace = "", as_json: AsJson = False
) -> None:
    """Give contacts a tag."""
    with opened(workspace) as here:
        found, rows = _tag_and_contacts(here, tag, owner, contacts)
        count = tag_contacts(here.app, here.workspace, found["id"], [row.id for row in rows])
    answer = {"tag": found["id"], "contacts": [row.id for row in rows], "changed": count}
    show(answer, as_json=as_json, text=f"{_people(count)} got the tag {found['name']}.")


@app.command("untag")
def untag_them(
    tag: TagName, contacts: ContactNames, owner: Owner = "", workspace: InWorkspace = "", as_json: AsJson = False
) -> None:
    """Take a tag from contacts."""
    with opened(workspace) as here:
        found, rows = _tag_and_contacts(here, tag, owner, contacts)
        count = untag_contacts(here.app, here.workspace, found["id"], [row.id for row in rows])
    answer = {"tag": found["id"], "contacts": [row.id for row in rows], "changed": count}
    show(answer, as_json=as_json, text=f"{_people(count)} lost the tag {found['name']}.")


def _tag_and_contacts(here: Here, tag: str, owner: str, names: list[str]) -> tuple[dict[str, Any], list[ContactRow]]:
    with here.app.db.reading() as session:
        found = find_tag(session, here.workspace, tag, owner=owner)
        return found, [find_contact(session, here.workspace, name) for name in names]


def _people(count: int) -> str:
    return "1 contact" if count == 1 else f"{count} contacts"


app.command("import")(import_file)
app.command("export")(export_file)
app.command("decisions")(decisions)
app.command("decide")(decide_one)
