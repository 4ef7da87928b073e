"""`twinbox activities import|export`: activities from and to iCalendar files.
The format is `sync.icalendar_read` and `sync.icalendar_files`, the rules of importing `sync.activity_import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.activity_options import From, To, Viewer, window
from cli.context import AsJson, InWorkspace, opened
from cli.output import console, emit_json, safe
from cli.whole_files import STDIN, print_pieces, read_bytes, save_pieces
from core.errors import BadInput
from models.activity_queries import Wanted
from sync.activity_book import ADVICE
from sync.activity_import import ImportOptions, ImportReport, import_activities
from sync.icalendar_files import export_activities
from sync.icalendar_lines import MAX_BYTES
from sync.icalendar_read import is_zone, read_icalendar
from sync.users import find_user

FAILURE, PARTIAL = 1, 4
SHOWN = 20  # rejected events; --json lists all


def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="iCalendar file; - reads standard input.")],
    owner: Annotated[str, typer.Option(metavar="USER", help="Whose they are, unless another user organizes them.")],
    zone: Annotated[str, typer.Option(metavar="ZONE", help="For times that name no zone.")] = "UTC",
    show_it: Annotated[bool, typer.Option("--show/--no-show", help="Whether they belong into the calendar.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")] = False,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Import activities: a known one (same UID) is updated if the file is newer, others are added.

    Exit code: 0 all imported, 4 some were rejected, 1 nothing could be read.
    """
    if not is_zone(zone):
        raise BadInput(f"{zone[:60]!r} is no time zone", advice=ADVICE["zone"])
    with opened(workspace) as here:
        with here.app.db.reading() as session:
            user = find_user(session, here.workspace, owner).id
        options = ImportOptions(user, show_it, dry_run)
        records = read_icalendar(read_bytes(file, MAX_BYTES), zone)
        report = import_activities(here.app, here.workspace, records, options)
    _tell(options, report, as_json=as_json)
    if not report.taken:
        raise typer.Exit(FAILURE)
    if report.rejected:
        raise typer.Exit(PARTIAL)


def _tell(options: ImportOptions, report: ImportReport, *, as_json: bool) -> None:
    if as_json:
        names = ("added", "changed", "unchanged", "skipped", "rejected")
        emit_json({name: getattr(report, name) for name in names} | {"dry_run": options.dry_run})
        return
    out = console()
    start = "Nothing was written. It would be: " if options.dry_run else ""
    counts = f"{report.added} added, {report.changed} changed, {report.unchanged} unchanged"
    out.print(f"{start}{counts}, {report.skipped} not newer than here, {len(report.rejected)} rejected.")
    if not report.taken and not report.rejected:
        out.print("The file holds no events.")
    for fault in report.rejected[:SHOWN]:
        out.print(safe(f"line {fault.line}: {fault.reason}"))
    if len(report.rejected) > SHOWN:
        out.print(f"... and {len(report.rejected) - SHOWN} more: --json lists all.")


def export_file(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A new file [default: standard output].")] = None,
    start: From = "",
    end: To = "",
    owner: Annotated[str, typer.Option(metavar="USER", help="Only of this user.")] = "",
    viewer: Viewer = "",
    workspace: InWorkspace = "",
) -> None:
    """Export activities as an iCalendar file. Private ones of others are "busy"."""
    asked = window(start, end)
    with opened(workspace) as here:
        with here.app.db.reading() as session:
            users = [find_user(session, here.workspace, one).id if one else "" for one in (viewer, owner)]
        wanted = Wanted(users[0], asked, users[1])
        with here.app.db.reading() as session:
            pieces = export_activities(session, here.workspace, wanted, here.app.clock())
            if file is None or file == STDIN:
                print_pieces(pieces)
                return
            save_pieces(pieces, file)
    console().print(safe(f"Saved {file}."))
