"""`twinbox doctor`: each thing that can be wrong is named with what to do about it, and looking changes nothing."""

from __future__ import annotations

import hashlib
import os
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update

from core.settings import Settings
from core.types import Channel
from models.accounts import AccountRow
from models.syncing import ChannelRow, RunRow
from sync.app import App, build_app
from sync.doctor import Finding, Level, examine
from sync.lease import take_lease
from tests.support.app_factory import TestClock, make_app, make_key, make_password_account, make_settings, make_user
from tests.support.cli_run import Terminal
from tests.support.ports import free_port

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024  # as shutil.disk_usage answers


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def app(tmp_path: Path, clock: TestClock) -> Iterator[App]:
    app = make_app(tmp_path, clock=clock, keys="")
    yield app
    app.close()


def look(settings: Settings, clock: TestClock | None = None) -> list[Finding]:
    return list(examine(settings, build=lambda given: build_app(given, clock=clock or TestClock())))


def found(findings: list[Finding], check: str) -> Finding:
    (one,) = [finding for finding in findings if finding.check == check]
    return one


def bad(findings: list[Finding]) -> dict[str, Level]:
    return {finding.check: finding.level for finding in findings if finding.level is not Level.OK}


def change(app: App, **values: object) -> None:
    with app.db.transaction() as session:
        session.execute(update(ChannelRow).values(**values))


def link(app: App) -> str:
    return make_password_account(app, make_user(app))


# -- well


def test_a_sound_installation_has_nothing_to_mend(app: App, clock: TestClock) -> None:
    link(app)
    findings = look(app.settings, clock)
    assert bad(findings) == {}
    assert [finding.check for finding in findings] == [
        "data folder",
        "disk",
        "broker",
        "database",
        "integrity",
        "keys",
        "clock",
        "schedule",
        "freshness",
        "accounts",
    ]
    assert found(findings, "keys").text == "all 1 stored secrets open"


def test_looking_changes_no_file(app: App, clock: TestClock) -> None:
    link(app)
    app.close()
    before = snapshot(app.settings.data_dir)
    look(app.settings, clock)
    assert snapshot(app.settings.data_dir) == before


def test_looking_makes_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    findings = look(make_settings(tmp_path, keys=""))
    assert found(findings, "data folder").advice == "Run `twinbox init`."
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "data").mkdir(mode=0o700)
    assert bad(look(make_settings(tmp_path, keys=""))) == {"keys": Level.PROBLEM}
    assert bad(look(make_settings(tmp_path))) == {"database": Level.PROBLEM}
    assert list((tmp_path / "data").iterdir()) == []


def snapshot(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode) for path in folder.iterdir()
    }


# -- ill


def test_a_data_folder_that_others_may_enter_is_told(app: App, clock: TestClock) -> None:
    app.settings.data_dir.chmod(0o755)
    finding = found(look(app.settings, clock), "data folder")
    assert (finding.level, "chmod 700" in finding.advice) == (Level.WARNING, True)


def test_a_data_folder_of_another_user_is_told(app: App, clock: TestClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert bad(look(app.settings, clock)) == {"data folder": Level.PROBLEM}


@pytest.mark.parametrize(("free", "level"), [(100_000_000, Level.PROBLEM), (1_000_000_000, Level.WARNING)])
def test_little_free_space_is_told(
    app: App, clock: TestClock, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10**12, 10**12 - free, free))
    assert bad(look(app.settings, clock)) == {"disk": level}


def test_keys_that_others_may_read_are_told(app: App, clock: TestClock) -> None:
    (app.settings.data_dir / "keys.txt").chmod(0o644)
    finding = found(look(app.settings, clock), "start")
    assert (finding.level, "chmod 600" in finding.advice) == (Level.PROBLEM, True)


def test_secrets_that_no_key_opens_are_told(app: App, clock: TestClock) -> None:
    link(app)
    finding = found(look(replace(app.settings, keys=make_key("another")), clock), "keys")
    assert finding.level is Level.PROBLEM
    assert finding.text.startswith("1 of 1 stored secrets do not open (1 with k")
    assert "missing key" in finding.advice


