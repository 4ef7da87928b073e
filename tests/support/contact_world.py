"""A CRM user with contacts and an address book at a provider, kept in step by real runs on a real database.
What happens on either side is the tests' choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from core.contact import Contact, Entry, canonical, from_json
from core.contact_settings import ContactSettings
from core.policy import contact_policy
from core.types import Channel
from models.accounts import AccountRow
from models.contacts import ContactRow, ContactTagRow, TagRow
from models.links import HistoryRow, LinkRow, SetAsideRow
from models.syncing import ChannelRow
from sync.account_rows import Grant, save_account
from sync.app import App
from sync.contact_rows import NewContact, add_tag, change_contact, insert_contacts, remove_tag, set_deleted
from sync.ids import new_id
from sync.phones import phone_normaliser
from sync.run import RunReport, run_sync
from tests.support.app_factory import Person, TestClock, make_app, make_user
from tests.support.memory_replica import Book, MemoryReplica

POLICY = contact_policy(phone_normaliser(""))
GROUP = "Twinbox"


def person(given: str, family: str = "", *, email: str = "", phone: str = "", **more: Any) -> Contact:
    """A contact with the usual fields."""
    values: dict[str, Any] = {
        "given_name": given,
        "family_name": family,
        "emails": (Entry(email),) if email else (),
        "phones": (Entry(phone, "mobile"),) if phone else (),
    }
    return canonical(Contact(**{**values, **more}))


def make_contacts_account(app: App, who: Person, *, subject: str = "sub-1", address: str = "ann@example.com") -> str:
    """An account with a granted contacts channel, without a provider behind it; its id."""
    grant = Grant(who.workspace_id, who.user_id, "gmail", subject, address, address, {Channel.CONTACTS: True})
    with app.db.transaction() as session:
        return save_account(session, app, grant, []).id


@dataclass(slots=True)
class ContactWorld:
    """One account between a CRM and a book."""

    app: App
    clock: TestClock
    who: Person
    account: str
    book: Book
    reports: list[RunReport] = field(default_factory=list)

    # -- runs

    def run(self) -> RunReport:
        """One run, as the scheduler would start it."""
        report = run_sync(self.app, self.account, Channel.CONTACTS)
        self.reports.append(report)
        return report

    def pass_time(self, minutes: float = 11) -> datetime:
        """Let the provider's lists settle."""
        return self.clock.advance(minutes=minutes)

    def settle(self, most: int = 4) -> None:
        """Run until nothing is left to do. Fails if that takes more than `most` runs."""
        for _ in range(most):
            self.pass_time()
            report = self.run()
            assert report.outcome in ("ok", "partial"), report
            if not report.counts:
                return
        raise AssertionError(f"still not quiet: {self.reports[-1]}")

    # -- the CRM's side

    @property
    def tag(self) -> str:
        """The id of the channel's tag; made at need, as the first run would."""
        with self.app.db.transaction() as session:
            row = session.get_one(ChannelRow, (self.account, "contacts"))
            settings = ContactSettings.read(row.settings)
            if settings.tag:
                return settings.tag
            tag = TagRow(
                id=new_id(),
                workspace_id=self.who.workspace_id,
                name=GROUP,
                kind="personal",
                owner_id=self.who.user_id,
                created_at=self.app.clock(),
            )
            session.add(tag)
            row.settings = replace(settings, tag=tag.id).to_json()
            return tag.id

    def crm_add(self, body: Contact, *, tagged: bool = True) -> str:
        """A new contact in the CRM; its id."""
        tag = self.tag
        with self.app.db.transaction() as session:
            fresh = NewContact(body, self.app.clock())
            [one] = insert_contacts(session, self.who.workspace_id, POLICY, [fresh], self.app.clock())
            if tagged:
                add_tag(session, tag, [one])
        return one

    def crm_fill(self, bodies: Sequence[Contact]) -> list[str]:
        """Many new contacts with the tag at once; their ids."""
        tag = self.tag
        with self.app.db.transaction() as session:
            fresh = [NewContact(body, self.app.clock()) for body in bodies]
            ids = insert_contacts(session, self.who.workspace_id, POLICY, fresh, self.app.clock())
            add_tag(session, tag, ids)
        return ids

    def crm_edit(self, one: str, **values: Any) -> None:
        """Change fields of a contact."""
        row = self.row(one)
        body = replace(from_json(row.body), **values)
        with self.app.db.transaction() as session:
            assert change_contact(
                session,
                self.who.workspace_id,
                POLICY,
                one,
                body,
                expect=row.version,
                modified_at=self.app.clock(),
            )

    def crm_tag(self, *ids: str) -> None:
        tag = self.tag_now()
        with self.app.db.transaction() as session:
            add_tag(session, tag, ids)

    def crm_untag(self, *ids: str) -> None:
        tag = self.tag_now()
        with self.app.db.transaction() as session:
            remove_tag(session, tag, ids)

    def tag_now(self) -> str:
        with self.app.db.reading() as session:
            row = session.get_one(ChannelRow, (self.account, "contacts"))
            return ContactSettings.read(row.settings).tag

    def crm_delete(self, one: str) -> None:
        with self.app.db.transaction() as session:
            set_deleted(session, [one], self.app.clock())

    def crm_restore(self, one: str) -> None:
        with self.app.db.transaction() as session:
            set_deleted(session, [one], None)

    def row(self, one: str) -> ContactRow:
        with self.app.db.reading() as session:
            return session.get_one(ContactRow, one)

    def contact(self, one: str) -> Contact:
        return from_json(self.row(one).body)

    def contacts(self) -> dict[str, Contact]:
        """All contacts of the CRM that are not deleted, by id."""
        with self.app.db.reading() as session:
            rows = session.scalars(select(ContactRow).where(ContactRow.deleted_at.is_(None)))
            return {row.id: from_json(row.body) for row in rows}

    def tagged(self) -> dict[str, Contact]:
        """The contacts with the channel's tag, by id."""
        tag = self.tag_now()
        with self.app.db.reading() as session:
            query = select(ContactTagRow.contact_id).where(ContactTagRow.tag_id == tag)
            ids = set(session.scalars(query))
        return {one: body for one, body in self.contacts().items() if one in ids}

    # -- the provider's side

    @property
    def group(self) -> str:
        """The id of the channel's group; "" before the first run."""
        with self.app.db.reading() as session:
            row = session.get_one(ChannelRow, (self.account, "contacts"))
            return ContactSettings.read(row.settings).group_id

    def members(self) -> dict[str, Contact]:
        """The contacts in the channel's group, by id."""
        group = self.group
        return {one: card.body for one, card in self.book.cards.items() if group in card.groups}

    # -- between them

    def links(self) -> dict[str, str]:
        """Contact id -> remote id of the pairs that take part."""
        with self.app.db.reading() as session:
            rows = session.scalars(select(LinkRow).where(LinkRow.account_id == self.account, LinkRow.active.is_(True)))
            return {row.local_id: row.remote_id for row in rows}

    def remote_of(self, one: str) -> str:
        """The remote id of a linked contact."""
        return self.links()[one]

    def unread(self) -> bool:
        """Whether a record waits to be read again."""
        with self.app.db.reading() as session:
            return session.scalar(select(SetAsideRow.record_id).where(SetAsideRow.attempts == 0).limit(1)) is not None

    def history(self, one: str = "") -> Sequence[HistoryRow]:
        with self.app.db.reading() as session:
            query = select(HistoryRow).order_by(HistoryRow.id)
            return session.scalars(query.where(HistoryRow.local_id == one) if one else query).all()

    def channel(self) -> ChannelRow:
        with self.app.db.reading() as session:
            return session.get_one(ChannelRow, (self.account, "contacts"))

    def account_row(self) -> AccountRow:
        with self.app.db.reading() as session:
            return session.get_one(AccountRow, self.account)

    def approve(self) -> None:
        """A person confirms what is held."""
        with self.app.db.transaction() as session:
            held = session.get_one(ChannelRow, (self.account, "contacts")).held
            assert held is not None
            session.execute(
                update(ChannelRow)
                .where(ChannelRow.account_id == self.account, ChannelRow.channel == "contacts")
                .values(held={**held, "approved": True})
            )


@contextmanager
def contact_world(folder: Path, **options: object) -> Iterator[ContactWorld]:
    """A world with one account and an empty book."""
    clock = TestClock()
    app = make_app(folder, clock=clock, **options)
    book = Book(clock)
    app = replace(app, open_contacts=lambda _app, _account, scope: MemoryReplica(book, scope))
    who = make_user(app)
    try:
        yield ContactWorld(app, clock, who, make_contacts_account(app, who), book)
    finally:
        app.close()
