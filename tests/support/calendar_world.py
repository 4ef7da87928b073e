"""CRM users whose calendars are kept in step by real runs on a real database: with Google's double through our adapter
and the real client library, in one process and without sockets. What happens on either side is the tests' choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import select

from core.event import Attendee, Event, Moment, canonical, from_json
from core.ports import RemoteReplica
from core.replica import Scope
from core.types import Channel
from models.accounts import AccountRow
from models.activities import ActivityRow
from models.links import HistoryRow, LinkRow
from models.syncing import ChannelRow
from providers.google.calendar import GoogleCalendar
from providers.google.calendar_client import CalendarClient
from providers.google.client import Http
from sandbox.faults import Faults
from sandbox.google import CalendarApi, CalendarBook, CalendarKnobs, InProcessHttp, access_token, scopes
from sandbox.google.store import Store
from sync.account_rows import Grant, save_account
from sync.activity_rows import EventText, NewActivity, insert_activities, rewrite_activities, set_activities
from sync.app import App
from sync.run import RunReport, run_sync
from tests.support.app_factory import Person, TestClock, make_app, make_user
from tests.support.google_http import GoogleHttp

ANN, BOB, ELSEWHERE = "ann@example.com", "bob@example.com", "zoe@elsewhere.example"
BERLIN = "Europe/Berlin"
WEEKLY = "RRULE:FREQ=WEEKLY"
EVENTS = "/calendar/v3/calendars/primary/events"
INSERT, LIST = f"POST {EVENTS}", f"GET {EVENTS}"
WRITES = ("events.insert", "events.patch", "events.delete")


def meeting(title: str, day: str = "2026-03-10", *guests: str, **more: Any) -> Event:
    """An hour from nine o'clock UTC on, with guests."""
    start, end = Moment(at=f"{day}T09:00:00Z", zone=BERLIN), Moment(at=f"{day}T10:00:00Z", zone=BERLIN)
    values = {"start": start, "end": end, "attendees": tuple(Attendee(guest) for guest in guests), **more}
    return canonical(Event(title=title, **values))


