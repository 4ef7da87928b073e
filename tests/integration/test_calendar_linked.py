"""The scenarios of a calendar sync that concern the link to Google itself: consent, dead grants, outages, other people.
Over a real socket, with Google's double. The numbers are those of the list of scenarios in docs/quirks.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import select

from core.errors import Conflict, NeedsRelink
from core.types import Channel
from models.accounts import AccountRow
from models.activities import ActivityRow
from models.links import LinkRow
from models.syncing import ChannelRow
from sandbox.clock import SandboxClock
from sandbox.google import GoogleDouble, SigningKey, new_signing_key
from sync.app import App, utc_now
from sync.removal import remove
from sync.run import RunReport, run_sync
from tests.support.app_factory import Person, TestClock, make_app, make_user
from tests.support.calendar_world import ANN, BOB
from tests.support.google_link import link_google, register

EVENTS_SCOPE = "https://www.googleapis.com/auth/calendar.events"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(utc_now())


@dataclass
class Linked:
    """A workspace whose users link Google accounts."""

    app: App
    google: GoogleDouble
    clock: TestClock
    users: dict[str, Person] = field(default_factory=dict)

    def link(self, user: str, who: str = ANN, *, untick: Sequence[str] = (), relink: str | None = None) -> str:
        """A CRM user links a Google account; the account's id."""
        if user not in self.users:
            self.users[user] = make_user(self.app, f"{user}@crm.example")
        person = self.users[user]
        return link_google(self.app, self.google, person, who, channels=tuple(Channel), untick=untick, relink=relink).id

    def run(self, account: str, channel: Channel = Channel.CALENDAR) -> RunReport:
        return run_sync(self.app, account, channel)

    def channel(self, account: str, channel: Channel = Channel.CALENDAR) -> ChannelRow:
        with self.app.db.reading() as session:
            return session.get_one(ChannelRow, (account, channel.value))

    def account(self, account: str) -> AccountRow:
        with self.app.db.reading() as session:
            return session.get_one(AccountRow, account)

    def titles(self) -> list[str]:
        """The activities that are neither deleted nor cancelled."""
        with self.app.db.reading() as session:
            query = select(ActivityRow.title).where(
                ActivityRow.cancelled_at.is_(None), ActivityRow.deleted_at.is_(None)
            )
            return list(session.scalars(query))

    def pairs(self, account: str) -> int:
        with self.app.db.reading() as session:
            return len(session.scalars(select(LinkRow).where(LinkRow.account_id == account)).all())


@pytest.fixture
def linked(key: SigningKey, tmp_path: Path) -> Iterator[Linked]:
    with GoogleDouble(clock=SandboxClock(), key=key) as google:
        google.users.add(ANN, "Ann")
        google.users.add(BOB, "Bob")
        clock = TestClock(utc_now())
        app = make_app(tmp_path, clock=clock, google_base_url=google.base_url)
        register(app, google, make_user(app, "admin@crm.example"))
        google.calendar.book(ANN).create("Call", clock(), clock.now.replace(year=clock.now.year + 1))
        try:
            yield Linked(app, google, clock)
            assert (google.calendar.mails, google.calendar.violations) == ([], [])
        finally:
            app.close()


def test_13_one_of_two_users_who_link_one_calendar_leaves_and_the_other_goes_on(linked: Linked) -> None:
    first, second = linked.link("ann"), linked.link("assistant")
    assert (linked.run(first).outcome, linked.run(second).outcome) == ("ok", "ok")
    assert linked.titles() == ["Call"]
    remove(linked.app, linked.users["ann"].workspace_id, first)
    linked.google.calendar.book(ANN).create("Another", linked.clock(), linked.clock.now.replace(year=2100))
    assert linked.run(second).outcome == "ok"
    assert sorted(linked.titles()) == ["Another", "Call"]


def test_14_without_the_calendars_box_contacts_work_and_google_is_not_asked(linked: Linked) -> None:
    account = linked.link("ann", untick=[EVENTS_SCOPE])
    assert linked.run(account, Channel.CONTACTS).outcome == "ok"
    channel = linked.channel(account)
    assert (channel.granted, channel.next_run_at) == (False, None)
    assert linked.google.calendar.calls == {}
    linked.link("ann", relink=account)
    assert linked.run(account).outcome == "ok"
    assert linked.titles() == ["Call"]


def test_14_a_permission_that_is_taken_back_later_stops_this_channel_alone(linked: Linked) -> None:
    account = linked.link("ann")
    linked.run(account)
    body = {"code": 403, "message": "Request had insufficient authentication scopes.", "status": "PERMISSION_DENIED"}
    linked.google.faults.next("GET /calendar/v3/calendars/primary/events", status=403, json={"error": body})
    assert linked.run(account).outcome == "not_granted"
    assert (linked.channel(account).granted, linked.channel(account).next_run_at) == (False, None)
    assert (linked.account(account).state, linked.titles()) == ("linked", ["Call"])
    assert linked.run(account, Channel.CONTACTS).outcome == "ok"


def test_15_a_changed_password_is_told_once_and_keeps_everything(linked: Linked) -> None:
    account = linked.link("ann")
    linked.run(account)
    linked.google.change_password(ANN)
    linked.clock.advance(hours=2)
    report = linked.run(account)
    assert report.outcome == "needs_relink"
    assert (linked.account(account).state, linked.account(account).reason) == ("needs_relink", report.error)
    for channel in (Channel.CALENDAR, Channel.CONTACTS):
        asked = linked.google.calls["/token"]
        with pytest.raises(NeedsRelink):
            linked.run(account, channel)
        assert linked.google.calls["/token"] == asked
    assert (linked.titles(), linked.pairs(account)) == (["Call"], 1)
    cursor = linked.channel(account).cursor
    linked.link("ann", relink=account)
    assert linked.channel(account).cursor == cursor
    assert linked.run(account).counts == {}
    assert linked.account(account).state == "linked"


def test_16_a_sign_in_service_out_of_order_unlinks_nobody(linked: Linked) -> None:
    account = linked.link("ann")
    linked.run(account)
    linked.clock.advance(hours=2)  # the access token is too old
    linked.google.faults.next("POST /token", times=None, status=503, html="<html>Error 503</html>")
    for _ in range(4):
        assert linked.run(account).outcome == "failed"
        linked.clock.advance(minutes=5)
    linked.google.faults.clear()
    assert (linked.account(account).state, linked.titles(), linked.pairs(account)) == ("linked", ["Call"], 1)
    assert linked.run(account).outcome == "ok"


def test_25_another_person_cannot_be_linked_in_place_and_nothing_of_theirs_comes_in(linked: Linked) -> None:
    account = linked.link("ann")
    linked.run(account)
    linked.google.calendar.book(BOB).create("Bob's secret", linked.clock(), linked.clock.now.replace(year=2100))
    with pytest.raises(Conflict, match="another person"):
        linked.link("ann", BOB, relink=account)
    assert linked.run(account).counts == {}
    assert (linked.titles(), linked.pairs(account)) == (["Call"], 1)
    other = linked.link("ann", BOB)
    assert other != account
    linked.run(other)
    assert sorted(linked.titles()) == ["Bob's secret", "Call"]
    assert (linked.pairs(account), linked.pairs(other)) == (1, 1)