def test_secrets_under_an_older_key_are_no_problem_but_told(app: App, clock: TestClock) -> None:
    link(app)
    path = app.settings.data_dir / "keys.txt"
    path.write_text(f"{make_key('newer')}\n{path.read_text()}")
    finding = found(look(app.settings, clock), "keys")
    assert (finding.level, finding.text) == (Level.OK, "all 1 stored secrets open, 1 still with an older key")


def test_a_database_of_an_older_layout_is_told_and_left_so(app: App, clock: TestClock) -> None:
    with app.db.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    findings = look(app.settings, clock)
    assert bad(findings) == {"database": Level.PROBLEM}
    assert found(findings, "database").advice == "Run `twinbox migrate`."
    with app.db.reading() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "0001"


def test_a_damaged_database_is_told(app: App, clock: TestClock) -> None:
    link(app)
    app.close()
    path = app.settings.data_dir / "twinbox.db"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200_000] = b"\xff" * len(data[middle : middle + 200_000])
    path.write_bytes(data)
    findings = look(app.settings, clock)
    assert Level.PROBLEM in {finding.level for finding in findings if finding.check in ("database", "integrity")}
    path.write_bytes(b"no database" * 1_000)
    assert found(look(app.settings, clock), "database").level is Level.PROBLEM


def test_rows_that_belong_to_nothing_are_told(app: App, clock: TestClock) -> None:
    link(app)
    with app.db.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA foreign_keys=OFF")
        driver.execute("DELETE FROM workspaces")
        driver.execute("PRAGMA foreign_keys=ON")
    finding = found(look(app.settings, clock), "integrity")
    assert (finding.level, "belong to nothing" in finding.text) == (Level.PROBLEM, True)


def test_a_broker_that_is_away_is_told_without_its_password(app: App, clock: TestClock) -> None:
    settings = replace(app.settings, broker_url=f"amqp://user:a-password@127.0.0.1:{free_port()}/")
    finding = found(look(settings, clock), "broker")
    assert (finding.level, "a-password" in str(finding)) == (Level.PROBLEM, False)


def test_a_clock_that_went_back_is_told(app: App, clock: TestClock) -> None:
    account = link(app)
    take_lease(app, account, Channel.MAIL, trigger="schedule")
    clock.advance(minutes=-5)
    finding = found(look(app.settings, clock), "clock")
    assert (finding.level, finding.text) == (Level.PROBLEM, "this machine's clock is 300 s behind the latest run")
    clock.advance(minutes=5, days=300)  # nothing ran for long: no fault of the clock
    assert found(look(app.settings, clock), "clock").level is Level.OK


@pytest.mark.servers
def test_the_clock_of_a_database_server_is_compared(postgres_url: str, tmp_path: Path) -> None:
    for seconds, level in ((0, Level.OK), (10, Level.WARNING), (-10, Level.WARNING), (90, Level.PROBLEM)):
        clock = TestClock(datetime.now(UTC) + timedelta(seconds=seconds))
        app = make_app(tmp_path, clock=clock, database_url=postgres_url)
        findings = look(app.settings, clock)
        app.close()
        assert found(findings, "clock").level is level
        assert found(findings, "integrity").text == "left to the database server"
        assert found(findings, "disk").level is Level.OK


@pytest.mark.servers
def test_a_database_server_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://user:a-password@127.0.0.1:{free_port()}/twinbox"
    findings = look(make_settings(tmp_path, database_url=url))
    assert bad(findings) == {"database": Level.PROBLEM}
    assert "a-password" not in str(findings)


def test_a_scheduler_that_does_not_run_is_told(app: App, clock: TestClock) -> None:
    link(app)
    clock.advance(seconds=120)
    assert found(look(app.settings, clock), "schedule").level is Level.OK
    clock.advance(seconds=1)
    finding = found(look(app.settings, clock), "schedule")
    assert (finding.level, "no scheduler" in finding.text) == (Level.PROBLEM, True)
    assert "twinbox serve" in finding.advice