@dataclass(slots=True)
class CalendarDesk:
    """A workspace with users whose calendars are kept in step, whoever provides them. Users are named by address."""

    app: App
    clock: TestClock
    accounts: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    reports: list[RunReport] = field(default_factory=list)

    def link(self, user: str, address: str = "") -> str:
        """A user links a calendar, the own one unless another address is named; the account's id."""
        address = address or user
        who = make_user(self.app, user.replace("example.com", "crm.example"))
        grant = Grant(who.workspace_id, who.user_id, "gmail", address, address, address, {Channel.CALENDAR: True})
        with self.app.db.transaction() as session:
            account = save_account(session, self.app, grant, []).id
        self.people[user], self.accounts[user], self.addresses[account] = who, account, address
        return account

    # -- runs

    def run(self, address: str = ANN) -> RunReport:
        """One run, as the scheduler would start it."""
        self.reports.append(run_sync(self.app, self.accounts[address], Channel.CALENDAR))
        return self.reports[-1]

    def pass_time(self, minutes: float = 11) -> datetime:
        """Let what was written settle, on all clocks."""
        return self.clock.advance(minutes=minutes)

    def settle(self, most: int = 4) -> None:
        """Run everybody until nobody has anything left to do. Fails if that takes more than `most` rounds."""
        for _ in range(most):
            self.pass_time()
            reports = [self.run(address) for address in self.accounts]
            assert all(report.outcome in ("ok", "partial") for report in reports), reports
            if not any(report.counts for report in reports):
                return
        raise AssertionError(f"still not quiet: {self.reports[-len(self.accounts) :]}")

    # -- the CRM's side

    def add(self, body: Event, owner: str = ANN) -> str:
        """A new activity in the CRM; its id."""
        who = self.people[owner]
        with self.app.db.transaction() as session:
            fresh = NewActivity(body, who.user_id, self.app.clock())
            [one] = insert_activities(session, who.workspace_id, [fresh], self.app.clock())
        return one

    def edit(self, one: str, **values: Any) -> None:
        """Change fields of an activity, also of one whose text the CRM must not change."""
        row = self.row(one)
        with self.app.db.transaction() as session:
            body = canonical(replace(from_json(row.body), **values))
            rewrite_activities(session, [EventText(one, body, row.version + 1, self.app.clock())])

    def mark(self, *ids: str, **values: Any) -> None:
        """Set columns of activities that are no part of their text."""
        with self.app.db.transaction() as session:
            set_activities(session, ids, **values)

    def delete(self, *ids: str) -> None:
        self.mark(*ids, deleted_at=self.app.clock())

    def restore(self, *ids: str) -> None:
        self.mark(*ids, deleted_at=None, cancelled_at=None)

    def rows(self) -> list[ActivityRow]:
        """All activities, deleted and cancelled ones too, oldest first."""
        with self.app.db.reading() as session:
            return list(session.scalars(select(ActivityRow).order_by(ActivityRow.created_at, ActivityRow.id)))

    def row(self, one: str = "") -> ActivityRow:
        """The activity of that id, or the only one there is."""
        [row] = [row for row in self.rows() if one in ("", row.id)]
        return row

    def body(self, one: str = "") -> Event:
        """Its text."""
        return from_json(self.row(one).body)

    def series(self) -> dict[str, ActivityRow]:
        """The activities of the only series there is, by the start they had in it; "" for the series itself."""
        rows = [row for row in self.rows() if row.original or row.body.get("recurrence")]
        found = {row.original: row for row in rows}
        assert len(found) == len(rows)
        return found

    # -- between them

    def links(self, address: str = ANN) -> dict[str, str]:
        """Activity id -> event id of the pairs that take part."""
        with self.app.db.reading() as session:
            query = select(LinkRow).where(LinkRow.account_id == self.accounts[address], LinkRow.active.is_(True))
            return {row.local_id: row.remote_id for row in session.scalars(query)}

    def takes_part(self, address: str) -> set[str]:
        """Activities a user's own sync has shown to be theirs."""
        return set(self.links(address))

    def history(self) -> list[HistoryRow]:
        with self.app.db.reading() as session:
            return list(session.scalars(select(HistoryRow).order_by(HistoryRow.id)))

    def channel(self, address: str = ANN) -> ChannelRow:
        with self.app.db.reading() as session:
            return session.get_one(ChannelRow, (self.accounts[address], "calendar"))

    def account_row(self, address: str = ANN) -> AccountRow:
        with self.app.db.reading() as session:
            return session.get_one(AccountRow, self.accounts[address])


