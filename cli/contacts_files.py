"""`twinbox contacts import|export`: contacts from and to vCard, CSV and JSON files.
Formats are `sync.contact_files`, the rules of importing `sync.contact_import`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.contact_options import Owner
from cli.context import AsJson, Here, InWorkspace, opened
from cli.output import console, emit_json, safe
from cli.whole_files import STDIN, print_pieces, read_bytes, save_pieces
from core.contact_file import MAX_BYTES
from sync.contact_files import ContactFile, ReadFormat, WriteFormat, export_contacts, open_file
from sync.contact_import import ImportOptions, ImportReport, import_contacts
from sync.tags import find_tag

FAILURE, PARTIAL = 1, 4
SHOWN = 20  # rejected records; --json lists all


def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="vCard or CSV file; - reads standard input.")],
    tag: Annotated[str, typer.Option(help="Tag all of them.")] = "",
    owner: Owner = "",
    new: Annotated[bool, typer.Option("--new", help="Add all as new ones, also those known already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")] = False,
    format: Annotated[ReadFormat, typer.Option(help="vcard, csv, or auto: look at the file.")] = ReadFormat.AUTO,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Import contacts: somebody known (same UID, or same e-mail address) is updated, others are added.

    Exit code: 0 all imported, 4 some were rejected, 1 nothing could be read.
    """
    with opened(workspace) as here:
        options = ImportOptions(_tag_id(here, tag, owner), new, dry_run)
        opened_file = open_file(read_bytes(file, MAX_BYTES), format)
        report = _watched(here, opened_file, options, quiet=as_json or not sys.stderr.isatty())
    _tell(opened_file, options, report, as_json=as_json)
    if not report.taken:
        raise typer.Exit(FAILURE)
    if report.rejected:
        raise typer.Exit(PARTIAL)


def _tag_id(here: Here, tag: str, owner: str) -> str:
    if not tag:
        return ""
    with here.app.db.reading() as session:
        return str(find_tag(session, here.workspace, tag, owner=owner)["id"])


def _watched(here: Here, file: ContactFile, options: ImportOptions, *, quiet: bool) -> ImportReport:
    columns = (SpinnerColumn(), TextColumn("{task.completed} contacts"), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task("import", total=None)
        return import_contacts(
            here.app, here.workspace, file.records, options, lambda done: bar.update(task, completed=done)
        )


def _tell(file: ContactFile, options: ImportOptions, report: ImportReport, *, as_json: bool) -> None:
    if as_json:
        answer = {name: getattr(report, name) for name in ("added", "changed", "unchanged", "rejected")}
        facts = {"format": file.format, "dry_run": options.dry_run, "ignored_columns": file.ignored}
        emit_json(answer | facts)
        return
    out = console()
    start = "Nothing was written. It would be: " if options.dry_run else ""
    counts = f"{report.added} added, {report.changed} changed, {report.unchanged} unchanged"
    out.print(f"{start}{counts}, {len(report.rejected)} rejected.")
    if not report.taken and not report.rejected:
        out.print("The file holds no contacts.")
    if file.ignored:
        out.print(safe(f"Not kept, no field for it: {', '.join(file.ignored)}."))
    for fault in report.rejected[:SHOWN]:
        out.print(safe(f"line {fault.line}: {fault.reason}"))
    if len(report.rejected) > SHOWN:
        out.print(f"... and {len(report.rejected) - SHOWN} more: --json lists all.")


def export_file(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A new file [default: standard output].")] = None,
    tag: Annotated[str, typer.Option(help="Only with this tag.")] = "",
    owner: Owner = "",
    format: Annotated[WriteFormat, typer.Option(help="vcard (4.0), vcard3, csv or json.")] = WriteFormat.VCARD,
    workspace: InWorkspace = "",
) -> None:
    """Export contacts, as vCards unless told otherwise."""
    with opened(workspace) as here:
        tag_id = _tag_id(here, tag, owner)
        with here.app.db.reading() as session:
            pieces = export_contacts(session, here.workspace, format, tag=tag_id)
            if file is None or file == STDIN:
                print_pieces(pieces)
                return
            save_pieces(pieces, file)
    console().print(safe(f"Saved {file}."))
