"""The schedule is in the database, the queue is an alarm bell: what is due is woken once, run and scheduled again,
whatever becomes of the messages - in process, over RabbitMQ and over Redis."""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import dramatiq
import pytest
import structlog
from sqlalchemy import func, select, update

import sync.jobs as jobs
from core.errors import Conflict, Misconfigured, NeedsRelink, NotFound, Transient
from core.types import Channel
from models.accounts import AccountRow
from models.content import MessageRow
from models.syncing import ChannelRow, RunRow
from sandbox.gmail import Fault, GmailDouble, PlainProfile
from sync.app import App, build_app, utc_now
from sync.jobs import QUEUE, declare_jobs, open_broker, sync_now
from sync.lease import take_lease
from sync.parser_pool import ParserPool
from sync.run import run_sync
from sync.scheduler import request_now, tick
from tests.support.app_factory import Person, TestClock, make_app, make_password_account, make_user
from tests.support.mail_factory import make_mail
from tests.support.mail_servers import PlainBox, count_bodies, plain_box
from tests.support.mail_sync import InProcessPool
from tests.support.ports import free_port
from tests.support.processes import wait_until
from tests.support.serving import serving

MESSAGES = 5
SECRET_WORD = "canary-of-the-mail"


@pytest.fixture(scope="module")
def double() -> Iterator[GmailDouble]:
    with GmailDouble(profile=PlainProfile(), tls=False, smtp=False) as double:
        yield double


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count()


@dataclass(frozen=True)
class World:
    """An app, a mailbox linked to it, and its clock."""

    app: App
    clock: TestClock
    person: Person
    box: PlainBox
    account: str

    def channel(self) -> ChannelRow:
        with self.app.db.reading() as session:
            return session.get_one(ChannelRow, (self.account, "mail"))

    def change(self, **values: object) -> None:
        with self.app.db.transaction() as session:
            session.execute(update(ChannelRow).values(**values))

    def state(self, state: str) -> None:
        with self.app.db.transaction() as session:
            session.execute(update(AccountRow).values(state=state))

    def runs(self) -> list[RunRow]:
        with self.app.db.reading() as session:
            return list(session.scalars(select(RunRow).order_by(RunRow.started_at, RunRow.id)))

    def outcomes(self) -> list[str]:
        return [run.outcome for run in self.runs()]

    def stored(self) -> int:
        with self.app.db.reading() as session:
            return session.scalar(select(func.count()).select_from(MessageRow)) or 0


@pytest.fixture
def world(tmp_path: Path, double: GmailDouble, numbers: Iterator[int]) -> Iterator[World]:
    clock = TestClock()
    app = replace(make_app(tmp_path, clock=clock), parsers=cast("ParserPool", InProcessPool()))
    box = plain_box(double, f"user{next(numbers)}@mail.example")
    for number in range(MESSAGES):
        box.append("INBOX", make_mail(message_id=f"<{number}@x>", subject=SECRET_WORD))
    person = make_user(app)
    account = make_password_account(app, person, imap=box.endpoint, address=box.address, password=box.password)
    yield World(app, clock, person, box, account)
    app.close()


@pytest.fixture(params=["memory", "rabbitmq", "redis"])
def broker_url(request: pytest.FixtureRequest) -> str:
    # Started only where it is wanted; `servers` below marks the tests that do.
    return "" if request.param == "memory" else str(request.getfixturevalue(f"{request.param}_url"))


