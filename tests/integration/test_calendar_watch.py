"""Push channels of a calendar: opened, renewed and closed at Google's double, and what its notices do to the schedule.
The web server is called over a socket; everything else runs in one process."""

from __future__ import annotations

import http.client
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from cli.receiver import receiving
from core.errors import Misconfigured, Transient
from core.replica import Scope
from core.types import Channel
from models.accounts import AccountRow
from models.syncing import ChannelRow, RunRow, WatchRow
from sandbox.google import scopes
from sync.calendar_channel import CalendarChange, change_calendar
from sync.jobs import sync_now
from sync.removal import remove
from sync.scheduler import tick
from sync.watches import take_notice
from tests.integration.test_calendar_choice import lister
from tests.support.calendar_world import ANN, CalendarWorld, calendar_world

PUBLIC = "https://crm.example/twinbox"
WATCH = "POST /calendar/v3/calendars/primary/events/watch"


@dataclass(slots=True)
class Hook:
    """Our end of the channels: every call of Google's double, and how it was answered."""

    world: CalendarWorld
    calls: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    answers: list[bool] = field(default_factory=list)

    def __call__(self, address: str, headers: Mapping[str, str]) -> int:
        assert address == f"{PUBLIC}/hooks/google"
        self.calls.append((headers["X-Goog-Resource-State"], headers))
        self.answers.append(self.take(headers))
        return 204 if self.answers[-1] else 404

    def take(self, headers: Mapping[str, str]) -> bool:
        """What a call of these headers comes to."""
        return take_notice(self.world.app, "google", {name.lower(): value for name, value in headers.items()})

    @property
    def states(self) -> list[str]:
        return [state for state, _ in self.calls]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CalendarWorld]:
    with calendar_world(tmp_path) as made:
        settings = replace(made.app.settings, public_url=PUBLIC)
        opener = lister(made, scopes.CALENDAR_EVENTS)
        made.app = replace(made.app, settings=settings, open_calendars=opener)
        yield made


@pytest.fixture
def hook(world: CalendarWorld) -> Hook:
    hook = Hook(world)
    world.google.channels.sender = hook
    return hook


def watches(world: CalendarWorld) -> list[WatchRow]:
    with world.app.db.reading() as session:
        return list(session.scalars(select(WatchRow).order_by(WatchRow.made_at)))


def change(world: CalendarWorld, change: CalendarChange) -> None:
    change_calendar(world.app, world.people[ANN].workspace_id, world.accounts[ANN], change)


def follow(world: CalendarWorld, *calendars: str) -> None:
    change(world, CalendarChange(calendars=tuple(Scope(one, one) for one in calendars)))


def due_in(world: CalendarWorld) -> float:
    """Seconds until the calendar is due."""
    due = world.channel().next_run_at
    assert due is not None
    return (due - world.clock()).total_seconds()


# ---- opening and closing ----------------------------------------------------------------------------------


def test_without_a_public_address_nothing_is_watched(world: CalendarWorld) -> None:
    world.app = replace(world.app, settings=replace(world.app.settings, public_url=""))
    with world.counted() as calls:
        world.run()
    assert calls == {"events.list": 1}
    assert watches(world) == []


def test_a_run_opens_a_channel_for_each_calendar_once(world: CalendarWorld, hook: Hook) -> None:
    team = world.book().make_calendar("Team")
    follow(world, "primary", team)
    world.run()
    world.pass_time()
    world.run()
    assert world.google.calls["events.watch"] == 2
    assert {one.calendar for one in watches(world)} == {"primary", team}
    assert (hook.states, hook.answers) == (["sync", "sync"], [True, True])
    assert due_in(world) > 60  # to say that a channel is open is no change


def test_the_secret_of_a_channel_is_nowhere_in_the_database(world: CalendarWorld, hook: Hook, tmp_path: Path) -> None:
    world.run()
    token = hook.calls[0][1]["X-Goog-Channel-Token"]
    assert len(token) > 40
    stored = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("twinbox.db*"))
    assert token.encode() not in stored


