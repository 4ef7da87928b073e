"""The replicas the conformance suite runs on, each with nothing in it: books and calendars in memory, the CRM side on
SQLite and on PostgreSQL, and Google's double. What is expected of them is `test_replica`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from core.calendar_settings import OWN, day_begins, mark_in
from core.contact import Birthday, Contact, Entry, PostalAddress
from core.contact import canonical as canonical_contact
from core.event import Attendee, Event
from core.ports import Replica
from core.replica import Done, Failed, Item, Scope, Write
from models.contacts import TagRow
from sync.app import App
from sync.calendar_roles import CalendarAccount
from sync.calendar_set import CalendarSet
from sync.ids import new_id
from sync.local import LocalContacts
from sync.local_calendar import LocalCalendar
from tests.support.app_factory import START, Person, TestClock, make_app, make_user
from tests.support.calendar_world import ANN, WEEKLY, calendar_world, meeting
from tests.support.contact_world import POLICY, person
from tests.support.google_people import new_group_world
from tests.support.memory_calendar import Calendars, MemoryCalendar
from tests.support.memory_replica import Book, MemoryReplica

SINCE = date(2026, 1, 1)


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of one kind of record: two, one that says all there is to say, and one with as little as possible."""

    one: Any
    other: Any
    full: Any
    bare: Any
    named: Callable[[str], Any]


CONTACTS = Texts(
    person("Ada", "Lovelace", email="ada@example.com", phone="+44 20 7946 0001"),
    person("Bob", title="Builder"),
    canonical_contact(
        Contact(
            "Dr.",
            "Ada",
            "King",
            "Lovelace",
            "Jr.",
            ("Countess", "Ada B."),
            (Entry("ada@example.com", "home", True), Entry("ada@work.example", "work"), Entry("a@x.example", "my own")),
            (Entry("+44 20 7946 0001", "mobile", True), Entry("+49 30 1", "work")),
            (PostalAddress("St James's Square 12", "", "", "London", "", "SW1", "England", "GB", "home", True),),
            (Entry("https://ada.example/", "work", True),),
            "Analytical Engines",
            "Programs",
            "Programmer",
            Birthday(12, 10),
            "First line\nsecond line",
        )
    ),
    Contact(given_name="Ada"),
    person,
)
EVENTS = Texts(
    meeting("Lunch", location="Canteen"),
    meeting("Call", "2026-03-11"),
    meeting(
        "Review",
        description="First line\nsecond line",
        location="Room 1",
        recurrence=(WEEKLY, "EXDATE;TZID=Europe/Berlin:20260317T100000"),
        status="tentative",
        visibility="private",
        transparent=True,
        attendees=(
            Attendee("bob@example.org", "Bob", "accepted"),
            Attendee("cid@example.org", "Cid", optional=True),
            Attendee("room@example.org", "Room 1", resource=True),
        ),
    ),
    replace(meeting(""), attendees=()),
    meeting,
)


@dataclass(frozen=True, slots=True)
class Side:
    """A replica with nothing in it. `erase` is what only a test may do to it: have a record vanish. `grouped`: records
    take part by a tag or group, which they can leave and stay."""

    replica: Replica[Any]
    texts: Texts
    erase: Callable[[str], None]
    grouped: bool

    def make(self, body: Any, *, selected: bool = True, key: str = "a key") -> Item[Any]:
        """A new record as it is then read."""
        return self.read(self.one(Write(key, "", "", body, selected, origin=key, modified_at=START)).id)

    def one(self, write: Write[Any]) -> Item[Any]:
        """A write that succeeds."""
        [outcome] = self.replica.write([write])
        assert isinstance(outcome, Done), outcome.error
        assert outcome.key == write.key
        return outcome.item

    def fails(self, write: Write[Any]) -> Exception:
        """The error of a write that does not."""
        [outcome] = self.replica.write([write])
        assert isinstance(outcome, Failed)
        assert outcome.key == write.key
        return outcome.error

    def read(self, one: str) -> Item[Any]:
        return self.replica.get([one]).items[one]


def text(item: Item[Any]) -> Any:
    """What a record says, but for the names that a provider gives it."""
    return replace(item.body, uid="", organizer="") if isinstance(item.body, Event) else item.body