@dataclass(slots=True)
class CalendarWorld(CalendarDesk):
    """As `CalendarDesk`, at Google's double. `skew` is how far Google's clock is ahead of ours."""

    skew: timedelta = timedelta(0)
    knobs: CalendarKnobs = field(default_factory=CalendarKnobs)
    faults: Faults = field(default_factory=Faults)
    waited: list[float] = field(default_factory=list)
    clients: dict[str, CalendarClient] = field(default_factory=dict)
    store: Store = field(init=False)
    google: CalendarApi = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(self.google_now, Random(0))
        self.google = CalendarApi(self.store, self.google_now, 0, self.knobs)
        self.google.outsider(ELSEWHERE)
        self.app = replace(self.app, open_calendar=self._open)

    def google_now(self) -> datetime:
        """The time at Google."""
        return self.clock() + self.skew

    def link(self, user: str, address: str = "") -> str:
        """A user links a calendar at Google, which is kept by Berlin's clock; the account's id."""
        address = address or user
        if self.store.users.find(address) is None:
            self.store.users.add(address, address.partition("@")[0].title())
            self.google.book(address).set_zone(BERLIN)
        return CalendarDesk.link(self, user, address)

    def calendar(self, address: str = ANN, scope: Scope | None = None, *, since: date | None = None) -> GoogleCalendar:
        """Our adapter on somebody's calendar, as a run opens it."""
        if address not in self.clients:  # making one takes longer than the run
            self.clients[address] = CalendarClient(self.http(address), now=self.clock)
        chosen = self.app.settings
        return GoogleCalendar(
            self.clients[address],
            scope or Scope("", ""),
            since=since,
            send_updates=chosen.calendar_guests,
            all_kinds=chosen.calendar_kinds == "all",
            wait=self.wait,
        )

    def http(self, address: str) -> Http:
        """Somebody's connection to Google."""
        # Google's tokens last an hour, the stories of tests go on for weeks; renewal has tests of its own.
        token = partial(access_token, self.store, address, scopes.CALENDAR_EVENTS)
        return GoogleHttp(InProcessHttp(self.google, token, self.faults), self.google_now)

    def wait(self, seconds: float) -> None:
        """A pause: time passes, nobody waits."""
        self.waited.append(seconds)
        self.clock.advance(seconds=seconds)

    def _open(self, _app: App, account: str, scope: Scope, *, since: date | None) -> RemoteReplica[Event]:
        return self.calendar(self.addresses[account], scope, since=since)

    # -- Google's side

    def book(self, who: str = ANN) -> CalendarBook:
        """A person's own hand at Google, also of somebody who is no user there."""
        return self.google.book(who) if self.store.users.find(who) else self.google.outsider(who)

    def put(self, title: str, day: str = "2026-03-10", *guests: str, who: str = ANN, **fields: Any) -> str:
        """A person makes an event from ten o'clock in Berlin on, for an hour; its id."""
        start = datetime.fromisoformat(f"{day}T10:00:00")
        values = {"start": start, "end": start + timedelta(hours=1), "zone": BERLIN, "guests": guests, **fields}
        return self.book(who).create(title, **values)

    def occurrence(self, series: str, day: str, who: str = ANN) -> str:
        """The id of the occurrence of a series of `put` on that day."""
        return self.book(who).occurrence(series, datetime.fromisoformat(f"{day}T10:00:00"))

    def move(self, series: str, day: str, who: str = ANN, *, hours: int = 5) -> str:
        """A person moves one occurrence within its day, which stays in Berlin; its id."""
        one, start = self.occurrence(series, day, who), datetime.fromisoformat(f"{day}T10:00:00")
        later = start + timedelta(hours=hours)
        return self.book(who).edit(one, "this", start=later, end=later + timedelta(hours=1), zone=BERLIN)

    def shown(self, who: str = ANN) -> dict[str, dict[str, Any]]:
        """What a person sees: single events, series, and occurrences that differ."""
        return self.book(who).events()

    @contextmanager
    def counted(self) -> Iterator[Counter[str]]:
        """What is called within the block, by operation."""
        before, calls = Counter(self.google.calls), Counter[str]()
        yield calls
        calls.update(self.google.calls - before)

    @contextmanager
    def no_writes(self) -> Iterator[None]:
        """Nothing is written at Google within the block."""
        with self.counted() as calls:
            yield
        assert not any(calls[name] for name in WRITES), calls

    def check(self) -> None:
        """Nobody was mailed, the API was used as it must be, and what was to go wrong did."""
        assert self.google.violations == []
        assert self.google.mails == []
        assert self.faults.pending() == 0


@contextmanager
def calendar_world(
    folder: Path, *users: str, options: Mapping[str, object] | None = None, **knobs: Any
) -> Iterator[CalendarWorld]:
    """A world in which these users (by default Ann) have linked empty calendars. Checked at its end. `options` are
    settings of the service, `knobs` those of Google's double."""
    clock = TestClock()
    world = CalendarWorld(make_app(folder, clock=clock, **(options or {})), clock, knobs=CalendarKnobs(**knobs))
    try:
        for address in users or (ANN,):
            world.link(address)
        yield world
        world.check()
    finally:
        world.app.close()