def test_a_channel_is_replaced_before_it_ends_and_the_old_one_is_stopped(world: CalendarWorld, hook: Hook) -> None:
    world.run()
    [old] = world.google.channels.living()
    world.pass_time(5 * 24 * 60)
    world.run()
    assert world.google.channels.living() == [old]
    world.pass_time(24 * 60)
    world.run()
    [new] = world.google.channels.living()
    assert new != old
    assert [one.id for one in watches(world)] == [new]
    assert all(hook.answers)


def test_an_old_channel_that_cannot_be_stopped_is_still_known(world: CalendarWorld, hook: Hook) -> None:
    world.run()
    old = hook.calls[0][1]
    world.pass_time(6 * 24 * 60)
    world.google.knobs.on_call = fail_at("channels.stop")
    world.run()
    world.google.knobs.on_call = None
    assert len(watches(world)) == 2
    assert hook.take({**old, "X-Goog-Resource-State": "exists"})
    world.pass_time()
    world.run()
    assert [one.id for one in watches(world)] == world.google.channels.living()


def fail_at(operation: str) -> Callable[[str, str], None]:
    """A hook of the double: this call fails."""

    def on_call(name: str, _email: str) -> None:
        if name == operation:
            raise ConnectionResetError

    return on_call


def test_a_calendar_that_is_not_followed_any_more_is_not_watched(world: CalendarWorld, hook: Hook) -> None:
    team = world.book().make_calendar("Team")
    follow(world, "primary", team)
    world.run()
    follow(world, team)
    world.run()
    assert [one.calendar for one in watches(world)] == [team]
    assert len(world.google.channels.living()) == 1


def test_a_channel_that_runs_only_when_asked_is_not_watched(world: CalendarWorld, hook: Hook) -> None:
    world.run()
    change(world, CalendarChange(auto=False))
    assert (watches(world), world.google.channels.living()) == ([], [])
    world.run()
    assert world.google.channels.living() == []
    change(world, CalendarChange(auto=True))
    world.run()
    assert len(world.google.channels.living()) == 1


def test_without_a_public_address_any_more_all_is_stopped(world: CalendarWorld, hook: Hook) -> None:
    world.run()
    world.app = replace(world.app, settings=replace(world.app.settings, public_url=""))
    world.run()
    assert (watches(world), world.google.channels.living()) == ([], [])


def test_removing_the_account_stops_its_channels(world: CalendarWorld, hook: Hook) -> None:
    world.run()
    remove(world.app, world.people[ANN].workspace_id, world.accounts[ANN])
    assert (watches(world), world.google.channels.living()) == ([], [])


def test_an_account_is_removed_even_if_its_channels_cannot_be_stopped(world: CalendarWorld, hook: Hook) -> None:
    world.run()
    notice = hook.calls[0][1]
    world.google.knobs.on_call = fail_at("channels.stop")
    remove(world.app, world.people[ANN].workspace_id, world.accounts[ANN])
    assert watches(world) == []
    assert not hook.take(notice)


def test_a_channel_opened_while_the_account_was_removed_is_closed_at_once(world: CalendarWorld, hook: Hook) -> None:
    def removed(operation: str, _email: str) -> None:
        if operation == "events.watch":
            with world.app.db.transaction() as session:
                session.execute(update(AccountRow).values(state="removing"))

    world.google.knobs.on_call = removed
    assert world.run().outcome == "stopped"
    assert world.google.calls["events.watch"] == 1
    assert world.google.channels.living() == []


def test_a_refusal_spoils_no_run_and_is_not_tried_again_for_hours(world: CalendarWorld, hook: Hook) -> None:
    opener = lister(world, scopes.CALENDAR_LIST_READONLY)
    world.app = replace(world.app, open_calendars=opener)  # a permission that does not allow it
    assert world.run().outcome == "ok"
    world.pass_time()
    assert world.run().outcome == "ok"
    assert world.google.calls["events.watch"] == 1
    [failed] = watches(world)
    assert "not granted" in failed.problem
    world.app = replace(world.app, open_calendars=lister(world, scopes.CALENDAR_EVENTS))
    world.pass_time(6 * 60)
    world.run()
    assert [one.problem for one in watches(world)] == [""]