def test_channels_without_success_are_told(app: App, clock: TestClock) -> None:
    link(app)
    change(app, next_run_at=clock.now + timedelta(days=1))
    clock.advance(hours=1)
    finding = found(look(app.settings, clock), "freshness")
    assert (finding.level, finding.text) == (
        Level.WARNING,
        "channels without success for three periods (mail: 1)",
    )


@pytest.mark.parametrize(
    ("account", "channel", "what"),
    [
        ({"state": "needs_relink"}, {}, "1 accounts must be linked again by their owners"),
        ({"state": "removing"}, {}, "1 accounts are being removed"),
        ({}, {"last_outcome": "misconfigured"}, "1 channels wait for an administrator"),
        ({}, {"held": {"text": "..."}}, "1 channels wait for a person to decide"),
        ({}, {"granted": False}, "1 channels lack their permission"),
        ({"grant_ends_at": TestClock().now + timedelta(days=6)}, {}, "the permission of 1 accounts ends within 7 days"),
    ],
)
def test_whoever_waits_for_somebody_is_counted_with_what_to_do(
    app: App, clock: TestClock, account: dict[str, object], channel: dict[str, object], what: str
) -> None:
    link(app)
    with app.db.transaction() as session:
        if account:
            session.execute(update(AccountRow).values(**account))
    if channel:
        change(app, **channel)
    finding = found(look(app.settings, clock), "accounts")
    assert (finding.level, finding.text) == (Level.WARNING, what)
    assert finding.advice


def test_a_paused_account_is_somebodys_wish(app: App, clock: TestClock) -> None:
    link(app)
    with app.db.transaction() as session:
        session.execute(update(AccountRow).values(state="paused"))
    assert bad(look(app.settings, clock)) == {}


# -- as a command


@pytest.fixture
def terminal(app: App, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    link(app)
    change(app, next_run_at=None, auto=False)
    return Terminal(monkeypatch, {"TWINBOX_DATA_DIR": str(app.settings.data_dir)})


def test_the_command_ends_with_0_when_there_are_warnings_only(terminal: Terminal, app: App) -> None:
    app.settings.data_dir.chmod(0o750)
    ran = terminal("doctor", "--json")
    assert ran.code == 0
    assert [one["check"] for one in ran.json if one["level"] == "warning"] == ["data folder"]
    assert {"check": "settings", "level": "ok", "text": "understood", "advice": ""} in ran.json


def test_the_command_ends_with_1_when_there_is_a_problem(terminal: Terminal, app: App) -> None:
    (app.settings.data_dir / "keys.txt").chmod(0o644)
    ran = terminal("doctor")
    assert ran.code == 1
    assert "problem  start:" in ran.out
    assert "chmod 600" in ran.out


def test_the_command_tells_settings_that_cannot_be_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran = Terminal(monkeypatch, {"TWINBOX_DATA_DIR": str(tmp_path), "TWINBOX_WORKER_THREADS": "many"})("doctor")
    assert (ran.code, "TWINBOX_WORKER_THREADS" in ran.out) == (1, True)


def test_a_user_without_a_home_folder_needs_a_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, app: App
) -> None:
    def homeless(*_arguments: object, **_options: object) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_data_dir", homeless)
    ran = Terminal(monkeypatch, {})("doctor")
    assert (ran.code, "Set TWINBOX_DATA_DIR." in ran.out) == (1, True)
    assert Terminal(monkeypatch, {"TWINBOX_DATA_DIR": str(app.settings.data_dir)})("doctor").code == 0


def test_nothing_the_command_says_names_anybody(terminal: Terminal, app: App) -> None:
    with app.db.transaction() as session:
        session.execute(update(AccountRow).values(state="needs_relink", reason="ann@mail.example was refused"))
        assert session.query(RunRow).count() == 0
    said = terminal("doctor").out
    assert "must be linked again" in said
    assert "ann@" not in said