def each_broker(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test on every broker; the real ones need a server program."""
    servers = [pytest.param(name, marks=pytest.mark.servers) for name in ("rabbitmq", "redis")]
    return cast("Callable[..., None]", pytest.mark.parametrize("broker_url", ["memory", *servers], indirect=True)(test))


@contextmanager
def working(app: App, url: str = "", threads: int = 2) -> Iterator[Callable[[str, Channel], None]]:
    """Workers on a broker; gives the function that wakes them."""
    broker = open_broker(replace(app.settings, broker_url=url))
    wake = declare_jobs(app, broker)
    worker = dramatiq.Worker(broker, worker_threads=threads, worker_timeout=20)
    worker.start()
    try:
        yield wake
    finally:
        worker.stop()
        broker.close()


def finished(world: World, outcomes: list[str]) -> None:
    wait_until(lambda: world.outcomes() == outcomes and world.channel().lease_until is None, str(outcomes))


def collected(app: App) -> tuple[dramatiq.Broker, Callable[[str, Channel], None]]:
    """A broker without workers: what is sent stays in its queue."""
    broker = open_broker(app.settings)
    return broker, declare_jobs(app, broker)


def queued(broker: dramatiq.Broker) -> list[dict[str, Any]]:
    queue = cast("Any", broker).queues[QUEUE]
    return [json.loads(queue.get_nowait()) for _ in range(queue.qsize())]


# -- messages


def test_a_message_holds_ids_and_nothing_else(world: World) -> None:
    broker, wake = collected(world.app)
    wake(world.account, Channel.MAIL)
    queue = cast("Any", broker).queues[QUEUE]
    encoded = queue.get_nowait()
    message = json.loads(encoded)
    assert message["args"] == [world.account, "mail"]
    assert (message["kwargs"], message["options"]) == ({}, {})
    assert set(message) == {"queue_name", "actor_name", "args", "kwargs", "options", "message_id", "message_timestamp"}
    for secret in (world.box.address, world.box.password, SECRET_WORD, "a test password", world.person.email):
        assert secret.encode() not in encoded


@each_broker
def test_what_is_due_is_woken_run_and_due_again_after_its_period(world: World, broker_url: str) -> None:
    with working(world.app, broker_url) as wake:
        assert tick(world.app, wake) == 1
        assert tick(world.app, wake) == 0
        finished(world, ["ok"])
        assert world.stored() == MESSAGES
        due = world.channel().next_run_at
        assert due is not None
        assert timedelta(seconds=300) <= due - world.clock.now <= timedelta(seconds=330)
        assert tick(world.app, wake) == 0
        world.box.append("INBOX", make_mail(message_id="<new@x>"))
        world.clock.advance(seconds=331)
        assert tick(world.app, wake) == 1
        finished(world, ["ok", "ok"])
    assert world.stored() == MESSAGES + 1


@each_broker
def test_a_message_that_comes_twice_stores_nothing_twice(world: World, broker_url: str) -> None:
    sent = count_bodies(world.box.double, world.box.address)
    with working(world.app, broker_url, threads=4) as wake:
        for _ in range(4):
            wake(world.account, Channel.MAIL)
        wait_until(lambda: len(world.runs()) >= 1 and "running" not in world.outcomes(), "a run")
        # One more after them in the queue: when it is done with something new, all before it were taken.
        world.box.append("INBOX", make_mail(message_id="<new@x>"))
        wait_until(lambda: world.channel().lease_until is None, "lease")
        wake(world.account, Channel.MAIL)
        wait_until(lambda: world.stored() == MESSAGES + 1 and world.channel().lease_until is None, "the new message")
    assert set(world.outcomes()) == {"ok"}
    assert set(sent.values()) == {1}
    with world.app.db.reading() as session:
        ids = session.scalars(select(MessageRow.message_id)).all()
    assert len(ids) == len(set(ids)) == MESSAGES + 1


def test_a_second_message_finds_the_lease_taken(world: World, caplog: pytest.LogCaptureFixture) -> None:
    lease = take_lease(world.app, world.account, Channel.MAIL, trigger="schedule")
    with structlog.testing.capture_logs() as logged:
        assert sync_now(world.app, world.account, "mail") == "failed"
    assert [entry["event"] for entry in logged] == ["no run"]
    assert world.channel().fence == lease.fence
    assert world.outcomes() == ["running"]
    assert world.stored() == 0


def test_a_lost_message_costs_one_claim(world: World) -> None:
    assert tick(world.app, lambda *_: None) == 1
    claim = 2 * world.app.settings.lease_seconds
    world.clock.advance(seconds=claim - 1)
    assert tick(world.app, lambda *_: None) == 0
    world.clock.advance(seconds=1)
    assert tick(world.app, lambda *_: None) == 1


def test_messages_that_nobody_of_ours_sent_end_nothing(world: World) -> None:
    with working(world.app) as wake:
        wake("no such account", Channel.MAIL)
        wake(world.account, cast("Channel", FakeChannel("nonsense")))
        wake(world.account, Channel.CALENDAR)
        wake(world.account, Channel.MAIL)
        finished(world, ["ok"])


@dataclass(frozen=True)
class FakeChannel:
    """A channel that does not exist, as a forged message may name it."""

    value: str


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_broker_that_is_down_loses_nothing(world: World, scheme: str) -> None:
    broker = open_broker(
        replace(world.app.settings, broker_url=f"{scheme}://u:{SECRET_WORD}@127.0.0.1:{free_port()}/0")
    )
    wake = declare_jobs(world.app, broker)
    with pytest.raises(Transient, match="broker cannot be reached") as caught:
        tick(world.app, wake)
    assert SECRET_WORD not in str(caught.value) + caught.value.advice
    broker.close()
    world.clock.advance(seconds=2 * world.app.settings.lease_seconds)
    assert tick(world.app, lambda *_: None) == 1


def test_a_broker_url_is_refused_without_showing_it(world: World) -> None:
    for url in ("sqs://x:canary@y", "amqp://u:canary@host:port/"):
        with pytest.raises(Misconfigured) as caught:
            open_broker(replace(world.app.settings, broker_url=url))
        assert "canary" not in str(caught.value) + caught.value.advice


# -- the schedule


def test_four_schedulers_wake_each_of_sixty_once(world: World) -> None:
    accounts = [world.account, *(one_more(world, number) for number in range(59))]
    woken: Counter[str] = Counter()
    lock, start = threading.Lock(), threading.Barrier(4)

    def wake(account: str, _channel: Channel) -> None:
        with lock:
            woken[account] += 1

    def schedule() -> None:
        start.wait()
        tick(world.app, wake)

    threads = [threading.Thread(target=schedule) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert woken == dict.fromkeys(accounts, 1)


def one_more(world: World, number: int) -> str:
    return make_password_account(
        world.app, world.person, address=f"more{number}@mail.example", provider=f"more{number}"
    )


@pytest.mark.parametrize("state", ["paused", "needs_relink", "removing", "removed"])
def test_an_account_that_is_not_linked_is_never_woken(world: World, state: str) -> None:
    world.state(state)
    world.clock.advance(days=1)
    assert tick(world.app, lambda *_: None) == 0
    with pytest.raises(NeedsRelink if state == "needs_relink" else Conflict):
        request_now(world.app, world.account, Channel.MAIL, lambda *_: None)
    sync_now(world.app, world.account, "mail")
    assert world.runs() == []


def test_a_channel_that_was_not_granted_or_is_running_is_not_woken(world: World) -> None:
    world.change(granted=False)
    assert tick(world.app, lambda *_: None) == 0
    world.change(granted=True, lease_until=world.clock.now + timedelta(seconds=60))
    assert tick(world.app, lambda *_: None) == 0
    world.clock.advance(seconds=61)
    assert tick(world.app, lambda *_: None) == 1


def test_what_does_not_run_by_itself_runs_when_asked(world: World) -> None:
    world.change(auto=False, next_run_at=None)
    assert tick(world.app, lambda *_: None) == 0
    lost: list[tuple[str, Channel]] = []
    request_now(world.app, world.account, Channel.MAIL, lambda *which: lost.append(which))
    assert lost == [(world.account, Channel.MAIL)]
    with working(world.app) as wake:
        assert tick(world.app, wake) == 1
        finished(world, ["ok"])
    assert world.channel().next_run_at is None
    with pytest.raises(NotFound):
        request_now(world.app, world.account, Channel.CONTACTS, lambda *_: None)


# -- runs that do not end well


def test_a_bug_is_logged_without_mail_and_the_worker_lives_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = threading.Event()
    broken.set()

    def buggy(app: App, account: str, channel: Channel, *, trigger: str) -> Any:
        if broken.is_set():
            with monkeypatch.context() as patch:
                patch.setattr("sync.run.run_mail", fail)
                return run_sync(app, account, channel, trigger=trigger)
        return run_sync(app, account, channel, trigger=trigger)

    def fail(*_: object) -> None:
        raise KeyError(f"Subject: {SECRET_WORD}")

    monkeypatch.setattr("sync.jobs.run_sync", buggy)
    with structlog.testing.capture_logs() as logged, working(world.app, threads=1) as wake:
        tick(world.app, wake)
        finished(world, ["failed"])
        first = world.channel()
        broken.clear()
        world.clock.advance(seconds=1)
        wake(world.account, Channel.MAIL)
        finished(world, ["failed", "ok"])
    told = [entry for entry in logged if entry["event"] == "a run broke off"]
    assert [(entry["error"], entry["account"]) for entry in told] == [("KeyError", world.account)]
    assert told[0]["at"][-1].endswith(" fail")
    assert SECRET_WORD not in repr(logged)
    assert SECRET_WORD not in world.runs()[0].error
    assert first.failures == 1
    assert first.next_run_at is not None
    assert timedelta(seconds=600) <= first.next_run_at - world.clock.now <= timedelta(seconds=660)
    assert world.channel().failures == 0


def test_failures_in_a_row_wait_longer_and_longer(world: World) -> None:
    world.box.double.faults.arm(world.box.address, Fault.login_no("[UNAVAILABLE] Try again later"), times=None)
    waits = []
    for _ in range(8):
        sync_now(world.app, world.account, "mail")
        due = world.channel().next_run_at
        assert due is not None
        waits.append((due - world.clock.now).total_seconds())
        world.clock.now = due
    world.box.double.faults.clear()
    assert waits == sorted(waits)
    assert waits[-1] <= 6 * 3600 * 1.1
    sync_now(world.app, world.account, "mail")
    assert world.channel().failures == 0


def test_a_slice_goes_on_by_a_new_message_at_the_end_of_the_queue(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = iter(["continued", "continued", "ok"])
    done: list[str] = []

    def run(_app: App, account: str, _channel: str) -> str:
        done.append(account)
        return next(slices) if account == world.account else "ok"

    monkeypatch.setattr(jobs, "sync_now", run)
    broker, wake = collected(world.app)
    wake(world.account, Channel.MAIL)
    wake("the other one", Channel.MAIL)
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=20)
    worker.start()
    try:
        wait_until(lambda: len(done) == 4, "four slices")
    finally:
        worker.stop()
        broker.close()
    # dramatiq prefetches, so "the end" is behind what was there when the slice ended.
    assert done.index("the other one") < 3
    assert done.count(world.account) == 3


def test_a_slice_that_ends_because_the_process_stops_is_left_to_the_next_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.app.stopping.set()
    broker, wake = collected(world.app)
    monkeypatch.setattr(jobs, "sync_now", lambda *_: "continued")
    cast("Any", broker.get_actor("sync_channel"))(world.account, "mail")
    assert queued(broker) == []
    wake(world.account, Channel.MAIL)
    assert len(queued(broker)) == 1


# -- the whole service


@pytest.fixture
def big(double: GmailDouble, numbers: Iterator[int]) -> PlainBox:
    """A mailbox whose server takes its time."""
    box = plain_box(double, f"user{next(numbers)}@mail.example")
    for number in range(1_500):
        box.append("INBOX", make_mail(message_id=f"<{number}@big>"))
    double.faults.arm(box.address, Fault.drip(pause=0.02, size=2_048, on="FETCH"))
    return box


def test_the_service_stops_in_the_middle_of_a_sync_and_goes_on_at_the_next_start(tmp_path: Path, big: PlainBox) -> None:
    app = make_app(tmp_path, clock=TestClock(utc_now()))
    account = make_password_account(app, make_user(app), imap=big.endpoint, address=big.address, password=big.password)
    sent = count_bodies(big.double, big.address)

    def stored() -> int:
        with app.db.reading() as session:
            return session.scalar(select(func.count()).select_from(MessageRow)) or 0

    with serving(app) as process:
        wait_until(lambda: stored() > 0, "the first messages")
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(20) == 0
        assert time.monotonic() - began < 10
    before = stored()
    assert 0 < before < 1_500
    with app.db.reading() as session:
        assert session.get_one(ChannelRow, (account, "mail")).lease_until is None
        assert "running" not in session.scalars(select(RunRow.outcome)).all()
    big.double.faults.clear(big.address)
    with serving(app) as process:
        wait_until(lambda: stored() == 1_500, "all messages")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    app.close()
    # What was on its way when the process stopped, at most a few windows, may be asked for again; nothing stored is.
    assert sum(count > 1 for count in sent.values()) <= 1_500 - before
    assert max(sent.values()) <= 2
    reopened = build_app(app.settings)
    with reopened.db.reading() as session:
        ids = session.scalars(select(MessageRow.message_id)).all()
        outcomes = session.scalars(select(RunRow.outcome).order_by(RunRow.started_at)).all()
    reopened.close()
    assert len(ids) == len(set(ids))
    assert "failed" not in outcomes
