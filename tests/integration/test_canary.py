"""Planted secrets appear nowhere: not in the database file or its log, not in output, errors, logs or object texts."""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import NeedsRelink, TwinboxError
from core.ports import Access
from core.provider import ProviderSpec
from core.secret import Secret
from sandbox.clock import SandboxClock
from sandbox.google import Consent, GoogleDouble, SigningKey, new_signing_key
from sync.access import open_access
from sync.accounts import link_password
from sync.app import App, utc_now
from sync.linking import LinkRequest, begin_link, finish_link
from sync.registry import describe, find_provider
from tests.support.app_factory import Person, TestClock, make_app, make_key, make_user
from tests.support.cli_run import Outcome, Terminal
from tests.support.google_link import CLIENT_SECRET, REDIRECT, link_google, register, visit

ADDRESS = "ann@example.com"
PASSWORD = "canary-password-5e1c"
SECRETS = (PASSWORD, CLIENT_SECRET)


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(utc_now())


@pytest.fixture
def google(key: SigningKey) -> Iterator[GoogleDouble]:
    with GoogleDouble(clock=SandboxClock(), key=key) as google:
        google.users.add(ADDRESS, "Ann")
        yield google


@pytest.fixture
def app(tmp_path: Path, google: GoogleDouble) -> Iterator[App]:
    app = make_app(tmp_path, clock=TestClock(utc_now()), google_base_url=google.base_url)
    yield app
    app.close()


@pytest.fixture
def ann(app: App, google: GoogleDouble) -> Person:
    person = make_user(app)
    register(app, google, person)
    return person


def planted(app: App, google: GoogleDouble, account: str) -> tuple[str, ...]:
    """Every secret of the world so far, and forms in which one may slip out."""
    tokens = (*google.store.live_refresh_tokens(ADDRESS), open_access(app, account).secret().reveal())
    keys = (make_key().partition(":")[2],)
    plain = (*SECRETS, *tokens, *keys)
    return (*plain, *(base64.b64encode(one.encode()).decode().rstrip("=")[:-2] for one in plain))


def nowhere(secrets: tuple[str, ...], text: str | bytes) -> None:
    data = text.encode() if isinstance(text, str) else text
    assert [one for one in secrets if one.encode() in data] == []


def stored_bytes(app: App) -> bytes:
    files = [path for path in sorted(app.settings.data_dir.rglob("*")) if path.is_file()]
    assert any(path.name == "twinbox.db-wal" for path in files)
    return b"".join(path.read_bytes() for path in files)


def link_with_password(app: App, person: Person, *, refused: bool = False) -> str:
    def refuse(_app: App, _spec: ProviderSpec, access: Access) -> None:
        raise NeedsRelink(f"refused {access.secret()} of {access}")

    return link_password(
        app,
        workspace_id=person.workspace_id,
        user_id=person.user_id,
        provider="fastmail",
        address="ann@fastmail.com",
        password=Secret(PASSWORD),
        verify=refuse if refused else None,
    ).id


def test_no_file_of_the_installation_holds_a_secret(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    link_with_password(app, ann)
    begin = begin_link(app, LinkRequest(ann.workspace_id, ann.user_id, "gmail", REDIRECT))
    open_access(app, account).secret(refresh=True)
    nowhere((*planted(app, google, account), begin.state), stored_bytes(app))


def test_nothing_is_logged_or_printed_while_linking_and_renewing(
    app: App,
    google: GoogleDouble,
    ann: Person,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    account = link_google(app, google, ann, ADDRESS).id
    link_with_password(app, ann)
    open_access(app, account).secret(refresh=True)
    google.revoke_user(ADDRESS)
    with pytest.raises(NeedsRelink):
        open_access(app, account).secret(refresh=True)
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore", "asyncio"))]
    printed = capfd.readouterr()
    nowhere(SECRETS, "\n".join(record.getMessage() for record in ours) + printed.out + printed.err)


def test_errors_and_their_tracebacks_show_none(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    secrets = planted(app, google, account)
    start = begin_link(app, LinkRequest(ann.workspace_id, ann.user_id, "gmail", REDIRECT))
    google.auto_consent = Consent(user=ADDRESS)
    query = visit(start.url)
    finish_link(app, query)
    code, state = query["code"], query["state"]
    again = begin_link(app, LinkRequest(ann.workspace_id, ann.user_id, "gmail", REDIRECT)).state
    google.revoke_user(ADDRESS)
    for act in (
        lambda: link_with_password(app, ann, refused=True),
        lambda: finish_link(app, query),
        lambda: finish_link(app, {"state": again, "code": code}),
        lambda: open_access(app, account).secret(refresh=True),
    ):
        with pytest.raises(TwinboxError) as caught:
            act()
        shown = "".join(traceback.format_exception(caught.value)) + caught.value.advice + repr(caught.value.args)
        nowhere((*secrets, code, state), shown)


def test_the_text_of_every_part_masks_its_secrets(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    provider = find_provider(app, ann.workspace_id, "gmail")
    access = open_access(app, account)
    access.secret()
    begin = begin_link(app, LinkRequest(ann.workspace_id, ann.user_id, "gmail", REDIRECT))
    shown = " ".join(map(repr, (app, app.vault, app.settings, provider, describe(provider), access, begin)))
    nowhere((*planted(app, google, account), begin.state), shown)


def test_no_command_prints_one(
    tmp_path: Path, google: GoogleDouble, monkeypatch: pytest.MonkeyPatch, app: App, ann: Person
) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    link_with_password(app, ann)
    environment = {
        "TWINBOX_DATA_DIR": str(app.settings.data_dir),
        "TWINBOX_KEYS": app.settings.keys,
        "TWINBOX_GOOGLE_BASE_URL": google.base_url,
        "TWINBOX_ALLOW_NETWORKS": "127.0.0.0/8",
        "TWINBOX_BROKER_URL": f"amqp://user:{PASSWORD}@queue/",
    }
    twinbox = Terminal(monkeypatch, environment)
    outcomes: list[Outcome] = []
    for command in (
        ("config", "show"),
        ("account", "list"),
        ("provider", "list"),
        ("provider", "show", "gmail"),
        ("keys", "status"),
        ("keys", "rotate"),
        ("user", "list"),
        ("account", "pause", account),
    ):
        outcomes += [twinbox(*command), twinbox(*command, "--json")]
    assert [outcome.code for outcome in outcomes] == [0] * len(outcomes)
    nowhere(planted_without_access(app), "".join(outcome.out + outcome.err for outcome in outcomes))


def planted_without_access(app: App) -> tuple[str, ...]:
    return (*SECRETS, app.settings.keys.partition(":")[2])
