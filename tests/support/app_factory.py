"""Builds an `App` for tests: SQLite in a temporary folder, loopback allowed, a clock that tests set.
The tables come from the migrations where they exist, so that tests run on what users run."""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.util
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.secret import Secret
from core.settings import Settings
from core.types import Channel
from models import accounts, activities, contacts, content, links, syncing  # noqa: F401  # fills the metadata
from models.columns import Base
from sync.accounts import link_password
from sync.app import App, build_app
from sync.registry import ProviderChange, save_provider
from sync.users import add_user, ensure_workspace

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class TestClock:
    """An aware clock that stands still until it is moved."""

    __test__ = False

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> datetime:
        """Move on by `timedelta(**delta)`."""
        self.now += timedelta(**delta)
        return self.now


def make_key(name: str = "test") -> str:
    """A key ring entry that is the same in every run."""
    return f"{name}:{base64.b64encode(hashlib.sha256(f'twinbox {name}'.encode()).digest()).decode()}"


def make_settings(tmp_path: Path, **options: Any) -> Settings:
    """Settings of an embedded installation below `tmp_path` that may connect to loopback."""
    defaults: dict[str, Any] = {"data_dir": tmp_path / "data", "allow_networks": LOOPBACK, "keys": make_key()}
    return Settings(**{**defaults, **options})


def make_app(tmp_path: Path, *, clock: TestClock | None = None, **options: Any) -> App:
    """An app with all tables and the default workspace; `app.clock` is a `TestClock`. Close it when done."""
    app = build_app(make_settings(tmp_path, **options), clock=clock or TestClock())
    create_tables(app)
    ensure_workspace(app, app.settings.workspace)
    return app


def create_tables(app: App) -> None:
    """Bring the database to the present layout."""
    if importlib.util.find_spec("sync.migrate") is None:
        Base.metadata.create_all(app.db.engine)
        return
    importlib.import_module("sync.migrate").upgrade(app)


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the default workspace."""

    workspace_id: str
    user_id: str
    email: str


def make_user(app: App, email: str = "ann@crm.example") -> Person:
    """Add a user to the default workspace."""
    workspace = ensure_workspace(app, app.settings.workspace)
    return Person(workspace, add_user(app, workspace, email).id, email)


def make_password_account(
    app: App,
    person: Person,
    *,
    imap: tuple[str, int, str] = ("127.0.0.1", 993, "tls"),
    smtp: tuple[str, int, str] = ("127.0.0.1", 465, "tls"),
    address: str = "ann@mail.example",
    login: str = "",
    password: str = "a test password",
    provider: str = "test-mail",
    **spec: Any,
) -> str:
    """Register a provider with these servers (host, port, security) and link an account to it; the account's id.

    No server is contacted: the password is stored untried.
    """
    names = ("host", "port", "security")
    row = {"imap": dict(zip(names, imap, strict=True)), "smtp": dict(zip(names, smtp, strict=True)), **spec}
    save_provider(app, person.workspace_id, provider, ProviderChange(row), create=True)
    linked = link_password(
        app,
        workspace_id=person.workspace_id,
        user_id=person.user_id,
        provider=provider,
        address=address,
        login=login,
        password=Secret(password),
        channels=(Channel.MAIL,),
        verify=None,
    )
    return linked.id
