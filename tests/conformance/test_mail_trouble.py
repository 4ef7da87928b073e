"""The mail channel in trouble: limits, poison, lost connections, lost leases, tokens; and on the other database.
The servers are those of test_mail_channel.py; crashes are tests/integration/test_mail_crash.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import func, select, update

from core.errors import NeedsRelink, SkipRun
from core.secret import Secret
from core.types import Channel
from models.accounts import AccountRow
from models.content import MessageRow
from models.syncing import QuarantineRow, RunRow
from sandbox.clock import SandboxClock
from sandbox.gmail import Fault, GmailDouble
from sandbox.google import GoogleDouble
from sync import mail_fill
from sync.accounts import pause
from sync.app import utc_now
from sync.lease import take_lease
from sync.mail_run import MailRun
from sync.registry import ProviderChange, save_provider
from tests.conformance.channel_world import (
    BARE,
    GMAIL,
    PLAIN,
    QRESYNC,
    World,
    make_world,
    small_windows,
)
from tests.conformance.mail_source import DOVECOTS, Kind, Servers
from tests.support.app_factory import TestClock, make_app, make_user
from tests.support.fault_proxy import FaultProxy, Faults, Flow
from tests.support.google_link import CLIENT_ID, CLIENT_SECRET, link_google
from tests.support.mail_factory import make_mail
from tests.support.mail_servers import DovecotBox, GmailBox, MailServer
from tests.support.mail_sync import Linked, Template, link

# -- limits, and messages that cannot be had


@pytest.mark.parametrize("kind", [GMAIL, PLAIN, DOVECOTS[0]], ids=str)
def test_the_daily_budget_stops_a_run_until_tomorrow(
    kind: Kind, mail_servers: Servers, mail_template: Template
) -> None:
    for world in make_world(kind, mail_servers, mail_template, mail_daily_bytes=60_000):
        world.add(60, text="word " * 400)
        assert world.linked.run().outcome == "throttled"
        stored = world.linked.rows(MessageRow)
        assert 0 < stored < 60
        due = world.linked.channel().next_run_at
        assert due is not None
        assert due >= datetime(2026, 3, 3, tzinfo=UTC)
        assert world.linked.run().outcome == "throttled"
        assert world.linked.rows(MessageRow) == stored
        assert world.linked.state() == "linked"
        for _ in range(4):
            world.linked.clock.advance(days=1)
            world.linked.run()
        world.linked.same_as_server()


def test_a_message_the_server_cannot_give_is_set_aside_and_asked_for_again(
    sandboxed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_fill, "WINDOW", 16)
    sandboxed.add(70)
    sandboxed.double.faults.arm(sandboxed.box.address, Fault.system_error(uid=9), times=None)
    report = sandboxed.linked.run()
    assert report.outcome == "partial"
    assert report.counts == {"new": 69, "set aside": 1}
    with sandboxed.linked.app.db.reading() as session:
        row = session.scalars(select(QuarantineRow)).one()
    assert (row.uid, row.attempts) == (9, 1)
    assert "System Error" in row.reason
    # Only the window of the poisoned one was asked for again, in halves.
    assert sandboxed.bodies() <= 69 + 2 * 16
    before = sandboxed.bodies()
    assert sandboxed.linked.run().outcome == "partial"
    assert sandboxed.bodies() == before, "too early to ask again"
    sandboxed.linked.clock.advance(hours=2)
    sandboxed.linked.run()
    with sandboxed.linked.app.db.reading() as session:
        assert session.scalars(select(QuarantineRow.attempts)).one() == 2
    sandboxed.double.faults.clear(sandboxed.box.address)
    sandboxed.linked.clock.advance(hours=5)
    sandboxed.linked.run_clean()
    sandboxed.linked.same_as_server()
    assert sandboxed.linked.rows(QuarantineRow) == 0


def test_a_poisoned_message_that_arrives_later_stops_nothing(sandboxed: World) -> None:
    sandboxed.add(5)
    sandboxed.linked.run_clean()
    sandboxed.box.move(sandboxed.box.main, 2, sandboxed.box.other)
    sandboxed.box.move(sandboxed.box.main, 3, sandboxed.box.other)
    sandboxed.linked.run_clean()
    sandboxed.box.expunge(sandboxed.box.other, 1)  # stored, but in no folder: new mail is looked up first
    sandboxed.add(4, 20)
    sandboxed.double.faults.arm(sandboxed.box.address, Fault.system_error(uid=7), times=None)
    report = sandboxed.linked.run()
    assert report.outcome == "partial", report
    assert report.counts["new"] == 3
    assert report.counts["set aside"] == 1
    sandboxed.double.faults.clear(sandboxed.box.address)
    sandboxed.linked.clock.advance(hours=2)
    sandboxed.linked.run_clean()
    sandboxed.linked.same_as_server()


def test_a_server_that_refuses_a_whole_folder_loses_no_message(sandboxed: World) -> None:
    sandboxed.add(5)
    sandboxed.double.faults.arm(sandboxed.box.address, Fault.no("[OVERQUOTA] Account exceeded", on="UID FETCH"))
    assert sandboxed.linked.run().outcome == "throttled"
    assert sandboxed.linked.rows(QuarantineRow) == 0
    sandboxed.linked.run_clean()
    sandboxed.linked.same_as_server()


def test_too_many_connections_pauses_the_channel_only(sandboxed: World) -> None:
    sandboxed.double.faults.arm(sandboxed.box.address, Fault.too_many_connections())
    report = sandboxed.linked.run()
    assert report.outcome == "throttled"
    assert sandboxed.linked.state() == "linked"
    assert sandboxed.linked.channel().failures == 0
    assert sandboxed.linked.run_clean()


# -- connections that break


@pytest.mark.parametrize("kind", [PLAIN, DOVECOTS[0]], ids=str)
def test_a_cut_connection_goes_on_where_it_stopped(
    kind: Kind, mail_servers: Servers, mail_template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_windows(monkeypatch)
    box = mail_servers.box(kind)
    _, port, security = box.endpoint
    with FaultProxy(port) as proxy:
        proxied = cast("MailServer", _Proxied(box, ("localhost", proxy.port, security)))
        linked = mail_template.link(proxied, ca_file=mail_servers.tls.ca)
        world = World(kind, box, linked, mail_servers)
        world.add(30, text="word " * 300)
        cut = 0

        def watch(run: MailRun) -> None:
            nonlocal cut
            if run.done and run.done // 6 > cut:
                cut = run.done // 6
                proxy.sever()

        for _ in range(6):
            report = linked.run(watch)
            if report.outcome == "ok":
                break
            assert report.outcome == "failed", report
        assert cut >= 3
        assert proxy.traffic.connections >= 4
        linked.same_as_server()
        assert linked.rows(MessageRow) == 30
        if not kind.dovecot:
            assert world.bodies() - 30 <= cut * 5 * 3
        proxy.use(Faults(to_client=Flow(limit=700)))
        world.add(1, 90)
        assert linked.run().outcome == "failed"
        assert linked.state() == "linked"
        proxy.use(Faults())
        linked.run_clean()
        linked.same_as_server()
        mail_template.drop(linked)


class _Proxied:
    """A box that is reached through another port."""

    def __init__(self, box: MailServer, endpoint: tuple[str, int, str]) -> None:
        self.box, self.endpoint = box, endpoint

    def __getattr__(self, name: str) -> object:
        return getattr(self.box, name)


@pytest.mark.parametrize("size", [0, 60, 200, 300, 1_000, 3_000])
def test_a_connection_cut_at_any_byte_unlinks_nobody(sandboxed: World, size: int) -> None:
    sandboxed.add(12)
    sandboxed.double.faults.arm(sandboxed.box.address, Fault.cut_after(size))
    sandboxed.linked.run()
    assert sandboxed.linked.state() == "linked"
    sandboxed.linked.run_clean()
    sandboxed.linked.same_as_server()


def test_a_server_out_of_order_unlinks_nobody(sandboxed: World) -> None:
    refusal = "[UNAVAILABLE] Temporary authentication failure."
    sandboxed.double.faults.arm(sandboxed.box.address, Fault.login_no(refusal))
    assert sandboxed.linked.run().outcome == "failed"
    assert sandboxed.linked.state() == "linked"
    sandboxed.linked.run_clean()


# -- the right to run


def test_an_account_paused_while_it_runs_stops_at_the_next_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small_windows(monkeypatch)
    world.add(12)
    stored: list[int] = []

    def watch(run: MailRun) -> None:
        if run.done and not stored:
            stored.append(world.linked.rows(MessageRow))
            with run.app.db.reading() as session:
                workspace = session.get_one(AccountRow, world.linked.account_id).workspace_id
            pause(run.app, workspace, world.linked.account_id)

    assert world.linked.run(watch).outcome == "stopped"
    assert [world.linked.rows(MessageRow)] == stored
    assert world.linked.state() == "paused"
    with world.linked.app.db.transaction() as session:
        session.execute(update(AccountRow).values(state="linked"))
    world.linked.run_clean()
    world.linked.same_as_server()


def test_a_run_that_was_overtaken_writes_nothing_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small_windows(monkeypatch)
    world.add(12)
    frozen: list[object] = []

    def watch(run: MailRun) -> None:
        if run.done and not frozen:
            world.linked.clock.advance(seconds=run.app.settings.lease_seconds + 1)
            taken = take_lease(run.app, world.linked.account_id, Channel.MAIL, trigger="manual")
            with run.app.db.reading() as session:
                frozen.extend((taken, world.linked.tables(), vars(session.get_one(RunRow, taken.run_id))["outcome"]))

    assert world.linked.run(watch).outcome == "stopped"
    assert world.linked.tables() == frozen[1]
    with pytest.raises(SkipRun):
        world.linked.run()
    assert frozen[2] == "running"
    assert world.linked.last_run().outcome == "running", "the new run is not the old one's to end"
    world.linked.clock.advance(minutes=2)
    world.linked.run_clean()
    world.linked.same_as_server()


def test_a_slice_ends_in_time_and_the_next_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small_windows(monkeypatch)
    world.add(20)

    def watch(run: MailRun) -> None:
        if run.done:
            world.linked.clock.advance(seconds=run.app.settings.slice_seconds)

    outcomes = [world.linked.run(watch).outcome for _ in range(3)]
    assert outcomes[0] == "continued"
    assert world.linked.channel().next_run_at == world.linked.clock.now
    world.linked.run_clean()
    world.linked.same_as_server()
    if not world.kind.dovecot:
        # What was on the wire when a slice ended is asked for again.
        assert world.bodies() <= 20 + 2 * 3


# -- tokens


@dataclass(frozen=True)
class Tokens:
    """An account linked with OAuth 2.0: Google's double gives the tokens, a server takes them."""

    google: GoogleDouble
    linked: Linked
    box: MailServer
    clock: TestClock


