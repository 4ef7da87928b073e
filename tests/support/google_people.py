"""A world with one Google address book and our adapter to it, in this process: no socket, no waiting.
Faults are those of `sandbox.faults`; the double itself is `sandbox.google`."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from core.contact import Contact
from core.replica import Delta, Done, Failed, Item, Scope, Write
from providers.google.client import PeopleClient
from providers.google.contacts import GoogleContacts
from sandbox.clock import SandboxClock
from sandbox.faults import Faults
from sandbox.google import Book, InProcessHttp, PeopleApi, PeopleKnobs, access_token
from sandbox.google.store import Store
from tests.support.app_factory import START
from tests.support.google_http import GoogleHttp

ANN = "ann@example.com"
GROUP = "CRM"
CREATE = "POST /v1/people:batchCreateContacts"
UPDATE = "POST /v1/people:batchUpdateContacts"
LIST = "GET /v1/people/me/connections"
GET = "GET /v1/people:batchGet"
GROUPS = "GET /v1/contactGroups"
MODIFY = "POST /v1/contactGroups/*"


@dataclass
class PeopleWorld:
    """Ann's address book as she sees it (`book`), and ways to look at it as our service does."""

    seed: int = 0
    knobs: PeopleKnobs = field(default_factory=PeopleKnobs)
    clock: SandboxClock = field(default_factory=lambda: SandboxClock(START))
    waited: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = Store(self.clock.now, random.Random(self.seed))
        self.store.users.add(ANN, "Ann")
        self.api = PeopleApi(self.store, self.clock.now, self.seed)
        self.api.knobs = self.knobs
        self.faults = Faults()
        self.http = GoogleHttp(InProcessHttp(self.api, self._token, self.faults), self.clock.now)
        self.book: Book = self.api.book(ANN)

    def contacts(self, scope: Scope | None = None, *, now: Callable[[], Any] | None = None) -> GoogleContacts:
        """Our adapter, as a run opens it; by default the group is known by name only."""
        client = PeopleClient(self.http, now=now or self.clock.now)
        return GoogleContacts(client, scope or Scope("", GROUP), wait=self.wait)

    def wait(self, seconds: float) -> None:
        """A pause: time passes, nobody waits."""
        self.waited.append(seconds)
        self.clock.advance(seconds)

    @contextmanager
    def counted(self) -> Iterator[Counter[str]]:
        """What is called within the block, by operation."""
        before, calls = Counter(self.api.calls), Counter[str]()
        yield calls
        calls.update(self.api.calls - before)

    def fail_after_a_page(self, *, status: int) -> None:
        """After the first page of a listing Google fails; `faults.clear` ends that."""
        pages = iter(range(1_000))

        def fail(operation: str, _user: str) -> None:
            if operation == "connections.list" and next(pages) == 0:
                self.faults.next(LIST, times=None, status=status, json={"error": {"code": status}})

        self.knobs.on_call = fail

    def _token(self) -> str:
        # Google's tokens last an hour, the stories of tests go on for weeks; renewal has tests of its own.
        return access_token(self.store, ANN)


def new_group_world(**knobs: Any) -> tuple[PeopleWorld, GoogleContacts, Scope]:
    """A world in which the group was made, and an adapter that knows it."""
    world = PeopleWorld(knobs=PeopleKnobs(**knobs))
    contacts = world.contacts()
    scope = contacts.make_scope(GROUP)
    return world, contacts, scope


def creation(key: str, body: Contact, *, selected: bool = True) -> Write[Contact]:
    """A contact to be made; its origin is its key."""
    return Write(key, "", "", body, selected, origin=key)


def rewrite(item: Item[Contact], body: Contact | None, *, selected: bool | None = None) -> Write[Contact]:
    """A change of a contact as it was read; its key is its id."""
    return Write(item.id, item.id, item.stamp.version, body, selected, extra=item.extra)


def done(outcomes: Iterator[Done[Contact] | Failed]) -> dict[str, Item[Contact]]:
    """The items of writes that must all succeed, by key."""
    found: dict[str, Item[Contact]] = {}
    for outcome in outcomes:
        assert isinstance(outcome, Done), outcome.error
        found[outcome.key] = outcome.item
    return found


def sorted_out(outcomes: Iterator[Done[Contact] | Failed]) -> tuple[dict[str, Item[Contact]], dict[str, str]]:
    """Items of those that succeeded and names of the errors of the others, by key."""
    good: dict[str, Item[Contact]] = {}
    bad: dict[str, str] = {}
    for outcome in outcomes:
        if isinstance(outcome, Done):
            good[outcome.key] = outcome.item
        else:
            bad[outcome.key] = type(outcome.error).__name__
    return good, bad


def only(delta: Delta[Contact]) -> Item[Contact]:
    """The one item of a delta."""
    (item,) = delta.items.values()
    return item