def test_a_channel_of_whose_opening_no_answer_came_is_known_by_its_first_notice(
    world: CalendarWorld, hook: Hook
) -> None:
    opener = lister(world, scopes.CALENDAR_EVENTS, world.faults)
    world.app = replace(world.app, open_calendars=opener)
    world.faults.next(WATCH, drop="after")
    assert world.run().outcome == "ok"
    assert hook.answers == [True]
    [lost] = watches(world)
    assert (lost.problem != "", lost.resource) == (True, hook.calls[0][1]["X-Goog-Resource-ID"])
    world.pass_time(60)
    world.run()
    assert [one.id for one in watches(world)] == world.google.channels.living()
    assert lost.id not in world.google.channels.living()


# ---- notices ----------------------------------------------------------------------------------------------


def test_a_change_at_google_makes_the_calendar_due_at_once(world: CalendarWorld, hook: Hook) -> None:
    world.run()
    assert due_in(world) > 60
    world.put("Kickoff")
    assert due_in(world) == 5
    world.clock.advance(seconds=5)
    woken: list[tuple[str, Channel]] = []
    assert tick(world.app, lambda account, channel: woken.append((account, channel))) == 1
    assert woken == [(world.accounts[ANN], Channel.CALENDAR)]
    for trigger in ("push", "schedule"):
        assert sync_now(world.app, world.accounts[ANN], "calendar") == "ok"
        with world.app.db.reading() as session:
            last = session.scalars(select(RunRow).order_by(RunRow.started_at.desc())).first()
        assert last is not None
        assert last.trigger == trigger
        world.pass_time()
    assert [row.title for row in world.rows()] == ["Kickoff"]


def test_many_notices_make_one_run(world: CalendarWorld, hook: Hook) -> None:
    world.run()
    for number in range(5):
        world.put(f"Event {number}")
        world.clock.advance(seconds=1)
    assert hook.states.count("exists") == 5
    assert due_in(world) == 0
    woken: list[str] = []
    for _ in range(3):
        tick(world.app, lambda account, _channel: woken.append(account))
    assert len(woken) == 1


def test_a_notice_while_a_run_is_in_progress_means_another_run(world: CalendarWorld, hook: Hook) -> None:
    world.run()
    world.pass_time()
    done: list[bool] = []

    def edit_once(operation: str, _email: str) -> None:
        if operation == "events.list" and not done:
            done.append(True)
            world.put("Just now")

    world.google.knobs.on_call = edit_once
    world.run()
    world.google.knobs.on_call = None
    assert due_in(world) == 5
    world.clock.advance(seconds=5)
    world.run()
    assert due_in(world) > 60
    assert [row.title for row in world.rows()] == ["Just now"]


@pytest.mark.parametrize(
    "values",
    [
        {"failures": 2, "last_outcome": "failed"},
        {"last_outcome": "throttled"},
        {"last_outcome": "held"},
        {"auto": False},
    ],
)
def test_a_notice_shortens_no_wait_that_has_a_reason(
    world: CalendarWorld, hook: Hook, values: dict[str, object]
) -> None:
    world.run()
    later = world.clock() + timedelta(hours=3)
    with world.app.db.transaction() as session:
        mine = update(ChannelRow).where(ChannelRow.account_id == world.accounts[ANN])
        session.execute(mine.values(next_run_at=later, **values))
    world.put("Kickoff")
    assert hook.answers[-1]
    assert world.channel().next_run_at == later


