"""Stores what a file of contacts gave: finds who is known already, fills or adds, in batches. Nothing is emptied.
Reading the file is `sync.contact_files`, joining two texts `core.contact_fill`, writing rows `sync.contact_rows`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.contact import Contact, email_key, from_json
from core.contact_file import FileContact, FileFault, FileRecord
from core.contact_fill import filled, other_person, same_name, updated
from core.errors import Transient
from models.contacts import ContactKeyRow, ContactRow
from models.db import parts
from sync.app import App
from sync.contact_book import problem_of
from sync.contact_rows import (
    MAX_INDEXED,
    NewContact,
    Rewrite,
    add_tag,
    insert_contacts,
    rewrite_contacts,
    set_deleted,
)
from sync.ids import new_id
from sync.phones import contact_rules

BATCH = 500

_ID = re.compile(r"[0-9a-f]{32}")
_COLUMNS = (ContactRow.id, ContactRow.external_id, ContactRow.body, ContactRow.version, ContactRow.deleted_at)

OnProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`tag` is the id of a tag for all that is imported, "" for none. `always_new`: nobody is looked for. `dry_run`:
    nothing is written."""

    tag: str = ""
    always_new: bool = False
    dry_run: bool = False


@dataclass(slots=True)
class ImportReport:
    """What became of the records of a file; the counts add up to their number."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: list[FileFault] = field(default_factory=list)

    @property
    def taken(self) -> int:
        """How many records were understood."""
        return self.added + self.changed + self.unchanged


@dataclass(slots=True)
class _Known:
    """A contact of the workspace, or one that this batch adds (`version` 0)."""

    id: str
    external_id: str | None
    body: Contact
    version: int
    deleted: bool = False
    dirty: bool = False


def import_contacts(
    app: App,
    workspace: str,
    records: Iterable[FileRecord],
    options: ImportOptions,
    on_progress: OnProgress = lambda _done: None,
) -> ImportReport:
    """Store the contacts of a file, 500 in a transaction; what was stored stays when a later batch fails.

    A record is somebody known if the external id is the same, else if exactly one living contact has one of its
    e-mail addresses; the former is updated, of the latter only gaps are filled. Raises Transient.
    """
    job = _Import(app, workspace, options)
    done = 0
    for batch in _batches(records):
        job.batch(batch)
        done += len(batch)
        on_progress(done)
    return job.report


def _batches(records: Iterable[FileRecord]) -> Iterator[list[FileRecord]]:
    ahead = iter(records)
    while batch := list(islice(ahead, BATCH)):
        yield batch


class _Import:
    """One import: the report, and who was met so far. `met` maps ids of contacts to whether an external id led
    there."""

    def __init__(self, app: App, workspace: str, options: ImportOptions) -> None:
        self.report = ImportReport()
        self._app, self._workspace, self._options = app, workspace, options
        self._met: dict[str, bool] = {}
        self._people = _People()

    def batch(self, records: Sequence[FileRecord]) -> None:
        contacts = [one for one in records if isinstance(one, FileContact)]
        if self._options.dry_run:
            with self._app.db.reading() as session:
                self._load(session, contacts)
            self._place_all(records)
            return
        try:
            with self._app.db.transaction() as session:
                self._people = _People()
                self._load(session, contacts)
                self._write(session, self._place_all(records))
        except IntegrityError as error:
            raise Transient(
                "somebody else added the same contacts at this moment",
                advice="Import the file again: what is stored already is found.",
            ) from error

    def _load(self, session: Session, contacts: Sequence[FileContact]) -> None:
        named = [one.external_id for one in contacts if one.external_id]
        wanted: list[ColumnElement[bool]] = [ContactRow.external_id.in_(some) for some in parts(named)]
        wanted += [ContactRow.id.in_(some) for some in parts([one for one in named if _ID.fullmatch(one)])]
        if not self._options.always_new:
            wanted += _holders(self._workspace, contacts)
        for condition in wanted:
            query = select(*_COLUMNS).where(ContactRow.workspace_id == self._workspace, condition)
            if not self._options.dry_run:  # what is compared now must not change before the commit
                query = query.order_by(ContactRow.id).with_for_update()
            for contact_id, external_id, body, version, deleted_at in session.execute(query):
                known = _Known(contact_id, external_id, from_json(body), version, deleted_at is not None)
                self._people.meet(known)

    def _place_all(self, records: Sequence[FileRecord]) -> list[_Known]:
        placed: dict[str, _Known] = {}
        for record in records:
            if isinstance(record, FileFault):
                self.report.rejected.append(record)
            elif known := self._place(record):
                placed[known.id] = known
        return list(placed.values())

    def _place(self, record: FileContact) -> _Known | None:
        problem = problem_of(record.contact)
        found = self._people.match(record, self._met) if not problem and not self._options.always_new else None
        if problem or isinstance(found, str):
            self.report.rejected.append(FileFault(record.line, problem or str(found)))
            return None
        if found is None:
            external_id = None if self._people.named(record.external_id) else record.external_id or None
            found = _Known(new_id(), external_id, record.contact, 0)
            self._people.add(found)
            self.report.added += 1
        else:
            self._join(found, record)
        self._met[found.id] = self._met.get(found.id, False) or bool(record.external_id)
        return found

    def _join(self, known: _Known, record: FileContact) -> None:
        by_id = record.external_id and record.external_id in (known.external_id, known.id)
        body = (updated if by_id else filled)(known.body, record.contact)
        if body == known.body and not known.deleted:
            self.report.unchanged += 1
            return
        self.report.changed += 1
        known.dirty = known.dirty or body != known.body
        known.body = body
        self._people.add(known)  # it may be found by more addresses now

    def _write(self, session: Session, placed: list[_Known]) -> None:
        now, rules = self._app.clock(), contact_rules(self._app.settings.phone_region)
        new = [NewContact(one.body, now, one.id, one.external_id) for one in placed if not one.version]
        insert_contacts(session, self._workspace, rules, new, now)
        texts = [Rewrite(one.id, one.body, one.version + 1, now) for one in placed if one.version and one.dirty]
        rewrite_contacts(session, self._workspace, rules, texts)
        set_deleted(session, [one.id for one in placed if one.deleted], None)
        if self._options.tag:
            add_tag(session, self._options.tag, [one.id for one in placed])


class _People:
    """Contacts that records may be about, by all that finds them."""

    def __init__(self) -> None:
        self._by_id: dict[str, _Known] = {}
        self._by_external_id: dict[str, _Known] = {}
        self._by_mail: dict[str, dict[str, _Known]] = {}
        self._by_name: dict[str, dict[str, _Known]] = {}

    def meet(self, known: _Known) -> None:
        """Add a contact as the database has it; whoever is here already stays as this import made them."""
        if known.id not in self._by_id:
            self.add(known)

    def add(self, known: _Known) -> None:
        """Make a contact findable by all it has."""
        self._by_id[known.id] = known
        if known.external_id:
            self._by_external_id[known.external_id] = known
        for key in _mails(known.body):
            self._by_mail.setdefault(key, {})[known.id] = known
        self._by_name.setdefault(known.body.name, {})[known.id] = known

    def named(self, external_id: str) -> _Known | None:
        """The contact that has this external id, or this id."""
        return self._by_external_id.get(external_id) or self._by_id.get(external_id)

    def match(self, record: FileContact, met: dict[str, bool]) -> _Known | str | None:
        """Who this is, None for somebody new, or the reason why nobody can tell."""
        if record.external_id and (known := self.named(record.external_id)):
            return known
        mails = _mails(record.contact)
        if not mails:
            alike = self._by_name.get(record.contact.name, {}).values()
            return next((one for one in alike if self._holds(one, record, met)), None)
        around = {one.id: one for key in mails for one in self._by_mail.get(key, {}).values()}
        found = [one for one in around.values() if _may_be(one, record, met)]
        if len(found) > 1:
            named = [one for one in found if one.body.name.casefold() == record.contact.name.casefold()]
            found = named if len(named) == 1 else found
        if len(found) > 1:
            return f"{len(found)} contacts have the address {record.contact.emails[0].value}: it is not clear who it is"
        return found[0] if found else None

    @staticmethod
    def _holds(known: _Known, record: FileContact, met: dict[str, bool]) -> bool:
        """Without any address to go by, only a contact that has all of the record already is the same."""
        return _may_be(known, record, met) and filled(known.body, record.contact) == known.body


def _may_be(known: _Known, record: FileContact, met: dict[str, bool]) -> bool:
    if known.deleted or (record.external_id and met.get(known.id)):
        return False  # one file gives two ids to two people
    # Two records of one file that share a mailbox are two people as soon as a name differs.
    if known.id in met:
        return same_name(known.body, record.contact)
    return not other_person(known.body, record.contact)


def _holders(workspace: str, contacts: Sequence[FileContact]) -> list[ColumnElement[bool]]:
    """Conditions for who has an address of these contacts, or the name of one that has no address."""
    conditions: list[ColumnElement[bool]] = []
    for some in parts(sorted({f"mail:{key}" for one in contacts for key in _mails(one.contact)})):
        bearing = select(ContactKeyRow.contact_id).where(
            ContactKeyRow.workspace_id == workspace, ContactKeyRow.key.in_(some)
        )
        conditions.append(ContactRow.id.in_(bearing))
    names = {one.contact.name[:MAX_INDEXED] for one in contacts if not one.contact.emails}
    return conditions + [ContactRow.name.in_(some) for some in parts(sorted(names))]


def _mails(contact: Contact) -> list[str]:
    return [email_key(entry) for entry in contact.emails]
