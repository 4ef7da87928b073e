"""A CRM user whose contacts are kept in step with Google's double: real runs, our adapter, the real client library,
in one process and without sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from core.contact import Contact
from core.ports import RemoteReplica
from core.replica import Scope
from providers.google.mapping import read_contact
from sync.app import App
from tests.support.app_factory import START, TestClock, make_app, make_user
from tests.support.contact_world import ContactWorld, make_contacts_account
from tests.support.google_people import PeopleWorld
from tests.support.memory_replica import Book


@dataclass(slots=True)
class GoogleWorld(ContactWorld):
    """As `ContactWorld`, with Google's double in place of the book in memory."""

    people: PeopleWorld = field(default_factory=PeopleWorld)

    def pass_time(self, minutes: float = 11) -> Any:
        """Time passes on both sides."""
        self.people.clock.advance(minutes * 60)
        return self.clock.advance(minutes=minutes)

    def members(self) -> dict[str, Contact]:
        """The contacts in the channel's label, by resource name."""
        return {one: self.person(one) for one in self.people.book.members(self.group)}

    def person(self, name: str) -> Contact:
        """A contact at Google, as our mapping reads it."""
        return read_contact(self.people.book.person(name))

    def add(self, *labels: str, **fields: Any) -> str:
        """A person makes a contact at Google."""
        return self.people.book.add(fields, labels)


@contextmanager
def google_world(folder: Path, **knobs: Any) -> Iterator[GoogleWorld]:
    """A world with one account and an empty address book at Google."""
    clock, people = TestClock(START), PeopleWorld()
    people.clock.set(START)
    for name, value in knobs.items():
        setattr(people.knobs, name, value)
    app = make_app(folder, clock=clock)

    def opener(_app: App, _account: str, scope: Scope) -> RemoteReplica[Contact]:
        return people.contacts(scope, now=clock)

    app = replace(app, open_contacts=opener)
    who = make_user(app)
    try:
        yield GoogleWorld(app, clock, who, make_contacts_account(app, who), Book(clock), people=people)
        assert people.api.violations == []
    finally:
        app.close()


def minutes(count: float) -> timedelta:
    """A span of time."""
    return timedelta(minutes=count)
