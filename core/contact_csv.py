"""Contacts from and to CSV (RFC 4180): finds the separator and the columns by the header. Never raises on any text.
What a column means is `core.csv_columns`; how the bytes are encoded, `core.contact_file`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from core.contact import Birthday, Contact, Entry, PostalAddress, canonical
from core.contact_file import MAX_RECORDS, FileContact, FileFault, FileRecord, checked_id, too_many
from core.csv_columns import LABELS, LISTS, Column, columns_of

SEPARATORS = ",;\t"
MAX_COLUMNS = 2_000

_SEVERAL = " ::: "  # how Google puts several values with one label into one cell
_EXCEL_HINT = re.compile(r'"?sep=(.)"?\r?\n')
_ISO_DATE = re.compile(r"(?:(\d{4})|-)-(\d{1,2})-(\d{1,2})(?:[T ][\d:.]*)?")
_DOTTED_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_SLASHED_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_NO_DATE = frozenset({"", "0/0/00", "0/0/0000"})  # Outlook's way to say none
_SINGLE = tuple(item.name for item in fields(Contact) if item.name not in (*LISTS, "nicknames", "birthday"))

Cells = dict[tuple[str, str], dict[str, str]]


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A file whose header was understood. `ignored` names the columns that are not kept although they hold something;
    it is complete once `records` is exhausted."""

    records: Iterator[FileRecord]
    ignored: list[str]


