"""What the planner may expect of a replica, whoever it is: an address book in memory, the CRM side on SQLite and on
PostgreSQL, and Google Contacts against the sandbox. Deciding is tests/unit/test_plan.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.contact import Birthday, Contact, Entry, PostalAddress, canonical
from core.errors import CursorExpired, RecordGone, VersionConflict
from core.ports import RemoteReplica, Replica
from core.replica import Done, Failed, Item, Scope, Write
from models.contacts import TagRow
from providers.google.contacts import GoogleContacts
from sync.ids import new_id
from sync.local import LocalContacts
from tests.support.app_factory import START, TestClock, make_app, make_user
from tests.support.contact_world import POLICY, person
from tests.support.google_people import new_group_world
from tests.support.memory_replica import Book, MemoryReplica

ADA = person("Ada", "Lovelace", email="ada@example.com", phone="+44 20 7946 0001")
BOB = person("Bob", title="Builder")
FULL = canonical(
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
)


@dataclass(frozen=True, slots=True)
class Side:
    """A replica with nothing in it, and what only a test may do to it: have a record vanish."""

    replica: Replica[Contact]
    erase: Callable[[str], None]

    def make(self, body: Contact, *, selected: bool = True, key: str = "k") -> Item[Contact]:
        """A new record as it is then read."""
        return self.read(self.one(Write(key, "", "", body, selected, origin=key, modified_at=START)).id)

    def one(self, write: Write[Contact]) -> Item[Contact]:
        """A write that succeeds."""
        [outcome] = self.replica.write([write])
        assert isinstance(outcome, Done), outcome.error
        assert outcome.key == write.key
        return outcome.item

    def fails(self, write: Write[Contact]) -> Exception:
        """The error of a write that does not."""
        [outcome] = self.replica.write([write])
        assert isinstance(outcome, Failed)
        assert outcome.key == write.key
        return outcome.error

    def read(self, one: str) -> Item[Contact]:
        return self.replica.get([one]).items[one]


def change(item: Item[Contact], body: Contact | None = None, *, selected: bool | None = None) -> Write[Contact]:
    return Write(item.id, item.id, item.stamp.version, body, selected, item.origin, START, item.extra)


# ---- the four ----------------------------------------------------------------------------------------------


@contextmanager
def in_memory() -> Iterator[Side]:
    book = Book(TestClock())
    replica = MemoryReplica(book, Scope("", "CRM"))
    replica.make_scope("CRM")
    yield Side(replica, book.delete)


@contextmanager
def in_database(folder: Path, url: str) -> Iterator[Side]:
    app = make_app(folder, database_url=url)
    who = make_user(app)
    try:
        with app.db.transaction() as session:
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
            yield Side(LocalContacts(session, who.workspace_id, tag.id, POLICY, START), no_erasure)
    finally:
        app.close()


def no_erasure(_one: str) -> None:
    pytest.skip("contacts of the CRM do not vanish")


@contextmanager
def at_google() -> Iterator[Side]:
    world, contacts, _ = new_group_world()
    yield Side(contacts, world.book.delete)
    assert world.api.violations == []


@pytest.fixture(params=["memory", "sqlite", "postgresql", "google"])
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Side]:
    if request.param == "memory":
        opened = in_memory()
    elif request.param == "google":
        opened = at_google()
    else:
        url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
        opened = in_database(tmp_path, url)
    with opened as made:
        yield made


@pytest.fixture(params=["memory", "google"])
def remote(request: pytest.FixtureRequest) -> Iterator[tuple[Side, RemoteReplica[Contact]]]:
    with in_memory() if request.param == "memory" else at_google() as made:
        assert isinstance(made.replica, MemoryReplica | GoogleContacts)
        yield made, made.replica


# ---- both sides of a channel -------------------------------------------------------------------------------


def test_an_empty_side_lists_nothing_and_says_that_this_is_all(side: Side) -> None:
    delta = side.replica.changes(None)
    assert (dict(delta.items), delta.gone, delta.complete) == ({}, frozenset(), True)


@pytest.mark.parametrize("selected", [True, False])
def test_what_was_made_is_read_back(side: Side, selected: bool) -> None:
    made = side.one(Write("k", "", "", ADA, selected, origin="k", modified_at=START))
    assert (made.body, made.selected) == (ADA, selected)
    read = side.read(made.id)
    assert (read.id, read.body, read.selected) == (made.id, ADA, selected)
    assert read.stamp == made.stamp


def test_every_field_comes_back(side: Side) -> None:
    assert side.make(FULL).body == FULL


def test_every_field_can_be_cleared(side: Side) -> None:
    item = side.make(FULL)
    bare = Contact(given_name="Ada")
    assert side.one(change(item, bare)).body == bare
    assert side.read(item.id).body == bare


def test_a_listing_of_everything_has_those_outside_too(side: Side) -> None:
    inside, outside = side.make(ADA, key="a"), side.make(BOB, selected=False, key="b")
    delta = side.replica.changes(None)
    assert {one: item.selected for one, item in delta.items.items()} == {inside.id: True, outside.id: False}
    assert delta.items[inside.id] == inside


def test_a_text_is_written_over_the_version_it_was_decided_on(side: Side) -> None:
    item = side.make(ADA)
    written = side.one(change(item, BOB))
    assert (written.id, written.body, written.selected) == (item.id, BOB, True)
    assert written.stamp.version != item.stamp.version
    assert side.read(item.id) == written


def test_a_text_is_not_written_over_another_version(side: Side) -> None:
    item = side.make(ADA)
    now = side.one(change(item, BOB))
    assert isinstance(side.fails(change(item, replace(ADA, title="late"))), VersionConflict)
    assert side.read(item.id) == now


def test_a_membership_needs_no_version_and_leaves_the_text(side: Side) -> None:
    old = side.make(ADA)
    side.one(change(old, BOB))
    assert side.one(change(old, selected=False)).selected is False
    left = side.read(old.id)
    assert (left.body, left.selected) == (BOB, False)
    side.one(change(old, selected=True))
    assert side.read(old.id).selected


@pytest.mark.parametrize("selected", [True, False])
def test_the_same_membership_twice_is_no_trouble(side: Side, selected: bool) -> None:
    item = side.make(ADA, selected=selected)
    side.one(change(item, selected=selected))
    assert (side.read(item.id).body, side.read(item.id).selected) == (ADA, selected)


def test_text_and_membership_go_together(side: Side) -> None:
    item = side.make(ADA, selected=False)
    written = side.one(change(item, BOB, selected=True))
    assert (written.body, written.selected) == (BOB, True)
    assert (side.read(item.id).body, side.read(item.id).selected) == (BOB, True)


def test_an_old_version_keeps_the_membership_too(side: Side) -> None:
    item = side.make(ADA, selected=False)
    side.one(change(item, BOB))
    assert isinstance(side.fails(change(item, replace(ADA, title="late"), selected=True)), VersionConflict)
    assert side.read(item.id).selected is False


def test_who_does_not_exist_is_gone(side: Side) -> None:
    item = side.make(ADA)
    side.erase(item.id)
    delta = side.replica.get([item.id])
    assert (dict(delta.items), delta.gone, delta.complete) == ({}, frozenset({item.id}), False)
    assert isinstance(side.fails(change(item, BOB)), RecordGone)
    assert isinstance(side.fails(change(item, selected=True)), RecordGone)


def test_one_failure_does_not_touch_the_others(side: Side) -> None:
    good, stale = side.make(ADA, key="a"), side.make(BOB, key="b")
    side.one(change(stale, replace(BOB, notes="meanwhile")))
    fresh = Write("new", "", "", person("Cleo"), True, origin="new", modified_at=START)
    writes = [change(stale, ADA), fresh, change(good, replace(ADA, title="Countess"))]
    outcomes = {one.key: one for one in side.replica.write(writes)}
    assert outcomes.keys() == {good.id, stale.id, "new"}
    assert [key for key, one in outcomes.items() if isinstance(one, Failed)] == [stale.id]
    assert side.read(good.id).body.title == "Countess"


def test_nothing_to_write_is_no_trouble(side: Side) -> None:
    assert list(side.replica.write([])) == []
    assert dict(side.replica.get([]).items) == {}


# ---- the provider's side -----------------------------------------------------------------------------------

Remote = tuple[Side, RemoteReplica[Contact]]


def test_after_a_listing_only_changes_are_told(remote: Remote) -> None:
    side, replica = remote
    kept, edited, left, gone = (side.make(person(name), key=name) for name in "ABCD")
    first = replica.changes(None)
    assert first.items.keys() == {kept.id, edited.id, left.id, gone.id}
    quiet = replica.changes(first.cursor)
    assert (dict(quiet.items), quiet.gone, quiet.complete) == ({}, frozenset(), False)
    side.one(change(edited, BOB))
    side.one(change(left, selected=False))
    side.erase(gone.id)
    delta = replica.changes(quiet.cursor)
    told = {one: (item.body.given_name, item.selected) for one, item in delta.items.items()}
    assert told == {edited.id: ("Bob", True), left.id: ("C", False)}
    assert delta.gone == {gone.id}


def test_our_mark_is_kept(remote: Remote) -> None:
    side, _ = remote
    made = side.make(ADA, key="our id")
    assert made.origin == "our id"
    assert side.one(change(made, BOB)).origin == "our id"
    assert side.read(made.id).origin == "our id"


def test_a_record_that_was_given_back_by_a_write_can_be_written_again(remote: Remote) -> None:
    side, _ = remote
    item = side.make(ADA)
    for title in ("one", "two", "three"):
        item = side.one(change(item, replace(ADA, title=title)))
    assert side.read(item.id).body.title == "three"


def test_the_group_is_made_once_and_told_with_each_listing(remote: Remote) -> None:
    _, replica = remote
    scope = replica.changes(None).scope
    assert scope is not None
    assert scope.name == "CRM"
    assert replica.make_scope("CRM") == scope


def test_a_cursor_that_is_none_is_refused(remote: Remote) -> None:
    _, replica = remote
    with pytest.raises(CursorExpired):
        replica.changes("-1" if isinstance(replica, MemoryReplica) else "no cursor of ours")


def test_a_provider_says_how_much_it_takes_and_what_its_clock_shows(remote: Remote) -> None:
    _, replica = remote
    replica.changes(None)
    assert replica.batch > 0
    assert abs(replica.skew) < 2
