"""Takes back what runs did to contacts: an edit of the CRM side, guarded by what the run left behind.
Which deeds, and what the undo is recorded as, is `sync.undo`."""

from __future__ import annotations

from typing import Any

from core.actions import LATER, Reason
from core.contact import Contact, from_json, to_json
from core.contact_settings import ContactSettings
from core.policy import Policy
from models.contacts import ContactRow, ContactTagRow
from models.links import HistoryRow
from sync.contact_rows import Rewrite, add_tag, remove_tag, rewrite_contacts, set_deleted
from sync.phones import contact_rules
from sync.undo_journal import Journal


class ContactUndo:
    """`sync.undo.Side` for contacts."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self._session = journal, journal.session
        self._tag = ContactSettings.read(journal.channel.settings).tag
        self._policy: Policy[Contact] = contact_rules(journal.app.settings.phone_region)

    def take_back(self, row: HistoryRow) -> None:
        """Reverse one deed of the run."""
        if row.action == "update":
            self.restore(row, row.changes)
            return
        joined = row.action in ("create", "select")
        contact = self._contact(row)
        if contact is None:
            return
        deleted_since = contact.deleted_at is not None and row.reason != Reason.DELETED_IN_CRM
        if self._takes_part(contact) != joined or (not joined and deleted_since):
            self._journal.skip(row, "untag" if joined else "tag", LATER)
        elif joined:
            self._leave(row, contact)
        else:
            set_deleted(self._session, [contact.id], None)
            add_tag(self._session, self._tag, [contact.id])
            self._journal.note(row, "select", {}, contact.version, "tagged again")

    def restore(self, row: HistoryRow, changes: dict[str, list[Any]]) -> None:
        """Give the fields of a contact the values they had before, where they still have what the run wrote."""
        contact = self._contact(row)
        if contact is None:
            return
        body = to_json(from_json(contact.body))
        back = {name: pair for name, pair in changes.items() if body.get(name) == pair[1]}
        for name in changes.keys() - back.keys():
            self._journal.skip(row, name, LATER)
        if not back:
            return
        values = {**body, **{name: pair[0] for name, pair in back.items()}}
        after = self._policy.normal(from_json({name: value for name, value in values.items() if value}))
        version = contact.version + 1
        rewrite_contacts(
            self._session,
            contact.workspace_id,
            self._policy,
            [Rewrite(contact.id, after, version, max(self._journal.now, contact.modified_at))],
        )
        self._session.expire(contact)
        undone = {name: [pair[1], pair[0]] for name, pair in back.items()}
        self._journal.note(row, "update", undone, version, "restored")

    def _leave(self, row: HistoryRow, contact: ContactRow) -> None:
        """Untag; a contact that the run made and nobody has touched since goes as well."""
        remove_tag(self._session, self._tag, [contact.id])
        made_here = row.action == "create" and row.side == "local"
        if made_here and contact.version == row.version and contact.external_id is None:
            set_deleted(self._session, [contact.id], self._journal.now)
            self._session.expire(contact)
        self._journal.note(row, "deselect", {}, contact.version, "untagged")

    def _contact(self, row: HistoryRow) -> ContactRow | None:
        contact = self._session.get(ContactRow, row.local_id, populate_existing=True)
        if contact is None or contact.workspace_id != row.workspace_id:
            self._journal.skip(row, row.action, "the contact does not exist any more")
            return None
        return contact

    def _takes_part(self, contact: ContactRow) -> bool:
        tagged = self._session.get(ContactTagRow, (self._tag, contact.id), populate_existing=True) is not None
        return tagged and contact.deleted_at is None
