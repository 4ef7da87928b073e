"""`twinbox migrate` and `twinbox keys rotate` from several places at once, and taken up again after a crash."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select, text
from sqlalchemy.orm import Session

import sync.vault as vault_module
from core.secret import Secret
from models.accounts import SecretRow
from sync import migrate
from sync.app import App, build_app
from sync.keys import parse_keys
from sync.vault import Keep, Vault, key_usage, read_secret, rotate, sealed_and_unopened, write_secret
from tests.support.app_factory import make_app, make_key, make_settings
from tests.support.processes import wait_until

OLD, NEW = make_key("old"), make_key("new")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else ""


# -- migrate


def test_of_two_upgrades_at_once_one_waits_and_finds_it_done(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on = threading.Event(), threading.Event()
    begun: list[str] = []
    real = command.upgrade

    def slow(config: Config, revision: str) -> None:
        begun.append(revision)
        inside.set()
        assert go_on.wait(20)
        real(config, revision)

    monkeypatch.setattr(command, "upgrade", slow)
    first, second = (build_app(make_settings(tmp_path, database_url=url)) for _ in range(2))
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(migrate.upgrade, first)
        assert inside.wait(20)
        other = pool.submit(migrate.upgrade, second)
        wait_until(lambda: waits_for_the_lock(first) or other.done(), "the second one to wait")
        assert begun == ["head"]
        assert not other.done()
        go_on.set()
        one.result(20)
        other.result(20)
    assert not migrate.needed(second)
    for app in (first, second):
        app.close()


def waits_for_the_lock(app: App) -> bool:
    """PostgreSQL says so; of SQLite it is known that the lock is held, and the other one polls for it."""
    if app.embedded:
        return True
    with app.db.reading() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")))


def test_an_upgrade_that_dies_lets_the_next_one_in(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(_config: Config, _revision: str) -> None:
        raise KeyboardInterrupt

    app = build_app(make_settings(tmp_path, database_url=url))
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", dies)
        with pytest.raises(KeyboardInterrupt):
            migrate.upgrade(app)
    assert migrate.needed(app)
    migrate.upgrade(app)
    assert not migrate.needed(app)
    app.close()


# -- keys rotate


@pytest.fixture
def app(url: str, tmp_path: Path) -> Iterator[App]:
    """An app with 250 secrets under the old key: more than two batches."""
    app = make_app(tmp_path, database_url=url, keys=OLD)
    with app.db.transaction() as session:
        workspace = session.scalar(text("SELECT id FROM workspaces"))
        for number in range(250):
            keep = Keep(str(workspace), f"owner{number}", "password", Secret(f"secret {number}"))
            write_secret(session, app.vault, keep, app.clock())
    yield app
    app.close()


def ring(*keys: str) -> Vault:
    return Vault(parse_keys(",".join(keys), "test"))


def test_a_rotation_that_was_killed_goes_on_where_it_was(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    both = ring(NEW, OLD)
    sealed = 0
    real = vault_module._reseal

    def killed(session: Session, vault: Vault, row: SecretRow) -> int:
        nonlocal sealed
        sealed += 1
        if sealed == 150:
            raise KeyboardInterrupt
        return real(session, vault, row)

    with monkeypatch.context() as patch:
        patch.setattr(vault_module, "_reseal", killed)
        with pytest.raises(KeyboardInterrupt):
            rotate(app.db, both)
    assert key_usage(app.db) == {"new": 100, "old": 150}  # the batch in hand was rolled back whole
    assert sealed_and_unopened(app.db, both) == (250, {})
    assert rotate(app.db, both) == 150
    assert key_usage(app.db) == {"new": 250}
    assert sealed_and_unopened(app.db, ring(NEW)) == (250, {})
    assert sealed_and_unopened(app.db, ring(OLD)) == (250, {"new": 250})


def test_two_rotations_at_once_seal_everything_once(app: App) -> None:
    both = ring(NEW, OLD)
    with ThreadPoolExecutor(2) as pool:
        done = [future.result(60) for future in [pool.submit(rotate, app.db, both) for _ in range(2)]]
    assert sum(done) == 250
    assert sealed_and_unopened(app.db, ring(NEW)) == (250, {})


def test_a_secret_that_is_written_while_all_are_sealed_anew_is_not_lost(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer still has the old ring, which cannot open what was sealed anew: it only writes."""
    both, real = ring(NEW, OLD), vault_module._reseal
    with app.db.reading() as session:
        last = session.scalars(select(SecretRow).order_by(SecretRow.id.desc())).first()
    assert last is not None
    fresh = Keep(last.workspace_id, last.owner, last.kind, Secret("written meanwhile"))
    written = False

    def reseal(session: Session, vault: Vault, row: SecretRow) -> int:
        nonlocal written
        if not written and row.id == last.id:
            written = True
            before = replace_row(row)
            write_secret(session, ring(OLD), fresh, app.clock())
            return real(session, vault, before)
        return real(session, vault, row)

    monkeypatch.setattr(vault_module, "_reseal", reseal)
    rotate(app.db, both)
    with app.db.reading() as session:
        kept = read_secret(session, both, last.owner, last.kind)
    assert kept is not None
    assert kept.secret == Secret("written meanwhile")


def replace_row(row: SecretRow) -> SecretRow:
    """The row as it was read, apart from the session."""
    return SecretRow(id=row.id, owner=row.owner, kind=row.kind, key_id=row.key_id, sealed=row.sealed)