@pytest.fixture(params=[GMAIL, DOVECOTS[1]], ids=str)
def tokens(request: pytest.FixtureRequest, mail_servers: Servers, tmp_path: Path) -> Iterator[Tokens]:
    clock = TestClock(utc_now())
    google = mail_servers.google
    kind = request.param
    address = f"token{next(mail_servers.numbers)}@mail.example"
    google.users.add(address, "Ann")
    box: MailServer
    if kind.dovecot:
        box = DovecotBox(mail_servers.dovecot(kind), address)
        yield from _tokens(google, box, clock, tmp_path, mail_servers)
        return

    def check(token: str) -> tuple[str, datetime] | None:
        info = google.token_active(token)
        return None if info is None or google.mail_user(token) is None else (info.email, info.expires_at)

    double = GmailDouble(
        check_token=check, certfile=mail_servers.tls.certificate, keyfile=mail_servers.tls.key, clock=SandboxClock()
    )
    with double:
        box = GmailBox(double, address, host="localhost")
        double.add_user(address)
        yield from _tokens(google, box, clock, tmp_path, mail_servers)


def _tokens(
    google: GoogleDouble, box: MailServer, clock: TestClock, folder: Path, servers: Servers
) -> Iterator[Tokens]:
    app = make_app(folder, clock=clock, google_base_url=google.base_url, ca_file=servers.tls.ca)
    person = make_user(app)
    if google.clients.find(CLIENT_ID) is None:
        google.clients.add("desktop", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    imap = dict(zip(("host", "port", "security"), box.endpoint, strict=True))
    change = ProviderChange({"imap": imap}, client_id=CLIENT_ID, client_secret=Secret(CLIENT_SECRET))
    save_provider(app, person.workspace_id, "gmail", change, create=False)
    account = link_google(app, google, person, box.address)
    yield Tokens(google, Linked(app, account.id, clock, box), box, clock)
    app.close()


def test_a_token_that_ran_out_is_renewed_and_the_run_goes_on(tokens: Tokens) -> None:
    tokens.box.append(tokens.box.main, make_mail())
    tokens.linked.run_clean()
    tokens.google.expire_access_tokens(tokens.box.address)
    tokens.box.append(tokens.box.main, make_mail(message_id="<two@t>"))
    assert tokens.linked.run_clean().counts["new"] == 1
    tokens.linked.same_as_server()


def test_a_revoked_grant_is_told_once_and_takes_nothing_away(tokens: Tokens) -> None:
    tokens.box.append(tokens.box.main, make_mail())
    tokens.linked.run_clean()
    before = {name: rows for name, rows in tokens.linked.tables().items() if name in ("messages", "locations", "packs")}
    tokens.google.revoke_user(tokens.box.address)
    report = tokens.linked.run()
    assert report.outcome == "needs_relink"
    assert report.advice
    assert tokens.linked.state() == "needs_relink"
    assert tokens.linked.channel().next_run_at is None
    calls = sum(tokens.google.calls.values())
    with pytest.raises(NeedsRelink):
        tokens.linked.run()
    assert sum(tokens.google.calls.values()) == calls, "a dead grant is not tried again"
    after = tokens.linked.tables()
    assert {name: after[name] for name in before} == before


def test_a_grant_revoked_in_the_middle_of_a_run_stops_it(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    small_windows(monkeypatch)
    for number in range(12):
        tokens.box.append(tokens.box.main, make_mail(message_id=f"<{number}@t>"))
    revoked: list[int] = []

    def watch(run: MailRun) -> None:
        if run.done and not revoked:
            revoked.append(run.done)
            tokens.google.revoke_user(tokens.box.address)
            _end_sessions(tokens)

    assert tokens.linked.run(watch).outcome == "needs_relink"
    assert tokens.linked.state() == "needs_relink"
    with tokens.linked.app.db.reading() as session:
        assert (session.scalar(select(func.count()).select_from(MessageRow)) or 0) >= revoked[0]


def test_google_out_of_order_unlinks_nobody(tokens: Tokens) -> None:
    tokens.google.expire_access_tokens(tokens.box.address)
    tokens.google.faults.next("/token", status=503, json={"error": "internal_failure"}, times=3)
    assert tokens.linked.run().outcome in ("failed", "throttled")
    assert tokens.linked.state() == "linked"
    tokens.google.faults.clear()
    tokens.linked.run_clean()


def _end_sessions(tokens: Tokens) -> None:
    """The server closes what the revoked token opened."""
    if isinstance(tokens.box, GmailBox):
        tokens.box.double.kick(tokens.box.address, "Session expired, please login again.")
    elif isinstance(tokens.box, DovecotBox):
        tokens.box.server.doveadm("kick", tokens.box.address)


# -- the other database


@pytest.mark.parametrize("kind", [GMAIL, QRESYNC, BARE], ids=str)
def test_the_same_holds_on_postgresql(kind: Kind, mail_servers: Servers, postgres_url: str, tmp_path: Path) -> None:
    clock = TestClock()
    app = make_app(tmp_path, clock=clock, database_url=postgres_url, ca_file=mail_servers.tls.ca)
    box = mail_servers.box(kind)
    linked = link(app, box, clock)
    world = World(kind, box, linked, mail_servers)
    try:
        world.add(40)
        world.add(1, 60, text="A long text.\n" * 5_000)
        world.linked.run_clean()
        world.linked.same_as_server()
        before = world.linked.tables()
        world.linked.run_clean()
        assert world.linked.tables() == before
        box.move(box.main, 7, box.other)
        box.set_flags(box.main, 9, ["\\Seen"])
        box.expunge(box.main, 11)
        world.linked.run_clean()
        world.linked.same_as_server()
        box.bump_uidvalidity(box.main)
        world.linked.run_clean()
        world.linked.same_as_server()
        assert world.bodies() == 41
    finally:
        app.close()
