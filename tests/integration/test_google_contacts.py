"""Contacts of a linked Google account from end to end: OAuth, guard and adapter against the Google double over HTTP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.contact import Contact, Entry
from core.errors import Misconfigured, NeedsRelink, NotFound, NotGranted, Transient
from core.ports import RemoteReplica
from core.replica import Scope
from core.types import Channel
from sandbox.clock import SandboxClock
from sandbox.google import GoogleDouble
from sync.app import App, utc_now
from sync.sources import open_contacts
from tests.support.app_factory import Person, TestClock, make_app, make_password_account, make_user
from tests.support.google_link import link_google, register
from tests.support.google_people import CREATE, creation, done, rewrite

ANN = "ann@example.com"
CONTACTS_SCOPE = "https://www.googleapis.com/auth/contacts"
BODY = Contact(given_name="Ann", emails=(Entry("ann@mail.example", "work", True),))


@dataclass
class World:
    """A user whose Google account is linked for contacts."""

    app: App
    google: GoogleDouble
    person: Person
    account: str

    def contacts(self, scope: Scope | None = None) -> RemoteReplica[Contact]:
        return open_contacts(self.app, self.account, scope or Scope("", "CRM"), wait=lambda _seconds: None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with GoogleDouble(clock=SandboxClock()) as google:
        google.users.add(ANN, "Ann")
        app = make_app(tmp_path, clock=TestClock(utc_now()), google_base_url=google.base_url)
        person = make_user(app)
        register(app, google, person)
        account = link_google(app, google, person, ANN, channels=(Channel.MAIL, Channel.CONTACTS))
        yield World(app, google, person, account.id)
        app.close()


def test_contacts_travel_both_ways(world: World) -> None:
    contacts = world.contacts()
    assert contacts.changes(None).scope is None
    scope = contacts.make_scope("CRM")
    made = done(contacts.write([creation("c-1", BODY)]))["c-1"]
    delta = contacts.changes(None)
    assert delta.items == {made.id: made}
    world.google.people.book(ANN).edit(made.id, {"names": [{"givenName": "Anna"}]})
    contacts.close()

    later = world.contacts(scope)
    changed = later.changes(delta.cursor).items[made.id]
    assert changed.body == replace(BODY, given_name="Anna")
    done(later.write([rewrite(changed, replace(changed.body, title="Boss"), selected=False)]))
    later.close()
    stored = world.google.people.book(ANN).stored()[made.id]
    assert stored["organizations"][0]["title"] == "Boss"
    assert stored["labels"] == ["contactGroups/myContacts"]
    assert world.google.people.violations == []


def test_two_hundred_names_are_read_in_one_call(world: World) -> None:
    """Their address is too long for a GET; the library then sends a POST that says it is none."""
    book = world.google.people.book(ANN)
    names = [book.add({"names": [{"givenName": f"n{number}"}]}) for number in range(200)]
    contacts = world.contacts()
    assert set(contacts.get(names).items) == set(names)
    contacts.close()
    assert world.google.people.calls["people.batchGet"] == 1


def test_an_access_token_that_ran_out_is_renewed(world: World) -> None:
    contacts = world.contacts()
    contacts.changes(None)
    world.google.expire_access_tokens(ANN)
    assert contacts.changes(None).complete
    contacts.close()


def test_a_grant_that_was_taken_back_needs_the_user(world: World) -> None:
    world.google.revoke_user(ANN)
    contacts = world.contacts()
    with pytest.raises(NeedsRelink):
        contacts.changes(None)
    contacts.close()


def test_a_box_that_was_left_empty_is_named(world: World) -> None:
    world.google.users.add("bob@example.com", "Bob")
    account = link_google(
        world.app,
        world.google,
        world.person,
        "bob@example.com",
        channels=(Channel.MAIL, Channel.CONTACTS),
        untick=(CONTACTS_SCOPE,),
    )
    contacts = replace(world, account=account.id).contacts()
    with pytest.raises(NotGranted) as caught:
        contacts.changes(None)
    contacts.close()
    assert "box for contacts" in caught.value.advice


def test_a_creation_whose_answer_is_lost_happens_once(world: World) -> None:
    contacts = world.contacts()
    contacts.make_scope("CRM")
    world.google.faults.next(CREATE, drop="after")
    with pytest.raises(Transient):
        list(contacts.write([creation("c-1", BODY)]))
    assert [item.origin for item in contacts.changes(None).items.values()] == ["c-1"]
    contacts.close()


def test_accounts_without_contacts_say_so(world: World) -> None:
    account = make_password_account(world.app, world.person)
    with pytest.raises(Misconfigured, match="not supported"):
        open_contacts(world.app, account, Scope("", "CRM"))
    with pytest.raises(NotFound):
        open_contacts(world.app, "no-such-account", Scope("", "CRM"))


def test_the_library_of_google_is_loaded_only_when_it_is_needed() -> None:
    script = (
        "import sys, cli.main, sync.sources, providers\n"
        "providers.all_providers()\n"
        "print([name for name in ('googleapiclient', 'httplib2', 'google.oauth2') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
