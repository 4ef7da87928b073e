"""Shows results as a table or as JSON, and failures as one line with advice; nothing secret passes here.
What is shown is decided by the commands."""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.errors import TwinboxError

PIPE_COLUMNS = 1_000


def console(*, stderr: bool = False) -> Console:
    """A console on the present standard output; plain text when that is no terminal."""
    terminal = sys.stdout.isatty()
    # Into a pipe or file an address must come in one piece, however wide the table gets.
    return Console(stderr=stderr, highlight=False, soft_wrap=not terminal, width=None if terminal else PIPE_COLUMNS)


def emit_json(value: object) -> None:
    """Write one JSON document to standard output; the only way `--json` answers."""
    print(orjson.dumps(plain(value), option=orjson.OPT_INDENT_2).decode())


def plain(value: object) -> Any:
    """Data of ours as JSON types. Anything unknown becomes its `str`, which for a Secret is `***`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(plain(item) for item in value)
    if isinstance(value, list | tuple):  # not every iterable: an IP network would give all its addresses
        return [plain(item) for item in value]
    return str(value)


def show(value: object, *, as_json: bool, text: str = "") -> None:
    """Answer a command that did one thing: the value as JSON, or one sentence."""
    if as_json:
        emit_json(value)
    else:
        console().print(safe(text))


def show_rows(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str], *, as_json: bool, empty: str) -> None:
    """Answer with a list: `columns` maps keys to headings for the table; JSON has every key."""
    if as_json:
        emit_json(rows)
        return
    if not rows:
        console().print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(safe(cell(row.get(key))) for key in columns))
    console().print(table)


def show_record(record: Mapping[str, object], *, as_json: bool) -> None:
    """Answer with one record, a line per value."""
    if as_json:
        emit_json(record)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in record.items():
        table.add_row(key.replace("_", " "), safe(cell(value)))
    console().print(table)


def cell(value: object) -> str:
    """A value as short text for people; times to the second, in UTC."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    value = plain(value)
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {cell(item)}" for key, item in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(cell(item) for item in value) or "-"
    return str(value)


def safe(text: str) -> Text:
    """Text from anywhere, shown as it is: no markup, and no control character reaches the terminal."""
    return Text("".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text))


def fail(error: TwinboxError) -> None:
    """Tell an expected failure on standard error, in at most two lines."""
    out = console(stderr=True)
    out.print(Text("error: ", style="red bold") + safe(_line(str(error))))
    if error.advice:
        out.print(Text("what to do: ", style="bold") + safe(_line(error.advice)))


def _line(text: str) -> str:
    return " ".join(text.split())


def read_secret_line(purpose: str) -> str:
    """The first line of standard input without its end; asked for without echo at a terminal."""
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"{purpose}: ")
    return sys.stdin.readline().rstrip("\r\n")