def change(item: Item[Any], body: Any = None, *, selected: bool | None = None) -> Write[Any]:
    return Write(item.id, item.id, item.stamp.version, body, selected, item.origin, START, item.extra)


# ---- contacts ----------------------------------------------------------------------------------------------


@contextmanager
def contacts_in_memory() -> Iterator[Side]:
    book = Book(TestClock())
    replica = MemoryReplica(book, Scope("", "CRM"))
    replica.make_scope("CRM")
    yield Side(replica, CONTACTS, book.delete, grouped=True)


@contextmanager
def contacts_at_google() -> Iterator[Side]:
    world, contacts, _ = new_group_world()
    yield Side(contacts, CONTACTS, world.book.delete, grouped=True)
    assert world.api.violations == []


def local_contacts(_app: App, session: Session, who: Person) -> Side:
    tag = TagRow(
        id=new_id(),
        workspace_id=who.workspace_id,
        name="CRM",
        kind="personal",
        owner_id=who.user_id,
        created_at=START,
    )
    session.add(tag)
    session.flush()
    replica = LocalContacts(session, who.workspace_id, tag.id, POLICY, START)
    return Side(replica, CONTACTS, no_erasure, grouped=True)


# ---- calendars ---------------------------------------------------------------------------------------------


@contextmanager
def calendar_in_memory() -> Iterator[Side]:
    calendars = Calendars(TestClock())

    def erase(one: str) -> None:
        calendars.cancel(ANN, one)

    yield Side(MemoryCalendar(calendars, ANN, SINCE), EVENTS, erase, grouped=False)


@contextmanager
def calendar_at_google(folder: Path) -> Iterator[Side]:
    with calendar_world(folder) as world:
        yield Side(world.calendar(since=SINCE), EVENTS, world.book().delete, grouped=False)


@contextmanager
def calendars_at_google(folder: Path) -> Iterator[Side]:
    """Two as one: what is new goes to the second of her calendars, since it was named first."""
    with calendar_world(folder) as world:
        scopes = [Scope(world.book().make_calendar("Team"), "Team"), Scope(OWN, "Ann")]
        replica = CalendarSet([(one, world.calendar(scope=one, since=SINCE)) for one in scopes], "Choose others.")

        replica.changes(None)  # only a listing tells that the calendar is hers, and what she may do there

        def erase(one: str) -> None:
            world.book().delete(one.removesuffix(mark_in(one)))

        yield Side(replica, EVENTS, erase, grouped=False)


def local_calendar(app: App, session: Session, who: Person) -> Side:
    account = CalendarAccount(who.workspace_id, new_id(), who.user_id, day_begins(SINCE))
    return Side(LocalCalendar(session, account, app.clock()), EVENTS, no_erasure, grouped=False)


# ---- all of them -------------------------------------------------------------------------------------------


@contextmanager
def in_database(folder: Path, url: str, make: Callable[[App, Session, Person], Side]) -> Iterator[Side]:
    app = make_app(folder, database_url=url)
    who = make_user(app)
    try:
        with app.db.transaction() as session:
            yield make(app, session, who)
    finally:
        app.close()


def no_erasure(_one: str) -> None:
    pytest.skip("records of the CRM do not vanish")


REMOTE = ("contacts in memory", "contacts at google", "calendar in memory", "calendar at google", "calendars at google")
LOCAL = ("contacts on sqlite", "contacts on postgresql", "calendar on sqlite", "calendar on postgresql")


def opened(name: str, folder: Path, postgres: Callable[[], str]) -> AbstractContextManager[Side]:
    """The side of that name. `postgres` makes an empty database at need, and gives its address."""
    if name in LOCAL:
        url = postgres() if name.endswith("postgresql") else ""
        return in_database(folder, url, local_contacts if name.startswith("contacts") else local_calendar)
    if name.endswith("google"):
        if name.startswith("contacts"):
            return contacts_at_google()
        return calendars_at_google(folder) if name.startswith("calendars") else calendar_at_google(folder)
    return contacts_in_memory() if name.startswith("contacts") else calendar_in_memory()