def read_csv(text: str) -> CsvFile | None:
    """The contacts of a file with a header line; None when no column of it is known."""
    hint = _EXCEL_HINT.match(text)
    start = hint.end() if hint else 0
    lines = text[:start].count("\n")
    body = text[start:] if start else text
    separators = hint[1] if hint and hint[1] in SEPARATORS else SEPARATORS
    found = [(separator, _header(body, separator)) for separator in separators]
    separator, header = max(found, key=lambda one: sum(column is not None for column in columns_of(one[1])))
    columns = columns_of(header)
    if not any(columns):
        return None
    ignored: list[str] = []
    return CsvFile(_records(body, separator, header, lines, ignored), ignored)


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str] | str]]:
    """Rows with the line they begin at; the reader's complaint where there is no row to be had."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"the row cannot be read: {error}"


def _header(text: str, separator: str) -> list[str]:
    for _, row in _rows(text, separator):
        if isinstance(row, list) and any(cell.strip() for cell in row):
            return row[:MAX_COLUMNS]
        if not isinstance(row, list):
            break
    return []


def _records(text: str, separator: str, header: Sequence[str], lines: int, ignored: list[str]) -> Iterator[FileRecord]:
    columns = columns_of(header)
    found, begun = 0, False
    for number, row in _rows(text, separator):
        line = number + lines
        if isinstance(row, str):
            yield FileFault(line, row)
            continue
        if not any(cell.strip() for cell in row):
            continue
        if not begun:  # the header
            begun = True
            continue
        if found >= MAX_RECORDS:
            yield FileFault(line, too_many())
            return
        found += 1
        _note_ignored(row, header, columns, ignored)
        yield _record(line, row, columns)


def _note_ignored(row: list[str], header: Sequence[str], columns: list[Column | None], ignored: list[str]) -> None:
    for name, column, cell in zip(header, columns, row, strict=False):
        if column is None and cell.strip() and name not in ignored:
            ignored.append(name)


def _record(line: int, row: list[str], columns: list[Column | None]) -> FileRecord:
    if any(cell.strip() for cell in row[len(columns) :]):
        return FileFault(line, f"the row has {len(row)} cells, the header {len(columns)}")
    single: dict[str, str] = {}
    items: Cells = {}
    for column, cell in zip(columns, row, strict=False):
        if column is None or not cell.strip():
            continue
        if column.field in LISTS or column.field == "nicknames":
            _put(items, column, cell)
        else:
            single.setdefault(column.field, cell)
    day = _birthday(single.get("birthday", ""))
    if isinstance(day, str):
        return FileFault(line, day)
    contact = canonical(Contact(**_named(single), **_lists(items), birthday=day))
    if contact == Contact():
        return FileFault(line, "the row holds nothing that is kept")
    return FileContact(line, contact, checked_id(single.get("external_id", "")))


def _put(items: Cells, column: Column, cell: str) -> None:
    values = cell.split(_SEVERAL) if column.google and column.part != "label" else [cell]
    for count, value in enumerate(values):
        index = column.index if count == 0 else f"{column.index}.{count}"
        item = items.setdefault((column.field, index), {})
        item.setdefault(column.part, value)
        if column.label:
            item["label"] = column.label
    if column.part == "label" and column.google:
        name = cell.strip()
        item = items[column.field, column.index]
        if name.startswith("*"):  # the primary one
            item["primary"] = "yes"
            name = name.lstrip("* ")
        item["label"] = LABELS.get(name.casefold(), name)


def _named(single: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {name: text for name, text in single.items() if name in _SINGLE}
    whole = " ".join(single.get("name", "").split())
    if whole and not any(values.get(name) for name in ("given_name", "family_name", "middle_name")):
        given, _, family = whole.rpartition(" ")
        values |= {"given_name": given or family, "family_name": family if given else ""}
    return values


def _lists(items: Cells) -> dict[str, Any]:
    found: dict[str, list[Any]] = {name: [] for name in (*LISTS, "nicknames")}
    labels = {key: item.get("label", "") for key, item in items.items()}
    for (name, index), item in items.items():
        label = labels.get((name, index.partition(".")[0]), "")
        primary = bool(item.get("primary"))
        if name == "nicknames":
            found[name].append(item.get("value", ""))
        elif name == "addresses":
            found[name].append(_address(item, label, primary))
        else:
            found[name].append(Entry(item.get("value", ""), label, primary))
    return {name: tuple(_with_primary(values)) for name, values in found.items()}


def _with_primary(values: list[Any]) -> list[Any]:
    filled = [one for one in values if isinstance(one, str) or any(v for k, v in asdict(one).items() if k in _FILLED)]
    if not filled or isinstance(filled[0], str):
        return filled
    first = next((position for position, one in enumerate(filled) if one.primary), 0)
    return [replace(one, primary=position == first) for position, one in enumerate(filled)]


def _address(item: dict[str, str], label: str, primary: bool) -> PostalAddress:
    street = ", ".join(item[part].strip() for part in ("street", "street 2", "street 3") if item.get(part))
    parts = {name: item[name] for name in _ADDRESS if name in item and name != "street"}
    return PostalAddress(street=street, **parts, label=label, primary=primary)


def _birthday(text: str) -> Birthday | str | None:
    """The day, or the reason why there is none to be made out."""
    text = text.strip()
    if text in _NO_DATE:
        return None
    if not text.isascii():
        return f"{text[:40]!r} is not a birthday"
    if match := _ISO_DATE.fullmatch(text):
        year, month, day = int(match[1] or 0), int(match[2]), int(match[3])
    elif match := _DOTTED_DATE.fullmatch(text):
        day, month, year = (int(part) for part in match.groups())
    elif match := _SLASHED_DATE.fullmatch(text):
        month, day, year = (int(part) for part in match.groups())
        if month > 12:  # the British way round
            month, day = day, month
    else:
        month = day = year = 0
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return f"{text[:40]!r} is not a birthday"
    return Birthday(month, day, year)


# ---- writing ---------------------------------------------------------------------------------------------

_ADDRESS = tuple(item.name for item in fields(PostalAddress) if item.name not in ("label", "primary"))
_FILLED = frozenset({"value", *_ADDRESS})
_NAMES = {"emails": "email", "phones": "phone", "urls": "url", "addresses": "address"}


def write_csv(contacts: Sequence[tuple[str, Contact]]) -> str:
    """Contacts in normal form with their external ids as a table that `read_csv` reads back equal; the first item of
    a list is the primary one."""
    widths = {name: max((len(getattr(one, name)) for _, one in contacts), default=0) for name in (*LISTS, "nicknames")}
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(_header_row(widths))
    for external_id, contact in contacts:
        writer.writerow(_row(external_id, contact, widths))
    return out.getvalue()


def _header_row(widths: dict[str, int]) -> Iterator[str]:
    yield from ("external_id", *_SINGLE, "birthday")
    yield from (f"nickname_{number}" for number in range(1, widths["nicknames"] + 1))
    for name in LISTS:
        for number in range(1, widths[name] + 1):
            for part in _parts(name):
                yield f"{_NAMES[name]}_{number}" + (f"_{part}" if part != "value" else "")


def _parts(name: str) -> Iterable[str]:
    return (*_ADDRESS, "label") if name == "addresses" else ("value", "label")


def _row(external_id: str, contact: Contact, widths: dict[str, int]) -> Iterator[str]:
    day = contact.birthday
    yield external_id
    yield from (getattr(contact, name) for name in _SINGLE)
    yield f"{f'{day.year:04}' if day.year else '-'}-{day.month:02}-{day.day:02}" if day else ""
    yield from _filled(contact.nicknames, widths["nicknames"])
    for name in LISTS:
        items = getattr(contact, name)
        for item in items:
            yield from (getattr(item, part) for part in _parts(name))
        yield from [""] * (len(list(_parts(name))) * (widths[name] - len(items)))


def _filled(texts: Sequence[str], width: int) -> Iterator[str]:
    yield from texts
    yield from [""] * (width - len(texts))