@pytest.mark.parametrize(
    "changed",
    [
        {"X-Goog-Channel-Token": "another"},
        {"X-Goog-Channel-Token": ""},
        {"X-Goog-Channel-ID": "0" * 32},
        {"X-Goog-Channel-ID": "' OR 1=1"},
        {"X-Goog-Resource-ID": "another"},
        {"X-Goog-Resource-State": ""},
    ],
)
def test_a_call_that_is_not_of_a_channel_of_ours_does_nothing(
    world: CalendarWorld, hook: Hook, changed: dict[str, str]
) -> None:
    world.run()
    world.put("Kickoff")
    good = hook.calls[-1][1]
    world.run()
    before = (due_in(world), watches(world)[0].pushed_at)
    world.clock.advance(seconds=30)
    assert not hook.take({**good, **changed})
    assert (due_in(world) + 30, watches(world)[0].pushed_at) == before
    assert hook.take(good)


def test_the_notices_of_one_account_move_no_other(tmp_path: Path) -> None:
    other = "bob@example.com"
    with calendar_world(tmp_path, ANN, other) as world:
        settings = replace(world.app.settings, public_url=PUBLIC)
        opener = lister(world, scopes.CALENDAR_EVENTS)
        world.app = replace(world.app, settings=settings, open_calendars=opener)
        world.google.channels.sender = Hook(world)
        for who in (ANN, other):
            world.run(who)
        before = world.channel(other).next_run_at
        world.put("Kickoff")
        assert (due_in(world), world.channel(other).next_run_at) == (5, before)


def test_without_notices_the_period_finds_everything(world: CalendarWorld, hook: Hook) -> None:
    world.google.knobs.lose_notifications = True
    world.run()
    world.put("Kickoff")
    assert (hook.calls, due_in(world) > 60) == ([], True)
    world.pass_time()
    world.run()
    assert [row.title for row in world.rows()] == ["Kickoff"]


# ---- the web server ---------------------------------------------------------------------------------------


@pytest.fixture
def port(world: CalendarWorld) -> Iterator[int]:
    world.app = replace(world.app, settings=replace(world.app.settings, listen="127.0.0.1:0"))
    with receiving(world.app) as port:
        yield port


def post(port: int, path: str, headers: Mapping[str, str], *, method: str = "POST") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, b"", dict(headers))
        answer = connection.getresponse()
        assert answer.read() in (b"", b"Not Found", b"Method Not Allowed")
        return answer.status
    finally:
        connection.close()


def test_google_calls_the_web_server_and_a_stranger_gets_nothing(
    world: CalendarWorld, hook: Hook, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.run()
    good = {**hook.calls[0][1], "X-Goog-Resource-State": "exists"}
    wrong = {**good, "X-Goog-Channel-Token": "another"}
    for path in ("/hooks/google", "/twinbox/hooks/google"):
        assert post(port, path, wrong) == 404
        assert post(port, path, {}) == 404
        assert due_in(world) > 60
    assert post(port, "/hooks/elsewhere", good) == 404
    assert post(port, "/", good) == 404
    assert post(port, "/hooks/google", good, method="GET") == 405
    assert post(port, "/twinbox/hooks/google", good) == 204
    assert due_in(world) == 5
    assert good["X-Goog-Channel-Token"] not in caplog.text


def test_a_body_is_never_waited_for(world: CalendarWorld, hook: Hook, port: int) -> None:
    world.run()
    head = "".join(f"{name}: {value}\r\n" for name, value in hook.calls[0][1].items())
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        one.sendall(f"POST /hooks/google HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n{head}\r\n".encode())
        assert one.recv(100).startswith(b"HTTP/1.1 204")


def test_while_the_database_is_away_google_is_asked_to_come_again(
    world: CalendarWorld, hook: Hook, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run()

    def away(*_: object) -> bool:
        raise Transient("the database is busy or not reachable")

    monkeypatch.setattr("cli.receiver.take_notice", away)
    assert post(port, "/hooks/google", hook.calls[0][1]) == 503


def test_a_port_that_is_taken_is_told(world: CalendarWorld, port: int) -> None:
    settings = replace(world.app.settings, listen=f"127.0.0.1:{port}")
    with (
        pytest.raises(Misconfigured, match="cannot listen") as caught,
        receiving(replace(world.app, settings=settings)),
    ):
        pass
    assert "TWINBOX_LISTEN" in caught.value.advice
