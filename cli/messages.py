"""`twinbox messages list|show`: the stored mail, its text, its bytes and attachments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.context import AsJson, Here, InWorkspace, opened
from cli.output import console, emit_json, safe, show_record, show_rows
from core.addresses import address_key
from core.errors import Misconfigured
from models.queries import find_message, list_messages, list_set_aside, message_record
from sync.mail_bytes import read_text
from sync.mail_fetch import attached_file, whole_message
from sync.users import find_account

_NAME_BYTES, _SUFFIX_BYTES = 200, 20

app = typer.Typer(help="Stored mail.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Stored mail."""


@app.command("list")
def list_all(
    account: Annotated[str, typer.Option(help="Only mail of this account.")] = "",
    address: Annotated[str, typer.Option(help="Only mail from or to this address.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """List messages, newest first."""
    with opened(workspace) as here, here.app.db.reading() as session:
        account_id = find_account(session, here.workspace, account).id if account else ""
        key = address_key(address) if address else ""
        rows = list_messages(session, here.workspace, account=account_id, address=key, limit=limit)
    columns = {"id": "id", "received_at": "received", "from": "from", "subject": "subject", "where": "where"}
    shown = rows if as_json else [row | {"where": _where(row)} for row in rows]
    show_rows(shown, columns, as_json=as_json, empty="No messages yet: `twinbox sync start ACCOUNT --wait`.")


def _where(row: dict[str, object]) -> str:
    places = row["places"]
    if not isinstance(places, list) or not places:
        return "gone from mailbox" if row["gone_since"] else "-"
    return ", ".join(
        str(place["mailbox"]) + (f" [{', '.join(place['labels'])}]" if place["labels"] else "") for place in places
    )


@app.command("aside")
def list_aside(
    account: Annotated[str, typer.Option(help="Only of this account.")] = "",
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """List messages the server would not give: why, and when they are tried again."""
    with opened(workspace) as here, here.app.db.reading() as session:
        account_id = find_account(session, here.workspace, account).id if account else ""
        rows = list_set_aside(session, here.workspace, account=account_id)
    columns = {"account": "account", "mailbox": "folder", "uid": "UID", "reason": "reason", "attempts": "tries"}
    columns |= {"next_try_at": "next try"}
    show_rows(rows, columns, as_json=as_json, empty="Nothing is set aside.")


@app.command("show")
def show_one(
    message: Annotated[str, typer.Argument(help="The message's number, or its Message-ID.")],
    raw: Annotated[bool, typer.Option("--raw", help="Write the whole message to standard output.")] = False,
    attachment: Annotated[str, typer.Option(help="Save the attachment with this section number.")] = "",
    out: Annotated[Path | None, typer.Option(help="File or folder to save it to.")] = None,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Show one message with its text; bytes that are not stored yet are fetched from the mailbox."""
    with opened(workspace) as here:
        with here.app.db.reading() as session:
            row = find_message(session, here.workspace, message)
            record = message_record(session, row)
            text = read_text(session, row.id)
        if raw:
            sys.stdout.buffer.write(whole_message(here.app, row.id))
        elif attachment:
            _save(here, row.id, attachment, out)
        elif as_json:
            emit_json(record | {"text": text})
        else:
            show_record(record | {"places": _where(record)}, as_json=False)
            console().print()
            console().print(safe(text))


def file_name(given: str) -> str:
    """A name for a new file in the folder at hand, from the one a sender chose: its last component (of Unix and
    Windows paths), without control characters, not hidden, short enough for any file system."""
    last = given.replace("\\", "/").rpartition("/")[2]
    shown = "".join(char for char in last if char.isprintable()).strip(" .")
    stem, dot, suffix = shown.rpartition(".")
    ending = dot + suffix if stem and len(suffix.encode()) <= _SUFFIX_BYTES else ""
    begin = (stem if ending else shown).encode()[: _NAME_BYTES - len(ending.encode())].decode("utf-8", "ignore")
    return begin + ending or "attachment"


def _unwritable(target: Path, error: OSError) -> Misconfigured:
    return Misconfigured(f"cannot write {target}: {error.strerror}", advice="Name another place with --out.")


def _save(here: Here, message_id: int, section: str, out: Path | None) -> None:
    found = attached_file(here.app, message_id, section)
    target = out or Path()
    if target.is_dir():
        target /= file_name(found.filename)
    try:
        file = target.open("xb")  # an existing file is never overwritten
    except FileExistsError as error:
        raise Misconfigured(f"{target} exists already", advice="Name another file with --out.") from error
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        with file:
            file.write(found.data)
    except OSError as error:
        target.unlink()  # half a file would pass for the whole one
        raise _unwritable(target, error) from error
    console().print(safe(f"Saved {target} ({len(found.data)} bytes, {found.content_type})."))
