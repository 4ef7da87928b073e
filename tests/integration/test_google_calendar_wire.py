"""A linked account's calendar over real HTTP: OAuth, guard, registry and adapter; the answers are canned at the door of
the Google double, so that what is sent and understood on the wire is all that is tested."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from core.errors import Misconfigured, NotFound, Transient
from core.event import Event
from core.ports import RemoteReplica
from core.replica import Scope
from core.types import Channel
from sandbox.clock import SandboxClock
from sandbox.google import GoogleDouble
from sync.app import App, utc_now
from sync.sources import open_calendar
from tests.support.app_factory import Person, TestClock, make_app, make_password_account, make_user
from tests.support.google_calendar import LUNCH, ORIGIN, creation, done, only, page, resource, rewrite
from tests.support.google_link import link_google, register

ANN = "ann@example.com"
EVENTS = "/calendar/v3/calendars/primary/events"
OWN = Scope("", "")


@dataclass
class World:
    """A user whose Google account is linked for the calendar."""

    app: App
    google: GoogleDouble
    person: Person
    account: str

    def calendar(self, scope: Scope = OWN) -> RemoteReplica[Event]:
        return open_calendar(self.app, self.account, scope, since=date(2026, 3, 1), wait=lambda _seconds: None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with GoogleDouble(clock=SandboxClock()) as google:
        google.users.add(ANN, "Ann")
        app = make_app(tmp_path, clock=TestClock(utc_now()), google_base_url=google.base_url)
        person = make_user(app)
        register(app, google, person)
        account = link_google(app, google, person, ANN, channels=(Channel.CALENDAR,))
        yield World(app, google, person, account.id)
        app.close()


def test_an_event_is_read_changed_and_taken_out_over_http(world: World) -> None:
    faults = world.google.faults
    faults.next(f"GET {EVENTS}", json=page(resource()))
    faults.next(f"PATCH {EVENTS}/e1", json=resource(summary="Dinner", etag='"2"'))
    faults.next(f"DELETE {EVENTS}/e1", status=204, body=b"")
    calendar = world.calendar()
    item = only(calendar.changes(None))
    now = done(calendar.write([rewrite(item, replace(item.body, title="Dinner"))]))["e1"]
    assert now.body.title == "Dinner"
    assert not done(calendar.write([rewrite(now, None, selected=False)]))["e1"].selected
    calendar.close()
    assert faults.pending() == 0
    assert abs(calendar.skew) < 2


def test_another_calendar_is_named_in_the_path(world: World) -> None:
    team = "c_1#x@group.calendar.google.com"
    world.google.faults.next(f"GET /calendar/v3/calendars/{team}/events", json=page(summary="Team"))
    calendar = world.calendar(Scope(team, ""))
    assert calendar.changes(None).scope == Scope(team, "Team")
    calendar.close()


def test_a_packed_answer_is_unpacked(world: World) -> None:
    body = gzip.compress(json.dumps(page(resource())).encode(), mtime=0)
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    world.google.faults.next(f"GET {EVENTS}", status=200, body=body, headers=headers)
    calendar = world.calendar()
    assert only(calendar.changes(None)).id == "e1"
    calendar.close()


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_write_whose_answer_is_lost_is_sent_once(world: World, method: str) -> None:
    faults = world.google.faults
    faults.next(f"GET {EVENTS}", json=page(resource()))
    faults.next(f"{method} {EVENTS}*", drop="before")
    calendar = world.calendar()
    item = only(calendar.changes(None))
    write = {
        "POST": creation("k", LUNCH, origin=ORIGIN),
        "PATCH": rewrite(item, replace(item.body, title="x")),
        "DELETE": rewrite(item, None, selected=False),
    }[method]
    before = sum(world.google.calls.values())
    with pytest.raises(Transient):
        list(calendar.write([write]))
    calendar.close()
    assert sum(world.google.calls.values()) == before + 1
    assert faults.pending() == 0


def test_an_empty_answer_to_a_listing_is_no_empty_calendar(world: World) -> None:
    world.google.faults.next(f"GET {EVENTS}", status=204, body=b"")
    calendar = world.calendar()
    with pytest.raises(Transient):
        calendar.changes(None)
    calendar.close()


def test_accounts_without_a_calendar_say_so(world: World) -> None:
    account = make_password_account(world.app, world.person)
    with pytest.raises(Misconfigured, match="not supported"):
        open_calendar(world.app, account, OWN, since=None)
    with pytest.raises(NotFound):
        open_calendar(world.app, "no-such-account", OWN, since=None)
