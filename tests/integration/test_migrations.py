"""The layout of the database: migrations go up, down and up again, and end where the models are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from core.errors import Misconfigured
from models import accounts, activities, contacts, content, links, syncing  # noqa: F401  # fills the metadata
from models.columns import Base
from sync import migrate
from sync.app import App, build_app
from tests.support.app_factory import make_settings


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    app = build_app(make_settings(tmp_path, database_url=url))
    yield app
    app.close()


def tables(app: App) -> set[str]:
    return set(inspect(app.db.engine).get_table_names()) - {"alembic_version"}


def test_an_upgraded_database_has_exactly_the_layout_of_the_models(app: App) -> None:
    migrate.upgrade(app)
    with app.db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    assert tables(app) == set(Base.metadata.tables)


def test_migrations_go_down_to_nothing_and_up_again(app: App) -> None:
    migrate.upgrade(app)
    migrate.downgrade(app, "base")
    assert tables(app) == set()
    assert migrate.current(app) == ""
    migrate.upgrade(app)
    assert tables(app) == set(Base.metadata.tables)


def test_a_second_upgrade_changes_nothing(app: App) -> None:
    migrate.upgrade(app)
    assert not migrate.needed(app)
    migrate.upgrade(app)
    assert migrate.current(app) != ""


def test_a_database_of_a_newer_version_is_refused_with_advice(app: App) -> None:
    migrate.upgrade(app)
    with app.db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Misconfigured, match="newer version") as caught:
        migrate.upgrade(app)
    assert "backup" in caught.value.advice


def test_foreign_keys_are_off_only_while_tables_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = build_app(make_settings(tmp_path))
    during: list[object] = []
    real = command.upgrade

    def looking(config: Config, revision: str) -> None:
        connection = config.attributes["connection"]
        during.append(connection.exec_driver_sql("PRAGMA foreign_keys").scalar())
        real(config, revision)

    monkeypatch.setattr(command, "upgrade", looking)
    migrate.upgrade(app)
    assert during == [0]
    with app.db.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    app.close()
