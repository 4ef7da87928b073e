"""/healthz, /readyz and /metrics of a running process: what they tell, when they say no, and what they never hold."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from sqlalchemy import text, update
from starlette.applications import Starlette
from starlette.routing import Route

from cli.health import health_routes, metrics_text, observed
from cli.web_server import listening
from core.errors import LeaseLost, Misconfigured, Transient
from core.metrics import CALLS, LEASE_LOSSES, QUEUE_AGE, RUNS, TAKEOVERS, TURNS, WAKEUPS
from core.types import Channel
from models.accounts import AccountRow
from models.db import Database
from models.syncing import ChannelRow
from sandbox.gmail import GmailDouble, PlainProfile
from sync.app import App
from sync.jobs import sync_now
from sync.lease import take_lease
from sync.parser_pool import ParserPool
from sync.readiness import check_broker, unready
from sync.run import run_sync
from tests.integration.test_jobs import working
from tests.support.app_factory import TestClock, make_app, make_key, make_password_account, make_settings, make_user
from tests.support.mail_factory import make_mail
from tests.support.mail_servers import PlainBox, plain_box
from tests.support.mail_sync import InProcessPool
from tests.support.ports import free_port
from tests.support.processes import wait_until

CANARIES = ("ann@mail.example", "ann@crm.example", "a test password", "Secret subject")


@pytest.fixture(scope="module")
def double() -> Iterator[GmailDouble]:
    with GmailDouble(profile=PlainProfile(), tls=False, smtp=False) as double:
        yield double


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = replace(make_app(tmp_path, clock=TestClock()), parsers=cast("ParserPool", InProcessPool()))
    yield app
    app.close()


def clock_of(app: App) -> TestClock:
    return cast("TestClock", app.clock)


def link(app: App, box: PlainBox | None = None) -> str:
    if box is None:
        return make_password_account(app, make_user(app))
    return make_password_account(app, make_user(app), imap=box.endpoint, address=box.address, password=box.password)


def change(app: App, **values: object) -> None:
    with app.db.transaction() as session:
        session.execute(update(ChannelRow).values(**values))


def number(app: App, line: str) -> float:
    """The value of one line of /metrics."""
    found = re.search(rf"^{re.escape(line)} (\S+)$", metrics_text(app), re.MULTILINE)
    assert found, line
    return float(found[1])


# -- what the database says


def test_accounts_and_channels_are_counted_by_state(app: App) -> None:
    link(app)
    assert number(app, 'twinbox_accounts{state="linked"}') == 1
    assert number(app, 'twinbox_channels{channel="mail",state="ok"}') == 1
    with app.db.transaction() as session:
        session.execute(update(AccountRow).values(state="needs_relink"))
    assert number(app, 'twinbox_accounts{state="linked"}') == 0
    assert number(app, 'twinbox_accounts{state="needs_relink"}') == 1
    assert number(app, 'twinbox_channels{channel="mail",state="ok"}') == 0


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"granted": False, "failures": 2}, "not_granted"),
        ({"held": {"text": "..."}, "last_outcome": "held"}, "held"),
        ({"last_outcome": "misconfigured", "failures": 1}, "misconfigured"),
        ({"last_outcome": "failed", "failures": 1}, "failing"),
        ({"last_outcome": "partial"}, "ok"),
    ],
)
def test_a_channel_is_in_the_state_of_whoever_must_act(app: App, values: dict[str, object], state: str) -> None:
    link(app)
    change(app, **values)
    states = dict(
        re.findall(r'^twinbox_channels\{channel="mail",state="(\w+)"\} (\d)$', metrics_text(app), re.MULTILINE)
    )
    assert {name for name, count in states.items() if count == "1"} == {state}


def test_the_lag_is_that_of_the_longest_overdue_channel_nobody_has_in_hand(app: App) -> None:
    account = link(app)
    clock_of(app).advance(seconds=90)
    assert (number(app, "twinbox_channels_due"), number(app, "twinbox_due_lag_seconds")) == (1, 90)
    take_lease(app, account, Channel.MAIL, trigger="schedule")
    assert (number(app, "twinbox_channels_due"), number(app, "twinbox_due_lag_seconds")) == (0, 0)
    assert number(app, 'twinbox_channels_running{channel="mail"}') == 1
    clock_of(app).advance(seconds=61)  # the worker died
    assert number(app, 'twinbox_channels_running{channel="mail"}') == 0
    assert number(app, "twinbox_due_lag_seconds") == 151


def test_a_channel_is_stale_after_three_periods_without_success(app: App) -> None:
    link(app)
    change(app, period_s=600, last_success_at=clock_of(app).now)
    stale = 'twinbox_channels_stale{channel="mail"}'
    clock_of(app).advance(seconds=1_800)
    assert number(app, stale) == 0
    clock_of(app).advance(seconds=1)
    assert number(app, stale) == 1
    for waiting in ({"auto": False}, {"granted": False}, {"held": {"text": "..."}}):
        change(app, **waiting)
        assert number(app, stale) == 0
        change(app, auto=True, granted=True, held=None)
    change(app, last_success_at=None)  # never, since it was linked
    assert number(app, stale) == 1


def test_a_short_period_is_not_stale_while_a_long_run_goes_on(app: App) -> None:
    link(app)
    change(app, period_s=60, last_success_at=clock_of(app).now - timedelta(minutes=14))
    assert number(app, 'twinbox_channels_stale{channel="mail"}') == 0
    clock_of(app).advance(minutes=2)
    assert number(app, 'twinbox_channels_stale{channel="mail"}') == 1


def test_numbers_of_the_process_are_told_although_the_database_is_away(app: App) -> None:
    app.metrics.call("imap", "OK")
    away = replace(app, db=Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing"))
    assert number(away, "twinbox_database_up") == 0
    assert number(away, 'twinbox_provider_calls_total{service="imap",code="OK"}') == 1
    assert "twinbox_accounts{" not in metrics_text(away)


# -- what happens in the process


def test_a_run_is_counted_with_its_outcome_its_duration_and_the_calls_it_made(app: App, double: GmailDouble) -> None:
    box = plain_box(double, "counted@mail.example")
    box.append("INBOX", make_mail(message_id="<1@x>"))
    assert run_sync(app, link(app, box), Channel.MAIL).outcome == "ok"
    assert app.metrics.value(RUNS, "mail", "ok") == 1
    assert number(app, 'twinbox_run_seconds_count{channel="mail"}') == 1
    assert app.metrics.value(CALLS, "imap", "signed in") >= 1
    assert app.metrics.value(CALLS, "imap", "OK") >= 3


def test_a_refused_password_is_counted(app: App, double: GmailDouble) -> None:
    box = plain_box(double, "refused@mail.example")
    account = link(app, replace(box, password="wrong"))
    assert run_sync(app, account, Channel.MAIL).outcome == "needs_relink"
    assert app.metrics.value(RUNS, "mail", "needs_relink") == 1
    assert app.metrics.value(CALLS, "imap", "sign-in refused") == 1
    assert app.metrics.value(CALLS, "imap", "signed in") == 0


def test_a_run_taken_over_is_counted_by_the_one_that_lost_it_and_the_one_that_took_it(
    app: App, double: GmailDouble
) -> None:
    box = plain_box(double, "overtaken@mail.example")
    box.append("INBOX", make_mail(message_id="<1@x>"))
    account = link(app, box)
    app = replace(app, settings=replace(app.settings, slice_seconds=3_600))

    def overtake(_run: Any) -> None:
        if not app.metrics.value(TAKEOVERS, "mail"):
            clock_of(app).advance(seconds=61)
            take_lease(app, account, Channel.MAIL, trigger="schedule")

    assert run_sync(app, account, Channel.MAIL, watch=overtake).outcome == "stopped"
    assert app.metrics.value(LEASE_LOSSES, "mail") == 1
    assert app.metrics.value(TAKEOVERS, "mail") == 1


def test_a_paused_account_is_no_lost_lease(app: App) -> None:
    account = link(app)
    lease = take_lease(app, account, Channel.MAIL, trigger="manual")
    with app.db.transaction() as session:
        session.execute(update(AccountRow).values(state="paused"))
    with pytest.raises(LeaseLost), app.db.transaction() as session:
        lease.renew(session)
    assert app.metrics.value(LEASE_LOSSES, "mail") == 0


def test_wake_ups_are_counted_and_messages_tell_how_long_they_lay(app: App) -> None:
    account = link(app)
    with working(app) as wake:
        wake(account, Channel.MAIL)
        wait_until(lambda: QUEUE_AGE.name + "_count 1" in metrics_text(app), "the message")
    assert app.metrics.value(WAKEUPS, "mail") == 1


def test_a_bug_in_a_run_is_counted(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    account = link(app)

    def broken(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("sync.jobs.run_sync", broken)
    assert sync_now(app, account, "mail") == "failed"
    assert number(app, 'twinbox_runs_broken_off_total{channel="mail"}') == 1


# -- ready and healthy


def test_a_process_is_not_ready_before_the_database_is_migrated(app: App) -> None:
    assert unready(app) == {}
    with app.db.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert unready(app)["database"].advice == "Run `twinbox migrate`."


def test_a_process_is_not_ready_without_its_broker(app: App) -> None:
    for scheme in ("amqp", "redis"):
        url = f"{scheme}://user:a-password@127.0.0.1:{free_port()}/"
        missing = unready(replace(app, settings=replace(app.settings, broker_url=url)))
        assert list(missing) == ["broker"]
        assert isinstance(missing["broker"], Transient)
        assert "a-password" not in str(missing["broker"])


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["rabbitmq", "redis"])
def test_a_broker_that_answers_is_ready(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    url = str(request.getfixturevalue(f"{kind}_url"))
    check_broker(make_settings(tmp_path, broker_url=url))
    wrong = url.replace("//", "//nobody:wrong@", 1) if "@" not in url else re.sub(r"//.*@", "//nobody:wrong@", url)
    with pytest.raises(Transient):
        check_broker(make_settings(tmp_path, broker_url=wrong))


def get(app: App, path: str, **options: Any) -> httpx2.Response:
    """Ask over a real socket."""
    routes = health_routes(app, **{"schedules": False} | options)
    with listening("127.0.0.1:0", "TWINBOX_METRICS_LISTEN", routes) as port:
        return httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=20)


def test_the_answers_over_http(app: App) -> None:
    link(app)
    assert (get(app, "/healthz").status_code, get(app, "/healthz").json()) == (200, {"healthy": True})
    assert (get(app, "/readyz").status_code, get(app, "/readyz").json()) == (200, {"ready": True, "missing": []})
    answer = get(app, "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'twinbox_accounts{state="linked"} 1' in answer.text
    assert get(app, "/").status_code == 404


def test_what_is_missing_is_named_over_http_and_told_in_the_log_only(app: App) -> None:
    url = f"redis://:a-password@127.0.0.1:{free_port()}/"
    answer = get(replace(app, settings=replace(app.settings, broker_url=url)), "/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "missing": ["broker"]})


def test_nothing_over_http_names_anybody(app: App, double: GmailDouble) -> None:
    box = plain_box(double, "ann@mail.example")
    box.append("INBOX", make_mail(message_id="<1@x>", subject="Secret subject"))
    account = link(app, box)
    run_sync(app, account, Channel.MAIL)
    told = "".join(get(app, path).text for path in ("/healthz", "/readyz", "/metrics"))
    assert [word for word in (*CANARIES, account, box.password, "mail.example") if word in told] == []


def test_a_scheduler_whose_loop_stands_still_is_ill(app: App) -> None:
    time = [1_000.0]
    routes = health_routes(app, schedules=True, monotonic=lambda: time[0])
    assert healthy(routes)
    time[0] += 121
    assert not healthy(routes)
    app.metrics.count(TURNS)
    assert healthy(routes)
    time[0] += 119
    assert healthy(routes)
    assert healthy(health_routes(app, schedules=False, monotonic=lambda: time[0]))


def healthy(routes: list[Route]) -> bool:
    from starlette.testclient import TestClient

    with TestClient(Starlette(routes=routes)) as client:
        return client.get("/healthz").status_code == 200


# -- listening


def test_nothing_listens_unless_it_is_told_to(app: App) -> None:
    with observed(app, schedules=True) as port:
        assert port == 0


def test_a_port_that_is_taken_is_told_with_its_setting(app: App) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        settings = replace(app.settings, metrics_listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Misconfigured) as caught, observed(replace(app, settings=settings), schedules=True):
            pass
    assert "TWINBOX_METRICS_LISTEN" in caught.value.advice


def test_the_service_answers_while_it_runs(app: App) -> None:
    address = f"127.0.0.1:{free_port()}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TWINBOX_")} | {
        "TWINBOX_DATA_DIR": str(app.settings.data_dir),
        "TWINBOX_KEYS": make_key(),
        "TWINBOX_METRICS_LISTEN": address,
    }
    process = subprocess.Popen([sys.executable, "-m", "cli.main", "serve"], env=environment, stderr=subprocess.PIPE)

    def turning() -> bool:
        try:
            told = httpx2.get(f"http://{address}/metrics", trust_env=False).text
        except httpx2.TransportError:
            return False
        return re.search(r"^twinbox_scheduler_turns_total [1-9]", told, re.MULTILINE) is not None

    try:
        wait_until(turning, "the scheduler")
        assert httpx2.get(f"http://{address}/readyz", trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        _, errors = process.communicate()
    assert b"Traceback" not in errors
